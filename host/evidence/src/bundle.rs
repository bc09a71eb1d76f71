//! The bundle: a range of a ledger in one file that proves itself against a public key (`formats/bundle.md`).
//!
//! ```text
//! weir-bundle-v1/bundle.json         sizes and hashes of the others, range, ledger
//! weir-bundle-v1/checkpoint          signed size and root ◀────────┐
//! weir-bundle-v1/entries.jsonl       leaves ──┐                    │
//! weir-bundle-v1/disclosures.jsonl            ├─ with proof.json ──┘
//! weir-bundle-v1/proof.json          subtrees beside the range
//! weir-bundle-v1/rows.jsonl, .csv    what entries and disclosures say, for people
//! ```
//!
//! # Invariants
//!
//! - No byte of the file is without meaning: one changed byte anywhere is found.
//! - The rows of a bundle come out of one piece of code, in writing and in verifying.
//! - Verifying never panics, and its work is linear in the file.

mod manifest;
mod proof;
mod range;
mod rows;
mod ustar;
mod verify;
mod write;

pub(crate) use self::verify::check_signed;
pub use self::verify::{verify_bundle, verify_bundle_with_progress};
pub use self::write::{BundleError, BundleWriter};

/// Folder of the members. Another version has another one.
const FOLDER: &str = "weir-bundle-v1/";
