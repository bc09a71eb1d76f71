//! The intake in storms: a simulated source that reshards, misleads, fails, trims and switches its stream off, and workers
//! that come, are cut off and go. Afterwards the ledger is held against the truth.
//!
//! A seed that fails prints itself; `WEIR_STORM_SEED=<seed>` runs it alone and logs what the workers say, and
//! `WEIR_STORMS=<count>` runs so many of each kind.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::time::{Duration, Instant};

use tokio::task::JoinSet;
use weir_ledger::Database;
use weir_simulator::{Profile, Random, Setup, TableSetup, Truth};
use weir_tests::{Site, TestDatabase};

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

/// One storm, and the intake that it meets.
struct Storm {
    seed: u64,
    site: Site,
}

impl Storm {
    async fn brew(seed: u64, database: &Database) -> Self {
        let setup = Setup {
            seed,
            tables: vec![TableSetup {
                shards: 1 + usize::try_from(seed % 3).unwrap(),
                ..TableSetup::new(&format!("orders-{seed}"))
            }],
            ..Setup::default()
        };
        let site = Site::beside(database, &format!("storm-{seed}"), setup).await;
        Self { seed, site }
    }

    async fn add_worker(&mut self) {
        // A source that misleads now is asked again, as whoever restarts the process would.
        let mut tries = 0;
        while let Err(error) = self.site.try_add_worker().await {
            assert!(tries < PREPARES_MAX, "{error}");
            tries += 1;
            // Its stream may be off; before the storm, there is nothing to tick.
            let _ = self.site.simulator.tick();
        }
    }

    async fn rage(&mut self, profile: Profile) {
        let mut random = Random::new(self.seed);
        self.add_worker().await;
        self.site.simulator.storm(&self.site.table, profile).unwrap();
        for tick in 0..TICKS {
            self.site.simulator.tick().unwrap();
            tokio::time::sleep(TICK).await;
            if tick % 10 == 5 && self.site.workers() < 3 {
                self.add_worker().await;
            }
            if random.chance(0.03) && self.site.workers() > 1 {
                self.site.kill_worker(random.index(self.site.workers()));
            }
            if random.chance(0.03) && self.site.workers() > 1 {
                self.site.dismiss_worker(random.index(self.site.workers()));
            }
        }
        self.site.simulator.calm();
    }

    /// Waits until all that can still be had is there, and says what is wrong.
    async fn settle(mut self) -> Vec<String> {
        let calm_since = Instant::now();
        let mut findings = Vec::new();
        loop {
            let missing = self.site.missing().await;
            if missing == 0 {
                break;
            }
            if calm_since.elapsed() > CALM_MAX {
                findings.push(format!("{missing} changes do not arrive"));
                break;
            }
            self.site.simulator.step(CALM_STEP);
            tokio::time::sleep(CALM_INTERVAL).await;
        }
        findings.extend(self.site.findings().await);
        if !findings.is_empty() {
            eprintln!("shards of seed {}:{}", self.seed, lineage(&self.site.simulator.truth()));
        }
        findings
    }
}

/// The shards of all streams, for whoever looks for what went wrong.
fn lineage(truth: &Truth) -> String {
    let shards = truth.streams.iter().flat_map(|stream| &stream.shards);
    let lines = shards.map(|shard| {
        let parent = shard.parent.as_deref().unwrap_or("none");
        let gone = if shard.gone { ", gone" } else { "" };
        format!(
            "\n  {} from {parent}, opened {}, {} records, {} trimmed{gone}",
            shard.shard, shard.opened_at, shard.records, shard.trimmed
        )
    });
    lines.collect()
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
    let database = Site::database(&test_database).await;
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
