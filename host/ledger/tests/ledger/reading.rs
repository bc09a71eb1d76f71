//! Reading back: in order, in pages that fit into memory.

use expect_test::{Expect, expect};
use weir_ledger::ReadError;
use weir_model::Position;

use crate::support::{Shuffled, World, append, batch, read, seal_items, seal_large, shown};
use crate::tampering::flip;

#[tokio::test]
async fn entries_are_read_in_order_from_a_position_on() {
    let world = World::new().await;
    let lease = world.lease("a").await;
    let records = seal_items(&world.ledger, &lease, &[(1, "milk"), (2, "bread"), (3, "milk")]).await;
    world.ledger.append(batch(&lease, 0, 3, &records)).await.unwrap();
    expect!["0:milk@1 1:bread@2 2:milk@3"].assert_eq(&read(&world.ledger, 0).await);
    expect!["1:bread@2 2:milk@3"].assert_eq(&read(&world.process().await, 1).await);
    expect![""].assert_eq(&read(&world.ledger, 3).await);
    expect![""].assert_eq(&read(&world.ledger, 1_000_000_000).await);
}

#[tokio::test]
async fn a_page_has_at_most_the_number_of_entries_that_was_asked_for() {
    let world = World::new().await;
    let lease = world.lease("a").await;
    append(&world.ledger, &lease, 0, 5).await.unwrap();
    expect!["1:milk@2 2:milk@3"].assert_eq(&shown(&world.ledger.read_from(Position(1), 2).await.unwrap()));
}

#[tokio::test]
async fn entries_at_positions_are_read_highest_first() {
    let world = World::new().await;
    let lease = world.lease("a").await;
    append(&world.ledger, &lease, 0, 5).await.unwrap();
    expect!["4:milk@5 2:milk@3 0:milk@1"].assert_eq(&shown(&world.ledger.read_at(&[4, 0, 2]).await.unwrap()));
    expect![""].assert_eq(&shown(&world.ledger.read_at(&[]).await.unwrap()));
}

/// Appends one entry for each number of megabytes, and tells the positions on each page.
async fn check_pages(megabytes: &[usize], expect: Expect) {
    let world = World::new().await;
    let lease = world.lease("a").await;
    let mut shuffled = Shuffled::new();
    for (after, &megabytes) in (0..).zip(megabytes) {
        let text = shuffled.text(megabytes * 4_000_000 / 3);
        let record = seal_large(&world.ledger, &lease, after + 1, &text).await;
        world
            .ledger
            .append(batch(&lease, after, after + 1, &[record]))
            .await
            .unwrap();
    }

    let mut pages = Vec::new();
    let mut next = Position(0);
    loop {
        let page = world.ledger.read_from(next, 100).await.unwrap();
        let Some(last) = page.last() else { break };
        next = Position(last.position.0 + 1);
        let positions: Vec<String> = page.iter().map(|entry| entry.position.to_string()).collect();
        pages.push(positions.join(" "));
    }
    expect.assert_eq(&pages.join(" | "));
}

#[tokio::test]
async fn a_page_is_about_four_megabytes() {
    check_pages(&[1, 1, 1, 1, 1, 1, 1], expect!["0 1 2 3 4 | 5 6"]).await;
}

#[tokio::test]
async fn a_page_is_not_longer_than_its_bound_and_one_entry() {
    check_pages(&[3, 3, 3], expect!["0 1 | 2"]).await;
}

#[tokio::test]
async fn an_entry_over_the_bound_of_a_page_is_read_all_the_same() {
    check_pages(&[0, 5, 0], expect!["0 1 | 2"]).await;
}

#[tokio::test]
async fn what_was_changed_is_never_read_as_true() {
    let world = World::new().await;
    let lease = world.lease("a").await;
    append(&world.ledger, &lease, 0, 5).await.unwrap();
    for column in ["entry", "body"] {
        world.tamper(&flip(column, 3)).await;
        for read in [
            world.ledger.read_from(Position(2), 10).await,
            world.ledger.read_at(&[3]).await,
        ] {
            let Err(ReadError::Tampered { position, .. }) = read else {
                panic!("{column}: it was read");
            };
            assert_eq!(position, Position(3));
        }
        // What stands before it is still read.
        assert_eq!(world.ledger.read_from(Position(0), 3).await.unwrap().len(), 3);
        world.tamper(&flip(column, 3)).await;
    }
    assert_eq!(world.ledger.read_from(Position(0), 10).await.unwrap().len(), 5);
}
