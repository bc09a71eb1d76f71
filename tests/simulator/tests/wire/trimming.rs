//! What was there is not there any more.

use std::time::Duration;

use aws_sdk_dynamodbstreams::types::ShardIteratorType::{AfterSequenceNumber, AtSequenceNumber};
use weir_simulator::{Resharding, SequenceNumber};

use crate::support::{TABLE, put, sequence, start};

/// Line 19.
#[tokio::test]
async fn trimmed_records_are_told_of_by_both_calls() {
    let (simulator, streams) = start().await;
    let shard = streams.shard();
    for id in ["o1", "o2", "o3"] {
        put(&simulator, id);
    }
    let iterator = streams.horizon(&shard).await;
    let second = simulator.truth().changes[1].record.clone().unwrap().sequence;
    assert_eq!(simulator.trim(TABLE, None, Some(&second)).unwrap(), 2);
    assert_eq!(streams.page(&iterator).await.unwrap_err(), "TrimmedDataAccessException");
    let error = streams.iterator(&shard, AtSequenceNumber, Some(second.as_str())).await;
    assert_eq!(error.unwrap_err(), "TrimmedDataAccessException");
    assert_eq!(streams.read(&shard).await.len(), 1, "the horizon has moved");
    let truth = simulator.truth();
    let lost: Vec<&str> = truth.trimmed_unread().map(|change| change.item.as_str()).collect();
    assert_eq!(lost, ["o1", "o2"]);
}

/// Line 45.
#[tokio::test]
async fn after_the_last_record_read_is_trimmed_too_though_nothing_was_lost() {
    let (simulator, streams) = start().await;
    put(&simulator, "o1");
    let records = streams.read(&streams.shard()).await;
    simulator.trim(TABLE, None, None).unwrap();
    put(&simulator, "o2");
    let after = streams
        .iterator(&streams.shard(), AfterSequenceNumber, Some(sequence(&records[0])))
        .await;
    assert_eq!(after.unwrap_err(), "TrimmedDataAccessException");
    assert_eq!(simulator.truth().lost().count(), 0);
}

/// Line 22.
#[tokio::test]
async fn records_are_kept_for_a_day() {
    let (simulator, streams) = start().await;
    put(&simulator, "o1");
    simulator.step(Duration::from_hours(12));
    put(&simulator, "o2");
    simulator.step(Duration::from_hours(11));
    assert_eq!(streams.read(&streams.shard()).await.len(), 2);
    simulator.step(Duration::from_hours(1));
    assert_eq!(streams.read(&streams.shard()).await.len(), 1);
    let truth = simulator.truth();
    assert_eq!(truth.changes[0].trimmed_at, Some(simulator.now()));
    assert_eq!(truth.changes[1].trimmed_at, None);
}

/// Lines 6 and 22.
#[tokio::test]
async fn a_shard_leaves_the_stream_a_day_after_it_closed_and_its_child_stays() {
    let (simulator, streams) = start().await;
    simulator.rotate(TABLE, None, &Resharding::default()).unwrap();
    simulator.step(Duration::from_hours(24));
    let shards = streams.shards().await;
    assert_eq!(shards.len(), 1);
    assert!(
        shards[0].parent_shard_id().is_some(),
        "it names a parent that is not there"
    );
}

/// Line 43: a copy in the child is still a copy.
#[tokio::test]
async fn a_change_is_lost_only_when_its_last_record_is_trimmed() {
    let (simulator, streams) = start().await;
    let parent = streams.shard();
    put(&simulator, "o1");
    let how = Resharding {
        repeats: 1,
        ..Resharding::default()
    };
    let child = simulator.rotate(TABLE, None, &how).unwrap();
    let last = SequenceNumber::parse(&"9".repeat(40));
    simulator.trim(TABLE, Some(&parent), last.as_ref()).unwrap();
    assert_eq!(simulator.truth().lost().count(), 0);
    simulator.trim(TABLE, Some(&child), None).unwrap();
    assert_eq!(simulator.truth().lost().count(), 1);
}
