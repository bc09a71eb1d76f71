//! A message: one event for one sink, as it is sent.
//!
//! # Invariants
//!
//! - A message is made once and sent as often as it takes: every attempt carries the same bytes under the same id.

use std::borrow::Cow;

use jiff::Timestamp;
use serde::Serialize;
use serde_json::Value;
use weir_model::{CORRELATION, DeliveryId, Detail, Event};

use crate::Sink;

/// Version of the specification that envelopes of ours follow.
const CLOUDEVENTS: &str = "1.0";

/// Bytes for which there is room at once. More only cost a move.
const ROOM_BYTES: usize = 2048;

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
    let position = of_detail("position").and_then(|position| position.as_u64());
    let envelope = CloudEvent {
        correlationid: of_detail(CORRELATION),
        data: &event.detail,
        datacontenttype: "application/json",
        id: of_detail("delivery").unwrap_or(Cow::Owned(Value::Null)),
        sequence: position.map(|position| format!("{position:020}")),
        source: &event.source,
        specversion: CLOUDEVENTS,
        time: event.time.to_string(),
        detail_type: &event.detail_type,
    };
    let mut json = Vec::with_capacity(ROOM_BYTES);
    serde_json::to_writer(&mut json, &envelope).expect("an object is JSON");
    if json.len() < json.capacity() / 2 {
        // It may wait for long, and counts as what it is.
        json.shrink_to_fit();
    }
    String::from_utf8(json).expect("JSON is UTF-8")
}

/// In order of name: the same event has always had these bytes.
#[derive(Serialize)]
struct CloudEvent<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    correlationid: Option<Cow<'a, Value>>,
    data: &'a Detail,
    datacontenttype: &'a str,
    id: Cow<'a, Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    sequence: Option<String>,
    source: &'a str,
    specversion: &'a str,
    time: String,
    #[serde(rename = "type")]
    detail_type: &'a str,
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    /// `CloudEvents` 1.0, "JSON Event Format", section 3, and the extension "Sequence".
    #[test]
    fn an_event_becomes_a_cloud_event() {
        let detail = json!({"delivery": "d1", "position": 41, "correlation": "request-1", "new": {"total": 19.99}});
        let event = Event {
            source: "weir.orders".to_owned(),
            detail_type: "shop-orders.modify".to_owned(),
            time: "2026-03-01T12:00:00Z".parse().unwrap(),
            detail: detail.as_object().unwrap().clone().into(),
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
        assert_eq!(
            cloud_event(&event),
            expected.to_string(),
            "its members are in order of name"
        );
    }
}
