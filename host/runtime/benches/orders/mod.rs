//! Records to measure with.

use serde_json::json;
use weir_model::{Assurance, AttributedChange, Change, EventId, Item, Operation, SequenceNumber, Who};

/// Orders as a shop makes them: of ten changes two are new orders, five move on, three only edit a note.
pub(crate) fn order_change(number: u64) -> AttributedChange {
    let image = |status: &str, note: &str| -> Item {
        let image = json!({
            "order_id": {"S": format!("order-{number:09}")},
            "customer": {"S": format!("customer-{:06}", number * 7919 % 1_000_000)},
            "status": {"S": status},
            "total": {"N": format!("{}.{:02}", number * 37 % 520, number % 100)},
            "items": {"N": (number % 9 + 1).to_string()},
            "note": {"S": note},
            "updated_by": {"S": "maria@example.com"},
            "updated_at": {"S": "2026-03-01T12:00:00.004Z"},
        });
        serde_json::from_value(image).expect("an item")
    };
    let (old, new) = match number % 10 {
        0 | 5 => (None, image("placed", "ring twice")),
        1 | 6 => (Some(image("placed", "ring twice")), image("paid", "ring twice")),
        2 | 7 => (Some(image("paid", "ring twice")), image("packed", "ring twice")),
        3 => (Some(image("packed", "ring twice")), image("shipped", "ring twice")),
        _ => (Some(image("paid", "ring twice")), image("paid", "ring once")),
    };
    let keys = new
        .iter()
        .filter(|(name, _)| *name == "order_id")
        .map(|(name, value)| (name.clone(), value.clone()))
        .collect();
    AttributedChange {
        change: Change {
            sequence: SequenceNumber::parse(format!("{:021}", number + 1)).expect("a sequence number"),
            event_id: EventId::parse(format!("event-{number}")).expect("an event id"),
            table: "shop-orders".to_owned(),
            operation: if old.is_some() {
                Operation::Modify
            } else {
                Operation::Insert
            },
            created_at: "2026-03-01T12:00:00Z".parse().expect("a time"),
            keys,
            old,
            new: Some(new),
            service: None,
        },
        who: Who {
            actor: Some("maria@example.com".to_owned()),
            assurance: Assurance::Claimed,
        },
    }
}

/// The record in the form that stream consumers are handed.
pub(crate) fn as_text(change: &AttributedChange) -> String {
    let change = &change.change;
    let record = json!({
        "eventID": change.event_id.as_str(),
        "eventName": change.operation.as_str().to_uppercase(),
        "eventSource": "aws:dynamodb",
        "dynamodb": {
            "ApproximateCreationDateTime": change.created_at.as_second(),
            "SequenceNumber": change.sequence.as_str(),
            "Keys": change.keys,
            "OldImage": change.old,
            "NewImage": change.new,
            "StreamViewType": "NEW_AND_OLD_IMAGES",
        },
    });
    record.to_string()
}
