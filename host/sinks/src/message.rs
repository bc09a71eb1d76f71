//! A message: one event for one sink, as it is sent.
//!
//! # Invariants
//!
//! - A message is made once and sent as often as it takes: every attempt carries the same bytes under the same id.

use jiff::Timestamp;
use serde_json::{Map, Value, json};
use weir_model::{CORRELATION, DeliveryId, Event};

use crate::Sink;

/// Version of the specification that envelopes of ours follow.
const CLOUDEVENTS: &str = "1.0";

/// One event for one sink.
#[derive(Clone, Debug, PartialEq)]
pub struct Message {
    /// Names the delivery: the same at every attempt. A receiver drops what it has seen.
    pub delivery: DeliveryId,
    /// Messages of one group are about one item, and go in order. 32 hexadecimal digits that say nothing of the item.
    pub group: String,
    /// `weir.<source>`.
    pub source: String,
    /// `<table>.<operation>`, or what a plugin named it.
    pub detail_type: String,
    /// The change's source time.
    pub time: Timestamp,
    /// What is sent.
    pub body: String,
}

impl Message {
    /// Puts an event into the words of a sink.
    #[must_use]
    pub fn new(sink: &dyn Sink, delivery: DeliveryId, group: String, event: &Event) -> Self {
        Self {
            body: sink.body(event),
            source: event.source.clone(),
            detail_type: event.detail_type.clone(),
            time: event.time,
            delivery,
            group,
        }
    }
}

/// An event in the JSON format of `CloudEvents` 1.0, for sinks that have no envelope of their own: `data` is the event's
/// `detail`, `id` the delivery, `type` the detail type. `sequence` is the extension of that name: the position in the ledger,
/// in twenty digits, so that text compares as numbers do. `correlationid` is that of the extension "Correlation".
pub(crate) fn cloud_event(event: &Event) -> String {
    let of_detail = |name: &str| event.detail.get(name);
    let mut envelope = Map::new();
    let mut set = |name: &str, value: Value| envelope.insert(name.to_owned(), value);
    set("specversion", CLOUDEVENTS.into());
    set("id", of_detail("delivery").cloned().unwrap_or_default());
    set("source", event.source.clone().into());
    set("type", event.detail_type.clone().into());
    set("time", event.time.to_string().into());
    if let Some(position) = of_detail("position").and_then(Value::as_u64) {
        set("sequence", json!(format!("{position:020}")));
    }
    if let Some(correlation) = of_detail(CORRELATION) {
        set("correlationid", correlation.clone());
    }
    set("datacontenttype", "application/json".into());
    set("data", Value::Object(event.detail.clone()));
    serde_json::to_string(&envelope).expect("an object is JSON")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `CloudEvents` 1.0, "JSON Event Format", section 3, and the extension "Sequence".
    #[test]
    fn an_event_becomes_a_cloud_event() {
        let detail = json!({"delivery": "d1", "position": 41, "correlation": "request-1", "new": {"total": 19.99}});
        let event = Event {
            source: "weir.orders".to_owned(),
            detail_type: "shop-orders.modify".to_owned(),
            time: "2026-03-01T12:00:00Z".parse().unwrap(),
            detail: detail.as_object().unwrap().clone(),
        };
        let expected = json!({
            "specversion": "1.0",
            "id": "d1",
            "source": "weir.orders",
            "type": "shop-orders.modify",
            "time": "2026-03-01T12:00:00Z",
            "sequence": "00000000000000000041",
            "correlationid": "request-1",
            "datacontenttype": "application/json",
            "data": detail,
        });
        assert_eq!(serde_json::from_str::<Value>(&cloud_event(&event)).unwrap(), expected);
    }
}
