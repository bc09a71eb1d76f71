//! The truth: all that ever happened, to hold what a consumer saw against.
//!
//! # Invariants
//!
//! - Every change of every table is here, once, in the order in which it was made, also while its stream was off.
//! - Nothing is taken out: trimming marks a change, and does not remove it.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::world::item::Item;
use crate::world::sequence::SequenceNumber;

/// All that ever happened.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Truth {
    /// Every change, oldest first.
    pub changes: Vec<TrueChange>,
    /// Every stream there ever was, oldest first.
    pub streams: Vec<TrueStream>,
    /// When tables had no stream.
    pub off: Vec<OffPeriod>,
}

/// A change of an item.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TrueChange {
    /// Its place among all changes, from 0.
    pub number: u64,
    /// The table.
    pub table: String,
    /// The key of the item.
    pub item: String,
    /// Its place among the changes of this item, from 0.
    pub item_order: u64,
    /// `INSERT`, `MODIFY`, `REMOVE`, or a name that no consumer knows.
    pub operation: String,
    /// When it was made.
    pub at: Timestamp,
    /// The item before.
    pub old: Option<Item>,
    /// The item after.
    pub new: Option<Item>,
    /// The database deleted it, for its time to live was over.
    pub by_ttl: bool,
    /// The transaction that it was part of. No record names it.
    pub transaction: Option<u64>,
    /// Its record, unless the stream was off.
    pub record: Option<TrueRecord>,
    /// The same record again at the beginning of a child.
    pub repeats: Vec<TrueRecord>,
    /// When any reader first got it in an answer that was sent whole.
    pub read_at: Option<Timestamp>,
    /// When its last record was trimmed.
    pub trimmed_at: Option<Timestamp>,
}

/// Where the record of a change stands.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TrueRecord {
    /// The ARN of the stream.
    pub stream: String,
    /// The shard.
    pub shard: String,
    /// Its place in the shard.
    pub sequence: SequenceNumber,
    /// The id of the event.
    pub event_id: String,
}

/// A stream, and how its shards descend from each other.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TrueStream {
    /// Its ARN.
    pub arn: String,
    /// Its table.
    pub table: String,
    /// When it was switched on.
    pub from: Timestamp,
    /// When it was switched off.
    pub until: Option<Timestamp>,
    /// Its shards, parents before children.
    pub shards: Vec<TrueShard>,
}

/// A shard.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TrueShard {
    /// Its id.
    pub shard: String,
    /// The shard it came from.
    pub parent: Option<String>,
    /// When it was opened.
    pub opened_at: Timestamp,
    /// When it was closed.
    pub closed_at: Option<Timestamp>,
    /// Records that it ever held, repeats of its parent's counted.
    pub records: u64,
    /// Records of these that were trimmed.
    pub trimmed: u64,
    /// It is not there any more.
    pub gone: bool,
}

/// A time in which a table had no stream: what was changed then is in no record.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OffPeriod {
    /// The table.
    pub table: String,
    /// When the stream was switched off.
    pub from: Timestamp,
    /// When a new one was switched on.
    pub until: Option<Timestamp>,
    /// Changes that were made meanwhile.
    pub changes: u64,
}

impl Truth {
    /// Changes that some record told of.
    pub fn recorded(&self) -> impl Iterator<Item = &TrueChange> {
        self.changes.iter().filter(|change| change.record.is_some())
    }

    /// Changes that no consumer can know of: made while the stream was off, or trimmed before anybody read them.
    pub fn lost(&self) -> impl Iterator<Item = &TrueChange> {
        self.changes.iter().filter(|change| change.is_lost())
    }

    /// Changes that were trimmed before anybody read them.
    pub fn trimmed_unread(&self) -> impl Iterator<Item = &TrueChange> {
        let trimmed = self.changes.iter().filter(|change| change.trimmed_at.is_some());
        trimmed.filter(|change| change.read_at.is_none())
    }

    /// The changes of one item, in order.
    pub fn of_item<'truth>(&'truth self, table: &str, item: &str) -> impl Iterator<Item = &'truth TrueChange> {
        let (table, item) = (table.to_owned(), item.to_owned());
        self.changes
            .iter()
            .filter(move |change| change.table == table && change.item == item)
    }
}

impl TrueChange {
    /// No consumer can know of it.
    #[must_use]
    pub fn is_lost(&self) -> bool {
        self.read_at.is_none() && (self.record.is_none() || self.trimmed_at.is_some())
    }
}
