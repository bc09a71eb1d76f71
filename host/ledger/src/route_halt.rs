//! Routes that halted: where, and because of what.
//!
//! # Invariants
//!
//! - A version that is entered while a route stands still begins where it halted, and ends the halt in the same transaction.

use jiff::Timestamp;
use sqlx::PgConnection;
use weir_model::Position;

use crate::head::unreadable;
use crate::{Ledger, from_stored, in_time, to_stored};

/// A route that stands still.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RouteHalt {
    /// The change that its plugin failed on; everything before it is settled.
    pub position: Position,
    /// The route's version.
    pub version: u32,
    /// What happened, for machines.
    pub code: String,
    /// Since when.
    pub since: Timestamp,
}

impl Ledger {
    /// Notes that a route halted, unless a version was entered meanwhile that routes that position. Safe to repeat.
    ///
    /// # Errors
    ///
    /// Postgres failed.
    pub async fn halt_route(&self, route: &str, position: Position, version: u32, code: &str) -> sqlx::Result<()> {
        let version = i32::try_from(version).map_err(|_| unreadable("route version"))?;
        in_time(async {
            let mut tx = self.begin().await?;
            self.lock_halts(&mut tx).await?;
            sqlx::query!(
                "
                insert into route_halt (ledger_id, route, position, version, code)
                select $1, $2, $3, $4, $5
                where not exists (
                    select from route_version
                    where ledger_id = $1 and route = $2 and version > $4 and from_position <= $3
                )
                on conflict (ledger_id, route) do update
                set position = excluded.position, version = excluded.version, code = excluded.code,
                    halted_at = excluded.halted_at
                where (route_halt.position, route_halt.version) <> (excluded.position, excluded.version)
                ",
                self.shared.id,
                route,
                to_stored(position),
                version,
                code,
            )
            .execute(&mut *tx)
            .await?;
            tx.commit().await
        })
        .await
    }

    /// Halts and versions go one after the other, or a halt could be noted that a version has just ended.
    async fn lock_halts(&self, conn: &mut PgConnection) -> sqlx::Result<()> {
        sqlx::query!(
            "select pg_advisory_xact_lock(hashtext('weir/route-halt'), $1)",
            self.shared.id
        )
        .fetch_one(conn)
        .await?;
        Ok(())
    }

    /// Where a route stands still, if it does.
    ///
    /// # Errors
    ///
    /// Postgres failed.
    pub async fn route_halt(&self, route: &str) -> sqlx::Result<Option<RouteHalt>> {
        let row = sqlx::query!(
            r#"
            select position, version, code, halted_at as "halted_at: jiff_sqlx::Timestamp"
            from route_halt
            where ledger_id = $1 and route = $2
            "#,
            self.shared.id,
            route,
        )
        .fetch_optional(&self.shared.pool);
        let row = in_time::<_, sqlx::Error>(row).await?;
        row.map(|row| {
            Ok(RouteHalt {
                position: from_stored(row.position),
                version: u32::try_from(row.version).map_err(|_| unreadable("route version"))?,
                code: row.code,
                since: row.halted_at.to_jiff(),
            })
        })
        .transpose()
    }

    /// Where the next version begins: where the route halted, which it does no more, or else at `end`.
    pub(crate) async fn next_version_begins(
        &self,
        conn: &mut PgConnection,
        route: &str,
        end: Position,
    ) -> sqlx::Result<Position> {
        self.lock_halts(conn).await?;
        let halted = sqlx::query_scalar!(
            "delete from route_halt where ledger_id = $1 and route = $2 returning position",
            self.shared.id,
            route,
        )
        .fetch_optional(conn)
        .await?;
        Ok(halted.map_or(end, from_stored))
    }
}
