//! Keys of bodies: each number is given once, and finds its key again in every process.

use std::collections::BTreeSet;

use expect_test::expect;
use tokio::task::JoinSet;
use weir_ledger::Ledger;

use crate::support::{World, append, read};

/// Takes keys and tells their numbers.
async fn take(ledger: &Ledger, count: usize) -> Vec<i64> {
    let keys = ledger.take_body_keys(count).await.unwrap();
    keys.iter().map(|key| key.number).collect()
}

async fn found(ledger: &Ledger, number: i64) -> String {
    match ledger.body_key(number).await {
        Ok(Some(_)) => "found".to_owned(),
        Ok(None) => "destroyed".to_owned(),
        Err(error) => error.to_string(),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_number_is_never_given_twice_by_two_processes() {
    let world = World::new().await;
    let processes = [world.ledger.clone(), world.process().await];
    let mut tasks = JoinSet::new();
    for task in 0..8 {
        let ledger = processes[task % 2].clone();
        tasks.spawn(async move {
            let mut numbers = Vec::new();
            for count in [1, 700, 0, 1000, 3000, 5, 9000] {
                let taken = take(&ledger, count).await;
                assert_eq!(taken.len(), count);
                numbers.extend(taken);
            }
            numbers
        });
    }
    let numbers: Vec<i64> = tasks.join_all().await.into_iter().flatten().collect();
    let distinct: BTreeSet<i64> = numbers.iter().copied().collect();
    assert_eq!(distinct.len(), numbers.len());
    assert!(distinct.first() >= Some(&0));
}

#[tokio::test]
async fn a_number_is_not_given_again_after_a_restart() {
    let world = World::new().await;
    let before = take(&world.ledger, 3).await;
    let after = take(&world.process().await, 3).await;
    assert!(before.last() < after.first(), "{before:?} {after:?}");
}

#[tokio::test]
async fn bodies_on_both_sides_of_a_segment_boundary_open_in_another_process() {
    let world = World::new().await;
    let lease = world.lease("a").await;
    world.tamper("update body_key_counter set next_number = 65533").await;
    append(&world.ledger, &lease, 0, 6).await.unwrap();

    let numbers: Vec<i64> = sqlx::query_scalar("select body_key from entry order by position")
        .fetch_all(&mut world.conn().await)
        .await
        .unwrap();
    assert_eq!(numbers, [65533, 65534, 65535, 65536, 65537, 65538]);
    expect!["0:milk@1 1:milk@2 2:milk@3 3:milk@4 4:milk@5 5:milk@6"].assert_eq(&read(&world.process().await, 0).await);
    let verification = world.process().await.verify(|_, _| {}).await.unwrap();
    assert_eq!((verification.checked, verification.findings), (6, vec![]));
}

#[tokio::test]
async fn keys_of_one_call_span_more_than_a_segment() {
    let world = World::new().await;
    let numbers = take(&world.ledger, 70_000).await;
    assert_eq!(numbers.iter().collect::<BTreeSet<_>>().len(), 70_000);
    let other = world.process().await;
    for number in [numbers[0], numbers[69_999]] {
        assert_eq!(found(&other, number).await, "found");
    }
}

/// Two processes that meet at a new segment must not each make a root for it.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn processes_that_enter_a_segment_at_once_share_its_root() {
    let world = World::new().await;
    world.make_partitions().await;
    let mut tasks = JoinSet::new();
    for shard in ["a", "b", "c", "d"] {
        let (process, lease) = (world.process().await, world.lease(shard).await);
        tasks.spawn(async move { append(&process, &lease, 0, 2).await.unwrap() });
    }
    tasks.join_all().await;
    let verification = world.process().await.verify(|_, _| {}).await.unwrap();
    assert_eq!((verification.checked, verification.findings), (8, vec![]));
}

#[tokio::test]
async fn exchanged_segments_are_refused_by_name() {
    let world = World::new().await;
    take(&world.ledger, 1).await;
    world.tamper("update body_key_counter set next_number = 65536").await;
    take(&world.process().await, 1).await;
    world
        .tamper("update segment_key s set wrapped = o.wrapped from segment_key o where s.segment = 1 - o.segment")
        .await;

    let process = world.process().await;
    expect!["segment key 0 does not open under this ledger's secret"].assert_eq(&found(&process, 0).await);
    expect!["segment key 1 does not open under this ledger's secret"].assert_eq(&found(&process, 65_536).await);
}

#[tokio::test]
async fn a_changed_segment_is_refused_also_for_new_keys() {
    let world = World::new().await;
    take(&world.ledger, 1).await;
    world
        .tamper("update segment_key set wrapped = set_byte(wrapped, 20, get_byte(wrapped, 20) # 1)")
        .await;

    let process = world.process().await;
    let refused = process.take_body_keys(1).await.err().unwrap();
    expect!["segment key 0 does not open under this ledger's secret"].assert_eq(&refused.to_string());
}

#[tokio::test]
async fn secrets_of_segments_are_not_stored_in_the_clear() {
    let world = World::new().await;
    take(&world.ledger, 1).await;
    let wrapped: Vec<u8> = sqlx::query_scalar("select wrapped from segment_key")
        .fetch_one(&mut world.conn().await)
        .await
        .unwrap();
    let other = weir_evidence::LedgerSecret::new(&[8; 32]);
    assert!(weir_evidence::SegmentKey::from_bytes(&wrapped).is_err());
    assert!(other.unwrap(&wrapped, "").is_none());
}
