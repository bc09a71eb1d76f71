//! The control endpoint and scripts.

use serde_json::{Value, json};
use weir_simulator::{Script, Setup, Simulator};

use crate::support::http::{post, send};
use crate::support::{TABLE, id, start};

async fn obey(simulator: &Simulator, command: &str, body: Value) -> Value {
    let answer = post(
        &simulator.endpoint(),
        &format!("/_simulator/{command}"),
        &[],
        &body.to_string(),
    )
    .await;
    assert_eq!(answer.status, 200, "{command} {}", answer.body);
    answer.json()
}

async fn tell(simulator: &Simulator, what: &str) -> Value {
    send(&simulator.endpoint(), "GET", &format!("/_simulator/{what}"), &[], "")
        .await
        .json()
}

#[tokio::test]
async fn the_world_moves_by_http() {
    let (simulator, streams) = start().await;
    let stepped = obey(&simulator, "step", json!({ "seconds": 90 })).await;
    assert_eq!(stepped, json!({ "now": "2026-01-01T00:01:30Z" }));
    let item = json!({ "id": { "S": "o1" }, "n": { "N": "1" } });
    let put = obey(&simulator, "put", json!({ "table": TABLE, "item": item })).await;
    assert_eq!(put, json!({ "change": 0 }));
    let writes = json!([{ "put": { "id": { "S": "o2" } } }, { "delete": "o1" }, { "expire": "o2" }]);
    obey(&simulator, "write", json!({ "table": TABLE, "writes": writes })).await;
    let parent = streams.shard();
    let how = json!({ "repeats": 1 });
    let split = obey(&simulator, "split", json!({ "table": TABLE, "how": how })).await;
    assert_eq!(split["children"].as_array().unwrap().len(), 2);
    let trimmed = obey(&simulator, "trim", json!({ "table": TABLE, "shard": parent })).await;
    assert_eq!(trimmed, json!({ "trimmed": 4 }));
    let truth = tell(&simulator, "truth").await;
    let operations: Vec<&str> = truth["changes"]
        .as_array()
        .unwrap()
        .iter()
        .map(|change| change["operation"].as_str().unwrap())
        .collect();
    assert_eq!(operations, ["INSERT", "INSERT", "REMOVE", "REMOVE"]);
    assert!(truth["changes"][0]["trimmed_at"].is_string());
    assert_eq!(tell(&simulator, "clock").await, stepped);
    assert_eq!(tell(&simulator, "streams").await[0]["shards"][0]["trimmed"], 4);
}

#[tokio::test]
async fn every_command_is_understood() {
    let (simulator, streams) = start().await;
    let shard = streams.shard();
    for (command, body) in [
        (
            "create_table",
            json!({ "table": "parcels", "view": "KEYS_ONLY", "shards": 3 }),
        ),
        ("recreate_table", json!({ "table": "parcels" })),
        ("delete", json!({ "table": TABLE, "id": "o1" })),
        (
            "transact",
            json!({ "table": TABLE, "writes": [{ "put": { "id": { "S": "o1" } } }] }),
        ),
        ("change_some", json!({ "table": TABLE, "items": 5, "changes": 10 })),
        ("rotate", json!({ "table": TABLE, "shard": shard })),
        ("vanish", json!({ "table": TABLE, "shard": shard })),
        ("disable", json!({ "table": TABLE })),
        ("enable", json!({ "table": TABLE, "view": "NEW_IMAGE" })),
        ("empty_pages", json!({ "table": TABLE, "pages": 2 })),
        ("discovery", json!({ "page_shards_max": 2, "child_filter": "ignored" })),
        ("reading", json!({ "ends_after_empty_page": true })),
        (
            "limits",
            json!({ "readers_per_shard": 2, "reading_code": "throttling" }),
        ),
        ("sinks", json!({ "bare_413": true })),
        (
            "fault",
            json!({ "operation": "GetRecords", "fault": "reset", "after_effect": true, "skip": 1 }),
        ),
        (
            "fault",
            json!({ "fault": { "delay": { "milliseconds": 5 } }, "probability": 0.5 }),
        ),
        ("clear_faults", json!({})),
        (
            "fail_entries",
            json!({ "operation": "PutEvents", "failures": [{ "index": 0, "code": "Odd" }] }),
        ),
        ("storm", json!({ "table": TABLE, "profile": "rough" })),
        (
            "storm",
            json!({ "table": TABLE, "profile": { "custom": { "rotate": 1.0 } } }),
        ),
        ("tick", json!({ "times": 3 })),
        ("calm", json!({})),
    ] {
        obey(&simulator, command, body).await;
    }
    assert_eq!(tell(&simulator, "received").await, json!([]));
    assert_eq!(tell(&simulator, "faults").await, json!([]));
}

#[tokio::test]
async fn what_cannot_be_done_is_refused_with_the_reason() {
    let (simulator, _) = start().await;
    for (method, path, body, status, reason) in [
        (
            "POST",
            "put",
            r#"{"table": "none", "item": {"id": {"S": "o"}}}"#,
            409,
            "there is no table none",
        ),
        ("POST", "step", r#"{"minutes": 1}"#, 400, "unknown field `minutes`"),
        ("POST", "fly", "", 400, "unknown variant `fly`"),
        ("POST", "tick", "{}", 409, "there is no storm"),
        ("GET", "lies", "", 404, "there is nothing to tell of lies"),
        ("PUT", "step", "", 405, "GET tells"),
    ] {
        let answer = send(&simulator.endpoint(), method, &format!("/_simulator/{path}"), &[], body).await;
        assert_eq!(answer.status, status, "{path} {}", answer.body);
        let error = answer.json()["error"].as_str().unwrap().to_owned();
        assert!(error.contains(reason), "{error}");
    }
}

#[tokio::test]
async fn a_script_waits_for_its_reader() {
    let (simulator, streams) = start().await;
    let text = r#"[
        {"do": "put", "table": "orders", "item": {"id": {"S": "o1"}}},
        {"do": "wait_until_read"},
        {"do": "wait", "milliseconds": 0},
        {"do": "rotate", "table": "orders"}
    ]"#;
    let parent = streams.shard();
    let script = Script::parse(text).unwrap();
    let running = tokio::spawn({
        let simulator = simulator.clone();
        async move { script.run(&simulator).await }
    });
    loop {
        let page = streams.page(&streams.horizon(&parent).await).await.unwrap();
        if let Some(record) = page.records().first() {
            assert_eq!(id(record), "o1");
            assert!(
                page.next_shard_iterator().is_some(),
                "the shard rotates after it was read"
            );
            break;
        }
    }
    running.await.unwrap().unwrap();
    assert_eq!(streams.shards().await.len(), 2);
}

#[tokio::test]
async fn a_script_says_which_step_is_wrong() {
    let error = Script::parse(r#"[{"do": "step", "seconds": 1}, {"do": "fly"}]"#).unwrap_err();
    assert_eq!(error.to_string(), "step 2 of the script cannot be understood");
    let simulator = Simulator::start(Setup::default()).await.unwrap();
    let script = Script::parse(r#"[{"do": "disable", "table": "none"}]"#).unwrap();
    let error = script.run(&simulator).await.unwrap_err();
    assert_eq!(error.to_string(), "step 1 of the script failed");
}
