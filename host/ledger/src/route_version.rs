//! Versions of routes, and the plugins they run. What a route does with a position is decided by the position.
//!
//! ```text
//! the configuration ──▶ what differs from what it said before ──┐
//! an operator       ──▶ promote, roll back (and an entry) ──────┴─▶ the next version, from the ledger's end on
//! ```
//!
//! # Invariants
//!
//! - The head is locked while a version is entered, so every position has exactly one version: the newest that begins at it or
//!   before it. One that is entered while the route stands still begins where it halted.
//! - Reading a configuration again never undoes what an operator promoted: only what was changed in it changes the route.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use sqlx::PgConnection;
use weir_evidence::Hash;
use weir_model::Position;

use crate::append::OwnRecord;
use crate::head::unreadable;
use crate::{Ledger, StoredPlugin, from_stored, in_time, to_stored};

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
    /// Digests of the tables that the plugin looks things up in, as hexadecimal digits, by name.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub lookups: BTreeMap<String, String>,
    /// Names of the sinks that every event goes to.
    pub sinks: Vec<String>,
    /// What becomes of a change that the plugin fails on.
    #[serde(default, skip_serializing_if = "FailurePolicy::is_default")]
    pub failure: FailurePolicy,
}

/// What becomes of a change that a route's plugin fails on. What a plugin rejects is a dead letter in any case.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum FailurePolicy {
    /// It is set aside, and the route goes on.
    #[default]
    DeadLetter,
    /// It is sent as it is, as if there were no plugin.
    Pass,
    /// The route stands still before it, until it gets another version.
    Halt,
}

impl FailurePolicy {
    fn is_default(&self) -> bool {
        *self == Self::default()
    }
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

/// A plugin that an operator puts on a route.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Promotion {
    /// The plugin; it was uploaded or ran before.
    pub plugin: Option<Hash>,
    /// Its configuration as JSON text.
    pub plugin_config: String,
    /// Digests of the tables that it looks things up in, as hexadecimal digits, by name. Recorded.
    pub lookups: BTreeMap<String, String>,
    /// What it asks for under this configuration, and so is granted; null without a plugin. Recorded.
    pub granted: Value,
    /// The version whose plugin this is, if it is rolled back to. Recorded.
    pub rolls_back_to: Option<u32>,
    /// Why. Recorded, and read by whoever reads entries.
    pub reason: String,
}

/// Why a plugin was not promoted.
#[derive(Debug, thiserror::Error)]
pub enum PromoteError {
    /// There is no such route.
    #[error("there is no route {0:?}: a route begins in the configuration, under [route.<name>]")]
    NoRoute(String),
    /// Postgres failed.
    #[error(transparent)]
    Database(#[from] sqlx::Error),
}

impl RouteDefinition {
    /// This definition with what `configured` changed of what was configured `before`.
    #[must_use]
    fn with_changes(&self, before: &Self, configured: &Self) -> Self {
        fn pick<T: Clone + PartialEq>(current: &T, before: &T, configured: &T) -> T {
            if before == configured {
                current.clone()
            } else {
                configured.clone()
            }
        }
        let plugin = pick(&self.plugin, &before.plugin, &configured.plugin);
        // Tables are those of a plugin: what the configured one reads is nothing to another that was promoted.
        let lookups = if plugin != configured.plugin {
            self.lookups.clone()
        } else if plugin != self.plugin {
            configured.lookups.clone()
        } else {
            pick(&self.lookups, &before.lookups, &configured.lookups)
        };
        Self {
            source: pick(&self.source, &before.source, &configured.source),
            pattern: pick(&self.pattern, &before.pattern, &configured.pattern),
            plugin,
            plugin_config: pick(&self.plugin_config, &before.plugin_config, &configured.plugin_config),
            lookups,
            sinks: pick(&self.sinks, &before.sinks, &configured.sinks),
            failure: pick(&self.failure, &before.failure, &configured.failure),
        }
    }
}

impl Ledger {
    /// What the route will do once this is configured. Without a version so far, or where nothing was promoted since, that is
    /// what is configured.
    ///
    /// # Errors
    ///
    /// Postgres failed.
    pub async fn plan_route_version(&self, route: &str, configured: &RouteDefinition) -> sqlx::Result<RouteDefinition> {
        in_time(async {
            let mut conn = self.shared.pool.acquire().await?;
            let newest = self.list_route_versions(&mut conn, route).await?.pop();
            self.planned(&mut conn, route, newest.as_ref(), configured).await
        })
        .await
    }

    async fn planned(
        &self,
        conn: &mut PgConnection,
        route: &str,
        newest: Option<&RouteVersion>,
        configured: &RouteDefinition,
    ) -> sqlx::Result<RouteDefinition> {
        let Some(newest) = newest else {
            return Ok(configured.clone());
        };
        let before = sqlx::query_scalar!(
            "select definition from route_configuration where ledger_id = $1 and route = $2",
            self.shared.id,
            route,
        )
        .fetch_optional(conn)
        .await?;
        // Before there were promotions, all that a route did was configured.
        let before = before
            .as_deref()
            .map_or(Ok(newest.definition.clone()), read_definition)?;
        Ok(newest.definition.with_changes(&before, configured))
    }

    /// Makes what changed in the configuration of a route hold from the ledger's end on. What did not change there stays as it
    /// is, also where something else was promoted.
    ///
    /// A new route begins at the end too: what was recorded before it was not meant for it.
    ///
    /// # Errors
    ///
    /// Postgres failed. Asking again is safe.
    pub async fn enter_route_version(
        &self,
        route: &str,
        configured: &RouteDefinition,
        plugin: Option<&StoredPlugin>,
    ) -> sqlx::Result<RouteVersion> {
        let mut tx = self.begin().await?;
        let frontier = self.lock_head(&mut tx).await?;
        let newest = self.list_route_versions(&mut tx, route).await?.pop();
        let definition = self.planned(&mut tx, route, newest.as_ref(), configured).await?;
        if let Some(plugin) = plugin {
            self.store_plugin(&mut tx, plugin).await?;
        }
        sqlx::query!(
            "
            insert into route_configuration (ledger_id, route, definition) values ($1, $2, $3)
            on conflict (ledger_id, route) do update set definition = excluded.definition
            ",
            self.shared.id,
            route,
            write_definition(configured),
        )
        .execute(&mut *tx)
        .await?;
        let entered = match newest {
            Some(newest) if newest.definition == definition => newest,
            newest => {
                let begins = self
                    .next_version_begins(&mut tx, route, Position(frontier.size()))
                    .await?;
                let entered = RouteVersion::after(newest.as_ref(), begins, definition)?;
                self.insert_route_version(&mut tx, route, &entered).await?;
                entered
            }
        };
        tx.commit().await?;
        Ok(entered)
    }

    /// Puts a plugin on a route from the ledger's end on, or from where the route halted, and records that.
    ///
    /// # Errors
    ///
    /// There is no such route, or Postgres failed.
    pub async fn promote(
        &self,
        route: &str,
        promotion: &Promotion,
        now: jiff::Timestamp,
    ) -> Result<RouteVersion, PromoteError> {
        /// Others that enter versions of the same route in the same moment, at most.
        const RACES_MAX: usize = 10;
        let mut races = 0;
        loop {
            let newest = self.route_versions(route).await?.pop();
            let newest = newest.ok_or_else(|| PromoteError::NoRoute(route.to_owned()))?;
            let definition = RouteDefinition {
                plugin: promotion.plugin.map(hex::encode),
                plugin_config: promotion.plugin_config.clone(),
                lookups: promotion.lookups.clone(),
                ..newest.definition.clone()
            };
            let version = newest.version + 1;
            let record = self.promotion_record(route, version, promotion, now)?;
            let mut entered = None;
            let appended = self.append_own(&record, async |conn, position| {
                let begins = self.next_version_begins(conn, route, position).await?;
                let promoted = RouteVersion::after(Some(&newest), begins, definition)?;
                self.insert_route_version(conn, route, &promoted).await?;
                entered = Some(promoted);
                Ok(())
            });
            match appended.await {
                Ok(_) => return Ok(entered.expect("it was inserted in that transaction")),
                Err(error) if is_taken(&error) && races < RACES_MAX => races += 1,
                Err(error) => return Err(error.into()),
            }
        }
    }

    fn promotion_record(
        &self,
        route: &str,
        version: u32,
        promotion: &Promotion,
        now: jiff::Timestamp,
    ) -> sqlx::Result<OwnRecord> {
        let detail = json!({
            "route": route,
            "version": version,
            "plugin": promotion.plugin.map(hex::encode),
            "config": hex::encode(Sha256::digest(&promotion.plugin_config)),
            "lookups": promotion.lookups,
            "granted": promotion.granted,
            "rolls_back_to": promotion.rolls_back_to,
            "reason": promotion.reason,
        });
        let what = if promotion.rolls_back_to.is_some() {
            "plugin-rolled-back"
        } else {
            "plugin-promoted"
        };
        OwnRecord::lifecycle(&self.shared.name, what, detail.to_string(), now)
    }

    async fn insert_route_version(
        &self,
        conn: &mut PgConnection,
        route: &str,
        entered: &RouteVersion,
    ) -> sqlx::Result<()> {
        sqlx::query!(
            "
            insert into route_version (ledger_id, route, version, from_position, definition, plugin_digest)
            values ($1, $2, $3, $4, $5, $6)
            ",
            self.shared.id,
            route,
            i32::try_from(entered.version).map_err(|_| unreadable("route version"))?,
            to_stored(entered.from_position),
            write_definition(&entered.definition),
            entered.plugin.as_ref().map(|digest| &digest[..]),
        )
        .execute(conn)
        .await?;
        Ok(())
    }

    /// The plugin that each route runs now, by the route's name.
    ///
    /// # Errors
    ///
    /// Postgres failed.
    pub async fn running_plugins(&self) -> sqlx::Result<Vec<(String, Hash)>> {
        let rows = in_time(
            sqlx::query!(
                "
                select distinct on (route) route, plugin_digest
                from route_version
                where ledger_id = $1
                order by route, version desc
                ",
                self.shared.id,
            )
            .fetch_all(&self.shared.pool),
        );
        let rows = rows.await?.into_iter();
        let running = rows.filter_map(|row| {
            let digest = Hash::try_from(row.plugin_digest?).map_err(|_| unreadable("plugin digest"));
            Some(digest.map(|digest| (row.route, digest)))
        });
        running.collect()
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
                    definition: read_definition(&row.definition)?,
                    plugin: plugin.map_err(|_| unreadable("plugin digest"))?,
                })
            })
            .collect()
    }
}

impl RouteVersion {
    fn after(before: Option<&Self>, from_position: Position, definition: RouteDefinition) -> sqlx::Result<Self> {
        let plugin = definition.plugin.as_deref().map(|digits| {
            let digest = hex::decode(digits).ok().and_then(|digest| Hash::try_from(digest).ok());
            digest.ok_or_else(|| unreadable("plugin digest"))
        });
        Ok(Self {
            version: before.map_or(1, |before| before.version + 1),
            from_position,
            plugin: plugin.transpose()?,
            definition,
        })
    }
}

/// Whether somebody else entered the same in the same moment.
pub(crate) fn is_taken(error: &sqlx::Error) -> bool {
    error
        .as_database_error()
        .is_some_and(sqlx::error::DatabaseError::is_unique_violation)
}

fn read_definition(text: &str) -> sqlx::Result<RouteDefinition> {
    serde_json::from_str(text).map_err(|_| unreadable("route definition"))
}

fn write_definition(definition: &RouteDefinition) -> String {
    serde_json::to_string(definition).expect("a definition is JSON")
}
