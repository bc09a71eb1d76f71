//! One process, one shard: what an append does, and what it refuses to do.

use expect_test::{Expect, expect};
use weir_ledger::Appended;
use weir_model::Position;

use crate::support::{World, append, append_end, batch, end, seal, told};

/// Brings a shard to 2 of 2 entries, appends `after..=to` again or anew, and tells the answer and what is recorded.
async fn check(after: u64, to: u64, expect: Expect) {
    let world = World::new().await;
    let lease = world.lease("a").await;
    append(&world.ledger, &lease, 0, 2).await.unwrap();

    let answer = told(&append(&world.ledger, &lease, after, to).await);
    expect.assert_eq(&format!("{answer}\n{}", world.recorded().await));
}

#[tokio::test]
async fn a_ledger_begins_empty() {
    let world = World::new().await;
    world.enter("a", None).await;
    let head = world.ledger.head().await.unwrap();
    assert_eq!(head.size, 0);
    // RFC 6962, section 2.1: the hash of an empty list is the hash of an empty string.
    assert_eq!(
        hex::encode(head.root),
        "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
    );
    expect![[r#"
        a:, at begin
    "#]]
    .assert_eq(&world.recorded().await);
}

#[tokio::test]
async fn an_append_says_where_its_records_stand_and_the_head_over_them() {
    let world = World::new().await;
    let lease = world.lease("a").await;
    append(&world.ledger, &lease, 0, 2).await.unwrap();

    let answer = append(&world.ledger, &lease, 2, 5).await.unwrap();
    let head = world.ledger.head().await.unwrap();
    assert_eq!(head.size, 5);
    assert_eq!(
        answer,
        Appended::Written {
            first: Position(2),
            head
        }
    );
}

#[tokio::test]
async fn the_head_is_the_tree_over_the_stored_bytes_at_every_size() {
    let world = World::new().await;
    let lease = world.lease("a").await;
    for to in [1, 2, 3, 4, 7, 8, 9, 16, 33] {
        let after = world.ledger.head().await.unwrap().size;
        append(&world.ledger, &lease, after, to).await.unwrap();
        world.recorded().await;
    }
}

#[tokio::test]
async fn the_stored_bytes_are_the_appended_bytes() {
    let world = World::new().await;
    let lease = world.lease("a").await;
    let records = seal(&world.ledger, &lease, 1..=3).await;
    world.ledger.append(batch(&lease, 0, 3, &records)).await.unwrap();

    let stored: Vec<(i16, i64, Vec<u8>, Vec<u8>)> =
        sqlx::query_as("select lane, body_key, entry, body from entry order by position")
            .fetch_all(&mut world.conn().await)
            .await
            .unwrap();
    let appended: Vec<_> = records
        .into_iter()
        .map(|record| {
            (
                i16::from(record.lane().unwrap()),
                record.body.as_ref().unwrap().key,
                record.entry,
                record.body.unwrap().sealed.0,
            )
        })
        .collect();
    assert_eq!(stored, appended);
}

#[tokio::test]
async fn the_next_batch_is_written_behind_the_last() {
    check(
        2,
        4,
        expect![[r#"
            written at 2, the head has 4
            a: 1 2 3 4, at 4
        "#]],
    )
    .await;
}

#[tokio::test]
async fn a_batch_that_was_committed_is_acknowledged_and_not_written_twice() {
    check(
        0,
        2,
        expect![[r#"
            already there
            a: 1 2, at 2
        "#]],
    )
    .await;
}

#[tokio::test]
async fn a_batch_that_was_committed_is_acknowledged_to_another_process_too() {
    let world = World::new().await;
    let lease = world.lease("a").await;
    let records = seal(&world.ledger, &lease, 1..=2).await;
    world.ledger.append(batch(&lease, 0, 2, &records)).await.unwrap();

    let restarted = world.process().await;
    assert_eq!(
        told(&restarted.append(batch(&lease, 0, 2, &records)).await),
        "already there"
    );
    expect![[r#"
        a: 1 2, at 2
    "#]]
    .assert_eq(&world.recorded().await);
}

#[tokio::test]
async fn a_batch_that_leaves_records_out_is_not_written() {
    check(
        3,
        4,
        expect![[r#"
            moved: stands at 2
            a: 1 2, at 2
        "#]],
    )
    .await;
}

#[tokio::test]
async fn a_batch_that_repeats_records_is_not_written() {
    check(
        1,
        3,
        expect![[r#"
            moved: stands at 2
            a: 1 2, at 2
        "#]],
    )
    .await;
}

#[tokio::test]
async fn a_batch_from_the_begin_is_not_written_to_a_shard_that_moved_on() {
    check(
        0,
        3,
        expect![[r#"
            moved: stands at 2
            a: 1 2, at 2
        "#]],
    )
    .await;
}

#[tokio::test]
async fn only_a_failure_of_postgres_is_worth_a_retry() {
    let world = World::new().await;
    let lease = world.lease("a").await;
    assert!(!append(&world.ledger, &lease, 7, 8).await.unwrap_err().may_retry());
    world.claim(&world.ledger, "a").await.unwrap();
    assert!(!append(&world.ledger, &lease, 0, 1).await.unwrap_err().may_retry());
}

/// Skipped records (a start at "latest") move the shard and leave nothing.
#[tokio::test]
async fn a_batch_without_records_moves_the_shard_alone() {
    let world = World::new().await;
    let lease = world.lease("a").await;
    for expected in ["written at 0, the head has 0", "already there"] {
        assert_eq!(told(&world.ledger.append(batch(&lease, 0, 9, &[])).await), expected);
    }
    expect![[r#"
        a:, at 9
    "#]]
    .assert_eq(&world.recorded().await);
}

#[tokio::test]
async fn the_end_of_a_shard_is_recorded_with_its_last_records() {
    let world = World::new().await;
    let lease = world.lease("a").await;
    let records = seal(&world.ledger, &lease, 1..=2).await;
    let last = || end(&lease, 0, Some(2), &records);
    let mut answers = Vec::new();
    for _ in 0..2 {
        answers.push(told(&world.ledger.append(last()).await));
    }
    answers.push(told(&append(&world.ledger, &lease, 2, 3).await));
    answers.push(world.recorded().await);
    expect![[r#"
        written at 0, the head has 3
        already there
        moved: stands at 2, finished
        a: 1 2, at 2, finished
    "#]]
    .assert_eq(&answers.join("\n"));
}

#[tokio::test]
async fn the_end_of_a_shard_is_recorded_after_its_last_records() {
    let world = World::new().await;
    let lease = world.lease("a").await;
    append(&world.ledger, &lease, 0, 2).await.unwrap();
    for expected in ["written at 2, the head has 3", "already there"] {
        assert_eq!(told(&append_end(&world.ledger, &lease, 2).await), expected);
    }
    // The last records again are not the end again: who repeats them has missed the end.
    expect!["moved: stands at 2, finished"].assert_eq(&told(&append(&world.ledger, &lease, 0, 2).await));
}

#[tokio::test]
async fn a_shard_may_end_without_a_record() {
    let world = World::new().await;
    let lease = world.lease("a").await;
    for expected in ["written at 0, the head has 1", "already there"] {
        assert_eq!(told(&append_end(&world.ledger, &lease, 0).await), expected);
    }
    expect![[r#"
        a:, at begin, finished
    "#]]
    .assert_eq(&world.recorded().await);
}

#[tokio::test]
async fn who_watches_is_told_the_size() {
    let world = World::new().await;
    let lease = world.lease("a").await;
    let mut size = world.ledger.watch_size();
    assert_eq!(*size.borrow_and_update(), 0);
    append(&world.ledger, &lease, 0, 3).await.unwrap();
    assert!(size.has_changed().unwrap());
    assert_eq!(*size.borrow_and_update(), 3);
    assert_eq!(*world.process().await.watch_size().borrow(), 3);
}
