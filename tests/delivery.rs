//! What an operator sees of deliveries, and does about them: what is parked, paused, given up, sent again or thrown away.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use serde_json::{Value, json};
use weir_evidence::EntryKind;
use weir_simulator::{Setup, Simulator, TableSetup, item};
use weir_tests::{Answer, Receiver, Weir, WeirProcess, component, eventually};

/// A running Weir that sends every change of a simulated table to a receiver of webhooks.
struct Shop {
    simulator: Simulator,
    receiver: Receiver,
    weir: Weir,
    running: WeirProcess,
}

impl Shop {
    /// `route` is what more stands in `[route.all]`.
    async fn open(route: &str) -> Self {
        let setup = Setup {
            tables: vec![TableSetup::new("orders")],
            ..Setup::default()
        };
        let simulator = Simulator::start(setup).await.unwrap();
        let receiver = Receiver::start().await;
        let weir = Weir::configure(&format!(
            "[source.shop]\ntable = \"orders\"\nendpoint = \"{}\"\ntest_credentials = true\n\
             [sink.hook]\ntype = \"webhook\"\nurl = \"{}/orders\"\nallow_networks = [\"127.0.0.0/8\"]\n\
             [route.all]\nsource = \"shop\"\nsinks = [\"hook\"]\n{route}\n",
            simulator.endpoint(),
            receiver.endpoint()
        ));
        weir.write("hook.secret", "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD\n");
        let running = weir.run(None);
        weir.answers().await;
        Self {
            simulator,
            receiver,
            weir,
            running,
        }
    }

    fn put(&self, id: &str, note: &str) {
        let note = json!({ "S": note });
        self.simulator.put("orders", item(id, &[("note", note)])).unwrap();
    }

    /// Runs a command until it prints this.
    async fn shows(&self, arguments: &[&str], text: &str) -> Answer {
        eventually(&format!("{arguments:?} shows {text:?}"), async || {
            let answer = self.weir.command(arguments).await;
            answer.stdout.contains(text).then_some(answer)
        })
        .await
    }

    /// Until the receiver took so many events about an item; their notes.
    async fn took(&self, id: &str, count: usize) -> Vec<Value> {
        let events = eventually(&format!("{count} events about {id}"), async || {
            let events = self.receiver.taken_about(id);
            (events.len() >= count).then_some(events)
        })
        .await;
        events
            .iter()
            .map(|event| event["data"]["new"]["note"].clone())
            .collect()
    }

    /// Positions of the changes, in order.
    async fn changes(&self) -> Vec<String> {
        let entries = self.weir.entries().await.into_iter();
        let changes = entries.filter(|entry| matches!(entry.entry.kind, EntryKind::Change { .. }));
        changes.map(|entry| entry.position.to_string()).collect()
    }

    /// Entries that say what operators did, in order.
    async fn told(&self) -> Vec<(String, Value)> {
        let entries = self.weir.entries().await.into_iter();
        let told = entries.filter_map(|entry| match entry.entry.kind {
            EntryKind::Lifecycle { what, detail, .. } => {
                Some((what, serde_json::from_str(&detail).unwrap_or_default()))
            }
            _ => None,
        });
        let told = told.filter(|(what, _)| {
            ["paused", "resumed", "redriven", "dropped", "ordered", "cancelled"]
                .iter()
                .any(|end| what.ends_with(end))
        });
        told.collect()
    }
}

const SOON_PARKED: &str = "retry = { first = \"8s\" }";

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
    eventually("nothing is sent any more", async || {
        let before = shop.receiver.hooks().len();
        shop.put("o2", "probe");
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

#[tokio::test(flavor = "multi_thread")]
async fn a_dead_letter_is_shown_and_sent_again_with_the_same_bytes_under_the_same_id_or_thrown_away() {
    let shop = Shop::open("").await;
    shop.receiver.answers_about("big", 413);
    for note in ["a", "b"] {
        shop.put("big", note);
    }
    eventually("two dead letters", async || {
        let listed = shop.weir.command(&["dlq", "ls"]).await.stdout;
        (listed.matches("refused: the endpoint answered 413").count() == 2).then_some(())
    })
    .await;
    let hooks = shop.receiver.hooks();
    let (first, second) = (hooks[0].delivery(), hooks[1].delivery());
    let shown = shop.weir.command(&["dlq", "show", first]).await.stdout;
    assert!(
        shown.contains("1 attempts, given up at") && shown.contains(r#""note":"a""#),
        "{shown}"
    );

    shop.receiver.answers_about("big", 204);
    let redriven = shop
        .weir
        .command(&["dlq", "redrive", first, "--reason", "it is larger now"])
        .await;
    assert_eq!(
        (redriven.code, redriven.stdout.trim()),
        (Some(0), "1 dead letters are sent again"),
        "{redriven:?}"
    );
    assert_eq!(shop.took("big", 1).await, ["a"]);
    let again = shop.receiver.hooks().pop().unwrap();
    assert_eq!((again.delivery(), again.body.as_str()), (first, hooks[0].body.as_str()));

    let dropped = shop
        .weir
        .command(&["dlq", "drop", second, "--reason", "nobody wants it"])
        .await;
    assert_eq!(
        (dropped.code, dropped.stdout.trim()),
        (Some(0), "1 dead letters are thrown away"),
        "{dropped:?}"
    );
    shop.shows(&["dlq", "ls"], "no dead letters").await;
    assert_eq!(
        shop.told().await,
        [
            (
                "dead-letters-redriven".to_owned(),
                json!({ "deliveries": [first], "reason": "it is larger now" })
            ),
            (
                "dead-letters-dropped".to_owned(),
                json!({ "deliveries": [second], "reason": "nobody wants it" })
            )
        ]
    );
    let nothing = shop.weir.command(&["dlq", "redrive", second]).await;
    assert_eq!(
        (nothing.code, nothing.stdout.trim()),
        (Some(1), "0 dead letters are sent again")
    );
    shop.running.stop().await;
}

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
    shop.shows(&["explain", &sick], "parked after 1 attempts, again at")
        .await;
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

#[tokio::test(flavor = "multi_thread")]
async fn what_a_plugin_failed_on_is_sent_again_by_the_version_that_runs_then() {
    let plugin = component("poison");
    let mut shop = Shop::open(&format!("plugin = {:?}", plugin.display())).await;
    let trap = [("note", json!({ "S": "bad" })), ("poison", json!({ "S": "trap" }))];
    shop.simulator.put("orders", item("o1", &trap)).unwrap();
    shop.put("o2", "fine");
    shop.took("o2", 1).await;
    let letter = shop.shows(&["dlq", "ls"], "plugin-").await.stdout;
    assert_eq!(
        letter.lines().filter(|line| line.starts_with("position")).count(),
        1,
        "{letter}"
    );

    shop.running.stop().await;
    let config = std::fs::read_to_string(shop.weir.path("weir.toml")).unwrap();
    let without = config.lines().filter(|line| !line.starts_with("plugin ="));
    shop.weir.write("weir.toml", &without.collect::<Vec<_>>().join("\n"));
    shop.running = shop.weir.run(None);
    shop.weir.answers().await;
    let redriven = shop.weir.command(&["dlq", "redrive", "--all"]).await;
    assert_eq!(redriven.code, Some(0), "{redriven:?}");
    assert_eq!(shop.took("o1", 1).await, ["bad"]);
    shop.shows(&["dlq", "ls"], "no dead letters").await;
    shop.running.stop().await;
}

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
