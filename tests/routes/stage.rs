//! A simulated table, a ledger, and one route from there to a sink.

use std::collections::BTreeMap;
use std::num::{NonZeroU8, NonZeroU32, NonZeroUsize};
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use serde_json::{Value, json};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use weir_evidence::EntryKind;
use weir_ledger::{
    ConfiguredRoute, DeadLetter, DeadLetterSelection, FailurePolicy, Partition, Replay, ReplayError, RouteDefinition,
    Work,
};
use weir_model::Position;
use weir_pipeline::{
    Activities, Clock, Feed, Gates, Member, RouteError, RouteSettings, Routes, RoutesPace, SinkSetup, Steps,
};
use weir_routing::RetrySchedule;
use weir_runtime::{Limits, Runtime};
use weir_simulator::{Setup, TableSetup, item};
use weir_tests::{Site, eventually, oracle};

use crate::sink::TestSink;

pub(crate) const TABLE: &str = "orders";

/// The route's name, and its sink's.
pub(crate) const ROUTE: &str = "all";
const SINK: &str = "sink";

/// Nothing to wait for, except until a process that was killed is believed to be gone.
const PACE: RoutesPace = RoutesPace {
    round_interval: Duration::from_millis(20),
    left_after: Duration::from_millis(1500),
};

pub(crate) struct Stage {
    pub(crate) site: Site,
    pub(crate) sink: TestSink,
    pub(crate) parked_max: usize,
    pub(crate) messages_per_second: Option<NonZeroU32>,
    pub(crate) retry: RetrySchedule,
    runtime: Runtime,
    /// Its processes, by the worker's name.
    processes: Vec<Process>,
}

/// One that routes.
struct Process {
    steps: Steps,
    stop: CancellationToken,
    routes: JoinHandle<Result<(), RouteError>>,
    keeper: JoinHandle<()>,
    /// Beats until the end of the process; a route may be killed and started under it.
    heart: JoinHandle<()>,
    member: Member,
}

impl Stage {
    /// Nothing is routed yet.
    pub(crate) async fn begin() -> Self {
        Self::with_lease(Duration::from_secs(1)).await
    }

    /// Nothing is routed yet. Who is silent for this long is gone: where nothing may be sent twice, that is longer than a busy machine
    /// may keep anything waiting.
    pub(crate) async fn with_lease(lease_expiry: Duration) -> Self {
        let setup = Setup {
            tables: vec![TableSetup {
                shards: 2,
                ..TableSetup::new(TABLE)
            }],
            ..Setup::default()
        };
        let mut site = Site::with_lease(setup, lease_expiry).await;
        let configured = configured(SINK);
        let entered = site.ledger.enter_route_version(ROUTE, &configured, Timestamp::now());
        entered.await.unwrap().unwrap();
        site.add_worker_of_this_process().await;
        Self {
            site,
            sink: TestSink::new(),
            parked_max: 10_000,
            messages_per_second: None,
            retry: RetrySchedule::default(),
            runtime: Runtime::start(Limits::default()).unwrap(),
            processes: Vec::new(),
        }
    }

    /// Starts a process that routes its share.
    pub(crate) fn start(&mut self) {
        let name = format!("process {}", self.processes.len());
        let heart = self.site.heart(name, vec![Work::Route(ROUTE.to_owned())]);
        let member = heart.member();
        let stop = CancellationToken::new();
        let heart = tokio::spawn(heart.beat(stop.clone()));
        let process = self.process(heart, member, stop);
        self.processes.push(process);
    }

    fn process(&self, heart: JoinHandle<()>, member: Member, stop: CancellationToken) -> Process {
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
        let routes = Routes::new(
            [settings],
            member.clone(),
            Arc::new(Feed::new(self.site.ledger.clone())),
            &self.runtime,
            Arc::clone(&gates),
            Activities::new(),
        );
        let (ledger, keeping, stop_keeping) = (self.site.ledger.clone(), member.clone(), stop.clone());
        Process {
            steps,
            routes: tokio::spawn(routes.at_pace(PACE).run(stop.clone())),
            keeper: tokio::spawn(async move { gates.keep(&ledger, keeping, &stop_keeping).await }),
            heart,
            member,
            stop,
        }
    }

    /// Ends all routes as a kill would, at whatever they are waiting for, and starts them again under the same names: nobody else
    /// has to learn that they are gone.
    pub(crate) fn restart(&mut self) {
        for process in std::mem::take(&mut self.processes) {
            process.routes.abort();
            process.keeper.abort();
            let process = self.process(process.heart, process.member, process.stop);
            self.processes.push(process);
        }
    }

    /// Starts two processes, each with half of eight partitions.
    pub(crate) async fn shared_by_two(&mut self) {
        self.partitioned(8).await;
        self.start();
        self.start();
        self.shared_as(&[4, 4]).await;
    }

    /// Kills a process: the others have what it had once it was silent for a second.
    pub(crate) fn kill(&mut self, index: usize) {
        let process = self.processes.remove(index);
        process.routes.abort();
        process.keeper.abort();
        process.heart.abort();
    }

    /// A process falls silent: nothing that it does reaches Postgres' list of those that are alive. It goes on until it notices.
    pub(crate) fn silence(&mut self, index: usize) {
        self.processes[index].heart.abort();
    }

    /// Keeps the row of a process' heart for so long: no beat of it arrives.
    pub(crate) fn hold_heart_of(&self, process: &str, how_long: Duration) -> JoinHandle<()> {
        let hold = format!(
            "begin; update worker set name = name where name = '{process}'; select pg_sleep({}); commit",
            how_long.as_secs_f64()
        );
        self.site.tamper_meanwhile(hold)
    }

    /// The route has so many partitions from now on.
    pub(crate) async fn partitioned(&self, partitions: u8) {
        let mut configured = configured(SINK);
        configured.definition.partitions = NonZeroU8::new(partitions).unwrap();
        configured.planned = configured.definition.clone();
        let entered = self
            .site
            .ledger
            .enter_route_version(ROUTE, &configured, Timestamp::now());
        entered.await.unwrap().unwrap();
    }

    /// Until the route has as many partitions as these have together, and processes have so many each, the smallest share first.
    pub(crate) async fn shared_as(&self, wanted: &[usize]) {
        eventually(&format!("the route is shared as {wanted:?}"), async || {
            let partitions = self.site.ledger.partitions().await.unwrap();
            let mut shares = BTreeMap::<_, usize>::new();
            for state in partitions.iter().filter(|state| state.partition.route == ROUTE) {
                *shares.entry(state.worker?).or_default() += 1;
            }
            let mut shares: Vec<usize> = shares.into_values().collect();
            shares.sort_unstable();
            (shares == wanted).then_some(())
        })
        .await;
    }

    /// Stops all processes as an operator would.
    pub(crate) async fn stop(&mut self) {
        while !self.processes.is_empty() {
            self.dismiss(0).await;
        }
    }

    /// Stops a process as an operator would.
    pub(crate) async fn dismiss(&mut self, index: usize) {
        let Process {
            stop,
            routes,
            keeper,
            heart,
            member,
            ..
        } = self.processes.remove(index);
        stop.cancel();
        drop(member);
        routes.await.unwrap().unwrap();
        keeper.await.unwrap();
        // It was cut off, if the process fell silent.
        let _ = heart.await;
    }
    /// How many processes there are.
    pub(crate) fn processes(&self) -> usize {
        self.processes.len()
    }

    pub(crate) fn is_running(&self) -> bool {
        self.processes.iter().all(|process| !process.routes.is_finished())
    }

    /// Moves the clock of all processes on.
    pub(crate) fn step(&self, by: Duration) {
        for process in &self.processes {
            process.steps.step(by);
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
        let items = self.site.ledger.parked_items(&Partition::whole(ROUTE)).await.unwrap();
        items.iter().map(|item| item.count).sum()
    }

    /// Where the route's lowest cursor stands.
    pub(crate) async fn cursor(&self) -> Position {
        let partitions = self.site.ledger.partitions().await.unwrap();
        let of_route = partitions.iter().filter(|state| state.partition.route == ROUTE);
        of_route.map(|state| state.next).min().unwrap_or_default()
    }

    /// Until the cursor stands behind everything and nothing is parked, moving the clock on meanwhile.
    pub(crate) async fn all_done(&mut self) {
        let mut stands = SaidInPanic::default();
        eventually("everything is dealt with", async || {
            self.step(Duration::from_secs(60));
            let end = self.site.ledger.head().await.unwrap().size;
            stands
                .say(async || {
                    let partitions = self.site.ledger.partitions().await.unwrap();
                    let (parked, replaying) = (self.parked().await, self.replaying().await);
                    format!("{end} entries, {parked} parked, replaying {replaying:?}, {partitions:#?}")
                })
                .await;
            let redriven = self
                .site
                .ledger
                .ordered_redrives(&Partition::whole(ROUTE), 1)
                .await
                .unwrap();
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
        self.replay(|_| {}).await;
    }

    /// Orders everything that the route has passed to be sent once more, but for what is said otherwise.
    pub(crate) async fn replay(&self, say: impl FnOnce(&mut Replay)) {
        let versions = self.site.ledger.route_versions(ROUTE).await.unwrap();
        let mut replay = Replay {
            route: ROUTE.to_owned(),
            next: versions[0].from_position,
            until: self.cursor().await,
            version: None,
            tokens: Vec::new(),
            as_new: None,
            ordered_at: Timestamp::now(),
        };
        say(&mut replay);
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
        self.site.ledger.replay(&Partition::whole(ROUTE)).await.unwrap()
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
        let taken = self.sink.taken();
        let details: Vec<&Value> = taken.iter().map(|event| &event["detail"]).collect();
        oracle::delivered(entries, &details, &dead, &self.sink.refused())
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
        correlation_attribute: None,
        sinks: vec![sink.to_owned()],
        partitions: NonZeroU8::MIN,
        failure: FailurePolicy::DeadLetter,
    };
    ConfiguredRoute {
        planned: definition.clone(),
        definition,
        plugin: None,
        granted: Value::Null,
        counts: None,
    }
}

/// The item of an event.
pub(crate) fn id(event: &Value) -> &str {
    event["detail"]["keys"]["id"].as_str().unwrap()
}

/// What is printed if the test ends here.
#[derive(Default)]
pub(crate) struct SaidInPanic {
    text: String,
    looks: usize,
}

impl SaidInPanic {
    pub(crate) fn of(text: String) -> Self {
        Self { text, looks: 0 }
    }

    /// Every now and then.
    async fn say(&mut self, text: impl AsyncFnOnce() -> String) {
        self.looks += 1;
        if self.looks.is_multiple_of(100) {
            self.text = text().await;
        }
    }
}

impl Drop for SaidInPanic {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("{}", self.text);
        }
    }
}
