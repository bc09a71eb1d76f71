//! A shop whose every change goes to a receiver of webhooks.

use serde_json::{Value, json};
use weir_evidence::EntryKind;
use weir_simulator::{Setup, Simulator, TableSetup, item};
use weir_tests::{Answer, Receiver, Weir, WeirProcess, eventually};

/// A running Weir that sends every change of a simulated table to a receiver of webhooks.
pub(crate) struct Shop {
    pub(crate) simulator: Simulator,
    pub(crate) receiver: Receiver,
    pub(crate) weir: Weir,
    pub(crate) running: WeirProcess,
}

impl Shop {
    /// `route` is what more stands in `[route.all]`.
    pub(crate) async fn open(route: &str) -> Self {
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

    /// Stops Weir, and starts it with whatever its configuration says then.
    pub(crate) async fn restarted(self, change: impl FnOnce(String) -> String) -> Self {
        self.running.stop().await;
        let config = std::fs::read_to_string(self.weir.path("weir.toml")).unwrap();
        self.weir.write("weir.toml", &change(config));
        let running = self.weir.run(None);
        self.weir.answers().await;
        Self { running, ..self }
    }

    /// Adds to the configuration file, which a running Weir does not look at.
    pub(crate) fn configure(&self, more: &str) {
        let config = std::fs::read_to_string(self.weir.path("weir.toml")).unwrap();
        self.weir.write("weir.toml", &format!("{config}{more}"));
    }

    pub(crate) fn put(&self, id: &str, note: &str) {
        let note = json!({ "S": note });
        self.simulator.put("orders", item(id, &[("note", note)])).unwrap();
    }

    /// Runs a command until it prints this.
    pub(crate) async fn shows(&self, arguments: &[&str], text: &str) -> Answer {
        eventually(&format!("{arguments:?} shows {text:?}"), async || {
            let answer = self.weir.command(arguments).await;
            answer.stdout.contains(text).then_some(answer)
        })
        .await
    }

    /// Until the receiver took so many events about an item; their notes.
    pub(crate) async fn took(&self, id: &str, count: usize) -> Vec<Value> {
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
    pub(crate) async fn changes(&self) -> Vec<String> {
        let entries = self.weir.entries().await.into_iter();
        let changes = entries.filter(|entry| matches!(entry.entry.kind, EntryKind::Change { .. }));
        changes.map(|entry| entry.position.to_string()).collect()
    }

    /// Entries that say what operators did, in order.
    pub(crate) async fn told(&self) -> Vec<(String, Value)> {
        let entries = self.weir.entries().await.into_iter();
        let told = entries.filter_map(|entry| match entry.entry.kind {
            EntryKind::Lifecycle { what, detail, .. } => {
                Some((what, serde_json::from_str(&detail).unwrap_or_default()))
            }
            _ => None,
        });
        let told = told.filter(|(what, _)| {
            [
                "paused",
                "resumed",
                "redriven",
                "dropped",
                "ordered",
                "cancelled",
                "applied",
            ]
            .iter()
            .any(|end| what.ends_with(end))
        });
        told.collect()
    }
}

pub(crate) const SOON_PARKED: &str = "retry = { first = \"8s\" }";
