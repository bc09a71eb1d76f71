//! What was committed is only ever added to: Postgres itself refuses everything else.

use expect_test::{Expect, expect};
use sqlx::AssertSqlSafe;

use crate::support::{World, append};

async fn check(sql: &str, expect: Expect) {
    let world = World::new().await;
    let lease = world.lease("a").await;
    append(&world.ledger, &lease, 0, 2).await.unwrap();
    let before = world.recorded().await;

    let refusal = sqlx::raw_sql(AssertSqlSafe(sql.to_owned()))
        .execute(&mut world.conn().await)
        .await;
    let refusal = refusal.expect_err("it must be refused");
    expect.assert_eq(refusal.into_database_error().unwrap().message());
    assert_eq!(world.recorded().await, before);
}

#[tokio::test]
async fn an_entry_is_not_updated() {
    check(
        "update entry set entry = '' where position = 0",
        expect!["entries of a ledger are only ever added"],
    )
    .await;
}

#[tokio::test]
async fn a_body_is_not_updated() {
    check(
        "update entry set body = null",
        expect!["entries of a ledger are only ever added"],
    )
    .await;
}

#[tokio::test]
async fn an_entry_is_not_deleted() {
    check(
        "delete from entry where position = 1",
        expect!["entries of a ledger are only ever added"],
    )
    .await;
}

#[tokio::test]
async fn the_entries_are_not_truncated() {
    check("truncate entry", expect!["entries of a ledger are only ever added"]).await;
}

#[tokio::test]
async fn an_entry_of_a_partition_is_not_updated() {
    check(
        "update entry_1_0 set lane = 0",
        expect!["entries of a ledger are only ever added"],
    )
    .await;
}

#[tokio::test]
async fn an_entry_of_a_partition_is_not_deleted() {
    check(
        "delete from entry_1_0",
        expect!["entries of a ledger are only ever added"],
    )
    .await;
}

#[tokio::test]
async fn a_partition_is_not_truncated() {
    for partition in ["entry_1_0", "entry_1_1"] {
        check(
            &format!("truncate {partition}"),
            expect!["entries of a ledger are only ever added"],
        )
        .await;
    }
}

#[tokio::test]
async fn an_entry_is_not_replaced_by_an_upsert() {
    check(
        "insert into entry select * from entry on conflict (ledger_id, position) do update set entry = ''",
        expect!["entries of a ledger are only ever added"],
    )
    .await;
}

#[tokio::test]
async fn a_position_is_not_given_twice() {
    check(
        "insert into entry select * from entry where position = 1",
        expect![[r#"duplicate key value violates unique constraint "entry_1_0_pkey""#]],
    )
    .await;
}

#[tokio::test]
async fn a_head_is_not_negative_or_without_a_root() {
    check(
        "update ledger_head set size = -1",
        expect![[r#"new row for relation "ledger_head" violates check constraint "ledger_head_size_check""#]],
    )
    .await;
    check(
        "update ledger_head set root = ''",
        expect![[r#"new row for relation "ledger_head" violates check constraint "ledger_head_root_check""#]],
    )
    .await;
}

/// Only the owner of the tables can do that; no trigger keeps an owner from it.
#[tokio::test]
async fn a_partition_that_its_owner_drops_is_noticed() {
    let world = World::new().await;
    let lease = world.lease("a").await;
    append(&world.ledger, &lease, 0, 2).await.unwrap();
    sqlx::raw_sql("drop table entry_1_0")
        .execute(&mut world.conn().await)
        .await
        .unwrap();
    assert!(!world.ledger.verify(|_, _| {}).await.unwrap().findings.is_empty());
}
