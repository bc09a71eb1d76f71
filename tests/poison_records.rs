//! Poison among many changes: exactly the poison is set aside, everything else is delivered, in order per item.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::collections::{BTreeMap, HashMap};

use aws_sdk_dynamodb::types::AttributeValue;
use serde_json::Value;
use weir_dev::{DynamoDbStorage, LocalDynamoDb};
use weir_tests::{Bus, Dice, Weir, component, eventually};

const ITEMS: u64 = 100;
const TABLE: &str = "poison-orders";

#[tokio::test(flavor = "multi_thread")]
async fn exactly_the_poison_becomes_dead_letters_and_the_rest_is_delivered_in_order() {
    check(1000, &["loop", "memory", "trap"]).await;
}

/// More than a search may take, so the route takes fewer changes at a time.
#[tokio::test(flavor = "multi_thread")]
async fn a_plugin_that_loops_on_many_changes_is_searched_in_smaller_parts() {
    check(128, &["loop"; 10]).await;
}

/// Puts so many changes, one for each of these kinds of poison among them.
async fn check(changes: usize, kinds: &[&'static str]) {
    let mut dice = Dice::new();
    let dynamodb = LocalDynamoDb::start(0, DynamoDbStorage::Memory).await.unwrap();
    dynamodb.ensure_table(TABLE, "id").await.unwrap();
    let bus = Bus::start().await;
    let weir = Weir::with_plugin(&dynamodb, TABLE, "poison", &bus);

    let mut poison: BTreeMap<usize, &str> = BTreeMap::new();
    while let Some(kind) = kinds.get(poison.len()) {
        let number = usize::try_from(dice.below(changes as u64)).unwrap();
        poison.entry(number).or_insert(kind);
    }
    let client = dynamodb.client();
    for number in 0..changes {
        let mut put = client
            .put_item()
            .table_name(TABLE)
            .item("id", AttributeValue::S(format!("order-{}", dice.below(ITEMS))))
            .item("number", AttributeValue::N(number.to_string()));
        if let Some(kind) = poison.get(&number) {
            put = put.item("poison", AttributeValue::S((*kind).to_owned()));
        }
        put.send().await.unwrap();
    }
    let running = weir.run(None);
    eventually("a delivery of each other change", async || {
        (bus.deliveries() >= changes - poison.len()).then_some(())
    })
    .await;
    let letters = eventually("a dead letter of each", async || {
        let answer = weir.command(&["dlq", "ls", "--json"]).await;
        let letters: Value = serde_json::from_str(&answer.stdout).ok()?;
        letters["dead_letters"]
            .as_array()
            .filter(|letters| letters.len() >= poison.len())
            .cloned()
    })
    .await;
    // The list is without what they say.
    let mut shown = Vec::new();
    for letter in letters {
        let answer = weir
            .command(&["dlq", "show", letter["delivery"].as_str().unwrap(), "--json"])
            .await;
        shown.push(serde_json::from_str::<Value>(&answer.stdout).unwrap());
    }
    running.stop().await;

    let digest = sha256_of(&component("poison"));
    let found: BTreeMap<usize, &str> = shown
        .iter()
        .map(|letter| {
            assert_eq!(letter["plugin_digest"], digest);
            assert!(
                letter["reason"].as_str().is_some_and(|reason| !reason.is_empty()),
                "{letter}"
            );
            let event: Value = serde_json::from_str(letter["payload"].as_str().unwrap()).unwrap();
            let number = usize::try_from(event["detail"]["new"]["number"].as_u64().unwrap()).unwrap();
            (number, letter["code"].as_str().unwrap())
        })
        .collect();
    let codes = HashMap::from([
        ("loop", "plugin-fuel"),
        ("memory", "plugin-memory"),
        ("trap", "plugin-trap"),
    ]);
    let expected: BTreeMap<usize, &str> = poison.iter().map(|(number, kind)| (*number, codes[kind])).collect();
    assert_eq!(found, expected);

    let mut last_of_item: HashMap<String, u64> = HashMap::new();
    for event in bus.received() {
        let before = last_of_item.insert(event.detail["keys"]["id"].to_string(), event.position());
        assert!(
            before.is_none_or(|before| before < event.position()),
            "out of order: {}",
            event.detail
        );
        let number = event.detail["new"]["number"].as_u64().unwrap();
        assert!(!expected.contains_key(&usize::try_from(number).unwrap()));
    }
    assert_eq!(bus.received().len(), changes - poison.len());
}

fn sha256_of(path: &std::path::Path) -> String {
    let output = std::process::Command::new("sha256sum").arg(path).output().unwrap();
    String::from_utf8(output.stdout)
        .unwrap()
        .split(' ')
        .next()
        .unwrap()
        .to_owned()
}
