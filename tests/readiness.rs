//! What `/readyz` says of a source that gives nothing more: red within a minute, with what stands still by name, and green
//! again by itself.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use weir_simulator::{Fault, FaultRule, Resharding, Setup, Simulator, TableSetup};
use weir_tests::{Weir, eventually, oracle};

const TABLE: &str = "ready-orders";

/// Shards of the table.
const SHARDS: usize = 3;

/// How long data may stand still before readiness says so.
const RED_AFTER_MAX: Duration = Duration::from_secs(60);

/// A Weir that records a simulated table, and reads it well.
struct Case {
    simulator: Simulator,
    weir: Weir,
    running: weir_tests::WeirProcess,
}

impl Case {
    async fn begin() -> Self {
        let table = TableSetup {
            shards: SHARDS,
            ..TableSetup::new(TABLE)
        };
        let setup = Setup {
            tables: vec![table],
            ..Setup::default()
        };
        let simulator = Simulator::start(setup).await.unwrap();
        let weir = Weir::of_simulator(&simulator, TABLE);
        let running = weir.run(None);
        let case = Self {
            simulator,
            weir,
            running,
        };
        case.write();
        case.arrives(0).await;
        case.weir.ready_is(200).await;
        case
    }

    /// Changes items of every shard, and returns how many of the changes are of each.
    fn write(&self) -> BTreeMap<String, usize> {
        let written = self.simulator.change_some(TABLE, 60, 200).unwrap();
        let truth = self.simulator.truth();
        let mut by_shard = BTreeMap::new();
        for change in truth.recorded().filter(|change| written.contains(&change.number)) {
            let shard = change.record.as_ref().unwrap().shard.clone();
            *by_shard.entry(shard).or_default() += 1;
        }
        by_shard
    }

    /// Waits until all but so many changes are in the ledger.
    async fn arrives(&self, but: usize) {
        eventually(&format!("all but {but} changes are recorded"), async || {
            let missing = oracle::missing(&self.simulator.truth(), &self.weir.entries().await);
            (missing == but).then_some(())
        })
        .await;
    }

    /// Waits until readiness is red and says this, and nothing else.
    async fn turns_red(&self, since: Instant, says: &str) {
        let told = self.weir.ready_is(503).await;
        let took = since.elapsed();
        assert!(took < RED_AFTER_MAX, "{took:?}");
        assert!(told.contains(says) && told.lines().count() == 1, "{told}");
        let alive = self.weir.get("/livez").await;
        assert_eq!(alive.map(|(status, _)| status), Some(200));
        self.standstills_are(1).await;
    }

    /// What `/metrics` counts.
    async fn standstills_are(&self, count: usize) {
        let (status, figures) = self.weir.get("/metrics").await.unwrap();
        assert_eq!(status, 200);
        let expected = format!("weir_standstills {count}");
        assert!(figures.lines().any(|line| line == expected), "{expected}: {figures}");
    }

    /// Ends the fault: readiness turns green, and what waited is recorded once.
    async fn recovers(self) {
        self.simulator.clear_faults();
        self.weir.ready_is(200).await;
        self.arrives(0).await;
        self.standstills_are(0).await;
        self.running.stop().await;
        let findings = oracle::findings(&self.simulator.truth(), &self.weir.entries().await);
        assert_eq!(findings, Vec::<String>::new());
    }
}

async fn a_shard_cannot_be_read(fault: Fault) {
    let case = Case::begin().await;
    let shard = case.simulator.open_shards(TABLE).unwrap().remove(1);
    let rule = FaultRule::next("GetRecords", fault).on_shard(&shard);
    case.simulator.queue_fault(rule.times(u32::MAX));
    let since = Instant::now();
    let written = case.write();
    assert_eq!(written.len(), SHARDS);
    // The others are recorded meanwhile.
    case.arrives(written[&shard]).await;
    case.turns_red(since, &format!("shard {shard} has not moved")).await;
    case.recovers().await;
}

async fn a_stream_cannot_be_described(fault: Fault) {
    let case = Case::begin().await;
    let rule = FaultRule::next("DescribeStream", fault);
    case.simulator.queue_fault(rule.times(u32::MAX));
    let since = Instant::now();
    // Its child is not found.
    case.simulator.rotate(TABLE, None, &Resharding::default()).unwrap();
    case.write();
    case.turns_red(since, "source shop cannot be asked for its shards")
        .await;
    case.recovers().await;
}

/// streams.md 22. Together in one test, for all it does is wait.
#[tokio::test(flavor = "multi_thread")]
async fn readiness_turns_red_within_a_minute_of_a_standstill_names_it_and_turns_green_by_itself() {
    tokio::join!(
        a_shard_cannot_be_read(Fault::Hang),
        a_shard_cannot_be_read(Fault::InternalServerError),
        a_stream_cannot_be_described(Fault::Hang),
        a_stream_cannot_be_described(Fault::InternalServerError),
    );
}
