//! Iterators and pages.

use std::time::Duration;

use aws_sdk_dynamodbstreams::error::ProvideErrorMetadata;
use aws_sdk_dynamodbstreams::types::ShardIteratorType::{AfterSequenceNumber, AtSequenceNumber, Latest, TrimHorizon};
use serde_json::json;
use weir_simulator::item;

use crate::support::{TABLE, id, put, sequence, start};

#[tokio::test]
async fn each_kind_of_iterator_starts_where_it_says() {
    let (simulator, streams) = start().await;
    let shard = streams.shard();
    for id in ["o1", "o2", "o3"] {
        put(&simulator, id);
    }
    let records = streams.read(&shard).await;
    let second = Some(sequence(&records[1]));
    let latest = streams.iterator(&shard, Latest, None).await.unwrap();
    put(&simulator, "o4");
    let read = async |iterator: String| {
        let records = streams.read_from(iterator).await;
        records
            .iter()
            .map(|record| id(record).to_owned())
            .collect::<Vec<String>>()
    };
    assert_eq!(read(latest).await, ["o4"]);
    let horizon = streams.iterator(&shard, TrimHorizon, None).await.unwrap();
    assert_eq!(read(horizon).await, ["o1", "o2", "o3", "o4"]);
    let at = streams.iterator(&shard, AtSequenceNumber, second).await.unwrap();
    assert_eq!(read(at).await, ["o2", "o3", "o4"]);
    let after = streams.iterator(&shard, AfterSequenceNumber, second).await.unwrap();
    assert_eq!(read(after).await, ["o3", "o4"]);
}

#[tokio::test]
async fn a_number_that_the_shard_never_gave_is_refused() {
    let (simulator, streams) = start().await;
    put(&simulator, "o1");
    let number = "9".repeat(40);
    let error = streams
        .iterator(&streams.shard(), AfterSequenceNumber, Some(&number))
        .await;
    assert_eq!(error.unwrap_err(), "ValidationException");
    let error = streams.iterator(&streams.shard(), AtSequenceNumber, None).await;
    assert_eq!(error.unwrap_err(), "ValidationException");
    assert_eq!(streams.page("made up").await.unwrap_err(), "ValidationException");
}

/// Line 16.
#[tokio::test]
async fn a_page_has_a_thousand_records_and_nobody_may_ask_for_more() {
    let (simulator, streams) = start().await;
    for number in 0..1_001 {
        simulator.put(TABLE, item(&format!("o{number}"), &[])).unwrap();
    }
    let iterator = streams.horizon(&streams.shard()).await;
    assert_eq!(streams.page(&iterator).await.unwrap().records().len(), 1_000);
    let few = streams
        .client
        .get_records()
        .shard_iterator(&iterator)
        .limit(3)
        .send()
        .await
        .unwrap();
    assert_eq!(few.records().len(), 3);
    for limit in [0, 1_001] {
        let call = streams.client.get_records().shard_iterator(&iterator).limit(limit);
        assert_eq!(call.send().await.unwrap_err().code(), Some("ValidationException"));
    }
}

/// Line 16.
#[tokio::test]
async fn a_page_has_a_megabyte_unless_one_record_has_more() {
    let (simulator, streams) = start().await;
    let text = "x".repeat(390_000);
    for number in 0..5 {
        let item = item("o1", &[("text", json!({ "S": format!("{number}{text}") }))]);
        simulator.put(TABLE, item).unwrap();
    }
    let iterator = streams.horizon(&streams.shard()).await;
    let page = streams.page(&iterator).await.unwrap();
    assert_eq!(
        page.records().len(),
        1,
        "an insert of 390 KB, and a change of 780 KB that no longer fits"
    );
    simulator.reading(|reading| reading.page_bytes_max = 1_000);
    assert_eq!(streams.page(&iterator).await.unwrap().records().len(), 1);
}

/// Line 17.
#[tokio::test]
async fn many_pages_in_a_row_are_empty_and_have_an_iterator() {
    let (simulator, streams) = start().await;
    put(&simulator, "o1");
    simulator.empty_pages(TABLE, None, 50).unwrap();
    let mut iterator = streams.horizon(&streams.shard()).await;
    for _ in 0..50 {
        let page = streams.page(&iterator).await.unwrap();
        assert!(page.records().is_empty());
        iterator = page.next_shard_iterator.unwrap();
    }
    assert_eq!(streams.page(&iterator).await.unwrap().records().len(), 1);
}

/// Line 18.
#[tokio::test]
async fn an_iterator_expires_after_fifteen_minutes() {
    let (simulator, streams) = start().await;
    let shard = streams.shard();
    let latest = streams.iterator(&shard, Latest, None).await.unwrap();
    put(&simulator, "o1");
    simulator.step(Duration::from_mins(15));
    let page = streams.page(&latest).await.unwrap();
    let next = page.next_shard_iterator.unwrap();
    simulator.step(Duration::from_secs(1));
    assert_eq!(streams.page(&latest).await.unwrap_err(), "ExpiredIteratorException");
    assert!(streams.page(&next).await.is_ok());
    let latest = streams.iterator(&shard, Latest, None).await.unwrap();
    assert!(
        streams.read_from(latest).await.is_empty(),
        "a new one at the end skips what was between"
    );
}

/// Line 23: reads are safe to repeat.
#[tokio::test]
async fn an_iterator_may_be_used_again() {
    let (simulator, streams) = start().await;
    put(&simulator, "o1");
    let iterator = streams.horizon(&streams.shard()).await;
    let first = streams.page(&iterator).await.unwrap();
    let second = streams.page(&iterator).await.unwrap();
    assert_eq!(first.records(), second.records());
}
