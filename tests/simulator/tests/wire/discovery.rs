//! Streams and shards are found, and told in misleading ways.

use std::collections::BTreeSet;
use std::time::Duration;

use aws_sdk_dynamodbstreams::types::{Shard, ShardFilter, ShardFilterType, StreamStatus};
use weir_simulator::{ChildFilter, Resharding};

use crate::support::{Streams, TABLE, id, put, start, start_with_shards};

fn ids(shards: &[Shard]) -> BTreeSet<String> {
    shards
        .iter()
        .map(|shard| shard.shard_id().unwrap().to_owned())
        .collect()
}

async fn children(streams: &Streams, parent: &str) -> Vec<Shard> {
    let filter = ShardFilter::builder()
        .r#type(ShardFilterType::ChildShards)
        .shard_id(parent)
        .build();
    let call = streams.client.describe_stream().stream_arn(streams.arn());
    let output = call.shard_filter(filter).send().await.unwrap();
    output.stream_description.unwrap().shards.unwrap()
}

#[tokio::test]
async fn the_stream_of_a_table_is_listed_and_described() {
    let (simulator, streams) = start().await;
    let listed = streams.client.list_streams().table_name(TABLE).send().await.unwrap();
    assert_eq!(listed.streams()[0].stream_arn(), Some(streams.arn().as_str()));
    let described = streams.describe().await;
    assert_eq!(described.stream_status(), Some(&StreamStatus::Enabled));
    assert_eq!(described.table_name(), Some(TABLE));
    assert_eq!(ids(described.shards()), BTreeSet::from([streams.shard()]));
    assert_eq!(described.key_schema()[0].attribute_name(), "id");
    simulator.disable(TABLE).unwrap();
    assert_eq!(streams.describe().await.stream_status(), Some(&StreamStatus::Disabled));
}

#[tokio::test]
async fn streams_are_listed_page_by_page() {
    let (simulator, streams) = start().await;
    for table in ["customers", "parcels"] {
        simulator
            .create_table(table, weir_simulator::ViewType::KeysOnly, 1)
            .unwrap();
    }
    let mut tables = Vec::new();
    let mut start = None;
    loop {
        let call = streams.client.list_streams().limit(1);
        let page = call.set_exclusive_start_stream_arn(start).send().await.unwrap();
        tables.extend(
            page.streams()
                .iter()
                .map(|stream| stream.table_name().unwrap().to_owned()),
        );
        start = page.last_evaluated_stream_arn().map(str::to_owned);
        if start.is_none() {
            break;
        }
    }
    assert_eq!(tables, ["customers", "orders", "parcels"]);
}

/// Line 1.
#[tokio::test]
async fn a_rotation_gives_one_child_and_a_split_gives_two() {
    let (simulator, streams) = start().await;
    let parent = streams.shard();
    let child = simulator.rotate(TABLE, None, &Resharding::default()).unwrap();
    let grandchildren = simulator.split(TABLE, Some(&child), &Resharding::default()).unwrap();
    let shards = streams.shards().await;
    let parent_of = |id: &str| {
        let shard = shards.iter().find(|shard| shard.shard_id() == Some(id)).unwrap();
        shard.parent_shard_id().map(str::to_owned)
    };
    assert_eq!(shards.len(), 4);
    assert_eq!(parent_of(&child), Some(parent));
    assert_eq!(grandchildren.len(), 2);
    for grandchild in &grandchildren {
        assert_eq!(parent_of(grandchild), Some(child.clone()));
    }
}

/// Lines 1 and 25.
#[tokio::test]
async fn every_item_lives_in_one_open_shard_and_moves_to_a_child_of_it() {
    let (simulator, streams) = start_with_shards(3).await;
    for number in 0..30 {
        put(&simulator, &format!("o{number}"));
    }
    let parent = streams.shard();
    let of_parent: BTreeSet<String> = streams
        .read(&parent)
        .await
        .iter()
        .map(|record| id(record).to_owned())
        .collect();
    assert!(of_parent.len() > 2 && of_parent.len() < 30);
    let children = simulator.split(TABLE, Some(&parent), &Resharding::default()).unwrap();
    for number in 0..30 {
        put(&simulator, &format!("o{number}"));
    }
    let mut of_children = BTreeSet::new();
    for child in &children {
        for record in streams.read(child).await {
            assert!(
                of_children.insert(id(&record).to_owned()),
                "an item is in both children"
            );
        }
    }
    assert_eq!(of_children, of_parent);
}

/// Line 3.
#[tokio::test]
async fn a_page_has_a_hundred_shards_and_names_the_last_of_them() {
    let (simulator, streams) = start_with_shards(230).await;
    let page = streams.describe().await;
    assert_eq!(page.shards().len(), 100);
    assert_eq!(page.last_evaluated_shard_id(), page.shards()[99].shard_id());
    assert_eq!(ids(&streams.shards().await).len(), 230);
    simulator.discovery(|discovery| discovery.page_shards_max = 7);
    assert_eq!(streams.describe().await.shards().len(), 7);
    assert_eq!(ids(&streams.shards().await).len(), 230);
    let over = streams.client.describe_stream().stream_arn(streams.arn()).limit(101);
    assert!(over.send().await.is_err());
}

/// Line 4.
#[tokio::test]
async fn a_child_may_come_before_its_parent() {
    let (simulator, streams) = start().await;
    for _ in 0..10 {
        simulator.rotate(TABLE, None, &Resharding::default()).unwrap();
    }
    let misplaced = |shards: &[Shard]| {
        let mut seen = BTreeSet::new();
        shards.iter().any(|shard| {
            seen.insert(shard.shard_id().unwrap().to_owned());
            shard.parent_shard_id().is_some_and(|parent| !seen.contains(parent))
        })
    };
    assert!(misplaced(&streams.shards().await));
    simulator.discovery(|discovery| discovery.shuffled = false);
    assert!(!misplaced(&streams.shards().await));
}

/// Line 5.
#[tokio::test]
async fn a_closed_leaf_has_a_child_that_is_listed_later_but_can_be_read_already() {
    let (simulator, streams) = start().await;
    let late = Resharding {
        late_ms: 30_000,
        ..Resharding::default()
    };
    let child = simulator.rotate(TABLE, None, &late).unwrap();
    put(&simulator, "o1");
    let shards = streams.shards().await;
    assert_eq!(shards.len(), 1);
    assert!(
        shards[0]
            .sequence_number_range()
            .unwrap()
            .ending_sequence_number()
            .is_some()
    );
    assert_eq!(streams.read(&child).await.len(), 1);
    simulator.step(Duration::from_secs(30));
    assert_eq!(streams.shards().await.len(), 2);
}

/// Line 5.
#[tokio::test]
async fn an_open_parent_may_have_a_child() {
    let (simulator, streams) = start().await;
    let parent = streams.shard();
    let how = Resharding {
        parent_looks_open_ms: 5_000,
        ..Resharding::default()
    };
    simulator.rotate(TABLE, None, &how).unwrap();
    let ending = async || {
        let shards = streams.shards().await;
        assert_eq!(shards.len(), 2);
        let parent = shards
            .into_iter()
            .find(|shard| shard.shard_id() == Some(&parent))
            .unwrap();
        parent.sequence_number_range.unwrap().ending_sequence_number
    };
    assert_eq!(ending().await, None);
    simulator.step(Duration::from_secs(5));
    assert!(ending().await.is_some());
}

/// Lines 5 and 6.
#[tokio::test]
async fn a_list_may_be_empty_or_lack_a_parent() {
    let (simulator, streams) = start().await;
    let parent = streams.shard();
    let child = simulator.rotate(TABLE, None, &Resharding::default()).unwrap();
    simulator.discovery(|discovery| discovery.empty_answers = 1);
    assert_eq!(streams.shards().await.len(), 0);
    simulator.discovery(|discovery| discovery.missing.extend([parent.clone()]));
    assert_eq!(ids(&streams.shards().await), BTreeSet::from([child]));
    simulator.discovery(|discovery| discovery.missing.clear());
    assert_eq!(streams.shards().await.len(), 2);
}

/// Line 6.
#[tokio::test]
async fn the_id_of_a_shard_tells_its_age_or_nothing() {
    let (simulator, streams) = start().await;
    let parts: Vec<String> = streams.shard().split('-').map(str::to_owned).collect();
    assert_eq!(parts[1].len(), 20);
    assert_eq!(parts[1].parse::<i64>().unwrap(), simulator.now().as_millisecond());
    assert_eq!(parts[2].len(), 8);
    let how = Resharding {
        opaque_ids: true,
        ..Resharding::default()
    };
    let child = simulator.rotate(TABLE, None, &how).unwrap();
    assert!(child.split('-').nth(1).unwrap().parse::<i64>().is_err());
}

/// Line 7.
#[tokio::test]
async fn the_filter_for_children_works_or_is_empty_at_first_or_ignored_or_answers_the_parent() {
    let (simulator, streams) = start_with_shards(2).await;
    let parent = streams.shard();
    let split = simulator.split(TABLE, Some(&parent), &Resharding::default()).unwrap();
    let split = BTreeSet::from_iter(split);
    simulator.discovery(|discovery| discovery.child_filter_empty_answers = 2);
    for _ in 0..2 {
        assert!(children(&streams, &parent).await.is_empty());
    }
    assert_eq!(ids(&children(&streams, &parent).await), split);
    simulator.discovery(|discovery| discovery.child_filter = ChildFilter::Ignored);
    assert_eq!(children(&streams, &parent).await.len(), 4);
    simulator.discovery(|discovery| discovery.child_filter = ChildFilter::AnswersParent);
    assert_eq!(ids(&children(&streams, &parent).await), BTreeSet::from([parent]));
}

/// Line 44.
#[tokio::test]
async fn the_header_date_follows_the_clock_of_the_world() {
    let (simulator, _) = start().await;
    simulator.step(Duration::from_secs(3600));
    let answer = crate::support::http::post(&simulator.endpoint(), "/", &[("X-Amz-Target", "None.None")], "{}").await;
    assert_eq!(answer.header("date"), Some("Thu, 01 Jan 2026 01:00:00 GMT"));
}
