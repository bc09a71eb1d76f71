//! Signed heads, and the names under which they were signed.
//!
//! Everything here is made by the publisher, after the commit. What may be signed is decided by the guard, outside.

use jiff_sqlx::Timestamp as StoredTimestamp;

use crate::append::OwnRecord;
use crate::{Ledger, in_time};

/// A name under which heads of a ledger are signed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SigningOrigin {
    /// 0 for the first; a higher one after the tree was declared to be another (a restored back-up).
    pub number: u32,
    /// The origin line of its checkpoints.
    pub origin: String,
}

/// A signed head.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredCheckpoint {
    /// Entries that it covers.
    pub size: u64,
    /// The signed note.
    pub note: String,
    /// When it was stored.
    pub created_at: jiff::Timestamp,
}

impl Ledger {
    /// The origin that signs now, made with this name if there was none.
    ///
    /// # Errors
    ///
    /// Postgres failed, or another ledger signs under this name.
    pub async fn signing_origin(&self, name_if_new: &str) -> sqlx::Result<SigningOrigin> {
        in_time(async {
            sqlx::query!(
                "insert into origin (ledger_id, number, origin) values ($1, 0, $2) on conflict do nothing",
                self.shared.id,
                name_if_new,
            )
            .execute(&self.shared.pool)
            .await?;
            self.find_origin().await?.ok_or_else(|| {
                sqlx::Error::Protocol(format!(
                    "{name_if_new} is the origin of another ledger in this database: set another `origin` under [ledger]"
                ))
            })
        })
        .await
    }

    /// The origin that signs now, if anything was ever signed.
    ///
    /// # Errors
    ///
    /// Postgres failed.
    pub async fn find_origin(&self) -> sqlx::Result<Option<SigningOrigin>> {
        let row = sqlx::query!(
            "select number, origin from origin where ledger_id = $1 order by number desc limit 1",
            self.shared.id,
        )
        .fetch_optional(&self.shared.pool);
        Ok(in_time::<_, sqlx::Error>(row).await?.map(|row| SigningOrigin {
            number: row.number.cast_unsigned(),
            origin: row.origin,
        }))
    }

    /// Begins a new origin, with an entry that says why and quotes the last signed head of the old one.
    ///
    /// # Errors
    ///
    /// Postgres failed. Then neither is there, unless the connection was lost during commit.
    pub async fn continue_under(
        &self,
        origin: &SigningOrigin,
        reason: &str,
        old_checkpoint: &str,
        now: jiff::Timestamp,
    ) -> sqlx::Result<()> {
        let record = OwnRecord::lifecycle(
            &self.shared.name,
            "continued",
            format!("{reason}\n\n{old_checkpoint}"),
            now,
        )?;
        self.append_own(&record, async |conn, _| {
            sqlx::query!(
                "insert into origin (ledger_id, number, origin, reason) values ($1, $2, $3, $4)",
                self.shared.id,
                origin.number.cast_signed(),
                origin.origin,
                reason,
            )
            .execute(conn)
            .await?;
            Ok(())
        })
        .await?;
        Ok(())
    }

    /// Notes public keys whose signatures are about to stand below checkpoints.
    ///
    /// # Errors
    ///
    /// Postgres failed.
    pub async fn note_verifier_keys(&self, vkeys: &[String]) -> sqlx::Result<()> {
        let noted = sqlx::query!(
            "
            insert into verifier_key (ledger_id, vkey) select $1, vkey from unnest($2::text[]) as vkey
            on conflict do nothing
            ",
            self.shared.id,
            vkeys,
        )
        .execute(&self.shared.pool);
        in_time::<_, sqlx::Error>(noted).await?;
        Ok(())
    }

    /// Stores a checkpoint, or the same one with more signatures. Of those before, the first of every minute is kept.
    ///
    /// # Errors
    ///
    /// Postgres failed. Safe to repeat.
    pub async fn store_checkpoint(&self, origin: &SigningOrigin, size: u64, note: &str) -> sqlx::Result<()> {
        let stored = sqlx::query!(
            "
            insert into checkpoint (ledger_id, origin_number, size, note) values ($1, $2, $3, $4)
            on conflict (ledger_id, origin_number, size) do update set note = excluded.note
            ",
            self.shared.id,
            origin.number.cast_signed(),
            size.cast_signed(),
            note,
        )
        .execute(&self.shared.pool);
        in_time::<_, sqlx::Error>(stored).await?;
        let thinned = sqlx::query!(
            "select thin_checkpoints($1, $2)",
            self.shared.id,
            origin.number.cast_signed(),
        )
        .execute(&self.shared.pool);
        in_time::<_, sqlx::Error>(thinned).await?;
        Ok(())
    }

    /// The newest checkpoint of the origin that signs now.
    ///
    /// # Errors
    ///
    /// Postgres failed.
    pub async fn newest_checkpoint(&self) -> sqlx::Result<Option<StoredCheckpoint>> {
        let row = sqlx::query!(
            r#"
            select size, note, created_at as "created_at: StoredTimestamp"
            from checkpoint
            where ledger_id = $1 and origin_number = (select max(number) from origin where ledger_id = $1)
            order by size desc
            limit 1
            "#,
            self.shared.id,
        )
        .fetch_optional(&self.shared.pool);
        Ok(in_time::<_, sqlx::Error>(row).await?.map(|row| StoredCheckpoint {
            size: row.size.cast_unsigned(),
            note: row.note,
            created_at: row.created_at.to_jiff(),
        }))
    }

    /// Checkpoints of the origin that signs now whose size is above `from` and not above `to`.
    pub(crate) async fn checkpoints_between(&self, from: u64, to: u64) -> sqlx::Result<Vec<(u64, String)>> {
        let rows = sqlx::query!(
            "
            select size, note
            from checkpoint
            where ledger_id = $1 and size > $2 and size <= $3
              and origin_number = (select max(number) from origin where ledger_id = $1)
            order by size
            ",
            self.shared.id,
            from.cast_signed(),
            to.cast_signed(),
        )
        .fetch_all(&self.shared.pool)
        .await?;
        Ok(rows
            .into_iter()
            .map(|row| (row.size.cast_unsigned(), row.note))
            .collect())
    }

    /// Every public key whose signature stands below a checkpoint.
    ///
    /// # Errors
    ///
    /// Postgres failed.
    pub async fn verifier_keys(&self) -> sqlx::Result<Vec<String>> {
        sqlx::query_scalar!("select vkey from verifier_key where ledger_id = $1", self.shared.id)
            .fetch_all(&self.shared.pool)
            .await
    }
}
