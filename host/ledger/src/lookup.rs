//! Tables that plugins look things up in: uploaded under a name, used by digest.
//!
//! # Invariants
//!
//! - What was uploaded does not change: an upload under the same name is another table, and a version of a route goes on with
//!   the one that it names.
//! - An upload is an entry of the ledger, written in the transaction that makes it the newest of its name.

use jiff_sqlx::Timestamp as StoredTimestamp;
use serde_json::json;
use weir_evidence::Hash;
use weir_model::Position;

use crate::append::OwnRecord;
use crate::head::unreadable;
use crate::{Ledger, from_stored, in_time, to_stored};

/// A table, as it is uploaded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewLookup {
    /// Its name.
    pub name: String,
    /// SHA-256 of the content.
    pub digest: Hash,
    /// JSON text: an object, its names sorted, without white space.
    pub content: String,
    /// How many keys it has.
    pub keys: u64,
}

/// The newest table of a name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lookup {
    /// Its name.
    pub name: String,
    /// SHA-256 of its content.
    pub digest: Hash,
    /// How many keys it has.
    pub keys: u64,
    /// Position of the entry that tells of the upload.
    pub position: Position,
    /// When.
    pub uploaded_at: jiff::Timestamp,
}

impl Ledger {
    /// Makes a table the newest of its name and records that, unless it is that already.
    ///
    /// # Errors
    ///
    /// Postgres failed. Asking again is safe.
    pub async fn upload_lookup(&self, table: &NewLookup, now: jiff::Timestamp) -> sqlx::Result<Lookup> {
        if let Some(lookup) = self
            .newest_lookup(&table.name)
            .await?
            .filter(|lookup| lookup.digest == table.digest)
        {
            return Ok(lookup);
        }
        let detail = json!({
            "name": table.name,
            "table": hex::encode(table.digest),
            "keys": table.keys,
        });
        let record = OwnRecord::lifecycle(&self.shared.name, "lookup-uploaded", detail.to_string(), now)?;
        // Large, and so before the head is locked. A table that nothing names does no harm.
        in_time(
            sqlx::query!(
                "insert into lookup_table (digest, content) values ($1, $2) on conflict do nothing",
                &table.digest[..],
                table.content,
            )
            .execute(&self.shared.pool),
        )
        .await?;
        self.append_own(&record, async |conn, position| {
            sqlx::query!(
                "
                insert into lookup_upload (ledger_id, name, position, digest, keys, uploaded_at)
                values ($1, $2, $3, $4, $5, $6)
                ",
                self.shared.id,
                table.name,
                to_stored(position),
                &table.digest[..],
                table.keys.cast_signed(),
                StoredTimestamp::from(now) as StoredTimestamp,
            )
            .execute(conn)
            .await?;
            Ok(())
        })
        .await?;
        let newest = self.newest_lookup(&table.name).await?;
        newest.ok_or_else(|| unreadable("lookup table"))
    }

    async fn newest_lookup(&self, name: &str) -> sqlx::Result<Option<Lookup>> {
        let lookups = self.lookups().await?;
        Ok(lookups.into_iter().find(|lookup| lookup.name == name))
    }

    /// The newest table of each name, by name.
    ///
    /// # Errors
    ///
    /// Postgres failed.
    pub async fn lookups(&self) -> sqlx::Result<Vec<Lookup>> {
        let rows = in_time(
            sqlx::query!(
                r#"
                select distinct on (name) name, digest, keys, position, uploaded_at as "uploaded_at: StoredTimestamp"
                from lookup_upload
                where ledger_id = $1
                order by name, position desc
                "#,
                self.shared.id,
            )
            .fetch_all(&self.shared.pool),
        )
        .await?;
        rows.into_iter()
            .map(|row| {
                Ok(Lookup {
                    name: row.name,
                    digest: Hash::try_from(row.digest).map_err(|_| unreadable("lookup table's digest"))?,
                    keys: row.keys.cast_unsigned(),
                    position: from_stored(row.position),
                    uploaded_at: row.uploaded_at.to_jiff(),
                })
            })
            .collect()
    }

    /// The content of a table, JSON text.
    ///
    /// # Errors
    ///
    /// Postgres failed, or there is no such table.
    pub async fn lookup_content(&self, digest: &Hash) -> sqlx::Result<String> {
        in_time(
            sqlx::query_scalar!("select content from lookup_table where digest = $1", &digest[..])
                .fetch_one(&self.shared.pool),
        )
        .await
    }
}
