//! Pages, their order, and the end of a shard.

use aws_sdk_dynamodb::types::{AttributeValue as SdkValue, PutRequest, WriteRequest};
use serde_json::{Value, json};
use weir_dev::{DynamoDbStorage, LocalDynamoDb};
use weir_model::{Record, SequenceNumber};
use weir_streams::{DynamoDbStreams, StreamDescription};

use crate::support::{ARN, SHARD, Scripted, TABLE, iterator, page, record, sequences, streams};

/// streams.md 8 and 16: from the beginning, and no more than the service gives.
#[tokio::test]
async fn a_shard_is_read_from_its_beginning_or_from_behind_a_position() {
    let service = Scripted::start([iterator("i1"), page([record("5")], Some("i2")), page([], Some("i3"))]).await;
    let mut reader = service.reader(None).await;
    assert_eq!(sequences(&reader.next_page().await.unwrap().records), ["5"]);
    reader.next_page().await.unwrap();
    assert_eq!(service.steps(), ["TRIM_HORIZON", "i1", "i2"]);
    let (_, asked) = &service.calls()[0];
    assert_eq!((&asked["StreamArn"], &asked["ShardId"]), (&json!(ARN), &json!(SHARD)));
    let (_, asked) = &service.calls()[1];
    assert!(
        asked["Limit"].is_null() || asked["Limit"].as_u64().unwrap() <= 1000,
        "{asked}"
    );

    let service = Scripted::start([iterator("i1"), page([record("6")], Some("i2"))]).await;
    let mut reader = service.reader(Some("5")).await;
    assert_eq!(sequences(&reader.next_page().await.unwrap().records), ["6"]);
    assert_eq!(service.steps(), ["AFTER_SEQUENCE_NUMBER 5", "i1"]);
}

/// streams.md 11 and 12.
#[tokio::test]
async fn the_last_page_is_the_one_without_an_iterator_and_may_carry_records() {
    let service = Scripted::start([
        iterator("i1"),
        page([record("1")], Some("i2")),
        page([], Some("i3")),
        page([record("2"), record("3")], None),
    ])
    .await;
    let mut reader = service.reader(None).await;
    let mut pages = Vec::new();
    for _ in 0..3 {
        let page = reader.next_page().await.unwrap();
        pages.push((page.records.len(), page.is_last));
    }
    assert_eq!(pages, [(1, false), (0, false), (2, true)]);

    let service = Scripted::start([iterator("i1"), page([], None)]).await;
    let page = service.reader(None).await.next_page().await.unwrap();
    assert_eq!((page.records.len(), page.is_last), (0, true));
}

/// streams.md 17.
#[tokio::test]
async fn pages_without_records_lead_on() {
    let service = Scripted::start_with(|operation, body| match (operation, body["ShardIterator"].as_str()) {
        ("GetShardIterator", _) => iterator("0"),
        (_, Some("200")) => page([record("1")], None),
        (_, Some(empty)) => page([], Some(&(empty.parse::<u32>().unwrap() + 1).to_string())),
        (_, None) => panic!("no iterator: {body}"),
    })
    .await;
    let mut reader = service.reader(None).await;
    for _ in 0..200 {
        let page = reader.next_page().await.unwrap();
        assert!(page.records.is_empty() && !page.is_last);
    }
    let page = reader.next_page().await.unwrap();
    assert_eq!((sequences(&page.records), page.is_last), (vec!["1"], true));
}

/// An answer may leave the list of records out altogether.
#[tokio::test]
async fn an_answer_without_a_list_of_records_is_an_empty_page() {
    let body = json!({"NextShardIterator": "i2"});
    let service = Scripted::start([iterator("i1"), crate::support::http::Reply::Json(200, body)]).await;
    let page = service.reader(None).await.next_page().await.unwrap();
    assert_eq!((page.records.len(), page.is_last), (0, false));
}

/// streams.md 16: 1,000 records a page.
#[tokio::test]
async fn more_than_a_page_of_records_is_read_whole_and_in_order() {
    const RECORDS: usize = 1_110;
    let database = LocalDynamoDb::start(0, DynamoDbStorage::Memory).await.unwrap();
    database.ensure_table(TABLE, "order_id").await.unwrap();
    fill(&database, RECORDS).await;
    let streams = streams(&database.endpoint()).await;
    let stream = streams.find(TABLE).await.unwrap();

    let (pages, records) = read_all(&streams, &stream, None).await;
    assert!(pages.iter().all(|records| *records <= 1000), "{pages:?}");
    assert_eq!(records.len(), RECORDS);
    assert!(records.windows(2).all(|pair| pair[0].sequence() < pair[1].sequence()));
    let ids: Vec<String> = records.iter().map(order_id).collect();
    let written: Vec<String> = (0..RECORDS).map(|number| format!("o{number:04}")).collect();
    assert_eq!(ids, written);

    let middle = records[700].sequence().clone();
    let (_, rest) = read_all(&streams, &stream, Some(middle)).await;
    assert_eq!(rest, records[701..]);
    database.stop().await;
}

/// Writes orders with the ids `o0000` and on, one after another.
async fn fill(database: &LocalDynamoDb, count: usize) {
    let client = database.client();
    let numbers: Vec<usize> = (0..count).collect();
    for chunk in numbers.chunks(25) {
        let writes = chunk.iter().map(|number| {
            let put = PutRequest::builder().item("order_id", SdkValue::S(format!("o{number:04}")));
            WriteRequest::builder().put_request(put.build().unwrap()).build()
        });
        let request = client.batch_write_item().request_items(TABLE, writes.collect());
        assert!(
            request
                .send()
                .await
                .unwrap()
                .unprocessed_items
                .unwrap_or_default()
                .is_empty()
        );
    }
}

/// The sizes of the pages up to the first empty one, and all records.
async fn read_all(
    streams: &DynamoDbStreams,
    stream: &StreamDescription,
    after: Option<SequenceNumber>,
) -> (Vec<usize>, Vec<Record>) {
    let mut reader = streams.read(&stream.arn, TABLE, &stream.shards[0].shard, after);
    let (mut pages, mut records) = (Vec::new(), Vec::new());
    loop {
        let page = reader.next_page().await.unwrap();
        assert!(!page.is_last, "the local stream never ends");
        if page.records.is_empty() {
            return (pages, records);
        }
        pages.push(page.records.len());
        records.extend(page.records);
    }
}

fn order_id(record: &Record) -> String {
    let Record::Change(change) = record else {
        panic!("{record:?}")
    };
    let id: Value = change.keys["order_id"].to_plain_json();
    id.as_str().unwrap().to_owned()
}
