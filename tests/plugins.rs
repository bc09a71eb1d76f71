//! `weir plugin`, as somebody meets it who writes one: no Postgres, no Weir that runs.

use std::path::Path;

use serde_json::Value;
use weir_tests::{Answer, component, weir};

/// Changes as `run` and `bench` take them: plain, and as a stream has them.
const CHANGES: &str = r#"{"new": {"status": "placed", "total": 700, "customer": "c-1"}, "key": {"order_id": "o1"}}

{"eventName": "MODIFY", "dynamodb": {"Keys": {"order_id": {"S": "o1"}}, "OldImage": {"note": {"S": "a"}}, "NewImage": {"note": {"S": "b"}}}}
{"new": {"status": "placed"}, "key": {"order_id": "o2"}}
"#;

async fn plugin(folder: &Path, arguments: &[&str]) -> Answer {
    let arguments: Vec<&str> = ["plugin"].iter().chain(arguments).copied().collect();
    weir(folder, &arguments).await
}

#[tokio::test]
async fn a_new_annotator_passes_its_test_too_and_is_tried_like_any_other() {
    let folder = tempfile::tempdir().unwrap();
    let made = plugin(folder.path(), &["new", "--annotator", "people"]).await;
    assert_eq!(made.code, Some(0), "{made:?}");
    let tested = plugin(folder.path(), &["test", "people"]).await;
    expect_test::expect![[r#"
        ok    the address is hashed and the clerk is named
        1 cases, 0 failed
    "#]]
    .assert_eq(&tested.stdout);
    let changes = folder.path().join("changes.jsonl");
    std::fs::write(
        &changes,
        r#"{"new": {"email": "ada@example.com", "updated_by": "maria"}}"#,
    )
    .unwrap();
    let built = "people/target/plugin/people.wasm";
    let run = plugin(folder.path(), &["run", built, "--changes", "changes.jsonl", "--json"]).await;
    let run: serde_json::Value = serde_json::from_str(&run.stdout).unwrap();
    assert_eq!(run["decision"], "annotate");
    assert_eq!(run["annotation"]["becomes"]["new"]["email"], "hash");
    assert_eq!(run["annotation"]["redactions"][1], "hash new /email");
    let bench = plugin(folder.path(), &["bench", built, "--changes", "changes.jsonl", "--json"]).await;
    let bench: serde_json::Value = serde_json::from_str(&bench.stdout).unwrap();
    assert_eq!(bench["faults"], 0);
}

#[tokio::test]
async fn a_new_plugin_passes_its_test_after_two_commands_and_fails_it_when_it_is_changed() {
    let folder = tempfile::tempdir().unwrap();
    let made = plugin(folder.path(), &["new", "order-events"]).await;
    assert_eq!(made.code, Some(0), "{made:?}");
    let tested = plugin(folder.path(), &["test", "order-events"]).await;
    assert_eq!(tested.code, Some(0), "{tested:?}");
    expect_test::expect![[r#"
        ok    a draft is dropped
        ok    what was published is sent
        2 cases, 0 failed
    "#]]
    .assert_eq(&tested.stdout);

    let function = folder.path().join("order-events/src/lib.rs");
    let text = std::fs::read_to_string(&function).unwrap();
    std::fs::write(
        &function,
        text.replace("status != Some(\"draft\")", "status != Some(\"published\")"),
    )
    .unwrap();
    let tested = plugin(&folder.path().join("order-events"), &["test"]).await;
    assert_eq!(tested.code, Some(1), "{tested:?}");
    expect_test::expect![[r#"
        FAIL  a draft is dropped
              expected {"expect":"drop","outputs":[]}
              came     {"expect":"keep","outputs":[]}
        FAIL  what was published is sent
              expected {"expect":"keep","outputs":[]}
              came     {"expect":"drop","outputs":[]}
        2 cases, 2 failed
    "#]]
    .assert_eq(&tested.stdout);

    // Each case by itself is the first of its batch.
    let text = text.replace("status != Some(\"draft\")", "is_seen() || status != Some(\"draft\")")
        + "fn is_seen() -> bool {
            use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
            static SEEN: AtomicU32 = AtomicU32::new(0);
            SEEN.fetch_add(1, Relaxed) > 0
        }";
    std::fs::write(&function, text).unwrap();
    let tested = plugin(folder.path(), &["test", "order-events"]).await;
    assert_eq!(tested.code, Some(1), "{tested:?}");
    expect_test::expect![[r#"
        FAIL  a draft is dropped
              beside the changes of other cases it comes out otherwise: a plugin may look at one change at a time only
        ok    what was published is sent
        2 cases, 1 failed
    "#]]
    .assert_eq(&tested.stdout);

    std::fs::write(&function, "fn is_no_plugin() {").unwrap();
    let broken = plugin(folder.path(), &["build", "order-events"]).await;
    assert_eq!(broken.code, Some(1), "{broken:?}");
    assert!(broken.stderr.contains("what the compiler says is above"), "{broken:?}");
}

#[tokio::test]
async fn a_check_shows_what_a_plugin_asks_for_and_refuses_a_configuration_at_its_place() {
    let folder = tempfile::tempdir().unwrap();
    let shop = component("shop");
    let shop = shop.to_str().unwrap();
    let checked = plugin(folder.path(), &["check", shop, "--json"]).await;
    let checked: Value = serde_json::from_str(&checked.stdout).unwrap();
    expect_test::expect![[
        r#"["old /status","new /status","old /total","new /total","keys /order_id","new /customer"]"#
    ]]
    .assert_eq(&checked["reads"].to_string());
    assert_eq!(checked["name"], "shop");

    let refused = plugin(
        folder.path(),
        &["check", shop, "--plugin-config", r#"{"large_order": -1}"#],
    )
    .await;
    assert_eq!(refused.code, Some(1), "{refused:?}");
    assert!(
        refused
            .stderr
            .contains("/large_order: must be a number from 0 up, not -1"),
        "{refused:?}"
    );

    std::fs::write(folder.path().join("text.wasm"), "this is a text").unwrap();
    let refused = plugin(folder.path(), &["check", "text.wasm"]).await;
    assert_eq!(refused.code, Some(1), "{refused:?}");
    assert!(
        refused.stderr.contains("text.wasm: this is no WebAssembly"),
        "{refused:?}"
    );
}

#[tokio::test]
async fn a_run_shows_for_each_change_what_was_decided_and_what_that_took() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("changes.jsonl"), CHANGES).unwrap();
    let shop = component("shop");
    let shop = shop.to_str().unwrap();
    let config = r#"{"large_order": 500}"#;
    let run = [
        "run",
        shop,
        "--changes",
        "changes.jsonl",
        "--plugin-config",
        config,
        "--json",
    ];
    let (first, second) = (plugin(folder.path(), &run).await, plugin(folder.path(), &run).await);
    assert_eq!(first.code, Some(0), "{first:?}");
    // Fuel too is the same every time.
    assert_eq!(first.stdout, second.stdout);
    let lines: Vec<Value> = first
        .stdout
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let decisions: Vec<&Value> = lines.iter().map(|line| &line["decision"]).collect();
    assert_eq!(decisions, ["keep", "drop", "reject total-missing"]);
    expect_test::expect![[
        r#"[{"detail":{"customer":"c-1","order_id":"o1","total":700},"sink":null,"type":"large-order"}]"#
    ]]
    .assert_eq(&lines[0]["outputs"].to_string());
    for line in &lines {
        assert!(line["fuel"].as_u64().unwrap() > 1000, "{line}");
        assert!(line["memory_bytes"].as_u64().unwrap() >= 64 << 10, "{line}");
    }

    std::fs::write(folder.path().join("wrong.jsonl"), "{\"new\": {}}\n{\"before\": {}}\n").unwrap();
    let refused = plugin(folder.path(), &["run", shop, "--changes", "wrong.jsonl"]).await;
    assert_eq!(refused.code, Some(1), "{refused:?}");
    assert!(
        refused.stderr.contains("wrong.jsonl, line 2: this is no change"),
        "{refused:?}"
    );
}

#[tokio::test]
async fn the_examples_pass_the_cases_beside_them() {
    for example in ["shop", "segments"] {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../plugins").join(example);
        let built = component(example);
        let tested = plugin(&folder, &["test", built.to_str().unwrap(), "--cases", "cases.toml"]).await;
        assert_eq!(tested.code, Some(0), "{tested:?}");
    }
}
