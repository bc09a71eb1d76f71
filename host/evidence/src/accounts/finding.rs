//! What can be wrong with the accounts of a shard.

use std::fmt;

use weir_model::SequenceNumber;

use crate::{BatchAfter, Origin};

/// An entry that does not fit the accounts of its shard.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("position {position}, shard {} of stream {}: {why}", origin.shard, origin.stream)]
pub struct Unaccounted {
    /// Where.
    pub position: u64,
    /// Of which shard.
    pub origin: Origin,
    /// What does not fit.
    pub why: UnaccountedWhy,
}

/// What does not fit.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum UnaccountedWhy {
    /// A record comes again, or too late.
    #[error("sequence {sequence} is not above {before}, which was recorded before it")]
    SequenceOrder {
        /// Of this entry.
        sequence: SequenceNumber,
        /// Of the one before it.
        before: SequenceNumber,
    },
    /// A gap begins elsewhere than where the records end.
    #[error("the gap begins behind {after}, but the shard was recorded up to {last}")]
    GapAfter {
        /// Where the gap says to begin.
        after: SequenceNumber,
        /// The last that was recorded or read.
        last: SequenceNumber,
    },
    /// A batch does not continue the one before it. What lies between is missing.
    #[error(
        "the batch begins {}, but the shard goes on {}{}: what lies between is missing",
        Place(after),
        Place(expected),
        Before(batch_before)
    )]
    Chain {
        /// Where the batch says to begin.
        after: BatchAfter,
        /// Where it has to.
        expected: BatchAfter,
        /// Position of the batch before it.
        batch_before: Option<u64>,
    },
    /// The batch counts other entries than there are.
    #[error("the batch says that {recorded} records were recorded, but {entries} entries stand before it")]
    Recorded {
        /// What the batch says.
        recorded: u64,
        /// Entries since the batch before it.
        entries: u64,
    },
    /// The counts contradict each other.
    #[error("the batch says that of {read} records {recorded} were recorded and {redacted} of those redacted")]
    Counts {
        /// Records that came.
        read: u64,
        /// Entries made of them.
        recorded: u64,
        /// Redacted ones among those.
        redacted: u64,
    },
    /// Records came, and the batch does not say which.
    #[error("the batch says that {read} records came, but not from where to where")]
    NoRange {
        /// Records that came.
        read: u64,
    },
    /// The range of a batch ends before it begins.
    #[error("the batch goes from {first} to {last}")]
    RangeReversed {
        /// Where it begins.
        first: SequenceNumber,
        /// Where it ends.
        last: SequenceNumber,
    },
    /// The range of a batch begins before what it continues ends.
    #[error("the batch begins behind {after} and with {first}")]
    RangeBeforeAfter {
        /// Where the batch before it ended.
        after: SequenceNumber,
        /// Where it begins.
        first: SequenceNumber,
    },
    /// The batch accounts for an entry that lies outside its range.
    #[error(
        "the batch goes from {first} to {last}, but the entries before it, from position {entry} on, from {lowest} to {highest}"
    )]
    OutsideRange {
        /// Position of the entry with the lowest sequence number.
        entry: u64,
        /// That number.
        lowest: SequenceNumber,
        /// Number of the last entry.
        highest: SequenceNumber,
        /// Where the batch begins.
        first: SequenceNumber,
        /// Where it ends.
        last: SequenceNumber,
    },
    /// An amendment tells of a change that was not withheld, or was told before.
    #[error("the amendment is of {sequence}, which was not withheld, or was told before")]
    Amendment {
        /// Of this entry.
        sequence: SequenceNumber,
    },
    /// Something stands behind the end of the shard.
    #[error("the shard had ended before")]
    BehindEnd,
}

struct Place<'a>(&'a BatchAfter);

impl fmt::Display for Place<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            BatchAfter::Start => formatter.write_str("at the shard's start"),
            BatchAfter::Gap => formatter.write_str("behind a gap"),
            BatchAfter::Record(sequence) => write!(formatter, "behind {sequence}"),
        }
    }
}

struct Before<'a>(&'a Option<u64>);

impl fmt::Display for Before<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Some(position) => write!(formatter, " (batch at position {position})"),
            None => Ok(()),
        }
    }
}
