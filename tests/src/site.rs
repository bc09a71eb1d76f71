//! An intake in this process, before a simulated source: as many workers as a test wants, at a pace that leaves nothing to
//! wait for.
//!
//! # Invariants
//!
//! - Each worker has a handle of its own on the ledger, as another process would have, unless it is of this process.
//! - The source's clock stands still until a test steps it.

use std::time::Duration;

use serde_json::json;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use weir_evidence::{EntryKind, LedgerSecret};
use weir_ledger::{Database, Ledger, LedgerSettings, RecordedEntry, Role, Work};
use weir_model::{LedgerName, Position};
use weir_pipeline::{
    Activities, AtGap, Heart, HeartPace, Images, Intake, IntakeError, IntakePace, IntakeStatus, PrepareError, Source,
    SourceSettings, SourceTable, Start,
};
use weir_simulator::{Setup, Simulator, item};
use weir_streams::AwsAccess;

use crate::{TestDatabase, eventually, oracle};

/// Whoever is silent for so long is gone: not long to wait for.
const LEASE_EXPIRY: Duration = Duration::from_secs(1);

/// A simulated table, a ledger, and workers that record the one in the other.
pub struct Site {
    /// The source.
    pub simulator: Simulator,
    /// Its table.
    pub table: String,
    /// A handle of the test's own.
    pub ledger: Ledger,
    /// What the next worker is configured with.
    pub settings: SourceSettings,
    /// How often the next worker asks.
    pub pace: IntakePace,
    /// How often its heart beats.
    pub heart_pace: HeartPace,
    database: Database,
    workers: Vec<Worker>,
    /// What was recorded, as far as it was read.
    entries: Vec<RecordedEntry>,
    /// Stays as long as the site does.
    own: Option<TestDatabase>,
}

struct Worker {
    stop: CancellationToken,
    task: JoinHandle<Result<(), IntakeError>>,
    heart: JoinHandle<()>,
    status: IntakeStatus,
}

/// The source "shop": a table of a simulator, from its beginning on, read so often.
#[must_use]
pub fn source_of(simulator: &Simulator, table: &str, reads_per_second: u32) -> SourceSettings {
    SourceSettings {
        name: "shop".to_owned(),
        table: SourceTable::Table(table.to_owned()),
        access: AwsAccess {
            region: Some("us-east-1".to_owned()),
            endpoint: Some(simulator.endpoint()),
            test_credentials: true,
        },
        start: Start::TrimHorizon,
        images: Images::Both,
        actor: None,
        reads_per_second,
        at_gap: AtGap::Record,
    }
}

impl Site {
    /// Begins with the first table of a simulator, in a database of its own. No worker is there yet.
    pub async fn begin(setup: Setup) -> Self {
        Self::with_lease(setup, LEASE_EXPIRY).await
    }

    /// Begins so; who is silent for this long is gone.
    pub async fn with_lease(setup: Setup, lease_expiry: Duration) -> Self {
        let test_database = TestDatabase::create();
        let database = Self::database_with_lease(&test_database, lease_expiry).await;
        let site = Self::beside(&database, "main", setup).await;
        Self {
            heart_pace: HeartPace {
                unsure_after: lease_expiry.mul_f64(0.7),
                ..site.heart_pace
            },
            own: Some(test_database),
            ..site
        }
    }

    /// Begins with a ledger of its own in a database that others use as well.
    pub async fn beside(database: &Database, ledger: &str, setup: Setup) -> Self {
        let table = setup.tables[0].name.clone();
        let simulator = Simulator::start(setup).await.expect("a port is free");
        let settings = source_of(&simulator, &table, 200);
        Self {
            simulator,
            table,
            ledger: open(database, ledger).await,
            settings,
            pace: pace(),
            heart_pace: HeartPace {
                beat_interval: Duration::from_millis(20),
                unsure_after: LEASE_EXPIRY.mul_f64(0.7),
            },
            database: database.clone(),
            workers: Vec::new(),
            entries: Vec::new(),
            own: None,
        }
    }

    /// Connects to a test's database and makes its tables. Whoever is silent for a second there is gone.
    pub async fn database(test_database: &TestDatabase) -> Database {
        Self::database_with_lease(test_database, LEASE_EXPIRY).await
    }

    async fn database_with_lease(test_database: &TestDatabase, lease_expiry: Duration) -> Database {
        let database = Database::connect(test_database.url(), Role::Writer).await;
        let database = database.expect("the server is there").with_settings(LedgerSettings {
            batch_interval: Duration::from_millis(100),
            lease_expiry,
        });
        database.migrate().await.expect("an empty database can be migrated");
        database
    }

    /// Adds a worker, unless the source cannot be prepared now.
    ///
    /// # Errors
    ///
    /// What whoever starts the process would be told.
    pub async fn try_add_worker(&mut self) -> Result<(), PrepareError> {
        let ledger = open(&self.database, self.ledger.name().as_str()).await;
        self.try_add_worker_on(ledger).await
    }

    /// Adds a worker on the site's own handle: what it records is handed over to whoever routes on that handle.
    pub async fn add_worker_of_this_process(&mut self) {
        let added = self.try_add_worker_on(self.ledger.clone()).await;
        added.expect("the source can be prepared");
    }

    async fn try_add_worker_on(&mut self, ledger: Ledger) -> Result<(), PrepareError> {
        let source = Source::prepare(self.settings.clone(), ledger.clone(), Activities::new()).await?;
        let works_at = Work::Source(self.settings.name.clone());
        let heart = self.heart(format!("worker {}", self.workers.len()), vec![works_at]);
        let intake = Intake::new(ledger, heart.member(), vec![source]).at_pace(self.pace);
        let (stop, status) = (CancellationToken::new(), intake.status());
        self.workers.push(Worker {
            task: tokio::spawn(intake.run(stop.clone())),
            heart: tokio::spawn(heart.beat(stop.clone())),
            stop,
            status,
        });
        Ok(())
    }

    /// A heart that does not beat yet.
    #[must_use]
    pub fn heart(&self, name: String, works_at: Vec<Work>) -> Heart {
        Heart::new(self.ledger.clone(), name, works_at).at_pace(self.heart_pace)
    }

    /// Adds a worker.
    pub async fn add_worker(&mut self) {
        self.try_add_worker().await.expect("the source can be prepared");
    }

    /// Adds a worker as soon as the source can be prepared.
    pub async fn add_worker_in_time(&mut self) {
        eventually("the source can be prepared", async || self.try_add_worker().await.ok()).await;
    }

    /// How many workers there are.
    #[must_use]
    pub fn workers(&self) -> usize {
        self.workers.len()
    }

    /// Cuts a worker off at whatever it awaits, as a kill would.
    pub fn kill_worker(&mut self, index: usize) {
        let worker = self.workers.remove(index);
        worker.task.abort();
        worker.heart.abort();
    }

    /// Asks a worker to stop, and does not wait for it.
    pub fn dismiss_worker(&mut self, index: usize) {
        self.workers.remove(index).stop.cancel();
    }

    /// Stops all workers in good order, and says which of them ended otherwise.
    pub async fn stop_workers(&mut self) -> Vec<String> {
        for worker in &self.workers {
            worker.stop.cancel();
        }
        let mut findings = Vec::new();
        for worker in self.workers.drain(..) {
            if let Ok(Err(error)) = worker.task.await {
                findings.push(format!("a worker ended: {error}"));
            }
            let _ = worker.heart.await;
        }
        findings
    }

    /// What stands still, as the workers tell it.
    #[must_use]
    pub fn stuck(&self) -> Vec<String> {
        self.workers.iter().flat_map(|worker| worker.status.stuck()).collect()
    }

    /// Writes an item of this key, another one each time: a write that changes nothing is no change.
    ///
    /// # Panics
    ///
    /// The table is not there.
    pub fn put(&self, id: &str) {
        let number = self.simulator.truth().changes.len().to_string();
        self.simulator
            .put(&self.table, item(id, &[("number", json!({ "N": number }))]))
            .expect("the table is there");
    }

    /// Reads what was recorded since the last time, and gives all.
    pub async fn entries(&mut self) -> &[RecordedEntry] {
        loop {
            let from = Position(self.entries.len() as u64);
            let page = self.ledger.read_from(from, 1000).await;
            let page = page.expect("what was recorded can be read");
            if page.is_empty() {
                return &self.entries;
            }
            self.entries.extend(page);
        }
    }

    /// Keys of the changes that are recorded, and the gaps, in order: `o1`, `gap(shard-expired possible)`.
    pub async fn shown(&mut self) -> String {
        let entries = self.entries().await.iter();
        let shown = entries.filter_map(|entry| match &entry.entry.kind {
            EntryKind::Change { .. } => {
                let keys = entry.body.keys.as_ref()?;
                Some(keys["id"].as_text()?.to_owned())
            }
            EntryKind::Unknown { .. } => Some("unknown".to_owned()),
            EntryKind::Gap(gap) => Some(format!("gap({} {})", gap.cause.as_str(), gap.loss.as_str())),
            _ => None,
        });
        shown.collect::<Vec<_>>().join(" ")
    }

    /// Changes that are still to be had and are not recorded.
    pub async fn missing(&mut self) -> usize {
        let truth = self.simulator.truth();
        oracle::missing(&truth, self.entries().await)
    }

    /// Waits until everything that is still to be had is recorded.
    pub async fn arrives(&mut self) {
        eventually("everything is recorded", async || {
            (self.missing().await == 0).then_some(())
        })
        .await;
    }

    /// Steps the source's clock, five seconds at a time, until everything that is still to be had is recorded: what an answer
    /// leaves out is believed to be gone after a minute.
    pub async fn arrives_in_time(&mut self) {
        eventually("everything is recorded", async || {
            self.simulator.step(Duration::from_secs(5));
            (self.missing().await == 0).then_some(())
        })
        .await;
    }

    /// Waits until the source has answered so many more calls of an operation.
    pub async fn asked(&self, operation: &str, times: u64) {
        let calls = || self.simulator.calls().get(operation).map_or(0, |count| count.calls);
        let before = calls();
        eventually(operation, async || (calls() >= before + times).then_some(())).await;
    }

    /// Waits until a shard was read to its end, or gone, and that is recorded.
    pub async fn finishes(&self, shard: &str) {
        eventually(&format!("{shard} is recorded to its end"), async || {
            let states = self.ledger.shard_states().await.expect("Postgres is there");
            let is_finished = |state: &weir_ledger::ShardState| state.shard == shard && state.finished_at.is_some();
            states.iter().any(is_finished).then_some(())
        })
        .await;
    }

    /// Runs SQL as an administrator would.
    ///
    /// # Panics
    ///
    /// The database is shared, or refuses it.
    pub fn tamper(&self, sql: &str) {
        let own = self.own.as_ref().expect("the database is this site's own");
        let _ = own.psql(sql);
    }

    /// Runs SQL as an administrator would, while the test goes on.
    ///
    /// # Panics
    ///
    /// The database is shared.
    pub fn tamper_meanwhile(&self, sql: String) -> JoinHandle<()> {
        let own = self.own.as_ref().expect("the database is this site's own");
        let url = own.url().to_owned();
        tokio::task::spawn_blocking(move || drop(crate::database::run_sql(&url, &sql)))
    }

    /// Stops the workers and holds the ledger against the truth. Says what is wrong, one line each.
    pub async fn findings(&mut self) -> Vec<String> {
        let mut findings = self.stop_workers().await;
        let truth = self.simulator.truth();
        findings.extend(oracle::findings(&truth, self.entries().await));
        let verified = self.ledger.verify(|_, _| ()).await.expect("Postgres is there");
        findings.extend(verified.findings.iter().map(ToString::to_string));
        findings
    }

    /// Stops the workers, and nothing is wrong.
    ///
    /// # Panics
    ///
    /// Something is.
    pub async fn is_true(&mut self) {
        assert_eq!(self.findings().await, Vec::<String>::new());
    }
}

/// A pace that leaves nothing to wait for, except what the source's clock decides.
fn pace() -> IntakePace {
    let millis = Duration::from_millis;
    IntakePace {
        round_interval: millis(20),
        left_after: millis(1500),
        report_interval: millis(200),
        describe_interval: millis(50),
        doubt_interval: millis(40),
        sure_after: IntakePace::default().sure_after,
        idle_interval_max: millis(40),
        retry_first: millis(2),
        retry_max: millis(100),
    }
}

async fn open(database: &Database, name: &str) -> Ledger {
    let name = LedgerName::parse(name).expect("a name of a test");
    let ledger = database.open_or_create(&name, LedgerSecret::new(&[7; 32])).await;
    ledger.expect("the database takes a ledger")
}
