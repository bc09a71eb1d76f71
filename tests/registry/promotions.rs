//! What is promoted: granted, tried, recorded, and nothing lost by it.

use std::collections::HashMap;

use serde_json::Value;
use weir_tests::{Dice, Received, eventually};

use crate::{TABLE, World};

#[tokio::test(flavor = "multi_thread")]
async fn promotions_under_load_lose_repeat_and_reorder_nothing_and_each_event_names_its_plugin() {
    const CHANGES: usize = 1500;
    const PROMOTIONS: usize = 6;
    let world = World::new("").await;
    let running = world.running().await;
    let digests = [world.push(0).await, world.push(1).await];
    world.plugin_json(&["promote", &digests[0], "--grant"]).await;

    let writer = async {
        let mut dice = Dice::new();
        for _ in 0..CHANGES {
            world.put(&format!("order-{}", dice.below(40)), None).await;
        }
    };
    let operator = async {
        for promotion in 1..=PROMOTIONS {
            let before = world.bus.deliveries();
            if promotion % 3 == 0 {
                world.plugin_json(&["rollback"]).await;
            } else {
                world.plugin_json(&["promote", &digests[promotion % 2]]).await;
            }
            eventually("deliveries after a promotion", async || {
                (world.bus.deliveries() > before + 20 || world.bus.deliveries() >= CHANGES).then_some(())
            })
            .await;
        }
    };
    tokio::join!(writer, operator);
    eventually("a delivery of each change", async || {
        (world.bus.deliveries() >= CHANGES).then_some(())
    })
    .await;
    let versions = world.plugin_json(&["versions", "all"]).await["versions"].clone();
    running.stop().await;

    let received = world.bus.received();
    assert_eq!(received.len(), CHANGES);
    let runs_at = |position: u64| {
        let versions = versions.as_array().unwrap();
        let version = versions
            .iter()
            .find(|version| version["from_position"].as_u64().unwrap() <= position);
        version.unwrap()["plugin"].clone()
    };
    let (mut last_of_item, mut made_by): (HashMap<String, u64>, HashMap<String, usize>) = Default::default();
    for event in &received {
        let before = last_of_item.insert(event.detail["keys"]["id"].to_string(), event.position());
        assert!(
            before.is_none_or(|before| before < event.position()),
            "{}",
            event.detail
        );
        assert_eq!(event.detail["plugin"], runs_at(event.position()), "{}", event.detail);
        *made_by.entry(event.detail["plugin"].to_string()).or_default() += 1;
    }
    assert_eq!(made_by.len(), 2, "{made_by:?}");
    assert_eq!(versions.as_array().unwrap().len(), 2 + PROMOTIONS, "{versions}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_promoted_was_granted_was_tried_and_stays_when_weir_starts_again() {
    let world = World::new("").await;
    let running = world.running().await;
    assert_eq!(
        world.plugin(&["list"]).await.stdout,
        "no plugin was uploaded yet: weir plugin push FOLDER\n"
    );
    let digest = world.push(0).await;
    // Pushed twice, it is there once.
    assert_eq!(world.push(0).await, digest);
    let listed = world.plugin_json(&["list"]).await;
    assert_eq!(listed["plugins"].as_array().unwrap().len(), 1);
    assert_eq!(world.plugin_json(&["show", "poison"]).await, listed["plugins"][0]);
    assert_eq!(world.plugin_json(&["show", "poison@0.1.0"]).await, listed["plugins"][0]);

    expect_test::expect![[r#"
        weir: the plugin asks for more than the route's plugin may: read new /poison. Promote it with `--grant` (`"grant": true`) to allow that
    "#]]
    .assert_eq(&world.refused(&["promote", "poison"]).await);
    expect_test::expect![[r#"
        weir: no plugin is called "nobody": give its name, `name@version`, or 6 digits of its digest; `weir plugin list` has them
    "#]]
    .assert_eq(&world.refused(&["promote", "nobody"]).await);
    expect_test::expect![[r#"
        weir: there is no route "nowhere": a route begins in the configuration, under [route.<name>]
    "#]]
    .assert_eq(&world.refused(&["promote", "poison", "--route", "nowhere"]).await);
    expect_test::expect![[r#"
        weir: no earlier version of route all had another plugin, configuration or table
    "#]]
    .assert_eq(&world.refused(&["rollback"]).await);

    for number in 0..3 {
        world.put(&format!("bad-{number}"), Some("trap")).await;
    }
    world.weir.recorded(3).await;
    let refused = world.refused(&["promote", "poison", "--grant"]).await;
    assert!(
        refused.starts_with("weir: the plugin fails on 3 of the last 3 recorded changes of this route: plugin-trap: "),
        "{refused}"
    );
    for number in 0..5 {
        world.put(&format!("good-{number}"), None).await;
    }
    world.weir.recorded(8).await;
    let promoted = world
        .plugin_json(&["promote", "poison", "--grant", "--reason", "a test"])
        .await;
    assert_eq!(promoted["tried"]["kept"], 5, "{promoted}");
    assert_eq!(promoted["tried"]["failed"], 3, "{promoted}");
    assert_eq!(world.plugin_json(&["show", "poison"]).await["runs_on"][0], "all");
    running.stop().await;

    // Starting again undoes nothing, and neither does a change of something else.
    let config = std::fs::read_to_string(world.weir.path("weir.toml")).unwrap();
    let config = config.replace(
        "sinks = [\"bus\"]",
        "sinks = [\"bus\"]\npattern = '{\"detail\": {\"operation\": [\"insert\"]}}'",
    );
    world.weir.write("weir.toml", &config);
    let running = world.running().await;
    let versions = world.plugin_json(&["versions"]).await;
    let plugins: Vec<&Value> = versions["versions"]
        .as_array()
        .unwrap()
        .iter()
        .map(|version| &version["plugin"])
        .collect();
    assert_eq!(
        plugins,
        [&Value::from(digest.clone()), &Value::from(digest), &Value::Null]
    );

    let back = world.plugin_json(&["rollback", "--to", "1"]).await;
    assert_eq!(back["version"]["plugin"], Value::Null, "{back}");
    assert_eq!(
        world.steps().await,
        [
            "route-configured 1",
            "plugin-uploaded",
            "plugin-promoted 2",
            "route-configured 3",
            "plugin-rolled-back 4"
        ]
    );
    let verified = world.weir.command(&["verify"]).await;
    assert_eq!(verified.code, Some(0), "{verified:?}");
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dry_run_checks_what_a_promotion_would_shows_what_would_differ_and_promotes_nothing() {
    let world = World::new("").await;
    let running = world.running().await;
    world.push(0).await;
    let dry_run = ["promote", "poison", "--dry-run"];
    let granted = [&dry_run[..], &["--grant"]].concat();
    let refused = world.refused(&dry_run).await;
    assert!(
        refused.contains("asks for more than the route's plugin may"),
        "{refused}"
    );
    let nowhere = [&granted[..], &["--from", "1000000"]].concat();
    assert_eq!(
        world.plugin(&nowhere).await.stdout,
        "nothing is recorded yet that it could be tried on\n\
         the route has passed nothing that could be looked at\n"
    );

    for id in ["o1", "o2", "o3"] {
        world.put(id, None).await;
    }
    world.put("o4", Some("reject")).await;
    eventually("all are delivered", async || {
        (world.bus.deliveries() == 4).then_some(())
    })
    .await;
    let received = world.bus.received();
    let rejected = received.iter().find(|event| event.detail["keys"]["id"] == "o4");
    let rejected = rejected.unwrap().position();
    let last = received.iter().map(Received::position).max().unwrap();
    let shown = eventually("the route has passed them", async || {
        let shown = world.plugin_json(&granted).await;
        (shown["preview"]["changes"] == 4).then_some(shown)
    })
    .await;
    assert_eq!(shown["tried"]["rejected"], 1, "{shown}");
    let counts =
        ["sent", "same", "other", "more", "less", "failed"].map(|name| shown["preview"][name].as_u64().unwrap());
    assert_eq!(counts, [3, 3, 0, 0, 1, 1], "{shown}");
    let to = last.to_string();
    let all = [&granted[..], &["--from", "0", "--to", &to]].concat();
    assert_eq!(
        world.plugin(&all).await.stdout,
        format!(
            "tried on the last 4 recorded changes, nothing was sent: 3 kept, 0 dropped, 1 rejected\n\
             positions 0 to {last}: 4 changes, 3 events for a sink: 3 as they were, 0 otherwise, 0 more, and 1 less. Nothing was sent\n    \
             the plugin fails on 1 of them or rejects them\n\
             position {rejected}  {TABLE}.insert to bus: does not come any more\n"
        )
    );
    let before = rejected.to_string();
    let some = world
        .plugin_json(&[&granted[..], &["--from", &before, "--to", &before]].concat())
        .await;
    assert_eq!(
        (&some["preview"]["changes"], &some["preview"]["less"]),
        (&1.into(), &1.into()),
        "{some}"
    );

    assert_eq!(world.steps().await, ["route-configured 1", "plugin-uploaded"]);
    assert_eq!(world.bus.deliveries(), 4);
    running.stop().await;
}
