//! Opening a ledger: with its schema, under its secret, by its name.

use expect_test::{Expect, expect};
use weir_evidence::LedgerSecret;
use weir_ledger::{Database, Ledger, OpenError};

use crate::support::{EmptyDatabase, World, append, enter_stream, name, secret};

fn check(opened: Result<Ledger, OpenError>, expect: Expect) {
    let told = match opened.err().expect("it must not open") {
        OpenError::Schema(why) => format!("schema: {why}"),
        error => error.to_string(),
    };
    expect.assert_eq(&told);
}

#[tokio::test]
async fn a_ledger_is_not_opened_without_its_schema() {
    let database = EmptyDatabase::new().await.connect().await;
    check(
        database.open(&name("main"), secret()).await,
        expect!["schema: 29 migrations are missing, `weir migrate` applies them"],
    );
    check(
        database.open_or_create(&name("main"), secret()).await,
        expect!["schema: 29 migrations are missing, `weir migrate` applies them"],
    );
}

#[tokio::test]
async fn a_ledger_is_not_opened_in_a_newer_schema() {
    let world = World::new().await;
    let newer = "insert into _sqlx_migrations (version, description, success, checksum, execution_time)
                 values (99990101000000, 'later', true, '', 0)";
    world.tamper(newer).await;
    check(
        world.database.connect().await.open(&name("main"), secret()).await,
        expect!["schema: it is newer, install the weir that migrated it"],
    );
}

#[tokio::test]
async fn migrating_from_two_processes_at_once_and_again_is_safe() {
    let empty = EmptyDatabase::new().await;
    let (one, other) = (empty.connect().await, empty.connect().await);
    let (first, second) = tokio::join!(one.migrate(), other.migrate());
    first.unwrap();
    second.unwrap();
    one.migrate().await.unwrap();
    one.open_or_create(&name("main"), secret()).await.unwrap();
}

#[tokio::test]
async fn a_ledger_is_not_opened_under_another_secret() {
    let world = World::new().await;
    let database = world.database.connect().await;
    let other = || LedgerSecret::new(&[8; 32]);
    check(
        database.open(&name("main"), other()).await,
        expect![
            "ledger main was written with secret e7e8ef72, but the configured key (WEIR_LEDGER_KEY, or else `key_file`) is e019c25f"
        ],
    );
    check(
        database.open_or_create(&name("main"), other()).await,
        expect![
            "ledger main was written with secret e7e8ef72, but the configured key (WEIR_LEDGER_KEY, or else `key_file`) is e019c25f"
        ],
    );
}

#[tokio::test]
async fn a_ledger_that_is_not_there_is_made_only_on_request() {
    let world = World::new().await;
    let database = world.database.connect().await;
    check(
        database.open(&name("other"), secret()).await,
        expect!["there is no ledger other in this database"],
    );
    database.open_or_create(&name("other"), secret()).await.unwrap();
    database.open(&name("other"), secret()).await.unwrap();
}

#[tokio::test]
async fn a_ledger_made_by_two_processes_at_once_is_one() {
    let world = World::new().await;
    let (one, other) = (world.database.connect().await, world.database.connect().await);
    let name = name("other");
    let (first, second) = tokio::join!(
        one.open_or_create(&name, secret()),
        other.open_or_create(&name, secret())
    );
    let stream_id = enter_stream(&first.unwrap(), "arn:other").await;
    assert_eq!(enter_stream(&second.unwrap(), "arn:other").await, stream_id);
}

#[tokio::test]
async fn opening_again_keeps_what_is_recorded() {
    let world = World::new().await;
    let lease = world.lease("a").await;
    append(&world.ledger, &lease, 0, 3).await.unwrap();
    let database = world.database.connect().await;
    let again = database.open_or_create(&name("main"), secret()).await.unwrap();
    assert_eq!(again.head().await.unwrap(), world.ledger.head().await.unwrap());
    expect![[r#"
        a: 1 2 3, at 3
    "#]]
    .assert_eq(&world.recorded().await);
}

#[tokio::test]
async fn one_process_works_on_a_ledger_and_the_next_takes_its_place() {
    let world = World::new().await;
    let (one, other) = (world.process().await, world.process().await);
    let working = one.try_take_mandate().await.unwrap().expect("nobody else is there");
    assert!(other.try_take_mandate().await.unwrap().is_none());
    drop(working);
    let working = until_some(&other).await;
    assert!(one.try_take_mandate().await.unwrap().is_none());
    drop(working);
}

/// A connection is closed in the background.
async fn until_some(ledger: &Ledger) -> weir_ledger::Mandate {
    let begun = std::time::Instant::now();
    loop {
        if let Some(working) = ledger.try_take_mandate().await.unwrap() {
            return working;
        }
        assert!(
            begun.elapsed() < std::time::Duration::from_secs(10),
            "the hold outlives who held it"
        );
    }
}

#[tokio::test]
async fn a_process_that_works_on_a_ledger_does_not_stand_in_for_itself() {
    let world = World::new().await;
    let working = world.ledger.try_take_mandate().await.unwrap();
    assert!(working.is_some());
    assert!(world.ledger.try_take_mandate().await.unwrap().is_none());
}

#[tokio::test]
async fn an_unreachable_postgres_is_named_without_its_password() {
    let refused = Database::connect("postgres://weir:hush@127.0.0.1:1/weir", weir_ledger::Role::Writer)
        .await
        .err()
        .unwrap();
    expect!["Postgres at 127.0.0.1:1 cannot be reached"].assert_eq(&refused.to_string());
    assert!(!format!("{refused:?}").contains("hush"));
}
