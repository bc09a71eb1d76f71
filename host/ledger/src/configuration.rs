//! What all processes of a ledger do, where an operator said so with `weir apply`.
//!
//! # Invariants
//!
//! - A configuration is an entry of the ledger, in the transaction that makes it count.
//! - Configurations are numbered from 1 without a gap, and stay. The one of the highest number counts.

use jiff::Timestamp;
use jiff_sqlx::Timestamp as StoredTimestamp;
use jiff_sqlx::ToSqlx as _;
use serde_json::json;
use sha2::{Digest as _, Sha256};
use sqlx::{PgConnection, PgExecutor};

use crate::append::OwnRecord;
use crate::{Ledger, in_time, to_stored};

/// What was applied.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AppliedConfiguration {
    /// Its number.
    pub number: u32,
    /// Sources, sinks and routes: JSON text. `None`: what each process's own file says.
    pub definition: Option<String>,
    /// When it was applied.
    pub applied_at: Timestamp,
}

impl Ledger {
    /// What counts now; `None` where nothing was ever applied.
    ///
    /// # Errors
    ///
    /// Postgres failed.
    pub async fn configuration(&self) -> sqlx::Result<Option<AppliedConfiguration>> {
        self.find_configuration(None).await
    }

    /// What was applied under a number.
    ///
    /// # Errors
    ///
    /// Postgres failed.
    pub async fn configuration_numbered(&self, number: u32) -> sqlx::Result<Option<AppliedConfiguration>> {
        self.find_configuration(Some(number)).await
    }

    /// The newest, or that of a number.
    async fn find_configuration(&self, number: Option<u32>) -> sqlx::Result<Option<AppliedConfiguration>> {
        let row = sqlx::query!(
            r#"
            select number, definition, applied_at as "applied_at: StoredTimestamp"
            from configuration
            where ledger_id = $1 and ($2::integer is null or number = $2)
            order by number desc
            limit 1
            "#,
            self.shared.id,
            number.map(u32::cast_signed),
        )
        .fetch_optional(&self.shared.pool);
        let row = in_time::<_, sqlx::Error>(row).await?;
        Ok(row.map(|row| AppliedConfiguration {
            number: row.number.cast_unsigned(),
            definition: row.definition,
            applied_at: row.applied_at.to_jiff(),
        }))
    }

    /// The number of what counts now; 0 where nothing was ever applied.
    ///
    /// # Errors
    ///
    /// Postgres failed.
    pub async fn configuration_number(&self) -> sqlx::Result<u32> {
        in_time(self.newest_number(&self.shared.pool)).await
    }

    /// Whether a configuration counts, or no particular one is meant; under the head's lock.
    pub(crate) async fn counts(&self, conn: &mut PgConnection, number: Option<u32>) -> sqlx::Result<bool> {
        match number {
            Some(number) => Ok(self.newest_number(conn).await? == number),
            None => Ok(true),
        }
    }

    async fn newest_number(&self, postgres: impl PgExecutor<'_>) -> sqlx::Result<u32> {
        let number = sqlx::query_scalar!(
            r#"select coalesce(max(number), 0) as "number!" from configuration where ledger_id = $1"#,
            self.shared.id,
        )
        .fetch_one(postgres)
        .await?;
        Ok(number.cast_unsigned())
    }

    /// Tells that the process of this name cannot do a configuration, and why. Says whether there is such a process.
    ///
    /// # Errors
    ///
    /// Postgres failed.
    pub async fn refuse_configuration(&self, worker: &str, number: u32, reason: &str) -> sqlx::Result<bool> {
        let refused = sqlx::query!(
            "update worker set refused = $3, refusal = $4 where ledger_id = $1 and name = $2",
            self.shared.id,
            worker,
            number.cast_signed(),
            reason,
        )
        .execute(&self.shared.pool);
        Ok(in_time::<_, sqlx::Error>(refused).await?.rows_affected() > 0)
    }

    /// Makes a configuration count, behind the one of this number, and records that. Says its number; nothing if another one came
    /// between.
    ///
    /// # Errors
    ///
    /// Postgres failed. What counts then can be asked.
    pub async fn apply_configuration(
        &self,
        after: u32,
        definition: Option<&str>,
        reason: &str,
        now: Timestamp,
    ) -> sqlx::Result<Option<u32>> {
        let number = after + 1;
        let detail = json!({
            "configuration": definition.map(|text| hex::encode(Sha256::digest(text))),
            "number": number,
            "reason": reason,
        });
        let record = OwnRecord::lifecycle(&self.shared.name, "configuration-applied", detail.to_string(), now)?;
        let mut is_late = false;
        let appended = self.append_own(&record, async |conn, position| {
            // Under the head's lock: nobody else applies now.
            let inserted = sqlx::query!(
                "
                insert into configuration (ledger_id, number, position, definition, applied_at)
                select $1, $2::integer, $3, $4, $5
                where $2::integer - 1 = (select coalesce(max(number), 0) from configuration where ledger_id = $1)
                ",
                self.shared.id,
                number.cast_signed(),
                to_stored(position),
                definition,
                now.to_sqlx() as StoredTimestamp,
            )
            .execute(conn)
            .await?;
            is_late = inserted.rows_affected() == 0;
            // The entry does not stand without it.
            if is_late { Err(sqlx::Error::RowNotFound) } else { Ok(()) }
        });
        match appended.await {
            Err(_) if is_late => Ok(None),
            appended => appended.map(|_| Some(number)),
        }
    }
}
