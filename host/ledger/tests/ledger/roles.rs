//! Who may do what in the database, and that whoever switches that off is noticed.

use expect_test::{Expect, expect};
use sqlx::{AssertSqlSafe, Connection as _, PgConnection};

use crate::support::{World, append};
use crate::tampering::verified;

/// A ledger with a full tile, an index and a dead letter's place.
async fn recorded() -> World {
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

/// A superuser does something to what keeps entries append-only. Tells what is found, with the state before and after.
async fn check_noticed(sql: &str, expect: Expect) {
    let world = recorded().await;
    assert_eq!(world.ledger.append_only_faults().await.unwrap(), Vec::<String>::new());
    sqlx::raw_sql(AssertSqlSafe(sql.to_owned()))
        .execute(&mut world.conn().await)
        .await
        .unwrap();
    let faults = told_faults(&world).await;
    let found = verified(&world.process().await).await;
    for fault in faults.lines() {
        let fault = fault.split(": ").last().unwrap();
        assert!(found.contains(fault), "verify says nothing of {fault}: {found}");
    }
    expect.assert_eq(&faults);
}

/// Faults and incidents, without their times.
async fn told_faults(world: &World) -> String {
    let faults = world.ledger.append_only_faults().await.unwrap();
    let mut told: Vec<String> = faults
        .into_iter()
        .map(|fault| match fault.split_once("Z: ") {
            Some((_, incident)) => format!("incident: {incident}\n"),
            None => format!("{fault}\n"),
        })
        .collect();
    told.sort();
    told.concat()
}

#[tokio::test]
async fn a_detached_partition_is_noticed() {
    check_noticed("alter table entry detach partition entry_1_0", expect![[r#"
        incident: weir ran "alter table entry detach partition entry_1_0", and partition entry_1_0 is detached
        incident: weir ran "alter table entry detach partition entry_1_0", and table entry_1_0 has no trigger entry_is_append_only
        partition entry_1_0 is detached
        table entry_1_0 has no trigger entry_is_append_only
    "#]]).await;
}

#[tokio::test]
async fn a_dropped_partition_is_noticed() {
    check_noticed(
        "drop table entry_1_0",
        expect![[r#"
        incident: weir ran "drop table entry_1_0", and partition entry_1_0 is gone
        partition entry_1_0 is gone
    "#]],
    )
    .await;
}

#[tokio::test]
async fn a_dropped_newest_partition_is_noticed() {
    check_noticed(
        "drop table entry_1_1",
        expect![[r#"
            incident: weir ran "drop table entry_1_1", and partition entry_1_1 is gone
            partition entry_1_1 is gone
        "#]],
    )
    .await;
}

#[tokio::test]
async fn all_partitions_dropped_are_noticed() {
    check_noticed(
        "drop table entry_1_0, entry_1_1",
        expect![[r#"
            incident: weir ran "drop table entry_1_0, entry_1_1", and partition entry_1_0 is gone
            incident: weir ran "drop table entry_1_0, entry_1_1", and partition entry_1_1 is gone
            partition entry_1_0 is gone
            partition entry_1_1 is gone
        "#]],
    )
    .await;
}

#[tokio::test]
async fn a_disabled_trigger_is_noticed() {
    check_noticed("alter table entry disable trigger entry_is_append_only", expect![[r#"
        incident: weir ran "alter table entry disable trigger entry_is_append_only", and trigger entry_is_append_only of table entry is disabled
        incident: weir ran "alter table entry disable trigger entry_is_append_only", and trigger entry_is_append_only of table entry_1_0 is disabled
        incident: weir ran "alter table entry disable trigger entry_is_append_only", and trigger entry_is_append_only of table entry_1_1 is disabled
        trigger entry_is_append_only of table entry is disabled
        trigger entry_is_append_only of table entry_1_0 is disabled
        trigger entry_is_append_only of table entry_1_1 is disabled
    "#]]).await;
    check_noticed(
        "alter table entry_1_0 disable trigger entry_is_append_only",
        expect![[r#"
            incident: weir ran "alter table entry_1_0 disable trigger entry_is_append_only", and trigger entry_is_append_only of table entry_1_0 is disabled
            trigger entry_is_append_only of table entry_1_0 is disabled
        "#]],
    )
    .await;
    check_noticed(
        "alter table entry_1_0 disable trigger entry_is_not_truncated",
        expect![[r#"
            incident: weir ran "alter table entry_1_0 disable trigger entry_is_not_truncated", and trigger entry_is_not_truncated of table entry_1_0 is disabled
            trigger entry_is_not_truncated of table entry_1_0 is disabled
        "#]],
    )
    .await;
    check_noticed("alter table tile disable trigger all", expect![[r#"
        incident: weir ran "alter table tile disable trigger all", and trigger tile_is_append_only of table tile is disabled
        incident: weir ran "alter table tile disable trigger all", and trigger tile_is_not_truncated of table tile is disabled
        trigger tile_is_append_only of table tile is disabled
        trigger tile_is_not_truncated of table tile is disabled
    "#]]).await;
}

/// It fires for replication alone then, and for nobody who connects.
#[tokio::test]
async fn a_trigger_that_fires_for_replicas_alone_is_noticed() {
    check_noticed(
        "alter table entry_1_0 enable replica trigger entry_is_append_only",
        expect![[r#"
            incident: weir ran "alter table entry_1_0 enable replica trigger entry_is_append_only", and trigger entry_is_append_only of table entry_1_0 is disabled
            trigger entry_is_append_only of table entry_1_0 is disabled
        "#]],
    )
    .await;
}

#[tokio::test]
async fn a_dropped_trigger_is_noticed() {
    check_noticed("drop trigger entry_is_append_only on entry", expect![[r#"
        incident: weir ran "drop trigger entry_is_append_only on entry", and table entry has no trigger entry_is_append_only
        incident: weir ran "drop trigger entry_is_append_only on entry", and table entry_1_0 has no trigger entry_is_append_only
        incident: weir ran "drop trigger entry_is_append_only on entry", and table entry_1_1 has no trigger entry_is_append_only
        table entry has no trigger entry_is_append_only
        table entry_1_0 has no trigger entry_is_append_only
        table entry_1_1 has no trigger entry_is_append_only
    "#]]).await;
    check_noticed("drop trigger entry_is_not_truncated on entry_1_0", expect![[r#"
        incident: weir ran "drop trigger entry_is_not_truncated on entry_1_0", and table entry_1_0 has no trigger entry_is_not_truncated
        table entry_1_0 has no trigger entry_is_not_truncated
    "#]]).await;
    check_noticed(
        "drop trigger tile_is_append_only on tile",
        expect![[r#"
        incident: weir ran "drop trigger tile_is_append_only on tile", and table tile has no trigger tile_is_append_only
        table tile has no trigger tile_is_append_only
    "#]],
    )
    .await;
}

#[tokio::test]
async fn a_dropped_event_trigger_is_noticed() {
    check_noticed(
        "drop event trigger weir_watches_schema",
        expect![[r#"
        the event trigger weir_watches_schema is not there or disabled: changes of the schema leave no mark
    "#]],
    )
    .await;
    check_noticed(
        "alter event trigger weir_watches_schema disable",
        expect![[r#"
        the event trigger weir_watches_schema is not there or disabled: changes of the schema leave no mark
    "#]],
    )
    .await;
}

/// What was put back in order is whole again, and yet it is known that it was not.
#[tokio::test]
async fn what_was_done_and_undone_leaves_an_incident() {
    check_noticed(
        "alter table entry disable trigger entry_is_append_only;
         alter table entry enable trigger entry_is_append_only",
        expect![[r#"
            incident: weir ran "alter table entry disable trigger entry_is_append_only;\n         alter table entry enable trigger entry_is_append_only", and trigger entry_is_append_only of table entry is disabled
            incident: weir ran "alter table entry disable trigger entry_is_append_only;\n         alter table entry enable trigger entry_is_append_only", and trigger entry_is_append_only of table entry_1_0 is disabled
            incident: weir ran "alter table entry disable trigger entry_is_append_only;\n         alter table entry enable trigger entry_is_append_only", and trigger entry_is_append_only of table entry_1_1 is disabled
        "#]],
    )
    .await;
    check_noticed(
        "alter table entry detach partition entry_1_0;
         alter table entry attach partition entry_1_0 for values from (1, 0) to (1, 1048576)",
        expect![[r#"
            incident: weir ran "alter table entry detach partition entry_1_0;\n         alter table entry attach partition entry_1_0 for values from (1, 0) to (1, 1048576)", and partition entry_1_0 is detached
            incident: weir ran "alter table entry detach partition entry_1_0;\n         alter table entry attach partition entry_1_0 for values from (1, 0) to (1, 1048576)", and table entry_1_0 has no trigger entry_is_append_only
        "#]],
    )
    .await;
}

/// This is wrong today: a function that lets everything pass is as good as no trigger, and nobody looks at what it does.
/// What is changed under it shows all the same.
#[tokio::test]
async fn a_trigger_that_refuses_nothing_any_more_is_not_noticed() {
    check_noticed(
        "create or replace function refuse_entry_change() returns trigger language plpgsql as 'begin return new; end'",
        expect![""],
    )
    .await;
}

/// Weir itself makes partitions: nothing of that is an incident.
#[tokio::test]
async fn a_ledger_that_grows_leaves_no_incident() {
    let world = recorded().await;
    sqlx::raw_sql("select ensure_entry_partitions(ledger_id, 9000000) from ledger")
        .execute(&mut world.conn().await)
        .await
        .unwrap();
    world.database.connect().await.migrate().await.unwrap();
    assert_eq!(told_faults(&world).await, "");
    assert_eq!(verified(&world.process().await).await, "300 of 300 checked");
}
