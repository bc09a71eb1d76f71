//! Replays: a range of the ledger that a route runs through once more.
//!
//! ```text
//! an operator ──▶ ordered, and an entry that says so ──▶ the route sends it beside what is new ──▶ the last of it: the row goes
//! ```
//!
//! # Invariants
//!
//! - What operators order and cancel are entries of the ledger, in the transaction that does it.
//! - Only what the route has passed is replayed, so nothing is replayed that is still to be sent for the first time.
//! - Each partition of the route gets through it in its own time. It moves in the transaction that writes what it leaves behind,
//!   by the worker that moves the partition's cursor.

use jiff::Timestamp;
use jiff_sqlx::Timestamp as StoredTimestamp;
use jiff_sqlx::ToSqlx as _;
use serde_json::json;
use sqlx::PgConnection;
use weir_model::Position;

use crate::append::OwnRecord;
use crate::head::unreadable;
use crate::{Ledger, Partition, TokenBytes, from_stored, in_time, to_stored};

/// A range that a route runs through once more.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Replay {
    /// The route.
    pub route: String,
    /// Everything of the range below this was dealt with.
    pub next: Position,
    /// The end of the range: the first position that is not replayed.
    pub until: Position,
    /// The version that decides about every position; `None` for the one that routed each.
    pub version: Option<u32>,
    /// Tokens of the items that are meant; none for all.
    pub tokens: Vec<TokenBytes>,
    /// Sends all of it as new, under this name: with ids of its own, the same whenever the name is the same. `None` for the ids that
    /// it had.
    pub as_new: Option<String>,
    /// When it was ordered: names the order.
    pub ordered_at: Timestamp,
}

/// How far a replay has come, in a settlement.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Replayed {
    /// Names the order.
    pub ordered_at: Timestamp,
    /// Everything below was dealt with.
    pub next: Position,
}

/// Why a replay was not ordered. Nothing has changed.
#[derive(Debug, thiserror::Error)]
pub enum ReplayError {
    /// One of this route is not done.
    #[error(
        "route {0:?} is replaying already; `weir route ls` says how far it is, and `weir replay {0} --cancel` ends it"
    )]
    Busy(String),
    /// Postgres failed.
    #[error("could not order the replay")]
    Database(#[from] sqlx::Error),
}

impl Ledger {
    /// Orders a replay, and records that.
    ///
    /// # Errors
    ///
    /// The route is replaying already, or Postgres failed. Then nothing has changed.
    pub async fn order_replay(&self, replay: &Replay, reason: &str) -> Result<(), ReplayError> {
        let mut detail = json!({
            "from": replay.next.0,
            "items": replay.tokens.iter().map(hex::encode).collect::<Vec<_>>(),
            "reason": reason,
            "route": replay.route,
            "until": replay.until.0,
            "version": replay.version,
        });
        if let Some(name) = &replay.as_new {
            detail["as_new"] = json!(name);
        }
        let now = replay.ordered_at;
        let record = OwnRecord::lifecycle(&self.shared.name, "replay-ordered", detail.to_string(), now)?;
        let version = replay.version.map(u32::cast_signed);
        let tokens: Vec<Vec<u8>> = replay.tokens.iter().map(|token| token.to_vec()).collect();
        let mut is_busy = false;
        let appended = self.append_own(&record, async |conn, _| {
            let inserted = sqlx::query!(
                "
                insert into replay
                    (ledger_id, route, next_position, next_positions, until_position, version, tokens, as_new, ordered_at)
                values ($1, $2, $3, array_fill($3::bigint, array[256]), $4, $5, $6, $7, $8)
                on conflict do nothing
                ",
                self.shared.id,
                replay.route,
                to_stored(replay.next),
                to_stored(replay.until),
                version,
                &tokens,
                replay.as_new,
                now.to_sqlx() as StoredTimestamp,
            )
            .execute(conn)
            .await?;
            is_busy = inserted.rows_affected() == 0;
            // The entry does not stand without it.
            if is_busy { Err(given_up()) } else { Ok(()) }
        });
        match appended.await {
            Err(_) if is_busy => Err(ReplayError::Busy(replay.route.clone())),
            appended => Ok(appended.map(drop)?),
        }
    }

    /// Ends a replay where it is, and records that. Says whether there was one.
    ///
    /// # Errors
    ///
    /// Postgres failed. Asking again is safe.
    pub async fn cancel_replay(&self, route: &str, reason: &str, now: Timestamp) -> sqlx::Result<bool> {
        let detail = json!({ "reason": reason, "route": route }).to_string();
        let record = OwnRecord::lifecycle(&self.shared.name, "replay-cancelled", detail, now)?;
        let mut is_none = false;
        let appended = self.append_own(&record, async |conn, _| {
            let deleted = sqlx::query!(
                "delete from replay where ledger_id = $1 and route = $2",
                self.shared.id,
                route
            )
            .execute(conn)
            .await?;
            is_none = deleted.rows_affected() == 0;
            if is_none { Err(given_up()) } else { Ok(()) }
        });
        match appended.await {
            Err(_) if is_none => Ok(false),
            appended => appended.map(|_| true),
        }
    }

    /// The replay of a partition's route, if there is one, and how far the partition is.
    ///
    /// # Errors
    ///
    /// Postgres failed.
    pub async fn replay(&self, partition: &Partition) -> sqlx::Result<Option<Replay>> {
        let (first_lane, last_lane) = partition.slice();
        let row = sqlx::query!(
            r#"
            select route, (select min(of_lane) from unnest(next_positions[$3:$4]) as of_lane) as "next_position!",
                until_position, version, tokens, as_new, ordered_at as "ordered_at: StoredTimestamp"
            from replay
            where ledger_id = $1 and route = $2
            "#,
            self.shared.id,
            partition.route,
            first_lane,
            last_lane,
        )
        .fetch_optional(&self.shared.pool);
        let row = in_time::<_, sqlx::Error>(row).await?;
        row.map(|row| {
            let tokens = row.tokens.into_iter().map(|token| token.try_into());
            Ok(Replay {
                route: row.route,
                next: from_stored(row.next_position),
                until: from_stored(row.until_position),
                version: row.version.map(i32::cast_unsigned),
                tokens: tokens.collect::<Result<_, _>>().map_err(|_| unreadable("token"))?,
                as_new: row.as_new,
                ordered_at: row.ordered_at.to_jiff(),
            })
        })
        .transpose()
    }

    /// Moves a replay, or ends it when the last partition is behind its last position. One that was cancelled stays so.
    pub(crate) async fn move_replay(
        &self,
        conn: &mut PgConnection,
        partition: &Partition,
        replayed: Replayed,
    ) -> sqlx::Result<()> {
        let (first_lane, last_lane) = partition.slice();
        let (next, ordered_at) = (to_stored(replayed.next), replayed.ordered_at.to_sqlx());
        sqlx::query!(
            "
            update replay
            set next_positions[$4:$5] = array_fill($6::bigint, array[$5::integer - $4::integer + 1])
            where ledger_id = $1 and route = $2 and ordered_at = $3
            ",
            self.shared.id,
            partition.route,
            ordered_at as StoredTimestamp,
            first_lane,
            last_lane,
            next,
        )
        .execute(&mut *conn)
        .await?;
        let ended = sqlx::query!(
            "
            delete from replay
            where ledger_id = $1 and route = $2 and ordered_at = $3 and until_position <= all (next_positions)
            ",
            self.shared.id,
            partition.route,
            ordered_at as StoredTimestamp,
        )
        .execute(&mut *conn)
        .await?;
        if ended.rows_affected() == 0 {
            sqlx::query!(
                "
                update replay
                set next_position = (select min(of_lane) from unnest(next_positions) as of_lane)
                where ledger_id = $1 and route = $2 and ordered_at = $3
                ",
                self.shared.id,
                partition.route,
                ordered_at as StoredTimestamp,
            )
            .execute(conn)
            .await?;
        }
        Ok(())
    }
}

/// Takes back what stands beside it in the transaction.
fn given_up() -> sqlx::Error {
    sqlx::Error::RowNotFound
}
