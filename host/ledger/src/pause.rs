//! Routes and sinks that an operator stopped for a while.
//!
//! # Invariants
//!
//! - To pause and to resume are entries of the ledger, in the transaction that does it.

use jiff::Timestamp;
use jiff_sqlx::Timestamp as StoredTimestamp;
use jiff_sqlx::ToSqlx as _;
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::append::OwnRecord;
use crate::head::unreadable;
use crate::{Ledger, in_time};

/// What can be paused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Pausable {
    /// A route: it stands at its cursor.
    Route,
    /// A sink: nothing is sent to it, by any route.
    Sink,
}

/// A route or sink that is paused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pause {
    /// What it is.
    pub kind: Pausable,
    /// Its name.
    pub name: String,
    /// Why.
    pub reason: String,
    /// Since when.
    pub since: Timestamp,
}

impl Pausable {
    /// Its name in the schema and in entries.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Route => "route",
            Self::Sink => "sink",
        }
    }
}

impl Ledger {
    /// Everything that is paused.
    ///
    /// # Errors
    ///
    /// Postgres failed.
    pub async fn pauses(&self) -> sqlx::Result<Vec<Pause>> {
        let rows = sqlx::query!(
            r#"
            select kind, name, reason, paused_at as "paused_at: StoredTimestamp"
            from pause
            where ledger_id = $1
            order by kind, name
            "#,
            self.shared.id,
        )
        .fetch_all(&self.shared.pool);
        let rows = in_time::<_, sqlx::Error>(rows).await?;
        rows.into_iter()
            .map(|row| {
                Ok(Pause {
                    kind: match row.kind.as_str() {
                        "route" => Pausable::Route,
                        "sink" => Pausable::Sink,
                        _ => return Err(unreadable("pause")),
                    },
                    name: row.name,
                    reason: row.reason,
                    since: row.paused_at.to_jiff(),
                })
            })
            .collect()
    }

    /// Pauses a route or sink, and records that. What is paused already gets this reason. Safe to repeat.
    ///
    /// # Errors
    ///
    /// Postgres failed.
    pub async fn pause(&self, kind: Pausable, name: &str, reason: &str, now: Timestamp) -> sqlx::Result<()> {
        let detail = json!({ kind.as_str(): name, "reason": reason });
        let what = match kind {
            Pausable::Route => "route-paused",
            Pausable::Sink => "sink-paused",
        };
        let record = OwnRecord::lifecycle(&self.shared.name, what, detail.to_string(), now)?;
        let appended = self.append_own(&record, async |conn, _| {
            sqlx::query!(
                "
                insert into pause (ledger_id, kind, name, reason, paused_at) values ($1, $2, $3, $4, $5)
                on conflict (ledger_id, kind, name) do update set reason = excluded.reason, paused_at = excluded.paused_at
                ",
                self.shared.id,
                kind.as_str(),
                name,
                reason,
                now.to_sqlx() as StoredTimestamp,
            )
            .execute(conn)
            .await?;
            Ok(())
        });
        appended.await.map(drop)
    }

    /// Resumes what was paused, and records that. Says whether it was paused.
    ///
    /// # Errors
    ///
    /// Postgres failed. Asking again is safe.
    pub async fn resume(&self, kind: Pausable, name: &str, reason: &str, now: Timestamp) -> sqlx::Result<bool> {
        let is_paused = self
            .pauses()
            .await?
            .iter()
            .any(|pause| pause.kind == kind && pause.name == name);
        if !is_paused {
            return Ok(false);
        }
        let detail = json!({ kind.as_str(): name, "reason": reason });
        let what = match kind {
            Pausable::Route => "route-resumed",
            Pausable::Sink => "sink-resumed",
        };
        let record = OwnRecord::lifecycle(&self.shared.name, what, detail.to_string(), now)?;
        let appended = self.append_own(&record, async |conn, _| {
            sqlx::query!(
                "delete from pause where ledger_id = $1 and kind = $2 and name = $3",
                self.shared.id,
                kind.as_str(),
                name,
            )
            .execute(conn)
            .await?;
            Ok(())
        });
        appended.await?;
        Ok(true)
    }
}
