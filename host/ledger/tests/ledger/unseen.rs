//! What an intruder can change today without `verify` telling, and why.

use expect_test::expect;

use crate::support::{World, append};
use crate::tampering::{check, verified};

/// This is wrong today: an entry that no head covers is not seen. It is not shown as true either, but the next append
/// cannot take its position.
#[tokio::test]
async fn an_entry_put_behind_the_head_is_not_seen() {
    check(
        "insert into entry select ledger_id, 5, lane, body_key, entry, body from entry where position = 4",
        expect!["5 of 5 checked"],
    )
    .await;
}

/// This is wrong today, too: the newer entries are still there, but nobody looks behind the head.
#[tokio::test]
async fn an_older_head_is_not_seen_though_newer_entries_are_there() {
    let world = World::new().await;
    let lease = world.lease("a").await;
    append(&world.ledger, &lease, 0, 3).await.unwrap();
    world.tamper("create table backup as select * from ledger_head").await;
    append(&world.ledger, &lease, 3, 5).await.unwrap();
    world
        .tamper("update ledger_head h set size = b.size, root = b.root, frontier = b.frontier from backup b")
        .await;
    expect!["3 of 3 checked"].assert_eq(&verified(&world.process().await).await);
    // The next append wants the positions that are taken, and records nothing until the head is what it was.
    assert!(append(&world.ledger, &lease, 5, 6).await.is_err());
}

/// This is wrong today: a lane is stored beside the entry and covered by nothing, though it decides which worker routes
/// the change. `verify` could compute it again from the keys in the body.
#[tokio::test]
async fn a_changed_lane_is_not_seen() {
    check(
        "update entry set lane = (lane + 1) % 256 where position = 3",
        expect!["5 of 5 checked"],
    )
    .await;
}

/// The database alone cannot tell an older state from the truth. The publisher's guard, which lives outside of it
/// (design, 4.2), is what will.
#[tokio::test]
async fn an_older_state_restored_as_a_whole_is_not_seen() {
    let world = World::new().await;
    let lease = world.lease("a").await;
    append(&world.ledger, &lease, 0, 3).await.unwrap();
    world.tamper("create table backup as select * from ledger_head").await;
    append(&world.ledger, &lease, 3, 5).await.unwrap();
    world
        .tamper(
            "update ledger_head h set size = b.size, root = b.root, frontier = b.frontier from backup b;
             delete from entry where position >= 3; update shard set position = '3'",
        )
        .await;
    expect!["3 of 3 checked"].assert_eq(&verified(&world.process().await).await);
}

/// This is wrong today: the frontier is not held against the root before it is built on, although size, root and
/// frontier of one row must agree. What comes after is unprovable, and only the next `verify` says so.
#[tokio::test]
async fn an_append_builds_on_a_frontier_of_the_right_length_whatever_it_says() {
    let world = World::new().await;
    let lease = world.lease("a").await;
    append(&world.ledger, &lease, 0, 5).await.unwrap();
    world
        .tamper("update ledger_head set frontier = set_byte(frontier, 0, get_byte(frontier, 0) # 1)")
        .await;
    expect!["5 of 5 checked"].assert_eq(&verified(&world.process().await).await);
    append(&world.ledger, &lease, 5, 6).await.unwrap();
    expect![[r#"
        6 of 6 checked
        6 entries hash to HASH, but the head says HASH: entries were exchanged or the head was changed"#]]
    .assert_eq(&verified(&world.process().await).await);
}
