//! What becomes of the function: itself, and an implementation of `Router` or `Annotator` that calls it for each change of a
//! batch.
//!
//! # Invariants
//!
//! - Names of ours begin with two underscores: the function may be called `batch`, and its types `Plugin`.

use proc_macro2::TokenStream;
use quote::{format_ident, quote};
use syn::{Error, ItemFn, Result, Type, parse2};

use crate::signature::{Arguments, Parameter, Part, Source, parameters, summary};

/// Where the plugin is called.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Hook {
    Route,
    Intake,
}

pub(crate) fn plugin(hook: Hook, arguments: TokenStream, function: TokenStream) -> Result<TokenStream> {
    let Arguments { name, sinks } = parse2(arguments)?;
    if let (Hook::Intake, Some(sink)) = (hook, sinks.first()) {
        return Err(Error::new(
            sink.span(),
            "an annotator sends nothing, so it names no sinks",
        ));
    }
    let plugin = name.map_or_else(|| quote!(env!("CARGO_PKG_NAME")), |name| quote!(#name));
    let mut function: ItemFn = parse2(function)?;
    let summary = summary(&function)?;
    let parameters = parameters(&mut function)?;
    let name = &function.sig.ident;

    let config = parameters
        .iter()
        .find(|parameter| matches!(parameter.source, Source::Config))
        .map_or_else(
            || quote!(::weir_plugin_sdk::function::NoConfig),
            |config| owned(&config.kind),
        );
    let fields = parameters.iter().filter_map(declared);
    let actor = parameters
        .iter()
        .any(|parameter| matches!(parameter.source, Source::Actor));
    let actor = actor.then(|| quote!(.reads_actor()));
    let tables = parameters.iter().filter_map(|parameter| match &parameter.source {
        Source::Lookup(table) => Some(table),
        _ => None,
    });
    let (columns, values): (Vec<_>, Vec<_>) = parameters.iter().enumerate().map(read).unzip();
    let (implemented, method, written, answer, export) = match hook {
        Hook::Route => (
            quote!(Router),
            quote!(route),
            quote!(Decisions),
            quote!(Answer::decide),
            quote!(export_router),
        ),
        Hook::Intake => (
            quote!(Annotator),
            quote!(annotate),
            quote!(Annotations),
            quote!(Annotate::annotate),
            quote!(export_annotator),
        ),
    };

    Ok(quote! {
        #function

        const _: () = {
            struct __Plugin {
                config: #config,
            }

            impl ::weir_plugin_sdk::#implemented for __Plugin {
                fn configure(
                    config: &str,
                ) -> ::core::result::Result<Self, ::std::vec::Vec<::weir_plugin_sdk::ConfigProblem>> {
                    ::weir_plugin_sdk::function::read_config(config).map(|config| Self { config })
                }

                fn manifest(&self) -> ::weir_plugin_sdk::Manifest {
                    ::weir_plugin_sdk::Manifest::new(#plugin, env!("CARGO_PKG_VERSION"), #summary)
                        .reads([#(#fields),*])
                        .sinks::<&str>([#(#sinks),*])
                        .lookups::<&str>([#(#tables),*])
                        #actor
                }

                fn #method(
                    &self,
                    __batch: &::weir_plugin_sdk::Batch,
                    __answers: &mut ::weir_plugin_sdk::#written,
                ) -> ::core::result::Result<(), ::weir_plugin_sdk::Error> {
                    #(#columns)*
                    for __index in __batch.indexes() {
                        let __answer = #name(#(#values),*);
                        ::weir_plugin_sdk::function::#answer(__answer, __index, __answers)?;
                    }
                    ::core::result::Result::Ok(())
                }
            }

            ::weir_plugin_sdk::#export!(__Plugin);
        };
    })
}

/// `&Settings` is handed over as a reference and kept as `Settings`.
fn owned(kind: &Type) -> TokenStream {
    match kind {
        Type::Reference(reference) => {
            let kind = &reference.elem;
            quote!(#kind)
        }
        kind => quote!(#kind),
    }
}

/// The field of a parameter, as the manifest declares it.
fn declared(parameter: &Parameter) -> Option<TokenStream> {
    let Source::Field(part, pointer) = &parameter.source else {
        return None;
    };
    let make = match part {
        Part::Keys => quote!(keys),
        Part::Old => quote!(old_image),
        Part::New => quote!(new_image),
    };
    Some(quote!(::weir_plugin_sdk::Field::#make(#pointer)))
}

/// What is read of the batch for a parameter, and its value for the change at `index`.
fn read((number, parameter): (usize, &Parameter)) -> (TokenStream, TokenStream) {
    let column = format_ident!("__column_{number}");
    let kind = &parameter.kind;
    match &parameter.source {
        Source::Field(..) => {
            let field = declared(parameter);
            let read = quote! {
                let #column = (<#kind as ::weir_plugin_sdk::function::FromField<'_>>::column(__batch, &#field), #field);
            };
            let value = quote! {
                <#kind as ::weir_plugin_sdk::function::FromField<'_>>::at(__batch, &#column.0, &#column.1, __index)
            };
            (read, value)
        }
        Source::Actor => {
            let read = quote!(let #column = __batch.actors(););
            (read, quote!(#column[__index].as_deref()))
        }
        Source::Config => {
            let value = match kind {
                Type::Reference(_) => quote!(&self.config),
                _ => quote!(::core::clone::Clone::clone(&self.config)),
            };
            (TokenStream::new(), value)
        }
        Source::Lookup(table) => {
            let value = quote!(::weir_plugin_sdk::function::Lookup::__of(__batch, #table));
            (TokenStream::new(), value)
        }
        Source::Change => {
            let read = quote! {
                let #column = <#kind as ::weir_plugin_sdk::function::FromChange<'_>>::column(__batch);
            };
            let value = quote! {
                <#kind as ::weir_plugin_sdk::function::FromChange<'_>>::at(__batch, &#column, __index)
            };
            (read, value)
        }
    }
}

#[cfg(test)]
mod tests {
    use expect_test::{Expect, expect};

    use super::*;

    /// What a user is told about a function that is no plugin.
    #[track_caller]
    fn refused(arguments: &str, function: &str, expect: Expect) {
        let error = plugin(Hook::Route, arguments.parse().unwrap(), function.parse().unwrap()).unwrap_err();
        expect.assert_eq(&error.to_string());
    }

    #[test]
    fn a_parameter_from_nowhere_is_told_where_parameters_come_from() {
        refused(
            "",
            "/// Sends.\nfn send(status: Option<&str>) -> bool { true }",
            expect![[
                r#"say where this parameter comes from: #[new("/status")], #[old("/status")] or #[key("/id")] for a field of the change, #[actor] for who made it, #[config] for the plugin's configuration, #[lookup("customers")] for a table to look things up in; without one of these it is an `Operation` or a `Facts`"#
            ]],
        );
        refused(
            "",
            "/// Sends.\nfn send(#[new(\"/a\")] #[old(\"/a\")] status: Option<&str>) -> bool { true }",
            expect!["a parameter comes from one place"],
        );
        refused(
            "",
            "/// Sends.\nfn send(#[config] one: &One, #[config] two: &Two) -> bool { true }",
            expect!["there is one configuration: take it once"],
        );
    }

    #[test]
    fn a_pointer_that_is_none_is_refused_where_it_stands() {
        refused(
            "",
            "/// Sends.\nfn send(#[new(\"status\")] status: Option<&str>) -> bool { true }",
            expect![[r#"a JSON pointer begins with a slash: "/status""#]],
        );
        refused(
            "",
            "/// Sends.\nfn send(#[new(\"/a~b\")] status: Option<&str>) -> bool { true }",
            expect!["in a JSON pointer `~` is written ~0, and a slash in a name ~1"],
        );
        refused(
            "",
            "/// Sends.\nfn send(#[old(status)] status: Option<&str>) -> bool { true }",
            expect![[r#"a JSON pointer in quotes belongs here: #[old("/status")]"#]],
        );
        refused(
            "",
            "/// Sends.\nfn send(#[lookup] customers: Lookup<'_>) -> bool { true }",
            expect![[r#"the name of a table in quotes belongs here: #[lookup("customers")]"#]],
        );
    }

    #[test]
    fn an_annotator_names_no_sinks() {
        let (arguments, function) = (
            "sinks = [\"bus\"]",
            "/// Tags.\nfn tag() -> Annotation { Annotation::none() }",
        );
        let error = plugin(Hook::Intake, arguments.parse().unwrap(), function.parse().unwrap()).unwrap_err();
        assert_eq!(error.to_string(), "an annotator sends nothing, so it names no sinks");
    }

    #[test]
    fn what_is_no_plain_function_with_a_summary_is_refused() {
        refused(
            "",
            "fn send() -> bool { true }",
            expect!["say in a doc comment what the plugin does: operators read it before they let it run"],
        );
        for function in ["async fn send() -> bool { true }", "fn send<T>() -> bool { true }"] {
            refused(
                "",
                &format!("/// Sends.\n{function}"),
                expect!["a plugin is a plain function: not async, not unsafe, without generics"],
            );
        }
        refused(
            "tables = [\"a\"]",
            "/// Sends.\nfn send() -> bool { true }",
            expect![[
                r#"there are only `name = "..."`, if it is not that of the package, and `sinks = ["..."]`: the sinks of its route that the plugin names"#
            ]],
        );
    }
}
