//! Postgres ends the connections of workers at random moments.

use sqlx::PgConnection;
use tokio::task::JoinSet;
use weir_ledger::{AppendError, Ledger, ShardLease};

use crate::support::{Shuffled, World, batch, seal};

const SHARDS: [&str; 3] = ["a", "b", "c"];
const KILLS: usize = 40;

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn workers_whose_connections_are_killed_record_everything_once() {
    let mut shuffled = Shuffled::new();
    let world = World::new().await;
    world.make_partitions().await;
    let mut workers = JoinSet::new();
    let (stop, stopped) = tokio::sync::watch::channel(false);
    for shard in SHARDS {
        let (ledger, lease) = (world.process().await, world.lease(shard).await);
        let stopped = stopped.clone();
        workers.spawn(async move {
            let mut after = 0;
            let mut retries = 0;
            while !*stopped.borrow() {
                let to = after + 1 + after % 3;
                retries += record(&ledger, &lease, after, to).await;
                after = to;
            }
            (shard, after, retries)
        });
    }

    let mut killer = world.conn().await;
    for _ in 0..KILLS {
        // Round trips are what time is measured in here.
        for _ in 0..shuffled.below(12) {
            sqlx::raw_sql("select 1").execute(&mut killer).await.unwrap();
        }
        kill_one_at_work(&mut killer).await;
    }
    stop.send_replace(true);

    let mut told = String::new();
    let mut retries = 0;
    let mut ended = workers.join_all().await;
    ended.sort_unstable();
    for (shard, last, retried) in ended {
        let all: Vec<String> = (1..=last).map(|sequence| sequence.to_string()).collect();
        told += &format!("{shard}: {}, at {last}\n", all.join(" "));
        retries += retried;
    }
    assert_eq!(world.recorded().await, told);
    assert!(retries > 0, "no append was hit");
}

/// Appends until it is acknowledged; says how often it was tried again.
async fn record(ledger: &Ledger, lease: &ShardLease, after: u64, to: u64) -> usize {
    let records = seal(ledger, lease, after + 1..=to).await;
    let mut retries = 0;
    while let Err(error) = ledger.append(batch(lease, after, to, &records)).await {
        assert!(matches!(error, AppendError::Database(_)), "{error}");
        retries += 1;
        assert!(retries < 10 * KILLS, "it fails for good: {error:?}");
    }
    retries
}

/// Waits until a worker is in an append, and ends its connection. A statement alone (reserving body keys) begins with its
/// transaction; the statements of an append follow the begin of theirs.
async fn kill_one_at_work(killer: &mut PgConnection) {
    loop {
        let killed: Option<bool> = sqlx::query_scalar(
            "select pg_terminate_backend(pid) from pg_stat_activity
             where datname = current_database() and application_name = 'weir' and xact_start < query_start
             order by random() limit 1",
        )
        .fetch_optional(&mut *killer)
        .await
        .unwrap();
        if killed == Some(true) {
            return;
        }
    }
}
