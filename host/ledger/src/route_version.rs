//! Versions of routes, and the plugins they run. What a route does with a position is decided by the position.
//!
//! ```text
//! the configuration ──▶ what differs from what it said before ──┐
//! an operator       ──▶ promote, roll back ─────────────────────┴─▶ the next version, from the ledger's end on, and an entry
//! ```
//!
//! # Invariants
//!
//! - Each version is an entry, and begins with it. The head is locked while it is entered, so every position has exactly one version: the newest that begins at it or
//!   before it. One that is entered while the route stands still begins where it halted.
//! - Reading a configuration again never undoes what an operator promoted: only what was changed in it changes the route.

mod enter;

use std::collections::BTreeMap;
use std::num::NonZeroU8;

use serde::{Deserialize, Serialize};
use sqlx::PgConnection;
use weir_evidence::Hash;
use weir_model::Position;

pub(crate) use self::enter::is_taken;
pub use self::enter::{ConfiguredRoute, PromoteError, Promotion};
use crate::head::unreadable;
use crate::{Ledger, from_stored, in_time};

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
    /// Template of the events' detail; `None` sends it as it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub template: Option<String>,
    /// What is sent in the place of events that are too large; `None` sends them as they are.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub projection: Option<Projection>,
    /// The attribute of items that correlates events; `None` correlates none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub correlation_attribute: Option<String>,
    /// Names of the sinks that every event goes to.
    pub sinks: Vec<String>,
    /// How many partitions it has: so many workers share it, at most.
    #[serde(default = "one", skip_serializing_if = "is_one")]
    pub partitions: NonZeroU8,
    /// What becomes of a change that the plugin fails on.
    #[serde(default, skip_serializing_if = "FailurePolicy::is_default")]
    pub failure: FailurePolicy,
}

/// What an event says in the place of a detail that is too large.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Projection {
    /// Events of more bytes than this, as JSON text, are projected.
    pub above_bytes: u32,
    /// Template of the detail that they have then.
    pub template: String,
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

fn one() -> NonZeroU8 {
    NonZeroU8::MIN
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes it so")]
fn is_one(partitions: &NonZeroU8) -> bool {
    *partitions == one()
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
            template: pick(&self.template, &before.template, &configured.template),
            projection: pick(&self.projection, &before.projection, &configured.projection),
            correlation_attribute: pick(
                &self.correlation_attribute,
                &before.correlation_attribute,
                &configured.correlation_attribute,
            ),
            sinks: pick(&self.sinks, &before.sinks, &configured.sinks),
            partitions: pick(&self.partitions, &before.partitions, &configured.partitions),
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

    /// The newest version of each route, by the route's name.
    ///
    /// # Errors
    ///
    /// Postgres failed.
    pub async fn routes(&self) -> sqlx::Result<Vec<(String, RouteVersion)>> {
        let rows = sqlx::query!(
            "
            select distinct on (route) route, version, from_position, definition, plugin_digest
            from route_version
            where ledger_id = $1
            order by route, version desc
            ",
            self.shared.id,
        )
        .fetch_all(&self.shared.pool);
        let rows = in_time::<_, sqlx::Error>(rows).await?.into_iter();
        rows.map(|row| {
            let version = read_version(row.version, row.from_position, &row.definition, row.plugin_digest)?;
            Ok((row.route, version))
        })
        .collect()
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

    pub(crate) async fn list_route_versions(
        &self,
        conn: &mut PgConnection,
        route: &str,
    ) -> sqlx::Result<Vec<RouteVersion>> {
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
            .map(|row| read_version(row.version, row.from_position, &row.definition, row.plugin_digest))
            .collect()
    }
}

fn read_version(version: i32, from: i64, definition: &str, plugin: Option<Vec<u8>>) -> sqlx::Result<RouteVersion> {
    let plugin = plugin.map(Hash::try_from).transpose();
    Ok(RouteVersion {
        version: u32::try_from(version).map_err(|_| unreadable("route version"))?,
        from_position: from_stored(from),
        definition: read_definition(definition)?,
        plugin: plugin.map_err(|_| unreadable("plugin digest"))?,
    })
}

fn read_definition(text: &str) -> sqlx::Result<RouteDefinition> {
    serde_json::from_str(text).map_err(|_| unreadable("route definition"))
}

fn write_definition(definition: &RouteDefinition) -> String {
    serde_json::to_string(definition).expect("a definition is JSON")
}
