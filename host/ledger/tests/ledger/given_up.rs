//! Work that is given up half-way leaves nothing behind that others could take for their own.

use std::future::{Future, poll_fn};
use std::pin::pin;
use std::task::Poll;
use std::time::Duration;

use weir_ledger::{AppendError, Appended, Settlement};

use crate::support::{PATIENCE, Shuffled, World, batch, seal};

/// An append that is dropped at any await; then questions, on the same few connections, whose answers are known.
#[tokio::test]
async fn whoever_comes_after_an_append_that_was_given_up_gets_the_answers_to_its_own_questions() {
    let mut shuffled = Shuffled::new();
    let world = World::new().await;
    let lease = world.lease("a").await;
    let (mut at, mut given_up) = (0, 0);
    for _ in 0..150 {
        let records = seal(&world.ledger, &lease, at + 1..=at + 200).await;
        let append = world.ledger.append(batch(&lease, at, at + 200, &records));
        let limit = Duration::from_micros(shuffled.below(20_000));
        match tokio::time::timeout(limit, append).await {
            Err(_) => given_up += 1,
            Ok(Ok(Appended::Written { .. } | Appended::AlreadyThere)) => at += 200,
            Ok(Err(AppendError::Moved { position, .. })) => {
                // One that was given up had been committed.
                at = position.map_or(0, |position| position.as_str().parse().unwrap());
                continue;
            }
            Ok(Err(error)) => panic!("{error:?}"),
        }
        assert_eq!(world.ledger.streams().await.unwrap().len(), 1);
        assert_eq!(world.ledger.shards(world.stream_id).await.unwrap().len(), 1);
        world.ledger.head().await.unwrap();
    }
    assert!(given_up > 0, "no append was given up");
}

/// Whatever moves a cursor is dropped after it was polled so often: while it waits for a connection, for its transaction to
/// begin, for each of its statements, for the commit. The next on that connection would end what was left open, so it is
/// looked for each time.
#[tokio::test]
async fn whoever_gives_up_while_a_transaction_begins_leaves_none_open() {
    let world = World::new().await;
    let consumer = world
        .ledger
        .claim_consumer("test", weir_model::Position(0))
        .await
        .unwrap();
    let mut conn = world.conn().await;
    for polls in 1..=12 {
        for _ in 0..4 {
            let mut consumer = consumer.clone();
            let next = consumer.next;
            given_up_after(polls, world.ledger.settle(&mut consumer, next, &Settlement::default())).await;
            none_stays_open(&mut conn).await;
        }
    }
}

/// Waits until no transaction of others is open.
async fn none_stays_open(conn: &mut sqlx::PgConnection) {
    let asked_at = std::time::Instant::now();
    loop {
        let open: i64 = sqlx::query_scalar(
            "select count(*) from pg_stat_activity where datname = current_database() and state like 'idle in transaction%'",
        )
        .fetch_one(&mut *conn)
        .await
        .unwrap();
        if open == 0 {
            return;
        }
        assert!(asked_at.elapsed() < PATIENCE / 6, "{open} transactions stay open");
    }
}

/// Polls a future so often at most, and drops it.
async fn given_up_after<T>(polls: u32, future: impl Future<Output = T>) -> Option<T> {
    let mut future = pin!(future);
    let mut polled = 0;
    poll_fn(|context| {
        polled += 1;
        match future.as_mut().poll(context) {
            Poll::Ready(output) => Poll::Ready(Some(output)),
            Poll::Pending if polled == polls => Poll::Ready(None),
            Poll::Pending => Poll::Pending,
        }
    })
    .await
}
