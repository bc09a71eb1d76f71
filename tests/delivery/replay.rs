//! What a route sends once more.

use weir_tests::eventually;

use crate::shop::Shop;

#[tokio::test(flavor = "multi_thread")]
async fn a_route_sends_a_range_or_an_item_once_more_with_the_same_bytes_under_the_same_ids() {
    let shop = Shop::open("").await;
    for (id, note) in [("o1", "a"), ("o2", "b"), ("o1", "c")] {
        shop.put(id, note);
    }
    shop.took("o1", 2).await;
    shop.took("o2", 1).await;
    shop.shows(&["route", "ls"], "up to date").await;
    let [first, second, _] = shop.changes().await.try_into().unwrap();
    let before = shop.receiver.hooks();

    let range = [
        "replay",
        "all",
        "--from",
        &first,
        "--to",
        &second,
        "--reason",
        "their outage",
    ];
    let ordered = shop.weir.command(&range).await;
    assert!(
        ordered.stdout.contains(&format!(
            "all sends positions {first} to {second} again, under the ids that it had"
        )),
        "{ordered:?}"
    );
    shop.took("o1", 3).await;
    shop.took("o2", 2).await;
    eventually("the replay is over", async || {
        let listed = shop.weir.command(&["route", "ls"]).await.stdout;
        (!listed.contains("once more")).then_some(())
    })
    .await;
    let item = shop
        .weir
        .command(&["replay", "all", "--table", "orders", "--key", "o1"])
        .await;
    assert_eq!(item.code, Some(0), "{item:?}");
    assert_eq!(shop.took("o1", 5).await, ["a", "c", "a", "a", "c"]);
    let hooks = shop.receiver.hooks();
    for again in &hooks[before.len()..] {
        let same = before.iter().find(|hook| hook.delivery() == again.delivery()).unwrap();
        assert_eq!(same.body, again.body);
    }
    eventually("the replay is over", async || {
        let nothing = shop.weir.command(&["replay", "all", "--cancel"]).await;
        nothing.stdout.contains("all replays nothing").then_some(())
    })
    .await;

    let told = shop.told().await;
    let (what, detail) = &told[0];
    assert_eq!(what, "replay-ordered");
    assert_eq!(detail["reason"], "their outage");
    let beyond = shop.weir.command(&["replay", "all", "--from", "99999"]).await;
    assert!(
        beyond.stderr.contains("the route has nothing to replay there"),
        "{beyond:?}"
    );
    let version = shop.weir.command(&["replay", "all", "--by-version", "9"]).await;
    assert!(version.stderr.contains("the route has no version 9"), "{version:?}");
    let unknown = shop.weir.command(&["replay", "none"]).await;
    assert_ne!(unknown.code, Some(0), "{unknown:?}");
    shop.running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replay_leaves_out_what_was_erased_in_part_for_its_id_has_another_payload() {
    let shop = Shop::open("").await;
    shop.put("o1", "private");
    shop.put("o2", "public");
    shop.took("o1", 1).await;
    shop.took("o2", 1).await;
    shop.shows(&["route", "ls"], "up to date").await;
    let order = [
        "erasure",
        "order",
        "orders",
        "o1",
        "--attribute",
        "note",
        "--basis",
        "GDPR 17",
        "--approver",
        "ann",
    ];
    let erased = shop.weir.command(&order).await;
    assert_eq!(erased.code, Some(0), "{erased:?}");
    let ordered = shop.weir.command(&["replay", "all"]).await;
    assert_eq!(ordered.code, Some(0), "{ordered:?}");
    shop.took("o2", 2).await;
    eventually("the replay is over", async || {
        let listed = shop.weir.command(&["route", "ls"]).await.stdout;
        (!listed.contains("once more")).then_some(())
    })
    .await;
    assert_eq!(shop.took("o1", 1).await, ["private"]);
    shop.running.stop().await;
}
