//! Many shards on one worker: all open and written to, all rotated, and rotated again.
//!
//! `make crowd` does it with a thousand, on an optimised build, and prints what it measured; `WEIR_CROWD=<shards>` says how
//! many.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::time::Instant;

use weir_simulator::{Limits, Resharding, Setup, Simulator, TableSetup};
use weir_tests::{Footprint, Weir, WeirProcess, eventually, oracle};

const TABLE: &str = "crowd-orders";

/// Shards in the suite. A machine that builds and tests all the rest beside it carries no more.
const SHARDS: usize = 150;

/// Changes of each shard, about, in each generation.
const CHANGES_PER_SHARD: usize = 20;

/// Most memory that Weir may ever have resident.
const RESIDENT_BYTES_MAX: u64 = 300 << 20;

/// Reads of a shard that are looked at while nothing comes.
const IDLE_READS: u64 = 5;

/// A Weir that records many shards.
struct Crowd {
    shards: usize,
    simulator: Simulator,
    weir: Weir,
    running: WeirProcess,
    written: usize,
}

impl Crowd {
    async fn gather(shards: usize) -> Self {
        let table = TableSetup {
            shards,
            ..TableSetup::new(TABLE)
        };
        let setup = Setup {
            tables: vec![table],
            limits: Limits::documented(),
            ..Setup::default()
        };
        let simulator = Simulator::start(setup).await.unwrap();
        // Limits are counted by the simulator's clock.
        let clock = simulator.clone();
        tokio::spawn(async move { clock.run_in_real_time().await });
        let weir = Weir::of_simulator(&simulator, TABLE);
        let written = simulator
            .change_some(TABLE, shards as u64 * 10, shards * CHANGES_PER_SHARD)
            .unwrap()
            .len();
        let running = weir.run(None);
        Self {
            shards,
            simulator,
            weir,
            running,
            written,
        }
    }

    fn write(&mut self) {
        let written = self
            .simulator
            .change_some(TABLE, self.shards as u64 * 10, self.shards * CHANGES_PER_SHARD)
            .unwrap();
        self.written += written.len();
    }

    /// All shards give way to children, every third of which is listed late, and many begin with what their parents ended
    /// with.
    fn rotate(&self) {
        for (number, shard) in self.simulator.open_shards(TABLE).unwrap().iter().enumerate() {
            let how = Resharding {
                repeats: number % 4,
                renumbered: number % 8 >= 4,
                late_ms: if number % 3 == 0 { 5_000 } else { 0 },
                ..Resharding::default()
            };
            self.simulator.rotate(TABLE, Some(shard), &how).unwrap();
        }
    }

    /// Waits until everything that was written is recorded, and tells what it took.
    async fn settles(&self, what: &str) {
        let (began, before) = (Instant::now(), self.footprint());
        self.weir.recorded(self.written as u64).await;
        self.tell(what, began, before);
    }

    /// Waits until every shard was read so many times, while nothing comes.
    async fn idles(&self) {
        let reads = |simulator: &Simulator| simulator.calls()["GetRecords"].calls;
        let (began, before, first) = (Instant::now(), self.footprint(), reads(&self.simulator));
        let wanted = first + IDLE_READS * self.shards as u64;
        eventually("shards are read while nothing comes", async || {
            (reads(&self.simulator) >= wanted).then_some(())
        })
        .await;
        self.tell("idle", began, before);
    }

    fn footprint(&self) -> Footprint {
        Footprint::of(self.running.process_id())
    }

    #[expect(clippy::print_stderr, reason = "it is measured to be read")]
    fn tell(&self, what: &str, began: Instant, before: Footprint) {
        let (took, after) = (began.elapsed(), self.footprint());
        let processor = after.processor.saturating_sub(before.processor);
        eprintln!(
            "{} shards, {what}: {took:.1?}, {:.2} of a core, {} MiB resident at most; calls so far {:?}",
            self.shards,
            processor.as_secs_f64() / took.as_secs_f64(),
            after.resident_bytes_max >> 20,
            self.simulator.calls(),
        );
    }
}

/// streams.md 10, 21 and 24.
#[tokio::test(flavor = "multi_thread")]
async fn a_crowd_of_shards_that_rotates_converges_within_the_memory_and_the_calls_that_it_may_have() {
    let given = std::env::var("WEIR_CROWD").ok().and_then(|shards| shards.parse().ok());
    let mut crowd = Crowd::gather(given.unwrap_or(SHARDS)).await;
    crowd.settles("all open").await;
    for generation in ["rotated", "rotated again"] {
        crowd.write();
        crowd.rotate();
        crowd.write();
        crowd.settles(generation).await;
    }
    crowd.weir.ready_is(200).await;
    crowd.idles().await;

    let calls = crowd.simulator.calls();
    let resident = crowd.footprint().resident_bytes_max;
    crowd.running.stop().await;
    let findings = oracle::findings(&crowd.simulator.truth(), &crowd.weir.entries().await);
    assert_eq!(findings, Vec::<String>::new());
    let verified = crowd.weir.command(&["verify"]).await;
    assert_eq!(verified.code, Some(0), "{verified:?}");
    assert!(resident < RESIDENT_BYTES_MAX, "{resident} bytes");
    assert!(calls["DescribeStream"].per_second_max <= 10, "{calls:?}");
    assert!(calls["ListStreams"].per_second_max <= 5, "{calls:?}");
    // Four, and one more where two seconds of the simulator meet.
    assert!(calls["GetRecords"].per_second_and_shard_max <= 5, "{calls:?}");
}
