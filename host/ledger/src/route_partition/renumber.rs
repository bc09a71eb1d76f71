//! Another number of partitions: those that are there go, others come in their place.

use sqlx::PgConnection;
use weir_model::Position;

use super::Partition;
use crate::{Ledger, from_stored, in_time, to_stored};

/// A row of `consumer` that is locked.
struct Locked {
    next: Position,
    epoch: i64,
    is_free: bool,
}

impl Ledger {
    /// Gives a route the partitions that its version wants, once all that it has stand where that version begins and nobody
    /// alive has any. A route without a version has none. Waits for nobody: where a row is locked, nothing happens.
    ///
    /// # Errors
    ///
    /// Postgres failed. Safe to repeat.
    pub async fn partition_route(&self, route: &str) -> sqlx::Result<()> {
        let is_stuck = in_time::<_, sqlx::Error>(async {
            let mut tx = self.begin().await?;
            let rows = self.lock_partitions(&mut tx, route).await;
            let rows = match rows {
                Err(error) if is_locked(&error) => None,
                rows => rows?,
            };
            let Some(rows) = rows else {
                tx.rollback().await?;
                return Ok(true);
            };
            self.renumber(&mut tx, route, &rows).await?;
            // Also where nothing changed: a row that is still locked for a moment is not taken in that.
            tx.commit().await?;
            Ok(false)
        })
        .await?;
        if is_stuck {
            self.disconnect_silent().await?;
        }
        Ok(())
    }

    async fn renumber(&self, conn: &mut PgConnection, route: &str, rows: &[Locked]) -> sqlx::Result<()> {
        let versions = self.list_route_versions(conn, route).await?;
        let begins = versions.first().map(|first| first.from_position);
        let Some(next) = rows.iter().map(|row| row.next).min().or(begins) else {
            return Ok(());
        };
        let version = versions.iter().rfind(|version| version.from_position <= next);
        let Some(count) = version.map(|version| version.definition.partitions) else {
            return Ok(());
        };
        let is_over = rows.iter().all(|row| row.next == next && row.is_free);
        if rows.len() == usize::from(count.get()) || !is_over {
            return Ok(());
        }
        self.delete_partitions(conn, route).await?;
        let epoch = rows.iter().map(|row| row.epoch + 1).max().unwrap_or_default();
        for partition in Partition::of(route, count) {
            sqlx::query!(
                "
                insert into consumer (ledger_id, name, next_position, epoch) values ($1, $2, $3, $4)
                on conflict do nothing
                ",
                self.shared.id,
                partition.consumer(),
                to_stored(next),
                epoch,
            )
            .execute(&mut *conn)
            .await?;
        }
        Ok(())
    }

    /// What is there stays until the transaction ends, and nobody puts others in its place. `None` while somebody else does.
    async fn lock_partitions(&self, conn: &mut PgConnection, route: &str) -> sqlx::Result<Option<Vec<Locked>>> {
        // One at a time, each with a look of its own at the rows: who waits for rows that go does not see those that come.
        let is_alone = sqlx::query_scalar!(
            r#"
            select pg_try_advisory_xact_lock(hashtext('weir/partitions'), hashtext($1::integer || '/' || $2)) as "is_alone!"
            "#,
            self.shared.id,
            route,
        )
        .fetch_one(&mut *conn)
        .await?;
        if !is_alone {
            return Ok(None);
        }
        let rows = sqlx::query!(
            r#"
            select next_position, epoch, not exists (
                select from worker
                where worker.worker_id = consumer.worker_id
                  and heartbeat_at > clock_timestamp() - make_interval(secs => $3)
            ) as "is_free!"
            from consumer
            where ledger_id = $1 and (name = 'route:' || $2 or starts_with(name, 'route:' || $2 || '/'))
            order by name
            for update nowait
            "#,
            self.shared.id,
            route,
            self.lease_expiry_s(),
        )
        .fetch_all(&mut *conn)
        .await?;
        let rows = rows.into_iter().map(|row| Locked {
            next: from_stored(row.next_position),
            epoch: row.epoch,
            is_free: row.is_free,
        });
        Ok(Some(rows.collect()))
    }

    async fn delete_partitions(&self, conn: &mut PgConnection, route: &str) -> sqlx::Result<()> {
        sqlx::query!(
            "
            delete from consumer
            where ledger_id = $1 and (name = 'route:' || $2 or starts_with(name, 'route:' || $2 || '/'))
            ",
            self.shared.id,
            route,
        )
        .execute(conn)
        .await?;
        Ok(())
    }
}

/// Whether somebody has a row that was not waited for (`lock_not_available`).
fn is_locked(error: &sqlx::Error) -> bool {
    let code = error.as_database_error().and_then(sqlx::error::DatabaseError::code);
    code.as_deref() == Some("55P03")
}
