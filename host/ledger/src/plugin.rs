//! The registry of plugins: what was uploaded, by digest.
//!
//! # Invariants
//!
//! - A component is stored once, under the SHA-256 of its bytes. Nothing that was stored changes.
//! - An upload is an entry of the ledger, written in the transaction that stores it. Uploading again changes nothing, unless
//!   another key signed it: then both stand.

use jiff_sqlx::Timestamp as StoredTimestamp;
use serde_json::json;
use sqlx::PgConnection;
use weir_evidence::Hash;
use weir_model::Position;

use crate::append::OwnRecord;
use crate::head::unreadable;
use crate::route_version::is_taken;
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
    /// The trusted key that signed it; none where no signature was asked for.
    pub signer: Option<String>,
}

/// Which uploads are meant. What is `None` may be anything.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct UploadQuery<'a> {
    /// The name that the plugin gives itself.
    pub name: Option<&'a str>,
    /// Its version.
    pub version: Option<&'a str>,
    /// First digits of its digest, hexadecimal, in lower case.
    pub digits: Option<&'a str>,
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
    /// Stores a plugin and records that, unless it was uploaded before under the same signature: then that is told.
    ///
    /// # Errors
    ///
    /// Postgres failed. Asking again is safe.
    pub async fn upload(&self, plugin: &StoredPlugin, about: &NewUpload, now: jiff::Timestamp) -> sqlx::Result<Upload> {
        if let Some(upload) = self.find_upload(&plugin.digest, about).await? {
            return Ok(upload);
        }
        let detail = json!({
            "plugin": hex::encode(plugin.digest),
            "name": about.name,
            "version": about.version,
            "signer": about.signer,
        });
        let record = OwnRecord::lifecycle(&self.shared.name, "plugin-uploaded", detail.to_string(), now)?;
        // Large, and so before the head is locked. A plugin that nothing names does no harm.
        in_time(async {
            let mut conn = self.shared.pool.acquire().await?;
            self.store_plugin(&mut conn, plugin).await
        })
        .await?;
        let appended = self.append_own(&record, async |conn, position| {
            sqlx::query!(
                "
                insert into upload (ledger_id, plugin_digest, signer, name, version, manifest, position, uploaded_at)
                values ($1, $2, $3, $4, $5, $6, $7, $8)
                ",
                self.shared.id,
                &plugin.digest[..],
                about.signer.as_deref().unwrap_or_default(),
                about.name,
                about.version,
                about.manifest,
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
            Err(error) if is_taken(&error) => {}
            Err(error) => return Err(error),
        }
        let upload = self.find_upload(&plugin.digest, about).await?;
        upload.ok_or_else(|| unreadable("upload"))
    }

    async fn find_upload(&self, digest: &Hash, about: &NewUpload) -> sqlx::Result<Option<Upload>> {
        let mut uploads = self.uploads_of(&[*digest]).await?.into_iter();
        Ok(uploads.find(|upload| upload.about.signer == about.signer))
    }

    /// The newest uploads that are meant, the newest first, at most 1,000.
    ///
    /// # Errors
    ///
    /// Postgres failed.
    pub async fn uploads(&self, query: UploadQuery<'_>) -> sqlx::Result<Vec<Upload>> {
        let rows = sqlx::query_as!(
            UploadRow,
            r#"
            select plugin_digest, name, version, manifest, signer, position,
                uploaded_at as "uploaded_at: StoredTimestamp", octet_length(component) as "bytes!"
            from upload join plugin on digest = plugin_digest
            where ledger_id = $1
                and ($2::text is null or name = $2)
                and ($3::text is null or version = $3)
                and ($4::text is null or starts_with(encode(plugin_digest, 'hex'), $4))
            order by position desc
            limit 1000
            "#,
            self.shared.id,
            query.name,
            query.version,
            query.digits,
        )
        .fetch_all(&self.shared.pool);
        in_time(rows).await?.into_iter().map(UploadRow::read).collect()
    }

    /// The uploads of these plugins, the newest first.
    ///
    /// # Errors
    ///
    /// Postgres failed.
    pub async fn uploads_of(&self, digests: &[Hash]) -> sqlx::Result<Vec<Upload>> {
        let digests: Vec<Vec<u8>> = digests.iter().map(|digest| digest.to_vec()).collect();
        let rows = sqlx::query_as!(
            UploadRow,
            r#"
            select plugin_digest, name, version, manifest, signer, position,
                uploaded_at as "uploaded_at: StoredTimestamp", octet_length(component) as "bytes!"
            from upload join plugin on digest = plugin_digest
            where ledger_id = $1 and plugin_digest = any($2)
            order by position desc
            "#,
            self.shared.id,
            &digests,
        )
        .fetch_all(&self.shared.pool);
        in_time(rows).await?.into_iter().map(UploadRow::read).collect()
    }

    /// Digests of the plugins that a process may have to run at any moment: those that routes run, and the newest 50 uploads.
    ///
    /// # Errors
    ///
    /// Postgres failed.
    pub async fn plugins_wanted(&self) -> sqlx::Result<Vec<Hash>> {
        let digests = in_time(
            sqlx::query_scalar!(
                r#"
                (select plugin_digest as "digest!" from upload where ledger_id = $1 order by position desc limit 50)
                union
                (
                    select plugin_digest from (
                        select distinct on (route) route, plugin_digest from route_version
                        where ledger_id = $1
                        order by route, version desc
                    ) as running
                    where plugin_digest is not null
                )
                "#,
                self.shared.id,
            )
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
            .fetch_one(&self.shared.pool);
        Ok(StoredPlugin {
            digest: *digest,
            component: in_time::<_, sqlx::Error>(component).await?,
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

/// An upload as it is stored.
struct UploadRow {
    plugin_digest: Vec<u8>,
    name: String,
    version: String,
    manifest: String,
    signer: String,
    position: i64,
    uploaded_at: StoredTimestamp,
    bytes: i32,
}

impl UploadRow {
    fn read(self) -> sqlx::Result<Upload> {
        Ok(Upload {
            digest: Hash::try_from(self.plugin_digest).map_err(|_| unreadable("plugin digest"))?,
            about: NewUpload {
                name: self.name,
                version: self.version,
                manifest: self.manifest,
                signer: Some(self.signer).filter(|signer| !signer.is_empty()),
            },
            bytes: u64::from(self.bytes.cast_unsigned()),
            position: from_stored(self.position),
            uploaded_at: self.uploaded_at.to_jiff(),
        })
    }
}
