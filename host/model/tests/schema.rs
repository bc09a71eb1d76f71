//! Every event that leaves is as its JSON Schema says, and what is not is refused by it.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::sync::Arc;

use boon::{Compiler, SchemaIndex, Schemas};
use proptest::collection::btree_map;
use proptest::prelude::*;
use serde_json::{Value, json};
use weir_model::{
    Assurance, AttributedChange, Change, DeliveryId, Event, EventContext, EventId, Item, LedgerName, Operation,
    Position, SequenceNumber, ShardId, StreamArn, Who,
};

/// The schema, compiled.
struct Schema {
    schemas: Schemas,
    index: SchemaIndex,
}

impl Schema {
    fn new() -> Self {
        let document: Value = serde_json::from_str(Event::SCHEMA).unwrap();
        let id = document["$id"].as_str().unwrap().to_owned();
        let (mut schemas, mut compiler) = (Schemas::new(), Compiler::new());
        compiler.enable_format_assertions();
        compiler.add_resource(&id, document).unwrap();
        let index = compiler.compile(&id, &mut schemas).unwrap();
        Self { schemas, index }
    }

    fn finding(&self, event: &Value) -> Option<String> {
        let validated = self.schemas.validate(event, self.index);
        validated.err().map(|error| error.to_string())
    }
}

fn item(text: &str) -> Item {
    serde_json::from_str(text).unwrap()
}

fn event(operation: Operation, old: Option<Item>, new: Option<Item>, actor: Option<&str>) -> Event {
    let change = Change {
        sequence: SequenceNumber::parse("4909400000000012345678901").unwrap(),
        event_id: EventId::parse("e1").unwrap(),
        table: "orders".to_owned(),
        operation,
        created_at: "2026-03-01T12:00:00Z".parse().unwrap(),
        keys: item(r#"{"id":{"S":"o1"}}"#),
        old,
        new,
        service: None,
    };
    let who = Who {
        actor: actor.map(str::to_owned),
        assurance: Assurance::LastWriter,
    };
    let (ledger, shard) = (LedgerName::parse("main").unwrap(), ShardId::parse("shardId-1").unwrap());
    let context = EventContext {
        source: "shop",
        ledger: &ledger,
        position: Position(41),
        shard: &shard,
    };
    let stream = StreamArn::parse("arn").unwrap();
    let delivery = DeliveryId::derive(&stream, &shard, &change.sequence, "route", 1, 0, "bus");
    Event::of_change(&Arc::new(AttributedChange { change, who }), context).delivered_as(&delivery)
}

fn correlated(mut event: Event) -> Event {
    event
        .detail
        .insert(weir_model::CORRELATION.to_owned(), json!("request-1"));
    event
}

/// One attribute of every type.
const ALL_TYPES: &str = r#"{"id":{"S":"o1"},"n":{"N":"12345678901234567890123456789012345678"},"m":{"N":"1.5"},
    "b":{"B":"AAEC"},"ss":{"SS":["b","a"]},"ns":{"NS":["2","1"]},"bs":{"BS":["AA=="]},
    "map":{"M":{"x":{"L":[{"NULL":true},{"BOOL":false}]}}}}"#;

#[test]
fn the_events_of_all_operations_and_types_are_as_the_schema_says() {
    let schema = Schema::new();
    let all = || Some(item(ALL_TYPES));
    for event in [
        event(Operation::Insert, None, all(), Some("maria")),
        event(Operation::Modify, all(), Some(item(r#"{"id":{"S":"o1"}}"#)), None),
        event(Operation::Remove, all(), None, None),
        event(Operation::Modify, None, None, None),
        event(Operation::Insert, None, all(), None).routed_by(&"ab".repeat(32)),
        correlated(event(Operation::Insert, None, all(), None)),
        event(Operation::Insert, None, all(), None).replayed_as("backfill-2"),
    ] {
        assert_eq!(schema.finding(&event.to_json()), None);
    }
}

#[test]
fn what_a_plugin_makes_is_an_event_too() {
    let detail = json!({"order": "o1", "total": 20}).as_object().unwrap().clone();
    let delivery = event(Operation::Insert, None, None, None);
    let made = delivery.with_output("order-shipped".to_owned(), detail).unwrap();
    assert_eq!(Schema::new().finding(&made.to_json()), None);
}

#[test]
fn what_is_no_event_is_refused() {
    let schema = Schema::new();
    let good = event(Operation::Insert, None, Some(item(ALL_TYPES)), None).to_json();
    let changed = |pointer: &str, value: Value| {
        let mut event = good.clone();
        *event.pointer_mut(pointer).unwrap() = value;
        event
    };
    let without = |name: &str| {
        let mut event = good.clone();
        event["detail"].as_object_mut().unwrap().remove(name).unwrap();
        event
    };
    for bad in [
        json!([]),
        json!({}),
        changed("/source", json!("shop")),
        changed("/detail-type", json!("")),
        changed("/time", json!("yesterday")),
        changed("/detail", json!("text")),
        changed("/detail/position", json!(-1)),
        changed("/detail/position", json!("41")),
        changed("/detail/delivery", json!("not hexadecimal")),
        changed("/detail/operation", json!("upsert")),
        changed("/detail/sequence", json!("12a")),
        changed("/detail/new", json!("text")),
        changed("/detail/changed", json!(["a", "a"])),
        changed("/detail/assurance", json!("certain")),
        without("id"),
        without("delivery"),
        without("ledger"),
        without("position"),
    ] {
        assert!(schema.finding(&bad).is_some(), "{bad} is taken");
    }
}

proptest! {
    #[test]
    fn whatever_texts_an_item_has_its_event_is_as_the_schema_says(
        attributes in btree_map(".{1,8}", ".{0,12}", 0..6),
        actor in proptest::option::of(".{0,8}"),
    ) {
        let attribute = |(name, text): (String, String)| (name, serde_json::from_value(json!({"S": text})).unwrap());
        let new: Item = attributes.into_iter().map(attribute).collect();
        let event = event(Operation::Insert, None, Some(new), actor.as_deref());
        prop_assert_eq!(Schema::new().finding(&event.to_json()), None);
    }
}
