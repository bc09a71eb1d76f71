//! What each worker that routes last saw of its sinks, for whoever asks another one.

use jiff::Timestamp;
use jiff_sqlx::Timestamp as StoredTimestamp;

use crate::{Ledger, WorkerId, in_time};

/// The circuit breaker of a sink.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SinkState {
    /// The sink.
    pub sink: String,
    /// `closed`: everything is sent; `open`: nothing is; `half-open`: one request is under way to see whether it is back.
    pub state: String,
    /// Why it opened; empty while closed.
    pub reason: String,
    /// Since when everything is sent to it, or not.
    pub since: Timestamp,
}

impl Ledger {
    /// Notes the state of a sink as a worker sees it, unless it is known.
    ///
    /// # Errors
    ///
    /// The worker's row is gone, or Postgres failed. Safe to repeat.
    pub async fn note_sink_state(&self, worker: WorkerId, sink: &str, state: &str, reason: &str) -> sqlx::Result<()> {
        let noted = sqlx::query!(
            "
            insert into sink_state (ledger_id, sink, worker_id, state, reason) values ($1, $2, $3, $4, $5)
            on conflict (ledger_id, sink, worker_id) do update
            set state = excluded.state, reason = excluded.reason,
                since = case
                    when sink_state.state <> 'closed' and excluded.state <> 'closed' then sink_state.since
                    else excluded.since
                end
            where (sink_state.state, sink_state.reason) <> (excluded.state, excluded.reason)
            ",
            self.shared.id,
            sink,
            worker.0,
            state,
            reason,
        )
        .execute(&self.shared.pool);
        in_time::<_, sqlx::Error>(noted).await.map(drop)
    }

    /// The sinks of the workers that are alive, by name. Where they differ, the one that sends least tells.
    ///
    /// # Errors
    ///
    /// Postgres failed.
    pub async fn sink_states(&self) -> sqlx::Result<Vec<SinkState>> {
        let rows = sqlx::query!(
            r#"
            select distinct on (sink) sink, state, reason, since as "since: StoredTimestamp"
            from sink_state
            join worker using (worker_id)
            where sink_state.ledger_id = $1 and heartbeat_at > clock_timestamp() - make_interval(secs => $2)
            order by sink, array_position(array['open', 'half-open', 'closed'], state), since
            "#,
            self.shared.id,
            self.lease_expiry_s(),
        )
        .fetch_all(&self.shared.pool);
        let rows = in_time::<_, sqlx::Error>(rows).await?.into_iter();
        let states = rows.map(|row| SinkState {
            sink: row.sink,
            state: row.state,
            reason: row.reason,
            since: row.since.to_jiff(),
        });
        Ok(states.collect())
    }
}
