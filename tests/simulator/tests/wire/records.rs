//! What records say.

use std::collections::{BTreeMap, BTreeSet};

use aws_sdk_dynamodbstreams::primitives::DateTime;
use aws_sdk_dynamodbstreams::types::OperationType;
use serde_json::json;
use weir_simulator::{Resharding, SequenceNumber, Setup, ViewType, Write, item};

use crate::support::{TABLE, id, put, sequence, start, start_with, start_with_shards};

/// Line 25.
#[tokio::test]
async fn the_changes_of_an_item_are_in_order_and_each_is_there_once() {
    let (simulator, streams) = start_with_shards(4).await;
    simulator.change_some(TABLE, 20, 500).unwrap();
    let mut seen: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for shard in simulator.open_shards(TABLE).unwrap() {
        for record in streams.read(&shard).await {
            let events = seen.entry(id(&record).to_owned()).or_default();
            events.push(record.event_id().unwrap().to_owned());
        }
    }
    let mut expected: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for change in simulator.truth().changes {
        let events = expected.entry(change.item).or_default();
        assert_eq!(change.item_order, events.len() as u64);
        events.push(change.record.unwrap().event_id);
    }
    assert_eq!(seen, expected);
    assert!(simulator.truth().changes.iter().all(|change| change.read_at.is_some()));
}

/// Line 25.
#[tokio::test]
async fn records_of_a_transaction_come_between_others_in_any_order() {
    let (simulator, streams) = start().await;
    let writes = |prefix: &str| -> Vec<Write> {
        (0..20)
            .map(|number| Write::Put(item(&format!("{prefix}{number:02}"), &[])))
            .collect()
    };
    simulator.transact(TABLE, &writes("in"), &writes("out")).unwrap();
    let records = streams.read(&streams.shard()).await;
    let ids: Vec<&str> = records.iter().map(id).collect();
    let (inside, outside): (Vec<&str>, Vec<&str>) = ids.iter().partition(|id| id.starts_with("in"));
    assert!(!inside.is_sorted());
    assert!(outside.is_sorted());
    assert!(
        !ids[..20].iter().all(|id| id.starts_with("in")),
        "they stand between each other"
    );
    let truth = simulator.truth();
    assert_eq!(
        truth
            .changes
            .iter()
            .filter(|change| change.transaction == Some(1))
            .count(),
        20
    );
}

/// Line 26.
#[tokio::test]
async fn sequence_numbers_rise_from_parent_to_child_and_outgrow_128_bits() {
    let mut lengths = BTreeSet::new();
    for seed in 0..20 {
        let (simulator, streams) = start_with(Setup {
            seed,
            ..Setup::default()
        })
        .await;
        let parent = streams.shard();
        put(&simulator, "o1");
        let child = simulator.rotate(TABLE, None, &Resharding::default()).unwrap();
        put(&simulator, "o1");
        let mut records = streams.read(&parent).await;
        records.extend(streams.read(&child).await);
        let numbers: Vec<SequenceNumber> = records
            .iter()
            .map(|record| SequenceNumber::parse(sequence(record)).unwrap())
            .collect();
        assert!(numbers[0] < numbers[1]);
        lengths.insert(numbers[0].as_str().len());
    }
    assert!(lengths.first().unwrap() < &24, "{lengths:?}");
    assert!(lengths.last().unwrap() > &38, "{lengths:?}");
}

/// Line 27.
#[tokio::test]
async fn the_time_of_a_change_is_in_whole_seconds() {
    let (simulator, streams) = start().await;
    simulator.step(std::time::Duration::from_millis(1_999));
    put(&simulator, "o1");
    let records = streams.read(&streams.shard()).await;
    let time = records[0].dynamodb().unwrap().approximate_creation_date_time();
    assert_eq!(time, Some(&DateTime::from_secs(1_767_225_601)));
}

/// Line 28.
#[tokio::test]
async fn the_view_decides_which_images_there_are() {
    for (view, expected) in [
        (ViewType::KeysOnly, ["--", "--", "--"]),
        (ViewType::NewImage, ["-n", "-n", "--"]),
        (ViewType::OldImage, ["--", "o-", "o-"]),
        (ViewType::NewAndOldImages, ["-n", "on", "o-"]),
    ] {
        let (simulator, streams) = start().await;
        simulator.disable(TABLE).unwrap();
        simulator.enable(TABLE, Some(view)).unwrap();
        put(&simulator, "o1");
        put(&simulator, "o1");
        simulator.delete(TABLE, "o1").unwrap();
        let records = streams.read(&streams.shard()).await;
        let images: Vec<String> = records
            .iter()
            .map(|record| {
                let body = record.dynamodb().unwrap();
                let mark = |image: bool, mark| if image { mark } else { "-" };
                mark(body.old_image().is_some(), "o").to_owned() + mark(body.new_image().is_some(), "n")
            })
            .collect();
        assert_eq!(images, expected, "{view:?}");
        let body = records[0].dynamodb().unwrap();
        assert_eq!(body.stream_view_type().unwrap().as_str(), view.as_str());
        assert!(body.size_bytes().unwrap() > 0);
    }
}

/// Line 29.
#[tokio::test]
async fn values_of_every_type_arrive_as_they_were_written() {
    let (simulator, streams) = start().await;
    let number = "12345678901234567890123456789012345678";
    let written = item(
        "o1",
        &[
            ("text", json!({ "S": "" })),
            ("number", json!({ "N": number })),
            ("binary", json!({ "B": "" })),
            ("texts", json!({ "SS": ["b", "a"] })),
            ("numbers", json!({ "NS": ["2", "1.50"] })),
            ("binaries", json!({ "BS": ["YQ==", ""] })),
            (
                "map",
                json!({ "M": { "list": { "L": [{ "BOOL": true }, { "NULL": true }] } } }),
            ),
        ],
    );
    simulator.put(TABLE, written).unwrap();
    let records = streams.read(&streams.shard()).await;
    let new = records[0].dynamodb().unwrap().new_image().unwrap();
    assert_eq!(new["text"].as_s().unwrap(), "");
    assert_eq!(new["number"].as_n().unwrap(), number);
    assert!(new["binary"].as_b().unwrap().as_ref().is_empty());
    assert_eq!(new["texts"].as_ss().unwrap(), &["b", "a"]);
    assert_eq!(new["numbers"].as_ns().unwrap(), &["2", "1.50"]);
    assert_eq!(new["binaries"].as_bs().unwrap()[0].as_ref(), b"a");
    let list = new["map"].as_m().unwrap()["list"].as_l().unwrap();
    assert!(list[0].as_bool().unwrap() & list[1].as_null().unwrap());
}

#[tokio::test]
async fn a_write_that_changes_nothing_is_not_told() {
    let (simulator, streams) = start().await;
    assert!(simulator.put(TABLE, item("o1", &[])).unwrap().is_some());
    assert_eq!(simulator.put(TABLE, item("o1", &[])).unwrap(), None);
    assert_eq!(simulator.delete(TABLE, "o2").unwrap(), None);
    assert_eq!(streams.read(&streams.shard()).await.len(), 1);
}

/// Line 30.
#[tokio::test]
async fn a_delete_by_the_database_names_the_database() {
    let (simulator, streams) = start().await;
    put(&simulator, "o1");
    simulator.expire(TABLE, "o1").unwrap();
    let records = streams.read(&streams.shard()).await;
    assert_eq!(records[0].user_identity(), None);
    let identity = records[1].user_identity().unwrap();
    assert_eq!(records[1].event_name(), Some(&OperationType::Remove));
    assert_eq!(identity.r#type(), Some("Service"));
    assert_eq!(identity.principal_id(), Some("dynamodb.amazonaws.com"));
    assert!(simulator.truth().changes[1].by_ttl);
}

/// Line 31.
#[tokio::test]
async fn an_event_may_have_a_name_and_a_version_that_nobody_knows() {
    let (simulator, streams) = start().await;
    put(&simulator, "o1");
    let odd = Write::Odd {
        id: "o1".to_owned(),
        event_name: "ARCHIVE".to_owned(),
        event_version: Some("2.0".to_owned()),
    };
    simulator.write(TABLE, &odd).unwrap();
    let records = streams.read(&streams.shard()).await;
    assert_eq!(records[1].event_name().unwrap().as_str(), "ARCHIVE");
    assert_eq!(records[1].event_version(), Some("2.0"));
    assert_eq!(simulator.truth().changes[1].operation, "ARCHIVE");
}

/// Line 43.
#[tokio::test]
async fn a_child_may_begin_with_the_last_records_of_its_parent() {
    for renumbered in [false, true] {
        let (simulator, streams) = start().await;
        let parent = streams.shard();
        for id in ["o1", "o2", "o3"] {
            put(&simulator, id);
        }
        let how = Resharding {
            repeats: 2,
            renumbered,
            ..Resharding::default()
        };
        let child = simulator.rotate(TABLE, None, &how).unwrap();
        put(&simulator, "o4");
        let of_parent = streams.read(&parent).await;
        let of_child = streams.read(&child).await;
        assert_eq!(of_child.iter().map(id).collect::<Vec<&str>>(), ["o2", "o3", "o4"]);
        assert_eq!(of_child[1].event_id(), of_parent[2].event_id());
        assert_eq!(sequence(&of_child[1]) == sequence(&of_parent[2]), !renumbered);
        let truth = simulator.truth();
        assert_eq!(truth.changes[2].repeats[0].shard, child);
        assert_eq!(truth.changes[2].repeats[0].sequence.as_str(), sequence(&of_child[1]));
    }
}

/// One seed, one world, whoever reads it.
#[tokio::test]
async fn the_same_seed_and_steps_give_the_same_truth() {
    let run = async |reads: usize| {
        let (simulator, streams) = start_with(Setup {
            seed: 7,
            ..Setup::default()
        })
        .await;
        simulator.change_some(TABLE, 10, 50).unwrap();
        for _ in 0..reads {
            streams.read(&streams.shard()).await;
        }
        simulator.split(TABLE, None, &Resharding::default()).unwrap();
        simulator.change_some(TABLE, 10, 50).unwrap();
        let mut truth = simulator.truth();
        for change in &mut truth.changes {
            change.read_at = None;
        }
        truth
    };
    assert_eq!(run(0).await, run(3).await);
}
