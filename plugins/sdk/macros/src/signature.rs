//! What a user wrote: the function, and where each of its parameters comes from.
//!
//! # Invariants
//!
//! - What is refused is refused at its place, with what to write there instead.

use proc_macro2::Span;
use syn::parse::{Parse, ParseStream};
use syn::punctuated::Punctuated;
use syn::spanned::Spanned as _;
use syn::{Attribute, Error, Expr, ExprLit, FnArg, ItemFn, Lit, LitStr, Meta, Result, Token, Type, bracketed};

const WHERE_FROM: &str = "say where this parameter comes from: #[new(\"/status\")], #[old(\"/status\")] or #[key(\"/id\")] for a \
     field of the change, #[actor] for who made it, #[config] for the plugin's configuration, #[lookup(\"customers\")] for a \
     table to look things up in; without one of these it is an `Operation` or a `Facts`";

/// Which part of a change a field is of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Part {
    Keys,
    Old,
    New,
}

/// Where a parameter comes from.
pub(crate) enum Source {
    /// A field, by its JSON pointer.
    Field(Part, LitStr),
    /// Who made the change.
    Actor,
    /// The plugin's configuration.
    Config,
    /// A lookup table, by its name.
    Lookup(LitStr),
    /// Its type says.
    Change,
}

/// One parameter.
pub(crate) struct Parameter {
    pub(crate) source: Source,
    pub(crate) kind: Type,
}

/// What stands in the brackets of the attribute.
#[derive(Default)]
pub(crate) struct Arguments {
    /// The plugin's name, if it is not that of its package.
    pub(crate) name: Option<LitStr>,
    /// Sinks that outputs name.
    pub(crate) sinks: Vec<LitStr>,
}

impl Parse for Arguments {
    fn parse(input: ParseStream<'_>) -> Result<Self> {
        let mut arguments = Self::default();
        while !input.is_empty() {
            let name: syn::Ident = input.parse()?;
            let is_sinks = name == "sinks";
            if !is_sinks && name != "name" {
                return Err(Error::new(
                    name.span(),
                    "there are only `name = \"...\"`, if it is not that of the package, and `sinks = [\"...\"]`: the sinks of \
                     its route that the plugin names",
                ));
            }
            input.parse::<Token![=]>()?;
            if is_sinks {
                let names;
                bracketed!(names in input);
                let names = Punctuated::<LitStr, Token![,]>::parse_terminated(&names)?;
                arguments.sinks.extend(names);
            } else {
                arguments.name = Some(input.parse()?);
            }
            if !input.is_empty() {
                input.parse::<Token![,]>()?;
            }
        }
        Ok(arguments)
    }
}

/// The first paragraph of the function's documentation, as one line: the plugin's summary.
pub(crate) fn summary(function: &ItemFn) -> Result<String> {
    let lines = function.attrs.iter().filter_map(|attribute| match &attribute.meta {
        Meta::NameValue(doc) if doc.path.is_ident("doc") => match &doc.value {
            Expr::Lit(ExprLit {
                lit: Lit::Str(text), ..
            }) => Some(text.value().trim().to_owned()),
            _ => None,
        },
        _ => None,
    });
    let paragraph: Vec<String> = lines.take_while(|line| !line.is_empty()).collect();
    if paragraph.is_empty() {
        return Err(Error::new(
            function.sig.ident.span(),
            "say in a doc comment what the plugin does: operators read it before they let it run",
        ));
    }
    Ok(paragraph.join(" "))
}

/// Takes the parameters' attributes off the function, which is then an ordinary one.
pub(crate) fn parameters(function: &mut ItemFn) -> Result<Vec<Parameter>> {
    let signature = &function.sig;
    let unusual = [
        signature.asyncness.map(|word| word.span()),
        signature.unsafety.map(|word| word.span()),
        signature.variadic.as_ref().map(|dots| dots.span()),
        signature.generics.params.first().map(|parameter| parameter.span()),
    ];
    if let Some(span) = unusual.into_iter().flatten().next() {
        return Err(Error::new(
            span,
            "a plugin is a plain function: not async, not unsafe, without generics",
        ));
    }
    let mut parameters = Vec::new();
    for argument in &mut function.sig.inputs {
        let FnArg::Typed(argument) = argument else {
            return Err(Error::new(
                argument.span(),
                "a plugin is a function of its own, without `self`",
            ));
        };
        let mut source = None;
        let mut others = Vec::new();
        for attribute in std::mem::take(&mut argument.attrs) {
            match (source_of(&attribute)?, &source) {
                (None, _) => others.push(attribute),
                (Some(found), None) => source = Some(found),
                (Some(_), Some(_)) => {
                    return Err(Error::new(attribute.span(), "a parameter comes from one place"));
                }
            }
        }
        argument.attrs = others;
        let source = source.unwrap_or(Source::Change);
        if matches!(source, Source::Change) && !is_of_change(&argument.ty) {
            return Err(Error::new(argument.span(), WHERE_FROM));
        }
        parameters.push(Parameter {
            source,
            kind: (*argument.ty).clone(),
        });
    }
    let mut configs = parameters
        .iter()
        .filter(|parameter| matches!(parameter.source, Source::Config));
    if let (Some(_), Some(second)) = (configs.next(), configs.next()) {
        return Err(Error::new(
            second.kind.span(),
            "there is one configuration: take it once",
        ));
    }
    Ok(parameters)
}

/// Whether a type without an attribute tells what it is.
fn is_of_change(kind: &Type) -> bool {
    let Type::Path(path) = kind else { return false };
    let last = path.path.segments.last();
    last.is_some_and(|last| last.ident == "Operation" || last.ident == "Facts")
}

fn source_of(attribute: &Attribute) -> Result<Option<Source>> {
    let part = match attribute.path().get_ident().map(ToString::to_string).as_deref() {
        Some("new") => Part::New,
        Some("old") => Part::Old,
        Some("key") => Part::Keys,
        Some("actor") => return attribute.meta.require_path_only().map(|_| Some(Source::Actor)),
        Some("config") => return attribute.meta.require_path_only().map(|_| Some(Source::Config)),
        Some("lookup") => {
            let table = attribute.parse_args().map_err(|error| {
                let message = "the name of a table in quotes belongs here: #[lookup(\"customers\")]";
                Error::new(error.span(), message)
            })?;
            return Ok(Some(Source::Lookup(table)));
        }
        _ => return Ok(None),
    };
    let pointer: LitStr = attribute.parse_args().map_err(|error| {
        let name = attribute.path().get_ident().expect("it was looked at above");
        Error::new(
            error.span(),
            format!("a JSON pointer in quotes belongs here: #[{name}(\"/status\")]"),
        )
    })?;
    check_pointer(&pointer.value(), pointer.span())?;
    Ok(Some(Source::Field(part, pointer)))
}

/// RFC 6901: empty, or a slash before every name, and `~` only in `~0` and `~1`.
fn check_pointer(pointer: &str, span: Span) -> Result<()> {
    if !pointer.is_empty() && !pointer.starts_with('/') {
        return Err(Error::new(
            span,
            format!("a JSON pointer begins with a slash: \"/{pointer}\""),
        ));
    }
    let is_escaped = |(at, _): (usize, &str)| matches!(pointer.as_bytes().get(at + 1), Some(b'0' | b'1'));
    if !pointer.match_indices('~').all(is_escaped) {
        return Err(Error::new(
            span,
            "in a JSON pointer `~` is written ~0, and a slash in a name ~1",
        ));
    }
    Ok(())
}
