//! What a plugin call costs per change: the shop plugin on a batch of 1,000 changes, and on one.
//!
//! | path | what is in it |
//! | --- | --- |
//! | `plugin_call/1000` | to a guest thread and back, a fresh instance, six columns of the batch, a decision for each change, dropping it |
//! | `plugin_call/1` | the same for one change: almost all of it is the instance, made and dropped |
//!
//! Each stands beside a peer: `serde_json` on the host parsing the same records as DynamoDB-JSON text, which is where a
//! function that is handed records as text has to begin. The design (section 5, "Batches, by column") measured columns
//! at 0.47 µs per record beside 0.85 of that parse, with four fields, a batch of 1,000 and nothing sent: the goal is a
//! ratio below 1 for the batch. A fresh instance cost 13 µs there, which a batch pays once.
//!
//! Machines are noisy, so the peer runs in turns with the path (`beside`): compare the ratios, not the times.
//! The component is `plugins/shop.wasm` in the target folder: `make plugins`.

#[path = "../../evidence/benches/beside/mod.rs"]
mod beside;
mod shop;

use std::hint::black_box;
use std::process::ExitCode;
use std::sync::Arc;

use criterion::Criterion;
use serde_json::{Value, json};
use weir_model::{Assurance, Change, EventId, Item, Operation, SequenceNumber, Who};
use weir_runtime::{Batch, BatchChange, Limits, Runtime};

use beside::{Beside, beside};
use shop::shop;

/// An order that is large enough for an announcement is rare.
const CONFIG: &str = r#"{"large_order": 500}"#;

fn main() -> ExitCode {
    let Some(component) = shop() else {
        return ExitCode::FAILURE;
    };
    let host = tokio::runtime::Builder::new_current_thread()
        .build()
        .expect("a runtime without I/O needs nothing");
    let runtime = Runtime::start(Limits::default()).expect("this machine runs the engine");
    let plugin = host
        .block_on(runtime.load(component))
        .expect("the shop plugin fits its world");
    let manifest = host
        .block_on(plugin.describe(CONFIG))
        .expect("the shop plugin takes its configuration");
    let manifest = Arc::new(manifest);
    let route = |batch: &Batch| {
        host.block_on(plugin.route(batch.clone(), CONFIG, &manifest))
            .expect("the call is far from its time limit")
    };

    let mut criterion = Criterion::default().configure_from_args();
    for count in [1000, 1] {
        let changes: Vec<BatchChange> = (0..count).map(order_change).collect();
        let texts: Vec<String> = changes.iter().map(as_text).collect();
        let batch = Batch::new(changes);
        assert!(
            route(&batch).iter().all(Result::is_ok),
            "a failing call would be cut in halves, and that measured"
        );
        let bytes = texts.iter().map(String::len).sum::<usize>() / texts.len();
        beside(
            &mut criterion,
            Beside {
                path: &format!("plugin_call/{count}"),
                floor: &format!("parsing the record as JSON, {bytes} bytes"),
                count,
            },
            || route(&batch),
            || texts.iter().for_each(|text| drop(black_box(parse(text)))),
        );
    }
    criterion.final_summary();
    ExitCode::SUCCESS
}

fn parse(text: &str) -> Value {
    serde_json::from_str(text).expect("it was written as JSON")
}

/// Orders as a shop makes them: of ten changes two are new orders, five move on, three only edit a note.
fn order_change(number: u64) -> BatchChange {
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
    BatchChange {
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
fn as_text(change: &BatchChange) -> String {
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
