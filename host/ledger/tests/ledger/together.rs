//! Many at once: shards, tasks, processes, ledgers.

use expect_test::expect;
use tokio::task::JoinSet;
use weir_ledger::{AppendError, ShardLease};

use crate::support::{World, append, enter_stream, name, new_shard, recorded, secret, told};

#[tokio::test]
async fn entry_head_and_shard_position_become_visible_together() {
    let world = World::new().await;
    let lease = world.lease("a").await;
    let writer = world.ledger.clone();
    let writing = tokio::spawn(async move {
        for batch in 0..40 {
            append(&writer, &lease, 3 * batch, 3 * batch + 3).await.unwrap();
        }
    });

    let mut observer = world.conn().await;
    let mut sizes = Vec::new();
    while !writing.is_finished() {
        // One statement sees one moment.
        let (entries, bodies, size, position): (i64, i64, i64, i64) = sqlx::query_as(
            "select (select count(*) from entry), (select count(body) from entry), (select size from ledger_head),
             (select coalesce(position, '0')::bigint from shard)",
        )
        .fetch_one(&mut observer)
        .await
        .unwrap();
        assert_eq!((entries, bodies, position), (size, size, size));
        sizes.push(size);
    }
    writing.await.unwrap();
    assert!(sizes.is_sorted(), "{sizes:?}");
    assert_eq!(world.ledger.head().await.unwrap().size, 120);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn shards_appended_by_two_processes_at_once_make_one_ledger_in_the_order_of_each_shard() {
    let world = World::new().await;
    world.make_partitions().await;
    let processes = [world.ledger.clone(), world.process().await];
    let mut tasks = JoinSet::new();
    for shard in ["a", "b", "c", "d", "e", "f"] {
        let lease = world.lease(shard).await;
        let ledger = processes[usize::from(shard.as_bytes()[0] % 2)].clone();
        tasks.spawn(async move {
            let mut after = 0;
            for records in [1, 3, 2, 5, 1, 1, 4, 3] {
                append(&ledger, &lease, after, after + records).await.unwrap();
                after += records;
            }
        });
    }
    tasks.join_all().await;

    expect![[r#"
        a: 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20, at 20
        b: 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20, at 20
        c: 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20, at 20
        d: 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20, at 20
        e: 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20, at 20
        f: 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20, at 20
    "#]]
    .assert_eq(&world.recorded().await);
    let verification = world.ledger.verify(|_, _| {}).await.unwrap();
    assert_eq!((verification.checked, verification.findings), (120, vec![]));
}

/// Each worker records until it is fenced by the next one. The last one finishes.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_shard_that_is_taken_over_again_and_again_is_recorded_once_and_in_order() {
    let world = World::new().await;
    world.make_partitions().await;
    let mut lease = world.lease("a").await;
    let mut workers = JoinSet::new();
    for _ in 0..8 {
        let process = world.process().await;
        let taken = lease.clone();
        workers.spawn(async move { record_until(&process, &taken, u64::MAX).await });
        lease = world.claim(&world.ledger, "a").await.unwrap();
    }
    let last = stand(&lease);
    record_until(&world.ledger, &lease, last + 5).await.unwrap();
    for fenced in workers.join_all().await {
        assert!(
            matches!(fenced, Err(AppendError::Fenced { .. })),
            "{}",
            told(&fenced.map(|()| unreachable!()))
        );
    }

    let all: Vec<String> = (1..=last + 5).map(|sequence| sequence.to_string()).collect();
    assert_eq!(
        world.recorded().await,
        format!("a: {}, at {}\n", all.join(" "), last + 5)
    );
}

fn stand(lease: &ShardLease) -> u64 {
    lease
        .position
        .as_ref()
        .map_or(0, |position| position.as_str().parse().unwrap())
}

async fn record_until(ledger: &weir_ledger::Ledger, lease: &ShardLease, end: u64) -> Result<(), AppendError> {
    for after in stand(lease)..end {
        append(ledger, lease, after, after + 1).await?;
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn the_same_batch_appended_by_many_at_once_is_written_once() {
    let world = World::new().await;
    world.make_partitions().await;
    let lease = world.lease("a").await;
    let mut tasks = JoinSet::new();
    for _ in 0..4 {
        for ledger in [world.ledger.clone(), world.process().await] {
            let lease = lease.clone();
            tasks.spawn(async move { told(&append(&ledger, &lease, 0, 3).await) });
        }
    }
    let mut answers = tasks.join_all().await;
    answers.sort();
    assert_eq!(answers[..7], vec!["already there"; 7]);
    assert_eq!(answers[7], "written at 0, the head has 3");
    expect![[r#"
        a: 1 2 3, at 3
    "#]]
    .assert_eq(&world.recorded().await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn ledgers_of_one_database_begin_and_grow_beside_each_other() {
    let world = World::new().await;
    let database = world.database.connect().await;
    let mut tasks = JoinSet::new();
    for ledger in ["east", "west", "north", "south"] {
        let ledger = database.open_or_create(&name(ledger), secret()).await.unwrap();
        let stream_id = enter_stream(&ledger, &format!("arn:{}", ledger.name())).await;
        tasks.spawn(async move {
            let worker = ledger.enter_worker("test", None, &[], None).await.unwrap();
            let shard = weir_model::ShardId::parse("a").unwrap();
            let new = new_shard(shard.as_str(), None);
            ledger
                .enter_shards(stream_id, &[new], jiff::Timestamp::UNIX_EPOCH)
                .await
                .unwrap();
            let lease = ledger.claim_shard(worker, stream_id, &shard).await.unwrap();
            for after in 0..5 {
                append(&ledger, &lease, after, after + 1).await.unwrap();
            }
        });
    }
    tasks.join_all().await;
    for ledger in ["east", "west", "north", "south"] {
        let told = recorded(&mut world.conn().await, ledger).await;
        assert_eq!(told, "a: 1 2 3 4 5, at 5\n", "{ledger}");
    }
}
