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
//! - Without the feature `seal`, which is on by default, what is left verifies what an auditor was handed, and builds for
//!   `wasm32-unknown-unknown` (`build-wasm`).

mod accounts;
mod body;
mod body_key;
mod bundle;
mod canonical;
mod checkpoint;
mod commitment;
mod cursor;
mod disclosure;
mod entry;
mod erasure;
mod item_token;
mod note;
mod policy;
mod report;
#[cfg(feature = "seal")]
mod secret;
mod tlog_proof;
mod tree;
#[cfg(test)]
mod vectors;
#[cfg(feature = "seal")]
mod verify;
#[cfg(feature = "seal")]
mod withheld;

pub use accounts::{Accounts, ShardAccount, Unaccounted, UnaccountedWhy};
pub use body::{Body, Remains};
#[cfg(feature = "seal")]
pub use body::{OpenError, OpenedBody, PlainBody, SealedBody};
pub use body_key::{BODY_KEYS_PER_SEGMENT, BodyKey, SegmentKey, SegmentKeyError};
pub use bundle::{BundleError, BundleWriter, verify_bundle, verify_bundle_with_progress};
pub use checkpoint::{Checkpoint, CheckpointError, SignedCheckpoint};
pub use commitment::Commitment;
pub use disclosure::{DisclosedAttribute, Disclosure, DisclosureError};
pub use entry::{
    Batch, BatchAfter, Closed, ConfigurationDigest, ENTRY_BYTES_MAX, Entry, EntryError, EntryKind, ErasureScope,
    ErasureStage, Gap, GapCause, HoldScope, HoldStage, Loss, Order, Origin,
};
pub use erasure::{ErasurePlan, PLAN_RANGES_MAX, Positions};
pub use item_token::ItemToken;
pub use note::{
    Cosigner, KeyError, Note, NoteError, SignatureCheck, SignatureLine, SignatureType, SigningKey, VerifierKey,
};
pub use policy::{CheckError, Policy, PolicyError, Untrusted};
pub use report::{Doubt, FINDINGS_MAX, Member, Remark, Report, Tampering, Verdict};
#[cfg(feature = "seal")]
pub use secret::{LedgerSecret, SecretError, is_hash};
pub use tlog_proof::{TlogProof, TlogProofError, verify_tlog_proof};
pub use tree::{
    EMPTY_ROOT, Frontier, FrontierError, Hash, Subtree, TILE_HEIGHT, TILE_WIDTH, Tile, TileEdge, TileId,
    consistency_ranges, inclusion_ranges, is_consistent, leaf_hash, node_hash, outside_ranges, root_of_inclusion,
    root_of_range, root_of_subtrees, subtrees,
};
#[cfg(feature = "seal")]
pub use verify::{Checked, Finding, StoredBody, Verifier};
#[cfg(feature = "seal")]
pub use withheld::{Withheld, WithheldError, WithheldSecret, WithholdKey, WithholdKeyError};

/// Writes a change as its entry and sealed body: everything that the append stores of it.
///
/// # Errors
///
/// The entry would be over [`ENTRY_BYTES_MAX`]: an outlandishly long table or shard name. It is given back.
#[cfg(feature = "seal")]
pub fn record(
    body: &Body,
    key: &BodyKey,
    entry: impl FnOnce(Commitment) -> Entry,
) -> Result<Recorded, (EntryError, Box<Entry>)> {
    let entry = entry(Commitment::of(body, key));
    let stored = entry.encode().and_then(|bytes| {
        let leaf = leaf_hash(&bytes);
        let (sealed, plain) = body.seal_plain(key, &leaf)?;
        Ok(Recorded {
            entry: bytes,
            leaf,
            sealed,
            plain,
        })
    });
    stored.map_err(|error| (error, Box::new(entry)))
}

/// A change as it is stored.
#[derive(Debug)]
#[cfg(feature = "seal")]
pub struct Recorded {
    /// Canonical bytes of the entry.
    pub entry: Vec<u8>,
    /// Their leaf hash.
    pub leaf: Hash,
    /// The body beside it.
    pub sealed: SealedBody,
    /// The body as it opens.
    pub plain: PlainBody,
}
