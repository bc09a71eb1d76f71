//! What a plugin is written with. The smallest one is a function of one change:
//!
//! ```
//! /// Sends everything but drafts.
//! #[weir_plugin_sdk::router]
//! fn no_drafts(#[new("/status")] status: Option<&str>) -> bool {
//!     status != Some("draft")
//! }
//! ```
//!
//! What it reads is what its parameters say, and nothing else: an operator sees it before the plugin may run, and the host
//! hands over no more. More of it, in [`router`](macro@router): the configuration, events of its own, rejections.
//!
//! ```text
//! function ──[router]──▶ an implementation of Router, and the component's exports
//!
//! configuration ──▶ Router::configure ──▶ Router::manifest   at upload: the operator grants what it asks for
//!                          │
//!                          ▼
//! Batch ─────────────▶ Router::route ───▶ Decisions          for every batch
//! ```
//!
//! A plugin whose manifest depends on its configuration implements [`Router`] by hand:
//!
//! ```
//! use weir_plugin_sdk::{Batch, ConfigProblem, Decisions, Error, Field, Manifest, Router, export_router};
//!
//! /// Drops changes where a configured attribute is missing.
//! struct Complete {
//!     attribute: Field,
//! }
//!
//! impl Router for Complete {
//!     fn configure(config: &str) -> Result<Self, Vec<ConfigProblem>> {
//!         let name: String = serde_json::from_str(config)
//!             .map_err(|_| vec![ConfigProblem::at([], "must be the name of an attribute in quotes")])?;
//!         Ok(Self { attribute: Field::new_image(format!("/{name}")) })
//!     }
//!
//!     fn manifest(&self) -> Manifest {
//!         Manifest::new("complete", "1.0.0", "Sends what has the configured attribute.").reads([self.attribute.clone()])
//!     }
//!
//!     fn route(&self, batch: &Batch, decisions: &mut Decisions) -> Result<(), Error> {
//!         for (index, value) in batch.column(&self.attribute).into_iter().enumerate() {
//!             if value.is_none() {
//!                 decisions.drop(index);
//!             }
//!         }
//!         Ok(())
//!     }
//! }
//!
//! export_router!(Complete);
//! ```
//!
//! Its package has `crate-type = ["cdylib", "rlib"]`: the first becomes the component, the second is for tests. On the
//! machine that builds it everything compiles, and nothing is behind [`Batch`]: reading there panics. A function of one
//! change is called by a test like any other.
//!
//! # Invariants
//!
//! - Every change of a batch has exactly one verdict. What a plugin does not mention is kept.
//! - Every rejected change has exactly one rejection; a dropped or rejected change has no output.
//! - Nothing here keeps anything between two batches.

mod annotations;
mod annotator;
mod batch;
mod decisions;
mod error;
#[doc(hidden)]
pub mod function;
mod manifest;
mod router;

/// The contract as Rust, generated. Public only because the code that [`export_router!`] leaves in a plugin names it.
#[doc(hidden)]
pub mod bindings {
    wit_bindgen::generate!({
        path: "../wit",
        world: "router",
        pub_export_macro: true,
        default_bindings_module: "weir_plugin_sdk::bindings",
        additional_derives: [PartialEq, Eq],
    });
}

pub use annotations::{Annotation, Annotations};
pub use annotator::{Annotator, ExportedAnnotator};
pub use batch::{Batch, TextColumn};
pub use bindings::weir::plugin::logging::Level;
pub use bindings::weir::plugin::types::{ChangeMeta, ConfigProblem, Field, Manifest, Operation, Part, Value};
pub use decisions::{Decisions, EmitError};
pub use error::Error;
pub use function::{Annotate, Answer, Decision, Facts, Lookup, OnDemand};
pub use router::{Exported, Router};
/// The world of annotators, for the code that [`export_annotator!`] leaves in a plugin.
#[doc(hidden)]
pub use weir_plugin_sdk_intake as intake_bindings;
pub use weir_plugin_sdk_intake::exports::weir::plugin::annotating::RedactionMethod;

/// Makes the plugin of this package out of a function that decides about one change. Once in a package.
///
/// The package's name and version are the plugin's (`#[router(name = "orders")]` gives it another name); the first paragraph
/// of the function's documentation is its summary. `#[router(sinks = ["..."])]` lists the sinks that its outputs name.
///
/// | parameter | what it is |
/// | --- | --- |
/// | `#[new("/status")]`, `#[old("/status")]`, `#[key("/id")]` | a field of the new image, of the old one, of the key: a JSON pointer over attribute names and list indexes, `""` for all of it |
/// | of these: `Option<&str>` | a text, or a number as its decimal text |
/// | `Option<f64>` | a number as the nearest binary64. Two numbers of the database may be one here: compare texts |
/// | `Option<&`[`Value`]`>` | any value |
/// | [`OnDemand`] | read only for the change that asks: for what few need |
/// | `#[actor]` with `Option<&str>` | who made the change, as far as it is known |
/// | `#[config]` with `&Settings` | the configuration, of any type that implements `serde::Deserialize`. Without it there is none |
/// | [`Operation`] | insert, modify or remove |
/// | [`Facts`] | event id, time, what differs; and the log |
///
/// It answers `true` to keep the change and `false` to drop it, or a [`Decision`], or a `Result` of one of them whose error
/// sets the change aside. `None` is a field that is absent, or has another type.
///
/// ```
/// use serde::{Deserialize, Serialize};
/// use weir_plugin_sdk::{Decision, OnDemand, router};
///
/// #[derive(Deserialize)]
/// #[serde(deny_unknown_fields)]
/// struct Settings {
///     large_order: f64,
/// }
///
/// #[derive(Serialize)]
/// struct LargeOrder<'a> {
///     status: Option<&'a str>,
///     customer: Option<Box<serde_json::value::RawValue>>,
/// }
///
/// /// Sends orders whose status changed, and tells the auditors of large ones.
/// #[router(sinks = ["auditors"])]
/// fn orders(
///     #[config] settings: &Settings,
///     #[old("/status")] before: Option<&str>,
///     #[new("/status")] status: Option<&str>,
///     #[new("/total")] total: Option<f64>,
///     #[new("/customer")] customer: OnDemand<'_>,
/// ) -> Decision {
///     if before == status {
///         return Decision::drop();
///     }
///     match total {
///         None => Decision::reject("total-missing", "the order has no total that is a number"),
///         Some(total) if total >= settings.large_order => {
///             let detail = LargeOrder { status, customer: customer.json() };
///             Decision::keep().emit_to("auditors", "large-order", &detail)
///         }
///         Some(_) => Decision::keep(),
///     }
/// }
/// ```
pub use weir_plugin_sdk_macros::router;

/// Makes the plugin of this package out of a function that annotates one change before it is recorded. Once in a package.
///
/// Parameters, name and summary are those of [`router`](macro@router). It answers an [`Annotation`]: who made the change and
/// why, tags, and what is taken out of it; or a `Result` of that, whose error has the change withheld: it is recorded for
/// nobody to see until it was annotated again.
///
/// ```
/// use weir_plugin_sdk::{Annotation, annotator};
///
/// /// Names the clerk, and records patients without what identifies them.
/// #[annotator]
/// fn patients(#[new("/clerk")] clerk: Option<&str>, #[new("/insured")] insured: Option<&str>) -> Annotation {
///     let annotation = Annotation::none().hash("/insurance_number").omit("/address").mask("/name");
///     let annotation = match clerk {
///         Some(clerk) => annotation.actor(clerk),
///         None => annotation,
///     };
///     annotation.tag("insured", insured.unwrap_or("unknown"))
/// }
/// ```
pub use weir_plugin_sdk_macros::annotator;

/// Keeps the plugin in the README compiling.
#[cfg(doctest)]
#[doc = include_str!("../../README.md")]
struct Readme;
