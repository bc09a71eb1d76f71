//! One stream record: a change that we understood, or one that we did not.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::{EventId, Item, SequenceNumber, Who};

/// What a source hands over, in the order of its shard.
#[derive(Clone, Debug, PartialEq)]
pub enum Record {
    /// A change.
    Change(Change),
    /// Something else. It is recorded all the same: not a crash and not a hole.
    Unknown(UnknownRecord),
}

impl Record {
    /// Its place in the shard.
    #[must_use]
    pub fn sequence(&self) -> &SequenceNumber {
        match self {
            Self::Change(change) => &change.sequence,
            Self::Unknown(unknown) => &unknown.sequence,
        }
    }

    /// When it was made, at the source.
    #[must_use]
    pub fn created_at(&self) -> Timestamp {
        match self {
            Self::Change(change) => change.created_at,
            Self::Unknown(unknown) => unknown.created_at,
        }
    }
}

/// One change of one item, as the stream tells it.
#[derive(Clone, Debug, PartialEq)]
pub struct Change {
    /// Place in its shard.
    pub sequence: SequenceNumber,
    /// The source's own id of this change.
    pub event_id: EventId,
    /// Table that the item is in.
    pub table: String,
    /// What happened to the item.
    pub operation: Operation,
    /// Source time, in whole seconds for DynamoDB Streams. Useless for order.
    pub created_at: Timestamp,
    /// Primary key of the item.
    pub keys: Item,
    /// The item before, where the view type carries it and there was one.
    pub old: Option<Item>,
    /// The item after, where the view type carries it and there is one.
    pub new: Option<Item>,
    /// Set when a service made the change, not a caller of the database.
    pub service: Option<ServiceIdentity>,
}

/// A change and who made it.
#[derive(Clone, Debug, PartialEq)]
pub struct AttributedChange {
    /// The change.
    pub change: Change,
    /// Who made it.
    pub who: Who,
}

/// What happened to an item.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Operation {
    /// There was none with this key before.
    Insert,
    /// It was replaced or updated.
    Modify,
    /// It was deleted, by a caller or because its time to live ended.
    Remove,
}

impl Operation {
    /// `insert`, `modify` or `remove`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Insert => "insert",
            Self::Modify => "modify",
            Self::Remove => "remove",
        }
    }
}

/// The service behind a change: for a TTL delete `dynamodb.amazonaws.com` of type `Service`
/// (Developer Guide, "DynamoDB Streams and Time to Live").
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServiceIdentity {
    /// `Service`.
    pub kind: String,
    /// `dynamodb.amazonaws.com`.
    pub principal: String,
}

/// A record that we could not understand: a new event name, a missing part, a value of a new type.
#[derive(Clone, Debug, PartialEq)]
pub struct UnknownRecord {
    /// Place in its shard.
    pub sequence: SequenceNumber,
    /// Source time, or the epoch where even that is missing.
    pub created_at: Timestamp,
    /// What we did not understand.
    pub reason: String,
    /// The record as the source sent it.
    pub raw: String,
}
