//! The plugins at the intake of sources: which one annotated what, and annotates again what it could not.
//!
//! # Invariants
//!
//! - What annotates a source is an entry of the ledger before the first change that it annotated.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use sqlx::PgConnection;
use weir_evidence::{ConfigurationDigest, Hash};
use weir_model::ActorRule;

use crate::append::OwnRecord;
use crate::head::unreadable;
use crate::{Ledger, StoredPlugin, in_time, to_stored};

/// What annotates the changes of a source.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Annotator {
    /// The source.
    pub source: String,
    /// SHA-256 of the plugin's component.
    pub plugin: Hash,
    /// The rest of it.
    pub definition: AnnotatorDefinition,
}

/// What there is to an annotator beside its source and its plugin.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AnnotatorDefinition {
    /// Digest of all of it, as the entries of the source's changes have it: 32 hexadecimal digits.
    pub config: String,
    /// Where items say who wrote them.
    pub actor: Option<ActorRule>,
    /// The plugin's configuration, JSON text.
    pub plugin_config: String,
    /// SHA-256 of the tables that it looks things up in, hexadecimal, by name.
    pub lookups: BTreeMap<String, String>,
}

impl AnnotatorDefinition {
    /// The digest as entries have it.
    #[must_use]
    pub fn digest(&self) -> Option<ConfigurationDigest> {
        let digest = hex::decode(&self.config).ok()?;
        digest.try_into().ok().map(ConfigurationDigest)
    }
}

impl Ledger {
    /// Records what annotates a source from now on, unless it is so already. `granted` is what the plugin says of itself. Where another
    /// configuration counts than `counts`, nothing is recorded of what annotated before.
    ///
    /// # Errors
    ///
    /// Postgres failed. Asking again is safe.
    pub async fn enter_annotator(
        &self,
        annotator: &Annotator,
        plugin: &StoredPlugin,
        granted: &Value,
        counts: Option<u32>,
        now: jiff::Timestamp,
    ) -> sqlx::Result<()> {
        if self.annotator(&annotator.source).await?.as_ref() == Some(annotator) {
            return Ok(());
        }
        let definition = &annotator.definition;
        let detail = json!({
            "source": annotator.source,
            "config": definition.config,
            "actor": definition.actor,
            "plugin": hex::encode(annotator.plugin),
            "plugin_config": hex::encode(Sha256::digest(&definition.plugin_config)),
            "lookups": definition.lookups,
            "granted": granted,
        });
        let record = OwnRecord::lifecycle(&self.shared.name, "annotator-configured", detail.to_string(), now)?;
        in_time(async {
            let mut conn = self.shared.pool.acquire().await?;
            self.store_plugin(&mut conn, plugin).await
        })
        .await?;
        let stored = serde_json::to_string(definition).map_err(|error| sqlx::Error::Encode(Box::new(error)))?;
        let mut is_old = false;
        let appended = self.append_own(&record, async |conn, position| {
            is_old = !self.counts(conn, counts).await? && self.was_entered(conn, annotator, &stored).await?;
            if is_old {
                // The entry does not stand without it.
                return Err(sqlx::Error::RowNotFound);
            }
            sqlx::query!(
                "
                insert into annotator (ledger_id, source, position, plugin_digest, definition)
                values ($1, $2, $3, $4, $5)
                ",
                self.shared.id,
                annotator.source,
                to_stored(position),
                &annotator.plugin[..],
                stored,
            )
            .execute(conn)
            .await?;
            Ok(())
        });
        match appended.await {
            Err(_) if is_old => Ok(()),
            appended => appended.map(drop),
        }
    }

    /// Whether this ever annotated its source.
    async fn was_entered(&self, conn: &mut PgConnection, annotator: &Annotator, stored: &str) -> sqlx::Result<bool> {
        let was_entered = sqlx::query_scalar!(
            r#"
            select exists (
                select from annotator
                where ledger_id = $1 and source = $2 and plugin_digest = $3 and definition = $4
            ) as "was_entered!"
            "#,
            self.shared.id,
            annotator.source,
            &annotator.plugin[..],
            stored,
        )
        .fetch_one(conn)
        .await?;
        Ok(was_entered)
    }

    /// What annotates a source now, if anything ever did.
    ///
    /// # Errors
    ///
    /// Postgres failed.
    pub async fn annotator(&self, source: &str) -> sqlx::Result<Option<Annotator>> {
        let row = sqlx::query!(
            "
            select plugin_digest, definition
            from annotator
            where ledger_id = $1 and source = $2
            order by position desc
            limit 1
            ",
            self.shared.id,
            source,
        )
        .fetch_optional(&self.shared.pool);
        let Some(row) = in_time::<_, sqlx::Error>(row).await? else {
            return Ok(None);
        };
        Ok(Some(Annotator {
            source: source.to_owned(),
            plugin: Hash::try_from(row.plugin_digest).map_err(|_| unreadable("plugin digest"))?,
            definition: serde_json::from_str(&row.definition).map_err(|_| unreadable("annotator"))?,
        }))
    }
}
