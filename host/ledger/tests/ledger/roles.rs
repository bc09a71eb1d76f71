//! Who may do what in the database.

use expect_test::{Expect, expect};
use sqlx::{AssertSqlSafe, Connection as _, PgConnection};

use crate::support::{World, append};
use crate::tampering::verified;

/// A ledger with a full tile, an index and a dead letter's place.
pub(crate) async fn recorded() -> World {
    let world = World::new().await;
    let lease = world.lease("a").await;
    append(&world.ledger, &lease, 0, 300).await.unwrap();
    world
}

/// Runs a statement as a role, and takes it back. Tells what Postgres says.
async fn attempt(conn: &mut PgConnection, role: Option<&str>, sql: &str) -> String {
    let mut tx = conn.begin().await.unwrap();
    if let Some(role) = role {
        sqlx::raw_sql(AssertSqlSafe(format!("set local role {role}")))
            .execute(&mut *tx)
            .await
            .unwrap();
    }
    let done = sqlx::raw_sql(AssertSqlSafe(sql.to_owned())).execute(&mut *tx).await;
    tx.rollback().await.unwrap();
    match done {
        Ok(done) => format!("done, {} rows", done.rows_affected()),
        Err(error) => error.into_database_error().unwrap().message().to_owned(),
    }
}

async fn check(role: Option<&str>, statements: &[&str], expect: Expect) {
    let world = recorded().await;
    let mut conn = world.conn().await;
    let mut told = String::new();
    for sql in statements {
        told += &format!("{sql}: {}\n", attempt(&mut conn, role, sql).await);
    }
    expect.assert_eq(&told);
    assert_eq!(verified(&world.process().await).await, "300 of 300 checked");
}

/// What changes what was recorded, of a parent and of a partition.
const CHANGES: [&str; 14] = [
    "update entry set entry = ''",
    "update entry set body = null",
    "update entry set lane = 0",
    "delete from entry",
    "truncate entry",
    "update entry_1_0 set entry = ''",
    "update entry_1_0 set body = null",
    "delete from entry_1_0",
    "truncate entry_1_0",
    "truncate entry_1_1",
    "update tile set hashes = hashes",
    "delete from tile",
    "truncate tile",
    "truncate ledger, entry, tile cascade",
];

#[tokio::test]
async fn who_records_cannot_change_what_was_recorded() {
    check(
        Some("weir_writer"),
        &CHANGES,
        expect![[r#"
        update entry set entry = '': permission denied for table entry
        update entry set body = null: permission denied for table entry
        update entry set lane = 0: permission denied for table entry
        delete from entry: permission denied for table entry
        truncate entry: permission denied for table entry
        update entry_1_0 set entry = '': permission denied for table entry_1_0
        update entry_1_0 set body = null: permission denied for table entry_1_0
        delete from entry_1_0: permission denied for table entry_1_0
        truncate entry_1_0: permission denied for table entry_1_0
        truncate entry_1_1: permission denied for table entry_1_1
        update tile set hashes = hashes: permission denied for table tile
        delete from tile: permission denied for table tile
        truncate tile: permission denied for table tile
        truncate ledger, entry, tile cascade: permission denied for table ledger
    "#]],
    )
    .await;
}

#[tokio::test]
async fn who_reads_cannot_change_what_was_recorded() {
    check(
        Some("weir_reader"),
        &CHANGES,
        expect![[r#"
        update entry set entry = '': permission denied for table entry
        update entry set body = null: permission denied for table entry
        update entry set lane = 0: permission denied for table entry
        delete from entry: permission denied for table entry
        truncate entry: permission denied for table entry
        update entry_1_0 set entry = '': permission denied for table entry_1_0
        update entry_1_0 set body = null: permission denied for table entry_1_0
        delete from entry_1_0: permission denied for table entry_1_0
        truncate entry_1_0: permission denied for table entry_1_0
        truncate entry_1_1: permission denied for table entry_1_1
        update tile set hashes = hashes: permission denied for table tile
        delete from tile: permission denied for table tile
        truncate tile: permission denied for table tile
        truncate ledger, entry, tile cascade: permission denied for table ledger
    "#]],
    )
    .await;
}

#[tokio::test]
async fn the_owner_stumbles_over_triggers() {
    check(
        None,
        &CHANGES,
        expect![[r#"
        update entry set entry = '': entries of a ledger are only ever added
        update entry set body = null: entries of a ledger are only ever added
        update entry set lane = 0: entries of a ledger are only ever added
        delete from entry: entries of a ledger are only ever added
        truncate entry: entries of a ledger are only ever added
        update entry_1_0 set entry = '': entries of a ledger are only ever added
        update entry_1_0 set body = null: entries of a ledger are only ever added
        delete from entry_1_0: entries of a ledger are only ever added
        truncate entry_1_0: entries of a ledger are only ever added
        truncate entry_1_1: entries of a ledger are only ever added
        update tile set hashes = hashes: tiles of a ledger are only ever added
        delete from tile: tiles of a ledger are only ever added
        truncate tile: tiles of a ledger are only ever added
        truncate ledger, entry, tile cascade: entries of a ledger are only ever added
    "#]],
    )
    .await;
}

#[tokio::test]
async fn who_erases_may_change_bodies_and_nothing_else_of_an_entry() {
    check(
        Some("weir_eraser"),
        &CHANGES,
        expect![[r#"
        update entry set entry = '': permission denied for table entry
        update entry set body = null: done, 300 rows
        update entry set lane = 0: permission denied for table entry
        delete from entry: permission denied for table entry
        truncate entry: permission denied for table entry
        update entry_1_0 set entry = '': permission denied for table entry_1_0
        update entry_1_0 set body = null: permission denied for table entry_1_0
        delete from entry_1_0: permission denied for table entry_1_0
        truncate entry_1_0: permission denied for table entry_1_0
        truncate entry_1_1: permission denied for table entry_1_1
        update tile set hashes = hashes: permission denied for table tile
        delete from tile: permission denied for table tile
        truncate tile: permission denied for table tile
        truncate ledger, entry, tile cascade: permission denied for table ledger
    "#]],
    )
    .await;
    check(
        Some("weir_eraser"),
        &[
            "update entry set body = '', body_key = 7 where position = 3",
            "update entry set body = null, body_key = null where position = 3",
            "update entry set position = 1000 where position = 3",
            "update entry set ledger_id = 2 where position = 3",
            "update entry set lane = 7, body = null where position = 3",
            "update entry set entry = entry, body = null where position = 3",
            "insert into entry select * from entry",
            "insert into tile select * from tile",
            "update ledger_head set size = 0",
            "update shard set position = null",
            "delete from segment_key",
            "insert into segment_key select ledger_id, 99, wrapped from segment_key",
            "delete from dead_letter",
            "delete from item_index",
        ],
        expect![[r#"
            update entry set body = '', body_key = 7 where position = 3: done, 1 rows
            update entry set body = null, body_key = null where position = 3: done, 1 rows
            update entry set position = 1000 where position = 3: permission denied for table entry
            update entry set ledger_id = 2 where position = 3: permission denied for table entry
            update entry set lane = 7, body = null where position = 3: permission denied for table entry
            update entry set entry = entry, body = null where position = 3: permission denied for table entry
            insert into entry select * from entry: permission denied for table entry
            insert into tile select * from tile: permission denied for table tile
            update ledger_head set size = 0: permission denied for table ledger_head
            update shard set position = null: permission denied for table shard
            delete from segment_key: permission denied for table segment_key
            insert into segment_key select ledger_id, 99, wrapped from segment_key: permission denied for table segment_key
            delete from dead_letter: permission denied for table dead_letter
            delete from item_index: done, 0 rows
        "#]],
    )
    .await;
}

#[tokio::test]
async fn who_reads_writes_nothing_anywhere() {
    let world = recorded().await;
    let mut conn = world.conn().await;
    let tables: Vec<String> = sqlx::query_scalar(
        "select oid::regclass::text from pg_class
         where relnamespace = current_schema()::regnamespace and relkind in ('r', 'p')",
    )
    .fetch_all(&mut conn)
    .await
    .unwrap();
    assert!(tables.len() > 15, "{tables:?}");
    for table in tables {
        for sql in [
            format!("insert into {table} default values"),
            format!("delete from {table}"),
            format!("truncate {table}"),
            format!("drop table {table}"),
            format!("alter table {table} disable trigger all"),
        ] {
            let told = attempt(&mut conn, Some("weir_reader"), &sql).await;
            assert!(
                told.starts_with("permission denied") || told.starts_with("must be owner"),
                "{sql}: {told}"
            );
        }
    }
    for call in [
        "select ensure_entry_partitions(1, 99999999)",
        "select rewrite_erased()",
        "update segment_key set wrapped = ''",
        "create table mine (a int)",
    ] {
        let told = attempt(&mut conn, Some("weir_reader"), call).await;
        assert!(told.starts_with("permission denied"), "{call}: {told}");
    }
}

#[tokio::test]
async fn who_records_cannot_erase_and_cannot_take_the_guards_away() {
    check(
        Some("weir_writer"),
        &[
            "update segment_key set wrapped = wrapped",
            "delete from segment_key",
            "delete from item_index",
            "delete from shard",
            "delete from checkpoint",
            "update checkpoint set size = 0",
            "delete from schema_incident",
            "insert into schema_incident (statement, fault) values ('', '')",
            "select rewrite_erased()",
            "alter table entry disable trigger all",
            "alter table entry_1_0 disable trigger all",
            "alter table entry detach partition entry_1_0",
            "drop table entry_1_0",
            "drop trigger entry_is_append_only on entry",
            "drop event trigger weir_watches_schema",
            "set local session_replication_role = replica",
            "create or replace function refuse_entry_change() returns trigger language plpgsql as 'begin return new; end'",
        ],
        expect![[r#"
            update segment_key set wrapped = wrapped: permission denied for table segment_key
            delete from segment_key: permission denied for table segment_key
            delete from item_index: permission denied for table item_index
            delete from shard: permission denied for table shard
            delete from checkpoint: permission denied for table checkpoint
            update checkpoint set size = 0: permission denied for table checkpoint
            delete from schema_incident: permission denied for table schema_incident
            insert into schema_incident (statement, fault) values ('', ''): permission denied for table schema_incident
            select rewrite_erased(): permission denied for function rewrite_erased
            alter table entry disable trigger all: must be owner of table entry
            alter table entry_1_0 disable trigger all: must be owner of table entry_1_0
            alter table entry detach partition entry_1_0: must be owner of table entry
            drop table entry_1_0: must be owner of table entry_1_0
            drop trigger entry_is_append_only on entry: must be owner of relation entry
            drop event trigger weir_watches_schema: must be owner of event trigger weir_watches_schema
            set local session_replication_role = replica: permission denied to set parameter "session_replication_role"
            create or replace function refuse_entry_change() returns trigger language plpgsql as 'begin return new; end': permission denied for schema public
        "#]],
    )
    .await;
}
