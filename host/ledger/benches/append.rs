//! What the ledger costs above Postgres: `Ledger::append` beside binary COPY of the same rows.
//!
//! ```text
//! append: lock head, check shard, COPY (partition, checks, triggers), head, shard, commit     one row of ledger_head
//! floor:  COPY                                                                                and no lock
//! ```
//!
//! The floor is a logged table with the same columns, storage and primary key, without partitions, checks and triggers,
//! on one connection of its own to the same database: what Postgres takes of these rows at most. Records are sealed
//! beforehand, as intake does (its cost: `host/evidence/benches/seal.rs`). A batch of one then of the other is one turn.
//!
//! | benchmark | path | beside | goal, as a share of its rate |
//! | --- | --- | --- | --- |
//! | `append/100`, `/1000`, `/5000` | one writer | COPY | 0.80 from 1,000 on, never below 0.65 |
//! | `grown/1000` | the same behind `WEIR_BENCH_ROWS` entries (5 million) | COPY | the same |
//! | `group/8` | 8 writers of 100 rows, gathered by one process | 8 writers that queue at the head's lock | 3 times |
//!
//! Machines are noisy: compare the ratios, not the times.
//!
//! `tests/with-postgres` runs its server with fsync and full-page writes off, so a commit costs next to nothing there,
//! and what is seen is work, not waiting for the disk: the harder test for the ratio. On a durable server both sides
//! wait for one flush per batch and move together. To see that, name a server of your own, and a role that may create
//! databases; the benchmark makes one, `ledger_bench_<random>`, and drops it at the end:
//!
//! ```text
//! WEIR_TEST_POSTGRES_URL=postgres://user@host/postgres cargo bench -p weir-ledger --bench append
//! ```

mod appends;
#[path = "../../evidence/benches/beside/mod.rs"]
mod beside;

use std::process::ExitCode;
use std::str::FromStr as _;
use std::time::Duration;

use criterion::Criterion;
use sqlx::postgres::PgConnectOptions;
use sqlx::{ConnectOptions as _, PgConnection};
use tokio::runtime::Runtime;
use weir_evidence::{Frontier, leaf_hash, node_hash};
use weir_ledger::{Ledger, SealedRecord};

use appends::{Appends, body, execute, open};
use beside::{Beside, beside};

/// Bytes handed to the connection at a time, the append's own number.
const COPY_CHUNK_BYTES: usize = 64 << 10;

fn main() -> ExitCode {
    let Ok(url) = std::env::var("WEIR_TEST_POSTGRES_URL") else {
        eprintln!(
            "there is no Postgres to measure; run: tests/with-postgres cargo bench -p weir-ledger --bench append"
        );
        return ExitCode::FAILURE;
    };
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("the system has a poller");
    // Both tables grow while this runs, a gigabyte in ten seconds on a fast machine: enough is as good as a feast.
    let mut criterion = Criterion::default()
        .warm_up_time(Duration::from_secs(1))
        .measurement_time(Duration::from_secs(4))
        .sample_size(10)
        .configure_from_args();
    let maintenance = PgConnectOptions::from_str(&url).expect("WEIR_TEST_POSTGRES_URL is a Postgres URL");
    let name = format!(
        "ledger_bench_{:016x}",
        getrandom::u64().expect("the system has randomness")
    );
    runtime.block_on(execute(&maintenance, &format!("create database {name}")));

    let options = maintenance.clone().database(&name);

    for count in [100, 1000, 5000] {
        let ledger = runtime.block_on(open(&options, &format!("batches-of-{count}")));
        beside_copy(
            &mut criterion,
            &runtime,
            &options,
            &ledger,
            &format!("append/{count}"),
            count,
        );
    }
    beside_lock(&mut criterion, &runtime, &options);
    let rows = std::env::var("WEIR_BENCH_ROWS").map_or(5_000_000, |rows| rows.parse().expect("a number of rows"));
    // Filling takes a minute: only for who wants it.
    if is_wanted("grown/1000") {
        let ledger = runtime.block_on(async {
            let name = format!("grown-to-{rows}");
            let ledger = open(&options, &name).await;
            fill(&options, &name, rows).await;
            // As a process that is started on such a ledger.
            drop(ledger);
            open(&options, &name).await
        });
        beside_copy(&mut criterion, &runtime, &options, &ledger, "grown/1000", 1000);
    }
    criterion.final_summary();

    runtime.block_on(execute(&maintenance, &format!("drop database {name} with (force)")));
    ExitCode::SUCCESS
}

/// Whether the command line wants this benchmark.
fn is_wanted(name: &str) -> bool {
    let filters: Vec<String> = std::env::args()
        .skip(1)
        .filter(|argument| !argument.starts_with('-'))
        .collect();
    filters.is_empty() || filters.iter().any(|filter| name.contains(filter.as_str()))
}

/// Appends of one writer beside COPY of the same rows.
fn beside_copy(
    criterion: &mut Criterion,
    runtime: &Runtime,
    options: &PgConnectOptions,
    ledger: &Ledger,
    path: &str,
    count: u64,
) {
    let mut appends = runtime.block_on(Appends::new(ledger, "shard", count));
    let mut copies = runtime.block_on(Copies::new(options, &appends.records));
    let floor = format!("binary COPY of {count} rows of {} bytes", appends.row_bytes());
    let floor = floor.as_str();
    beside(
        criterion,
        Beside { path, floor, count },
        || runtime.block_on(appends.append()),
        || runtime.block_on(copies.copy()),
    );
}

/// Writers of one process, which gathers what they append, beside as many processes that queue at the head.
fn beside_lock(criterion: &mut Criterion, runtime: &Runtime, options: &PgConnectOptions) {
    const WRITERS: usize = 8;
    const ROWS: u64 = 100;
    let writers = async |name: &str, of_one_process: bool| {
        let ledger = open(options, name).await;
        let mut writers = Vec::new();
        for number in 0..WRITERS {
            let own = if of_one_process {
                ledger.clone()
            } else {
                open(options, name).await
            };
            writers.push(Appends::new(&own, &format!("shard-{number}"), ROWS).await);
        }
        writers
    };
    let mut gathered = runtime.block_on(writers("gathered", true));
    let mut queueing = runtime.block_on(writers("queueing", false));
    let all = async |writers: &mut Vec<Appends>| {
        futures_util::future::join_all(writers.iter_mut().map(Appends::append)).await;
    };
    beside(
        criterion,
        Beside {
            path: "group/8",
            floor: "8 writers of 100 rows that queue at the head's lock",
            count: WRITERS as u64 * ROWS,
        },
        || runtime.block_on(all(&mut gathered)),
        || runtime.block_on(all(&mut queueing)),
    );
}

/// Fills a new ledger with small entries that are all the same, with the tree over them.
async fn fill(options: &PgConnectOptions, name: &str, rows: u64) {
    let leaf = leaf_hash(b"filler");
    let mut perfect = vec![leaf];
    for level in 0..63 {
        perfect.push(node_hash(&perfect[level], &perfect[level]));
    }
    let roots: Vec<u8> = (0..64)
        .rev()
        .filter(|bit| rows >> bit & 1 == 1)
        .flat_map(|bit| perfect[bit])
        .collect();
    let frontier = Frontier::from_bytes(rows, &roots).expect("one root for each bit");
    let id = format!("(select ledger_id from ledger where name = '{name}')");
    let mut sql = format!(
        "select ensure_entry_partitions({id}, {rows});
         insert into entry (ledger_id, position, entry) select {id}, position, 'filler' from generate_series(0, {rows} - 1) as position;
         update ledger_head set size = {rows}, root = '\\x{}', frontier = '\\x{}' where ledger_id = {id};",
        hex::encode(frontier.root()),
        hex::encode(frontier.to_bytes()),
    );
    for level in 0..3 {
        let (hash, tiles) = (hex::encode(perfect[8 * level]), rows >> (8 * (level + 1)));
        sql += &format!(
            "insert into tile select {id}, {level}, index, decode(repeat('{hash}', 256), 'hex') from generate_series(0, {tiles} - 1) as index;"
        );
    }
    execute(options, &sql).await;
}

/// The floor: the same rows, in a transaction that does nothing else.
struct Copies {
    conn: PgConnection,
    records: Vec<SealedRecord>,
    position: i64,
}

impl Copies {
    async fn new(options: &PgConnectOptions, records: &[SealedRecord]) -> Self {
        let mut conn = options.connect().await.expect("the database was just made");
        let table = "
            drop table if exists copied;
            create table copied (like entry including storage including indexes);
            set synchronous_commit = on;
        ";
        sqlx::raw_sql(table)
            .execute(&mut conn)
            .await
            .expect("a table like entry");
        Self {
            conn,
            records: records.to_vec(),
            position: 0,
        }
    }

    async fn copy(&mut self) {
        let mut copy = self
            .conn
            .copy_in_raw(
                "copy copied (ledger_id, position, lane, body_key, entry, body) from stdin with (format binary)",
            )
            .await
            .expect("Postgres takes rows");
        let mut rows = Vec::with_capacity(2 * COPY_CHUNK_BYTES);
        rows.extend_from_slice(b"PGCOPY\n\xff\r\n\0\0\0\0\0\0\0\0\0");
        for record in &self.records {
            rows.extend_from_slice(&6_i16.to_be_bytes());
            field(&mut rows, &1_i32.to_be_bytes());
            field(&mut rows, &self.position.to_be_bytes());
            field(
                &mut rows,
                &i16::from(record.lane().expect("a change has a lane")).to_be_bytes(),
            );
            field(&mut rows, &body(record).key.to_be_bytes());
            field(&mut rows, &record.entry);
            field(&mut rows, &body(record).sealed.0);
            self.position += 1;
            if rows.len() >= COPY_CHUNK_BYTES {
                copy.send(std::mem::take(&mut rows)).await.expect("Postgres takes rows");
            }
        }
        rows.extend_from_slice(&(-1_i16).to_be_bytes());
        copy.send(rows).await.expect("Postgres takes rows");
        copy.finish().await.expect("Postgres takes rows");
    }
}

fn field(rows: &mut Vec<u8>, value: &[u8]) {
    let length = i32::try_from(value.len()).expect("entries and bodies are below 2 GiB");
    rows.extend_from_slice(&length.to_be_bytes());
    rows.extend_from_slice(value);
}
