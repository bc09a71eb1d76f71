//! The shop, by the stream that its writes make.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use aws_sdk_dynamodb::types::AttributeValue as TableValue;
use aws_sdk_dynamodbstreams::Client as Streams;
use aws_sdk_dynamodbstreams::config::{BehaviorVersion, Config, Credentials, Region};
use aws_sdk_dynamodbstreams::types::{AttributeValue, OperationType, ShardIteratorType, StreamRecord};
use tokio_util::sync::CancellationToken;
use weir_dev::shop::{KEY, Shop, ShopError, ShopOptions, TABLE};
use weir_dev::{DynamoDbStorage, LocalDynamoDb};

type Image = HashMap<String, AttributeValue>;

/// Longer than anything here takes on a loaded machine.
const PATIENCE: Duration = Duration::from_secs(120);

#[tokio::test]
async fn every_change_says_who_and_when_but_for_those_by_hand() {
    let place = Place::new().await;
    place.trade(400, HURRY).await;

    let mut by_hand = 0;
    let mut seen = HashSet::new();
    let mut last_moment = String::new();
    let mut tombstone: Option<Image> = None;
    for (operation, record) in place.records().await {
        let (old, new) = (record.old_image, record.new_image);
        assert_ne!(old, new, "every write changes something");
        match (&operation, old, new) {
            (OperationType::Remove, Some(old), None) => {
                assert_eq!(
                    Some(&old),
                    tombstone.as_ref(),
                    "the record before is the word on who deletes it"
                );
                assert_eq!(old["deleted_at"], old["updated_at"]);
                assert_eq!(text(&old, "updated_by"), "the-night-job");
            }
            (OperationType::Insert, None, Some(new)) => {
                assert_eq!(text(&new, "status"), "placed");
                assert!(seen.insert(text(&new, KEY).to_owned()), "no number is given twice");
                assert!(text(&new, "updated_at") > last_moment.as_str());
                last_moment = text(&new, "updated_at").to_owned();
                check_order(&new);
                tombstone = None;
            }
            (OperationType::Modify, Some(old), Some(new)) => {
                check_order(&new);
                if old["updated_at"] == new["updated_at"] {
                    by_hand += 1;
                    assert_eq!(changed(&old, &new), ["total"]);
                } else {
                    // The orders of a transaction share a moment.
                    assert!(text(&new, "updated_at") >= last_moment.as_str());
                    last_moment = text(&new, "updated_at").to_owned();
                }
                tombstone = new.contains_key("deleted_at").then_some(new);
            }
            other => panic!("an odd record: {other:?}"),
        }
    }
    assert!(by_hand > 0, "400 changes without one by hand: choose another seed");
}

#[tokio::test]
async fn orders_go_through_their_whole_life() {
    let place = Place::new().await;
    place.trade(400, HURRY).await;

    let records = place.records().await;
    let moves: HashSet<(String, String)> = records
        .iter()
        .filter_map(|(_, record)| {
            let (old, new) = (record.old_image()?, record.new_image()?);
            Some((text(old, "status").to_owned(), text(new, "status").to_owned()))
        })
        .filter(|(old, new)| old != new)
        .collect();
    for (from, to) in [
        ("placed", "paid"),
        ("paid", "packed"),
        ("packed", "shipped"),
        ("shipped", "delivered"),
        ("placed", "cancelled"),
    ] {
        assert!(
            moves.contains(&(from.to_owned(), to.to_owned())),
            "{from} to {to} is missing in {moves:?}"
        );
    }
    assert!(records.iter().any(|(operation, _)| *operation == OperationType::Remove));
    let people: HashSet<&str> = records
        .iter()
        .filter_map(|(_, record)| Some(text(record.new_image()?, "updated_by")))
        .collect();
    assert_eq!(
        people,
        HashSet::from(["maria", "jonas", "aisha", "chen", "the-night-job"])
    );
}

#[tokio::test]
async fn a_second_shop_goes_on_with_the_orders_of_the_first() {
    let place = Place::new().await;
    place.trade(60, HURRY).await;
    let before = place.records().await.len();
    place.trade(60, HURRY).await;

    let mut numbers = Vec::new();
    for (operation, record) in place.records().await {
        if operation == OperationType::Insert {
            numbers.push(
                text(record.new_image().unwrap(), KEY)["order-".len()..]
                    .parse::<u64>()
                    .unwrap(),
            );
        }
    }
    let first: Vec<u64> = (1001..).take(numbers.len()).collect();
    assert_eq!(
        numbers, first,
        "without a gap or a repetition, {before} records before the restart"
    );
}

#[tokio::test]
async fn the_number_of_orders_is_bounded() {
    let place = Place::new().await;
    place.trade(200, ShopOptions { orders_max: 6, ..HURRY }).await;
    let mut there: i32 = 0;
    for (operation, _) in place.records().await {
        there += match operation {
            OperationType::Insert => 1,
            OperationType::Remove => -1,
            _ => 0,
        };
        assert!(there <= 6);
    }
}

#[tokio::test]
async fn edits_from_outside_are_respected() {
    let place = Place::new().await;
    let client = place.database.client();
    let text = |value: &str| TableValue::S(value.to_owned());
    let foreign = client
        .put_item()
        .table_name(TABLE)
        .item(KEY, text("mine"))
        .item("status", text("paid"));
    foreign.send().await.unwrap();
    let own = client
        .put_item()
        .table_name(TABLE)
        .item(KEY, text("order-2000"))
        .item("status", text("shipped"));
    own.item("gift", TableValue::Bool(true)).send().await.unwrap();
    place.trade(200, HURRY).await;

    for (_, record) in place.records().await.into_iter().skip(2) {
        assert_ne!(record.keys().unwrap()[KEY].as_s().unwrap(), "mine");
        if record.keys().unwrap()[KEY].as_s().unwrap() == "order-2000" {
            assert!(
                record.new_image().or(record.old_image()).unwrap().contains_key("gift"),
                "{record:?}"
            );
        }
    }
    assert!(
        place
            .records()
            .await
            .iter()
            .any(|(_, record)| record.keys().unwrap()[KEY].as_s().unwrap() == "order-2001")
    );
}

#[tokio::test]
async fn stopping_does_not_wait_for_the_pace() {
    let place = Place::new().await;
    place
        .trade(
            1,
            ShopOptions {
                pace: Duration::from_secs(3600),
                ..HURRY
            },
        )
        .await;
    assert_eq!(place.records().await.len(), 1);
}

#[tokio::test]
async fn without_its_table_the_shop_says_what_to_create() {
    let database = LocalDynamoDb::start(0, DynamoDbStorage::Memory).await.unwrap();
    let closed = Shop::new(database.client(), HURRY)
        .run(CancellationToken::new())
        .await
        .unwrap_err();
    assert!(matches!(closed, ShopError::NoTable(_)), "{closed:?}");
    assert_eq!(
        closed.to_string(),
        "table shop-orders is not there: create it with the hash key order_id"
    );
    database.stop().await;
}

const HURRY: ShopOptions = ShopOptions {
    pace: Duration::ZERO,
    seed: 11,
    orders_max: 12,
};

/// A database with the shop's table.
struct Place {
    database: LocalDynamoDb,
    stream: String,
    streams: Streams,
}

impl Place {
    async fn new() -> Place {
        let database = LocalDynamoDb::start(0, DynamoDbStorage::Memory).await.unwrap();
        let stream = database.ensure_table(TABLE, KEY).await.unwrap();
        let config = Config::builder()
            .behavior_version(BehaviorVersion::latest())
            .region(Region::new("us-east-1"))
            .endpoint_url(database.endpoint())
            .credentials_provider(Credentials::new("local", "local", None, None, "test"))
            .http_client(aws_smithy_http_client::Builder::new().build_http());
        Place {
            database,
            stream,
            streams: Streams::from_conf(config.build()),
        }
    }

    /// Runs a shop until it has made at least so many records, and stops it.
    async fn trade(&self, changes: usize, options: ShopOptions) {
        let stop = CancellationToken::new();
        let mut iterator = self.iterator(ShardIteratorType::Latest).await;
        let shop = Shop::new(self.database.client(), options).run(stop.clone());
        let watch = async {
            let mut seen = 0;
            while seen < changes {
                let page = self
                    .streams
                    .get_records()
                    .shard_iterator(iterator)
                    .send()
                    .await
                    .unwrap();
                seen += page.records().len();
                iterator = page.next_shard_iterator.unwrap();
            }
            stop.cancel();
        };
        let (traded, ()) = tokio::time::timeout(PATIENCE, async { tokio::join!(shop, watch) })
            .await
            .unwrap();
        traded.unwrap();
    }

    async fn records(&self) -> Vec<(OperationType, StreamRecord)> {
        let iterator = self.iterator(ShardIteratorType::TrimHorizon).await;
        let page = self
            .streams
            .get_records()
            .shard_iterator(iterator)
            .send()
            .await
            .unwrap();
        page.records
            .unwrap()
            .into_iter()
            .map(|record| (record.event_name.unwrap(), record.dynamodb.unwrap()))
            .collect()
    }

    async fn iterator(&self, kind: ShardIteratorType) -> String {
        let shard = format!("shardId-00000001-{TABLE}");
        let ask = self
            .streams
            .get_shard_iterator()
            .stream_arn(&self.stream)
            .shard_id(shard)
            .shard_iterator_type(kind);
        ask.send().await.unwrap().shard_iterator.unwrap()
    }
}

#[track_caller]
fn check_order(order: &Image) {
    for name in [KEY, "customer", "status", "note", "updated_by", "updated_at"] {
        assert!(order[name].is_s(), "{name}");
    }
    let (whole, cents) = order["total"]
        .as_n()
        .unwrap()
        .split_once('.')
        .unwrap_or((order["total"].as_n().unwrap(), "00"));
    assert!(whole.parse::<u64>().is_ok() && cents.len() <= 2, "{:?}", order["total"]);
    let moment = text(order, "updated_at");
    assert!(
        moment.len() == "2026-01-01T00:00:00.000Z".len() && moment.ends_with('Z'),
        "{moment}"
    );
    for item in order["items"].as_l().unwrap() {
        let item = item.as_m().unwrap();
        assert!(item["sku"].is_s() && item["quantity"].is_n());
    }
}

#[track_caller]
fn text<'image>(image: &'image Image, name: &str) -> &'image str {
    image
        .get(name)
        .and_then(|value| value.as_s().ok())
        .map_or("", String::as_str)
}

fn changed<'image>(old: &'image Image, new: &'image Image) -> Vec<&'image str> {
    let mut names: Vec<&str> = old.keys().chain(new.keys()).map(String::as_str).collect();
    names.sort_unstable();
    names.dedup();
    names.retain(|name| old.get(*name) != new.get(*name));
    names
}
