//! What the process that routes last saw of its sinks, for whoever asks another one.

use jiff::Timestamp;
use jiff_sqlx::Timestamp as StoredTimestamp;

use crate::{Ledger, in_time};

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
    /// Notes the state of a sink, unless it is known.
    ///
    /// # Errors
    ///
    /// Postgres failed. Safe to repeat.
    pub async fn note_sink_state(&self, sink: &str, state: &str, reason: &str) -> sqlx::Result<()> {
        let noted = sqlx::query!(
            "
            insert into sink_state (ledger_id, sink, state, reason) values ($1, $2, $3, $4)
            on conflict (ledger_id, sink) do update
            set state = excluded.state, reason = excluded.reason,
                since = case
                    when sink_state.state <> 'closed' and excluded.state <> 'closed' then sink_state.since
                    else excluded.since
                end
            where (sink_state.state, sink_state.reason) <> (excluded.state, excluded.reason)
            ",
            self.shared.id,
            sink,
            state,
            reason,
        )
        .execute(&self.shared.pool);
        in_time::<_, sqlx::Error>(noted).await.map(drop)
    }

    /// Forgets the sinks that are not among these.
    ///
    /// # Errors
    ///
    /// Postgres failed. Safe to repeat.
    pub async fn forget_other_sinks(&self, sinks: &[String]) -> sqlx::Result<()> {
        let forgotten = sqlx::query!(
            "delete from sink_state where ledger_id = $1 and sink <> all($2)",
            self.shared.id,
            sinks,
        )
        .execute(&self.shared.pool);
        in_time::<_, sqlx::Error>(forgotten).await.map(drop)
    }

    /// The sinks that are known, by name.
    ///
    /// # Errors
    ///
    /// Postgres failed.
    pub async fn sink_states(&self) -> sqlx::Result<Vec<SinkState>> {
        let rows = sqlx::query!(
            r#"
            select sink, state, reason, since as "since: StoredTimestamp"
            from sink_state
            where ledger_id = $1
            order by sink
            "#,
            self.shared.id,
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
