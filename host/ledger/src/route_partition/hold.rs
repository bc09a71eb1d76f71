//! Who has a partition: taken, asked for, let go of.

use super::Partition;
use crate::{Consumer, Ledger, WorkerId, from_stored, in_time};

/// How long a process may be silent in the middle of a settlement. Each takes milliseconds.
const SILENT_MAX_S: f64 = 3.0;

impl Ledger {
    /// Takes a partition that is free, or takes one of the worker's own anew. Whoever had it can settle nothing more. `None` if
    /// another worker that is alive has it, if it is there no more, or while a settlement of it is in flight: one that hangs
    /// there, because its process is frozen or its machine gone, is disconnected.
    ///
    /// # Errors
    ///
    /// Postgres failed.
    pub async fn claim_partition(&self, worker: WorkerId, partition: &Partition) -> sqlx::Result<Option<Consumer>> {
        let name = partition.consumer();
        let claimed = sqlx::query!(
            "
            update consumer
            set epoch = epoch + 1, worker_id = $3, wanted_by = null
            from (
                select ledger_id, name from consumer where ledger_id = $1 and name = $2 for update skip locked
            ) as unlocked
            where consumer.ledger_id = unlocked.ledger_id and consumer.name = unlocked.name and not exists (
                select from worker
                where worker.worker_id = consumer.worker_id and worker.worker_id <> $3
                  and heartbeat_at > clock_timestamp() - make_interval(secs => $4)
            )
            returning next_position, epoch
            ",
            self.shared.id,
            name,
            worker.0,
            self.lease_expiry_s(),
        )
        .fetch_optional(&self.shared.pool);
        let claimed = in_time::<_, sqlx::Error>(claimed).await?;
        if claimed.is_none() {
            self.disconnect_silent().await?;
        }
        Ok(claimed.map(|row| Consumer::new(name, from_stored(row.next_position), row.epoch)))
    }

    /// Ends connections of ours that have a cursor in hand and have not said for seconds what becomes of it.
    pub(super) async fn disconnect_silent(&self) -> sqlx::Result<()> {
        in_time(async {
            let mut tx = self.begin().await?;
            // Backends belong to the user who logged in, whatever role was put on.
            sqlx::query("set local role none").execute(&mut *tx).await?;
            let ended = sqlx::query_scalar!(
                r#"
                select count(*) filter (where pg_terminate_backend(pid)) as "count!"
                from (
                    select distinct silent.pid
                    from pg_stat_activity as silent
                    join pg_locks as held on held.pid = silent.pid
                    where held.relation = 'consumer'::regclass and held.granted
                      and held.mode in ('RowShareLock', 'RowExclusiveLock')
                      and silent.datname = current_database() and silent.usename = session_user
                      and silent.application_name = 'weir' and silent.state = 'idle in transaction'
                      and silent.state_change < clock_timestamp() - make_interval(secs => $1)
                ) as silent
                "#,
                SILENT_MAX_S,
            )
            .fetch_one(&mut *tx)
            .await?;
            tx.commit().await?;
            if ended > 0 {
                tracing::warn!(
                    count = ended,
                    "disconnected processes that held a route's cursor for too long"
                );
            }
            Ok(())
        })
        .await
    }

    /// Lets go of a partition, unless someone else took it meanwhile: it is free at once.
    ///
    /// # Errors
    ///
    /// Postgres failed. Then it is free when the worker is gone.
    pub async fn release_partition(&self, consumer: &Consumer) -> sqlx::Result<()> {
        let released = sqlx::query!(
            "
            update consumer
            set worker_id = null, wanted_by = null
            where ledger_id = $1 and name = $2 and epoch = $3
            ",
            self.shared.id,
            consumer.name,
            consumer.epoch(),
        )
        .execute(&self.shared.pool);
        in_time::<_, sqlx::Error>(released).await.map(drop)
    }

    /// Asks the worker that has a partition to hand it over. The last asker counts; whoever finds the row locked asks in vain.
    ///
    /// # Errors
    ///
    /// Postgres failed.
    pub async fn ask_for_partition(&self, worker: WorkerId, partition: &Partition) -> sqlx::Result<()> {
        let asked = sqlx::query!(
            "
            update consumer
            set wanted_by = $3
            from (
                select ledger_id, name from consumer where ledger_id = $1 and name = $2 for update skip locked
            ) as unlocked
            where consumer.ledger_id = unlocked.ledger_id and consumer.name = unlocked.name and worker_id <> $3
            ",
            self.shared.id,
            partition.consumer(),
            worker.0,
        )
        .execute(&self.shared.pool);
        in_time::<_, sqlx::Error>(asked).await.map(drop)
    }
}
