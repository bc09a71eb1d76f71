//! What a replay would send, before it does.

use weir_pipeline::Preview;
use weir_tests::eventually;

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
        said.starts_with(
            "1 changes, 1 events for a sink: 0 as they were, 1 otherwise, 0 more, and 1 less. Nothing was sent\n"
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
