//! The host's side of `plugins/wit`, and of the part of WASI that guests may import, generated.

wasmtime::component::bindgen!({
    path: "../../plugins/wit",
    world: "router",
    imports: { default: trappable },
    additional_derives: [PartialEq],
});

/// The world of plugins at intake. It imports what a router imports.
pub(crate) mod intake {
    wasmtime::component::bindgen!({
        path: "../../plugins/wit",
        world: "annotator",
        imports: { default: trappable },
        additional_derives: [PartialEq],
        with: {
            "weir:plugin/types": super::weir::plugin::types,
            "weir:plugin/changes": super::weir::plugin::changes,
            "weir:plugin/call-context": super::weir::plugin::call_context,
            "weir:plugin/lookup": super::weir::plugin::lookup,
            "weir:plugin/logging": super::weir::plugin::logging,
        },
    });
}

/// WASI 0.2, as `wit/wasi.wit` has it.
pub(crate) mod wasi_guest {
    wasmtime::component::bindgen!({
        path: "wit",
        world: "weir:guest/guest",
        imports: { default: trappable },
    });
}
