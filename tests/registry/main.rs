//! Plugins that are pushed to a Weir that runs, promoted on its route and rolled back.
//!
//! ```text
//! promotions   what is granted, tried and recorded, and nothing lost
//! tables       what plugins look things up in
//! compiled     machine code: who makes it, who keeps it, who touched it
//! signatures   whose plugins are taken
//! failures     what becomes of changes that a plugin fails on
//! ```

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod compiled;
mod failures;
mod promotions;
mod signatures;
mod tables;

use aws_sdk_dynamodb::types::AttributeValue;
use serde_json::Value;
use weir_dev::{DynamoDbStorage, LocalDynamoDb};
use weir_evidence::EntryKind;
use weir_tests::{Answer, Bus, Weir, WeirProcess, component};

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

    /// What the ledger has of plugins and routes: `plugin-promoted 2`, with the number of the route's version if it is about one.
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
