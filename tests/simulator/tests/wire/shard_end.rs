//! How shards and streams end.

use std::time::Duration;

use aws_sdk_dynamodbstreams::error::ProvideErrorMetadata;
use weir_simulator::Resharding;

use crate::support::{TABLE, put, sequence, start};

/// Line 11.
#[tokio::test]
async fn an_open_shard_has_no_end_unless_it_lies() {
    let (simulator, streams) = start().await;
    put(&simulator, "o1");
    let ending = async || {
        let range = streams.shards().await.remove(0).sequence_number_range.unwrap();
        range.ending_sequence_number
    };
    assert_eq!(ending().await, None);
    simulator.discovery(|discovery| discovery.ending_on_open_shards = true);
    let shown = ending().await.unwrap();
    put(&simulator, "o2");
    let records = streams.read(&streams.shard()).await;
    assert_eq!(sequence(&records[0]), shown);
    assert_eq!(records.len(), 2, "the shard went on after its end");
}

/// Lines 11 and 12.
#[tokio::test]
async fn the_last_page_carries_records_and_no_iterator() {
    let (simulator, streams) = start().await;
    let shard = streams.shard();
    put(&simulator, "o1");
    simulator.rotate(TABLE, None, &Resharding::default()).unwrap();
    let page = streams.page(&streams.horizon(&shard).await).await.unwrap();
    assert_eq!(page.records().len(), 1);
    assert_eq!(page.next_shard_iterator(), None);
}

/// Line 11.
#[tokio::test]
async fn a_shard_may_end_with_a_page_without_records() {
    let (simulator, streams) = start().await;
    simulator.reading(|reading| reading.ends_after_empty_page = true);
    let shard = streams.shard();
    put(&simulator, "o1");
    simulator.rotate(TABLE, None, &Resharding::default()).unwrap();
    let page = streams.page(&streams.horizon(&shard).await).await.unwrap();
    assert_eq!(page.records().len(), 1);
    let page = streams.page(page.next_shard_iterator().unwrap()).await.unwrap();
    assert_eq!((page.records().len(), page.next_shard_iterator()), (0, None));
}

/// Line 11: what the listing shows as the end does not end a reader that is not there yet.
#[tokio::test]
async fn a_closed_shard_is_read_page_by_page_to_its_end() {
    let (simulator, streams) = start().await;
    simulator.reading(|reading| reading.page_records_max = 2);
    let shard = streams.shard();
    for _ in 0..5 {
        put(&simulator, "o1");
    }
    simulator.rotate(TABLE, None, &Resharding::default()).unwrap();
    let mut sizes = Vec::new();
    let mut next = Some(streams.horizon(&shard).await);
    while let Some(iterator) = next {
        let page = streams.page(&iterator).await.unwrap();
        sizes.push(page.records().len());
        next = page.next_shard_iterator;
    }
    assert_eq!(sizes, [2, 2, 1]);
}

/// Line 14.
#[tokio::test]
async fn a_disabled_stream_has_only_closed_shards_which_stay_readable_for_a_day() {
    let (simulator, streams) = start().await;
    let shard = streams.shard();
    put(&simulator, "o1");
    simulator.disable(TABLE).unwrap();
    simulator.step(Duration::from_hours(23));
    let shards = streams.shards().await;
    assert!(
        shards[0]
            .sequence_number_range()
            .unwrap()
            .ending_sequence_number()
            .is_some()
    );
    let page = streams.page(&streams.horizon(&shard).await).await.unwrap();
    assert_eq!((page.records().len(), page.next_shard_iterator()), (1, None));
    simulator.step(Duration::from_hours(1));
    let gone = streams.client.describe_stream().stream_arn(streams.arn()).send().await;
    assert_eq!(gone.unwrap_err().code(), Some("ResourceNotFoundException"));
}

/// Line 15.
#[tokio::test]
async fn a_stream_that_is_switched_on_again_has_another_arn_and_lost_what_was_written_meanwhile() {
    let (simulator, streams) = start().await;
    let old = streams.arn();
    put(&simulator, "o1");
    simulator.disable(TABLE).unwrap();
    put(&simulator, "o2");
    simulator.step(Duration::from_secs(1));
    let new = simulator.enable(TABLE, None).unwrap();
    put(&simulator, "o3");
    assert_ne!(old, new);
    let listed = streams.client.list_streams().table_name(TABLE).send().await.unwrap();
    assert_eq!(listed.streams().len(), 2);
    assert_eq!(streams.read(&streams.shard()).await.len(), 1);
    let truth = simulator.truth();
    let lost: Vec<&str> = truth.lost().map(|change| change.item.as_str()).collect();
    assert_eq!(lost, ["o2"]);
    assert_eq!(truth.off.len(), 1);
    assert_eq!(truth.off[0].changes, 1);
    assert_eq!(truth.off[0].until, Some(simulator.now()));
}

/// Line 15.
#[tokio::test]
async fn a_table_made_again_is_empty_and_has_another_stream_that_tells_of_no_removal() {
    let (simulator, streams) = start().await;
    let old = streams.arn();
    put(&simulator, "o1");
    let new = simulator.recreate_table(TABLE).unwrap();
    assert_ne!(old, new, "even within one instant");
    put(&simulator, "o1");
    let records = streams.read(&streams.shard()).await;
    assert_eq!(records.len(), 1);
    assert_eq!(records[0].event_name().unwrap().as_str(), "INSERT");
}

/// Line 20.
#[tokio::test]
async fn a_shard_that_is_gone_is_not_found_by_any_call() {
    let (simulator, streams) = start().await;
    let shard = streams.shard();
    put(&simulator, "o1");
    simulator.rotate(TABLE, None, &Resharding::default()).unwrap();
    let iterator = streams.horizon(&shard).await;
    simulator.vanish(TABLE, &shard).unwrap();
    let error = streams.page(&iterator).await.unwrap_err();
    assert_eq!(error, "ResourceNotFoundException");
    let kind = aws_sdk_dynamodbstreams::types::ShardIteratorType::TrimHorizon;
    let error = streams.iterator(&shard, kind, None).await.unwrap_err();
    assert_eq!(error, "ResourceNotFoundException");
    assert_eq!(streams.shards().await.len(), 1);
    assert_eq!(simulator.truth().trimmed_unread().count(), 1);
}
