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

#[tokio::test(flavor = "multi_thread")]
async fn a_receiver_that_drops_what_it_had_takes_again_what_is_replayed_as_new() {
    let shop = Shop::open("").await;
    shop.put("o1", "a");
    shop.took("o1", 1).await;
    shop.shows(&["route", "ls"], "up to date").await;
    let first = shop.receiver.hooks().remove(0);

    let ordered = shop
        .weir
        .command(&["replay", "all", "--as-new", "search-index", "--reason", "a new reader"])
        .await;
    assert!(
        ordered.stdout.contains("again, as new: under the ids of search-index"),
        "{ordered:?}"
    );
    shop.took("o1", 2).await;
    let again = shop.receiver.hooks().remove(1);
    assert_ne!(first.delivery(), again.delivery());
    let (mut before, mut now) = (first.event()["data"].take(), again.event()["data"].take());
    assert_eq!(now["replayed_as"], "search-index");
    for event in [&mut before, &mut now] {
        let event = event.as_object_mut().unwrap();
        event.retain(|name, _| !["delivery", "replayed_as"].contains(&name.as_str()));
    }
    assert_eq!(before, now, "but for that it says the same");

    let told = shop.told().await;
    let (what, detail) = &told[0];
    assert_eq!(
        (what.as_str(), &detail["as_new"]),
        ("replay-ordered", &"search-index".into())
    );
    let unfit = shop.weir.command(&["replay", "all", "--as-new", "two words"]).await;
    assert!(
        unfit.stderr.contains("the name of a replay is 1 to 64 letters"),
        "{unfit:?}"
    );
    shop.running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn explain_tells_what_waits_of_a_replay() {
    let shop = Shop::open("").await;
    shop.put("o1", "a");
    shop.took("o1", 1).await;
    shop.shows(&["route", "ls"], "up to date").await;
    let [position] = shop.changes().await.try_into().unwrap();
    shop.receiver.answers_about("o1", 422);
    let ordered = shop.weir.command(&["replay", "all", "--as-new", "again"]).await;
    assert_eq!(ordered.code, Some(0), "{ordered:?}");
    shop.shows(&["route", "parked"], "replayed as again").await;
    let explained = shop
        .weir
        .command(&["explain", &position, "--route", "all"])
        .await
        .stdout;
    assert!(explained.contains("settled: accepted"), "{explained}");
    assert!(explained.contains("replayed as again  parked after"), "{explained}");
    shop.running.stop().await;
}
