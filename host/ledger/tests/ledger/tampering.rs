//! Who owns the database can change it. What is changed shows, and it shows where.

use expect_test::{Expect, expect};
use weir_ledger::Ledger;

use crate::support::{World, append};

/// Records five entries, lets an intruder in, and tells what a fresh process finds.
pub(crate) async fn check(sql: &str, expect: Expect) {
    let world = World::new().await;
    let lease = world.lease("a").await;
    append(&world.ledger, &lease, 0, 5).await.unwrap();
    world.tamper(sql).await;
    expect.assert_eq(&verified(&world.process().await).await);
}

pub(crate) async fn verified(ledger: &Ledger) -> String {
    let verification = match ledger.verify(|_, _| {}).await {
        Ok(verification) => verification,
        Err(error) => return format!("cannot tell: {error}"),
    };
    let mut told = format!("{} of {} checked", verification.checked, verification.head.size);
    for finding in verification.findings {
        let without_hashes: Vec<String> = finding
            .to_string()
            .split(' ')
            .map(|word| match word.trim_end_matches([',', ':']) {
                hash if hash.len() == 64 => word.replace(hash, "HASH"),
                _ => word.to_owned(),
            })
            .collect();
        told += &format!("\n{}", without_hashes.join(" "));
    }
    told
}

/// Changes one byte in the middle of a column.
pub(crate) fn flip(column: &str, position: u64) -> String {
    format!(
        "update entry set {column} = set_byte({column}, octet_length({column}) / 2, \
         get_byte({column}, octet_length({column}) / 2) # 1) where position = {position}"
    )
}

#[tokio::test]
async fn an_untouched_ledger_is_proved() {
    check("", expect!["5 of 5 checked"]).await;
}

#[tokio::test]
async fn progress_ends_at_the_size() {
    let world = World::new().await;
    let lease = world.lease("a").await;
    append(&world.ledger, &lease, 0, 5).await.unwrap();
    let told = std::sync::Mutex::new(Vec::new());
    world
        .ledger
        .verify(|done, all| told.lock().unwrap().push((done, all)))
        .await
        .unwrap();
    assert_eq!(told.into_inner().unwrap().last(), Some(&(5, 5)));
}

#[tokio::test]
async fn a_changed_byte_of_an_entry_shows() {
    check(
        &flip("entry", 3),
        expect![[r#"
            5 of 5 checked
            position 3: the entry was changed, it is no entry any more (entry has a wrong kind)
            5 entries hash to HASH, but the head says HASH: entries were exchanged or the head was changed"#]],
    )
    .await;
}

#[tokio::test]
async fn a_changed_byte_of_a_body_shows() {
    check(
        &flip("body", 3),
        expect![[r#"
            5 of 5 checked
            position 3: entry and body do not belong together: one of them was changed"#]],
    )
    .await;
}

#[tokio::test]
async fn a_changed_byte_anywhere_in_entry_or_body_shows_at_its_position() {
    let world = World::new().await;
    let lease = world.lease("a").await;
    append(&world.ledger, &lease, 0, 3).await.unwrap();
    for column in ["entry", "body"] {
        for share in 0..12 {
            let at = format!("(octet_length({column}) - 1) * {share} / 11");
            let flip = format!(
                "update entry set {column} = set_byte({column}, {at}, get_byte({column}, {at}) # 32) where position = 1"
            );
            world.tamper(&flip).await;
            let told = verified(&world.process().await).await;
            assert!(told.contains("\nposition 1:"), "{column}, {share}/11: {told}");
            world.tamper(&flip).await;
        }
    }
    expect!["3 of 3 checked"].assert_eq(&verified(&world.process().await).await);
}

#[tokio::test]
async fn a_changed_number_of_a_body_key_shows() {
    check(
        "update entry set body_key = body_key + 1 where position = 3",
        expect![[r#"
            5 of 5 checked
            position 3: entry and body do not belong together: one of them was changed"#]],
    )
    .await;
}

#[tokio::test]
async fn a_number_of_a_body_key_that_was_never_given_shows() {
    check(
        "update entry set body_key = 99999999 where position = 3",
        expect![[r#"
            5 of 5 checked
            position 3: segment key 1525 is missing"#]],
    )
    .await;
    check(
        "update entry set body_key = -1 where position = 3",
        expect![[r#"
            5 of 5 checked
            position 3: segment key -1 is missing"#]],
    )
    .await;
}

#[tokio::test]
async fn the_body_of_another_entry_shows() {
    check(
        "update entry set body = other.body, body_key = other.body_key from entry other
         where entry.position = 3 and other.position = 1",
        expect![[r#"
            5 of 5 checked
            position 3: entry and body do not belong together: one of them was changed"#]],
    )
    .await;
}

#[tokio::test]
async fn a_deleted_entry_shows() {
    check(
        "delete from entry where position = 2",
        expect![[r#"
            2 of 5 checked
            position 2 is missing"#]],
    )
    .await;
}

#[tokio::test]
async fn a_deleted_first_entry_shows() {
    check(
        "delete from entry where position = 0",
        expect![[r#"
            0 of 5 checked
            position 0 is missing"#]],
    )
    .await;
}

#[tokio::test]
async fn a_deleted_last_entry_shows() {
    check(
        "delete from entry where position = 4",
        expect![[r#"
            4 of 5 checked
            4 entries are stored, but the head says 5"#]],
    )
    .await;
}

#[tokio::test]
async fn an_emptied_ledger_shows() {
    check(
        "delete from entry",
        expect![[r#"
            0 of 5 checked
            0 entries are stored, but the head says 5"#]],
    )
    .await;
}

/// The tree fixes the order; which two were exchanged it cannot say, because each is what was once recorded.
#[tokio::test]
async fn two_exchanged_entries_show() {
    check(
        "create temp table exchanged as select * from entry where position in (1, 3);
         delete from entry where position in (1, 3);
         insert into entry select ledger_id, 4 - position, lane, body_key, entry, body from exchanged",
        expect![[r#"
            5 of 5 checked
            position 2, shard a of stream arn:aws:dynamodb:eu-west-1:000000000000:table/orders/stream/2026-03-01T00:00:00.000: sequence 3 is not above 4, which was recorded before it
            position 3, shard a of stream arn:aws:dynamodb:eu-west-1:000000000000:table/orders/stream/2026-03-01T00:00:00.000: sequence 2 is not above 3, which was recorded before it
            5 entries hash to HASH, but the head says HASH: entries were exchanged or the head was changed"#]],
    )
    .await;
}

#[tokio::test]
async fn a_changed_root_shows() {
    check(
        "update ledger_head set root = set_byte(root, 0, get_byte(root, 0) # 1)",
        expect![[r#"
            5 of 5 checked
            5 entries hash to HASH, but the head says HASH: entries were exchanged or the head was changed"#]],
    )
    .await;
}

#[tokio::test]
async fn a_lowered_size_shows() {
    check(
        "update ledger_head set size = 4",
        expect![[r#"
            4 of 4 checked
            4 entries hash to HASH, but the head says HASH: entries were exchanged or the head was changed
            position 4: an entry stands behind the head"#]],
    )
    .await;
    check(
        "update ledger_head set size = 0",
        expect![[r#"
            0 of 0 checked
            0 entries hash to HASH, but the head says HASH: entries were exchanged or the head was changed
            position 0: an entry stands behind the head"#]],
    )
    .await;
}

#[tokio::test]
async fn a_raised_size_shows() {
    check(
        "update ledger_head set size = 6",
        expect![[r#"
            5 of 6 checked
            5 entries are stored, but the head says 6"#]],
    )
    .await;
}

/// A body may be empty only where an `erasure` entry says so (design, 4.6), and there are none yet.
#[tokio::test]
async fn an_emptied_body_shows() {
    check(
        "update entry set body = null where position = 3",
        expect![[r#"
            5 of 5 checked
            position 3: the body is gone, and no erasure covers it"#]],
    )
    .await;
}

#[tokio::test]
async fn deleted_keys_show() {
    check(
        "delete from segment_key",
        expect![[r#"
            5 of 5 checked
            position 0: segment key 0 is missing
            position 1: segment key 0 is missing
            position 2: segment key 0 is missing
            position 3: segment key 0 is missing
            position 4: segment key 0 is missing"#]],
    )
    .await;
}

#[tokio::test]
async fn findings_do_not_hide_each_other() {
    check(
        &format!("{}; {}", flip("body", 1), flip("entry", 3)),
        expect![[r#"
            5 of 5 checked
            position 1: entry and body do not belong together: one of them was changed
            position 3: the entry was changed, it is no entry any more (entry has a wrong kind)
            5 entries hash to HASH, but the head says HASH: entries were exchanged or the head was changed"#]],
    )
    .await;
}

#[tokio::test]
async fn a_frontier_that_was_taken_away_is_worked_out_again() {
    let world = World::new().await;
    let lease = world.lease("a").await;
    append(&world.ledger, &lease, 0, 5).await.unwrap();
    world.tamper("update ledger_head set frontier = ''").await;
    append(&world.ledger, &lease, 5, 6).await.unwrap();
    expect!["6 of 6 checked"].assert_eq(&verified(&world.process().await).await);
}
