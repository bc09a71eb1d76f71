//! The registry of plugins: what was uploaded, by digest.
//!
//! # Invariants
//!
//! - A component is stored once, under the SHA-256 of its bytes. Nothing that was stored changes.
//! - An upload is an entry of the ledger, written in the transaction that stores it. Uploading again changes nothing.

use jiff_sqlx::Timestamp as StoredTimestamp;
use serde_json::json;
use sqlx::PgConnection;
use weir_evidence::{Entry, EntryKind, Hash};
use weir_model::Position;

use crate::append::OwnRecord;
use crate::head::unreadable;
use crate::{Ledger, from_stored, in_time, to_stored};

/// A plugin's component.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredPlugin {
    /// SHA-256 of the component.
    pub digest: Hash,
    /// The component.
    pub component: Vec<u8>,
}

/// What is known of a plugin that is uploaded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewUpload {
    /// The name that it gives itself.
    pub name: String,
    /// Its version.
    pub version: String,
    /// What it says of itself, as JSON text.
    pub manifest: String,
    /// Id of the trusted key that signed it.
    pub signer: Option<String>,
}

/// A plugin that was uploaded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Upload {
    /// SHA-256 of the component.
    pub digest: Hash,
    /// What was known of it then.
    pub about: NewUpload,
    /// Bytes of the component.
    pub bytes: u64,
    /// Position of the entry that tells of it.
    pub position: Position,
    /// When.
    pub uploaded_at: jiff::Timestamp,
}

impl Ledger {
    /// Stores a plugin and records that, unless it was uploaded before: then that is told.
    ///
    /// # Errors
    ///
    /// Postgres failed. Asking again is safe.
    pub async fn upload(&self, plugin: &StoredPlugin, about: &NewUpload, now: jiff::Timestamp) -> sqlx::Result<Upload> {
        if let Some(upload) = self.find_upload(&plugin.digest).await? {
            return Ok(upload);
        }
        let detail = json!({
            "plugin": hex::encode(plugin.digest),
            "name": about.name,
            "version": about.version,
            "signer": about.signer,
        });
        let record = OwnRecord::bare(&Entry {
            ledger: self.shared.name.clone(),
            kind: EntryKind::Lifecycle {
                time: now,
                what: "plugin-uploaded".to_owned(),
                detail: detail.to_string(),
            },
        });
        // Large, and so before the head is locked. A plugin that nothing names does no harm.
        let mut conn = self.shared.pool.acquire().await?;
        self.store_plugin(&mut conn, plugin).await?;
        drop(conn);
        let appended = self.append_own(&record, async |conn, position| {
            sqlx::query!(
                "
                insert into upload (ledger_id, plugin_digest, name, version, manifest, signer, position, uploaded_at)
                values ($1, $2, $3, $4, $5, $6, $7, $8)
                ",
                self.shared.id,
                &plugin.digest[..],
                about.name,
                about.version,
                about.manifest,
                about.signer,
                to_stored(position),
                StoredTimestamp::from(now) as StoredTimestamp,
            )
            .execute(conn)
            .await?;
            Ok(())
        });
        match appended.await {
            Ok(_) => {}
            // Somebody else uploaded the same in the same moment.
            Err(error)
                if error
                    .as_database_error()
                    .is_some_and(sqlx::error::DatabaseError::is_unique_violation) => {}
            Err(error) => return Err(error),
        }
        self.find_upload(&plugin.digest)
            .await?
            .ok_or_else(|| unreadable("upload"))
    }

    async fn find_upload(&self, digest: &Hash) -> sqlx::Result<Option<Upload>> {
        let mut uploads = self.uploads().await?;
        let found = uploads.iter().position(|upload| upload.digest == *digest);
        Ok(found.map(|found| uploads.swap_remove(found)))
    }

    /// Every plugin that was uploaded, the newest first.
    ///
    /// # Errors
    ///
    /// Postgres failed.
    pub async fn uploads(&self) -> sqlx::Result<Vec<Upload>> {
        let rows = in_time(
            sqlx::query!(
                r#"
                select plugin_digest, name, version, manifest, signer, position,
                    uploaded_at as "uploaded_at: StoredTimestamp", octet_length(component) as "bytes!"
                from upload join plugin on digest = plugin_digest
                where ledger_id = $1
                order by position desc
                "#,
                self.shared.id,
            )
            .fetch_all(&self.shared.pool),
        )
        .await?;
        rows.into_iter()
            .map(|row| {
                Ok(Upload {
                    digest: Hash::try_from(row.plugin_digest).map_err(|_| unreadable("plugin digest"))?,
                    about: NewUpload {
                        name: row.name,
                        version: row.version,
                        manifest: row.manifest,
                        signer: row.signer,
                    },
                    bytes: u64::from(row.bytes.cast_unsigned()),
                    position: from_stored(row.position),
                    uploaded_at: row.uploaded_at.to_jiff(),
                })
            })
            .collect()
    }

    /// Digests of what was uploaded, in no particular order.
    ///
    /// # Errors
    ///
    /// Postgres failed.
    pub async fn uploaded_digests(&self) -> sqlx::Result<Vec<Hash>> {
        let digests = in_time(
            sqlx::query_scalar!("select plugin_digest from upload where ledger_id = $1", self.shared.id)
                .fetch_all(&self.shared.pool),
        );
        let digests: Vec<Vec<u8>> = digests.await?;
        let digests = digests
            .into_iter()
            .map(|digest| Hash::try_from(digest).map_err(|_| unreadable("plugin digest")));
        digests.collect()
    }

    /// Loads a plugin that was uploaded, or that a route version names.
    ///
    /// # Errors
    ///
    /// Postgres failed, or the plugin is not there.
    pub async fn plugin(&self, digest: &Hash) -> sqlx::Result<StoredPlugin> {
        let component = sqlx::query_scalar!("select component from plugin where digest = $1", &digest[..])
            .fetch_one(&self.shared.pool)
            .await?;
        Ok(StoredPlugin {
            digest: *digest,
            component,
        })
    }

    pub(crate) async fn store_plugin(&self, conn: &mut PgConnection, plugin: &StoredPlugin) -> sqlx::Result<()> {
        sqlx::query!(
            "insert into plugin (digest, component) values ($1, $2) on conflict do nothing",
            &plugin.digest[..],
            plugin.component,
        )
        .execute(conn)
        .await?;
        Ok(())
    }
}
