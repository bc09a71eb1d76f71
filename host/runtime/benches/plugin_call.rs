//! What a plugin call costs per change: the shop plugin on a batch of 1,000 changes, and on one.
//!
//! | path | what is in it |
//! | --- | --- |
//! | `plugin_call/1000` | to a guest thread and back, a fresh instance, six columns of the batch, a decision for each change, dropping it |
//! | `plugin_call/1` | the same for one change: mostly the way to the thread and back |
//! | `plugin_instance` | an instance made and dropped, a thousand one after the other on one thread |
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
mod orders;
mod shop;

use std::hint::black_box;
use std::process::ExitCode;
use std::sync::Arc;

use criterion::Criterion;
use serde_json::Value;
use weir_model::AttributedChange;
use weir_runtime::{Batch, Limits, Runtime};

use beside::{Beside, beside};
use orders::{as_text, order_change};
use shop::shop;

/// An order that is large enough for an announcement is rare.
const CONFIG: &str = r#"{"large_order": 500}"#;

/// Instances of one pass.
const INSTANCES: usize = 1000;

/// What of its memory a small guest touches, about.
const INSTANCE_BYTES: usize = 64 << 10;

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
        let changes: Vec<AttributedChange> = (0..count).map(order_change).collect();
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
    let mut memory = vec![0_u8; INSTANCE_BYTES];
    beside(
        &mut criterion,
        Beside {
            path: "plugin_instance",
            floor: "zeroing 64 KiB",
            count: INSTANCES as u64,
        },
        || {
            host.block_on(plugin.make_instances(INSTANCES))
                .expect("there is a place for one")
        },
        || {
            for _ in 0..INSTANCES {
                black_box(&mut memory).fill(black_box(0));
            }
        },
    );
    criterion.final_summary();
    ExitCode::SUCCESS
}

fn parse(text: &str) -> Value {
    serde_json::from_str(text).expect("it was written as JSON")
}
