//! Whoever switches off what keeps entries append-only is noticed, also after it was switched on again.

use expect_test::{Expect, expect};
use sqlx::AssertSqlSafe;

use crate::roles::recorded;
use crate::support::World;
use crate::tampering::verified;

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
