//! Event patterns: tried by hand, and a filter of somebody's Lambda function on a route.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::path::Path;
use std::process::Stdio;

use aws_sdk_dynamodb::types::AttributeValue;
use expect_test::{Expect, expect};
use tokio::io::AsyncWriteExt as _;
use weir_dev::{DynamoDbStorage, LocalDynamoDb};
use weir_tests::{Bus, Weir, binary, eventually, weir};

const PATTERN: &str = r#"{"detail": {"new": {"total": [{"numeric": [">", 100]}]}}}"#;

/// What `weir pattern` answers about the pattern above and an event, and how it ends.
async fn tried(folder: &Path, arguments: &[&str], event: &str) -> String {
    std::fs::write(folder.join("pattern.json"), PATTERN).unwrap();
    std::fs::write(folder.join("event.json"), event).unwrap();
    let files = ["--pattern", "pattern.json", "--event", "event.json"];
    let arguments: Vec<&str> = ["pattern"].iter().chain(arguments).chain(&files).copied().collect();
    let answer = weir(folder, &arguments).await;
    format!("{}{}{}", answer.stdout, answer.stderr, answer.code.unwrap())
}

#[tokio::test]
async fn a_pattern_takes_an_event_or_says_why_not() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let (large, small) = (
        r#"{"detail": {"new": {"total": 700}}}"#,
        r#"{"detail": {"new": {"total": 7}}}"#,
    );
    expect![[r#"
        matched
        0"#]]
    .assert_eq(&tried(folder, &["test"], large).await);
    expect![[r#"
        missed
        1"#]]
    .assert_eq(&tried(folder, &["test"], small).await);
    expect![[r#"
        `detail.new.total` does not match [{"numeric": [">", 100]}]: found 7
        1"#]]
    .assert_eq(&tried(folder, &["explain"], small).await);
    expect![[r#"
        {"matched":false,"misses":[{"found":"7","path":"detail.new.total","rule":"[{\"numeric\": [\">\", 100]}]"}]}
        1"#]]
    .assert_eq(&tried(folder, &["explain", "--json"], small).await);
    expect![[r#"
        weir: event.json is no JSON: EOF while parsing an object at line 1 column 1
        2"#]]
    .assert_eq(&tried(folder, &["test"], "{").await);
    let one = weir(folder, &["pattern", "test", "--pattern", "pattern.json"]).await;
    assert!(one.code == Some(2) && one.stderr.contains("--event"), "{one:?}");
}

/// `/dev/full` is a disk that is full.
#[tokio::test]
async fn an_answer_that_cannot_be_written_is_no_success_and_a_verdict_stays_one() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("pattern.json"), PATTERN).unwrap();
    std::fs::write(folder.path().join("event.json"), "{}").unwrap();
    let missed = ["pattern", "test", "--pattern", "pattern.json", "--event", "event.json"];
    for (arguments, code) in [(&["event", "schema"][..], 74), (&missed, 1)] {
        let mut command = binary(folder.path(), arguments);
        let full = std::fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
        let running = command.stdout(full).stderr(Stdio::piped()).spawn().unwrap();
        let output = running.wait_with_output().await.unwrap();
        let said = String::from_utf8(output.stderr).unwrap();
        assert!(
            output.status.code() == Some(code) && said.contains("the answer cannot be written: No space left"),
            "{arguments:?}: {:?}: {said}",
            output.status
        );
    }
}

/// What is answered about pairs, a line each, and how it ends.
async fn check_pairs(arguments: &[&str], pairs: &str, expect: Expect) {
    let arguments: Vec<&str> = ["pattern"].iter().chain(arguments).copied().collect();
    let mut weir = binary(Path::new("."), &arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    weir.stdin.take().unwrap().write_all(pairs.as_bytes()).await.unwrap();
    let output = weir.wait_with_output().await.unwrap();
    let answers = String::from_utf8(output.stdout).unwrap();
    expect.assert_eq(&format!("{answers}{}", output.status.code().unwrap()));
}

#[tokio::test]
async fn many_pairs_are_answered_a_line_each() {
    let pairs = r#"{"pattern": {"a": [1, "x"]}, "event": {"a": 1.0}}
{"pattern": {"a": [{"prefix": "x"}]}, "event": {"a": ["y", "z"]}}
"#;
    check_pairs(
        &["test"],
        pairs,
        expect![[r#"
        matched
        missed
        0"#]],
    )
    .await;
    check_pairs(
        &["explain"],
        pairs,
        expect![[r#"
        matched
        `a` does not match [{"prefix": "x"}]: found ["y","z"]
        0"#]],
    )
    .await;
    check_pairs(
        &["test", "--json"],
        pairs,
        expect![[r#"
        {"matched":true}
        {"matched":false}
        0"#]],
    )
    .await;
    let wrong = r#"{"pattern": {"a": [1]}, "event": {"a": 2}}
{"pattern": {"a": [{"perfix": "x"}]}, "event": {}}
{"event": {}}
{"pattern": {"a": [1]}, "event": {"a": 1}}
"#;
    check_pairs(&["test"], wrong, expect![[r#"
        missed
        error: line 1, column 9, `a`: no operator is called `perfix`; there are `anything-but`, `cidr`, `equals-ignore-case`, `exists`, `numeric`, `prefix`, `suffix`, `wildcard`
        error: a line is an object: {"pattern": {...}, "event": {...}}: missing field `pattern` at line 1 column 13
        matched
        2"#]]).await;
    check_pairs(&["test"], "", expect!["0"]).await;
}

/// As it stands in somebody's event source mapping: numbers are texts there, and images have the letters of their types.
#[tokio::test(flavor = "multi_thread")]
async fn a_filter_of_a_lambda_function_is_the_pattern_of_a_route_as_it_is() {
    const TABLE: &str = "filtered-orders";
    let bus = Bus::start().await;
    let dynamodb = LocalDynamoDb::start(0, DynamoDbStorage::Memory).await.unwrap();
    dynamodb.ensure_table(TABLE, "id").await.unwrap();
    let filter = r#"{"eventName": ["MODIFY"], "awsRegion": [{"exists": true}], "dynamodb": {"NewImage": {"total": {"N": [{"anything-but": ["0"]}]}}}}"#;
    let weir = Weir::configure(&format!(
        "{}[source.shop]\ntable = \"{TABLE}\"\nendpoint = \"{}\"\ntest_credentials = true\n\
         [route.all]\nsource = \"shop\"\nsinks = [\"bus\"]\npattern = '{filter}'\n",
        bus.sink(),
        dynamodb.endpoint(),
    ));
    for (id, total) in [("order-1", "5"), ("order-2", "1"), ("order-1", "0"), ("order-2", "7")] {
        let put = dynamodb.client().put_item().table_name(TABLE);
        put.item("id", AttributeValue::S(id.to_owned()))
            .item("total", AttributeValue::N(total.to_owned()))
            .send()
            .await
            .unwrap();
    }
    let running = weir.run(None);
    weir.recorded(4).await;
    eventually("the event", async || (bus.deliveries() > 0).then_some(())).await;
    running.stop().await;
    let events = bus.received();
    assert_eq!(events.len(), 1, "inserts, and what is of no worth, are not taken");
    // What the pattern is about changes nothing about what is sent.
    assert_eq!(
        events[0].detail["new"],
        serde_json::json!({"id": "order-2", "total": 7})
    );
}
