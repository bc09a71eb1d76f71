//! Runs plugins: Wasm components that people wrote and uploaded, under memory, fuel and time limits.
//!
//! ```text
//! component ──▶ Plugin ──▶ describe(config) ──▶ Manifest: what it may read
//!                 │
//! batch ──────────┴──▶ route or annotate ──▶ one answer per change: a Decision or Annotation, or the Fault of exactly
//!                        │                   that change
//!                        └─ a call that fails is cut in halves until the changes that fail alone are left
//! ```
//!
//! # Invariants
//!
//! - Every call gets a fresh instance. Nothing that a plugin does in one call is seen by another.
//! - A plugin reads what its manifest declares and nothing else. It has no network and no files; what it takes for the time
//!   and for chance are facts of the change.
//! - Fuel decides, and is the same on every machine. The wall clock only protects the host: running into it is never
//!   the plugin's fault.
//! - Guest code runs on threads of its own, never on those of the async runtime.
//! - A trap is an outcome, not an error.

mod annotations;
mod batch;
mod bindings;
mod decisions;
mod engine;
mod host;
mod limits;
mod load;
mod lookup;
mod manifest;
mod plugin;
mod search;
mod threads;

pub use annotations::{Annotation, Part, Redaction, RedactionMethod};
pub use batch::Batch;
pub use decisions::{Answers, Decision, Fault, FaultCode, Output};
pub use engine::{Runtime, StartError};
pub use limits::Limits;
pub use load::{COMPONENT_BYTES_MAX, LoadError, compile_for_parent};
pub use lookup::{LookupError, LookupTable};
pub use manifest::{ConfigProblem, Manifest, MissingTables, NAME_BYTES_MAX, is_name};
pub use plugin::{DescribeError, Hook, HostError, Measured, Plugin, Probed};
