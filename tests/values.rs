//! Exact values, all the way: written with the AWS SDK, recorded in the ledger, read back from an EventBridge and an SQS
//! that we did not write (moto, or ministack), behind a rule.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::collections::BTreeMap;

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::primitives::Blob;
use aws_sdk_dynamodb::types::{AttributeValue, Delete, Put, TransactWriteItem, Update};
use serde_json::{Value, json};
use weir_dev::{DynamoDbStorage, LocalDynamoDb};
use weir_evidence::EntryKind;
use weir_tests::{Aws, Weir};

const TABLE: &str = "value-orders";

/// A number of as many digits as the database has; the next one is another number that a double cannot tell from it.
const LONG_NUMBER: &str = "12345678901234567890123456789012345678";

/// The events that arrive for [`write`], in order of position: operation, key, new image.
fn expected_events() -> Vec<(&'static str, &'static str, Value)> {
    let everything = json!({
        "id": "everything", "long": LONG_NUMBER, "price": 19.99, "small": 1e-7, "yes": true, "nothing": null,
        "empty": "", "binary": "AAH/", "no-bytes": "", "texts": ["a", "b"], "numbers": [10, 9],
        "binaries": ["", "AQ=="], "list": [1, "two", []], "nested": {"deep": {"er": {"ü/~": "x"}}},
    });
    let mut updated = everything.clone();
    updated["price"] = json!(20);
    vec![
        ("insert", "everything", everything),
        ("modify", "everything", updated),
        ("insert", "first", json!({"id": "first", "n": 1})),
        ("insert", "second", json!({"id": "second", "n": 2})),
        ("modify", "first", json!({"id": "first", "n": 3})),
        ("remove", "second", Value::Null),
        ("remove", "everything", Value::Null),
    ]
}

/// PutItem, UpdateItem, TransactWriteItems and DeleteItem.
async fn write(client: &Client) {
    let text = |text: &str| AttributeValue::S(text.to_owned());
    let number = |text: &str| AttributeValue::N(text.to_owned());
    let bytes = |bytes: &[u8]| Blob::new(bytes);
    let map = |name: &str, value: AttributeValue| AttributeValue::M([(name.to_owned(), value)].into());
    client
        .put_item()
        .table_name(TABLE)
        .item("id", text("everything"))
        .item("long", number(LONG_NUMBER))
        .item("price", number("19.99"))
        .item("small", number("0.0000001"))
        .item("yes", AttributeValue::Bool(true))
        .item("nothing", AttributeValue::Null(true))
        .item("empty", text(""))
        .item("binary", AttributeValue::B(bytes(&[0, 1, 255])))
        .item("no-bytes", AttributeValue::B(bytes(&[])))
        .item("texts", AttributeValue::Ss(vec!["b".to_owned(), "a".to_owned()]))
        .item("numbers", AttributeValue::Ns(vec!["9".to_owned(), "10".to_owned()]))
        .item("binaries", AttributeValue::Bs(vec![bytes(&[1]), bytes(&[])]))
        .item(
            "list",
            AttributeValue::L(vec![number("1"), text("two"), AttributeValue::L(vec![])]),
        )
        .item("nested", map("deep", map("er", map("ü/~", text("x")))))
        .send()
        .await
        .unwrap();
    client
        .update_item()
        .table_name(TABLE)
        .key("id", text("everything"))
        .update_expression("set price = :price")
        .expression_attribute_values(":price", number("20"))
        .send()
        .await
        .unwrap();
    let put = |id: &str, n: &str| {
        let put = Put::builder()
            .table_name(TABLE)
            .item("id", text(id))
            .item("n", number(n))
            .build()
            .unwrap();
        TransactWriteItem::builder().put(put).build()
    };
    client
        .transact_write_items()
        .transact_items(put("first", "1"))
        .transact_items(put("second", "2"))
        .send()
        .await
        .unwrap();
    let update = Update::builder()
        .table_name(TABLE)
        .key("id", text("first"))
        .update_expression("set n = :n")
        .expression_attribute_values(":n", number("3"))
        .build()
        .unwrap();
    let delete = Delete::builder()
        .table_name(TABLE)
        .key("id", text("second"))
        .build()
        .unwrap();
    client
        .transact_write_items()
        .transact_items(TransactWriteItem::builder().update(update).build())
        .transact_items(TransactWriteItem::builder().delete(delete).build())
        .send()
        .await
        .unwrap();
    client
        .delete_item()
        .table_name(TABLE)
        .key("id", text("everything"))
        .send()
        .await
        .unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn values_arrive_exactly_in_the_ledger_and_behind_a_rule_of_another_eventbridge() {
    let dynamodb = LocalDynamoDb::start(0, DynamoDbStorage::Memory).await.unwrap();
    dynamodb.ensure_table(TABLE, "id").await.unwrap();
    let aws = Aws::start().await;
    let queue = aws.queue("events").await;
    aws.rule_to_queue("events", r#"{"source": [{"prefix": "weir."}]}"#)
        .await;
    let weir = Weir::configure(&format!(
        "[sink.bus]\ntype = \"eventbridge\"\nendpoint = \"{}\"\ntest_credentials = true\n\
         [source.shop]\ntable = \"{TABLE}\"\nendpoint = \"{}\"\ntest_credentials = true\n\
         [route.all]\nsource = \"shop\"\nsinks = [\"bus\"]\n",
        aws.endpoint,
        dynamodb.endpoint(),
    ));
    write(&dynamodb.client()).await;
    let running = weir.run(None);
    let expected = expected_events();
    weir.recorded(expected.len() as u64).await;
    let received = aws.receive(&queue, expected.len()).await;
    running.stop().await;

    let position = |event: &Value| event["detail"]["position"].as_u64().unwrap();
    let events: BTreeMap<u64, Value> = received.into_iter().map(|event| (position(&event), event)).collect();

    // What the configuration makes of the route is an entry before them.
    for (position, (operation, id, new)) in (1..).zip(&expected) {
        let event = &events[&position];
        assert_eq!(event["source"], "weir.shop");
        assert_eq!(event["detail-type"], format!("{TABLE}.{operation}"));
        assert_eq!(event["detail"]["keys"], json!({ "id": id }));
        assert_eq!(event["detail"]["new"], *new, "event {position}");
        assert_eq!(event["detail"]["ledger"], "main");
        assert!(
            event["detail"]["delivery"]
                .as_str()
                .is_some_and(|delivery| delivery.len() == 32)
        );
    }
    check_ledger(&weir, &dynamodb.client(), &expected).await;
}

/// The ledger holds what the database holds, in the database's own notation, type for type and digit for digit.
async fn check_ledger(weir: &Weir, client: &Client, expected: &[(&str, &str, Value)]) {
    let entries = weir.records().await;
    assert_eq!(entries.len(), expected.len());
    for (entry, (operation, _, new)) in entries.iter().zip(expected) {
        let EntryKind::Change {
            operation: recorded, ..
        } = &entry.entry.kind
        else {
            panic!("only changes were made")
        };
        assert_eq!(recorded.as_str(), *operation);
        let body = &entry.body;
        let plain = body.new.as_ref().map_or(Value::Null, weir_model::plain_json);
        assert_eq!(plain, *new);
        // Each image that follows another of its item begins where that one ended.
        assert_eq!(body.old.is_some(), *operation != "insert");
    }
    let first = serde_json::to_value(entries[0].body.new.as_ref().unwrap()).unwrap();
    let typed = [
        ("long", json!({"N": LONG_NUMBER})),
        ("small", json!({"N": "0.0000001"})),
        ("empty", json!({"S": ""})),
        ("binary", json!({"B": "AAH/"})),
        ("no-bytes", json!({"B": ""})),
        ("nothing", json!({"NULL": true})),
        (
            "nested",
            json!({"M": {"deep": {"M": {"er": {"M": {"ü/~": {"S": "x"}}}}}}}),
        ),
    ];
    for (name, value) in typed {
        assert_eq!(first[name], value, "{name}");
    }
    let kept = client
        .get_item()
        .table_name(TABLE)
        .key("id", AttributeValue::S("first".to_owned()))
        .send()
        .await
        .unwrap();
    assert_eq!(kept.item.unwrap()["n"], AttributeValue::N("3".to_owned()));
}
