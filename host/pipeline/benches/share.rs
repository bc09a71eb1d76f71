//! What share of the way into the ledger decoding is, in CPU time of Weir's process.
//!
//! ```text
//! a process of its own ── socket ──▶ client library ──▶ decode ──▶ who, seal ──▶ append ── socket ──▶ Postgres
//!                                    └───────────────── the whole path: Intake ──────────┘
//! a page in memory ─────────────────▶ client library ──▶ decode
//! ```
//!
//! Both read the same pages: 1,000 records of 1 KB items with both images (`host/streams/benches/pages`). Each round
//! measures one, then a reader of the socket that records nothing, then the other, for so many pages. The share is told twice:
//! of what Weir's process takes alone, and together with what Postgres takes meanwhile (utime and stime of its processes,
//! `proc(5)`). The source is another process and is not counted.
//!
//! The goal is a quarter of the whole path. What decoding is made of: `host/streams/benches/decode.rs`.

#![expect(clippy::unwrap_used, reason = "the source is one of the tests")]

#[path = "../../ledger/benches/appends/mod.rs"]
#[expect(dead_code, reason = "the benchmark of appends uses all of it")]
mod appends;
#[path = "../../streams/tests/support/http.rs"]
#[expect(dead_code, reason = "the tests of streams use all of it")]
mod http;
#[path = "../../streams/benches/pages/mod.rs"]
mod pages;
mod source;

use std::io::Write as _;
use std::process::ExitCode;
use std::str::FromStr as _;
use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};
use sqlx::postgres::PgConnectOptions;
use sqlx::{ConnectOptions as _, Connection as _};
use tokio_util::sync::CancellationToken;
use weir_ledger::{Ledger, Work};
use weir_model::{ShardId, StreamArn};
use weir_pipeline::{Activities, AtGap, Heart, Images, Intake, Source, SourceSettings, SourceTable, Start};
use weir_streams::{AwsAccess, DynamoDbStreams, ShardReader};

use appends::{execute, open};
use pages::{RECORDS, SHARD};
use source::{PAGES, SourceProcess};

/// As in the binary.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Rounds that are measured: enough for a median on a noisy machine.
const ROUNDS: u64 = 11;

/// Unit of CPU times in `proc(5)`: 100 a second on every Linux that Weir runs on (`getconf CLK_TCK`).
const TICKS_PER_S: f64 = 100.0;

/// CPU time of a record in one round, in microseconds.
struct Round {
    decode_us: f64,
    read_us: f64,
    whole_us: f64,
    /// What Postgres took while the whole path was measured.
    postgres_us: f64,
}

#[tokio::main]
async fn main() -> ExitCode {
    if source::is_asked_for() {
        source::serve().await;
        return ExitCode::SUCCESS;
    }
    let Ok(url) = std::env::var("WEIR_TEST_POSTGRES_URL") else {
        eprintln!(
            "there is no Postgres to measure; run: tests/with-postgres cargo bench -p weir-pipeline --bench share"
        );
        return ExitCode::FAILURE;
    };
    let is_quick = std::env::args().any(|argument| argument == "--quick");
    let maintenance = PgConnectOptions::from_str(&url).expect("WEIR_TEST_POSTGRES_URL is a Postgres URL");
    let name = format!(
        "share_bench_{:016x}",
        getrandom::u64().expect("the system has randomness")
    );
    execute(&maintenance, &format!("create database {name}")).await;
    let ledger = open(&maintenance.clone().database(&name), "share").await;
    let source = SourceProcess::start();

    let mut rounds = Vec::new();
    for number in 0..if is_quick { 2 } else { ROUNDS } {
        rounds.push(Box::pin(round(&ledger, &source, &maintenance, number)).await);
    }
    execute(&maintenance, &format!("drop database {name} with (force)")).await;
    print(&rounds);
    ExitCode::SUCCESS
}

async fn round(ledger: &Ledger, source: &SourceProcess, postgres: &PgConnectOptions, number: u64) -> Round {
    let page = pages::page(1, "second");
    let mut in_memory = pages::endless(&page).await;
    let access = source.access();
    let table = format!("table-{number}");
    let stream = StreamArn::parse(source::arn(&table)).expect("an ARN");
    let shard = ShardId::parse(SHARD).expect("a shard id");
    let mut over_socket = DynamoDbStreams::new(&access).await.read(&stream, &table, &shard, None);
    let decode_us = cpu_us_of(read(&mut in_memory)).await;
    let read_us = cpu_us_of(read(&mut over_socket)).await;
    let begun = postgres_cpu_us(postgres).await;
    let whole_us = cpu_us_of(Box::pin(record(ledger, access, table))).await;
    Round {
        decode_us,
        read_us,
        whole_us,
        postgres_us: (postgres_cpu_us(postgres).await - begun) / (PAGES * RECORDS) as f64,
    }
}

/// CPU time that the processes of Postgres took so far, in microseconds. Those of this benchmark's ledger live as long as it.
async fn postgres_cpu_us(options: &PgConnectOptions) -> f64 {
    let mut conn = options.connect().await.expect("Postgres answers");
    let pids: Vec<i32> = sqlx::query_scalar("select pid from pg_stat_activity where pid <> pg_backend_pid()")
        .fetch_all(&mut conn)
        .await
        .expect("Postgres tells its processes");
    conn.close().await.expect("Postgres says goodbye");
    let ticks = pids.iter().filter_map(|pid| {
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        // Behind the name, which may have spaces, utime and stime are the 12th and 13th.
        let fields = stat.rsplit(')').next()?.split_whitespace();
        fields
            .skip(11)
            .take(2)
            .map(|field| field.parse::<f64>().ok())
            .sum::<Option<f64>>()
    });
    ticks.sum::<f64>() * 1e6 / TICKS_PER_S
}

/// Reads as many pages as are recorded.
async fn read(reader: &mut ShardReader) {
    for _ in 0..PAGES {
        let page = reader.next_page().await.expect("the source answers");
        assert_eq!(page.records.len() as u64, RECORDS);
    }
}

/// Records a table that was never recorded, as `weir run` does.
async fn record(ledger: &Ledger, access: AwsAccess, table: String) {
    let settings = SourceSettings {
        name: table.clone(),
        table: SourceTable::Table(table),
        access,
        start: Start::TrimHorizon,
        images: Images::Both,
        actor: None,
        reads_per_second: 4,
        at_gap: AtGap::Record,
    };
    let size = ledger.head().await.expect("Postgres answers").size + PAGES * RECORDS;
    let works_at = vec![Work::Source(settings.name.clone())];
    let source = Source::prepare(settings, ledger.clone(), Activities::default()).await;
    let heart = Heart::new(ledger.clone(), "bench".to_owned(), works_at);
    let source = source.expect("the source answers");
    let intake = Intake::new(ledger.clone(), heart.member(), vec![source]);
    let stop = CancellationToken::new();
    let beating = tokio::spawn(heart.beat(stop.clone()));
    let running = tokio::spawn(intake.run(stop.clone()));
    while ledger.head().await.expect("Postgres answers").size < size {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    stop.cancel();
    running.await.expect("the intake ends").expect("it never fails");
    beating.await.expect("the heart ends");
}

/// CPU time that this process took for each record of the work, in microseconds.
async fn cpu_us_of(work: impl Future<Output = ()>) -> f64 {
    let now = || {
        let time = clock_gettime(ClockId::ProcessCPUTime);
        Duration::new(
            time.tv_sec.cast_unsigned(),
            u32::try_from(time.tv_nsec).expect("below a second"),
        )
    };
    let begun = now();
    work.await;
    (now() - begun).as_secs_f64() * 1e6 / (PAGES * RECORDS) as f64
}

fn print(rounds: &[Round]) {
    let median = |of: &dyn Fn(&Round) -> f64| {
        let mut values: Vec<f64> = rounds.iter().map(of).collect();
        values.sort_by(f64::total_cmp);
        values[values.len() / 2]
    };
    let in_process = |round: &Round| 100.0 * round.decode_us / round.whole_us;
    let in_all = |round: &Round| 100.0 * round.decode_us / (round.whole_us + round.postgres_us);
    let (low, high) = rounds
        .iter()
        .map(in_all)
        .fold((f64::MAX, f64::MIN), |(low, high), share| {
            (low.min(share), high.max(share))
        });
    writeln!(
        std::io::stdout(),
        "share: decoding is {:.0} % of the CPU time from socket to ledger ({low:.0} to {high:.0} in {} rounds of {PAGES} \
         pages), beside at most 25 %; {:.0} % of Weir's own\n  a record: {:.1} µs, of which decoding {:.1}, the socket {:.1}, \
         sealing and appending {:.1}, Postgres {:.1}",
        median(&in_all),
        rounds.len(),
        median(&in_process),
        median(&|round| round.whole_us + round.postgres_us),
        median(&|round| round.decode_us),
        median(&|round| round.read_us - round.decode_us),
        median(&|round| round.whole_us - round.read_us),
        median(&|round| round.postgres_us),
    )
    .expect("somebody reads this");
}
