//! Plugins that are pushed to a Weir that runs, promoted on its route and rolled back.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::collections::HashMap;
use std::io::Cursor;

use aws_sdk_dynamodb::types::AttributeValue;
use minisign::KeyPair;
use serde_json::Value;
use weir_dev::{DynamoDbStorage, LocalDynamoDb};
use weir_evidence::EntryKind;
use weir_tests::{Answer, Bus, Dice, Weir, WeirProcess, component, eventually};

const TABLE: &str = "registry-orders";

/// A route `all` without a plugin, and what is around it.
struct World {
    dynamodb: LocalDynamoDb,
    bus: Bus,
    weir: Weir,
}

impl World {
    async fn new(more: &str) -> Self {
        let dynamodb = LocalDynamoDb::start(0, DynamoDbStorage::Memory).await.unwrap();
        dynamodb.ensure_table(TABLE, "id").await.unwrap();
        let bus = Bus::start().await;
        let weir = Weir::configure(&format!(
            "{}[source.shop]\ntable = \"{TABLE}\"\nendpoint = \"{}\"\ntest_credentials = true\n\
             [route.all]\nsource = \"shop\"\nsinks = [\"bus\"]\n{more}",
            bus.sink(),
            dynamodb.endpoint(),
        ));
        Self { dynamodb, bus, weir }
    }

    async fn running(&self) -> WeirProcess {
        let running = self.weir.run(None);
        self.weir.answers().await;
        running
    }

    async fn put(&self, id: &str, poison: Option<&str>) {
        let mut put = self.dynamodb.client().put_item().table_name(TABLE);
        put = put.item("id", AttributeValue::S(id.to_owned()));
        if let Some(poison) = poison {
            put = put.item("poison", AttributeValue::S(poison.to_owned()));
        }
        put.send().await.unwrap();
    }

    async fn plugin(&self, arguments: &[&str]) -> Answer {
        let arguments: Vec<&str> = ["plugin"].iter().chain(arguments).copied().collect();
        self.weir.command(&arguments).await
    }

    /// Runs a command that has to work, and reads what it says in JSON.
    async fn plugin_json(&self, arguments: &[&str]) -> Value {
        let arguments: Vec<&str> = arguments.iter().chain(&["--json"]).copied().collect();
        let answer = self.plugin(&arguments).await;
        assert_eq!(answer.code, Some(0), "{answer:?}");
        serde_json::from_str(&answer.stdout).unwrap()
    }

    /// Runs a command that has to be refused, and tells why it was.
    async fn refused(&self, arguments: &[&str]) -> String {
        let answer = self.plugin(arguments).await;
        assert_eq!(answer.code, Some(1), "{answer:?}");
        answer.stderr
    }

    /// Another build of `poison.wasm`, which does the same. Its file.
    fn build(&self, number: u8) -> String {
        let mut bytes = std::fs::read(component("poison")).unwrap();
        // A custom section of this name: id, size, length of the name, name (component model, Binary.md).
        bytes.extend([0, 2, 1, b'a' + number]);
        let file = self.weir.path(&format!("poison-{number}.wasm"));
        std::fs::write(&file, bytes).unwrap();
        file.display().to_string()
    }

    /// Pushes that build, and tells its digest.
    async fn push(&self, number: u8) -> String {
        let pushed = self.plugin_json(&["push", &self.build(number)]).await;
        pushed["digest"].as_str().unwrap().to_owned()
    }

    /// What the ledger has of plugins: `plugin-promoted 2`, with the number of the route's version if it is about one.
    async fn steps(&self) -> Vec<String> {
        let entries = self.weir.entries().await;
        let steps = entries.iter().filter_map(|entry| match &entry.entry.kind {
            EntryKind::Lifecycle { what, detail, .. } => {
                let detail: Value = serde_json::from_str(detail).unwrap();
                // The version of an uploaded plugin is a text.
                Some(match detail["version"].as_u64() {
                    Some(version) => format!("{what} {version}"),
                    None => what.clone(),
                })
            }
            _ => None,
        });
        steps.collect()
    }
}

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
        ["plugin-uploaded", "plugin-promoted 2", "plugin-rolled-back 4"]
    );
    let verified = world.weir.command(&["verify"]).await;
    assert_eq!(verified.code, Some(0), "{verified:?}");
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_version_of_a_route_looks_up_in_the_table_that_it_began_with() {
    let world = World::new("").await;
    let running = world.running().await;
    let plugin = component("segments").display().to_string();
    world.plugin_json(&["push", &plugin]).await;
    expect_test::expect![[r#"
        weir: the plugin looks up in the table customers, which is not there: `weir lookup push NAME FILE` uploads one
    "#]]
    .assert_eq(&world.refused(&["promote", "segments", "--grant"]).await);

    let upload = async |text: &str| {
        world.weir.write("customers.json", text);
        let file = world.weir.path("customers.json").display().to_string();
        world.weir.command(&["lookup", "push", "customers", &file]).await
    };
    let refused = upload("[]").await;
    assert_eq!(refused.code, Some(1), "{refused:?}");
    assert!(
        refused.stderr.contains("a lookup table is a JSON object"),
        "{refused:?}"
    );
    for _ in 0..2 {
        let pushed = upload(r#"{"c-1": {"segment": "new"}}"#).await;
        assert_eq!(pushed.code, Some(0), "{pushed:?}");
    }
    world.plugin_json(&["promote", "segments", "--grant"]).await;

    let order = async |id: &str, customer: &str| {
        let put = world.dynamodb.client().put_item().table_name(TABLE);
        let put = put.item("id", AttributeValue::S(id.to_owned()));
        put.item("customer", AttributeValue::S(customer.to_owned()))
            .send()
            .await
            .unwrap();
    };
    let segments = async |count: usize| {
        eventually("deliveries", async || (world.bus.deliveries() >= count).then_some(())).await;
        let received = world.bus.received();
        let segments = received
            .iter()
            .map(|event| event.detail["segment"].as_str().unwrap().to_owned());
        segments.collect::<Vec<_>>()
    };
    order("o-1", "c-2").await;
    order("o-2", "c-1").await;
    assert_eq!(segments(1).await, ["new"]);
    // What is uploaded is used by the next version, not by this one.
    upload(r#"{"c-1": {"segment": "vip"}, "c-2": {"segment": "lost"}}"#).await;
    order("o-3", "c-1").await;
    assert_eq!(segments(2).await, ["new", "new"]);
    world.plugin_json(&["promote", "segments"]).await;
    order("o-4", "c-2").await;
    assert_eq!(segments(3).await, ["new", "new", "lost"]);
    // The table goes back with the plugin.
    world.plugin_json(&["rollback"]).await;
    order("o-5", "c-1").await;
    assert_eq!(segments(4).await, ["new", "new", "lost", "new"]);
    let steps = world.steps().await;
    let expected = [
        "plugin-uploaded",
        "lookup-uploaded",
        "plugin-promoted 2",
        "lookup-uploaded",
        "plugin-promoted 3",
        "plugin-rolled-back 4",
    ];
    assert_eq!(steps, expected);
    running.stop().await;
}

/// Whoever leads next runs it without compiling it first.
#[tokio::test(flavor = "multi_thread")]
async fn what_is_uploaded_to_one_process_is_compiled_by_all_and_run_by_the_next_that_leads() {
    let world = World::new("[plugins]\ncompiled = \"compiled/main\"\n").await;
    let first = world.running().await;
    let second = world.weir.run_beside("second");
    let digest = world.push(0).await;
    world.plugin_json(&["promote", &digest, "--grant"]).await;
    let compiled = |name: &str| {
        let files = std::fs::read_dir(world.weir.path(&format!("compiled/{name}")));
        files.map_or(0, |files| {
            files
                .filter(|file| {
                    file.as_ref()
                        .unwrap()
                        .path()
                        .extension()
                        .is_some_and(|ending| ending == "cwasm")
                })
                .count()
        })
    };
    eventually("the other process compiles it", async || {
        (compiled("second") == 1).then_some(())
    })
    .await;
    assert_eq!(compiled("main"), 1);
    first.kill().await;
    world.put("order-1", None).await;
    eventually("a delivery by the other", async || {
        (world.bus.deliveries() >= 1).then_some(())
    })
    .await;
    assert_eq!(world.bus.received()[0].detail["plugin"], *digest);
    second.stop().await;
}

/// Machine code cannot be checked, so what is not ours is never run.
#[tokio::test(flavor = "multi_thread")]
async fn a_compiled_plugin_that_was_tampered_with_is_thrown_away_and_compiled_again() {
    let world = World::new("").await;
    let running = world.running().await;
    world.push(0).await;
    world.plugin_json(&["promote", "poison", "--grant"]).await;
    running.stop().await;
    let folder = world.weir.path("weir.plugins");
    let kept = || std::fs::read_dir(&folder).unwrap().map(|file| file.unwrap().path());
    assert_eq!(kept().count(), 1);
    let file = kept().next().unwrap();
    let whole = std::fs::read(&file).unwrap();
    let mut tampered = whole.clone();
    tampered[whole.len() / 2] ^= 1;
    std::fs::write(&file, &tampered).unwrap();

    let running = world.running().await;
    world.put("order-1", None).await;
    eventually("a delivery", async || (world.bus.deliveries() >= 1).then_some(())).await;
    let log = running.log();
    assert!(
        log.contains("this compiled plugin is not what was written here"),
        "{log}"
    );
    assert_eq!(std::fs::read(&file).unwrap(), whole);
    running.stop().await;
}

/// What `weir run` compiles plugins with: it reads a component and answers machine code, or says what is wrong.
#[tokio::test]
async fn a_plugin_is_compiled_in_a_process_of_its_own() {
    let compile = async |component: &[u8]| {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("component");
        std::fs::write(&file, component).unwrap();
        let mut command = weir_tests::binary(folder.path(), &["compile-for-parent"]);
        command.stdin(std::fs::File::open(&file).unwrap());
        let output = command.output().await.unwrap();
        (
            output.status.code(),
            output.stdout.len(),
            String::from_utf8(output.stderr).unwrap(),
        )
    };
    let whole = std::fs::read(component("shop")).unwrap();
    let (code, bytes, message) = compile(&whole).await;
    assert_eq!((code, message.as_str()), (Some(0), ""));
    assert!(bytes > whole.len(), "{bytes}");
    let (code, bytes, message) = compile(&whole[..whole.len() / 2]).await;
    assert_eq!((code, bytes), (Some(3), 0), "{message}");
    assert!(message.contains("out of bounds"), "{message}");
}

#[tokio::test(flavor = "multi_thread")]
async fn where_keys_are_trusted_only_what_they_signed_is_taken() {
    let (ours, theirs) = (key(), key());
    let trusted = ours.pk.to_base64();
    let world = World::new(&format!("[plugins]\ntrusted_keys = [\"{trusted}\"]\n")).await;
    let running = world.running().await;
    let file = world.build(0);
    let other = std::fs::read(world.build(1)).unwrap();
    let bytes = std::fs::read(&file).unwrap();
    let refusals = [
        (None, "only signed plugins are taken here"),
        (
            Some(sign(&theirs, &bytes)),
            "no trusted key made this signature of this component",
        ),
        (
            Some(sign(&ours, &other)),
            "no trusted key made this signature of this component",
        ),
        (Some("RWQ".to_owned()), "the signature cannot be read"),
    ];
    for (signature, why) in refusals {
        if let Some(signature) = signature {
            std::fs::write(format!("{file}.minisig"), signature).unwrap();
        }
        let refused = world.refused(&["push", &file]).await;
        assert!(refused.contains(why), "{refused}");
    }
    assert_eq!(world.plugin_json(&["list"]).await["plugins"], Value::Array(Vec::new()));
    std::fs::write(format!("{file}.minisig"), sign(&ours, &bytes)).unwrap();
    assert_eq!(world.plugin_json(&["push", &file]).await["signer"], *trusted);
    running.stop().await;
}

fn key() -> KeyPair {
    KeyPair::generate_unencrypted_keypair().unwrap()
}

fn sign(key: &KeyPair, bytes: &[u8]) -> String {
    let signed = minisign::sign(Some(&key.pk), &key.sk, Cursor::new(bytes), None, None);
    signed.unwrap().into_string()
}
