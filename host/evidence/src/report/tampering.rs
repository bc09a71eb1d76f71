//! Findings: each names the position, the shard or the member of the bundle that it is about.

use crate::{CheckError, DisclosureError, EntryError, Unaccounted};

/// The members of a bundle, in their order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Member {
    /// What is in the bundle.
    Bundle,
    /// The signed head of the ledger.
    Checkpoint,
    /// The entries.
    Entries,
    /// What is shown of their bodies.
    Disclosures,
    /// Why these entries are in that ledger.
    Proof,
    /// The same for programs.
    RowsJson,
    /// The same as a table.
    RowsCsv,
}

/// Something that is not as it was recorded.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Tampering {
    /// The file is not an archive of exactly the form that a bundle has.
    #[error("the file is not a bundle: {what} is not as it has to be")]
    Form {
        /// Which part of it.
        what: String,
    },
    /// `bundle.json` is not what it has to be.
    #[error("bundle.json cannot be read")]
    Manifest,
    /// A member has another size.
    #[error("{member} has {actual} bytes, bundle.json says {expected}")]
    MemberSize {
        /// Which.
        member: Member,
        /// Its size in bytes.
        actual: u64,
        /// As `bundle.json` has it.
        expected: u64,
    },
    /// A member has another hash.
    #[error("{member} has another SHA-256 than bundle.json says: it was changed")]
    MemberHash {
        /// Which.
        member: Member,
    },
    /// The checkpoint, or a signature on it.
    #[error("checkpoint: {0}")]
    Checkpoint(#[source] CheckError),
    /// The checkpoint that the auditor held before, or a signature on it.
    #[error("earlier checkpoint: {0}")]
    Since(#[source] CheckError),
    /// The ledger is smaller than the range.
    #[error("the checkpoint has {size} entries, the bundle has entries up to {to}")]
    Beyond {
        /// Size of the checkpoint.
        size: u64,
        /// Where the range ends.
        to: u64,
    },
    /// A member has another number of lines than the range has positions.
    #[error("{member} has {actual} complete lines, bundle.json says {expected}")]
    Lines {
        /// Which.
        member: Member,
        /// Lines that are there.
        actual: u64,
        /// Positions of the range.
        expected: u64,
    },
    /// An entry cannot be read.
    #[error("position {position}: {error}")]
    Entry {
        /// Where.
        position: u64,
        /// Why.
        #[source]
        error: EntryError,
    },
    /// An entry is of another ledger.
    #[error("position {position}: the entry is of ledger {ledger:?}")]
    Ledger {
        /// Where.
        position: u64,
        /// Ledger of the entry.
        ledger: String,
    },
    /// `proof.json` is not what it has to be.
    #[error("proof.json cannot be read")]
    Proof,
    /// The entries are not in the ledger that was signed.
    #[error("the entries and the proof do not make the root that was signed: entries were changed, exchanged or moved")]
    Root,
    /// What is shown of a body is not what was committed to.
    #[error("position {position}: {error}")]
    Disclosure {
        /// Where.
        position: u64,
        /// What is wrong.
        #[source]
        error: DisclosureError,
    },
    /// A row says something else than its entry and disclosure.
    #[error("{member} does not say what the entries say: first at position {position}")]
    Rows {
        /// Which.
        member: Member,
        /// Where it first differs.
        position: u64,
    },
    /// The rows are right, but something else stands with them.
    #[error("{member} says more than the entries say")]
    RowsBesides {
        /// Which.
        member: Member,
    },
    /// The records of a shard are not accounted for.
    #[error(transparent)]
    Unaccounted(#[from] Unaccounted),
    /// The ledger was larger before.
    #[error("the earlier checkpoint has {since} entries, this one {size}: entries at the end were taken away")]
    Shrunk {
        /// Size of the earlier checkpoint.
        since: u64,
        /// Size of this one.
        size: u64,
    },
    /// The ledger is not a continuation of what it was.
    #[error("the ledger does not begin with the {since} entries of the earlier checkpoint: it was written anew")]
    Rewritten {
        /// Size of the earlier checkpoint.
        since: u64,
    },
    /// A `.tlog-proof` has not the form that C2SP says.
    #[error("the file is not a proof of an entry: {what} is not as it has to be")]
    TlogProof {
        /// Which part of it.
        what: &'static str,
    },
}

impl Member {
    /// All of them, in their order.
    pub const ALL: [Self; 7] = [
        Self::Bundle,
        Self::Checkpoint,
        Self::Entries,
        Self::Disclosures,
        Self::Proof,
        Self::RowsJson,
        Self::RowsCsv,
    ];

    /// The last part of its name in the archive.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Bundle => "bundle.json",
            Self::Checkpoint => "checkpoint",
            Self::Entries => "entries.jsonl",
            Self::Disclosures => "disclosures.jsonl",
            Self::Proof => "proof.json",
            Self::RowsJson => "rows.jsonl",
            Self::RowsCsv => "rows.csv",
        }
    }
}

impl std::fmt::Display for Member {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str(self.name())
    }
}
