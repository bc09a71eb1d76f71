//! What a verification of the database can find.

use weir_evidence::{Finding, Unaccounted};

/// What is wrong, and where.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum VerificationFinding {
    /// An entry, its body, or the tree over all of them.
    #[error(transparent)]
    Entry(Finding),
    /// Records are missing, or were recorded twice.
    #[error(transparent)]
    Account(Box<Unaccounted>),
    /// An item would be routed by another worker than it was.
    #[error("position {position}: the lane was changed")]
    Lane {
        /// Where.
        position: u64,
    },
    /// A stored tile is not what the entries make, or is not there.
    #[error("tile {level}/{index} is {what}")]
    Tile {
        /// Level of the tile.
        level: u8,
        /// Which one of that level.
        index: u64,
        /// What is wrong with it.
        what: &'static str,
    },
    /// There are tiles that the tree does not have.
    #[error("{stored} tiles are stored, but the tree has {expected}")]
    TileCount {
        /// As many as there are.
        stored: u64,
        /// As many as there should be.
        expected: u64,
    },
    /// A signed head is not one of this tree.
    #[error("the checkpoint over {size} entries {what}")]
    Checkpoint {
        /// Its size.
        size: u64,
        /// What is wrong with it.
        what: String,
    },
    /// A public key was changed.
    #[error("a stored public key was changed: {vkey}")]
    VerifierKey {
        /// As it stands.
        vkey: String,
    },
    /// The stored edge of the tree is not what the entries make.
    #[error("the head's frontier was changed")]
    Frontier,
    /// Entries stand behind the head.
    #[error("position {position}: an entry stands behind the head")]
    BehindHead {
        /// The lowest.
        position: u64,
    },
    /// A shard stands elsewhere than its entries say.
    #[error("shard {shard}: {what}")]
    Shard {
        /// The shard.
        shard: String,
        /// What is wrong.
        what: String,
    },
    /// What keeps entries append-only is not in place.
    #[error("{0}")]
    Unguarded(String),
}
