//! The attributes that make a plugin of a function. What they mean to a user stands with `weir_plugin_sdk::router` and
//! `weir_plugin_sdk::annotator`, which are these.
//!
//! ```text
//! the function ──▶ signature: what each parameter is ──▶ expand: the function itself, and an implementation of `Router` or
//!                                                        `Annotator`
//! ```
//!
//! # Invariants
//!
//! - The function stays as it was written, so tests call it like any other.
//! - What the manifest declares and what is read come from one list: the parameters.
//! - What the compiler would say about generated code is said here first, at the place that the user wrote.

mod expand;
mod signature;

use proc_macro::TokenStream;

use self::expand::Hook;

#[expect(missing_docs, reason = "documented where users find it, in weir_plugin_sdk")]
#[proc_macro_attribute]
pub fn router(arguments: TokenStream, function: TokenStream) -> TokenStream {
    plugin(Hook::Route, arguments, function)
}

#[expect(missing_docs, reason = "documented where users find it, in weir_plugin_sdk")]
#[proc_macro_attribute]
pub fn annotator(arguments: TokenStream, function: TokenStream) -> TokenStream {
    plugin(Hook::Intake, arguments, function)
}

fn plugin(hook: Hook, arguments: TokenStream, function: TokenStream) -> TokenStream {
    expand::plugin(hook, arguments.into(), function.into())
        .unwrap_or_else(syn::Error::into_compile_error)
        .into()
}
