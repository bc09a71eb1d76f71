//! What all processes do once an operator said so.

use std::collections::BTreeSet;
use std::pin::pin;

use serde_json::{Value, json};
use weir_tests::{component, eventually};

use crate::shop::Shop;

/// A route beside the one of the shop, to a file.
const TO_A_FILE: &str =
    "[sink.file]\ntype = \"log\"\nfile = \"notes.jsonl\"\n[route.notes]\nsource = \"shop\"\nsinks = [\"file\"]\n";

impl Shop {
    /// Until the file has events about these items, and those that it has.
    async fn noted(&self, file: &str, items: &[&str]) -> Vec<Value> {
        eventually(&format!("{file} tells of {items:?}"), async || {
            let text = std::fs::read_to_string(self.weir.path(file)).ok()?;
            let events = text.lines().map(serde_json::from_str::<Value>);
            let events: Vec<Value> = events.collect::<Result<_, _>>().ok()?;
            let told: BTreeSet<&str> = events
                .iter()
                .filter_map(|event| event["detail"]["keys"]["id"].as_str())
                .collect();
            items.iter().all(|item| told.contains(item)).then_some(events)
        })
        .await
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_applied_is_planned_first_and_then_done_by_every_process_without_a_restart() {
    let shop = Shop::open("partitions = 4").await;
    let other = shop.weir.run_beside("other");
    shop.shows(&["leases", "ls"], "\n").await;
    eventually("both work", async || {
        let listed = shop.weir.command(&["leases", "ls"]).await.stdout;
        (listed.lines().count() == 2).then_some(())
    })
    .await;
    shop.put("before", "a");
    shop.took("before", 1).await;

    shop.configure(TO_A_FILE);
    let planned = shop.weir.command(&["apply", "--dry-run"]).await;
    let lines: Vec<&str> = planned.stdout.lines().collect();
    assert_eq!(lines[..2], ["+ [sink.file]", "+ [route.notes]"], "{planned:?}");
    let plan = lines[2].rsplit(' ').next().unwrap();
    assert!(shop.told().await.is_empty(), "a dry run applied something");
    let stale = shop.weir.command(&["apply", "--expect", "0123456789abcdef"]).await;
    assert!(stale.stderr.contains(&format!("the plan is {plan} now")), "{stale:?}");

    let apply = ["apply", "--expect", plan, "--reason", "notes for everybody"];
    let mut applied = pin!(shop.weir.command(&apply));
    let mut changes = 0;
    let applied = loop {
        let item = format!("meanwhile-{changes}");
        changes += 1;
        let delivered = async {
            shop.put(&item, "b");
            shop.took(&item, 1).await
        };
        tokio::select! {
            applied = &mut applied => break applied,
            _ = delivered => {}
        }
    };
    assert!(applied.stdout.ends_with("every process does it\n"), "{applied:?}");
    assert!(changes > 1, "nothing was changed meanwhile");
    // The last may not have been made.
    for number in 0..changes - 1 {
        shop.took(&format!("meanwhile-{number}"), 1).await;
    }
    shop.put("after", "c");
    shop.took("after", 1).await;
    shop.noted("notes.jsonl", &["after"]).await;
    let listed = shop.weir.command(&["leases", "ls"]).await.stdout;
    assert_eq!(listed.matches("configuration 1").count(), 2, "{listed}");
    let told = shop.told().await;
    let (what, detail) = &told[0];
    assert_eq!(what, "configuration-applied");
    assert_eq!(
        (&detail["number"], &detail["reason"]),
        (&1.into(), &"notes for everybody".into())
    );
    let again = shop.weir.command(&["apply"]).await;
    assert!(again.stdout.starts_with("nothing differs"), "{again:?}");
    let again = shop.weir.command(&["apply", "--json"]).await;
    let again: Value = serde_json::from_str(&again.stdout).unwrap();
    assert_eq!((&again["steps"], &again["others"]), (&json!([]), &json!([])));
    // The new route has nothing to do with what came before it.
    let first = &shop.changes().await[0];
    let explained = shop.weir.command(&["explain", first, "--json"]).await;
    let explained: Value = serde_json::from_str(&explained.stdout).unwrap();
    assert_eq!(explained[0]["route"], "all");
    let why = explained[1]["error"].as_str().unwrap();
    assert!(
        explained[1]["route"] == "notes" && why.contains("begins at position"),
        "{explained}"
    );
    other.stop().await;
    shop.running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_applied_outlives_a_restart_until_it_is_cleared() {
    let shop = Shop::open("").await;
    let file = std::fs::read_to_string(shop.weir.path("weir.toml")).unwrap();
    shop.configure(TO_A_FILE);
    let applied = shop.weir.command(&["apply"]).await;
    assert!(applied.stdout.ends_with("every process does it\n"), "{applied:?}");
    // Its own file is the old one.
    let shop = shop.restarted(|_| file).await;
    shop.put("o1", "a");
    shop.noted("notes.jsonl", &["o1"]).await;
    let shown = shop.weir.command(&["apply", "--show"]).await.stdout;
    assert!(shown.starts_with("# configuration 1, applied at "), "{shown}");
    assert!(shown.contains("[route.notes]"), "{shown}");

    let cleared = shop.weir.command(&["apply", "--clear"]).await;
    assert!(
        cleared
            .stdout
            .starts_with("- [sink.file]  what waits for it, and what routes have not sent there yet, becomes dead letters\n- [route.notes]  it stops"),
        "{cleared:?}"
    );
    assert!(cleared.stdout.ends_with("every process does it\n"), "{cleared:?}");
    shop.put("o2", "b");
    shop.took("o2", 1).await;
    shop.shows(&["route", "ls"], "NOBODY routes it now").await;
    assert_eq!(shop.noted("notes.jsonl", &["o1"]).await.len(), 1);
    // Its own file is read again whenever it is to count.
    shop.configure(&TO_A_FILE.replace("notes", "others"));
    let again = shop.weir.command(&["apply", "--clear"]).await;
    assert!(again.stdout.ends_with("every process does it\n"), "{again:?}");
    shop.put("o3", "c");
    shop.noted("others.jsonl", &["o3"]).await;
    shop.running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_done_is_refused_and_everything_goes_on() {
    let shop = Shop::open("").await;
    let file = std::fs::read_to_string(shop.weir.path("weir.toml")).unwrap();
    let url = shop.receiver.endpoint().to_owned();
    let secretive = format!("[sink.other]\ntype = \"webhook\"\nurl = \"{url}\"\nallow_networks = [\"127.0.0.0/8\"]\n");
    let of_no_component = "[route.more]\nsource = \"shop\"\nsinks = [\"hook\"]\nplugin = \"hook.secret\"\n";
    let of_nobody = format!(
        "[route.more]\nsource = \"shop\"\nsinks = [\"hook\"]\nplugin = \"sha256:{}\"\n",
        "ab".repeat(32)
    );
    let of_no_table = format!(
        "[source.more]\ntable = \"nothing\"\nendpoint = \"{}\"\ntest_credentials = true\n",
        shop.simulator.endpoint()
    );
    for (more, said) in [
        (of_no_table.as_str(), "table nothing has no stream that is switched on"),
        (
            &secretive,
            "[sink.other] cannot be used: there is no WEIR_SINK_OTHER_SECRET",
        ),
        (of_no_component, "hook.secret cannot be applied: this is no WebAssembly"),
        (&of_nobody, "is none that was uploaded: push it with `weir plugin push`"),
    ] {
        shop.weir.write("weir.toml", &format!("{file}{more}"));
        let refused = shop.weir.command(&["apply"]).await;
        assert_eq!(refused.code, Some(1), "{refused:?}");
        assert!(refused.stderr.contains(said), "{refused:?}");
    }
    // To say nothing is not to say that each does what its own file says.
    let (status, said) = shop.weir.post("/v1/configuration", &json!({ "reason": "oops" })).await;
    assert!(
        status == 422 && said.contains("missing field `definition`"),
        "{status} {said}"
    );
    shop.put("o1", "a");
    shop.took("o1", 1).await;
    assert!(shop.told().await.is_empty());
    shop.running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_process_that_cannot_do_it_goes_on_with_what_it_did_and_leaves_what_it_does_not_know_to_others() {
    let mut shop = Shop::open("").await;
    // The one that answers has the secret of the new sink, the other has not.
    let secret = ("WEIR_SINK_OTHER_SECRET", "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD");
    let able = shop.weir.run_with(&[secret]);
    std::mem::replace(&mut shop.running, able).stop().await;
    shop.weir.answers().await;
    let unable = shop.weir.run_beside("unable");
    eventually("both work", async || {
        let listed = shop.weir.command(&["leases", "ls"]).await.stdout;
        (listed.lines().count() == 2).then_some(())
    })
    .await;
    let file = std::fs::read_to_string(shop.weir.path("weir.toml")).unwrap();
    let url = shop.receiver.endpoint();
    let other =
        format!("[sink.other]\ntype = \"webhook\"\nurl = \"{url}/other\"\nallow_networks = [\"127.0.0.0/8\"]\n");
    let config = file.replace("sinks = [\"hook\"]", "sinks = [\"hook\", \"other\"]\npartitions = 4");
    shop.weir.write("weir.toml", &format!("{config}{other}"));
    let applied = shop.weir.command(&["apply"]).await;
    assert_eq!(applied.code, Some(1), "{applied:?}");
    assert!(
        applied
            .stderr
            .contains("cannot do it: [sink.other] cannot be used: there is no WEIR_SINK_OTHER_SECRET"),
        "{applied:?}"
    );
    shop.shows(&["leases", "ls"], "CANNOT DO configuration 1: [sink.other]")
        .await;
    // Also when it starts again, with the file that it had, it records, and undoes nothing.
    shop.weir.write("weir.toml", &file);
    unable.stop().await;
    let unable = shop.weir.run_beside("unable");
    shop.shows(&["leases", "ls"], "CANNOT DO configuration 1: [sink.other]")
        .await;
    for number in 0..20 {
        shop.put(&format!("o{number}"), "a");
    }
    // Each of them at both sinks: nothing was given up for want of a sink.
    for number in 0..20 {
        shop.took(&format!("o{number}"), 2).await;
    }
    let letters = shop.weir.command(&["dlq", "ls"]).await.stdout;
    assert!(letters.contains("no dead letters"), "{letters}");
    let routes = shop.weir.command(&["route", "ls"]).await.stdout;
    assert!(routes.starts_with("all  version 2 "), "{routes}");
    // Once its secret is there it does what counts, without being told again.
    shop.weir.write("other.secret", secret.1);
    eventually("both do what counts", async || {
        let listed = shop.weir.command(&["leases", "ls"]).await.stdout;
        (listed.matches("configuration 1\n").count() == 2 && !listed.contains("CANNOT DO")).then_some(())
    })
    .await;
    shop.put("once-more", "b");
    shop.took("once-more", 2).await;
    let listed = shop.weir.command(&["leases", "ls"]).await.stdout;
    assert!(!listed.contains("CANNOT DO"), "{listed}");
    unable.stop().await;
    shop.running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn plugins_that_are_files_come_along_and_are_named_by_their_digest() {
    let shop = Shop::open("").await;
    let plugin = component("shop");
    let route = format!(
        "[sink.file]\ntype = \"log\"\nfile = \"notes.jsonl\"\n[route.notes]\nsource = \"shop\"\nsinks = [\"file\"]\nplugin = \"{}\"\n",
        plugin.display()
    );
    shop.configure(&route);
    let applied = shop.weir.command(&["apply"]).await;
    assert!(applied.stdout.ends_with("every process does it\n"), "{applied:?}");
    let shown = shop.weir.command(&["apply", "--show"]).await.stdout;
    assert!(shown.contains("plugin = \"sha256:"), "{shown}");
    let listed = shop.weir.command(&["plugin", "list"]).await.stdout;
    assert!(listed.contains("on notes"), "{listed}");
    shop.running.stop().await;
}
