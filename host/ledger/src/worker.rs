//! Workers: processes that share the shards of a ledger and the partitions of its routes, alive for as long as they beat.
//!
//! A worker is one heartbeat row, and Postgres' clock decides whether it is alive. What it reads: `lease`; what it routes:
//! `route_partition`.

use std::fmt;
use std::time::Duration;

use sqlx::PgConnection;

use crate::{Ledger, in_time, timed_out};

/// How long a beat may take: well below the time after which the worker counts as gone.
const BEAT_TIMEOUT: Duration = Duration::from_secs(3);

/// How long the rows of workers that are gone are kept, for people who look.
const GONE_KEPT_S: f64 = 24.0 * 3600.0;

/// One process that works, from its start to its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct WorkerId(pub i64);

impl fmt::Display for WorkerId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(formatter)
    }
}

/// What a process may be configured for: work is shared among those that are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Work {
    /// To record a source.
    Source(String),
    /// To route a route.
    Route(String),
}

impl Work {
    /// `None` for what a newer version shares.
    fn parse(stored: &str) -> Option<Self> {
        match stored.split_once(':')? {
            ("source", name) => Some(Self::Source(name.to_owned())),
            ("route", name) => Some(Self::Route(name.to_owned())),
            _ => None,
        }
    }
}

impl fmt::Display for Work {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Source(name) => write!(formatter, "source:{name}"),
            Self::Route(name) => write!(formatter, "route:{name}"),
        }
    }
}

/// A worker whose heart beats.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LiveWorker {
    /// Which.
    pub id: WorkerId,
    /// Host and process, for people.
    pub name: String,
    /// It was asked to hand all that it has over and takes nothing else.
    pub is_draining: bool,
    /// Which process it is, as it says itself.
    pub process: Option<String>,
    /// What it is configured for.
    pub works_at: Vec<Work>,
    /// Number of the newest configuration that it does, also of one that gave each process its own file back; `None` before there was
    /// one.
    pub configuration: Option<u32>,
    /// Number of the newest configuration that it cannot do, and why.
    pub refused: Option<(u32, String)>,
}

impl Ledger {
    /// Enters a worker that is this process, as it says, and configured for these by this configuration: from here on it is alive for
    /// as long as it beats. Forgets workers that have been gone for a day.
    ///
    /// # Errors
    ///
    /// Postgres failed. A worker that was entered all the same is gone when its time is over.
    pub async fn enter_worker(
        &self,
        name: &str,
        process: Option<&str>,
        works_at: &[Work],
        configuration: Option<u32>,
    ) -> sqlx::Result<WorkerId> {
        let works_at: Vec<String> = works_at.iter().map(Work::to_string).collect();
        self.over_heart_line(async |line| {
            sqlx::query!(
                "delete from worker where ledger_id = $1 and heartbeat_at < clock_timestamp() - make_interval(secs => $2)",
                self.shared.id,
                GONE_KEPT_S,
            )
            .execute(&mut *line)
            .await?;
            let id = sqlx::query_scalar!(
                "
                insert into worker (ledger_id, name, works_at, process, configuration)
                values ($1, $2, $3, $4, $5)
                returning worker_id
                ",
                self.shared.id,
                name,
                &works_at,
                process,
                configuration.map(u32::cast_signed),
            )
            .fetch_one(line)
            .await?;
            Ok(WorkerId(id))
        })
        .await
    }

    /// Beats: the worker stays alive for another [`crate::LedgerSettings::lease_expiry`]. Gives every worker that is alive,
    /// this one among them, unless its row is gone: then it has to enter anew. Answers within three seconds. What waited in this
    /// process for who reads on, and was not taken, goes.
    ///
    /// # Errors
    ///
    /// Postgres failed, or did not answer in time.
    pub async fn beat(&self, worker: WorkerId) -> sqlx::Result<Vec<LiveWorker>> {
        self.shared.rows.tidy();
        self.shared.items.tidy();
        self.over_heart_line(async |line| {
            sqlx::query!(
                "update worker set heartbeat_at = clock_timestamp() where worker_id = $1",
                worker.0,
            )
            .execute(&mut *line)
            .await?;
            self.list_live_workers(line).await
        })
        .await
    }

    /// Over a connection that is nobody else's, and that is thrown away where anything is wrong with it: one that hangs is not
    /// asked again.
    async fn over_heart_line<T>(
        &self,
        work: impl AsyncFnOnce(&mut PgConnection) -> sqlx::Result<T>,
    ) -> sqlx::Result<T> {
        let done = tokio::time::timeout(BEAT_TIMEOUT, async {
            let kept = self.shared.heart_lines.lock().await.pop();
            let mut line = match kept {
                Some(line) => line,
                None => self.shared.heart.acquire().await?.detach(),
            };
            let done = work(&mut line).await?;
            self.shared.heart_lines.lock().await.push(line);
            Ok(done)
        });
        done.await.unwrap_or_else(|_| Err(timed_out()))
    }

    /// Every worker that is alive.
    ///
    /// # Errors
    ///
    /// Postgres failed.
    pub async fn live_workers(&self) -> sqlx::Result<Vec<LiveWorker>> {
        in_time(async {
            let mut conn = self.shared.pool.acquire().await?;
            self.list_live_workers(&mut conn).await
        })
        .await
    }

    async fn list_live_workers(&self, conn: &mut PgConnection) -> sqlx::Result<Vec<LiveWorker>> {
        let rows = sqlx::query!(
            "
            select worker_id, name, is_draining, process, works_at, configuration, refused, refusal
            from worker
            where ledger_id = $1 and heartbeat_at > clock_timestamp() - make_interval(secs => $2)
            order by worker_id
            ",
            self.shared.id,
            self.lease_expiry_s(),
        )
        .fetch_all(conn)
        .await?;
        Ok(rows
            .into_iter()
            .map(|row| LiveWorker {
                id: WorkerId(row.worker_id),
                name: row.name,
                is_draining: row.is_draining,
                process: row.process,
                works_at: row.works_at.iter().filter_map(|work| Work::parse(work)).collect(),
                configuration: row.configuration.map(i32::cast_unsigned),
                refused: row.refused.map(i32::cast_unsigned).zip(row.refusal),
            })
            .collect())
    }

    /// Takes the worker out: its shards and partitions are free at once.
    ///
    /// # Errors
    ///
    /// Postgres failed. Then its time has to run out.
    pub async fn leave_worker(&self, worker: WorkerId) -> sqlx::Result<()> {
        let left = sqlx::query!("delete from worker where worker_id = $1", worker.0).execute(&self.shared.pool);
        in_time::<_, sqlx::Error>(left).await?;
        Ok(())
    }

    /// Asks a worker to hand all that it has over and to take nothing else, or to work again. Says whether there is such a one.
    ///
    /// # Errors
    ///
    /// Postgres failed.
    pub async fn drain_worker(&self, worker: WorkerId, is_draining: bool) -> sqlx::Result<bool> {
        let drained = sqlx::query!(
            "update worker set is_draining = $3 where ledger_id = $1 and worker_id = $2",
            self.shared.id,
            worker.0,
            is_draining,
        )
        .execute(&self.shared.pool);
        Ok(in_time::<_, sqlx::Error>(drained).await?.rows_affected() == 1)
    }

    pub(crate) fn lease_expiry_s(&self) -> f64 {
        self.shared.settings.lease_expiry.as_secs_f64()
    }
}
