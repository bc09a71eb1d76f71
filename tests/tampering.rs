//! `weir verify` against an administrator with `psql`.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use aws_sdk_dynamodb::types::AttributeValue;
use weir_dev::{DynamoDbStorage, LocalDynamoDb};
use weir_tests::Weir;

const TABLE: &str = "proof-orders";

/// A Weir that has recorded ten changes, and stopped.
async fn recorded_ten() -> Weir {
    let dynamodb = LocalDynamoDb::start(0, DynamoDbStorage::Memory).await.unwrap();
    dynamodb.ensure_table(TABLE, "id").await.unwrap();
    for number in 0..10 {
        let put = dynamodb.client().put_item().table_name(TABLE);
        put.item("id", AttributeValue::S(format!("order-{number}")))
            .send()
            .await
            .unwrap();
    }
    let weir = Weir::configure(&format!(
        "[source.shop]\ntable = \"{TABLE}\"\nendpoint = \"{}\"\ntest_credentials = true\n",
        dynamodb.endpoint()
    ));
    let running = weir.run(None);
    weir.recorded(10).await;
    running.stop().await;
    weir
}

/// The triggers are off for a superuser that asks for it; that is what the proof is for.
fn as_superuser(weir: &Weir, sql: &str) {
    let _ = weir
        .database
        .psql(&format!("set session_replication_role = replica; {sql}"));
}

#[tokio::test(flavor = "multi_thread")]
async fn one_changed_byte_is_found_where_it_is_and_putting_it_back_is_fine() {
    let weir = recorded_ten().await;
    assert_eq!(weir.command(&["verify"]).await.code, Some(0));
    for (column, byte) in [("entry", 20), ("entry", 0), ("body", 0), ("body", 30)] {
        let flip = format!(
            "update entry set {column} = set_byte({column}, {byte}, get_byte({column}, {byte}) # 1) where position = 6"
        );
        as_superuser(&weir, &flip);
        let answer = weir.command(&["verify"]).await;
        assert_eq!(answer.code, Some(1), "{column} {byte}: {answer:?}");
        assert!(answer.stdout.contains("position 6"), "{column} {byte}: {answer:?}");
        as_superuser(&weir, &flip);
        assert_eq!(
            weir.command(&["verify"]).await.code,
            Some(0),
            "{column} {byte} put back"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_missing_entry_and_a_changed_head_are_found() {
    let weir = recorded_ten().await;
    as_superuser(
        &weir,
        "create table aside as select * from entry where position = 3; delete from entry where position = 3",
    );
    let answer = weir.command(&["verify"]).await;
    assert_eq!(
        (answer.code, answer.stdout.contains("position 3 is missing")),
        (Some(1), true),
        "{answer:?}"
    );
    as_superuser(&weir, "insert into entry select * from aside");
    assert_eq!(weir.command(&["verify"]).await.code, Some(0));

    as_superuser(
        &weir,
        "update ledger_head set root = set_byte(root, 0, get_byte(root, 0) # 1)",
    );
    let answer = weir.command(&["verify", "--json"]).await;
    assert_eq!(
        (answer.code, answer.stdout.contains("\"verdict\": \"tampered\"")),
        (Some(1), true),
        "{answer:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_to_check_is_no_proof() {
    let weir = Weir::configure("");
    assert_eq!(weir.command(&["verify"]).await.code, Some(2), "there is no schema");
    let _ = weir.ledger().await;
    let answer = weir.command(&["verify"]).await;
    assert_eq!(answer.code, Some(2), "the ledger is empty");
    assert!(answer.stdout.contains("nothing to check"), "{answer:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn history_never_shows_what_was_changed() {
    let weir = recorded_ten().await;
    as_superuser(
        &weir,
        "update entry set body = set_byte(body, 9, get_byte(body, 9) # 1) where position = 4",
    );
    let running = weir.run(None);
    let answer = weir_tests::eventually("the API answers, and the index has what it is asked for", async || {
        let answer = weir.command(&["history", TABLE, "order-4"]).await;
        let is_early = answer.stderr.contains("no Weir answers") || answer.stdout.contains("no change of this item");
        (!is_early).then_some(answer)
    })
    .await;
    assert_eq!((answer.code, answer.stdout.as_str()), (Some(1), ""));
    assert!(answer.stderr.contains("position 4 was tampered with"), "{answer:?}");
    let untouched = weir.command(&["history", TABLE, "order-5"]).await;
    assert!(untouched.stdout.contains("insert"), "{untouched:?}");
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn entries_cannot_be_changed_without_switching_the_triggers_off() {
    let weir = recorded_ten().await;
    // Not always that of ledger 1: who lost a race to make the ledger has used a number up.
    let partition = weir.database.psql("select tableoid::regclass from entry limit 1");
    let truncated = format!("truncate {partition}");
    for sql in [
        "update entry set lane = 1",
        "delete from entry",
        "truncate entry",
        &truncated,
    ] {
        let guarded =
            format!("do $$ begin {sql}; raise 'allowed'; exception when insufficient_privilege then null; end $$");
        let _ = weir.database.psql(&guarded);
    }
}
