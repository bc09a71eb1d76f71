//! What is parked, and what of it is erased meanwhile.

use serde_json::Value;
use weir_tests::eventually;

use crate::shop::{SOON_PARKED, Shop};

#[tokio::test(flavor = "multi_thread")]
async fn an_item_that_fails_is_shown_as_parked_and_comes_in_order_once_the_receiver_takes_it() {
    let shop = Shop::open(SOON_PARKED).await;
    shop.receiver.answers_about("sick", 422);
    for note in ["a", "b", "c"] {
        shop.put("sick", note);
        shop.put("well", note);
    }
    assert_eq!(shop.took("well", 3).await, ["a", "b", "c"]);
    shop.shows(&["route", "ls"], "3 deliveries of 1 items are parked").await;
    let listed = shop.weir.command(&["route", "parked", "all"]).await.stdout;
    assert_eq!(listed.lines().count(), 3, "{listed}");
    assert!(listed.contains("attempts since"), "{listed}");
    assert_eq!(listed.matches("behind another of its item").count(), 2, "{listed}");
    shop.shows(&["route", "ls"], "up to date").await;
    let sinks = shop.weir.command(&["sink", "ls"]).await.stdout;
    assert!(
        sinks.contains("hook  of all  takes events\n    3 deliveries are parked"),
        "{sinks}"
    );

    shop.receiver.answers_about("sick", 204);
    assert_eq!(shop.took("sick", 3).await, ["a", "b", "c"]);
    shop.shows(&["route", "parked"], "nothing is parked").await;
    shop.running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_parked_and_erased_is_not_sent() {
    let shop = Shop::open(SOON_PARKED).await;
    shop.receiver.answers_about("sick", 422);
    shop.put("sick", "private");
    shop.shows(&["route", "ls"], "1 deliveries of 1 items are parked").await;
    let order = [
        "erasure",
        "order",
        "orders",
        "sick",
        "--basis",
        "GDPR 17",
        "--approver",
        "ann",
    ];
    let erased = shop.weir.command(&order).await;
    assert!(erased.stdout.contains("1 bodies  done"), "{erased:?}");
    shop.receiver.answers_about("sick", 204);
    shop.shows(&["route", "parked"], "nothing is parked").await;
    assert!(shop.receiver.taken_about("sick").is_empty());
    shop.put("sick", "later");
    assert_eq!(shop.took("sick", 1).await, ["later"]);
    shop.running.stop().await;
}

/// What was sent carries no other payload under its id; what only stood behind it was never sent, and goes without.

#[tokio::test(flavor = "multi_thread")]
async fn what_is_parked_and_erased_in_part_is_a_dead_letter_if_it_was_sent_and_else_goes_without_that_part() {
    let shop = Shop::open(SOON_PARKED).await;
    shop.receiver.answers_about("sick", 422);
    shop.put("sick", "private");
    shop.put("sick", "also private");
    shop.shows(&["route", "ls"], "2 deliveries of 1 items are parked").await;
    let order = ["erasure", "order", "orders", "sick", "--attribute", "note"];
    let why = ["--basis", "GDPR 17", "--approver", "ann"];
    let erased = shop.weir.command(&[&order[..], &why[..]].concat()).await;
    assert!(erased.stdout.contains("2 bodies  done"), "{erased:?}");
    let attempts = shop.receiver.hooks().len();
    shop.receiver.answers_about("sick", 204);
    assert_eq!(shop.took("sick", 1).await, [Value::Null]);
    let letter = shop.shows(&["dlq", "ls"], "erased-in-part").await.stdout;
    assert_eq!(letter.lines().count(), 1, "{letter}");
    assert_eq!(shop.receiver.hooks().len(), attempts + 1);
    let redriven = shop.weir.command(&["dlq", "redrive", "--all"]).await;
    assert_eq!(redriven.code, Some(0), "{redriven:?}");
    shop.put("sick", "later");
    assert_eq!(shop.took("sick", 2).await, [Value::Null, "later".into()]);
    shop.shows(&["dlq", "ls"], "erased-in-part").await;
    shop.running.stop().await;
}

/// Also where there is no moment in which nothing of the item is under way.
#[tokio::test(flavor = "multi_thread")]
async fn what_stands_in_memory_behind_one_that_is_under_way_and_is_erased_is_not_sent() {
    let shop = Shop::open("").await;
    shop.receiver.keeps_silent_about("busy");
    for note in ["under way", "private", "private, too"] {
        shop.put("busy", note);
    }
    shop.shows(&["history", "orders", "busy"], "private, too").await;
    let hook = eventually("the first is under way", async || shop.receiver.hooks().pop()).await;
    assert_eq!(hook.event()["data"]["new"]["note"], "under way");
    let order = [
        "erasure",
        "order",
        "orders",
        "busy",
        "--basis",
        "GDPR 17",
        "--approver",
        "ann",
    ];
    let erased = shop.weir.command(&order).await;
    assert!(erased.stdout.contains("3 bodies  done"), "{erased:?}");
    // Whatever was not looked at within three seconds is not sent.
    tokio::time::sleep(std::time::Duration::from_secs(3)).await;
    shop.receiver.speaks_about("busy");
    shop.put("busy", "later");
    assert_eq!(shop.took("busy", 2).await, ["under way", "later"]);
    shop.running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_waits_in_memory_for_a_paused_sink_and_is_erased_is_not_sent() {
    let shop = Shop::open("").await;
    shop.put("o1", "first");
    shop.took("o1", 1).await;
    shop.shows(&["sink", "ls"], "hook  of all").await;
    let paused = shop
        .weir
        .command(&["sink", "pause", "hook", "--reason", "release"])
        .await;
    assert_eq!(paused.code, Some(0), "{paused:?}");
    shop.shows(&["sink", "ls"], "PAUSED since").await;
    // Until it is heard of, something may still be sent.
    let mut probe = 0;
    eventually("nothing is sent any more", async || {
        let before = shop.receiver.hooks().len();
        probe += 1;
        let word = format!("probe-{probe}");
        shop.put("o2", &word);
        shop.shows(&["history", "orders", "o2"], &word).await;
        tokio::time::sleep(std::time::Duration::from_millis(500)).await;
        (shop.receiver.hooks().len() == before).then_some(())
    })
    .await;
    shop.put("o1", "private");
    shop.shows(&["history", "orders", "o1"], "private").await;
    let order = [
        "erasure",
        "order",
        "orders",
        "o1",
        "--basis",
        "GDPR 17",
        "--approver",
        "ann",
    ];
    let erased = shop.weir.command(&order).await;
    assert!(erased.stdout.contains("2 bodies  done"), "{erased:?}");
    let resumed = shop.weir.command(&["sink", "resume", "hook"]).await;
    assert_eq!(resumed.code, Some(0), "{resumed:?}");
    shop.put("o1", "later");
    assert_eq!(shop.took("o1", 2).await, ["first", "later"]);
    shop.running.stop().await;
}
