//! What routes make of a recorded change, and why.

use serde_json::{Value, json};
use weir_simulator::item;
use weir_tests::component;

use crate::shop::{SOON_PARKED, Shop};

#[tokio::test(flavor = "multi_thread")]
async fn a_change_is_explained_by_what_its_route_makes_of_it_and_by_what_became_of_that() {
    let pattern = r#"pattern = '{"detail": {"new": {"note": [{"anything-but": "quiet"}]}}}'"#;
    let shop = Shop::open(&format!("{SOON_PARKED}\n{pattern}")).await;
    shop.receiver.answers_about("sick", 422);
    shop.receiver.answers_about("big", 413);
    for (id, note) in [("o1", "quiet"), ("well", "loud"), ("sick", "loud"), ("big", "loud")] {
        shop.put(id, note);
    }
    shop.took("well", 1).await;
    shop.shows(&["route", "ls"], "up to date").await;
    shop.shows(&["route", "ls"], "1 dead letters").await;
    let [quiet, well, sick, big] = shop.changes().await.try_into().unwrap();

    let missed = shop
        .shows(&["explain", &quiet], "not taken by the event pattern")
        .await
        .stdout;
    assert!(
        missed.contains(r#"`detail.new.note` does not match [{"anything-but": "quiet"}]: found "quiet""#),
        "{missed}"
    );
    shop.shows(&["explain", &well, "--route", "all"], "settled: accepted")
        .await;
    // Once or twice, for the second attempt may come within the moment that it waits in memory.
    let parked = shop.shows(&["explain", &sick], "parked after").await.stdout;
    assert!(parked.contains("attempts, again at"), "{parked}");
    shop.shows(
        &["explain", &big],
        "dead letter after 1 attempts: refused: the endpoint answered 413",
    )
    .await;

    let told = shop.weir.command(&["explain", &well, "--json"]).await.stdout;
    let told: Value = serde_json::from_str(&told).unwrap();
    let sent = shop.receiver.hooks();
    let sent = sent.iter().find(|hook| hook.body.contains("well")).unwrap();
    assert_eq!(told[0]["deliveries"][0]["delivery"], sent.delivery());

    let beyond = shop.weir.command(&["explain", "99999"]).await;
    assert_eq!(beyond.code, Some(1), "{beyond:?}");
    assert!(
        beyond.stderr.contains("the ledger ends before position 99999"),
        "{beyond:?}"
    );
    let unknown = shop.weir.command(&["explain", &well, "--route", "none"]).await;
    assert!(unknown.stderr.contains("no route is called \"none\""), "{unknown:?}");

    let order = [
        "erasure",
        "order",
        "orders",
        "well",
        "--basis",
        "GDPR 17",
        "--approver",
        "ann",
    ];
    assert_eq!(shop.weir.command(&order).await.code, Some(0));
    shop.shows(&["explain", &well], "it was erased").await;
    shop.running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_change_that_a_plugin_fails_on_is_explained_with_the_plugin() {
    let plugin = component("poison");
    let shop = Shop::open(&format!("plugin = {:?}", plugin.display())).await;
    let trap = [("note", json!({ "S": "bad" })), ("poison", json!({ "S": "trap" }))];
    shop.simulator.put("orders", item("o1", &trap)).unwrap();
    shop.shows(&["dlq", "ls"], "plugin-").await;
    let [poison] = shop.changes().await.try_into().unwrap();
    let explained = shop.weir.command(&["explain", &poison]).await.stdout;
    assert!(
        explained.contains("dead letter after 0 attempts: plugin-"),
        "{explained}"
    );
    let digest = explained
        .split("plugin ")
        .nth(1)
        .unwrap()
        .split_whitespace()
        .next()
        .unwrap();
    assert_eq!(digest.len(), 64, "{explained}");
    shop.running.stop().await;
}
