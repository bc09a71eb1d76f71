//! Routes and sinks that stand still: paused by an operator, or away.

use weir_tests::eventually;

use crate::shop::Shop;

#[tokio::test(flavor = "multi_thread")]
async fn a_route_and_a_sink_stand_still_while_they_are_paused_also_across_a_restart_and_the_ledger_says_so() {
    let mut shop = Shop::open("").await;
    shop.put("o1", "first");
    shop.took("o1", 1).await;
    shop.shows(&["sink", "ls"], "hook  of all  takes events").await;
    for (kind, name) in [("route", "all"), ("sink", "hook")] {
        let paused = shop.weir.command(&[kind, "pause", name, "--reason", "release"]).await;
        assert_eq!((paused.code, paused.stderr.as_str()), (Some(0), ""), "{paused:?}");
        shop.running.stop().await;
        shop.running = shop.weir.run(None);
        let before = shop.receiver.hooks().len();
        shop.put("o1", kind);
        shop.weir.answers().await;
        shop.shows(&[kind, "ls"], "PAUSED since").await;
        shop.weir.recorded(if kind == "route" { 2 } else { 3 }).await;
        assert_eq!(shop.receiver.hooks().len(), before, "nothing is sent");
        let resumed = shop.weir.command(&[kind, "resume", name]).await;
        assert_eq!((resumed.code, resumed.stderr.as_str()), (Some(0), ""), "{resumed:?}");
        eventually("it goes on", async || {
            (shop.receiver.hooks().len() > before).then_some(())
        })
        .await;
    }
    assert_eq!(shop.took("o1", 3).await, ["first", "route", "sink"]);
    let told: Vec<String> = shop.told().await.into_iter().map(|(what, _)| what).collect();
    assert_eq!(told, ["route-paused", "route-resumed", "sink-paused", "sink-resumed"]);

    let unknown = shop.weir.command(&["route", "pause", "al", "--reason", "typo"]).await;
    assert_eq!(
        (unknown.code, unknown.stderr.trim()),
        (Some(1), "weir: there is no route \"al\"; there are: all")
    );
    shop.running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sink_that_is_away_is_shown_with_the_reason() {
    let shop = Shop::open("").await;
    shop.receiver.answers(&[503; 200]);
    shop.put("o1", "first");
    let shown = shop.shows(&["sink", "ls"], "TAKES NOTHING since").await.stdout;
    assert!(shown.contains("503"), "{shown}");
    let routes = shop.weir.command(&["route", "ls"]).await.stdout;
    assert!(routes.contains("entries behind"), "{routes}");
    shop.receiver.answers(&[]);
    shop.took("o1", 1).await;
    shop.shows(&["sink", "ls"], "hook  of all  takes events").await;
    shop.running.stop().await;
}
