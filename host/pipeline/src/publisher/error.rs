//! Why nothing is signed, and who can do something about it.

use weir_ledger::{BodyKeyError, ErasureError, TreeError};

use super::GuardError;

/// Why nothing was signed.
#[derive(Debug, thiserror::Error)]
pub enum PublishError {
    /// There is no guard, but the ledger is not empty.
    #[error(
        "the guard {place} is missing although the ledger has {size} entries. Put it back; or, if you know that this \
         database is the newest, run `weir ledger adopt`"
    )]
    NoGuard {
        /// Where it should be.
        place: String,
        /// Entries that are there.
        size: u64,
    },
    /// There is a guard, so there is nothing to adopt.
    #[error("the guard is there: there is nothing to adopt")]
    NothingToAdopt,
    /// The tree agrees with the guard, so there is nothing to continue.
    #[error("the ledger agrees with its guard: it goes on as it is")]
    NothingToContinue,
    /// The tree is not one that the signed one grew into.
    #[error(
        "a tree of {signed} entries was signed, and what the database has now ({size} entries) did not grow out of it: it \
         was restored from a back-up, cut off or rewritten. Nothing is signed. Put the newest database back; or, if what is \
         missing is lost for good, run `weir ledger continue --reason ...`"
    )]
    NotGrown {
        /// Entries of the signed tree.
        signed: u64,
        /// Entries that are there.
        size: u64,
    },
    /// The guard is about another ledger.
    #[error("the guard is about {guarded}, but this ledger signs as {origin}: it is the guard of another ledger")]
    OtherGuard {
        /// Its origin.
        guarded: String,
        /// Ours.
        origin: String,
    },
    /// A witness has seen another tree.
    #[error("the witness {witness} holds another tree under this origin: {reason}")]
    Disputed {
        /// Its name.
        witness: String,
        /// What it said.
        reason: String,
    },
    /// The guard cannot be read or moved.
    #[error("the guard cannot be read or moved")]
    Guard(#[from] GuardError),
    /// Keys or notes are not what they should be.
    #[error("the checkpoint cannot be signed: {0}")]
    Signing(String),
    /// The stored tree cannot be read.
    #[error("the stored tree cannot be read")]
    Tree(#[from] TreeError),
    /// Keys that were destroyed cannot be kept from use.
    #[error("the keys of bodies cannot be read")]
    BodyKey(#[from] BodyKeyError),
    /// What was erased before the database was restored cannot be erased again.
    #[error("what was erased before the database was restored cannot be erased again")]
    Erasure(#[from] ErasureError),
    /// Postgres failed.
    #[error("could not read or store checkpoints")]
    Database(#[from] weir_ledger::DatabaseError),
    /// Another process publishes this ledger.
    #[error("another weir signs this ledger: ask that one, or stop it first")]
    Elsewhere,
    /// The publisher is gone.
    #[error("the publisher stopped")]
    Stopped,
}

impl PublishError {
    /// Whether somebody has to decide something, as opposed to waiting.
    pub(super) fn needs_decision(&self) -> bool {
        match self {
            Self::NoGuard { .. } | Self::NotGrown { .. } | Self::OtherGuard { .. } | Self::Disputed { .. } => true,
            Self::NothingToAdopt
            | Self::NothingToContinue
            | Self::Guard(_)
            | Self::Signing(_)
            | Self::Tree(_)
            | Self::BodyKey(_)
            | Self::Erasure(_)
            | Self::Database(_)
            | Self::Elsewhere
            | Self::Stopped => false,
        }
    }
}
