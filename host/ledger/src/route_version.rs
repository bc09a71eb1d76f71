//! Versions of routes, and the plugins they run. What a route does with a position is decided by the position.

use serde::{Deserialize, Serialize};
use sqlx::PgConnection;
use weir_evidence::Hash;
use weir_model::Position;

use crate::head::unreadable;
use crate::{Ledger, from_stored, in_time, to_stored};

/// Everything that decides what a route makes of a change.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RouteDefinition {
    /// Name of the source whose changes it takes.
    pub source: String,
    /// Event pattern as JSON text; `None` takes everything.
    pub pattern: Option<String>,
    /// Digest of the plugin, as hexadecimal digits; `None` sends changes as they are.
    pub plugin: Option<String>,
    /// The plugin's configuration as JSON text.
    pub plugin_config: String,
    /// Names of the sinks that every event goes to.
    pub sinks: Vec<String>,
}

/// One version of a route: what it does from a position on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RouteVersion {
    /// Counts from 1. Part of every delivery's id.
    pub version: u32,
    /// The first position that it routes.
    pub from_position: Position,
    /// What it does.
    pub definition: RouteDefinition,
    /// SHA-256 of its plugin.
    pub plugin: Option<Hash>,
}

/// A plugin as it was uploaded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredPlugin {
    /// SHA-256 of the component.
    pub digest: Hash,
    /// The component.
    pub component: Vec<u8>,
}

impl Ledger {
    /// Makes `definition` what the route does from the ledger's end on, unless it is so already.
    ///
    /// The head is locked meanwhile, so every position has exactly one version. A new route begins at the end too: what was
    /// recorded before it was not meant for it.
    ///
    /// # Errors
    ///
    /// Postgres failed. Asking again is safe.
    pub async fn enter_route_version(
        &self,
        route: &str,
        definition: &RouteDefinition,
        plugin: Option<&StoredPlugin>,
    ) -> sqlx::Result<RouteVersion> {
        let mut tx = self.begin().await?;
        let frontier = self.lock_head(&mut tx).await?;
        let versions = self.list_route_versions(&mut tx, route).await?;
        if let Some(newest) = versions.last().filter(|newest| newest.definition == *definition) {
            return Ok(newest.clone());
        }
        if let Some(plugin) = plugin {
            sqlx::query!(
                "insert into plugin (digest, component) values ($1, $2) on conflict do nothing",
                &plugin.digest[..],
                plugin.component,
            )
            .execute(&mut *tx)
            .await?;
        }
        let entered = RouteVersion {
            version: versions.last().map_or(1, |newest| newest.version + 1),
            from_position: Position(frontier.size()),
            definition: definition.clone(),
            plugin: plugin.map(|plugin| plugin.digest),
        };
        sqlx::query!(
            "
            insert into route_version (ledger_id, route, version, from_position, definition, plugin_digest)
            values ($1, $2, $3, $4, $5, $6)
            ",
            self.shared.id,
            route,
            i32::try_from(entered.version).map_err(|_| unreadable("route version"))?,
            to_stored(entered.from_position),
            serde_json::to_string(definition).expect("a definition is JSON"),
            entered.plugin.as_ref().map(|digest| &digest[..]),
        )
        .execute(&mut *tx)
        .await?;
        tx.commit().await?;
        Ok(entered)
    }

    /// Every version of a route, oldest first.
    ///
    /// # Errors
    ///
    /// Postgres failed.
    pub async fn route_versions(&self, route: &str) -> sqlx::Result<Vec<RouteVersion>> {
        in_time(async {
            let mut conn = self.shared.pool.acquire().await?;
            self.list_route_versions(&mut conn, route).await
        })
        .await
    }

    /// Loads a plugin that a route version names.
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

    async fn list_route_versions(&self, conn: &mut PgConnection, route: &str) -> sqlx::Result<Vec<RouteVersion>> {
        let rows = sqlx::query!(
            "
            select version, from_position, definition, plugin_digest
            from route_version
            where ledger_id = $1 and route = $2
            order by version
            ",
            self.shared.id,
            route,
        )
        .fetch_all(conn)
        .await?;
        rows.into_iter()
            .map(|row| {
                let plugin = row.plugin_digest.map(Hash::try_from).transpose();
                Ok(RouteVersion {
                    version: u32::try_from(row.version).map_err(|_| unreadable("route version"))?,
                    from_position: from_stored(row.from_position),
                    definition: serde_json::from_str(&row.definition).map_err(|_| unreadable("route definition"))?,
                    plugin: plugin.map_err(|_| unreadable("plugin digest"))?,
                })
            })
            .collect()
    }
}
