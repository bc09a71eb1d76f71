//! Appends that go in one transaction: they wait for their turn while the head is locked by somebody else.

use sqlx::{Connection as _, PgConnection};
use tokio::task::JoinHandle;
use weir_ledger::{AppendError, Appended, Ledger, ShardBatch, ShardLease};

use super::{World, batch, told, until_blocked};

/// What an append of these answers.
type Answers = Vec<JoinHandle<Result<Appended, AppendError>>>;

/// Appends these batches in one group, and tells what each was answered.
pub(crate) async fn in_one_group(world: &World, ledger: &Ledger, batches: Vec<ShardBatch>) -> Vec<String> {
    let mut told_all = Vec::new();
    for answer in head_locked(world, ledger, batches).await {
        told_all.push(told(&answer.await.unwrap()));
    }
    told_all
}

/// Brings these appends to where they wait for their turn, all but the first of the first shard's: a fenced worker, who
/// waits for the head alone. Then lets go of the head.
pub(crate) async fn head_locked(world: &World, ledger: &Ledger, batches: Vec<ShardBatch>) -> Answers {
    let mut conn = world.conn().await;
    let mut holder = conn.begin().await.unwrap();
    sqlx::query("select from ledger_head for update")
        .execute(&mut *holder)
        .await
        .unwrap();
    let fenced = ShardLease {
        epoch: -1,
        ..batches[0].lease.clone()
    };
    let mut answers = start(ledger, vec![batch(&fenced, 0, 0, &[])]);
    until_blocked(&mut world.conn().await, 1).await;
    let first = answers.remove(0);
    let answers = start(ledger, batches);
    // Tasks of one thread take turns: after a few of them, each has come to where it waits.
    for _ in 0..100 {
        tokio::task::yield_now().await;
    }
    holder.rollback().await.unwrap();
    let first = first.await.unwrap();
    assert!(matches!(first, Err(AppendError::Fenced { .. })), "{}", told(&first));
    answers
}

fn start(ledger: &Ledger, batches: Vec<ShardBatch>) -> Answers {
    let append = |batch| {
        let ledger = ledger.clone();
        tokio::spawn(async move { ledger.append(batch).await })
    };
    batches.into_iter().map(append).collect()
}

/// In how many transactions the entries were written.
pub(crate) async fn transactions(conn: &mut PgConnection) -> i64 {
    sqlx::query_scalar("select count(distinct xmin::text) from entry")
        .fetch_one(conn)
        .await
        .unwrap()
}
