//! A simulated table, a ledger, and one route from there to a sink.

use std::collections::BTreeMap;
use std::num::{NonZeroU32, NonZeroUsize};
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use serde_json::{Value, json};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use weir_evidence::EntryKind;
use weir_ledger::{
    ConfiguredRoute, DeadLetter, DeadLetterSelection, FailurePolicy, Replay, ReplayError, RouteDefinition, TokenBytes,
};
use weir_model::Position;
use weir_pipeline::{Activities, Clock, Feed, Gates, RouteError, RouteSettings, RouteTask, SinkSetup, Steps};
use weir_routing::RetrySchedule;
use weir_runtime::{Limits, Runtime};
use weir_simulator::{Setup, TableSetup, item};
use weir_tests::{Site, eventually};

use crate::oracle;
use crate::sink::TestSink;

pub(crate) const TABLE: &str = "orders";

/// The route's name, and its sink's.
pub(crate) const ROUTE: &str = "all";
const SINK: &str = "sink";

pub(crate) struct Stage {
    pub(crate) site: Site,
    pub(crate) sink: TestSink,
    pub(crate) parked_max: usize,
    pub(crate) messages_per_second: Option<NonZeroU32>,
    pub(crate) retry: RetrySchedule,
    runtime: Runtime,
    /// The newest last. Those before it end when they learn that it took over.
    running: Vec<Running>,
}

struct Running {
    steps: Steps,
    stop: CancellationToken,
    task: JoinHandle<Result<(), RouteError>>,
    keeper: JoinHandle<()>,
}

impl Stage {
    /// Nothing is routed yet.
    pub(crate) async fn begin() -> Self {
        let setup = Setup {
            tables: vec![TableSetup {
                shards: 2,
                ..TableSetup::new(TABLE)
            }],
            ..Setup::default()
        };
        let mut site = Site::begin(setup).await;
        let configured = configured(SINK);
        let entered = site.ledger.enter_route_version(ROUTE, &configured, Timestamp::now());
        entered.await.unwrap().unwrap();
        site.add_worker().await;
        Self {
            site,
            sink: TestSink::new(),
            parked_max: 10_000,
            messages_per_second: None,
            retry: RetrySchedule::default(),
            runtime: Runtime::start(Limits::default()).unwrap(),
            running: Vec::new(),
        }
    }

    /// Starts the route, in place of any that runs: that one learns it when it settles next.
    pub(crate) fn start(&mut self) {
        let (clock, steps) = Clock::stepped(Timestamp::now());
        let setup = SinkSetup {
            sink: Arc::new(self.sink.clone()),
            messages_per_second: self.messages_per_second,
        };
        let gates = Arc::new(Gates::new(BTreeMap::from([(SINK.to_owned(), setup)]), clock));
        let settings = RouteSettings {
            name: ROUTE.to_owned(),
            retry: self.retry.clone(),
            parked_max: NonZeroUsize::new(self.parked_max).unwrap(),
        };
        let task = RouteTask::new(
            settings,
            Arc::new(Feed::new(self.site.ledger.clone())),
            self.runtime.clone(),
            Arc::clone(&gates),
            Activities::new(),
        );
        let (stop, ledger) = (CancellationToken::new(), self.site.ledger.clone());
        let stop_keeping = stop.clone();
        self.running.retain(|before| !before.task.is_finished());
        self.running.push(Running {
            steps,
            task: tokio::spawn(task.run(stop.clone())),
            keeper: tokio::spawn(async move { gates.keep(&ledger, &stop_keeping).await }),
            stop,
        });
    }

    /// Ends the route as a kill would: at whatever it is waiting for.
    pub(crate) fn kill(&mut self) {
        for running in self.running.drain(..) {
            running.task.abort();
            running.keeper.abort();
        }
    }

    /// Stops the route as an operator would.
    pub(crate) async fn stop(&mut self) {
        for running in self.running.drain(..) {
            running.stop.cancel();
            running.task.await.unwrap().unwrap();
        }
    }

    pub(crate) fn is_running(&self) -> bool {
        self.running.iter().any(|running| !running.task.is_finished())
    }

    /// Moves the route's clock on.
    pub(crate) fn step(&self, by: Duration) {
        // Which of two that began at the same time took over from which, nobody knows.
        for running in &self.running {
            running.steps.step(by);
        }
    }

    /// Changes an item.
    pub(crate) fn put(&self, id: &str, number: usize) {
        let number = json!({ "N": number.to_string() });
        self.site.simulator.put(TABLE, item(id, &[("number", number)])).unwrap();
    }

    /// Until the sink took so many messages.
    pub(crate) async fn took(&self, messages: usize) {
        let sink = &self.sink;
        eventually("the sink takes them", async || (sink.count() >= messages).then_some(())).await;
    }

    /// Where the first change stands.
    pub(crate) async fn first_change(&mut self) -> Position {
        let entries = self.site.entries().await;
        let change = entries
            .iter()
            .find(|entry| matches!(entry.entry.kind, EntryKind::Change { .. }));
        change.unwrap().position
    }

    /// Deliveries that are parked.
    pub(crate) async fn parked(&self) -> usize {
        let items = self.site.ledger.parked_items(ROUTE).await.unwrap();
        items.iter().map(|item| item.count).sum()
    }

    /// Where the route's cursor stands.
    pub(crate) async fn cursor(&self) -> Position {
        let cursors = self.site.ledger.cursors().await.unwrap();
        let name = format!("route:{ROUTE}");
        cursors
            .iter()
            .find(|cursor| cursor.name == name)
            .map_or(Position(0), |cursor| cursor.next)
    }

    /// Until the cursor stands behind everything and nothing is parked, moving the clock on meanwhile.
    pub(crate) async fn all_done(&mut self) {
        eventually("everything is dealt with", async || {
            self.step(Duration::from_secs(60));
            let end = self.site.ledger.head().await.unwrap().size;
            let redriven = self.site.ledger.ordered_redrives(ROUTE, 1).await.unwrap();
            let is_replaying = self.replaying().await.is_some();
            (self.cursor().await.0 == end && self.parked().await == 0 && redriven.is_empty() && !is_replaying)
                .then_some(())
        })
        .await;
    }

    pub(crate) async fn dead_letters(&self) -> Vec<DeadLetter> {
        self.site.ledger.dead_letters(Some(ROUTE), 10_000).await.unwrap()
    }

    /// Orders everything that the route has passed to be sent once more, unless a replay is under way.
    pub(crate) async fn replay_all(&self) {
        let versions = self.site.ledger.route_versions(ROUTE).await.unwrap();
        self.replay(versions[0].from_position, None, Vec::new()).await;
    }

    /// Orders what the route has passed from a position on to be sent once more: what a version makes of it, of these items.
    pub(crate) async fn replay(&self, next: Position, version: Option<u32>, tokens: Vec<TokenBytes>) {
        let replay = Replay {
            route: ROUTE.to_owned(),
            next,
            until: self.cursor().await,
            version,
            tokens,
            ordered_at: Timestamp::now(),
        };
        if replay.next < replay.until {
            let ordered = self.site.ledger.order_replay(&replay, "as the test says").await;
            // Whoever holds the head for long is disconnected, and may ask again.
            assert!(
                matches!(ordered, Ok(()) | Err(ReplayError::Busy(_) | ReplayError::Database(_))),
                "{ordered:?}"
            );
        }
    }

    /// The replay that is under way.
    pub(crate) async fn replaying(&self) -> Option<Replay> {
        self.site.ledger.replay(ROUTE).await.unwrap()
    }

    /// Orders everything that was given up to be sent again.
    pub(crate) async fn redrive_all(&self) {
        let all = DeadLetterSelection::default();
        let ledger = &self.site.ledger;
        while ledger
            .redrive(&all, "as the test says", Timestamp::now())
            .await
            .unwrap()
            .more
        {}
    }

    /// What is wrong.
    pub(crate) async fn findings(&mut self) -> Vec<String> {
        let dead = self.dead_letters().await;
        let entries = self.site.entries().await;
        oracle::findings(entries, &self.sink.taken(), &dead, &self.sink.refused())
    }
}

/// A route of everything to one sink.
pub(crate) fn configured(sink: &str) -> ConfiguredRoute {
    let definition = RouteDefinition {
        source: "shop".to_owned(),
        pattern: None,
        plugin: None,
        plugin_config: "{}".to_owned(),
        lookups: BTreeMap::new(),
        template: None,
        projection: None,
        sinks: vec![sink.to_owned()],
        failure: FailurePolicy::DeadLetter,
    };
    ConfiguredRoute {
        planned: definition.clone(),
        definition,
        plugin: None,
        granted: Value::Null,
    }
}

/// The item of an event.
pub(crate) fn id(event: &Value) -> &str {
    event["detail"]["keys"]["id"].as_str().unwrap()
}
