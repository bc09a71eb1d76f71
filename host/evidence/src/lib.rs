//! What is recorded, and how anybody can prove that it was not touched since.
//!
//! ```text
//! Body (keys, images, actor) ──▶ commitment ──▶ Entry ──▶ leaf hash ──▶ Merkle tree ──▶ root
//!   │                             (salted)     (JSON)        │
//!   └── zstd ──▶ seal with its own key ◀── bound to ─────────┘
//! ```
//!
//! An *entry* is permanent and public to auditors. Its *body* is sealed, and erasable by destroying its key. The tree
//! is RFC 6962's, over the bytes of the entries.
//!
//! # Invariants
//!
//! - The bytes that were hashed are the bytes that are stored. Nothing is written again to be verified.
//! - Nothing inside an entry depends on its position, so all of this happens before the ledger's lock is taken.
//! - A sealed body opens only beside the very entry that it was sealed with. One changed bit in either shows, and shows
//!   where.
//! - Nothing here does I/O or makes randomness: keys and nonces are handed in.

mod body;
mod body_key;
mod canonical;
mod commitment;
mod entry;
mod secret;
mod tree;
mod verify;

pub use body::{Body, OpenError, OpenedBody, SealedBody};
pub use body_key::{BODY_KEYS_PER_SEGMENT, BodyKey, SegmentKey, SegmentKeyError};
pub use commitment::Commitment;
pub use entry::{ConfigurationDigest, ENTRY_BYTES_MAX, Entry, EntryError, EntryKind, GapCause, Loss};
pub use secret::{ItemToken, LedgerSecret, SecretError};
pub use tree::{Frontier, FrontierError, Hash, leaf_hash, node_hash};
pub use verify::{Finding, Verifier};

/// Writes a change as its entry and sealed body: everything that the append stores of it.
///
/// # Errors
///
/// The entry would be over [`ENTRY_BYTES_MAX`]: an outlandishly long table or shard name.
pub fn record(
    body: &Body,
    key: &BodyKey,
    entry: impl FnOnce(Commitment) -> Entry,
) -> Result<(Vec<u8>, Hash, SealedBody), EntryError> {
    let entry = entry(Commitment::of(body, key)).encode()?;
    let leaf = leaf_hash(&entry);
    let sealed = body.seal(key, &leaf);
    Ok((entry, leaf, sealed))
}
