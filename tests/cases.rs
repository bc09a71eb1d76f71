//! `weir test`: the cases of a configuration, tried without anything that runs.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use expect_test::{Expect, expect};
use weir_tests::{component, weir};

const BASE: &str = r#"
[ledger]
name = "main"
key_file = "weir.key"

[source.shop]
table = "orders"
region = "eu-central-1"

[sink.bus]
type = "eventbridge"
bus = "orders"
region = "eu-central-1"

[sink.audit]
type = "log"
file = "audit.jsonl"
"#;

/// What `weir test` says of a configuration with this route, and how it ends.
async fn check(route: &str, arguments: &[&str], expect: Expect) {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("weir.toml"), format!("{BASE}{route}")).unwrap();
    let arguments: Vec<&str> = ["test"].iter().chain(arguments).copied().collect();
    let answer = weir(folder.path(), &arguments).await;
    expect.assert_eq(&format!("{}{}{}", answer.stdout, answer.stderr, answer.code.unwrap()));
}

const PATTERN_AND_TEMPLATE: &str = r#"
[route.paid]
source = "shop"
pattern = '{"detail": {"new": {"status": ["paid"]}, "changed": ["status"]}}'
template = '{"order": <$.detail.keys.order_id>, "by": <$.detail.actor>, "total": <$.detail.new.total>}'
sinks = ["bus", "audit"]
"#;

#[tokio::test]
async fn a_case_says_what_is_sent_of_a_change_and_where_to() {
    let cases = r#"
[[route.paid.case]]
name = "a paid order goes to both"
change = { key = { order_id = "o1" }, old = { status = "placed", total = 20 }, new = { status = "paid", total = 20.0 }, actor = "ann" }
expect = [
    { sink = "bus", type = "orders.modify", detail = { order = "o1", total = 20, by = "ann" } },
    { sink = "audit", detail = { order = "o1" } },
]

[[route.paid.case]]
name = "one that was paid before does not"
change = { key = { order_id = "o1" }, old = { status = "paid", note = "a" }, new = { status = "paid", note = "b" } }
expect = []

[[route.paid.case]]
name = "a record as the stream has it will do"
change = { eventName = "MODIFY", dynamodb = { Keys = { order_id = { S = "o2" } }, OldImage = { status = { S = "placed" } }, NewImage = { status = { S = "paid" } } } }
expect = [{ sink = "bus" }, { sink = "audit" }]
"#;
    check(
        &format!("{PATTERN_AND_TEMPLATE}{cases}"),
        &[],
        expect![[r#"
            ok    paid: a paid order goes to both
            ok    paid: one that was paid before does not
            ok    paid: a record as the stream has it will do
            3 cases, 0 failed
            0"#]],
    )
    .await;
}

#[tokio::test]
async fn a_case_that_comes_out_otherwise_is_told_with_what_came() {
    let cases = r#"
[[route.paid.case]]
name = "all of it"
change = { key = { order_id = "o1" }, old = { status = "placed" }, new = { status = "paid", total = 20 } }
expect = [{ sink = "bus", detail = { order = "o1", total = 30 } }, { sink = "audit" }]

[[route.paid.case]]
name = "nothing of it"
change = { new = { status = "placed" } }
expect = [{ sink = "audit" }]
"#;
    check(
        &format!("{PATTERN_AND_TEMPLATE}{cases}"),
        &["paid"],
        expect![[r#"
        FAIL  paid: all of it
              expected {"detail":{"order":"o1","total":30},"sink":"bus"}
              expected {"sink":"audit"}
              came     {"detail":{"by":null,"order":"o1","total":20},"sink":"bus","type":"orders.modify"}
              came     {"detail":{"by":null,"order":"o1","total":20},"sink":"audit","type":"orders.modify"}
        FAIL  paid: nothing of it
              expected {"sink":"audit"}
              came     nothing
        2 cases, 2 failed
        1"#]],
    )
    .await;
    check(
        &format!("{PATTERN_AND_TEMPLATE}{cases}"),
        &["--json"],
        expect![[r#"
        {
          "cases": [
            {
              "came": [
                {
                  "detail": {
                    "by": null,
                    "order": "o1",
                    "total": 20
                  },
                  "sink": "bus",
                  "type": "orders.modify"
                },
                {
                  "detail": {
                    "by": null,
                    "order": "o1",
                    "total": 20
                  },
                  "sink": "audit",
                  "type": "orders.modify"
                }
              ],
              "expected": [
                {
                  "detail": {
                    "order": "o1",
                    "total": 30
                  },
                  "sink": "bus"
                },
                {
                  "sink": "audit"
                }
              ],
              "name": "all of it",
              "passed": false,
              "route": "paid"
            },
            {
              "came": [],
              "expected": [
                {
                  "sink": "audit"
                }
              ],
              "name": "nothing of it",
              "passed": false,
              "route": "paid"
            }
          ],
          "failed": 2
        }
        1"#]],
    )
    .await;
}

#[tokio::test]
async fn a_plugin_takes_part_in_a_case_and_what_it_rejects_can_be_expected() {
    let plugin = component("shop");
    let route = format!(
        r#"
[route.orders]
source = "shop"
plugin = {:?}
plugin_config = {{ large_order = 500 }}
sinks = ["bus"]

[[route.orders.case]]
name = "a large order is announced"
change = {{ key = {{ order_id = "o2" }}, new = {{ status = "placed", total = 700, customer = "c-2" }} }}
expect = [
    {{ type = "orders.insert", detail = {{ new = {{ total = 700 }} }} }},
    {{ type = "large-order", sink = "bus", detail = {{ customer = "c-2" }} }},
]

[[route.orders.case]]
name = "one without a total is set aside"
change = {{ new = {{ status = "placed" }} }}
expect = [{{ dead_letter = "total-missing" }}]
"#,
        plugin.display()
    );
    check(
        &route,
        &[],
        expect![[r#"
            ok    orders: a large order is announced
            ok    orders: one without a total is set aside
            2 cases, 0 failed
            0"#]],
    )
    .await;
}

#[tokio::test]
async fn what_is_too_large_says_what_its_projection_says() {
    let route = r#"
[route.large]
source = "shop"
projection = { above_bytes = 500, template = '{"keys": <$.detail.keys>, "status": <$.detail.new.status>}' }
sinks = ["bus"]

[[route.large.case]]
name = "a small one is sent as it is"
change = { key = { id = "o1" }, new = { status = "paid", note = "short" } }
expect = [{ detail = { new = { note = "short" } } }]

[[route.large.case]]
name = "of a large one the template says what is sent"
change = { key = { id = "o1" }, new = { status = "paid", note = "NOTE" } }
expect = [{ type = "orders.insert", detail = { keys = { id = "o1" }, status = "paid" } }]

[[route.large.case]]
name = "and nothing else is"
change = { key = { id = "o1" }, new = { status = "paid", note = "NOTE" } }
expect = [{ detail = { new = { status = "paid" } } }]
"#;
    check(
        &route.replace("NOTE", &"long ".repeat(100)),
        &[],
        expect![[r#"
        ok    large: a small one is sent as it is
        ok    large: of a large one the template says what is sent
        FAIL  large: and nothing else is
              expected {"detail":{"new":{"status":"paid"}}}
              came     {"detail":{"keys":{"id":"o1"},"status":"paid"},"sink":"bus","type":"orders.insert"}
        3 cases, 1 failed
        1"#]],
    )
    .await;
    let bad = "[route.large]\nsource = \"shop\"\nsinks = [\"bus\"]\nprojection = { above_bytes = 1, template = '{\"id\": 1}' }\n";
    check(bad, &[], expect![[r#"
        weir: the configuration weir.toml cannot be used: the projection of [route.large] cannot be used: it sets "id", which Weir sets itself; give it another name
        1"#]]).await;
}

#[tokio::test]
async fn what_cannot_be_tried_is_said_with_what_to_do() {
    check(
        PATTERN_AND_TEMPLATE,
        &[],
        expect![[r#"
        weir: there are no cases to try: write some under [[route.NAME.case]], each with `name`, `change` and `expect`
        1"#]],
    )
    .await;
    check(
        PATTERN_AND_TEMPLATE,
        &["orders"],
        expect![[r#"
        weir: there is no [route.orders]
        1"#]],
    )
    .await;
    let elsewhere =
        "[[route.paid.case]]\nname = \"x\"\nchange = { new = { a = 1 } }\nexpect = [{ sink = \"queue\" }]\n";
    check(&format!("{PATTERN_AND_TEMPLATE}{elsewhere}"), &[], expect![[r#"
        weir: the configuration weir.toml cannot be used: a case of [route.paid] expects something at "queue", which is none of the route's `sinks`
        1"#]]).await;
    let no_change = "[[route.paid.case]]\nname = \"x\"\nchange = { news = { a = 1 } }\nexpect = []\n";
    check(&format!("{PATTERN_AND_TEMPLATE}{no_change}"), &[], expect![[r#"
        weir: [[route.paid.case]] "x": this is no change. It is written like {"old": {...}, "new": {"status": "paid"}, "key": {"id": "1"}}, or as a stream has it, with "dynamodb": unknown field `news`, expected one of `operation`, `table`, `key`, `old`, `new`, `actor`, `time`, `event_id`
        1"#]]).await;
}
