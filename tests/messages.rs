//! What is wrong is said in one paragraph that says what to do, and ends with an exit code that is not 0.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use aws_sdk_dynamodb::types::{
    AttributeDefinition, AttributeValue, BillingMode, KeySchemaElement, KeyType, ScalarAttributeType,
    StreamSpecification, StreamViewType,
};
use weir_dev::{DynamoDbStorage, LocalDynamoDb};
use weir_tests::{Weir, component};

/// Runs `weir run` to its end and checks what it said.
async fn check(weir: &Weir, said: &[&str]) {
    let mut running = weir.run(None);
    let status = running.ended().await;
    let log = running.log();
    assert!(!status.success(), "{log}");
    let message = log
        .lines()
        .find(|line| line.starts_with("weir: "))
        .unwrap_or_else(|| panic!("no message in {log}"));
    for part in said {
        assert!(log.contains(part), "{part:?} is not in: {message}");
    }
}

/// A table, with a stream if a view type is given.
async fn table(dynamodb: &LocalDynamoDb, name: &str, view: Option<StreamViewType>) {
    let attribute = AttributeDefinition::builder()
        .attribute_name("id")
        .attribute_type(ScalarAttributeType::S);
    let key = KeySchemaElement::builder().attribute_name("id").key_type(KeyType::Hash);
    let stream = view.map(|view| {
        StreamSpecification::builder()
            .stream_enabled(true)
            .stream_view_type(view)
            .build()
            .unwrap()
    });
    dynamodb
        .client()
        .create_table()
        .table_name(name)
        .attribute_definitions(attribute.build().unwrap())
        .key_schema(key.build().unwrap())
        .billing_mode(BillingMode::PayPerRequest)
        .set_stream_specification(stream)
        .send()
        .await
        .unwrap();
}

fn source(dynamodb: &LocalDynamoDb, table: &str, more: &str) -> String {
    let endpoint = dynamodb.endpoint();
    format!("[source.shop]\ntable = \"{table}\"\nendpoint = \"{endpoint}\"\ntest_credentials = true\n{more}")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_missing_or_wrong_configuration_says_where_and_what() {
    let weir = Weir::configure("[api]\n");
    check(&weir, &["weir.toml", "duplicate key", "^"]).await;

    let weir = Weir::configure("[route.all]\nsource = \"shop\"\nsinks = [\"bus\"]\nretries = 3\n");
    check(&weir, &["unknown field `retries`", "retry", "line", "^"]).await;

    let weir = Weir::configure("");
    std::fs::remove_file(weir.path("weir.toml")).unwrap();
    check(&weir, &["weir.toml cannot be read"]).await;

    let weir = Weir::configure("");
    std::fs::remove_file(weir.path("ledger.key")).unwrap();
    check(&weir, &["ledger.key cannot be read", "openssl rand -hex 32"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_secret_that_is_not_the_ledgers_is_refused() {
    let weir = Weir::configure("");
    let _ = weir.ledger().await;
    weir.write("ledger.key", &"ab".repeat(32));
    check(&weir, &["was written with secret"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unreachable_postgres_says_where_it_was_looked_for() {
    let weir = Weir::configure("");
    let text = std::fs::read_to_string(weir.path("weir.toml")).unwrap();
    let nowhere = "postgres://weir:hidden@127.0.0.1:1/weir";
    weir.write("weir.toml", &text.replace(weir.database.url(), nowhere));
    check(
        &weir,
        &["Postgres at 127.0.0.1:1 cannot be reached", "WEIR_POSTGRES_URL"],
    )
    .await;
    let log = std::fs::read_to_string(weir.path("log")).unwrap();
    assert!(!log.contains("hidden"), "{log}");
    assert_eq!(weir.command(&["verify"]).await.code, Some(2));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_table_without_a_stream_gets_the_command_that_switches_one_on() {
    let dynamodb = LocalDynamoDb::start(0, DynamoDbStorage::Memory).await.unwrap();
    table(&dynamodb, "quiet-orders", None).await;
    let weir = Weir::configure(&source(&dynamodb, "quiet-orders", ""));
    let command = "aws dynamodb update-table --table-name quiet-orders --stream-specification \
                   StreamEnabled=true,StreamViewType=NEW_AND_OLD_IMAGES";
    check(&weir, &["table quiet-orders has no stream", command]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_view_type_that_carries_too_little_is_refused_unless_it_is_accepted() {
    let dynamodb = LocalDynamoDb::start(0, DynamoDbStorage::Memory).await.unwrap();
    table(&dynamodb, "keys-only-orders", Some(StreamViewType::KeysOnly)).await;
    let weir = Weir::configure(&source(&dynamodb, "keys-only-orders", ""));
    check(&weir, &["carries KEYS_ONLY", "images = \"any\""]).await;

    let actor = "images = \"any\"\nactor = { attribute = \"updated_by\" }\n";
    let weir = Weir::configure(&source(&dynamodb, "keys-only-orders", actor));
    check(&weir, &["carries KEYS_ONLY", "actor rule", "no `actor`"]).await;

    let weir = Weir::configure(&source(&dynamodb, "keys-only-orders", "images = \"any\"\n"));
    let put = dynamodb.client().put_item().table_name("keys-only-orders");
    put.item("id", AttributeValue::S("order-1".to_owned()))
        .send()
        .await
        .unwrap();
    let running = weir.run(None);
    weir.recorded(1).await;
    running.stop().await;
    let body = weir.records().await.remove(0).body;
    assert_eq!(body.keys.unwrap()["id"].as_text(), Some("order-1"));
    assert_eq!((body.old, body.new), (None, None));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_plugin_that_cannot_run_is_named_with_the_reason() {
    let dynamodb = LocalDynamoDb::start(0, DynamoDbStorage::Memory).await.unwrap();
    let route = |plugin: &str, config: &str| {
        format!(
            "[source.shop]\ntable = \"orders\"\nendpoint = \"{}\"\ntest_credentials = true\n\
             [sink.file]\ntype = \"log\"\nfile = \"events\"\n\
             [route.all]\nsource = \"shop\"\nsinks = [\"file\"]\nplugin = \"{plugin}\"\nplugin_config = {config}\n",
            dynamodb.endpoint()
        )
    };
    let weir = Weir::configure(&route("missing.wasm", "{}"));
    check(
        &weir,
        &["missing.wasm of [route.all] cannot run", "the file cannot be read"],
    )
    .await;

    let weir = Weir::configure(&route("weir.toml", "{}"));
    check(
        &weir,
        &[
            "weir.toml of [route.all] cannot run",
            "no WebAssembly",
            "weir plugin build",
        ],
    )
    .await;

    let shop = component("shop").display().to_string();
    let weir = Weir::configure(&route(&shop, "{ large_order = \"many\" }"));
    check(&weir, &["does not accept its configuration", "large_order"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_without_a_weir_says_how_to_start_one() {
    let weir = Weir::configure("");
    let answer = weir.command(&["history", "orders", "order-1"]).await;
    assert!(answer.code == Some(1) && answer.stderr.contains("token"), "{answer:?}");
    weir.write("weir.token", "anything");
    let answer = weir.command(&["history", "orders", "order-1"]).await;
    assert!(
        answer.code == Some(1) && answer.stderr.contains("weir run"),
        "{answer:?}"
    );
}
