//! What is sent: the event of design, section 6, within the limits of the service.

use serde_json::{Value, json};
use weir_sinks::Sink as _;

use crate::support::{Scripted, accept, delivery, event, message};

/// Design, section 6: the event.
#[tokio::test]
async fn the_event_on_the_wire_has_the_published_shape() {
    let bus = Scripted::start(accept).await;
    bus.send(1).await;

    let request = &bus.requests()[0];
    assert_eq!(
        request.as_object().unwrap().len(),
        1,
        "no endpoint, nothing but entries: {request}"
    );
    let mut entry = request["Entries"][0].clone();
    let detail: Value = serde_json::from_str(entry["Detail"].take().as_str().unwrap()).unwrap();
    assert_eq!(
        entry,
        json!({
            "EventBusName": "orders",
            "Source": "weir.orders",
            "DetailType": "shop-orders.modify",
            "Time": 1_772_366_400,
            "Detail": null,
        })
    );
    assert_eq!(
        detail,
        json!({
            "id": "e0",
            "delivery": delivery(0).as_str(),
            "ledger": "main",
            "position": 41,
            "shard": "shardId-00000001541626099285-f35f62ef",
            "sequence": "100000000000000000001",
            "table": "shop-orders",
            "operation": "modify",
            "keys": {"order_id": "o1"},
            "old": {"order_id": "o1", "status": "placed"},
            "new": {"order_id": "o1", "status": "paid", "total": 19.99},
            "changed": ["status", "total"],
            "actor": "maria",
            "assurance": "claimed",
        })
    );
}

/// streams.md 35: 10 entries and 256 KB together; EventBridge User Guide, "Calculating `PutEvents` event entry size":
/// 14 bytes for the time, and the UTF-8 of source, detail type and detail.
#[tokio::test]
async fn limits_and_sizes_are_those_of_the_service() {
    let bus = Scripted::start(accept).await;
    let sink = bus.sink().await;
    let limits = sink.limits();
    assert_eq!((limits.messages_max, limits.bytes_max), (10, 262_144));

    let mut event = event(0);
    let size = |event: &weir_model::Event| sink.size(&message(&sink, 0, event));
    let before = size(&event);
    event.detail.insert("more".to_owned(), json!("\u{20ac}"));
    assert_eq!(size(&event) - before, r#","more":"""#.len() + 3);
    sink.send(&[message(&sink, 0, &event)]).await;
    let entry = &bus.requests()[0]["Entries"][0];
    let texts = ["Source", "DetailType", "Detail"].map(|name| entry[name].as_str().unwrap().len());
    assert_eq!(size(&event), 14 + texts.iter().sum::<usize>());
}
