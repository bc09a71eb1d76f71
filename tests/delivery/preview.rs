//! What a replay would send, before it does.

use serde_json::json;
use weir_pipeline::Preview;
use weir_simulator::item;
use weir_tests::{component, eventually};

use crate::shop::Shop;

/// Asks what a replay would send, as JSON.
async fn preview(shop: &Shop, more: &[&str]) -> Preview {
    let arguments = [&["--json", "replay", "all", "--dry-run"], more].concat();
    let answer = shop.weir.command(&arguments).await;
    assert_eq!(answer.code, Some(0), "{answer:?}");
    serde_json::from_str(&answer.stdout).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replay_by_another_version_is_shown_with_what_differs_and_sends_nothing() {
    let shop = Shop::open("template = '{\"note\": <$.detail.new.note>}'").await;
    for (id, note) in [("o1", "a"), ("o2", "b")] {
        shop.put(id, note);
    }
    eventually("both are delivered", async || {
        (shop.receiver.hooks().len() == 2).then_some(())
    })
    .await;
    // The next version says more, and takes only one of them.
    let shop = shop
        .restarted(|config| {
            config.replace(
                "template = '{\"note\": <$.detail.new.note>}'",
                "template = '{\"note\": <$.detail.new.note>, \"by\": \"weir\"}'\n\
                 pattern = '{\"detail\": {\"keys\": {\"id\": [\"o1\"]}}}'",
            )
        })
        .await;
    shop.shows(&["route", "ls"], "version 2").await;
    shop.shows(&["route", "ls"], "up to date").await;
    let before = shop.receiver.hooks().len();

    let as_it_was = preview(&shop, &[]).await;
    assert_eq!((as_it_was.changes, as_it_was.sent, as_it_was.same), (2, 2, 2));
    assert!(as_it_was.differences.is_empty());
    let by_second = preview(&shop, &["--by-version", "2"]).await;
    assert_eq!((by_second.changes, by_second.sent), (1, 1));
    assert_eq!((by_second.from, as_it_was.from), (0, 0));
    assert_eq!(
        (by_second.same, by_second.other, by_second.more, by_second.less),
        (0, 1, 0, 1)
    );
    let said = shop
        .weir
        .command(&["replay", "all", "--by-version", "2", "--dry-run"])
        .await
        .stdout;
    assert!(
        said.contains(
            ": 1 changes, 1 events for a sink: 0 as they were, 1 otherwise, 0 more, and 1 less. Nothing was sent\n"
        ),
        "{said}"
    );
    assert!(
        said.contains("    /detail/by  nothing before, \"weir\" now\n"),
        "{said}"
    );
    assert!(said.contains("does not come any more"), "{said}");
    assert_eq!(shop.receiver.hooks().len(), before);
    shop.running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_plugin_fails_on_is_counted_and_left_out_also_where_the_route_would_halt() {
    let plugin = format!("plugin = \"{}\"", component("poison").display());
    let shop = Shop::open(&plugin).await;
    shop.put("o1", "a");
    let poisoned = item("o2", &[("poison", json!({ "S": "trap" }))]);
    shop.simulator.put("orders", poisoned).unwrap();
    shop.put("o3", "c");
    shop.shows(&["route", "ls"], "1 dead letters").await;
    shop.took("o3", 1).await;
    shop.shows(&["route", "ls"], "up to date").await;
    let halts = format!("{plugin}\nfailure = \"halt\"");
    let shop = shop.restarted(|config| config.replace(&plugin, &halts)).await;
    shop.shows(&["route", "ls"], "version 2").await;
    shop.shows(&["route", "ls"], "up to date").await;
    for more in [&[][..], &["--by-version", "2"]] {
        let preview = preview(&shop, more).await;
        let counts = (preview.changes, preview.sent, preview.same, preview.failed);
        assert_eq!(counts, (3, 2, 2, 1), "{more:?}");
    }
    shop.running.stop().await;
}
