//! The intake in storms: a simulated source that reshards, misleads, fails, trims and switches its stream off, and workers
//! that come, are cut off and go. Afterwards the ledger is held against the truth.
//!
//! A seed that fails prints itself; `WEIR_STORM_SEED=<seed>` runs it alone and logs what the workers say, and
//! `WEIR_STORMS=<count>` runs so many of each kind.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::time::{Duration, Instant};

use tokio::task::{JoinHandle, JoinSet};
use tokio_util::sync::CancellationToken;
use weir_evidence::LedgerSecret;
use weir_ledger::{Database, Ledger, LedgerSettings, RecordedEntry, Role};
use weir_model::{LedgerName, Position};
use weir_pipeline::{
    Activities, AtGap, Images, Intake, IntakeError, IntakePace, Source, SourceSettings, SourceTable, Start,
};
use weir_simulator::{Profile, Random, Setup, Simulator, TableSetup};
use weir_streams::AwsAccess;
use weir_tests::{TestDatabase, oracle};

/// Storms that are under way at once.
const AT_ONCE: usize = 2;

/// Ticks of a storm.
const TICKS: usize = 60;

/// Real time of a tick: what a worker gets done in it differs from run to run, and has to make no difference.
const TICK: Duration = Duration::from_millis(8);

/// Times that a worker asks for its source at its start. A stream that is off is on again after a few ticks.
const PREPARES_MAX: usize = 100;

/// Findings of one storm that are told.
const FINDINGS_TOLD: usize = 5;

/// How long the rest may take to arrive once the storm is over.
const CALM_MAX: Duration = Duration::from_secs(90);

/// Steps of the source's clock in the calm, and how often. What is missing then is missing for good, and that takes a
/// minute of the source's time to be believed.
const CALM_STEP: Duration = Duration::from_secs(5);
const CALM_INTERVAL: Duration = Duration::from_millis(50);

fn pace() -> IntakePace {
    let millis = Duration::from_millis;
    IntakePace {
        round_interval: millis(20),
        unsure_after: millis(700),
        report_interval: millis(200),
        describe_interval: millis(50),
        doubt_interval: millis(40),
        // By the source's clock, which the storm steps.
        sure_after: IntakePace::default().sure_after,
        idle_interval_max: millis(40),
        retry_first: millis(2),
        retry_max: millis(100),
    }
}

fn settings() -> LedgerSettings {
    LedgerSettings {
        batch_interval: Duration::from_millis(100),
        lease_expiry: Duration::from_secs(1),
    }
}

/// One storm, its ledger, and its workers.
struct Storm {
    seed: u64,
    table: String,
    simulator: Simulator,
    database: Database,
    ledger: Ledger,
    workers: Vec<Worker>,
    /// What was recorded, as far as it was read.
    entries: Vec<RecordedEntry>,
}

struct Worker {
    stop: CancellationToken,
    task: JoinHandle<Result<(), IntakeError>>,
}

impl Storm {
    async fn brew(seed: u64, database: &Database) -> Self {
        let table = format!("orders-{seed}");
        let setup = Setup {
            seed,
            tables: vec![TableSetup {
                shards: 1 + usize::try_from(seed % 3).unwrap(),
                ..TableSetup::new(&table)
            }],
            ..Setup::default()
        };
        let simulator = Simulator::start(setup).await.unwrap();
        let ledger = open(database, seed).await;
        Self {
            seed,
            table,
            simulator,
            database: database.clone(),
            ledger,
            workers: Vec::new(),
            entries: Vec::new(),
        }
    }

    async fn add_worker(&mut self) {
        // A handle of its own, as another process would have.
        let ledger = open(&self.database, self.seed).await;
        let settings = SourceSettings {
            name: "shop".to_owned(),
            table: SourceTable::Table(self.table.clone()),
            access: AwsAccess {
                region: Some("us-east-1".to_owned()),
                endpoint: Some(self.simulator.endpoint()),
                test_credentials: true,
            },
            start: Start::TrimHorizon,
            images: Images::Both,
            actor: None,
            reads_per_second: 200,
            at_gap: AtGap::Record,
        };
        // A source that misleads now is asked again, as whoever restarts the process would.
        let mut tries = 0;
        let source = loop {
            match Source::prepare(settings.clone(), ledger.clone(), Activities::new()).await {
                Ok(source) => break source,
                Err(error) => assert!(tries < PREPARES_MAX, "{error}"),
            }
            tries += 1;
            // Its stream may be off; before the storm, there is nothing to tick.
            let _ = self.simulator.tick();
        };
        let intake = Intake::new(ledger, format!("worker {}", self.workers.len()), vec![source]).at_pace(pace());
        let stop = CancellationToken::new();
        let task = tokio::spawn(intake.run(stop.clone()));
        self.workers.push(Worker { stop, task });
    }

    async fn rage(&mut self, profile: Profile) {
        let mut random = Random::new(self.seed);
        self.add_worker().await;
        self.simulator.storm(&self.table, profile).unwrap();
        for tick in 0..TICKS {
            self.simulator.tick().unwrap();
            tokio::time::sleep(TICK).await;
            if tick % 10 == 5 && self.workers.len() < 3 {
                self.add_worker().await;
            }
            if random.chance(0.03) && self.workers.len() > 1 {
                // Cut off at any await, as a kill would do it.
                let killed = self.workers.remove(random.index(self.workers.len()));
                killed.task.abort();
            }
            if random.chance(0.03) && self.workers.len() > 1 {
                let stopped = self.workers.remove(random.index(self.workers.len()));
                stopped.stop.cancel();
            }
        }
        self.simulator.calm();
    }

    /// Reads what was recorded since the last time.
    async fn read_on(&mut self) {
        loop {
            let from = Position(self.entries.len() as u64);
            let page = self.ledger.read_from(from, 1000).await.unwrap();
            if page.is_empty() {
                return;
            }
            self.entries.extend(page);
        }
    }

    /// Waits until all that can still be had is there, and says what is wrong.
    async fn settle(mut self) -> Vec<String> {
        let calm_since = Instant::now();
        let mut findings = Vec::new();
        loop {
            let truth = self.simulator.truth();
            self.read_on().await;
            let missing = oracle::missing(&truth, &self.entries);
            if missing == 0 {
                break;
            }
            if calm_since.elapsed() > CALM_MAX {
                findings.push(format!("{missing} changes do not arrive"));
                break;
            }
            self.simulator.step(CALM_STEP);
            tokio::time::sleep(CALM_INTERVAL).await;
        }
        for worker in &self.workers {
            worker.stop.cancel();
        }
        for worker in self.workers.drain(..) {
            if let Ok(Err(error)) = worker.task.await {
                findings.push(format!("a worker ended: {error}"));
            }
        }
        self.read_on().await;
        findings.extend(oracle::findings(&self.simulator.truth(), &self.entries));
        let verified = self.ledger.verify(|_, _| ()).await.unwrap();
        findings.extend(verified.findings.iter().map(ToString::to_string));
        findings
    }
}

async fn open(database: &Database, seed: u64) -> Ledger {
    let name = LedgerName::parse(format!("storm-{seed}")).unwrap();
    database
        .open_or_create(&name, LedgerSecret::new(&[7; 32]))
        .await
        .unwrap()
}

/// Lets storms of these seeds rage, some at once, and tells the seeds that failed.
async fn check(profile: Profile, first_seed: u64, count: u64) {
    let single: Option<u64> = std::env::var("WEIR_STORM_SEED").ok().and_then(|seed| seed.parse().ok());
    let count = std::env::var("WEIR_STORMS")
        .ok()
        .and_then(|count| count.parse().ok())
        .unwrap_or(count);
    let seeds: Vec<u64> = single.map_or_else(|| (first_seed..first_seed + count).collect(), |seed| vec![seed]);
    if single.is_some() {
        // Whoever set a subscriber before logs as well.
        let _ = tracing_subscriber::fmt().with_test_writer().try_init();
    }
    let test_database = TestDatabase::create();
    let database = Database::connect(test_database.url(), Role::Writer).await.unwrap();
    let database = database.with_settings(settings());
    database.migrate().await.unwrap();
    let (mut seeds, mut storms, mut failed) = (seeds.into_iter(), JoinSet::new(), Vec::new());
    loop {
        while storms.len() < AT_ONCE
            && let Some(seed) = seeds.next()
        {
            let (database, profile) = (database.clone(), profile.clone());
            storms.spawn(async move {
                let mut storm = Storm::brew(seed, &database).await;
                storm.rage(profile).await;
                (seed, storm.settle().await)
            });
        }
        let Some(ended) = storms.join_next().await else { break };
        let (seed, findings) = ended.unwrap();
        if !findings.is_empty() {
            let count = findings.len();
            let told = findings
                .into_iter()
                .take(FINDINGS_TOLD)
                .collect::<Vec<_>>()
                .join("\n  ");
            failed.push(format!("WEIR_STORM_SEED={seed}: {count} findings\n  {told}"));
        }
    }
    assert!(failed.is_empty(), "{}", failed.join("\n"));
}

#[tokio::test(flavor = "multi_thread")]
async fn on_an_everyday_stream_each_change_is_recorded_once_and_in_order() {
    check(Profile::Everyday, 1000, 40).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn on_a_stream_that_reshards_misleads_and_fails_each_change_is_recorded_once_and_in_order() {
    check(Profile::Rough, 2000, 80).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_stream_loses_is_inside_of_a_recorded_gap_and_all_else_is_recorded_once() {
    check(Profile::Hurricane, 3000, 80).await;
}
