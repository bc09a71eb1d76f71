//! What reading costs: from the encoded page of `GetRecords` in memory to changes.
//!
//! ```text
//! path:  JSON body ──▶ the client library: endpoint, signature, retries ──▶ ShardReader ──▶ 1,000 changes
//! floor: JSON body ──▶ serde_json
//! peer:  JSON body ──▶ the client library for Node ──▶ unmarshall
//! ```
//!
//! Items have 1 KB and 10 to 19 attributes, records both images (`pages`).
//!
//! | benchmark | beside |
//! | --- | --- |
//! | `decode/page` | `serde_json::Value` of the same bytes: what a general parser makes of them |
//! | `decode/scan` | `serde_json` that checks the same bytes and keeps nothing |
//! | `decode/node` | a consumer for Node on the same bytes, in turns (`node`); left out, and told, where there is no Node |
//!
//! Machines are noisy: compare the ratios, not the times. What share of the whole path this is:
//! `host/pipeline/benches/share.rs`.

#[path = "../../evidence/benches/beside/mod.rs"]
mod beside;
mod node;
mod pages;

use std::hint::black_box;
use std::io::Write as _;

use criterion::Criterion;
use serde::de::IgnoredAny;
use tokio::runtime::Runtime;
use weir_model::Record;
use weir_streams::ShardReader;

use beside::{Beside, beside};
use node::NodeConsumer;

fn main() {
    let mut criterion = Criterion::default().sample_size(20).configure_from_args();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("the system has a poller");
    let page = pages::page(1, "second");
    let mut reader = runtime.block_on(pages::endless(&page));
    let bytes = page.len() as u64 / pages::RECORDS;
    let (parsing, scanning) = (
        format!("serde_json::Value of {bytes} bytes a record"),
        format!("a scan of {bytes} bytes a record"),
    );
    beside(
        &mut criterion,
        names("decode/page", &parsing),
        || read(&runtime, &mut reader),
        || serde_json::from_str::<serde_json::Value>(black_box(&page)).expect("the page is JSON"),
    );
    beside(
        &mut criterion,
        names("decode/scan", &scanning),
        || read(&runtime, &mut reader),
        || serde_json::from_str::<IgnoredAny>(black_box(&page)).expect("the page is JSON"),
    );

    let mut file = tempfile::NamedTempFile::new().expect("there is room for a page");
    file.write_all(page.as_bytes()).expect("there is room for a page");
    match NodeConsumer::start(file.path()) {
        Ok(mut consumer) => {
            let floor = format!("a consumer for Node {}", consumer.version);
            beside(
                &mut criterion,
                names("decode/node", &floor),
                || read(&runtime, &mut reader),
                || assert_eq!(consumer.read() as u64, pages::RECORDS),
            );
        }
        Err(problem) => eprintln!("decode/node is left out: {problem}"),
    }
    criterion.final_summary();
}

fn names<'a>(path: &'a str, floor: &'a str) -> Beside<'a> {
    Beside {
        path,
        floor,
        count: pages::RECORDS,
    }
}

fn read(runtime: &Runtime, reader: &mut ShardReader) -> Vec<Record> {
    let page = runtime.block_on(reader.next_page()).expect("the page is one");
    assert_eq!(page.records.len() as u64, pages::RECORDS);
    assert!(matches!(page.records[0], Record::Change(_)));
    page.records
}
