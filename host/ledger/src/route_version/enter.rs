//! How a route gets its next version, and the entry that says so.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use sqlx::PgConnection;
use weir_evidence::Hash;
use weir_model::Position;

use super::{RouteDefinition, RouteVersion, write_definition};
use crate::append::OwnRecord;
use crate::head::unreadable;
use crate::{Ledger, StoredPlugin, in_time, to_stored};

/// Others that enter versions of the same route in the same moment, at most.
const RACES_MAX: usize = 10;

/// What a configuration says of a route.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfiguredRoute {
    /// What it is to do.
    pub definition: RouteDefinition,
    /// The plugin that the configuration names.
    pub plugin: Option<StoredPlugin>,
    /// What the route is going to do ([`Ledger::plan_route_version`]), which was checked: its plugin may be another that was
    /// promoted.
    pub planned: RouteDefinition,
    /// What the plugin that was planned asks for, and so is granted; null without a plugin. Recorded.
    pub granted: Value,
    /// Number of the configuration that says so, 0 before anything was applied: nothing is entered once another one counts. `None`:
    /// whichever counts.
    pub counts: Option<u32>,
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

impl Promotion {
    /// What becomes of what a route is.
    #[must_use]
    pub fn applied_to(&self, definition: &RouteDefinition) -> RouteDefinition {
        RouteDefinition {
            plugin: self.plugin.map(hex::encode),
            plugin_config: self.plugin_config.clone(),
            lookups: self.lookups.clone(),
            ..definition.clone()
        }
    }
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

/// The version that follows, and what its entry says of it.
struct Next<'a> {
    route: &'a str,
    after: Option<&'a RouteVersion>,
    definition: RouteDefinition,
    /// What the configuration says, if it is entered by one.
    configured: Option<&'a RouteDefinition>,
    /// Which one.
    counts: Option<u32>,
    what: &'static str,
    detail: Value,
}

/// Whether a route does what is configured.
enum Noted {
    /// This version does.
    Runs(RouteVersion),
    /// The newest does not, or there is none; the next is to do this.
    Differs(Option<RouteVersion>, Box<RouteDefinition>),
    /// Another configuration counts.
    Superseded,
}

impl Ledger {
    /// Makes what changed in the configuration of a route hold from the ledger's end on, or from where the route halted, and
    /// records that. What did not change there stays as it is, also where something else was promoted.
    ///
    /// A new route begins at the end too: what was recorded before it was not meant for it.
    ///
    /// `None` if it would do something else than what was planned: somebody else changed the route meanwhile. Plan again. Or another
    /// configuration counts by now ([`Ledger::configuration_number`]): then this one has nothing to say any more.
    ///
    /// # Errors
    ///
    /// Postgres failed. Asking again is safe.
    pub async fn enter_route_version(
        &self,
        route: &str,
        configured: &ConfiguredRoute,
        now: Timestamp,
    ) -> sqlx::Result<Option<RouteVersion>> {
        if let Some(plugin) = &configured.plugin {
            in_time(async {
                let mut conn = self.shared.pool.acquire().await?;
                self.store_plugin(&mut conn, plugin).await
            })
            .await?;
        }
        for _ in 0..RACES_MAX {
            let (newest, definition) = match self.note_configured(route, configured).await? {
                Noted::Runs(newest) => return Ok(Some(newest)),
                Noted::Superseded => return Ok(None),
                Noted::Differs(_, definition) if *definition != configured.planned => return Ok(None),
                Noted::Differs(newest, definition) => (newest, *definition),
            };
            let mut detail = json!({
                "source": definition.source,
                "pattern": definition.pattern.as_ref().map(|pattern| hex::encode(Sha256::digest(pattern))),
                "plugin": definition.plugin,
                "config": hex::encode(Sha256::digest(&definition.plugin_config)),
                "lookups": definition.lookups,
                "granted": configured.granted,
                "template": definition.template.as_ref().map(|template| hex::encode(Sha256::digest(template))),
                "sinks": definition.sinks,
                "partitions": definition.partitions,
                "failure": definition.failure,
            });
            if let Some(attribute) = &definition.correlation_attribute {
                detail["correlation_attribute"] = json!(attribute);
            }
            if let Some(projection) = &definition.projection {
                let template = hex::encode(Sha256::digest(&projection.template));
                detail["projection"] = json!({ "above_bytes": projection.above_bytes, "template": template });
            }
            let next = Next {
                route,
                after: newest.as_ref(),
                definition,
                configured: Some(&configured.definition),
                counts: configured.counts,
                what: "route-configured",
                detail,
            };
            if let Some(entered) = self.enter_next(next, now).await? {
                return Ok(Some(entered));
            }
        }
        Err(races())
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
        now: Timestamp,
    ) -> Result<RouteVersion, PromoteError> {
        for _ in 0..RACES_MAX {
            let newest = self.route_versions(route).await?.pop();
            let newest = newest.ok_or_else(|| PromoteError::NoRoute(route.to_owned()))?;
            let definition = promotion.applied_to(&newest.definition);
            let detail = json!({
                "plugin": definition.plugin,
                "config": hex::encode(Sha256::digest(&promotion.plugin_config)),
                "lookups": promotion.lookups,
                "granted": promotion.granted,
                "rolls_back_to": promotion.rolls_back_to,
                "reason": promotion.reason,
            });
            let next = Next {
                route,
                after: Some(&newest),
                definition,
                configured: None,
                counts: None,
                what: match promotion.rolls_back_to {
                    Some(_) => "plugin-rolled-back",
                    None => "plugin-promoted",
                },
                detail,
            };
            if let Some(entered) = self.enter_next(next, now).await? {
                return Ok(entered);
            }
        }
        Err(races().into())
    }

    /// Enters a version, and appends the entry that says so. `None` if it was planned on something that changed meanwhile:
    /// somebody else entered a version or configured the route, or it halted, or halts no more.
    async fn enter_next(&self, next: Next<'_>, now: Timestamp) -> sqlx::Result<Option<RouteVersion>> {
        let halted = self.route_halt(next.route).await?.map(|halt| halt.position);
        let mut detail = next.detail;
        detail["route"] = next.route.into();
        detail["version"] = next.after.map_or(1, |before| before.version + 1).into();
        detail["halted_at"] = halted.map(|position| position.0).into();
        let record = OwnRecord::lifecycle(&self.shared.name, next.what, detail.to_string(), now)?;
        let (mut entered, mut is_stale) = (None, false);
        let appended = self.append_own(&record, async |conn, position| {
            let begins = self.next_version_begins(conn, next.route, position).await?;
            let planned = match next.configured {
                Some(configured) => self.planned(conn, next.route, next.after, configured).await?,
                None => next.definition.clone(),
            };
            is_stale = begins != halted.unwrap_or(position)
                || planned != next.definition
                || !self.counts(conn, next.counts).await?;
            if is_stale {
                return Err(races());
            }
            let version = RouteVersion::after(next.after, begins, next.definition)?;
            self.insert_route_version(conn, next.route, &version).await?;
            if let Some(configured) = next.configured {
                self.upsert_configured(conn, next.route, configured).await?;
            }
            entered = Some(version);
            Ok(())
        });
        match appended.await {
            Ok(_) => Ok(entered),
            Err(error) if is_taken(&error) || is_stale => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Keeps what is configured if the route does that already.
    async fn note_configured(&self, route: &str, configured: &ConfiguredRoute) -> sqlx::Result<Noted> {
        let mut tx = self.begin().await?;
        self.lock_head(&mut tx).await?;
        if !self.counts(&mut tx, configured.counts).await? {
            return Ok(Noted::Superseded);
        }
        let configured = &configured.definition;
        let newest = self.list_route_versions(&mut tx, route).await?.pop();
        let definition = self.planned(&mut tx, route, newest.as_ref(), configured).await?;
        match newest {
            Some(newest) if newest.definition == definition => {
                self.upsert_configured(&mut tx, route, configured).await?;
                tx.commit().await?;
                Ok(Noted::Runs(newest))
            }
            newest => Ok(Noted::Differs(newest, Box::new(definition))),
        }
    }

    async fn upsert_configured(
        &self,
        conn: &mut PgConnection,
        route: &str,
        configured: &RouteDefinition,
    ) -> sqlx::Result<()> {
        sqlx::query!(
            "
            insert into route_configuration (ledger_id, route, definition) values ($1, $2, $3)
            on conflict (ledger_id, route) do update set definition = excluded.definition
            ",
            self.shared.id,
            route,
            write_definition(configured),
        )
        .execute(conn)
        .await?;
        Ok(())
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

fn races() -> sqlx::Error {
    sqlx::Error::Protocol("others enter versions of the same route all the time".to_owned())
}
