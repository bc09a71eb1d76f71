//! The contract's world of annotators as Rust, generated.
//!
//! A crate of its own: the macros that export a world have one name each in a crate, and those of the world of routers are in
//! `weir-plugin-sdk`. Nobody but that crate uses this one.

wit_bindgen::generate!({
    path: "../../wit",
    world: "annotator",
    pub_export_macro: true,
    default_bindings_module: "weir_plugin_sdk::intake_bindings",
    additional_derives: [PartialEq, Eq],
});
