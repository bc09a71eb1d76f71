//! The shop's plugin, through the component: what a user of `weir dev` sees first.

use expect_test::{Expect, expect};
use serde_json::{Value, json};
use weir_model::{AttributedChange, Operation};
use weir_runtime::{Batch, DescribeError};

use crate::support::{Loaded, SMALL, built, change, load, show};

const LARGE_FROM_500: &str = r#"{"large_order": 500}"#;

fn order(status: &str, total: &str) -> Option<Value> {
    Some(json!({"order_id": {"S": "o0"}, "customer": {"S": "Ada"}, "status": {"S": status}, "total": {"N": total}}))
}

async fn check(config: &str, changes: &[AttributedChange], expect: Expect) {
    let shop = Loaded::new(built("shop"), config, SMALL).await;
    expect.assert_eq(&show(&shop.route(changes).await));
}

#[tokio::test]
async fn a_note_is_dropped_and_another_status_or_total_is_kept() {
    let with_note = |note: &str| {
        let mut order = order("paid", "19.99").unwrap();
        order["note"] = json!({"S": note});
        Some(order)
    };
    check(
        "{}",
        &[
            change(
                0,
                Operation::Modify,
                with_note("ring twice"),
                with_note("leave at the door"),
            ),
            change(1, Operation::Modify, order("placed", "19.99"), order("paid", "19.99")),
            change(2, Operation::Modify, order("paid", "19.99"), order("paid", "24.99")),
            change(3, Operation::Remove, order("paid", "19.99"), None),
        ],
        expect![[r#"
            drop
            keep
            keep
            keep"#]],
    )
    .await;
}

#[tokio::test]
async fn an_order_that_became_shipped_is_announced() {
    check(
        "{}",
        &[
            change(
                0,
                Operation::Modify,
                order("packed", "19.99"),
                order("shipped", "19.99"),
            ),
            change(
                1,
                Operation::Modify,
                order("shipped", "19.99"),
                order("shipped", "17.99"),
            ),
        ],
        expect![[r#"
            keep + order-shipped {"customer":"Ada","order_id":"o0","total":19.99}
            keep"#]],
    )
    .await;
}

#[tokio::test]
async fn a_new_order_is_large_from_the_configured_total_on() {
    let changes = [
        change(0, Operation::Insert, None, order("placed", "500")),
        change(1, Operation::Insert, None, order("placed", "499.99")),
        change(2, Operation::Insert, None, order("shipped", "9007199254740993")),
        change(3, Operation::Modify, order("placed", "1"), order("placed", "500")),
    ];
    check(
        LARGE_FROM_500,
        &changes,
        expect![[r#"
            keep + large-order {"customer":"Ada","order_id":"o0","total":500}
            keep
            keep + order-shipped {"customer":"Ada","order_id":"o2","total":"9007199254740993"} + large-order {"customer":"Ada","order_id":"o2","total":"9007199254740993"}
            keep"#]],
    )
    .await;
    check("{}", &changes[..1], expect!["keep"]).await;
}

#[tokio::test]
async fn an_order_without_a_total_is_rejected_unless_it_was_removed() {
    let without_total = Some(json!({"order_id": {"S": "o0"}, "status": {"S": "placed"}}));
    let text_total = Some(json!({"order_id": {"S": "o0"}, "status": {"S": "placed"}, "total": {"S": "19.99"}}));
    check(
        "{}",
        &[
            change(0, Operation::Insert, None, without_total.clone()),
            change(1, Operation::Insert, None, text_total),
            change(2, Operation::Remove, without_total, None),
        ],
        expect![[r#"
            total-missing: the order has no total that is a number
            total-missing: the order has no total that is a number
            keep"#]],
    )
    .await;
}

#[tokio::test]
async fn a_stream_without_images_leaves_nothing_to_compare() {
    check(
        "{}",
        &[
            change(0, Operation::Insert, None, None),
            change(1, Operation::Modify, None, None),
            change(2, Operation::Remove, None, None),
        ],
        expect![[r#"
            total-missing: the order has no total that is a number
            drop
            keep"#]],
    )
    .await;
}

#[tokio::test]
async fn it_describes_itself_and_asks_for_no_more_than_it_needs() {
    let shop = Loaded::new(built("shop"), "{}", SMALL).await;
    assert_eq!(shop.manifest.name, "shop");
    assert!(!shop.manifest.version.is_empty());
    assert!(!shop.manifest.reads_actor);
    assert_eq!(shop.manifest.sinks, Vec::<String>::new());
    assert_eq!(shop.manifest.lookups, Vec::<String>::new());
}

#[tokio::test]
async fn a_problem_of_a_configuration_is_reported_at_its_place() {
    let shop = load(built("shop"), SMALL).await;
    for (config, problem) in [
        (
            r#"{"large_order": "a lot"}"#,
            expect![[r#"/large_order: invalid type: string "a lot", expected f64 at line 1 column 23"#]],
        ),
        (
            r#"{"lodge": 1}"#,
            expect!["/lodge: unknown field `lodge`, expected `large_order` at line 1 column 8"],
        ),
        ("{", expect![": EOF while parsing an object at line 1 column 1"]),
    ] {
        let DescribeError::Config(problems) = shop.describe(config).await.unwrap_err() else {
            panic!("not about the configuration")
        };
        problem.assert_eq(&format!("{}: {}", problems[0].path, problems[0].message));
    }
}

/// Nobody routes with a configuration that was refused; if it happens all the same, every change says why.
#[tokio::test]
async fn a_configuration_that_was_refused_fails_every_change() {
    let shop = Loaded::new(built("shop"), "{}", SMALL).await;
    let changes = vec![
        change(0, Operation::Insert, None, order("placed", "1")),
        change(1, Operation::Remove, order("placed", "1"), None),
    ];
    let answers = shop
        .plugin
        .route(Batch::new(changes), r#"{"large_order": -1}"#, &shop.manifest)
        .await
        .unwrap();
    expect![[r#"
        plugin-error: "/large_order" must be a number from 0 up, not -1 at line 1 column 19
        plugin-error: "/large_order" must be a number from 0 up, not -1 at line 1 column 19"#]]
    .assert_eq(&show(&answers));
}
