//! The host's side of `plugins/wit`, generated.

wasmtime::component::bindgen!({
    path: "../../plugins/wit",
    world: "router",
    imports: { default: trappable },
    additional_derives: [PartialEq],
});
