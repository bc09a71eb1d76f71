//! What it costs to route what is recorded, and what every further route costs.
//!
//! ```text
//! ledger ──▶ feed: read, open, make events, match ──▶ routes: pattern of 1 route or of 10 ──▶ a sink that takes everything
//! ledger ──▶ read and open                                                                    the floor
//! ```
//!
//! Each round routes the same changes with one route, then with one of 8 partitions, then with ten that each take all of it, then with ten of which nine take
//! nothing, then reads them and does nothing else. Times are told per change of the ledger, with their ratio to the floor of the
//! same round. The goal: nine routes that take nothing cost less than the one that takes everything.

#[path = "../../ledger/benches/appends/mod.rs"]
#[expect(dead_code, reason = "the benchmark of appends uses all of it")]
mod appends;

use std::collections::BTreeMap;
use std::io::Write as _;
use std::num::{NonZeroU8, NonZeroUsize};
use std::process::ExitCode;
use std::str::FromStr as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use jiff::Timestamp;
use serde_json::Value;
use sqlx::postgres::PgConnectOptions;
use tokio_util::sync::CancellationToken;
use weir_ledger::{ConfiguredRoute, FailurePolicy, Ledger, RouteDefinition, Work};
use weir_model::{Event, Position};
use weir_pipeline::{Activities, Clock, Feed, Gates, Heart, RouteSettings, Routes, SinkSetup};
use weir_routing::RetrySchedule;
use weir_runtime::{Limits as PluginLimits, Runtime};
use weir_sinks::{Limits, Message, Outcome, Sink};

use appends::{Appends, execute, open};

/// As in the binary.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Changes of a batch.
const BATCH: u64 = 1000;

/// Batches, and rounds over all of them.
const BATCHES: u64 = 30;
const ROUNDS: usize = 7;

/// Takes everything at once, and counts it.
#[derive(Clone, Default)]
struct Counter(Arc<AtomicUsize>);

impl Sink for Counter {
    fn limits(&self) -> Limits {
        Limits {
            messages_max: 100,
            bytes_max: 1 << 20,
            requests_max: 8,
        }
    }

    fn body(&self, event: &Event) -> String {
        serde_json::to_string(event).expect("an event is JSON")
    }

    fn size(&self, message: &Message) -> usize {
        message.body.len()
    }

    fn send<'a>(&'a self, messages: &'a [Arc<Message>]) -> BoxFuture<'a, Vec<Outcome>> {
        self.0.fetch_add(messages.len(), Ordering::Relaxed);
        std::future::ready(vec![Outcome::Accepted; messages.len()]).boxed()
    }
}

/// A pattern that takes nothing of what the benchmark appends.
const TAKES_NOTHING: &str = r#"{"detail": {"new": {"status": ["shipped"], "total": [{"numeric": [">", 20]}]}}}"#;

/// A route: its name, its pattern, and how many partitions it has.
type BenchedRoute = (String, Option<&'static str>, NonZeroU8);

/// The routes of a round: each round has its own, which begin where the ledger does.
type OfRound = fn(usize) -> Vec<BenchedRoute>;

#[tokio::main]
async fn main() -> ExitCode {
    let Ok(url) = std::env::var("WEIR_TEST_POSTGRES_URL") else {
        eprintln!(
            "there is no Postgres to measure; run: tests/with-postgres cargo bench -p weir-pipeline --bench route"
        );
        return ExitCode::FAILURE;
    };
    let is_quick = std::env::args().any(|argument| argument == "--quick");
    let (rounds, batches) = if is_quick { (1, BATCHES / 10) } else { (ROUNDS, BATCHES) };
    let maintenance = PgConnectOptions::from_str(&url).expect("WEIR_TEST_POSTGRES_URL is a Postgres URL");
    let random = getrandom::u64().expect("the system has randomness");
    let name = format!("route_bench_{random:016x}");
    execute(&maintenance, &format!("create database {name}")).await;
    let ledger = open(&maintenance.clone().database(&name), "bench").await;

    let ways: [(&str, OfRound); 4] = [
        ("route/1", |round| vec![(format!("one-{round}"), None, NonZeroU8::MIN)]),
        ("route/1 in 8 partitions", |round| {
            vec![(format!("parts-{round}"), None, NonZeroU8::new(8).expect("not zero"))]
        }),
        ("route/10 that take everything", |round| {
            (0..10)
                .map(|number| (format!("ten-{number}-{round}"), None, NonZeroU8::MIN))
                .collect()
        }),
        ("route/1 of 10 takes everything", |round| {
            let pattern = |number| (number > 0).then_some(TAKES_NOTHING);
            (0..10)
                .map(|number| (format!("few-{number}-{round}"), pattern(number), NonZeroU8::MIN))
                .collect()
        }),
    ];
    // Versions begin where they are entered, so all routes come before the changes.
    for round in 0..rounds {
        for (_, routes) in &ways {
            for benched in routes(round) {
                enter(&ledger, benched).await;
            }
        }
    }
    let mut appends = Appends::new(&ledger, "shard", BATCH).await;
    for _ in 0..batches {
        appends.append().await;
    }
    let changes = usize::try_from(batches * BATCH).expect("a small number");

    let mut times: BTreeMap<&str, Vec<(f64, f64)>> = BTreeMap::new();
    for round in 0..rounds {
        let floor = read(&ledger).await;
        for (way, routes) in &ways {
            let routed = route(&ledger, &routes(round), changes).await;
            times.entry(way).or_default().push((routed, floor));
        }
    }
    for (way, rounds) in times {
        tell(way, changes, rounds);
    }
    execute(&maintenance, &format!("drop database {name} with (force)")).await;
    ExitCode::SUCCESS
}

async fn enter(ledger: &Ledger, (route, pattern, partitions): BenchedRoute) {
    let definition = RouteDefinition {
        source: "shop".to_owned(),
        pattern: pattern.map(str::to_owned),
        plugin: None,
        plugin_config: "{}".to_owned(),
        lookups: BTreeMap::new(),
        template: None,
        projection: None,
        correlation_attribute: None,
        sinks: vec!["counter".to_owned()],
        partitions,
        failure: FailurePolicy::DeadLetter,
    };
    let configured = ConfiguredRoute {
        planned: definition.clone(),
        definition,
        plugin: None,
        granted: Value::Null,
        counts: None,
    };
    let entered = ledger
        .enter_route_version(&route, &configured, Timestamp::UNIX_EPOCH)
        .await;
    assert!(entered.expect("Postgres answers").is_some());
}

/// Reads and opens everything: seconds.
async fn read(ledger: &Ledger) -> f64 {
    let begun = Instant::now();
    let mut next = Position(0);
    loop {
        let page = ledger.read_from(next, 1000).await.expect("the ledger is there");
        let Some(last) = page.last() else { break };
        next = Position(last.position.0 + 1);
    }
    begun.elapsed().as_secs_f64()
}

/// Routes everything until the last route has sent its last change: seconds.
async fn route(ledger: &Ledger, routes: &[BenchedRoute], changes: usize) -> f64 {
    let counter = Counter::default();
    let setup = SinkSetup {
        sink: Arc::new(counter.clone()),
        messages_per_second: None,
    };
    let gates = Arc::new(Gates::new(
        BTreeMap::from([("counter".to_owned(), setup)]),
        Clock::system(),
    ));
    let runtime = Runtime::start(PluginLimits::default()).expect("wasmtime starts");
    let feed = Arc::new(Feed::new(ledger.clone()));
    let stop = CancellationToken::new();
    let expected = changes * routes.iter().filter(|(_, pattern, _)| pattern.is_none()).count();
    let begun = Instant::now();
    let settings = routes.iter().map(|(name, ..)| RouteSettings {
        name: name.clone(),
        retry: RetrySchedule::default(),
        parked_max: NonZeroUsize::new(1000).expect("not zero"),
    });
    let works_at = routes.iter().map(|(name, ..)| Work::Route(name.clone())).collect();
    let heart = Heart::new(ledger.clone(), "bench".to_owned(), works_at);
    let member = heart.member();
    let routing = Routes::new(settings, member, feed, &runtime, gates, Activities::new());
    let beating = tokio::spawn(heart.beat(stop.clone()));
    let routing = tokio::spawn(routing.run(stop.clone()));
    while counter.0.load(Ordering::Relaxed) < expected {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    let taken = begun.elapsed().as_secs_f64();
    stop.cancel();
    routing.await.expect("no route panics").expect("routing ends well");
    beating.await.expect("the heart ends");
    taken
}

fn tell(way: &str, changes: usize, mut rounds: Vec<(f64, f64)>) {
    let per_change = |seconds: f64| seconds * 1e6 / changes as f64;
    rounds.sort_by(|left, right| (left.0 / left.1).total_cmp(&(right.0 / right.1)));
    let (routed, floor) = rounds[rounds.len() / 2];
    writeln!(
        std::io::stdout(),
        "{way}: {:.1} µs a change beside {:.1} µs of reading and opening it, {:.2} times its time, {:.0} changes a second",
        per_change(routed),
        per_change(floor),
        routed / floor,
        1e6 / per_change(routed)
    )
    .expect("somebody reads this");
}
