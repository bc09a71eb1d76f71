//! Every attribute value, by every kind of write: what was written is what comes out, to the last digit.

use std::collections::HashMap;

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::primitives::Blob;
use aws_sdk_dynamodb::types::{AttributeValue as SdkValue, Delete, Put, TransactWriteItem, Update};
use serde_json::{Value, json};
use weir_dev::{DynamoDbStorage, LocalDynamoDb};
use weir_model::{AttributeValue, Bytes, Change, Item, Number, Operation, Record};

use crate::support::{TABLE, streams};

/// A value of each type, and those that other pipelines have lost (streams.md 29).
fn every_value() -> Item {
    let number = |text: &str| AttributeValue::N(Number::parse(text).unwrap());
    let bytes = |bytes: &[u8]| Bytes(bytes.to_vec());
    let inner = Item::from([
        ("empty".to_owned(), AttributeValue::text("")),
        ("n".to_owned(), number("0.1")),
        ("map".to_owned(), AttributeValue::M(Item::new())),
        ("a/b~c.d[0]".to_owned(), AttributeValue::Bool(false)),
    ]);
    Item::from([
        (
            "text".to_owned(),
            AttributeValue::text("Zo\u{eb} \u{1f9ca} \"quoted\"\n\u{0}"),
        ),
        ("empty_text".to_owned(), AttributeValue::text("")),
        ("number".to_owned(), number("19.99")),
        ("digits".to_owned(), number("12345678901234567890123456789012345678")),
        (
            "negative".to_owned(),
            number("-0.0000000001234567890123456789012345678901"),
        ),
        ("integer_over_2_53".to_owned(), number("9007199254740993")),
        ("binary".to_owned(), AttributeValue::B(bytes(&[0, 255, 10]))),
        ("empty_binary".to_owned(), AttributeValue::B(bytes(&[]))),
        (
            "texts".to_owned(),
            AttributeValue::Ss(vec!["a".to_owned(), "b".to_owned()]),
        ),
        (
            "numbers".to_owned(),
            AttributeValue::Ns(vec![Number::parse("1").unwrap(), Number::parse("2.5").unwrap()]),
        ),
        (
            "binaries".to_owned(),
            AttributeValue::Bs(vec![bytes(&[0]), bytes(&[1, 2])]),
        ),
        ("truth".to_owned(), AttributeValue::Bool(true)),
        ("nothing".to_owned(), AttributeValue::Null(true)),
        ("map".to_owned(), AttributeValue::M(inner.clone())),
        (
            "list".to_owned(),
            AttributeValue::L(vec![
                AttributeValue::L(vec![]),
                AttributeValue::M(inner),
                AttributeValue::Null(true),
                number("38"),
            ]),
        ),
    ])
}

fn sdk_item(item: &Item) -> HashMap<String, SdkValue> {
    item.iter()
        .map(|(name, value)| (name.clone(), sdk_value(value)))
        .collect()
}

fn sdk_value(value: &AttributeValue) -> SdkValue {
    let blob = |bytes: &Bytes| Blob::new(bytes.0.clone());
    match value {
        AttributeValue::S(text) => SdkValue::S(text.clone()),
        AttributeValue::N(number) => SdkValue::N(number.as_str().to_owned()),
        AttributeValue::B(bytes) => SdkValue::B(blob(bytes)),
        AttributeValue::Ss(texts) => SdkValue::Ss(texts.clone()),
        AttributeValue::Ns(numbers) => SdkValue::Ns(numbers.iter().map(|number| number.as_str().to_owned()).collect()),
        AttributeValue::Bs(binaries) => SdkValue::Bs(binaries.iter().map(blob).collect()),
        AttributeValue::M(item) => SdkValue::M(sdk_item(item)),
        AttributeValue::L(values) => SdkValue::L(values.iter().map(sdk_value).collect()),
        AttributeValue::Bool(truth) => SdkValue::Bool(*truth),
        AttributeValue::Null(truth) => SdkValue::Null(*truth),
    }
}

fn with_id(id: &str, mut item: Item) -> Item {
    item.insert("order_id".to_owned(), AttributeValue::text(id));
    item
}

/// Runs `write` against a table of its own, and reads what its stream has then.
async fn changes_of<Write: Future<Output = ()>>(write: impl FnOnce(Client) -> Write) -> Vec<Change> {
    let database = LocalDynamoDb::start(0, DynamoDbStorage::Memory).await.unwrap();
    database.ensure_table(TABLE, "order_id").await.unwrap();
    write(database.client()).await;

    let streams = streams(&database.endpoint()).await;
    let stream = streams.find(TABLE).await.unwrap();
    let mut reader = streams.read(&stream.arn, TABLE, &stream.shards[0].shard, None);
    let records = reader.next_page().await.unwrap().records;
    database.stop().await;
    let change = |record| match record {
        Record::Change(change) => change,
        Record::Unknown(unknown) => panic!("{unknown:?}"),
    };
    records.into_iter().map(change).collect()
}

/// What happened, the key, and which images there are.
fn shown(change: &Change) -> String {
    let images = [("old", &change.old), ("new", &change.new)];
    let images: Vec<&str> = images
        .iter()
        .filter(|(_, image)| image.is_some())
        .map(|(name, _)| *name)
        .collect();
    let key = change.keys["order_id"].as_text().unwrap();
    format!("{} {key} {}", change.operation.as_str(), images.join("+"))
}

/// streams.md 28 and 29.
#[tokio::test]
async fn put_update_and_delete_carry_every_value_exactly() {
    let first = with_id("o1", every_value());
    let mut second = first.clone();
    second.insert("number".to_owned(), AttributeValue::N(Number::parse("20").unwrap()));
    second.remove("nothing");
    let third = with_id("o1", Item::new());

    let (put, key) = (sdk_item(&first), SdkValue::S("o1".to_owned()));
    let put_again = sdk_item(&third);
    let changes = changes_of(async |client: Client| {
        client
            .put_item()
            .table_name(TABLE)
            .set_item(Some(put))
            .send()
            .await
            .unwrap();
        let update = client.update_item().table_name(TABLE).key("order_id", key.clone());
        update
            .update_expression("SET #number = :number REMOVE nothing")
            .expression_attribute_names("#number", "number")
            .expression_attribute_values(":number", SdkValue::N("20".to_owned()))
            .send()
            .await
            .unwrap();
        client
            .put_item()
            .table_name(TABLE)
            .set_item(Some(put_again))
            .send()
            .await
            .unwrap();
        client
            .delete_item()
            .table_name(TABLE)
            .key("order_id", key)
            .send()
            .await
            .unwrap();
    })
    .await;

    let lines: Vec<String> = changes.iter().map(shown).collect();
    assert_eq!(
        lines,
        [
            "insert o1 new",
            "modify o1 old+new",
            "modify o1 old+new",
            "remove o1 old"
        ]
    );
    let images = |change: &Change| (change.old.clone(), change.new.clone());
    assert_eq!(images(&changes[0]), (None, Some(first.clone())));
    assert_eq!(images(&changes[1]), (Some(first), Some(second.clone())));
    assert_eq!(images(&changes[2]), (Some(second), Some(third.clone())));
    assert_eq!(images(&changes[3]), (Some(third), None));
}

/// streams.md 25: each write of a transaction is a record of its own.
#[tokio::test]
async fn the_writes_of_a_transaction_are_changes_like_any_other() {
    let item = with_id("new", every_value());
    let put = sdk_item(&item);
    let changes = changes_of(async |client: Client| {
        for id in ["updated", "deleted"] {
            let put = client
                .put_item()
                .table_name(TABLE)
                .item("order_id", SdkValue::S(id.to_owned()));
            put.item("kept", SdkValue::Bool(true)).send().await.unwrap();
        }
        let put = Put::builder().table_name(TABLE).set_item(Some(put)).build().unwrap();
        let update = Update::builder()
            .table_name(TABLE)
            .key("order_id", SdkValue::S("updated".to_owned()))
            .update_expression("SET amount = :amount")
            .expression_attribute_values(
                ":amount",
                SdkValue::N("0.10000000000000000000000000000000000001".to_owned()),
            )
            .build()
            .unwrap();
        let delete = Delete::builder()
            .table_name(TABLE)
            .key("order_id", SdkValue::S("deleted".to_owned()));
        let write = TransactWriteItem::builder;
        client
            .transact_write_items()
            .transact_items(write().put(put).build())
            .transact_items(write().update(update).build())
            .transact_items(write().delete(delete.build().unwrap()).build())
            .send()
            .await
            .unwrap();
    })
    .await;

    let mut lines: Vec<String> = changes[2..].iter().map(shown).collect();
    lines.sort_unstable();
    assert_eq!(
        lines,
        ["insert new new", "modify updated old+new", "remove deleted old"]
    );
    let of = |operation| {
        changes[2..]
            .iter()
            .find(|change| change.operation == operation)
            .unwrap()
    };
    assert_eq!(of(Operation::Insert).new, Some(item));
    let amount = &of(Operation::Modify).new.as_ref().unwrap()["amount"];
    let exact = json!({"N": "0.10000000000000000000000000000000000001"});
    assert_eq!(serde_json::to_value(amount).unwrap(), exact);
}

/// A set has no order in the database; two readings of one must be equal, so it has one here.
#[tokio::test]
async fn sets_come_out_in_an_order_of_their_own() {
    let set: Value = json!({"SS": ["a", "b", "c"]});
    let changes = changes_of(async |client: Client| {
        for (id, texts) in [("o1", ["c", "a", "b"]), ("o2", ["b", "c", "a"])] {
            let put = client
                .put_item()
                .table_name(TABLE)
                .item("order_id", SdkValue::S(id.to_owned()));
            let texts = texts.map(str::to_owned).to_vec();
            put.item("texts", SdkValue::Ss(texts)).send().await.unwrap();
        }
    })
    .await;
    for change in changes {
        let texts = &change.new.as_ref().unwrap()["texts"];
        assert_eq!(serde_json::to_value(texts).unwrap(), set);
    }
}
