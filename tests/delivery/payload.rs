//! What events say that do not say all: templates and projections.

use weir_simulator::item;
use weir_tests::eventually;

use crate::shop::{SOON_PARKED, Shop};

#[tokio::test(flavor = "multi_thread")]
async fn what_is_too_large_is_sent_as_its_projection_and_again_as_the_same() {
    let projection = r#"projection = { above_bytes = 2000, template = '{"keys": <$.detail.keys>}' }"#;
    let shop = Shop::open(&format!("{SOON_PARKED}\n{projection}")).await;
    shop.receiver.answers_about("o1", 503);
    shop.put("o1", &"x".repeat(3000));
    let first = eventually("an attempt", async || shop.receiver.hooks().into_iter().next()).await;
    shop.receiver.answers_about("o1", 204);
    let taken = eventually("it is taken", async || {
        let hooks = shop.receiver.hooks();
        (hooks.len() > 1).then(|| hooks.last().cloned()).flatten()
    })
    .await;
    assert_eq!((first.delivery(), &first.body), (taken.delivery(), &taken.body));
    let event = taken.event();
    let names: Vec<&str> = event["data"].as_object().unwrap().keys().map(String::as_str).collect();
    assert_eq!(names, ["delivery", "id", "keys", "ledger", "position"]);
    shop.running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_template_says_what_events_say_beside_which_they_are() {
    let template = r#"template = '{"order": <$.detail.keys.id>, "say": "<$.detail.operation> by <$.detail.actor>"}'"#;
    let shop = Shop::open(template).await;
    shop.put("o1", "secret");
    let hook = eventually("an event", async || shop.receiver.hooks().pop()).await;
    shop.running.stop().await;
    assert!(!hook.body.contains("secret"), "{}", hook.body);
    let event = hook.event();
    let names: Vec<&str> = event["data"].as_object().unwrap().keys().map(String::as_str).collect();
    assert_eq!(names, ["delivery", "id", "ledger", "order", "position", "say"]);
    assert_eq!(event["data"]["order"], "o1");
    assert_eq!(event["data"]["say"], "insert by ");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_correlates_events_is_carried_through_whatever_a_template_leaves_out() {
    let shop = Shop::open("template = '{}'\ncorrelation_attribute = \"note\"").await;
    shop.put("o1", "request-7");
    let event = eventually("an event", async || shop.receiver.hooks().pop())
        .await
        .event();
    assert_eq!(event["correlationid"], "request-7");
    assert_eq!(event["data"]["correlation"], "request-7");
    let without = item("o2", &[]);
    shop.simulator.put("orders", without).unwrap();
    let event = eventually("another", async || shop.receiver.hooks().into_iter().nth(1))
        .await
        .event();
    assert_eq!(event.get("correlationid"), None, "the item has no such attribute");
    // What is to be received changed, so that is another version.
    let shop = shop
        .restarted(|config| config.replace("correlation_attribute = \"note\"", ""))
        .await;
    shop.shows(&["route", "ls"], "version 2").await;
    shop.running.stop().await;
}
