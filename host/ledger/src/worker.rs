//! Workers: processes that share the shards of a ledger, alive for as long as they beat.
//!
//! A worker is one heartbeat row, and Postgres' clock decides whether it is alive. What it reads: `lease`.

use std::fmt;

use crate::{Ledger, in_time};

/// How long the rows of workers that are gone are kept, for people who look.
const GONE_KEPT_S: f64 = 24.0 * 3600.0;

/// One process that reads shards, from its start to its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct WorkerId(pub i64);

impl fmt::Display for WorkerId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(formatter)
    }
}

/// A worker whose heart beats.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LiveWorker {
    /// Which.
    pub id: WorkerId,
    /// Host and process, for people.
    pub name: String,
    /// It was asked to hand all its shards over and takes no other.
    pub is_draining: bool,
}

impl Ledger {
    /// Enters a worker: from here on it is alive for as long as it beats. Forgets workers that have been gone for a day.
    ///
    /// # Errors
    ///
    /// Postgres failed. A worker that was entered all the same is gone when its time is over.
    pub async fn enter_worker(&self, name: &str) -> sqlx::Result<WorkerId> {
        in_time(async {
            sqlx::query!(
                "delete from worker where ledger_id = $1 and heartbeat_at < clock_timestamp() - make_interval(secs => $2)",
                self.shared.id,
                GONE_KEPT_S,
            )
            .execute(&self.shared.pool)
            .await?;
            let id = sqlx::query_scalar!(
                "insert into worker (ledger_id, name) values ($1, $2) returning worker_id",
                self.shared.id,
                name,
            )
            .fetch_one(&self.shared.pool)
            .await?;
            Ok(WorkerId(id))
        })
        .await
    }

    /// Beats: the worker stays alive for another [`crate::LedgerSettings::lease_expiry`]. Gives every worker that is alive,
    /// this one among them, unless its row is gone: then it has to enter anew.
    ///
    /// # Errors
    ///
    /// Postgres failed.
    pub async fn beat(&self, worker: WorkerId) -> sqlx::Result<Vec<LiveWorker>> {
        in_time(async {
            sqlx::query!(
                "update worker set heartbeat_at = clock_timestamp() where worker_id = $1",
                worker.0,
            )
            .execute(&self.shared.pool)
            .await?;
            self.live_workers().await
        })
        .await
    }

    /// Every worker that is alive.
    ///
    /// # Errors
    ///
    /// Postgres failed.
    pub async fn live_workers(&self) -> sqlx::Result<Vec<LiveWorker>> {
        let rows = sqlx::query!(
            "
            select worker_id, name, is_draining
            from worker
            where ledger_id = $1 and heartbeat_at > clock_timestamp() - make_interval(secs => $2)
            order by worker_id
            ",
            self.shared.id,
            self.lease_expiry_s(),
        )
        .fetch_all(&self.shared.pool);
        let rows = in_time::<_, sqlx::Error>(rows).await?;
        Ok(rows
            .into_iter()
            .map(|row| LiveWorker {
                id: WorkerId(row.worker_id),
                name: row.name,
                is_draining: row.is_draining,
            })
            .collect())
    }

    /// Takes the worker out: its shards are free at once.
    ///
    /// # Errors
    ///
    /// Postgres failed. Then its time has to run out.
    pub async fn leave_worker(&self, worker: WorkerId) -> sqlx::Result<()> {
        let left = sqlx::query!("delete from worker where worker_id = $1", worker.0).execute(&self.shared.pool);
        in_time::<_, sqlx::Error>(left).await?;
        Ok(())
    }

    /// Asks a worker to hand all its shards over and to take no other, or to work again. Says whether there is such a one.
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
