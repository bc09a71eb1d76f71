//! What every test here stands on: a database of its own, processes on it, records for it, and the truth about it.

mod cuts;
mod deliveries;
mod grouped;
mod recorded;
mod records;
mod wire;

use std::str::FromStr as _;
use std::time::{Duration, Instant};

use sqlx::postgres::PgConnectOptions;
use sqlx::{AssertSqlSafe, ConnectOptions as _, Connection as _, PgConnection};
use weir_evidence::LedgerSecret;
use weir_ledger::{ClaimError, Database, Ledger, LedgerSettings, NewShard, NewStream, Role, ShardLease, WorkerId};
use weir_model::{LedgerName, ShardId, StreamArn};

pub(crate) use cuts::at_every_cut;
pub(crate) use deliveries::{dead_letter, parked};
pub(crate) use grouped::{head_locked, in_one_group, transactions};
pub(crate) use recorded::recorded;
pub(crate) use records::{
    CONFIG, HAPPENED_S, append, append_end, attributes, batch, end, gap, item_keys, number, read, seal, seal_body,
    seal_body_at, seal_entry, seal_items, seal_large, seal_unknown, shown, token, told,
};
pub(crate) use wire::{Fault, Strike, Wire};

/// Longer than anything here takes on a loaded machine.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

const ARN: &str = "arn:aws:dynamodb:eu-west-1:000000000000:table/orders/stream/2026-03-01T00:00:00.000";
pub(crate) const TABLE: &str = "orders";

/// A database without a schema.
pub(crate) struct EmptyDatabase {
    options: PgConnectOptions,
}

impl EmptyDatabase {
    pub(crate) async fn new() -> Self {
        let maintenance = std::env::var("WEIR_TEST_POSTGRES_URL")
            .expect("there is no Postgres to test with; run: tests/with-postgres cargo test -p weir-ledger");
        let options = PgConnectOptions::from_str(&maintenance).unwrap();
        let name = format!("ledger_test_{:016x}", random());
        let mut conn = options.connect().await.unwrap();
        sqlx::query(AssertSqlSafe(format!("create database {name}")))
            .execute(&mut conn)
            .await
            .unwrap();
        conn.close().await.unwrap();
        Self {
            options: options.database(&name),
        }
    }

    pub(crate) async fn connect(&self) -> Database {
        connect(self.options.to_url_lossy().as_str()).await
    }

    /// A line to the database that is none of Weir's.
    pub(crate) async fn conn(&self) -> PgConnection {
        self.options.connect().await.unwrap()
    }
}

/// Batches are closed by what tests do, not by how long that takes.
const BATCH_INTERVAL: Duration = Duration::from_secs(86_400);

async fn connect(url: &str) -> Database {
    let settings = LedgerSettings {
        batch_interval: BATCH_INTERVAL,
        ..LedgerSettings::default()
    };
    Database::connect(url, Role::Writer)
        .await
        .unwrap()
        .with_settings(settings)
}

/// A ledger named `main` with one stream.
pub(crate) struct World {
    pub(crate) database: EmptyDatabase,
    pub(crate) ledger: Ledger,
    pub(crate) stream_id: i32,
    /// Who holds what tests take. Its heart does not beat: only a test about leases waits so long.
    worker: WorkerId,
}

impl World {
    pub(crate) async fn new() -> Self {
        let database = EmptyDatabase::new().await;
        let connected = database.connect().await;
        connected.migrate().await.unwrap();
        let ledger = connected.open_or_create(&name("main"), secret()).await.unwrap();
        let stream_id = enter_stream(&ledger, ARN).await;
        let worker = ledger.enter_worker("test", None, &[], None).await.unwrap();
        Self {
            database,
            ledger,
            stream_id,
            worker,
        }
    }

    /// Makes the first partitions: what happens where two processes do so at once is told in `partitions`.
    pub(crate) async fn make_partitions(&self) {
        let sql = "select ensure_entry_partitions(ledger_id, 0) from ledger";
        sqlx::raw_sql(sql).execute(&mut self.conn().await).await.unwrap();
    }

    /// Another process, which closes batches that have been open for so long.
    pub(crate) async fn process_with(&self, batch_interval: Duration) -> Ledger {
        let database = self.database.connect().await;
        let database = database.with_settings(LedgerSettings {
            batch_interval,
            ..LedgerSettings::default()
        });
        database.open(&name("main"), secret()).await.unwrap()
    }

    /// Another process on the same ledger; also the same one after a restart.
    pub(crate) async fn process(&self) -> Ledger {
        self.database
            .connect()
            .await
            .open(&name("main"), secret())
            .await
            .unwrap()
    }

    /// A process that reaches Postgres over `wire`.
    pub(crate) async fn process_over(&self, wire: &Wire) -> Ledger {
        let database = connect(&wire.url()).await;
        database.open(&name("main"), secret()).await.unwrap()
    }

    pub(crate) fn wire(&self) -> Wire {
        Wire::to(&self.database.options)
    }

    pub(crate) async fn conn(&self) -> PgConnection {
        self.database.conn().await
    }

    /// Enters a shard and takes it.
    pub(crate) async fn lease(&self, shard: &str) -> ShardLease {
        self.enter(shard, None).await;
        self.claim(&self.ledger, shard).await.unwrap()
    }

    pub(crate) async fn enter(&self, shard: &str, parent: Option<&str>) {
        self.ledger
            .enter_shards(self.stream_id, &[new_shard(shard, parent)], jiff::Timestamp::UNIX_EPOCH)
            .await
            .unwrap();
    }

    pub(crate) async fn claim(&self, ledger: &Ledger, shard: &str) -> Result<ShardLease, ClaimError> {
        ledger
            .claim_shard(self.worker, self.stream_id, &ShardId::parse(shard).unwrap())
            .await
    }

    /// Runs SQL as an intruder who owns the database: no trigger fires.
    pub(crate) async fn tamper(&self, sql: &str) {
        let mut conn = self.conn().await;
        let sql = format!("set session_replication_role = replica; {sql}");
        sqlx::raw_sql(AssertSqlSafe(sql)).execute(&mut conn).await.unwrap();
    }

    /// What stands in the database, one line per shard; fails where the ledger is not whole.
    pub(crate) async fn recorded(&self) -> String {
        recorded(&mut self.conn().await, "main").await
    }
}

/// A shard as it is found, of which nothing more is known.
pub(crate) fn new_shard(shard: &str, parent: Option<&str>) -> NewShard {
    NewShard {
        shard: ShardId::parse(shard).unwrap(),
        parent: parent.map(|parent| ShardId::parse(parent).unwrap()),
        owed_from: None,
        is_orphan: false,
    }
}

pub(crate) fn name(name: &str) -> LedgerName {
    LedgerName::parse(name).unwrap()
}

pub(crate) fn secret() -> LedgerSecret {
    LedgerSecret::new(&[7; 32])
}

pub(crate) async fn enter_stream(ledger: &Ledger, arn: &str) -> i32 {
    let new = NewStream {
        source: "shop",
        arn: &StreamArn::parse(arn).unwrap(),
        table: TABLE,
        key_names: &["id".to_owned()],
        records_from: None,
        entered_at: jiff::Timestamp::UNIX_EPOCH,
    };
    ledger.enter_stream(new).await.unwrap().stream_id
}

/// Waits until `count` backends of this database wait for a lock.
pub(crate) async fn until_blocked(conn: &mut PgConnection, count: i64) {
    let begun = Instant::now();
    loop {
        let blocked: i64 = sqlx::query_scalar(
            "select count(*) from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'",
        )
        .fetch_one(&mut *conn)
        .await
        .unwrap();
        if blocked == count {
            return;
        }
        assert!(
            begun.elapsed() < PATIENCE,
            "{blocked} backends wait for a lock, not {count}"
        );
    }
}

pub(crate) fn random() -> u64 {
    getrandom::u64().unwrap()
}

/// A generator that repeats itself from its seed (`SplitMix64`).
pub(crate) struct Shuffled(u64);

impl Shuffled {
    /// Says its seed, so that a failure can be had again.
    pub(crate) fn new() -> Self {
        let seed = std::env::var("WEIR_TEST_SEED").map_or_else(|_| random(), |seed| seed.parse().unwrap());
        eprintln!("WEIR_TEST_SEED={seed}");
        Self(seed)
    }

    pub(crate) fn from_seed(seed: u64) -> Self {
        Self(seed)
    }

    pub(crate) fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % bound
    }

    /// A text of so many characters, of 64 kinds: a body packs to three quarters of it.
    pub(crate) fn text(&mut self, characters: usize) -> String {
        let character = |shuffled: &mut Self| char::from(b'0' + u8::try_from(shuffled.below(64)).unwrap());
        (0..characters).map(|_| character(self)).collect()
    }
}
