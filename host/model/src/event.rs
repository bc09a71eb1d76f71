//! The event that a change becomes: what routes match, plugins replace, and sinks receive.
//!
//! ```json
//! {"source": "weir.orders", "detail-type": "shop-orders.modify", "time": "2026-03-01T12:00:00Z",
//!  "detail": {"id": "...", "delivery": "...", "ledger": "main", "position": 41, "shard": "...", "sequence": "...",
//!             "table": "shop-orders", "operation": "modify", "keys": {}, "old": {}, "new": {}, "changed": ["status"],
//!             "actor": "maria", "assurance": "claimed", "plugin": "9f86d081..."}}
//! ```
//!
//! The whole of it as JSON Schema: [`Event::SCHEMA`].
//!
//! `plugin` is the SHA-256 of the plugin that it went through, if it went through one. `correlation` is what the attribute says that
//! the route names for it (`correlation_attribute`): a request's id that goes from event to event. `replayed_as` is the name of the
//! replay under whose name it is sent as new (`weir replay --as-new`).
//!
//! A receiver drops a `delivery` that it has seen, and a `position` that is older than the last it saw of a key. Several events of
//! one change have the same position.

use std::fmt;
use std::sync::Arc;

use jiff::Timestamp;
use serde::Serialize;
use serde_json::{Map, Value};
use sha2::{Digest as _, Sha256};

use crate::detail::Mark;
use crate::{
    AttributeValue, AttributedChange, Change, Detail, Item, LedgerName, Position, SequenceNumber, ShardId, StreamArn,
};

/// Where an event's change stands: all that an event says beyond the change itself.
#[derive(Clone, Copy, Debug)]
pub struct EventContext<'a> {
    /// The configured name of the source.
    pub source: &'a str,
    /// Ledger that recorded the change.
    pub ledger: &'a LedgerName,
    /// Position there.
    pub position: Position,
    /// Shard that the record came from.
    pub shard: &'a ShardId,
}

/// One event, in EventBridge's shape.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Event {
    /// `weir.<source>`.
    pub source: String,
    /// `<table>.<insert|modify|remove>`, or what a plugin named it.
    #[serde(rename = "detail-type")]
    pub detail_type: String,
    /// The change's source time.
    pub time: Timestamp,
    /// The change, or what a plugin made of it, with its delivery id and position.
    pub detail: Detail,
}

/// Members of `detail` that say which delivery an event is, and what made it. Plugins cannot set them.
const RESERVED: [&str; 7] = [
    "id",
    "delivery",
    "ledger",
    "position",
    "plugin",
    CORRELATION,
    REPLAYED_AS,
];

/// The member of `detail` that correlates events. The only one that Weir sets and that holds a value of the item.
pub const CORRELATION: &str = "correlation";

/// The member of `detail` that says under which name an event was replayed as new.
pub const REPLAYED_AS: &str = "replayed_as";

/// Whether only Weir may set this member of `detail`.
#[must_use]
pub fn is_reserved(name: &str) -> bool {
    RESERVED.contains(&name)
}

impl Event {
    /// What every event that leaves is like: JSON Schema, draft 2020-12.
    pub const SCHEMA: &str = include_str!("../formats/event.schema.json");

    /// The event of a change as it is. It has no delivery id yet: a change has one event and many deliveries.
    #[must_use]
    pub fn of_change(told: &Arc<AttributedChange>, context: EventContext<'_>) -> Self {
        let change = &told.change;
        Self {
            source: format!("weir.{}", context.source),
            detail_type: format!("{}.{}", change.table, change.operation.as_str()),
            time: change.created_at,
            detail: Detail::of_change(Arc::clone(told), context),
        }
    }

    /// The event of a plugin's output about this event's change: its own type and detail, the same source and time.
    ///
    /// # Errors
    ///
    /// The name of a member of `detail` that only Weir may set.
    pub fn with_output(&self, detail_type: String, detail: Map<String, Value>) -> Result<Self, &'static str> {
        if let Some(name) = RESERVED.into_iter().find(|name| detail.contains_key(*name)) {
            return Err(name);
        }
        let mut detail = detail;
        for name in RESERVED {
            if let Some(value) = self.detail.get(name) {
                detail.insert(name.to_owned(), value.into_owned());
            }
        }
        Ok(Self {
            source: self.source.clone(),
            detail_type,
            time: self.time,
            detail: detail.into(),
        })
    }

    /// Writes the digest of the plugin that it goes through into the event, hexadecimal.
    #[must_use]
    pub fn routed_by(mut self, plugin: &str) -> Self {
        self.detail.mark(Mark::Plugin, plugin.to_owned());
        self
    }

    /// Writes into the event what this attribute of its item says, a text or a number: after the change, or before it where nothing
    /// is known of after.
    #[must_use]
    pub fn correlated_by(mut self, attribute: &str, change: &Change) -> Self {
        let image = change.new.as_ref().or(change.old.as_ref());
        let text = match image.and_then(|image| image.get(attribute)) {
            Some(AttributeValue::S(text)) => text.clone(),
            Some(AttributeValue::N(number)) => number.as_str().to_owned(),
            _ => return self,
        };
        self.detail.mark(Mark::Correlation, text);
        self
    }

    /// Writes the delivery's id into the event.
    #[must_use]
    pub fn delivered_as(mut self, delivery: &DeliveryId) -> Self {
        self.detail.mark(Mark::Delivery, delivery.to_string());
        self
    }

    /// Writes the name into the event under which it is replayed as new.
    #[must_use]
    pub fn replayed_as(mut self, name: &str) -> Self {
        self.detail.mark(Mark::ReplayedAs, name.to_owned());
        self
    }

    /// The event as JSON.
    #[must_use]
    pub fn to_json(&self) -> Value {
        serde_json::to_value(self).expect("an event is JSON")
    }
}

/// Names of the attributes that differ between the old and the new image, sorted. Without both images none is known to
/// differ, except that all of an inserted or removed item's do.
#[must_use]
pub fn changed_attributes(change: &Change) -> Vec<&str> {
    static EMPTY: Item = Item::new();
    let (old, new) = match (&change.old, &change.new, change.operation) {
        (Some(old), Some(new), _) => (old, new),
        (None, Some(new), crate::Operation::Insert) => (&EMPTY, new),
        (Some(old), None, crate::Operation::Remove) => (old, &EMPTY),
        _ => return Vec::new(),
    };
    let mut names: Vec<&str> = old
        .keys()
        .chain(new.keys())
        .map(String::as_str)
        .filter(|name| old.get(name) != new.get(name))
        .collect();
    names.sort_unstable();
    names.dedup();
    names
}

/// Names one delivery: the same at every attempt, never two payloads.
///
/// 32 hexadecimal digits: the first half of a SHA-256 over what decides the payload (stream, shard, sequence number,
/// route, route version, output number, sink).
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(transparent)]
pub struct DeliveryId(String);

impl DeliveryId {
    /// Derives the id. Output number 0 is the change itself, a plugin's outputs count from 1.
    #[must_use]
    pub fn derive(
        stream: &StreamArn,
        shard: &ShardId,
        sequence: &SequenceNumber,
        route: &str,
        route_version: u32,
        output: u32,
        sink: &str,
    ) -> Self {
        let mut hash = Sha256::new_with_prefix(b"weir/delivery/v1\0");
        for part in [stream.as_str(), shard.as_str(), sequence.as_str(), route, sink] {
            hash.update((part.len() as u64).to_be_bytes());
            hash.update(part.as_bytes());
        }
        hash.update(route_version.to_be_bytes());
        hash.update(output.to_be_bytes());
        Self(hex::encode(&hash.finalize()[..16]))
    }

    /// The id of the same delivery in a replay that sends it as new: the first half of a SHA-256 over the id that it had and the
    /// replay's name. The same name gives the same id again.
    #[must_use]
    pub fn anew(delivery: &str, name: &str) -> Self {
        let mut hash = Sha256::new_with_prefix(b"weir/delivery-as-new/v1\0");
        for part in [delivery, name] {
            hash.update((part.len() as u64).to_be_bytes());
            hash.update(part.as_bytes());
        }
        Self(hex::encode(&hash.finalize()[..16]))
    }

    /// The 32 digits.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for DeliveryId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::example::{attributed, context, ledger, order_change, shard};
    use expect_test::expect;
    use serde_json::json;

    fn event() -> Event {
        Event::of_change(&Arc::new(attributed(order_change())), context(&ledger(), &shard()))
    }

    #[test]
    fn an_event_tells_the_whole_change() {
        expect![[r#"{"source":"weir.shop","detail-type":"orders.modify","time":"2026-03-01T12:00:00Z","detail":{"actor":"maria","assurance":"claimed","changed":["gone","n","tags"],"id":"e1","keys":{"id":"o1"},"ledger":"main","new":{"id":"o1","n":2,"tags":["a","b"]},"old":{"gone":1,"id":"o1","n":1},"operation":"modify","position":41,"sequence":"100","shard":"shardId-1","table":"orders"}}"#]]
            .assert_eq(&serde_json::to_string(&event()).unwrap());
    }

    #[test]
    fn a_plugins_output_carries_the_position_and_cannot_forge_it() {
        let detail = |text: &str| serde_json::from_str::<Map<String, Value>>(text).unwrap();
        let output = event()
            .with_output("order-shipped".to_owned(), detail(r#"{"order":"o1"}"#))
            .unwrap();
        expect![[r#"{"id":"e1","ledger":"main","order":"o1","position":41}"#]]
            .assert_eq(&serde_json::to_string(&output.detail).unwrap());
        assert_eq!(
            event().with_output("x".to_owned(), detail(r#"{"position":1}"#)),
            Err("position")
        );
    }

    #[test]
    fn an_event_is_correlated_by_what_the_item_says_after_the_change() {
        let correlation = |change: &Change, attribute: &str| {
            let event = event().correlated_by(attribute, change);
            event.detail.get("correlation").map(std::borrow::Cow::into_owned)
        };
        let mut change = order_change();
        assert_eq!(correlation(&change, "id"), Some(json!("o1")));
        assert_eq!(correlation(&change, "n"), Some(json!("2")), "numbers are text as well");
        assert_eq!(correlation(&change, "gone"), None, "it was there before only");
        assert_eq!(correlation(&change, "tags"), None, "a set correlates nothing");
        change.new = None;
        assert_eq!(correlation(&change, "gone"), Some(json!("1")));
        change.old = None;
        assert_eq!(correlation(&change, "id"), None);
    }

    #[test]
    fn a_plugins_output_carries_the_correlation_and_cannot_forge_it() {
        let correlated = event().correlated_by("id", &order_change());
        let output = correlated.with_output("order-shipped".to_owned(), Map::new()).unwrap();
        assert_eq!(output.detail.object()["correlation"], "o1");
        let forged = json!({ "correlation": "another" }).as_object().unwrap().clone();
        assert_eq!(event().with_output("x".to_owned(), forged), Err("correlation"));
    }

    #[test]
    fn a_delivery_id_differs_whenever_the_payload_may() {
        let id = |shard: &str, sequence: &str, version, output| {
            DeliveryId::derive(
                &StreamArn::parse("arn").unwrap(),
                &ShardId::parse(shard).unwrap(),
                &SequenceNumber::parse(sequence).unwrap(),
                "route",
                version,
                output,
                "bus",
            )
        };
        let first = id("s1", "2", 1, 0);
        assert_eq!(first, id("s1", "2", 1, 0));
        assert_eq!(first.as_str().len(), 32);
        for other in [id("s", "12", 1, 0), id("s1", "2", 2, 0), id("s1", "2", 1, 1)] {
            assert_ne!(first, other);
        }
    }

    #[test]
    fn what_is_sent_as_new_has_an_id_for_each_name() {
        let anew = |name| DeliveryId::anew("00112233445566778899aabbccddeeff", name);
        expect!["cbaafd3da9fbbd6537d4cb6959ace5ef"].assert_eq(anew("backfill").as_str());
        assert_ne!(anew("backfill"), anew("backfill-2"));
    }

    #[test]
    fn only_weir_says_what_was_replayed() {
        assert_eq!(
            event().replayed_as("backfill").detail.object()["replayed_as"],
            "backfill"
        );
        let forged = json!({ "replayed_as": "another" }).as_object().unwrap().clone();
        assert_eq!(event().with_output("x".to_owned(), forged), Err("replayed_as"));
    }
}
