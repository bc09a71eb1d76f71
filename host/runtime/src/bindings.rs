//! The host's side of `plugins/wit`, and of the part of WASI that guests may import, generated.

wasmtime::component::bindgen!({
    path: "../../plugins/wit",
    world: "router",
    imports: { default: trappable },
    additional_derives: [PartialEq],
});

/// WASI 0.2, as `wit/wasi.wit` has it.
pub(crate) mod wasi_guest {
    wasmtime::component::bindgen!({
        path: "wit",
        world: "weir:guest/guest",
        imports: { default: trappable },
    });
}
