//! The index finds what was recorded about an item, and never says what was not.

use expect_test::{Expect, expect};
use weir_ledger::{Consumer, ConsumerError, Ledger, ReadError};
use weir_model::Position;

use crate::support::{World, batch, seal_items, shown, token};

const CHANGES: [(u64, &str); 7] = [
    (1, "milk"),
    (2, "bread"),
    (3, "milk"),
    (4, "milk"),
    (5, "bread"),
    (6, "milk"),
    (7, "milk"),
];

/// A ledger with changes of two items, all indexed.
async fn indexed() -> World {
    let world = World::new().await;
    let lease = world.lease("a").await;
    let records = seal_items(&world.ledger, &lease, &CHANGES).await;
    world.ledger.append(batch(&lease, 0, 7, &records)).await.unwrap();
    let mut index = world.ledger.claim_index().await.unwrap();
    advance(&world.ledger, &mut index).await;
    world
}

/// Brings the index to the ledger's end, two entries at a time.
async fn advance(ledger: &Ledger, index: &mut Consumer) {
    loop {
        if ledger.index(index, 2).await.unwrap() == 0 {
            return;
        }
    }
}

async fn found(ledger: &Ledger, item: &str, before: Option<u64>, count_max: u16) -> String {
    match ledger
        .find_entries(&[token(ledger, item)], before.map(Position), count_max)
        .await
    {
        Ok(found) => {
            let more = if found.has_more { ", more" } else { "" };
            format!("{} | to {}{more}", shown(&found.entries), found.indexed_to)
        }
        Err(ReadError::Tampered { position, found }) => format!("position {position}: {found}"),
        Err(error) => panic!("{error}"),
    }
}

/// Lets an intruder at the index, and tells what a fresh process finds about milk.
async fn check(sql: &str, expect: Expect) {
    let world = indexed().await;
    let bread = hex::encode(token(&world.ledger, "bread").token);
    let milk = hex::encode(token(&world.ledger, "milk").token);
    world
        .tamper(
            &sql.replace("BREAD", &format!("'\\x{bread}'"))
                .replace("MILK", &format!("'\\x{milk}'")),
        )
        .await;
    expect.assert_eq(&found(&world.process().await, "milk", None, 10).await);
}

#[tokio::test]
async fn the_entries_of_an_item_are_found_newest_first() {
    let world = indexed().await;
    expect!["6:milk@7 5:milk@6 3:milk@4 2:milk@3 0:milk@1 | to 7"]
        .assert_eq(&found(&world.ledger, "milk", None, 10).await);
    expect!["4:bread@5 1:bread@2 | to 7"].assert_eq(&found(&world.process().await, "bread", None, 10).await);
    expect![" | to 7"].assert_eq(&found(&world.ledger, "butter", None, 10).await);
}

#[tokio::test]
async fn entries_are_found_page_by_page() {
    let world = indexed().await;
    expect!["6:milk@7 5:milk@6 | to 7, more"].assert_eq(&found(&world.ledger, "milk", None, 2).await);
    expect!["3:milk@4 2:milk@3 | to 7, more"].assert_eq(&found(&world.ledger, "milk", Some(5), 2).await);
    expect!["0:milk@1 | to 7"].assert_eq(&found(&world.ledger, "milk", Some(2), 2).await);
    expect![" | to 7"].assert_eq(&found(&world.ledger, "milk", Some(0), 2).await);
}

#[tokio::test]
async fn several_items_are_found_at_once() {
    let world = indexed().await;
    let tokens = [token(&world.ledger, "milk"), token(&world.ledger, "bread")];
    let found = world.ledger.find_entries(&tokens, Some(Position(5)), 3).await.unwrap();
    expect!["4:bread@5 3:milk@4 2:milk@3"].assert_eq(&shown(&found.entries));
    assert!(
        world
            .ledger
            .find_entries(&[], None, 3)
            .await
            .unwrap()
            .entries
            .is_empty()
    );
}

#[tokio::test]
async fn what_is_not_indexed_yet_is_said_to_be_missing() {
    let world = World::new().await;
    let lease = world.lease("a").await;
    let records = seal_items(&world.ledger, &lease, &CHANGES).await;
    world.ledger.append(batch(&lease, 0, 7, &records)).await.unwrap();
    expect![" | to 0"].assert_eq(&found(&world.ledger, "milk", None, 10).await);
    let mut index = world.ledger.claim_index().await.unwrap();
    assert_eq!(world.ledger.index(&mut index, 3).await.unwrap(), 3);
    assert_eq!(index.next, Position(3));
    expect!["2:milk@3 0:milk@1 | to 3"].assert_eq(&found(&world.ledger, "milk", None, 10).await);
}

#[tokio::test]
async fn an_index_that_was_emptied_and_filled_again_gives_the_same_answers() {
    let world = indexed().await;
    let mut before = Vec::new();
    for item in ["milk", "bread"] {
        before.push(found(&world.ledger, item, None, 10).await);
    }
    world
        .tamper("delete from item_index; update consumer set next_position = 0 where name = 'index'")
        .await;
    expect![" | to 0"].assert_eq(&found(&world.ledger, "milk", None, 10).await);

    let mut index = world.ledger.claim_index().await.unwrap();
    advance(&world.ledger, &mut index).await;
    let mut after = Vec::new();
    for item in ["milk", "bread"] {
        after.push(found(&world.ledger, item, None, 10).await);
    }
    assert_eq!(after, before);
}

#[tokio::test]
async fn indexing_again_what_is_there_changes_nothing() {
    let world = indexed().await;
    world
        .tamper("update consumer set next_position = 0 where name = 'index'")
        .await;
    let mut index = world.ledger.claim_index().await.unwrap();
    advance(&world.ledger, &mut index).await;
    expect!["4:bread@5 1:bread@2 | to 7"].assert_eq(&found(&world.ledger, "bread", None, 10).await);
}

#[tokio::test]
async fn what_the_process_appended_itself_is_indexed_like_what_others_appended() {
    let world = World::new().await;
    let lease = world.lease("a").await;
    let other = world.process().await;
    let mut index = world.ledger.claim_index().await.unwrap();
    assert_eq!(world.ledger.index(&mut index, 2).await.unwrap(), 0, "it waits for more");
    let mut after = 0;
    for (ledger, to) in [(&world.ledger, 3), (&other, 5), (&world.ledger, 7)] {
        let changes = &CHANGES[after..to];
        let records = seal_items(ledger, &lease, changes).await;
        ledger
            .append(batch(&lease, after as u64, to as u64, &records))
            .await
            .unwrap();
        after = to;
    }
    // What it appended itself is not read for it, or this would be noticed here.
    world
        .tamper("update entry set entry = set_byte(entry, 9, 0) where position = 5")
        .await;
    advance(&world.ledger, &mut index).await;
    expect!["3:milk@4 2:milk@3 0:milk@1 | to 7"].assert_eq(&found(&other, "milk", Some(5), 10).await);
    expect!["4:bread@5 1:bread@2 | to 7"].assert_eq(&found(&other, "bread", None, 10).await);
    expect!["position 5: entry cannot be read: it is not canonical"].assert_eq(&found(&other, "milk", None, 10).await);
}

#[tokio::test]
async fn after_a_take_over_the_old_worker_indexes_nothing() {
    let world = World::new().await;
    let lease = world.lease("a").await;
    let records = seal_items(&world.ledger, &lease, &CHANGES).await;
    world.ledger.append(batch(&lease, 0, 7, &records)).await.unwrap();
    let mut old = world.ledger.claim_index().await.unwrap();
    world.process().await.claim_index().await.unwrap();

    let fenced = world.ledger.index(&mut old, 3).await;
    assert!(matches!(fenced, Err(ConsumerError::Fenced { .. })), "{fenced:?}");
    expect![" | to 0"].assert_eq(&found(&world.ledger, "milk", None, 10).await);
}

#[tokio::test]
async fn an_entry_of_another_item_is_not_shown_whatever_the_index_says() {
    check(
        "insert into item_index values (1, MILK, 4)",
        expect!["position 4: the index says that this entry is about an item that it is not about"],
    )
    .await;
}

#[tokio::test]
async fn a_position_that_is_not_there_is_not_shown_whatever_the_index_says() {
    check(
        "insert into item_index values (1, MILK, 400)",
        expect!["position 400: the entry is missing"],
    )
    .await;
    check(
        "insert into item_index values (1, MILK, -1)",
        expect!["position 18446744073709551615: the entry is missing"],
    )
    .await;
}

/// The index may forget; that it did shows when it is built anew.
#[tokio::test]
async fn an_entry_that_the_index_lost_is_not_found() {
    check(
        "delete from item_index where position = 3",
        expect!["6:milk@7 5:milk@6 2:milk@3 0:milk@1 | to 7"],
    )
    .await;
}

#[tokio::test]
async fn an_entry_that_was_changed_is_not_shown() {
    check(
        "update entry set entry = set_byte(entry, 9, 0) where position = 3",
        expect!["position 3: entry cannot be read: it is not canonical"],
    )
    .await;
}

/// Were they skipped, a page would be short, and who reads page by page would stop there.
#[tokio::test]
async fn rows_that_an_intruder_added_are_told_and_not_skipped() {
    let world = indexed().await;
    let bread = hex::encode(token(&world.ledger, "bread").token);
    world
        .tamper(&format!(
            "insert into item_index values (1, '\\x{bread}', 5), (1, '\\x{bread}', 6)"
        ))
        .await;
    expect!["position 6: the index says that this entry is about an item that it is not about"]
        .assert_eq(&found(&world.ledger, "bread", None, 2).await);
}
