//! Storms: seeded, and at their end everything is as it was told.

use std::collections::{BTreeMap, BTreeSet};

use aws_sdk_dynamodbstreams::types::Record;
use weir_simulator::{Profile, Setup, Simulator, Truth};

use crate::support::{Streams, TABLE, id, start_with};

fn seeded(seed: u64) -> Setup {
    Setup {
        seed,
        ..Setup::default()
    }
}

fn without_reads(mut truth: Truth) -> Truth {
    for change in &mut truth.changes {
        change.read_at = None;
    }
    truth
}

async fn read_everything(simulator: &Simulator, streams: &Streams) -> Vec<Record> {
    let mut records = Vec::new();
    for stream in simulator.truth().streams {
        for shard in stream.shards.iter().filter(|shard| !shard.gone) {
            let call = streams
                .client
                .get_shard_iterator()
                .stream_arn(&stream.arn)
                .shard_id(&shard.shard);
            let call = call.shard_iterator_type(aws_sdk_dynamodbstreams::types::ShardIteratorType::TrimHorizon);
            let output = call.send().await.unwrap();
            records.extend(streams.read_from(output.shard_iterator.unwrap()).await);
        }
    }
    records
}

#[tokio::test]
async fn a_storm_is_the_same_for_a_seed_whoever_reads_meanwhile() {
    let run = async |reads: bool| {
        let (simulator, streams) = start_with(seeded(7)).await;
        simulator.storm(TABLE, Profile::Hurricane).unwrap();
        for tick in 0..300 {
            simulator.tick().unwrap();
            if reads && tick % 5 == 0 {
                let _ = streams.client.list_streams().send().await;
                let _ = streams.client.describe_stream().stream_arn(streams.arn()).send().await;
            }
        }
        without_reads(simulator.truth())
    };
    let (unread, read) = (run(false).await, run(true).await);
    assert!(unread == read, "the world depends on who reads it");
    let (other, _) = start_with(seeded(8)).await;
    other.storm(TABLE, Profile::Hurricane).unwrap();
    for _ in 0..300 {
        other.tick().unwrap();
    }
    assert!(without_reads(other.truth()) != unread);
}

#[tokio::test]
async fn after_a_rough_storm_every_change_can_be_read_in_order_of_its_item() {
    for seed in 0..3 {
        let (simulator, streams) = start_with(seeded(seed)).await;
        simulator.storm(TABLE, Profile::Rough).unwrap();
        for _ in 0..120 {
            simulator.tick().unwrap();
        }
        simulator.calm();
        let records = read_everything(&simulator, &streams).await;
        let truth = simulator.truth();
        assert_eq!(truth.lost().count(), 0, "seed {seed}");
        let mut seen = BTreeSet::new();
        let mut orders: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
        for record in &records {
            let event = record.event_id().unwrap();
            if seen.insert(event) {
                orders.entry(id(record)).or_default().push(event);
            }
        }
        for (item, events) in orders {
            let expected: Vec<String> = truth
                .of_item(TABLE, item)
                .map(|change| change.record.clone().unwrap().event_id)
                .collect();
            assert_eq!(events, expected, "seed {seed}, {item}");
        }
        assert_eq!(seen.len(), truth.changes.len());
        assert!(records.len() > seen.len(), "seed {seed}: no child repeated a record");
    }
}

#[tokio::test]
async fn a_hurricane_loses_only_what_the_truth_says() {
    let (simulator, streams) = start_with(seeded(3)).await;
    simulator.storm(TABLE, Profile::Hurricane).unwrap();
    for _ in 0..400 {
        simulator.tick().unwrap();
    }
    simulator.calm();
    let records = read_everything(&simulator, &streams).await;
    let seen: BTreeSet<&str> = records.iter().map(|record| record.event_id().unwrap()).collect();
    let truth = simulator.truth();
    let there = truth.changes.iter().filter(|change| !change.is_lost());
    let there: Vec<String> = there.map(|change| change.record.clone().unwrap().event_id).collect();
    assert!(there.iter().all(|event| seen.contains(event.as_str())));
    assert_eq!(there.len(), seen.len());
    assert!(truth.lost().any(|change| change.record.is_none()), "the stream was off");
    assert!(truth.trimmed_unread().count() > 0);
    assert!(truth.streams.len() > 1);
    let off: u64 = truth.off.iter().map(|period| period.changes).sum();
    let unrecorded = truth.changes.iter().filter(|change| change.record.is_none());
    assert_eq!(off, unrecorded.count() as u64);
}

#[tokio::test]
async fn calm_leaves_the_stream_on_and_every_shard_listed() {
    let (simulator, streams) = start_with(seeded(5)).await;
    simulator.storm(TABLE, Profile::Hurricane).unwrap();
    for _ in 0..100 {
        simulator.tick().unwrap();
    }
    if simulator.truth().off.iter().all(|period| period.until.is_some()) {
        simulator.disable(TABLE).unwrap();
    }
    simulator.calm();
    assert!(simulator.tick().is_err(), "the storm is over");
    assert!(simulator.waiting_faults().is_empty());
    let truth = simulator.truth();
    assert!(truth.off.iter().all(|period| period.until.is_some()));
    let there = truth.streams.last().unwrap().shards.iter().filter(|shard| !shard.gone);
    assert_eq!(streams.shards().await.len(), there.count());
}
