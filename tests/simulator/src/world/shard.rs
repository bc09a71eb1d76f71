//! A shard: a part of the items for a part of the time, and the records of what changed in it.
//!
//! ```text
//! records   0 1 2 3 4 5 6 7            places never change
//!           └─┬─┘ └───┬───┘
//!          trimmed   readable         an iterator is a place
//! ```

use jiff::Timestamp;
use serde_json::Value;
use serde_json::value::{RawValue, to_raw_value};

use crate::world::sequence::{SequenceCounter, SequenceNumber};

/// The items that a shard holds: those whose hash lies in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct HashRange {
    pub(crate) first: u64,
    pub(crate) last: u64,
}

impl HashRange {
    pub(crate) fn contains(self, hash: u64) -> bool {
        (self.first..=self.last).contains(&hash)
    }

    /// Two halves.
    pub(crate) fn split(self) -> [Self; 2] {
        let middle = self.first + (self.last - self.first) / 2;
        [
            Self {
                first: self.first,
                last: middle,
            },
            Self {
                first: middle + 1,
                last: self.last,
            },
        ]
    }

    /// As many parts of one size as asked for.
    pub(crate) fn parts(count: usize) -> Vec<Self> {
        let count = u64::try_from(count.max(1)).unwrap_or(1);
        let width = u64::MAX / count;
        (0..count)
            .map(|part| Self {
                first: part * width,
                last: if part + 1 == count {
                    u64::MAX
                } else {
                    (part + 1) * width - 1
                },
            })
            .collect()
    }
}

/// A record in a shard.
#[derive(Clone, Debug)]
pub(crate) struct ShardRecord {
    /// The change that it tells of.
    pub(crate) change: usize,
    /// The item that was changed.
    pub(crate) item: String,
    pub(crate) event_id: String,
    pub(crate) sequence: SequenceNumber,
    pub(crate) at: Timestamp,
    /// As a page carries it: text, for it is read more often than made.
    pub(crate) wire: Box<RawValue>,
}

/// A record as a page carries it.
pub(crate) fn as_text(record: &Value) -> Box<RawValue> {
    to_raw_value(record).expect("a value is JSON")
}

/// A shard of a stream.
#[derive(Clone, Debug)]
pub(crate) struct Shard {
    pub(crate) id: String,
    pub(crate) parent: Option<String>,
    pub(crate) range: HashRange,
    pub(crate) counter: SequenceCounter,
    pub(crate) starting: SequenceNumber,
    pub(crate) ending: Option<SequenceNumber>,
    pub(crate) opened_at: Timestamp,
    pub(crate) closed_at: Option<Timestamp>,
    pub(crate) records: Vec<ShardRecord>,
    /// How many records from the beginning were trimmed.
    pub(crate) trimmed: usize,
    pub(crate) gone: bool,
    /// `DescribeStream` does not list it before.
    pub(crate) listed_from: Timestamp,
    /// `DescribeStream` shows it without an end until then.
    pub(crate) looks_open_until: Option<Timestamp>,
    /// Pages without records that readers get next.
    pub(crate) empty_pages: u32,
}

impl Shard {
    pub(crate) fn is_open(&self) -> bool {
        self.closed_at.is_none() && !self.gone
    }

    /// The number that `DescribeStream` would say it ends with now.
    pub(crate) fn last_sequence(&self) -> &SequenceNumber {
        self.records.last().map_or(&self.starting, |record| &record.sequence)
    }

    /// The place of the first record that is not below `sequence`.
    pub(crate) fn place_at(&self, sequence: &SequenceNumber) -> usize {
        self.records.partition_point(|record| record.sequence < *sequence)
    }

    /// The place of the first record above `sequence`.
    pub(crate) fn place_after(&self, sequence: &SequenceNumber) -> usize {
        self.records.partition_point(|record| record.sequence <= *sequence)
    }

    /// Whether a record of this number was trimmed.
    pub(crate) fn is_trimmed(&self, sequence: &SequenceNumber) -> bool {
        self.records[..self.trimmed]
            .last()
            .is_some_and(|last| sequence <= &last.sequence)
    }

    pub(crate) fn close(&mut self, now: Timestamp) {
        self.closed_at = Some(now);
        self.ending = Some(self.last_sequence().clone());
    }
}
