//! How long a change takes from the stream into the ledger: from when `GetRecords` could have it to when a reader of the ledger
//! has it.
//!
//! ```text
//! written ──▶ visible to GetRecords ──▶ answer sent ──▶ sealed, appended ──▶ committed, and seen by another connection
//!             └── waits for a poll ─────┘└── what Weir adds ─────────────────┘
//! ```
//!
//! | benchmark | what is written | polling floor |
//! | --- | --- | --- |
//! | `latency/idle` | a change of each shard every 2 to 5 s | evenly 0 to 1 s: median 500 ms, p99 990 ms |
//! | `latency/busy` | 500 changes a second of one shard | evenly 0 to 250 ms: median 125 ms, p99 248 ms |
//!
//! The floor is what four reads a second and shard, and one while nothing comes, cost in time; no consumer that polls so is
//! below it. The ledger is looked at every millisecond.

use std::collections::HashMap;
use std::io::Write as _;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use serde_json::json;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use weir_evidence::{EntryKind, LedgerSecret};
use weir_ledger::{Database, Ledger, Role, Work};
use weir_model::{LedgerName, Position};
use weir_pipeline::{Activities, Heart, Intake, Source};
use weir_simulator::{Random, Setup, Simulator, TableSetup, item};
use weir_tests::{TestDatabase, source_of};

const TABLE: &str = "latency-orders";

/// Shards of the idle stream: many, so that many waits are measured at a time.
const IDLE_SHARDS: usize = 20;

/// Changes of each idle shard, one after the other.
const IDLE_CHANGES: u64 = 15;

/// Changes of the busy stream, and how many come in a second.
const BUSY_CHANGES: u64 = 5000;
const BUSY_PER_S: u64 = 500;

#[tokio::main]
async fn main() -> ExitCode {
    if std::env::var_os("WEIR_TEST_POSTGRES_URL").is_none() {
        eprintln!(
            "there is no Postgres to measure; run: tests/with-postgres cargo bench -p weir-tests --bench latency"
        );
        return ExitCode::FAILURE;
    }
    let is_quick = std::env::args().any(|argument| argument == "--quick");
    let share = if is_quick { 10 } else { 1 };
    let idle = Bench::begin("idle", IDLE_SHARDS).await;
    let written = idle.write_idly((IDLE_CHANGES / share).max(1)).await;
    idle.tell(written).await;
    let busy = Bench::begin("busy", 1).await;
    let written = busy.write_busily(BUSY_CHANGES / share).await;
    busy.tell(written).await;
    ExitCode::SUCCESS
}

/// A change: its number, and when it was written. It is visible at once.
type Written = (u64, Instant);

/// A simulated table that Weir records, at the pace of every Weir.
struct Bench {
    name: &'static str,
    simulator: Simulator,
    ledger: Ledger,
    stop: CancellationToken,
    recording: JoinSet<()>,
    seen: tokio::task::JoinHandle<HashMap<String, Instant>>,
    seen_enough: CancellationToken,
}

impl Bench {
    async fn begin(name: &'static str, shards: usize) -> Self {
        let table = TableSetup {
            shards,
            ..TableSetup::new(TABLE)
        };
        let setup = Setup {
            tables: vec![table],
            ..Setup::default()
        };
        let simulator = Simulator::start(setup).await.expect("a port is free");
        let database = TestDatabase::create();
        let ledger = open(&database).await;
        // As often as by default.
        let settings = source_of(&simulator, TABLE, 4);
        let source = Source::prepare(settings, ledger.clone(), Activities::new()).await;
        let heart = Heart::new(ledger.clone(), name.to_owned(), vec![Work::Source("shop".to_owned())]);
        let source = source.expect("the stream is there");
        let intake = Intake::new(ledger.clone(), heart.member(), vec![source]);
        let stop = CancellationToken::new();
        let mut recording = JoinSet::new();
        recording.spawn(heart.beat(stop.clone()));
        let until = stop.clone();
        recording.spawn(async move { intake.run(until).await.expect("no task breaks") });
        let seen_enough = CancellationToken::new();
        // A handle with connections of its own, as any other reader has.
        let seen = tokio::spawn(watch(open(&database).await, seen_enough.clone()));
        let bench = Self {
            name,
            simulator,
            ledger,
            stop,
            recording,
            seen,
            seen_enough,
        };
        // All shards are read when each has had a change that arrived.
        let first = bench.simulator.change_some(TABLE, 40 * shards as u64, 40 * shards);
        bench.arrived(first.expect("the table is there").len()).await;
        bench
    }

    /// Changes one item of each shard now and then, each by itself.
    async fn write_idly(&self, changes: u64) -> Vec<Written> {
        let mut items = HashMap::new();
        for change in self.simulator.truth().changes {
            let shard = change.record.expect("the stream is on").shard;
            items.entry(shard).or_insert(change.item);
        }
        let mut writers = JoinSet::new();
        for (seed, id) in (0..).zip(items.into_values()) {
            let (simulator, mut random) = (self.simulator.clone(), Random::new(seed));
            writers.spawn(async move {
                let mut written = Vec::new();
                for version in 0..changes {
                    tokio::time::sleep(Duration::from_millis(2000 + random.below(3000))).await;
                    written.push(put(&simulator, &id, version));
                }
                written
            });
        }
        writers.join_all().await.concat()
    }

    /// Changes items one after the other, at random moments.
    async fn write_busily(&self, changes: u64) -> Vec<Written> {
        let mut random = Random::new(1);
        let mut next = tokio::time::Instant::now();
        let mut written = Vec::new();
        for version in 0..changes {
            next += Duration::from_micros(random.below(2 * 1_000_000 / BUSY_PER_S));
            tokio::time::sleep_until(next).await;
            written.push(put(&self.simulator, &format!("busy-{}", version % 50), version));
        }
        written
    }

    /// Waits until so many records are in the ledger.
    async fn arrived(&self, records: usize) {
        weir_tests::eventually("all is recorded", async || {
            let head = self.ledger.head().await.expect("Postgres answers");
            // Accounts stand between them.
            if head.size < records as u64 {
                return None;
            }
            let unsent = (0..records as u64).find(|change| self.simulator.sent_at(*change).is_none());
            unsent.is_none().then_some(())
        })
        .await;
    }

    async fn tell(mut self, written: Vec<Written>) {
        let truth = self.simulator.truth();
        self.arrived(truth.changes.len()).await;
        // Stopping records and commits what is in hand.
        self.stop.cancel();
        while self.recording.join_next().await.is_some() {}
        self.seen_enough.cancel();
        let seen = self.seen.await.expect("the reader reads");
        let (mut waited, mut added, mut total) = (Vec::new(), Vec::new(), Vec::new());
        for (change, visible_at) in written {
            let sent_at = self.simulator.sent_at(change).expect("it was read");
            let record = truth.changes[usize::try_from(change).expect("a place in a list")]
                .record
                .as_ref();
            let seen_at = seen[&record.expect("the stream is on").event_id];
            waited.push(sent_at.saturating_duration_since(visible_at));
            added.push(seen_at.saturating_duration_since(sent_at));
            total.push(seen_at.saturating_duration_since(visible_at));
        }
        let [waited, added, all] = [&mut waited, &mut added, &mut total].map(|waits| median_and_p99(waits));
        writeln!(
            std::io::stdout(),
            "latency/{}: from visible to answered {waited}, from answered to committed and seen {added}, both together {all}, of \
             {} changes",
            self.name,
            total.len(),
        )
        .expect("somebody reads this");
    }
}

async fn open(database: &TestDatabase) -> Ledger {
    let connected = Database::connect(database.url(), Role::Writer).await;
    let connected = connected.expect("the database was just made");
    connected.migrate().await.expect("the schema applies");
    let name = LedgerName::parse("latency").expect("a name");
    let opened = connected.open_or_create(&name, LedgerSecret::new(&[7; 32])).await;
    opened.expect("the ledger is made")
}

fn put(simulator: &Simulator, id: &str, version: u64) -> Written {
    let item = item(id, &[("version", json!({ "N": version.to_string() }))]);
    let change = simulator.put(TABLE, item).expect("the table is there");
    (change.expect("the version is another one"), Instant::now())
}

/// When each change was first seen in the ledger, by event id. Ends when told to and nothing more is there.
async fn watch(ledger: Ledger, enough: CancellationToken) -> HashMap<String, Instant> {
    let (mut seen, mut next) = (HashMap::new(), 0);
    loop {
        let is_last = enough.is_cancelled();
        let size = ledger.head().await.expect("Postgres answers").size;
        let seen_at = Instant::now();
        while next < size {
            for entry in ledger
                .read_from(Position(next), 1000)
                .await
                .expect("the ledger is whole")
            {
                next = entry.position.0 + 1;
                if let EntryKind::Change { event, .. } = entry.entry.kind {
                    seen.insert(event.as_str().to_owned(), seen_at);
                }
            }
        }
        if is_last {
            return seen;
        }
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}

fn median_and_p99(waits: &mut [Duration]) -> String {
    waits.sort_unstable();
    let at = |share: usize| waits[(waits.len() * share / 100).min(waits.len() - 1)];
    format!("{:.1?} at the median and {:.1?} at p99", at(50), at(99))
}
