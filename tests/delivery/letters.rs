//! Dead letters: shown, sent again, thrown away.

use serde_json::{Value, json};
use weir_simulator::item;
use weir_tests::{component, eventually};

use crate::shop::Shop;

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
    shop.shows(&["dlq", "ls", "--code", "attempts-exhausted"], "no dead letters")
        .await;
    shop.shows(&["dlq", "ls", "--code", "refused"], first).await;
    let mut pages = Vec::new();
    let mut path = Some("/v1/dead-letters?limit=1".to_owned());
    while let Some(wanted) = path {
        let page: Value = serde_json::from_str(&shop.weir.get_as_operator(&wanted).await.1).unwrap();
        let letters = page["dead_letters"].as_array().unwrap();
        pages.extend(
            letters
                .iter()
                .map(|letter| letter["delivery"].as_str().unwrap().to_owned()),
        );
        path = page["after"]
            .as_str()
            .map(|after| format!("/v1/dead-letters?limit=1&after={after}"));
    }
    assert_eq!(pages, [first, second], "one for each page");
    let (status, refusal) = shop.weir.get_as_operator("/v1/dead-letters?after=nowhere").await;
    assert!(
        (status, refusal.contains("bad-place")) == (400, true),
        "{status} {refusal}"
    );

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
