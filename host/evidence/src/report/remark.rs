//! What keeps a report from a proof, and what it says besides.

use crate::Untrusted;

/// Something that could not be checked.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Doubt {
    /// The file is empty.
    #[error("the file is empty")]
    Empty,
    /// The file is an archive, but not of this version, or not a bundle.
    #[error("the file begins with {name:?}: it is a bundle of another version, or something else")]
    OtherArchive {
        /// Name of its first member.
        name: String,
    },
    /// The file is not a proof that this Weir knows.
    #[error("the file does not begin as a proof of an entry does")]
    OtherFile,
    /// The range is empty.
    #[error("there are no entries to check")]
    NothingToCheck,
    /// The policy does not vouch for the checkpoint.
    #[error("{0}")]
    Untrusted(#[source] Untrusted),
    /// An entry was written by a newer Weir.
    #[error("position {position}: the entry is of a version or kind that this weir does not know")]
    OtherVersion {
        /// Where the first such entry is.
        position: u64,
        /// How many there are.
        entries: u64,
    },
    /// The policy does not vouch for the checkpoint that the auditor held before.
    #[error("earlier checkpoint: {0}")]
    SinceUntrusted(#[source] Untrusted),
    /// That checkpoint is of another ledger.
    #[error("the earlier checkpoint is of {since:?}, this one of {origin:?}")]
    SinceOrigin {
        /// Its origin.
        since: String,
        /// Origin of this one.
        origin: String,
    },
    /// The bundle was not made for an auditor who holds that checkpoint.
    #[error("the bundle has no proof from the {since} entries of the earlier checkpoint to this one")]
    SinceProofMissing {
        /// Size of the earlier checkpoint.
        since: u64,
    },
}

/// Something that an auditor should know.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Remark {
    /// Entries at the end wait for their batch.
    #[error("{entries} entries at the end are not accounted for by a batch yet")]
    Waiting {
        /// How many.
        entries: u64,
    },
    /// The ledger itself says that records were never seen.
    #[error("{gaps} gaps are recorded, {certain} of them with certain loss: the first at position {position}")]
    Gaps {
        /// How many.
        gaps: u64,
        /// How many of them say that records are gone.
        certain: u64,
        /// Where the first one is.
        position: u64,
    },
    /// Nothing was shown, so nothing was compared.
    #[error("the bundle shows nothing of any body")]
    NothingShown,
}
