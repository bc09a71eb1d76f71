//! Three Weirs on one ledger through outages: a simulated source in a storm, processes that are killed and started anew, that
//! freeze for longer than a lease, and lines to Postgres that are cut. They share a route, too. Afterwards the ledger is held
//! against the truth, and what the bus received against the ledger.
//!
//! A seed that fails prints itself; `WEIR_OUTAGES_SEED=<seed>` runs it alone, and `WEIR_OUTAGES=<count>` (`make outages`) runs
//! so many, one after the other.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use weir_simulator::{Profile, Random, Setup, Simulator, TableSetup};
use weir_tests::{Bus, Weir, WeirProcess, ask, oracle};

const TABLE: &str = "outage-orders";

/// Names of the processes.
const NAMES: [&str; 3] = ["a", "b", "c"];

const FIRST_SEED: u64 = 4000;

/// Ticks of a storm, each a second of the simulator's clock.
const TICKS: u64 = 200;

/// Real time of a tick. Together they are below the minute after which Weir believes that a shard is gone which no answer has:
/// a simulated source may mislead for all of the storm.
const TICK: Duration = Duration::from_millis(200);

/// Ticks that a process is frozen for: ten seconds, and a lease is over after six.
const FROZEN_TICKS: u64 = 50;

/// How long the rest may take to arrive once the storm is over: hanging calls have to run out, and each generation of shards
/// is found and taken after the one before.
const CALM_MAX: Duration = Duration::from_secs(150);

/// Findings that are told of a seed.
const FINDINGS_TOLD: usize = 5;

struct Outages {
    random: Random,
    simulator: Simulator,
    bus: Bus,
    weir: Weir,
    processes: Vec<Member>,
    findings: Vec<String>,
    /// What was done: kills, freezes, cuts.
    done: [u32; 3],
}

/// A process, or the place of one.
struct Member {
    name: &'static str,
    running: WeirProcess,
    /// The tick at which it thaws, if it is frozen.
    frozen_until: Option<u64>,
}

impl Outages {
    async fn begin(seed: u64) -> Self {
        let setup = Setup {
            seed,
            tables: vec![TableSetup {
                shards: 3,
                ..TableSetup::new(TABLE)
            }],
            ..Setup::default()
        };
        let simulator = Simulator::start(setup).await.unwrap();
        let bus = Bus::start().await;
        let weir = Weir::configure(&format!(
            "[source.shop]\ntable = \"{TABLE}\"\nendpoint = \"{}\"\ntest_credentials = true\n{}\
             [route.all]\nsource = \"shop\"\nsinks = [\"bus\"]\npartitions = 5\n",
            simulator.endpoint(),
            bus.sink(),
        ));
        let migrated = weir.command(&["migrate"]).await;
        assert_eq!(migrated.code, Some(0), "{migrated:?}");
        let member = |name| Member {
            name,
            running: weir.run_beside(name),
            frozen_until: None,
        };
        Self {
            random: Random::new(seed),
            processes: NAMES.map(member).into(),
            simulator,
            bus,
            weir,
            findings: Vec::new(),
            done: [0; 3],
        }
    }

    async fn rage(&mut self) {
        self.simulator.storm(TABLE, Profile::Rough).unwrap();
        for tick in 0..TICKS {
            self.simulator.tick().unwrap();
            tokio::time::sleep(TICK).await;
            self.thaw(tick).await;
            self.start_anew();
            if self.random.chance(0.03) {
                self.kill().await;
            }
            if self.random.chance(0.04) {
                self.freeze(tick).await;
            }
            if self.random.chance(0.06) {
                self.cut();
            }
        }
        self.simulator.calm();
        self.thaw(u64::MAX).await;
    }

    /// As whatever supervises it would: also one that could not begin, because a question at its start was not answered.
    fn start_anew(&mut self) {
        for member in &mut self.processes {
            if member.running.is_running() {
                continue;
            }
            let log = member.running.log();
            if log.contains("weir runs") {
                let end = log.lines().rev().take(3).collect::<Vec<_>>().join(" / ");
                self.findings
                    .push(format!("process {} ended by itself: {end}", member.name));
            }
            member.running = self.weir.run_beside(member.name);
            member.frozen_until = None;
        }
    }

    async fn kill(&mut self) {
        let index = self.random.index(self.processes.len());
        let name = self.processes[index].name;
        self.processes.remove(index).running.kill().await;
        let member = Member {
            name,
            running: self.weir.run_beside(name),
            frozen_until: None,
        };
        self.processes.push(member);
        self.done[0] += 1;
    }

    async fn freeze(&mut self, tick: u64) {
        let index = self.random.index(self.processes.len());
        if self.processes.iter().any(|member| member.frozen_until.is_some()) {
            return;
        }
        ask(self.processes[index].running.process_id(), "STOP").await;
        self.processes[index].frozen_until = Some(tick + FROZEN_TICKS);
        self.done[1] += 1;
    }

    async fn thaw(&mut self, tick: u64) {
        for member in &mut self.processes {
            if member.frozen_until.is_some_and(|until| until <= tick) {
                ask(member.running.process_id(), "CONT").await;
                member.frozen_until = None;
            }
        }
    }

    /// Cuts about half of all lines to Postgres, whatever they carry now.
    fn cut(&mut self) {
        let _ = self.weir.database.psql(
            "select pg_terminate_backend(pid) from pg_stat_activity
             where datname = current_database() and application_name = 'weir' and random() < 0.5",
        );
        self.done[2] += 1;
    }

    /// Waits until all that can still be had is there, and says what is wrong.
    async fn settle(mut self) -> Vec<String> {
        let calm_since = Instant::now();
        loop {
            self.start_anew();
            let missing = oracle::missing(&self.simulator.truth(), &self.weir.entries().await);
            if missing == 0 {
                break;
            }
            if calm_since.elapsed() > CALM_MAX {
                self.findings.push(format!("{missing} changes do not arrive"));
                break;
            }
            tokio::time::sleep(Duration::from_millis(500)).await;
        }
        let ledger = self.weir.ledger().await;
        loop {
            let partitions = ledger.partitions().await.unwrap();
            let end = ledger.head().await.unwrap().size;
            if partitions.iter().all(|state| state.next.0 == end) {
                break;
            }
            if calm_since.elapsed() > CALM_MAX {
                self.findings
                    .push(format!("of {end} entries, not all are routed: {partitions:?}"));
                break;
            }
            tokio::time::sleep(Duration::from_millis(500)).await;
        }
        for member in self.processes.drain(..) {
            member.running.stop().await;
        }
        let received = self.bus.received();
        let details: Vec<_> = received.iter().map(|event| &event.detail).collect();
        let (entries, dead) = (
            self.weir.entries().await,
            ledger.dead_letters(None, 1000).await.unwrap(),
        );
        self.findings
            .extend(oracle::delivered(&entries, &details, &dead, &BTreeSet::new()));
        let truth = self.simulator.truth();
        self.findings
            .extend(oracle::findings(&truth, &self.weir.entries().await));
        let verified = self.weir.command(&["verify"]).await;
        if verified.code != Some(0) {
            self.findings.push(format!("the ledger is not whole: {verified:?}"));
        }
        tell(&format!(
            "{} changes, {} events, {:?} kills, freezes and cuts, all recorded and routed {:.0?} after the storm",
            truth.changes.len(),
            received.len(),
            self.done,
            calm_since.elapsed()
        ));
        self.findings
    }
}

#[expect(clippy::print_stderr, reason = "it is measured to be read")]
fn tell(text: &str) {
    eprintln!("{text}");
}

fn number(variable: &str) -> Option<u64> {
    std::env::var(variable).ok()?.parse().ok()
}

/// streams.md 39 and 40.
#[tokio::test(flavor = "multi_thread")]
async fn through_kills_freezes_and_cut_lines_each_change_is_recorded_once_and_in_order() {
    let single = number("WEIR_OUTAGES_SEED");
    let seeds = match single {
        Some(seed) => seed..seed + 1,
        None => FIRST_SEED..FIRST_SEED + number("WEIR_OUTAGES").unwrap_or(1),
    };
    let mut failed = Vec::new();
    for seed in seeds {
        let mut outages = Outages::begin(seed).await;
        outages.rage().await;
        let findings = outages.settle().await;
        if !findings.is_empty() {
            let told = findings.iter().take(FINDINGS_TOLD).map(String::as_str);
            let told = told.collect::<Vec<_>>().join("\n  ");
            failed.push(format!(
                "WEIR_OUTAGES_SEED={seed}: {} findings\n  {told}",
                findings.len()
            ));
        }
    }
    assert!(failed.is_empty(), "{}", failed.join("\n"));
}
