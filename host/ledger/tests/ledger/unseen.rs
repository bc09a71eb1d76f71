//! What stands behind the head, beside it, or was put back: seen too.

use expect_test::expect;

use crate::support::{World, append};
use crate::tampering::{check, verified};

/// It was never shown as true, and the next append cannot take its position.
#[tokio::test]
async fn an_entry_put_behind_the_head_shows() {
    check(
        "insert into entry select ledger_id, 5, lane, body_key, entry, body from entry where position = 4",
        expect![[r#"
            5 of 5 checked
            position 5: an entry stands behind the head"#]],
    )
    .await;
}

#[tokio::test]
async fn an_older_head_shows_while_newer_entries_are_there() {
    let world = World::new().await;
    let lease = world.lease("a").await;
    append(&world.ledger, &lease, 0, 3).await.unwrap();
    world.tamper("create table backup as select * from ledger_head").await;
    append(&world.ledger, &lease, 3, 5).await.unwrap();
    world
        .tamper("update ledger_head h set size = b.size, root = b.root, frontier = b.frontier from backup b")
        .await;
    expect![[r#"
        3 of 3 checked
        position 3: an entry stands behind the head"#]]
    .assert_eq(&verified(&world.process().await).await);
    // The next append wants the positions that are taken, and records nothing until the head is what it was.
    assert!(append(&world.ledger, &lease, 5, 6).await.is_err());
}

/// A lane decides which worker routes the change. It is computed again from the keys in the body.
#[tokio::test]
async fn a_changed_lane_shows() {
    check(
        "update entry set lane = (lane + 1) % 256 where position = 3",
        expect![[r#"
            5 of 5 checked
            position 3: the lane was changed"#]],
    )
    .await;
}

/// Only a state that was put back as a whole, shards and all, cannot be told from the truth by the database alone: that is
/// what the guard is for.
#[tokio::test]
async fn an_older_head_with_its_tail_cut_off_shows_by_the_shard() {
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
    expect![[r#"
        3 of 3 checked
        shard a: it stands at 3, but was recorded up to 5: what lies between was not recorded
        shard a: its open batch begins at start with 5 records, but 3 were recorded since the last batch, of which there is none"#]].assert_eq(&verified(&world.process().await).await);
}

/// Size, root and frontier of the head must agree. Where they do not, the entries decide.
#[tokio::test]
async fn a_changed_frontier_shows_and_nothing_is_built_on_it() {
    let world = World::new().await;
    let lease = world.lease("a").await;
    append(&world.ledger, &lease, 0, 5).await.unwrap();
    world
        .tamper("update ledger_head set frontier = set_byte(frontier, 0, get_byte(frontier, 0) # 1)")
        .await;
    expect![[r#"
        5 of 5 checked
        the head's frontier was changed"#]]
    .assert_eq(&verified(&world.process().await).await);
    append(&world.ledger, &lease, 5, 6).await.unwrap();
    expect!["6 of 6 checked"].assert_eq(&verified(&world.process().await).await);
}
