//! What a plugin is written with: one type that says what it reads and decides what becomes of each change.
//!
//! ```text
//! configuration ──▶ Router::configure ──▶ Router::manifest   at upload: the operator grants what it asks for
//!                          │
//!                          ▼
//! Batch ─────────────▶ Router::route ───▶ Decisions          for every batch
//! ```
//!
//! A whole plugin, which sends only the changes that gave an order another status and announces what was cancelled:
//!
//! ```
//! use serde::Serialize;
//! use weir_plugin_sdk::{Batch, ConfigProblem, Decisions, Error, Field, Manifest, Router, export_router};
//!
//! struct StatusChanges;
//!
//! #[derive(Serialize)]
//! struct Cancelled {
//!     status_before: Option<String>,
//! }
//!
//! impl Router for StatusChanges {
//!     fn configure(_config: &str) -> Result<Self, Vec<ConfigProblem>> {
//!         Ok(Self)
//!     }
//!
//!     fn manifest(&self) -> Manifest {
//!         Manifest::new("status-changes", "1.0.0", "Sends an order when its status changed.")
//!             .reads([Field::old_image("/status"), Field::new_image("/status")])
//!     }
//!
//!     fn route(&self, batch: &Batch, decisions: &mut Decisions) -> Result<(), Error> {
//!         let before = batch.texts(&Field::old_image("/status"));
//!         let after = batch.texts(&Field::new_image("/status"));
//!         for index in batch.indexes() {
//!             if before[index] == after[index] {
//!                 decisions.drop(index);
//!             } else if after[index].as_deref() == Some("cancelled") {
//!                 let detail = Cancelled { status_before: before[index].clone() };
//!                 decisions.emit(index, "order-cancelled", &detail)?;
//!             }
//!         }
//!         Ok(())
//!     }
//! }
//!
//! export_router!(StatusChanges);
//! ```
//!
//! Its package has `crate-type = ["cdylib", "rlib"]`: the first becomes the component, the second is for tests. On the
//! machine that builds it everything compiles, and nothing is behind [`Batch`]: reading there panics. So keep the
//! decision in a function of plain values, and test that.
//!
//! # Invariants
//!
//! - Every change of a batch has exactly one verdict. What a plugin does not mention is kept.
//! - Every rejected change has exactly one rejection; a dropped or rejected change has no output.
//! - Nothing here keeps anything between two batches.

mod batch;
mod decisions;
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

pub use batch::Batch;
pub use bindings::weir::plugin::logging::Level;
pub use bindings::weir::plugin::types::{ChangeMeta, ConfigProblem, Field, Manifest, Operation, Part, Value};
pub use decisions::{Decisions, EmitError};
pub use router::{Error, Exported, Router};

/// Keeps the plugin in the README compiling.
#[cfg(doctest)]
#[doc = include_str!("../../README.md")]
struct Readme;
