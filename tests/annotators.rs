//! A plugin at intake: what it redacts is nowhere, what it fails on is withheld, and what is annotated again is told in order,
//! once, under the ids that it always had.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use aws_sdk_dynamodb::types::AttributeValue;
use expect_test::expect;
use serde_json::Value;
use weir_dev::{DynamoDbStorage, LocalDynamoDb};
use weir_evidence::EntryKind;
use weir_tests::{Answer, Bus, Weir, WeirProcess, component, eventually};

const TABLE: &str = "annotated-orders";

/// What nobody may see: parts of it stand in every order.
const SECRETS: [&str; 3] = ["ada-lovelace", "ring-twice", "DE02120300000000202051"];

/// A source whose changes `privacy.wasm` annotates, and a route that sends what may be seen.
struct World {
    dynamodb: LocalDynamoDb,
    bus: Bus,
    weir: Weir,
}

impl World {
    async fn new() -> Self {
        let dynamodb = LocalDynamoDb::start(0, DynamoDbStorage::Memory).await.unwrap();
        dynamodb.ensure_table(TABLE, "id").await.unwrap();
        let bus = Bus::start().await;
        let weir = Weir::configure(&format!(
            "{}[source.shop]\ntable = \"{TABLE}\"\nendpoint = \"{}\"\ntest_credentials = true\n\
             actor = {{ attribute = \"updated_by\" }}\nannotator = \"{}\"\nannotator_config = {{ states = [\"placed\"] }}\n\
             [route.all]\nsource = \"shop\"\nsinks = [\"bus\"]\n",
            bus.sink(),
            dynamodb.endpoint(),
            component("privacy").display(),
        ));
        let world = Self { dynamodb, bus, weir };
        let key = world
            .weir
            .command(&["withheld", "new-key", "withheld.key", "--json"])
            .await;
        let key: Value = serde_json::from_str(&key.stdout).unwrap();
        let withhold_to = format!("withhold_to = {}\n[api]", key["withhold_to"]);
        world.configure("[api]", &withhold_to);
        world
    }

    /// Replaces something in the configuration.
    fn configure(&self, text: &str, by: &str) {
        let config = std::fs::read_to_string(self.weir.path("weir.toml")).unwrap();
        assert!(config.contains(text), "{config}");
        self.weir.write("weir.toml", &config.replacen(text, by, 1));
    }

    async fn running(&self, fault: Option<&str>) -> WeirProcess {
        let running = self.weir.run(fault);
        self.weir.answers().await;
        running
    }

    /// Writes an order in a state.
    async fn put(&self, id: &str, state: &str, at: u32) {
        let text = |text: &str| AttributeValue::S(text.to_owned());
        let [customer, note, iban] = SECRETS;
        let put = self.dynamodb.client().put_item().table_name(TABLE);
        put.item("id", text(id))
            .item("status", text(state))
            .item("customer", text(customer))
            .item("note", text(note))
            .item("iban", text(if state == "refunded" { iban } else { "-" }))
            .item("updated_by", text("maria"))
            .item("updated_at", AttributeValue::N(at.to_string()))
            .send()
            .await
            .unwrap();
    }

    /// What arrived of an item: its states.
    fn states(&self, id: &str) -> Vec<String> {
        let received = self.bus.received().into_iter();
        let of_item = received.filter(|event| event.detail["keys"]["id"] == id);
        of_item
            .map(|event| event.detail["new"]["status"].as_str().unwrap().to_owned())
            .collect()
    }

    async fn delivered(&self, count: usize) {
        eventually("deliveries", async || (self.bus.deliveries() >= count).then_some(())).await;
    }

    async fn withheld(&self, arguments: &[&str]) -> Answer {
        let arguments: Vec<&str> = ["withheld"].iter().chain(arguments).copied().collect();
        self.weir.command(&arguments).await
    }

    /// The codes of what is withheld, by position.
    async fn withheld_codes(&self) -> Vec<String> {
        let listed = self.withheld(&["list", "--json"]).await;
        let listed: Value = serde_json::from_str(&listed.stdout).unwrap();
        let changes = listed["changes"].as_array().unwrap().iter();
        changes
            .map(|change| change["code"].as_str().unwrap().to_owned())
            .collect()
    }

    /// The configuration under which nothing fails any more, and the process that has it.
    async fn mended(&self, running: WeirProcess, fault: Option<&str>) -> WeirProcess {
        running.stop().await;
        self.configure("states = [\"placed\"]", "states = [\"placed\", \"refunded\"]");
        self.running(fault).await
    }

    /// Everything that anybody but the holder of the key can read: bodies with the ledger's secret, events, the log.
    async fn all_that_can_be_read(&self, running: &WeirProcess) -> String {
        let entries = self.weir.entries().await;
        let bodies: Vec<String> = entries
            .iter()
            .map(|entry| {
                format!(
                    "{} {}",
                    String::from_utf8_lossy(&entry.bytes),
                    serde_json::to_string(&entry.body).unwrap()
                )
            })
            .collect();
        let events: Vec<String> = self
            .bus
            .received()
            .iter()
            .map(|event| event.detail.to_string())
            .collect();
        [bodies.join("\n"), events.join("\n"), running.log()].join("\n")
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_redacted_or_withheld_can_be_read_nowhere() {
    let world = World::new().await;
    let running = world.running(None).await;
    world.put("o-1", "placed", 1).await;
    world.put("o-2", "refunded", 1).await;
    world.put("o-2", "placed", 2).await;
    world.put("o-1", "placed", 2).await;
    world.delivered(2).await;
    eventually("two are withheld", async || {
        (world.withheld_codes().await.len() == 2).then_some(())
    })
    .await;
    assert_eq!(world.withheld_codes().await, ["plugin-error", "behind-withheld"]);
    assert!(world.states("o-2").is_empty());

    let read = world.all_that_can_be_read(&running).await;
    for secret in SECRETS {
        assert!(!read.contains(secret), "{secret} can be read");
    }
    let event = world.bus.received().remove(0).detail;
    assert_eq!(event["actor"], "clerk/maria");
    assert_eq!(event["assurance"], "claimed");
    assert_eq!(event["new"]["note"], "***");
    let customer = event["new"]["customer"].as_str().unwrap();
    assert!(customer.starts_with("hash:") && customer.len() == 46, "{customer}");
    let other = world.bus.received().remove(1).detail;
    assert_eq!(other["new"]["customer"], customer);
    assert_eq!(other["changed"], serde_json::json!(["updated_at"]));
    assert_eq!(world.weir.command(&["verify"]).await.code, Some(0));

    // Before the first change stands what annotated it, under the digest that the entries have.
    let entries = world.weir.entries().await;
    let EntryKind::Lifecycle { what, detail, .. } = &entries[0].entry.kind else {
        panic!("{:?}", entries[0].entry.kind)
    };
    let detail: Value = serde_json::from_str(detail).unwrap();
    assert_eq!(what, "annotator-configured");
    let privacy = component("privacy").display().to_string();
    let known = [
        "plugin",
        "check",
        &privacy,
        "--plugin-config",
        r#"{"states": []}"#,
        "--json",
    ];
    let known: Value = serde_json::from_str(&world.weir.command(&known).await.stdout).unwrap();
    assert_eq!(
        known["digest"],
        format!("sha256:{}", detail["plugin"].as_str().unwrap())
    );
    let configs = entries.iter().filter_map(|entry| match &entry.entry.kind {
        EntryKind::Change { config, .. } | EntryKind::Withheld { config, .. } => Some(config.0),
        _ => None,
    });
    let configs: Vec<String> = configs
        .map(|config| config.iter().map(|byte| format!("{byte:02x}")).collect())
        .collect();
    assert_eq!(configs.len(), 4);
    assert!(
        configs.iter().all(|config| detail["config"] == config.as_str()),
        "{configs:?}"
    );
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_withheld_is_told_in_order_under_its_own_ids_once_it_was_annotated_again() {
    let world = World::new().await;
    let running = world.running(None).await;
    world.put("o-1", "refunded", 1).await;
    world.put("o-1", "placed", 2).await;
    world.put("o-2", "placed", 1).await;
    world.delivered(1).await;
    let events: Vec<String> = (world.weir.entries().await.iter())
        .filter_map(|entry| match &entry.entry.kind {
            EntryKind::Withheld { event, .. } => Some(event.as_str().to_owned()),
            _ => None,
        })
        .collect();

    // The key opens what is withheld, where the key is.
    let position = (world.weir.entries().await.iter())
        .find(|entry| entry.entry.kind_name() == "withheld")
        .map(|entry| entry.position.0.to_string())
        .unwrap();
    let shown = world.withheld(&["show", &position, "--key", "withheld.key"]).await;
    assert!(
        shown.stdout.contains(SECRETS[2]) && shown.stdout.contains("plugin-error"),
        "{shown:?}"
    );
    world.withheld(&["new-key", "other.key"]).await;
    let refused = world.withheld(&["show", &position, "--key", "other.key"]).await;
    assert_eq!(refused.code, Some(1), "{refused:?}");
    let refused = world.withheld(&["annotate", "--key", "other.key"]).await;
    assert!(
        refused.stderr.contains("this key does not open what is withheld"),
        "{refused:?}"
    );

    // Under the same configuration, nothing is told.
    let same = world.withheld(&["annotate", "--key", "withheld.key"]).await;
    assert_eq!(same.code, Some(1), "{same:?}");
    assert!(
        same.stdout.starts_with("0 changes are told now, 2 are still withheld"),
        "{same:?}"
    );

    let running = world.mended(running, None).await;
    world.put("o-1", "placed", 3).await;
    eventually("a third one waits behind", async || {
        (world.withheld_codes().await.len() == 3).then_some(())
    })
    .await;
    let told = world.withheld(&["annotate", "--key", "withheld.key"]).await;
    assert_eq!(
        told.stdout, "3 changes are told now, 0 are still withheld\n",
        "{told:?}"
    );
    world.delivered(4).await;
    world.put("o-1", "placed", 4).await;
    world.delivered(5).await;
    assert_eq!(world.states("o-1"), ["refunded", "placed", "placed", "placed"]);
    let received = world.bus.received();
    let told: Vec<&Value> = (received.iter())
        .filter(|event| event.detail["keys"]["id"] == "o-1")
        .map(|event| &event.detail["id"])
        .collect();
    assert_eq!(told[..2], events.iter().collect::<Vec<_>>());
    assert_eq!(received.len(), 5);

    // Their first bodies go, by an order that stands in the ledger.
    eventually("the first bodies are gone", async || {
        let entries = world.weir.entries().await;
        let gone = entries.iter().filter(|entry| entry.is_erased).count();
        (gone == 3).then_some(())
    })
    .await;
    let verified = world.weir.command(&["verify"]).await;
    assert_eq!(verified.code, Some(0), "{verified:?}");
    let history = world.weir.command(&["history", TABLE, "o-1"]).await;
    assert!(
        history.stdout.contains("clerk/maria (claimed)") && history.stdout.contains("# class: personal"),
        "{history:?}"
    );
    // An auditor proves it without any database, also with what was told shown.
    let head = eventually("the head is signed", async || {
        let head = world.weir.head().await;
        (head["published"]["size"] == head["size"]).then_some(head)
    })
    .await;
    let key = head["published"]["keys"][0].as_str().unwrap();
    for command in [
        &["export", "--show", "/new", "--show", "/tags", "--out", "b"][..],
        &["verify", "b", "--key", key],
    ] {
        let answer = world.weir.command(command).await;
        assert_eq!(answer.code, Some(0), "{answer:?}");
    }
    let read = world.all_that_can_be_read(&running).await;
    assert!(!read.contains(SECRETS[0]) && !read.contains(SECRETS[1]));
    running.stop().await;
}

/// Killed before the amendments are written, or right after that: they are told once.
#[tokio::test(flavor = "multi_thread")]
async fn annotating_again_is_safe_to_repeat_whenever_it_was_killed() {
    for (fault, told) in [("before-amend:1", 2), ("after-amend:1", 0)] {
        let world = World::new().await;
        let running = world.running(None).await;
        world.put("o-1", "refunded", 1).await;
        world.put("o-1", "placed", 2).await;
        eventually("two are withheld", async || {
            (world.withheld_codes().await.len() == 2).then_some(())
        })
        .await;
        let mut killed = world.mended(running, Some(fault)).await;
        let cut = world.withheld(&["annotate", "--key", "withheld.key"]).await;
        assert_eq!(cut.code, Some(1), "{cut:?}");
        killed.ended().await;
        let running = world.running(None).await;
        let again = world.withheld(&["annotate", "--key", "withheld.key"]).await;
        let expected = format!("{told} changes are told now, 0 are still withheld\n");
        assert_eq!(again.stdout, expected, "{fault}: {again:?}");
        world.delivered(2).await;
        assert_eq!(world.states("o-1"), ["refunded", "placed"], "{fault}");
        assert_eq!(world.weir.command(&["verify"]).await.code, Some(0), "{fault}");
        running.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_plugin_is_not_taken_away_while_something_is_withheld() {
    let world = World::new().await;
    let running = world.running(None).await;
    world.put("o-1", "refunded", 1).await;
    eventually("one is withheld", async || {
        (world.withheld_codes().await.len() == 1).then_some(())
    })
    .await;
    running.stop().await;
    let with = std::fs::read_to_string(world.weir.path("weir.toml")).unwrap();
    let without: Vec<&str> = with.lines().filter(|line| !line.starts_with("annotator")).collect();
    world.weir.write("weir.toml", &without.join("\n"));
    let refused = world.weir.command(&["run"]).await;
    assert_eq!(refused.code, Some(1), "{refused:?}");
    assert!(
        refused
            .stderr
            .contains("1 changes are withheld: give it the plugin back"),
        "{refused:?}"
    );
    world
        .weir
        .write("weir.toml", &with.replace("[\"placed\"]", "[\"placed\", \"refunded\"]"));
    let running = world.running(None).await;
    world.withheld(&["annotate", "--key", "withheld.key"]).await;
    world.delivered(1).await;
    running.stop().await;
    world.weir.write("weir.toml", &without.join("\n"));
    let running = world.running(None).await;
    world.put("o-1", "paid", 2).await;
    world.delivered(2).await;
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_plugin_that_cannot_annotate_is_refused_before_anything_is_recorded() {
    let world = World::new().await;
    let privacy = component("privacy").display().to_string();
    let said = async || {
        let answer = world.weir.command(&["run", "--migrate"]).await;
        assert_eq!(answer.code, Some(1), "{answer:?}");
        let line = answer.stderr.lines().last().unwrap_or_default().to_owned();
        line.replace(&privacy, "privacy.wasm")
            .replace(&component("shop").display().to_string(), "shop.wasm")
    };
    world.configure("states = [\"placed\"]", "states = 1");
    expect![[r#"weir: the plugin privacy.wasm of [source.shop] cannot annotate: the plugin does not accept its configuration: /states: invalid type: integer `1`, expected a sequence at line 1 column 11"#]].assert_eq(&said().await);
    world.configure(&privacy, &component("shop").display().to_string());
    world.configure("states = 1", "");
    expect!["weir: the plugin shop.wasm of [source.shop] cannot annotate: this plugin belongs on a route (it exports `routing`): name it as `plugin` of a route"].assert_eq(&said().await);
    let config = std::fs::read_to_string(world.weir.path("weir.toml")).unwrap();
    let without: Vec<&str> = config.lines().filter(|line| !line.starts_with("withhold_to")).collect();
    world.weir.write("weir.toml", &without.join("\n"));
    expect!["weir: the configuration weir.toml cannot be used: [source.shop] has an `annotator`, so it has to be known to whom what it fails on is sealed: make a key with `weir withheld new-key FILE`, and set `withhold_to` under [ledger]"].assert_eq(&said().await);
    let on_a_route = format!("[route.all]\nplugin = \"{privacy}\"\n");
    world
        .weir
        .write("weir.toml", &without.join("\n").replace("[route.all]\n", &on_a_route));
    let lines: Vec<String> = std::fs::read_to_string(world.weir.path("weir.toml"))
        .unwrap()
        .lines()
        .map(str::to_owned)
        .collect();
    let lines: Vec<String> = lines
        .into_iter()
        .filter(|line| !line.starts_with("annotator"))
        .collect();
    world.weir.write("weir.toml", &lines.join("\n"));
    expect!["weir: the plugin privacy.wasm of [route.all] cannot run: this plugin belongs at intake (it exports `annotating`): name it as `annotator` of a source"].assert_eq(&said().await);
    assert!(world.weir.entries().await.is_empty());
}
