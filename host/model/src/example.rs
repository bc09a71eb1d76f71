//! One change that the tests of this crate speak of.

use crate::{
    Assurance, AttributedChange, Change, EventContext, EventId, Item, LedgerName, Operation, Position, SequenceNumber,
    ShardId, Who,
};

pub(crate) fn item(text: &str) -> Item {
    serde_json::from_str(text).unwrap()
}

pub(crate) fn order_change() -> Change {
    Change {
        sequence: SequenceNumber::parse("100").unwrap(),
        event_id: EventId::parse("e1").unwrap(),
        table: "orders".to_owned(),
        operation: Operation::Modify,
        created_at: "2026-03-01T12:00:00Z".parse().unwrap(),
        keys: item(r#"{"id":{"S":"o1"}}"#),
        old: Some(item(r#"{"id":{"S":"o1"},"gone":{"N":"1"},"n":{"N":"1"}}"#)),
        new: Some(item(r#"{"id":{"S":"o1"},"n":{"N":"2"},"tags":{"SS":["b","a"]}}"#)),
        service: None,
    }
}

pub(crate) fn attributed(change: Change) -> AttributedChange {
    let who = Who {
        actor: Some("maria".to_owned()),
        assurance: Assurance::Claimed,
    };
    AttributedChange { change, who }
}

pub(crate) fn ledger() -> LedgerName {
    LedgerName::parse("main").unwrap()
}

pub(crate) fn shard() -> ShardId {
    ShardId::parse("shardId-1").unwrap()
}

pub(crate) fn context<'a>(ledger: &'a LedgerName, shard: &'a ShardId) -> EventContext<'a> {
    EventContext {
        source: "shop",
        ledger,
        position: Position(41),
        shard,
    }
}
