//! The local DynamoDB: what it keeps over a restart, and what it does that DynamoDB does not.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::time::Duration;

use aws_sdk_dynamodb::types::AttributeValue;
use aws_sdk_dynamodbstreams::Client as Streams;
use aws_sdk_dynamodbstreams::config::{BehaviorVersion, Config, Credentials, Region};
use aws_sdk_dynamodbstreams::types::{OperationType, Record, ShardIteratorType};
use weir_dev::{DynamoDbError, DynamoDbStorage, EnsureTableError, LocalDynamoDb};

const TABLE: &str = "local-things";

#[tokio::test]
async fn a_restart_goes_on_with_items_stream_and_records() {
    let folder = tempfile::tempdir().unwrap();
    let file = DynamoDbStorage::File(folder.path().join("dynamodb.sqlite"));

    let database = LocalDynamoDb::start(0, file.clone()).await.unwrap();
    let stream = database.ensure_table(TABLE, "id").await.unwrap();
    put(&database, "one", "a").await;
    put(&database, "one", "b").await;
    put(&database, "two", "a").await;
    let before = read(&database, &stream, None).await;
    assert_eq!(
        names(&before),
        [OperationType::Insert, OperationType::Modify, OperationType::Insert]
    );
    let old = before[1].dynamodb().unwrap().old_image().unwrap();
    assert_eq!(old["value"].as_s().unwrap(), "a");
    database.stop().await;

    let database = LocalDynamoDb::start(0, file).await.unwrap();
    assert_eq!(
        database.ensure_table(TABLE, "id").await.unwrap(),
        stream,
        "the stream is the same one"
    );
    assert_eq!(
        read(&database, &stream, None).await,
        before,
        "event ids and sequence numbers included"
    );

    put(&database, "two", "b").await;
    let last = before[2].dynamodb().unwrap().sequence_number().unwrap();
    let after = read(&database, &stream, Some(last)).await;
    assert_eq!(names(&after), [OperationType::Modify]);
    assert!(
        after[0].dynamodb().unwrap().sequence_number().unwrap() > last,
        "they have equal lengths"
    );
    database.stop().await;
}

#[tokio::test]
async fn a_restart_in_memory_is_a_new_stream() {
    let mut streams = Vec::new();
    for _ in 0..2 {
        let database = LocalDynamoDb::start(0, DynamoDbStorage::Memory).await.unwrap();
        let stream = database.ensure_table(TABLE, "id").await.unwrap();
        assert_eq!(read(&database, &stream, None).await, []);
        streams.push(stream);
        database.stop().await;
    }
    assert_ne!(streams[0], streams[1]);
}

#[tokio::test]
async fn a_port_is_free_again_after_stop_and_named_while_it_is_taken() {
    let first = LocalDynamoDb::start(0, DynamoDbStorage::Memory).await.unwrap();
    let taken: u16 = first.endpoint().rsplit_once(':').unwrap().1.parse().unwrap();
    // An idle connection of the pool must not hold the stop up.
    put_any(&first).await;

    let second = LocalDynamoDb::start(taken, DynamoDbStorage::Memory).await.unwrap_err();
    assert!(
        matches!(second, DynamoDbError::PortTaken { port } if port == taken),
        "{second:?}"
    );
    first.stop().await;
    LocalDynamoDb::start(taken, DynamoDbStorage::Memory)
        .await
        .unwrap()
        .stop()
        .await;
}

#[tokio::test]
async fn a_client_that_hangs_in_the_middle_of_a_request_does_not_hold_up_the_stop() {
    use tokio::io::AsyncWriteExt as _;

    let database = LocalDynamoDb::start(0, DynamoDbStorage::Memory).await.unwrap();
    let address = database.endpoint().strip_prefix("http://").unwrap().to_owned();
    let mut client = tokio::net::TcpStream::connect(address).await.unwrap();
    client
        .write_all(b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100\r\n\r\n{")
        .await
        .unwrap();
    put_any(&database).await;

    tokio::time::timeout(Duration::from_secs(30), database.stop())
        .await
        .unwrap();
}

#[tokio::test]
async fn a_file_of_something_else_is_refused_and_not_changed() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("dynamodb.sqlite");
    std::fs::write(&file, "Dear diary, today I met a database.").unwrap();

    let refused = LocalDynamoDb::start(0, DynamoDbStorage::File(file.clone()))
        .await
        .unwrap_err();
    assert!(matches!(refused, DynamoDbError::File { .. }), "{refused:?}");
    assert_eq!(
        std::fs::read_to_string(file).unwrap(),
        "Dear diary, today I met a database."
    );
}

#[tokio::test]
async fn a_table_that_is_there_in_another_form_is_not_taken_for_ours() {
    let database = LocalDynamoDb::start(0, DynamoDbStorage::Memory).await.unwrap();
    database.ensure_table(TABLE, "id").await.unwrap();

    let refused = database.ensure_table(TABLE, "name").await.unwrap_err();
    assert!(matches!(refused, EnsureTableError::OtherKey { .. }), "{refused:?}");

    let off = aws_sdk_dynamodb::types::StreamSpecification::builder()
        .stream_enabled(false)
        .build()
        .unwrap();
    database
        .client()
        .update_table()
        .table_name(TABLE)
        .stream_specification(off)
        .send()
        .await
        .unwrap();
    let refused = database.ensure_table(TABLE, "id").await.unwrap_err();
    assert!(matches!(refused, EnsureTableError::NoStream { .. }), "{refused:?}");
    database.stop().await;
}

/// Differs from DynamoDB, where the iterator of the second page and the page's size in bytes would end pages earlier,
/// an open shard has no last sequence number, and a write that changes nothing makes no record.
#[tokio::test]
async fn the_one_shard_is_open_though_it_names_an_end_and_its_pages_never_end() {
    let database = LocalDynamoDb::start(0, DynamoDbStorage::Memory).await.unwrap();
    let stream = database.ensure_table(TABLE, "id").await.unwrap();
    let streams = streams(&database);
    let shards = || async {
        let answer = streams.describe_stream().stream_arn(&stream).send().await.unwrap();
        answer.stream_description.unwrap().shards.unwrap()
    };

    let empty = shards().await;
    assert_eq!(empty.len(), 1);
    assert_eq!(empty[0].shard_id(), Some(format!("shardId-00000001-{TABLE}").as_str()));
    assert_eq!(
        empty[0].sequence_number_range().unwrap().starting_sequence_number(),
        None
    );

    for _ in 0..3 {
        put(&database, "one", "the same").await;
    }
    let records = read(&database, &stream, None).await;
    assert_eq!(
        names(&records),
        [OperationType::Insert, OperationType::Modify, OperationType::Modify]
    );
    let last = records[2].dynamodb().unwrap().sequence_number();
    assert_eq!(
        shards().await[0]
            .sequence_number_range()
            .unwrap()
            .ending_sequence_number(),
        last
    );

    let iterator = streams
        .get_shard_iterator()
        .stream_arn(&stream)
        .shard_id(empty[0].shard_id().unwrap());
    let iterator = iterator
        .shard_iterator_type(ShardIteratorType::TrimHorizon)
        .send()
        .await
        .unwrap()
        .shard_iterator;
    let page = streams
        .get_records()
        .set_shard_iterator(iterator)
        .limit(2)
        .send()
        .await
        .unwrap();
    assert_eq!(page.records(), &records[..2]);
    let page = streams
        .get_records()
        .set_shard_iterator(page.next_shard_iterator)
        .limit(2)
        .send()
        .await
        .unwrap();
    assert_eq!(page.records(), &records[2..]);
    let page = streams
        .get_records()
        .set_shard_iterator(page.next_shard_iterator)
        .send()
        .await
        .unwrap();
    assert_eq!(page.records(), []);
    assert!(page.next_shard_iterator.is_some());
    database.stop().await;
}

/// Differs from DynamoDB, where a table's stream ends with it: here the new one begins with the old one's records, and
/// the old ARN answers as well.
#[tokio::test]
async fn a_table_made_again_has_a_new_stream_that_replays_the_old_one() {
    let database = LocalDynamoDb::start(0, DynamoDbStorage::Memory).await.unwrap();
    let old = database.ensure_table(TABLE, "id").await.unwrap();
    put(&database, "one", "a").await;
    database.client().delete_table().table_name(TABLE).send().await.unwrap();
    let new = database.ensure_table(TABLE, "id").await.unwrap();
    assert_ne!(old, new);
    assert_eq!(names(&read(&database, &new, None).await), [OperationType::Insert]);
    assert_eq!(names(&read(&database, &old, None).await), [OperationType::Insert]);
    database.stop().await;
}

async fn put_any(database: &LocalDynamoDb) {
    database.ensure_table(TABLE, "id").await.unwrap();
    put(database, "one", "a").await;
}

async fn put(database: &LocalDynamoDb, id: &str, value: &str) {
    let text = |text: &str| AttributeValue::S(text.to_owned());
    database
        .client()
        .put_item()
        .table_name(TABLE)
        .item("id", text(id))
        .item("value", text(value))
        .send()
        .await
        .unwrap();
}

/// What is in the stream now, after a sequence number or from the trim horizon.
async fn read(database: &LocalDynamoDb, stream: &str, after: Option<&str>) -> Vec<Record> {
    let streams = streams(database);
    let kind = if after.is_some() {
        ShardIteratorType::AfterSequenceNumber
    } else {
        ShardIteratorType::TrimHorizon
    };
    let answer = streams
        .get_shard_iterator()
        .stream_arn(stream)
        .shard_id(format!("shardId-00000001-{TABLE}"))
        .shard_iterator_type(kind)
        .set_sequence_number(after.map(str::to_owned))
        .send()
        .await
        .unwrap();
    streams
        .get_records()
        .set_shard_iterator(answer.shard_iterator)
        .send()
        .await
        .unwrap()
        .records
        .unwrap()
}

fn names(records: &[Record]) -> Vec<OperationType> {
    records
        .iter()
        .map(|record| record.event_name().unwrap().clone())
        .collect()
}

fn streams(database: &LocalDynamoDb) -> Streams {
    let config = Config::builder()
        .behavior_version(BehaviorVersion::latest())
        .region(Region::new("us-east-1"))
        .endpoint_url(database.endpoint())
        .credentials_provider(Credentials::new("local", "local", None, None, "test"))
        .http_client(aws_smithy_http_client::Builder::new().build_http());
    Streams::from_conf(config.build())
}
