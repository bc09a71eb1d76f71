//! The entry: the permanent, hashed record of one thing that happened. Canonical JSON of at most 32 KiB.
//!
//! ```json
//! {"assurance":"claimed","commitment":"9f..","config":"51..","event":"..","item":"a1b2c3d4:77..","kind":"change",
//!  "ledger":"main","operation":"modify","sequence":"..","shard":"..","stream":"arn:..","table":"orders",
//!  "time":1772366400000,"v":1}
//! ```
//!
//! `formats/entry.md` has the members of every kind.
//!
//! # Invariants
//!
//! - No key of an item, no image, no actor: those are in the sealed body, which `commitment` fixes.
//! - No position and no time of recording: the same record gives the same entry, wherever it lands.
//! - Every entry has one encoding. Bytes that are another encoding of it are no entry.

mod encode;
mod read;

use jiff::Timestamp;
use weir_model::{Assurance, EventId, IdError, LedgerName, Operation, SequenceNumber, ShardId, StreamArn};

use crate::{Commitment, ItemToken};

/// Largest entry in bytes (design, "Entry and body"): what a verifier has to be able to hold.
pub const ENTRY_BYTES_MAX: usize = 32 << 10;

/// Version of the encoding, member `v`.
const VERSION: u64 = 1;

/// Almost the end of the year 9999, and the last time that `jiff` has: times are from 1970 up to here, so that they are
/// written the same everywhere.
const TIME_MS_MAX: u64 = 253_402_207_200_000;

/// The first 16 bytes of the SHA-256 of the configuration that touched an entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ConfigurationDigest(pub [u8; 16]);

/// One entry of a ledger.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Ledger that it was written for.
    pub ledger: LedgerName,
    /// What happened.
    pub kind: EntryKind,
}

/// The shard that an entry speaks of.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Origin {
    /// Stream.
    pub stream: StreamArn,
    /// Shard of that stream.
    pub shard: ShardId,
}

/// What an entry records.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum EntryKind {
    /// A change of an item.
    Change {
        /// It was withheld when it was recorded, and is told now: an `amendment`.
        is_amendment: bool,
        /// Where it came from.
        origin: Origin,
        /// Fixes the body.
        commitment: Commitment,
        /// Place in the shard.
        sequence: SequenceNumber,
        /// The source's id of the change.
        event: EventId,
        /// What happened to the item.
        operation: Operation,
        /// Table of the item.
        table: String,
        /// Stands for the item.
        item: ItemToken,
        /// Source time.
        time: Timestamp,
        /// What the actor in the body is worth.
        assurance: Assurance,
        /// The source's configuration when it was recorded.
        config: ConfigurationDigest,
    },
    /// A change that was recorded for nobody to see, until it is told as an amendment: it could not be annotated, or stands
    /// behind one of its item that could not.
    Withheld {
        /// Where it came from.
        origin: Origin,
        /// Fixes the body, which holds the change sealed to the key of those who may see it.
        commitment: Commitment,
        /// Place in the shard.
        sequence: SequenceNumber,
        /// The source's id of the change.
        event: EventId,
        /// What happened to the item.
        operation: Operation,
        /// Table of the item.
        table: String,
        /// Stands for the item.
        item: ItemToken,
        /// Source time.
        time: Timestamp,
        /// The source's configuration when it was recorded.
        config: ConfigurationDigest,
    },
    /// A record that could not be understood or stored. The body has it as it came, or its digest.
    Unknown {
        /// Where it came from.
        origin: Origin,
        /// Fixes the body.
        commitment: Commitment,
        /// Place in the shard.
        sequence: SequenceNumber,
        /// Source time.
        time: Timestamp,
    },
    /// Records that were never seen. The position moved across them in the transaction that wrote this.
    Gap(Gap),
    /// Accounts for a run of records of one shard: how many came, how many were recorded.
    Batch(Batch),
    /// Something about the ledger itself.
    Lifecycle {
        /// When.
        time: Timestamp,
        /// What: `continued`, ...
        what: String,
        /// More about it. No personal data.
        detail: String,
    },
    /// Bodies, or parts of them, are going to be erased, or were.
    Erasure(Order<ErasureScope, ErasureStage>),
    /// Bodies must not be erased, or may again.
    Hold(Order<HoldScope, HoldStage>),
}

/// Records that were never seen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Gap {
    /// Where they would have come from.
    pub origin: Origin,
    /// In entries of before there were tiles: fixes an empty body.
    pub commitment: Option<Commitment>,
    /// Last record before the gap; `None` if the gap begins the shard.
    pub after: Option<SequenceNumber>,
    /// First record behind the gap, if that is known.
    pub next: Option<SequenceNumber>,
    /// Source time of the last record before it, if that is known.
    pub since: Option<Timestamp>,
    /// Source time of the first record behind it, if that is known.
    pub until: Option<Timestamp>,
    /// Why.
    pub cause: GapCause,
    /// Whether something was lost.
    pub loss: Loss,
}

/// Accounts for a run of records of one shard. Its entries stand before it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Batch {
    /// Where they came from.
    pub origin: Origin,
    /// Where the run begins.
    pub after: BatchAfter,
    /// First and last record that came, if any did.
    pub range: Option<(SequenceNumber, SequenceNumber)>,
    /// Records that came.
    pub read: u64,
    /// Entries of kind `change` or `unknown` that were made of them.
    pub recorded: u64,
    /// How many of those were redacted before they were recorded.
    pub redacted: u64,
    /// The source's configuration.
    pub config: ConfigurationDigest,
    /// Why the batch was closed.
    pub closed: Closed,
}

/// Where a batch begins.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum BatchAfter {
    /// At the beginning of the shard.
    Start,
    /// Behind a gap.
    Gap,
    /// Behind the last record of the batch before it.
    Record(SequenceNumber),
}

/// An erasure or a hold. What exactly it is about, on what basis and by whom, is in the body.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Order<Scope, Stage> {
    /// Fixes the body.
    pub commitment: Commitment,
    /// The same in all entries about this order.
    pub id: String,
    /// What it is about.
    pub scope: Scope,
    /// How far it is.
    pub stage: Stage,
    /// Stands for the item, if it is about one.
    pub item: Option<ItemToken>,
    /// Bodies that were erased or changed, when it is done. A hold has none.
    pub bodies: Option<u64>,
    /// When.
    pub time: Timestamp,
}

/// An enumeration whose cases have names in the format.
macro_rules! named {
    ($(#[$doc:meta])* $name:ident { $($(#[$case_doc:meta])* $case:ident = $text:literal,)* }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum $name {
            $($(#[$case_doc])* $case,)*
        }

        impl $name {
            /// Its name in the format.
            #[must_use]
            pub fn as_str(self) -> &'static str {
                match self {
                    $(Self::$case => $text,)*
                }
            }

            /// The case of that name.
            #[must_use]
            pub fn from_name(name: &str) -> Option<Self> {
                match name {
                    $($text => Some(Self::$case),)*
                    _ => None,
                }
            }
        }
    };
}

named! {
    /// Why records were never seen.
    GapCause {
        /// The service had trimmed what stood after the position (24 hours after it was written).
        Trimmed = "trimmed",
        /// The shard left the stream before it was read to its end.
        ShardExpired = "shard-expired",
        /// The stream was switched off and on, or the table made anew.
        StreamReplaced = "stream-replaced",
    }
}

named! {
    /// Whether a gap lost something.
    Loss {
        /// Records are gone.
        Certain = "certain",
        /// Records may be gone; the service does not say.
        Possible = "possible",
    }
}

named! {
    /// Why a batch was closed.
    Closed {
        /// It had been open for a second.
        Interval = "interval",
        /// The configuration changed.
        Configuration = "configuration",
        /// Another worker took the shard, or this one gave it back.
        HandOver = "hand-over",
        /// The shard ended.
        End = "end",
    }
}

named! {
    /// What an erasure is about.
    ErasureScope {
        /// Attributes of an item.
        Attribute = "attribute",
        /// An item.
        Item = "item",
        /// Everything whose attribute has a value.
        Subject = "subject",
        /// Everything older than the configured age.
        Retention = "retention",
    }
}

named! {
    /// How far an erasure is.
    ErasureStage {
        /// It is going to happen.
        Intent = "intent",
        /// It has happened.
        Done = "done",
    }
}

named! {
    /// What a hold is about.
    HoldScope {
        /// An item.
        Item = "item",
        /// Everything whose attribute has a value.
        Subject = "subject",
    }
}

named! {
    /// Whether a hold holds.
    HoldStage {
        /// From here on.
        Placed = "placed",
        /// No longer.
        Released = "released",
    }
}

/// Why bytes are no entry, or an entry no bytes.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EntryError {
    /// Over [`ENTRY_BYTES_MAX`].
    #[error("entry is {size_bytes} bytes, limit is {ENTRY_BYTES_MAX}")]
    TooLarge {
        /// Its size.
        size_bytes: usize,
    },
    /// The body is larger than what is ever unpacked.
    #[error("body is {size_bytes} bytes, limit is 16 MiB")]
    BodyTooLarge {
        /// Its size as JSON.
        size_bytes: usize,
    },
    /// Not the one encoding of an entry.
    #[error("entry cannot be read: {0}")]
    Malformed(&'static str),
    /// Canonical, but of a kind or version that this Weir does not know.
    #[error("entry was written by a newer weir")]
    OtherVersion,
    /// A member is not what it should be.
    #[error("entry has a wrong {member}")]
    Member {
        /// Its name.
        member: &'static str,
    },
}

impl From<IdError> for EntryError {
    fn from(error: IdError) -> Self {
        Self::Member { member: error.kind }
    }
}

impl Entry {
    /// What fixes the body; `None` for an entry that has none.
    #[must_use]
    pub fn commitment(&self) -> Option<&Commitment> {
        match &self.kind {
            EntryKind::Change { commitment, .. }
            | EntryKind::Withheld { commitment, .. }
            | EntryKind::Unknown { commitment, .. } => Some(commitment),
            EntryKind::Gap(gap) => gap.commitment.as_ref(),
            EntryKind::Erasure(order) => Some(&order.commitment),
            EntryKind::Hold(order) => Some(&order.commitment),
            EntryKind::Batch(_) | EntryKind::Lifecycle { .. } => None,
        }
    }

    /// The shard that it speaks of, if it speaks of one.
    #[must_use]
    pub fn origin(&self) -> Option<&Origin> {
        match &self.kind {
            EntryKind::Change { origin, .. }
            | EntryKind::Withheld { origin, .. }
            | EntryKind::Unknown { origin, .. } => Some(origin),
            EntryKind::Gap(gap) => Some(&gap.origin),
            EntryKind::Batch(batch) => Some(&batch.origin),
            EntryKind::Lifecycle { .. } | EntryKind::Erasure(_) | EntryKind::Hold(_) => None,
        }
    }

    /// Its kind, as the format names it.
    #[must_use]
    pub fn kind_name(&self) -> &'static str {
        match &self.kind {
            EntryKind::Change { is_amendment: true, .. } => "amendment",
            EntryKind::Change { .. } => "change",
            EntryKind::Withheld { .. } => "withheld",
            EntryKind::Unknown { .. } => "unknown",
            EntryKind::Gap(_) => "gap",
            EntryKind::Batch(_) => "batch",
            EntryKind::Lifecycle { .. } => "lifecycle",
            EntryKind::Erasure(_) => "erasure",
            EntryKind::Hold(_) => "hold",
        }
    }

    /// Its time, for a kind that has one.
    #[must_use]
    pub fn time(&self) -> Option<Timestamp> {
        match &self.kind {
            EntryKind::Change { time, .. }
            | EntryKind::Withheld { time, .. }
            | EntryKind::Unknown { time, .. }
            | EntryKind::Lifecycle { time, .. } => Some(*time),
            EntryKind::Erasure(order) => Some(order.time),
            EntryKind::Hold(order) => Some(order.time),
            EntryKind::Gap(_) | EntryKind::Batch(_) => None,
        }
    }

    /// The item that it tells of, if it was made of a change: a `change`, an `amendment` or a `withheld`.
    #[must_use]
    pub fn changed_item(&self) -> Option<&ItemToken> {
        match &self.kind {
            EntryKind::Change { item, .. } | EntryKind::Withheld { item, .. } => Some(item),
            _ => None,
        }
    }

    /// The sequence number of the record that it was made of.
    #[must_use]
    pub fn sequence(&self) -> Option<&SequenceNumber> {
        match &self.kind {
            EntryKind::Change { sequence, .. }
            | EntryKind::Withheld { sequence, .. }
            | EntryKind::Unknown { sequence, .. } => Some(sequence),
            _ => None,
        }
    }
}

#[cfg(test)]
pub(crate) mod tests;
