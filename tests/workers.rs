//! Several Weirs on one ledger: they share the shards, and whatever happens to one of them, each change is recorded once.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use aws_sdk_dynamodb::types::AttributeValue;
use weir_dev::{DynamoDbStorage, LocalDynamoDb};
use weir_tests::{Weir, WeirProcess, ask, eventually};

/// One shard each.
const TABLES: usize = 6;

/// Longest take-over that is still one on a machine where everything waits for everything: the settings make it eight
/// seconds.
const TAKE_OVER_MAX: Duration = Duration::from_secs(20);

struct Shop {
    dynamodb: LocalDynamoDb,
    weir: Weir,
    written: u64,
}

impl Shop {
    async fn open() -> Self {
        let dynamodb = LocalDynamoDb::start(0, DynamoDbStorage::Memory).await.unwrap();
        let mut sources = String::new();
        for number in 0..TABLES {
            dynamodb.ensure_table(&table(number), "id").await.unwrap();
            sources += &format!(
                "[source.s{number}]\ntable = \"{}\"\nendpoint = \"{}\"\ntest_credentials = true\n",
                table(number),
                dynamodb.endpoint()
            );
        }
        Self {
            dynamodb,
            weir: Weir::configure(&sources),
            written: 0,
        }
    }

    /// Changes the same item of every table.
    async fn write(&mut self) {
        self.written += 1;
        for number in 0..TABLES {
            let put = self.dynamodb.client().put_item().table_name(table(number));
            put.item("id", AttributeValue::S("item".to_owned()))
                .item("version", AttributeValue::N(self.written.to_string()))
                .send()
                .await
                .unwrap();
        }
    }

    async fn recorded(&self) {
        self.weir.recorded(self.written * TABLES as u64).await;
    }

    /// Each version of each table's item is in the ledger once, in order.
    async fn check(&self) {
        let mut versions: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for entry in self.weir.records().await {
            let weir_evidence::EntryKind::Change { table, .. } = entry.entry.kind else {
                continue;
            };
            let new = entry.body.new.unwrap();
            versions
                .entry(table)
                .or_default()
                .push(weir_model::plain_json(&new)["version"].to_string());
        }
        let expected: Vec<String> = (1..=self.written).map(|version| version.to_string()).collect();
        assert_eq!(versions.len(), TABLES);
        for (table, versions) in versions {
            assert_eq!(versions, expected, "{table}");
        }
        let verified = self.weir.command(&["verify"]).await;
        assert_eq!(verified.code, Some(0), "{verified:?}");
    }

    /// Shards of each worker that is alive, as `weir leases ls` tells.
    async fn shares(&self) -> BTreeMap<i64, u64> {
        let answer = self.weir.command(&["leases", "ls", "--json"]).await;
        let Ok(answer) = serde_json::from_str::<serde_json::Value>(&answer.stdout) else {
            return BTreeMap::new();
        };
        let workers = answer["workers"].as_array().unwrap();
        workers
            .iter()
            .map(|worker| (worker["worker"].as_i64().unwrap(), worker["shards"].as_u64().unwrap()))
            .collect()
    }

    /// The shards that a process reads.
    fn read_by(&self, process: u32) -> Vec<String> {
        let shards = self.weir.database.psql(&format!(
            "select shard from shard join worker using (worker_id) where name like '%/{process}' order by shard"
        ));
        shards.lines().map(str::to_owned).collect()
    }

    /// How far each of these shards is recorded.
    fn recorded_of(&self, shards: &[String]) -> Vec<String> {
        let shards = shards.join("', '");
        let positions = self.weir.database.psql(&format!(
            "select coalesce(position, '-') from shard where shard in ('{shards}') order by stream_id, shard"
        ));
        positions.lines().map(str::to_owned).collect()
    }

    async fn shared_as(&self, wanted: &[u64]) -> BTreeMap<i64, u64> {
        eventually(&format!("shards are shared as {wanted:?}"), async || {
            let shares = self.shares().await;
            let mut counts: Vec<u64> = shares.values().copied().collect();
            counts.sort_unstable();
            (counts == wanted).then_some(shares)
        })
        .await
    }
}

#[expect(clippy::print_stderr, reason = "it is measured to be read")]
fn tell(text: &str) {
    eprintln!("{text}");
}

fn table(number: usize) -> String {
    format!("worker-orders-{number}")
}

#[tokio::test(flavor = "multi_thread")]
async fn three_workers_share_the_shards_and_two_take_over_what_a_third_leaves_when_it_is_killed() {
    let mut shop = Shop::open().await;
    let first = shop.weir.run(None);
    shop.shared_as(&[6]).await;
    shop.write().await;
    let others: [WeirProcess; 2] = [shop.weir.run_beside("b"), shop.weir.run_beside("c")];
    shop.shared_as(&[2, 2, 2]).await;
    shop.write().await;
    shop.recorded().await;

    let [second, third] = others;
    third.kill().await;
    let killed = Instant::now();
    shop.write().await;
    shop.recorded().await;
    let took = killed.elapsed();
    assert!(took < TAKE_OVER_MAX, "{took:?}");
    shop.shared_as(&[3, 3]).await;

    // One that stops in good order leaves nothing to wait for.
    second.stop().await;
    shop.shared_as(&[6]).await;
    shop.write().await;
    shop.recorded().await;
    let shown = shop.weir.command(&["shards"]).await;
    assert_eq!(shown.stdout.matches("  read  by ").count(), TABLES, "{}", shown.stdout);
    assert!(shown.stdout.contains("6 shards, "), "{}", shown.stdout);
    first.stop().await;
    shop.check().await;
}

/// `make takeover` does it often enough to tell how long it takes on this machine.
#[tokio::test(flavor = "multi_thread")]
async fn what_a_killed_worker_read_is_recorded_by_others_within_the_time_of_a_lease_and_a_few_looks() {
    let given = std::env::var("WEIR_TAKE_OVERS")
        .ok()
        .and_then(|count| count.parse().ok());
    let mut shop = Shop::open().await;
    let mut running = vec![shop.weir.run(None)];
    shop.shared_as(&[6]).await;
    running.extend(["b", "c"].map(|name| shop.weir.run_beside(name)));
    for turn in 0..given.unwrap_or(1) {
        shop.shared_as(&[2, 2, 2]).await;
        shop.write().await;
        shop.recorded().await;
        // Each in turn, but the first: it answers.
        let killed = running.remove(1);
        let theirs = shop.read_by(killed.process_id());
        let before = shop.recorded_of(&theirs);
        killed.kill().await;
        let since = Instant::now();
        shop.write().await;
        let first = eventually("another worker records", async || {
            let moved = shop
                .recorded_of(&theirs)
                .iter()
                .zip(&before)
                .any(|(now, then)| now != then);
            moved.then(|| since.elapsed())
        })
        .await;
        shop.recorded().await;
        tell(&format!(
            "take-over {turn}: first record after {first:.1?}, all {} shards after {:.1?}",
            theirs.len(),
            since.elapsed()
        ));
        assert!(first < TAKE_OVER_MAX, "{first:?}");
        running.push(shop.weir.run_beside(&format!("d{turn}")));
    }
    for process in running {
        process.stop().await;
    }
    shop.check().await;
}

/// streams.md 39: a worker that froze for longer than its lease wakes up and believes that it still has its shards.
#[tokio::test(flavor = "multi_thread")]
async fn a_worker_that_froze_for_longer_than_its_lease_records_nothing_twice() {
    let mut shop = Shop::open().await;
    let first = shop.weir.run(None);
    shop.shared_as(&[6]).await;
    let second = shop.weir.run_beside("b");
    shop.shared_as(&[3, 3]).await;
    for _ in 0..2 {
        ask(second.process_id(), "STOP").await;
        shop.write().await;
        shop.shared_as(&[6]).await;
        shop.recorded().await;
        shop.write().await;
        ask(second.process_id(), "CONT").await;
        shop.write().await;
        shop.recorded().await;
        shop.shared_as(&[3, 3]).await;
    }
    second.stop().await;
    first.stop().await;
    shop.check().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_that_is_drained_hands_everything_over_and_takes_nothing_until_it_is_resumed() {
    let mut shop = Shop::open().await;
    let first = shop.weir.run(None);
    shop.shared_as(&[6]).await;
    let second = shop.weir.run_beside("b");
    let shares = shop.shared_as(&[3, 3]).await;
    let drained = shares.keys().next_back().unwrap().to_string();
    shop.write().await;
    let answer = shop.weir.command(&["leases", "drain", &drained]).await;
    assert_eq!(answer.code, Some(0), "{answer:?}");
    assert!(
        answer.stdout.contains("0 shards, 0 partitions of routes  draining"),
        "{answer:?}"
    );
    shop.shared_as(&[0, 6]).await;
    shop.write().await;
    shop.recorded().await;
    let resumed = shop.weir.command(&["leases", "resume", &drained]).await;
    assert_eq!(resumed.code, Some(0), "{resumed:?}");
    shop.shared_as(&[3, 3]).await;
    let unknown = shop.weir.command(&["leases", "drain", "999"]).await;
    assert_eq!(
        (unknown.code, unknown.stderr.contains("there is no worker 999")),
        (Some(1), true),
        "{unknown:?}"
    );
    second.stop().await;
    first.stop().await;
    shop.check().await;
}
