//! One record: a change, or something that we do not understand and keep all the same.

use serde_json::{Value, json};
use weir_model::{Change, Item, Operation, Record, SequenceNumber, ServiceIdentity, UnknownRecord};
use weir_streams::ReadError;

use crate::support::http::Reply;
use crate::support::{Scripted, TABLE, iterator, page, record, sequences};

async fn read(records: Vec<Value>) -> Vec<Record> {
    let service = Scripted::start([iterator("i1"), page(records, Some("i2"))]).await;
    service.reader(None).await.next_page().await.unwrap().records
}

async fn change(record: Value) -> Change {
    match read(vec![record]).await.remove(0) {
        Record::Change(change) => change,
        Record::Unknown(unknown) => panic!("{unknown:?}"),
    }
}

async fn unknown(record: Value) -> UnknownRecord {
    match read(vec![record]).await.remove(0) {
        Record::Unknown(unknown) => unknown,
        Record::Change(change) => panic!("{change:?}"),
    }
}

fn item(value: Value) -> Item {
    serde_json::from_value(value).unwrap()
}

#[tokio::test]
async fn a_record_is_a_change_of_the_table_with_everything_it_says() {
    let change = change(record("400000000000000499660")).await;
    assert_eq!(change.sequence.as_str(), "400000000000000499660");
    assert_eq!(change.event_id.as_str(), "event-400000000000000499660");
    assert_eq!(change.table, TABLE);
    assert_eq!(change.operation, Operation::Modify);
    assert_eq!(change.created_at, "2026-03-01T12:00:00Z".parse().unwrap());
    assert_eq!(change.keys, item(json!({"order_id": {"S": "o1"}})));
    assert_eq!(
        change.old,
        Some(item(json!({"order_id": {"S": "o1"}, "status": {"S": "placed"}})))
    );
    assert_eq!(
        change.new,
        Some(item(json!({"order_id": {"S": "o1"}, "status": {"S": "paid"}})))
    );
    assert_eq!(change.service, None);
}

/// streams.md 28.
#[tokio::test]
async fn images_that_are_not_there_are_not_empty_images() {
    let with = |name: &str, images: &[&str]| {
        let mut record = record("1");
        record["eventName"] = json!(name);
        for image in ["OldImage", "NewImage"] {
            if !images.contains(&image) {
                record["dynamodb"].as_object_mut().unwrap().remove(image);
            }
        }
        record
    };
    for (name, images, operation) in [
        ("INSERT", vec!["NewImage"], Operation::Insert),
        ("MODIFY", vec![], Operation::Modify),
        ("REMOVE", vec!["OldImage"], Operation::Remove),
        ("REMOVE", vec![], Operation::Remove),
    ] {
        let change = change(with(name, &images)).await;
        assert_eq!(change.operation, operation);
        assert_eq!(change.old.is_some(), images.contains(&"OldImage"), "{name}");
        assert_eq!(change.new.is_some(), images.contains(&"NewImage"), "{name}");
    }
}

/// streams.md 30.
#[tokio::test]
async fn a_ttl_delete_names_the_service_that_made_it() {
    let mut ttl = record("1");
    ttl["eventName"] = json!("REMOVE");
    ttl["userIdentity"] = json!({"PrincipalId": "dynamodb.amazonaws.com", "Type": "Service"});
    let service = ServiceIdentity {
        kind: "Service".to_owned(),
        principal: "dynamodb.amazonaws.com".to_owned(),
    };
    assert_eq!(change(ttl).await.service, Some(service));
}

/// streams.md 26: 40 digits do not fit 128 bits, and 21 digits are fewer.
#[tokio::test]
async fn sequence_numbers_of_21_to_40_digits_keep_every_digit_and_their_order() {
    let numbers = [
        "999999999999999999999",
        "1000000000000000000000",
        "9999999999999999999999999999999999999998",
        "9999999999999999999999999999999999999999",
    ];
    let records = read(numbers.map(record).to_vec()).await;
    assert_eq!(sequences(&records), numbers);
    assert!(records.windows(2).all(|pair| pair[0].sequence() < pair[1].sequence()));

    let service = Scripted::start([iterator("i1"), page([], Some("i2"))]).await;
    service.reader(Some(numbers[3])).await.next_page().await.unwrap();
    assert_eq!(service.steps()[0], format!("AFTER_SEQUENCE_NUMBER {}", numbers[3]));
}

/// streams.md 31: not a crash and not a hole.
#[tokio::test]
async fn an_event_name_that_is_new_is_unknown_in_its_place_with_the_record_as_it_came() {
    let mut new_name = record("2");
    new_name["eventName"] = json!("ARCHIVE");
    new_name["dynamodb"]["NewImage"]["total"] = json!({"N": "12345678901234567890123456789012345678"});
    let sent = new_name.to_string();
    let records = read(vec![record("1"), new_name, record("3")]).await;
    assert_eq!(sequences(&records), ["1", "2", "3"]);
    let Record::Unknown(unknown) = &records[1] else {
        panic!("{:?}", records[1])
    };
    assert!(unknown.reason.contains("ARCHIVE"), "{}", unknown.reason);
    assert_eq!(unknown.created_at, "2026-03-01T12:00:00Z".parse().unwrap());
    assert_eq!(unknown.raw, sent);
    assert!(matches!(
        (&records[0], &records[2]),
        (Record::Change(_), Record::Change(_))
    ));
}

/// streams.md 31: a version that is new may mean anything.
#[tokio::test]
async fn an_event_version_that_is_new_comes_out_as_unknown() {
    let mut new_version = record("1");
    new_version["eventVersion"] = json!("2.0");
    assert_eq!(unknown(new_version).await.reason, "the event version \"2.0\" is new");
}

/// streams.md 31, for every part that a change must have.
#[tokio::test]
async fn a_record_that_lacks_a_part_is_unknown_and_says_which() {
    let without = |part: &str| {
        let mut record = record("1");
        record.as_object_mut().unwrap().remove(part);
        record["dynamodb"].as_object_mut().unwrap().remove(part);
        record
    };
    for (part, reason) in [
        ("eventName", "event name"),
        ("eventID", "event id"),
        ("ApproximateCreationDateTime", "time"),
        ("Keys", "keys"),
    ] {
        let unknown = unknown(without(part)).await;
        assert!(unknown.reason.contains(reason), "{part}: {}", unknown.reason);
        assert_eq!(unknown.sequence, SequenceNumber::parse("1").unwrap());
    }
}

/// streams.md 29 and 31: a value that cannot be one does not become another one.
#[tokio::test]
async fn a_value_that_we_do_not_understand_makes_the_record_unknown() {
    for value in [
        json!({"N": "NaN"}),
        json!({"N": ""}),
        json!({"NS": ["1", "one"]}),
        json!({"VECTOR": [1, 2]}),
    ] {
        let mut record = record("1");
        record["dynamodb"]["NewImage"]["total"] = json!({"L": [{"M": {"deep": value.clone()}}]});
        let unknown = unknown(record).await;
        assert!(!unknown.reason.is_empty(), "{value}");
    }
}

/// streams.md 31.
#[tokio::test]
async fn a_value_of_a_new_type_is_in_the_raw_record_as_it_was_sent() {
    let mut record = record("1");
    record["dynamodb"]["NewImage"]["place"] = json!({"VECTOR": [48.1, 11.5]});
    let unknown = unknown(record.clone()).await;
    assert!(unknown.reason.contains("VECTOR"), "{}", unknown.reason);
    assert_eq!(unknown.raw, record.to_string());
}

/// There is no place to record it at, so the shard stops rather than skip it.
#[tokio::test]
async fn a_record_without_a_sequence_number_stops_the_shard() {
    for sequence in [Value::Null, json!(""), json!("12x"), json!("-1")] {
        let mut placeless = record("2");
        placeless["dynamodb"]["SequenceNumber"] = sequence.clone();
        let service = Scripted::start([
            iterator("i1"),
            page([record("1"), placeless.clone()], Some("i2")),
            page([record("1"), placeless], Some("i2")),
        ])
        .await;
        let mut reader = service.reader(None).await;
        for _ in 0..2 {
            let error = reader.next_page().await.unwrap_err();
            assert!(matches!(error, ReadError::Service(_)), "{sequence}: {error}");
        }
        assert!(
            !service.steps().contains(&"i2".to_owned()),
            "{sequence}: it was skipped"
        );
    }
    let mut placeless = record("1");
    placeless.as_object_mut().unwrap().remove("dynamodb");
    let service = Scripted::start([iterator("i1"), page([placeless], None)]).await;
    let error = service.reader(None).await.next_page().await.unwrap_err();
    assert!(matches!(error, ReadError::Service(_)), "{error}");
}

/// The service may send members that this client does not know.
#[tokio::test]
async fn members_that_are_new_do_not_hurt() {
    let mut record = record("1");
    record["replicaRegion"] = json!("eu-west-1");
    record["dynamodb"]["TransactionId"] = json!("t1");
    let body = json!({"Records": [record], "NextShardIterator": "i2", "MillisBehindLatest": 7, "ChildShards": []});
    let service = Scripted::start([iterator("i1"), Reply::Json(200, body)]).await;
    let records = service.reader(None).await.next_page().await.unwrap().records;
    assert!(matches!(records[..], [Record::Change(_)]), "{records:?}");
}
