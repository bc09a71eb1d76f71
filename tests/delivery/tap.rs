//! Looking on while changes are recorded, and making cases of them.

use std::process::Stdio;
use std::time::Duration;

use serde_json::Value;
use tokio::io::{AsyncBufReadExt as _, BufReader};
use weir_tests::{Answer, component, eventually};

use crate::shop::Shop;

async fn tap(shop: &Shop, more: &[&str]) -> Answer {
    shop.weir.command(&[&["tap"], more].concat()).await
}

#[tokio::test(flavor = "multi_thread")]
async fn looking_on_ends_when_nobody_reads_what_is_seen() {
    let shop = Shop::open("").await;
    shop.put("o1", "a");
    let mut command = shop.weir.prepare(&["tap", "--from", "0", "--json"]);
    let mut looking = command.stdout(Stdio::piped()).kill_on_drop(true).spawn().unwrap();
    let mut lines = BufReader::new(looking.stdout.take().unwrap()).lines();
    assert!(
        lines
            .next_line()
            .await
            .unwrap()
            .is_some_and(|line| line.contains("orders.insert"))
    );
    drop(lines);
    let mut more = 0;
    eventually("it ends", async || {
        shop.put("o1", &format!("{more}"));
        more += 1;
        looking.try_wait().unwrap()
    })
    .await;
    shop.running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_looks_on_sees_what_a_route_makes_of_changes_and_no_value_that_was_not_asked_for() {
    let shop = Shop::open("template = '{\"note\": <$.detail.new.note>, \"by\": \"weir\"}'").await;
    let changes = async {
        for (note, count) in [("confidential", 1), ("private", 2)] {
            shop.put("o1", note);
            eventually("it is delivered", async || {
                (shop.receiver.hooks().len() >= count).then_some(())
            })
            .await;
        }
    };
    let (answer, ()) = tokio::join!(tap(&shop, &["all", "--from", "0", "--count", "2"]), changes);
    assert_eq!(answer.code, Some(0), "{answer:?}");
    let said = answer.stdout;
    for line in [
        "  orders.insert  by nobody known (unknown)\n",
        "  orders.modify  by nobody known (unknown)\n",
        "    keys  {\"id\":\"<text>\"}\n",
        "    new   {\"id\":\"<text>\",\"note\":\"<text>\"}\n",
        "    sent to hook  orders.modify  {\"by\":\"<text>\",\"note\":\"<text>\"}\n",
    ] {
        assert!(said.contains(line), "{line:?} is missing in {said}");
    }
    assert!(
        !said.contains("confidential") && !said.contains("private") && !said.contains("o1"),
        "{said}"
    );

    let shown = tap(&shop, &["all", "--from", "0", "--count", "2", "--show", "/new/note"])
        .await
        .stdout;
    assert!(
        shown.contains("\"note\":\"confidential\"") && !shown.contains("o1"),
        "{shown}"
    );
    let all = tap(&shop, &["--from", "0", "--count", "2", "--values", "--json"])
        .await
        .stdout;
    let lines: Vec<Value> = all.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let notes: Vec<_> = lines
        .iter()
        .map(|line| &line["event"]["detail"]["new"]["note"])
        .collect();
    assert_eq!(notes, ["confidential", "private"]);
    shop.running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tap_begins_with_what_is_recorded_from_now_on_and_a_pattern_says_what_of_it() {
    let shop = Shop::open("").await;
    shop.put("before", "x");
    shop.took("before", 1).await;
    shop.weir
        .write("some.json", "{\"detail\": {\"keys\": {\"id\": [\"wanted\"]}}}");
    let pattern = shop.weir.path("some.json");
    let arguments = [
        "--count",
        "1",
        "--values",
        "--json",
        "--pattern",
        pattern.to_str().unwrap(),
    ];
    let mut changes = tokio::time::interval(Duration::from_millis(100));
    let come = async {
        // When it begins is not told, so changes come until it has one.
        loop {
            shop.put("other", "x");
            shop.put("wanted", "x");
            changes.tick().await;
        }
    };
    let answer = tokio::select! {
        answer = tap(&shop, &arguments) => answer,
        () = come => unreachable!("they come for ever"),
    };
    let change: Value = serde_json::from_str(&answer.stdout).unwrap();
    assert_eq!(change["event"]["detail"]["keys"]["id"], "wanted");
    assert_eq!(change["sent"], Value::Null, "no route was asked about");
    shop.running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_recorded_of_a_tap_is_a_case_without_values() {
    let shop = Shop::open("pattern = '{\"detail\": {\"new\": {\"note\": [\"urgent\"]}}}'").await;
    shop.put("o1", "urgent");
    shop.took("o1", 1).await;
    let file = shop.weir.path("cases.toml");
    let record = ["all", "--from", "0", "--count", "1", "--record", file.to_str().unwrap()];
    let answer = tap(&shop, &record).await;
    assert!(
        answer.stderr.contains("--show it"),
        "the stand-in is not urgent: {answer:?}"
    );
    std::fs::remove_file(&file).unwrap();
    tap(&shop, &[&record[..], &["--show", "/new/note"]].concat()).await;

    let cases = std::fs::read_to_string(&file).unwrap();
    assert!(cases.contains("urgent") && !cases.contains("o1"), "{cases}");
    let config = std::fs::read_to_string(shop.weir.path("weir.toml")).unwrap();
    shop.weir.write("weir.toml", &format!("{config}\n{cases}"));
    let tested = shop.weir.command(&["test"]).await;
    assert_eq!(tested.code, Some(0), "{tested:?}");
    assert!(tested.stdout.contains("orders.insert"), "{tested:?}");
    let otherwise = cases.replace("urgent", "later");
    shop.weir.write("weir.toml", &format!("{config}\n{otherwise}"));
    assert_eq!(shop.weir.command(&["test"]).await.code, Some(1));
    shop.running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_plugin_fails_on_is_seen_and_looking_on_goes_past_it() {
    let plugin = format!("plugin = \"{}\"\nfailure = \"halt\"", component("poison").display());
    let shop = Shop::open(&plugin).await;
    let poisoned = weir_simulator::item("o1", &[("poison", serde_json::json!({ "S": "trap" }))]);
    shop.simulator.put("orders", poisoned).unwrap();
    shop.put("o2", "x");
    let file = shop.weir.path("cases.toml");
    let record = ["all", "--from", "0", "--count", "2", "--show", "/new/poison"];
    let record = [&record[..], &["--record", file.to_str().unwrap()]].concat();
    let said = tap(&shop, &record).await.stdout;
    assert!(
        said.contains("    dead letter  plugin-trap\n") && said.contains("    sent to hook  "),
        "{said}"
    );
    let cases = std::fs::read_to_string(&file).unwrap();
    assert!(cases.contains("halts = \"plugin-trap\""), "{cases}");
    let config = std::fs::read_to_string(shop.weir.path("weir.toml")).unwrap();
    shop.weir.write("weir.toml", &format!("{config}\n{cases}"));
    let tested = shop.weir.command(&["test"]).await;
    assert_eq!(tested.code, Some(0), "{tested:?}");
    shop.running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_route_is_looked_at_from_where_it_begins() {
    let shop = Shop::open("").await;
    shop.put("before", "x");
    shop.took("before", 1).await;
    let late = "\n[route.late]\nsource = \"shop\"\nsinks = [\"hook\"]\n";
    let shop = shop.restarted(|config| config + late).await;
    shop.put("behind", "x");
    let answer = tap(&shop, &["late", "--from", "0", "--count", "1", "--show", "/keys"]).await;
    assert!(answer.stdout.contains("{\"id\":\"behind\"}"), "{answer:?}");
    shop.running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_looked_at_is_said() {
    let shop = Shop::open("").await;
    shop.weir.write("none.json", "{\"detail\": 7}");
    let pattern = shop.weir.path("none.json");
    for (arguments, said) in [
        (
            vec!["nobody"],
            "no route is called \"nobody\"; `weir route ls` lists those there are",
        ),
        (
            vec!["--show", "new.note"],
            "\"new.note\" is no path into `detail`: write it like /new/status",
        ),
        (
            vec!["--pattern", pattern.to_str().unwrap()],
            "the pattern cannot be read: ",
        ),
        (
            vec!["--from", "18446744073709551615"],
            "begin at a position as `weir history` shows it",
        ),
    ] {
        let answer = tap(&shop, &arguments).await;
        assert_eq!(answer.code, Some(1), "{answer:?}");
        assert!(answer.stderr.contains(said), "{answer:?}");
    }
    shop.running.stop().await;
}
