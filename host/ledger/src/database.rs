//! Connecting, migrating, and opening a ledger.

use std::str::FromStr as _;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use sqlx::migrate::Migrator;
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use sqlx::{ConnectOptions as _, Connection as _, PgConnection, PgPool};
use tokio::sync::watch;
use weir_evidence::{Frontier, LedgerSecret};
use weir_model::LedgerName;

use crate::append::AppendQueue;
use crate::index::ITEMS_BYTES_MAX;
use crate::tail::{ROWS_BYTES_MAX, Tail};
use crate::transaction::begin;
use crate::{Ledger, LedgerSettings, Shared};

/// The schema that this binary was built for.
static MIGRATOR: Migrator = sqlx::migrate!("../../migrations");

/// Connections of one process. Intake and the index need one each, the API a few; routes take turns.
const CONNECTIONS_MAX: u32 = 16;

/// Connections that erase: one that works, one that carries on after a crash of another.
const ERASER_CONNECTIONS_MAX: u32 = 2;

/// Connections that are opened for its heart at a time: it beats however many wait for the others.
const HEART_CONNECTIONS_MAX: u32 = 1;

/// How long to wait for a connection. Long enough for a restart of Postgres.
const ACQUIRE_TIMEOUT: Duration = Duration::from_secs(10);

/// A connected Postgres. Clones share its connections.
#[derive(Clone)]
pub struct Database {
    pool: PgPool,
    /// Connections of the role that may erase; made when one is needed.
    eraser: PgPool,
    /// Opens the connections of hearts, one for each.
    heart: PgPool,
    options: PgConnectOptions,
    settings: LedgerSettings,
}

/// What a process may do in the database. It logs in as a user who is a member of the role, and puts it on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// Record and route; with it, a second set of connections may erase.
    Writer,
    /// Read.
    Reader,
}

impl Role {
    fn as_str(self) -> &'static str {
        match self {
            Self::Writer => "weir_writer",
            Self::Reader => "weir_reader",
        }
    }
}

const ERASER: &str = "weir_eraser";

/// Why there is no connection.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// The URL cannot be read. Nothing was tried.
    #[error("the Postgres URL cannot be read")]
    Url(#[source] sqlx::Error),
    /// Nobody answered, or not as Postgres does, within the time.
    #[error("Postgres at {place} cannot be reached")]
    Unreachable {
        /// Host and port, or socket; never the password.
        place: String,
        /// What happened.
        source: sqlx::Error,
    },
}

/// Why the schema could not be brought up to date. What was applied stays applied; trying again is safe.
#[derive(Debug, thiserror::Error)]
#[error("could not migrate the schema")]
pub struct MigrateError(#[from] sqlx::migrate::MigrateError);

/// Why a ledger could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The schema is not there or is of another version.
    #[error("the schema of this database is not the one this weir was built for: {0}")]
    Schema(String),
    /// The ledger was written with another secret.
    #[error(
        "ledger {ledger} was written with secret {needed}, but the configured key (WEIR_LEDGER_KEY, or else `key_file`) is {given}"
    )]
    OtherSecret {
        /// The ledger.
        ledger: LedgerName,
        /// Public name of the secret it needs.
        needed: String,
        /// Public name of the secret that was given.
        given: String,
    },
    /// There is no such ledger, and it was not asked to make one.
    #[error("there is no ledger {0} in this database")]
    Missing(LedgerName),
    /// Postgres failed. Opening again is safe.
    #[error("could not open the ledger")]
    Database(#[from] sqlx::Error),
}

/// The right to be the one process that works on a ledger, as long as this lives.
///
/// Processes beside it stand by. A hold that Postgres lost without our notice does no harm: shards and cursors are
/// fenced by their epochs.
#[must_use]
pub struct Mandate {
    /// Not of the pool any more: a lock ends with its connection, not when that is given back.
    _connection: PgConnection,
}

impl Database {
    /// Connects, or says why not within 10 seconds.
    ///
    /// # Errors
    ///
    /// The URL is wrong, or nobody answers there.
    pub async fn connect(url: &str, role: Role) -> Result<Self, ConnectError> {
        let options = PgConnectOptions::from_str(url).map_err(ConnectError::Url)?;
        let place = match options.get_socket() {
            Some(socket) => socket.display().to_string(),
            None => format!("{}:{}", options.get_host(), options.get_port()),
        };
        let options = options.application_name("weir").options([
            ("lock_timeout", "5s"),
            ("statement_timeout", "60s"),
            ("idle_in_transaction_session_timeout", "60s"),
            ("synchronous_commit", "on"),
            // A machine that is gone keeps its locks for seconds, not for hours.
            ("tcp_keepalives_idle", "10"),
            ("tcp_keepalives_interval", "5"),
            ("tcp_keepalives_count", "3"),
            ("tcp_user_timeout", "30s"),
        ]);
        let reached = tokio::time::timeout(ACQUIRE_TIMEOUT, options.connect()).await;
        let reached = reached.unwrap_or_else(|_| Err(crate::timed_out()));
        let conn = reached.map_err(|source| ConnectError::Unreachable { place, source })?;
        // Only to see that somebody is there: the pool's own connections put a role on.
        let _ = conn.close().await;
        Ok(Self {
            pool: pool_of(&options, role.as_str(), CONNECTIONS_MAX),
            eraser: pool_of(&options, ERASER, ERASER_CONNECTIONS_MAX),
            heart: pool_of(&options, role.as_str(), HEART_CONNECTIONS_MAX),
            options,
            settings: LedgerSettings::default(),
        })
    }

    /// Keeps the ledgers that are opened from here on so.
    #[must_use]
    pub fn with_settings(self, settings: LedgerSettings) -> Self {
        Self { settings, ..self }
    }

    /// Brings the schema up to date. Doing it twice, or from two processes at once, is safe.
    ///
    /// # Errors
    ///
    /// A migration failed, or the database is newer than this binary.
    pub async fn migrate(&self) -> Result<(), MigrateError> {
        // As whoever logged in: the roles are made by the migrations.
        let mut conn = self
            .options
            .connect()
            .await
            .map_err(sqlx::migrate::MigrateError::from)?;
        Ok(MIGRATOR.run(&mut conn).await?)
    }

    /// Opens a ledger, making it if it is not there yet.
    ///
    /// # Errors
    ///
    /// The schema or the secret is not the right one.
    pub async fn open_or_create(&self, name: &LedgerName, secret: LedgerSecret) -> Result<Ledger, OpenError> {
        self.check_schema().await?;
        let mut tx = begin(&self.pool).await?;
        let created = sqlx::query_scalar!(
            "insert into ledger (name, secret_id) values ($1, $2) on conflict (name) do nothing returning ledger_id",
            name.as_str(),
            secret.id(),
        )
        .fetch_optional(&mut *tx)
        .await?;
        if let Some(ledger_id) = created {
            let empty = Frontier::default();
            sqlx::query!(
                "insert into ledger_head (ledger_id, size, root, frontier) values ($1, 0, $2, $3)",
                ledger_id,
                &empty.root()[..],
                empty.to_bytes(),
            )
            .execute(&mut *tx)
            .await?;
            sqlx::query!("insert into body_key_counter (ledger_id) values ($1)", ledger_id)
                .execute(&mut *tx)
                .await?;
        }
        tx.commit().await?;
        self.open(name, secret).await
    }

    /// Opens a ledger that is there.
    ///
    /// # Errors
    ///
    /// It is not there, or the schema or the secret is not the right one.
    pub async fn open(&self, name: &LedgerName, secret: LedgerSecret) -> Result<Ledger, OpenError> {
        self.check_schema().await?;
        let row = sqlx::query!(
            "select ledger_id, secret_id, size from ledger join ledger_head using (ledger_id) where name = $1",
            name.as_str(),
        )
        .fetch_optional(&self.pool)
        .await?
        .ok_or_else(|| OpenError::Missing(name.clone()))?;
        if row.secret_id != secret.id() {
            let given = secret.id().to_owned();
            return Err(OpenError::OtherSecret {
                ledger: name.clone(),
                needed: row.secret_id,
                given,
            });
        }
        Ok(Ledger {
            shared: Arc::new(Shared {
                pool: self.pool.clone(),
                eraser: self.eraser.clone(),
                heart: self.heart.clone(),
                heart_lines: tokio::sync::Mutex::default(),
                id: row.ledger_id,
                name: name.clone(),
                secret,
                segments: Mutex::default(),
                reserved: tokio::sync::Mutex::new(0..0),
                size: watch::Sender::new(crate::from_stored(row.size).0),
                partitioned_to: tokio::sync::Mutex::new(0),
                covered: tokio::sync::Mutex::default(),
                erased_to: AtomicU64::new(0),
                append: AppendQueue::new(),
                rows: Tail::new(ROWS_BYTES_MAX),
                items: Tail::new(ITEMS_BYTES_MAX),
                settings: self.settings,
            }),
        })
    }

    /// Whether the database answers now.
    pub async fn is_reachable(&self) -> bool {
        matches!(
            tokio::time::timeout(Duration::from_secs(2), self.pool.acquire()).await,
            Ok(Ok(_))
        )
    }

    async fn check_schema(&self) -> Result<(), OpenError> {
        let applied: Vec<i64> =
            sqlx::query_scalar("select version from _sqlx_migrations where success order by version")
                .fetch_all(&self.pool)
                .await
                .or_else(|error| match &error {
                    // 42P01: undefined_table. Nothing was ever migrated here.
                    sqlx::Error::Database(refusal) if refusal.code().as_deref() == Some("42P01") => Ok(Vec::new()),
                    _ => Err(error),
                })?;
        let missing = MIGRATOR
            .iter()
            .filter(|migration| !applied.contains(&migration.version))
            .count();
        if missing > 0 {
            return Err(OpenError::Schema(format!(
                "{missing} migrations are missing, `weir migrate` applies them"
            )));
        }
        let newest_known = MIGRATOR.iter().map(|migration| migration.version).max();
        if applied.last().copied() > newest_known {
            return Err(OpenError::Schema(
                "it is newer, install the weir that migrated it".to_owned(),
            ));
        }
        Ok(())
    }
}

/// Connections that put a role on, once it is there.
fn pool_of(options: &PgConnectOptions, role: &'static str, connections_max: u32) -> PgPool {
    PgPoolOptions::new()
        .max_connections(connections_max)
        .acquire_timeout(ACQUIRE_TIMEOUT)
        .test_before_acquire(false)
        .before_acquire(|conn, _| Box::pin(answers_in_turn(conn)))
        .after_connect(move |conn, _| {
            Box::pin(async move {
                sqlx::query("select set_config('role', rolname, false) from pg_roles where rolname = $1")
                    .bind(role)
                    .execute(conn)
                    .await?;
                Ok(())
            })
        })
        .connect_lazy_with(options.clone())
}

/// Whether a connection answers what it is asked, and not what was asked before.
///
/// Work that is given up half-way (a time limit, a caller that went away) may leave answers in a connection that nobody
/// waits for: the client library counts them, but not those of COPY (sqlx 0.9.0). Whoever used it next would take them for
/// its own. The library's own test of a connection does not notice.
async fn answers_in_turn(conn: &mut PgConnection) -> sqlx::Result<bool> {
    static QUESTIONS: AtomicI64 = AtomicI64::new(0);
    let question = QUESTIONS.fetch_add(1, Ordering::Relaxed);
    let answer = sqlx::query_scalar!(r#"select $1::bigint as "answer!""#, question)
        .fetch_one(conn)
        .await;
    Ok(answer.is_ok_and(|answer| answer == question))
}

impl Ledger {
    /// Tries to become the one process that works on this ledger; `None` while another is.
    ///
    /// # Errors
    ///
    /// Postgres failed. Trying again is safe.
    pub async fn try_take_mandate(&self) -> sqlx::Result<Option<Mandate>> {
        let mut connection = self.shared.pool.acquire().await?;
        let ours = sqlx::query_scalar!(
            r#"select pg_try_advisory_lock(hashtext('weir/ledger'), $1) as "ours!""#,
            self.shared.id,
        )
        .fetch_one(&mut *connection)
        .await?;
        Ok(ours.then(|| Mandate {
            _connection: connection.detach(),
        }))
    }
}

/// Whether Postgres was not reached, ended the connection, or has no room for now: asking again may help, and nothing else does.
#[must_use]
pub fn is_unreachable(error: &sqlx::Error) -> bool {
    match error {
        sqlx::Error::Io(_)
        | sqlx::Error::Tls(_)
        | sqlx::Error::PoolTimedOut
        | sqlx::Error::PoolClosed
        | sqlx::Error::WorkerCrashed => true,
        // Connection exceptions, serialization and lock failures, resources, an operator's intervention, the system itself (PostgreSQL,
        // "Error Codes").
        sqlx::Error::Database(error) => error.code().is_some_and(|code| {
            ["08", "40", "53", "55", "57", "58"]
                .iter()
                .any(|class| code.starts_with(class))
        }),
        _ => false,
    }
}
