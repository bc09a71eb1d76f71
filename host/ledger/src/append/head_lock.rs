//! Locks the head, and does not let anybody sit on it.
//!
//! A worker that is frozen inside COPY holds the head for as long as it is frozen: Postgres waits for its bytes, and none
//! of its time limits count there (seen on 15). So who waits too long disconnects the holder. A holder that was only slow
//! loses one group, which it appends again.

use std::time::Duration;

use sqlx::PgConnection;
use weir_evidence::Frontier;

use crate::transaction::begin;
use crate::{Ledger, from_stored};

/// How long the head may be waited for before its holder is disconnected (design, "Append").
const HEAD_WAIT_MAX: Duration = Duration::from_secs(3);

impl Ledger {
    /// Locks the head until the transaction ends. Appends wait meanwhile.
    pub(crate) async fn lock_head(&self, conn: &mut PgConnection) -> sqlx::Result<Frontier> {
        let lock = sqlx::query!(
            "select size, root, frontier from ledger_head where ledger_id = $1 for update",
            self.shared.id
        )
        .fetch_one(&mut *conn);
        let row = {
            tokio::pin!(lock);
            loop {
                match tokio::time::timeout(HEAD_WAIT_MAX, &mut lock).await {
                    Ok(row) => break row?,
                    Err(_) => self.disconnect_holders().await,
                }
            }
        };
        let size = from_stored(row.size).0;
        let frontier = Frontier::from_bytes(size, &row.frontier).ok();
        match frontier.filter(|frontier| frontier.root()[..] == row.root) {
            Some(frontier) => Ok(frontier),
            None => self.frontier_from_entries(conn, size, &row.root).await,
        }
    }

    /// The frontier was changed; root and entries are what counts.
    async fn frontier_from_entries(&self, conn: &mut PgConnection, size: u64, root: &[u8]) -> sqlx::Result<Frontier> {
        tracing::error!("the head's frontier was changed; it is worked out again from the entries");
        let edge = self
            .read_edge(conn, size, None)
            .await
            .map_err(|error| sqlx::Error::Protocol(error.to_string()))?;
        let frontier = edge.frontier();
        if frontier.root() == *root {
            return Ok(frontier);
        }
        let problem = "the head's root is not that of the entries; nothing can be added to such a ledger, `weir verify` tells more";
        Err(sqlx::Error::Protocol(problem.to_owned()))
    }

    /// Disconnects those of our own who hold up whoever waits for a head, and do not wait for anything themselves.
    async fn disconnect_holders(&self) {
        let terminate = async {
            let mut tx = begin(&self.shared.pool).await?;
            // Backends belong to the user who logged in, whatever role was put on.
            sqlx::query("set local role none").execute(&mut *tx).await?;
            let terminated = sqlx::query_scalar!(
                r#"
                select count(*) filter (where pg_terminate_backend(holder.pid)) as "count!"
                from (
                    select distinct blocker.pid
                    from pg_stat_activity as waiting
                    cross join lateral unnest(pg_blocking_pids(waiting.pid)) as blocking(pid)
                    join pg_stat_activity as blocker on blocker.pid = blocking.pid
                    where waiting.datname = current_database()
                      and waiting.query like 'select size, root, frontier from ledger_head%for update'
                      and waiting.wait_event_type = 'Lock'
                      and blocker.usename = session_user
                      and blocker.application_name = 'weir'
                      and blocker.wait_event_type is distinct from 'Lock'
                ) as holder
                "#,
            )
            .fetch_one(&mut *tx)
            .await?;
            tx.commit().await?;
            Ok::<_, sqlx::Error>(terminated)
        };
        match tokio::time::timeout(HEAD_WAIT_MAX, terminate).await {
            Ok(Ok(0)) => {}
            Ok(Ok(count)) => tracing::warn!(count, "disconnected workers that held the head for too long"),
            Ok(Err(error)) => tracing::warn!(
                error = &error as &dyn std::error::Error,
                "the head's holder cannot be disconnected"
            ),
            Err(_) => tracing::warn!("the head's holder cannot be disconnected in time"),
        }
    }
}
