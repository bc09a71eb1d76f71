//! How long a change waits for its signature: from the commit of an append to the signed checkpoint that covers it.
//!
//! ```text
//! append commits ──▶ publisher wakes ──▶ consistency proof from tiles ──▶ sign ──▶ guard (fsync) ──▶ stored ──▶ seen here
//!                └── at most the 250 ms between two checkpoints
//! ```
//!
//! | benchmark | what is appended | goal |
//! | --- | --- | --- |
//! | `publish/idle` | 10 changes, then a pause of 300 to 700 ms | p99 under 1 s |
//! | `publish/busy` | batches of 1,000, one right after the other | p99 under 1 s |
//!
//! What is told beside it is the floor that the pace sets: nothing is faster than the mean wait of half an interval where
//! one checkpoint follows the other.

#[path = "../../ledger/benches/appends/mod.rs"]
mod appends;

use std::io::Write as _;
use std::process::ExitCode;
use std::str::FromStr as _;
use std::time::{Duration, Instant};

use sqlx::postgres::PgConnectOptions;
use tokio_util::sync::CancellationToken;
use weir_pipeline::{Guard, Publication, Publisher, PublisherSettings};

use appends::{Appends, execute, open};

/// Appends that are measured: enough for a p99.
const APPENDS: usize = 300;

#[tokio::main]
async fn main() -> ExitCode {
    let Ok(url) = std::env::var("WEIR_TEST_POSTGRES_URL") else {
        eprintln!(
            "there is no Postgres to measure; run: tests/with-postgres cargo bench -p weir-pipeline --bench publish"
        );
        return ExitCode::FAILURE;
    };
    let is_quick = std::env::args().any(|argument| argument == "--quick");
    let count = if is_quick { APPENDS / 10 } else { APPENDS };
    let maintenance = PgConnectOptions::from_str(&url).expect("WEIR_TEST_POSTGRES_URL is a Postgres URL");
    let random = getrandom::u64().expect("the system has randomness");
    let name = format!("publish_bench_{random:016x}");
    execute(&maintenance, &format!("create database {name}")).await;
    let options = maintenance.clone().database(&name);
    measure(&options, "publish/idle", count, 10, |turn| {
        Duration::from_millis(300 + turn * 7919 % 400)
    })
    .await;
    measure(&options, "publish/busy", count, 1000, |_| Duration::ZERO).await;
    execute(&maintenance, &format!("drop database {name} with (force)")).await;
    ExitCode::SUCCESS
}

/// Appends so many batches of so many changes, and tells how long each waited for its checkpoint.
async fn measure(options: &PgConnectOptions, path: &str, count: usize, changes: u64, pause: impl Fn(u64) -> Duration) {
    let ledger = open(options, &path.replace('/', "-")).await;
    let folder = tempfile::tempdir().expect("there is room for a guard");
    let settings = PublisherSettings {
        origin: format!("bench.example/{path}"),
        seeds: vec!["11".repeat(32).into()],
        guard: Guard::in_file(folder.path().join("guard")),
        witnesses: Vec::new(),
    };
    let prepared = Publisher::prepare(ledger.clone(), settings).await;
    let (mut publisher, publication) = prepared.expect("the guard is made");
    let stop = CancellationToken::new();
    let running = tokio::spawn({
        let stop = stop.clone();
        async move { publisher.run(stop).await }
    });
    let mut appends = Appends::new(&ledger, "shard", changes).await;

    let mut waiting = Vec::new();
    for turn in 0..count as u64 {
        appends.append().await;
        let size = ledger.head().await.expect("Postgres answers").size;
        waiting.push(tokio::spawn(until_signed(publication.clone(), size, Instant::now())));
        tokio::time::sleep(pause(turn)).await;
    }
    let mut waited = Vec::with_capacity(waiting.len());
    for signed in waiting {
        waited.push(signed.await.expect("the publisher signs"));
    }
    stop.cancel();
    running.await.expect("the publisher ends").expect("it never fails");

    waited.sort_unstable();
    let at = |share: usize| waited[(waited.len() * share / 100).min(waited.len() - 1)];
    let (median, p99) = (at(50), at(99));
    let (count, bytes) = (waited.len(), appends.row_bytes());
    writeln!(
        std::io::stdout(),
        "{path}: from commit to signed checkpoint {median:.0?} at the median, {p99:.0?} at p99, of {count} appends of \
         {changes} rows of {bytes} bytes, beside at most 250 ms between checkpoints"
    )
    .expect("somebody reads this");
}

async fn until_signed(publication: Publication, size: u64, committed: Instant) -> Duration {
    let mut status = publication.watch();
    let signed = status.wait_for(|status| status.size >= size).await;
    assert!(signed.is_ok(), "the publisher is gone");
    committed.elapsed()
}
