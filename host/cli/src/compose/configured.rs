//! What the configuration says of routes and plugins: checked first, entered then.
//!
//! ```text
//! [route.x]  ──▶ check_route: the plugin loads, takes its configuration, has its tables ──▶ enter_route: a version, and an entry
//! [source.x] ──▶ annotator: the same for the plugin at intake
//! ```

use std::path::Path;

use anyhow::{Context as _, Result, ensure};
use jiff::Timestamp;
use serde_json::Value;
use weir_ledger::{ConfiguredRoute, Ledger, RouteDefinition, StoredPlugin};
use weir_pipeline::{Activities, Activity, IntakePlugin, TableDigests, give_tables, newest_tables};
use weir_runtime::{Hook, Runtime};

use crate::config::{Loaded, RouteConfig, SourceConfig, plugin_digest};

/// Enters versions of routes, also while they run.
#[derive(Clone)]
pub(crate) struct RouteHandle {
    pub(super) ledger: Ledger,
    pub(super) runtime: Runtime,
    pub(super) activities: Activities,
    /// Number of the configuration that versions are entered for; `None` for whichever counts.
    pub(super) counts: Option<u32>,
}

/// A plugin of a file that can run as it is configured.
struct CheckedPlugin {
    plugin: StoredPlugin,
    /// What it asks for.
    granted: Value,
    /// The newest of the tables that it reads.
    lookups: TableDigests,
}

impl RouteHandle {
    /// What the configuration says of a route, if it can run.
    pub(super) async fn check_route(
        &self,
        loaded: &Loaded,
        name: &str,
        route: &RouteConfig,
    ) -> Result<ConfiguredRoute> {
        let plugin_config = serde_json::to_string(&route.plugin_config)?;
        let checked = match &route.plugin {
            Some(path) => {
                let checked = self.check_plugin(loaded, path, &plugin_config).await;
                Some(checked.with_context(|| format!("the plugin {} of [route.{name}] cannot run", path.display()))?)
            }
            None => None,
        };
        let digest = checked.as_ref().map(|checked| &checked.plugin.digest);
        let lookups = checked.as_ref().map(|checked| checked.lookups.clone());
        let definition = route.definition(digest, plugin_config, lookups.unwrap_or_default());
        let (planned, granted) = self.check_planned(name, &definition, checked.as_ref()).await?;
        Ok(ConfiguredRoute {
            definition,
            plugin: checked.map(|checked| checked.plugin),
            planned,
            granted,
            counts: self.counts,
        })
    }

    /// Makes what the configuration says of a route its newest version, if it is not so already. Nothing is entered that was not
    /// checked, and nothing where another configuration counts than this one.
    pub(crate) async fn enter_route(&self, loaded: &Loaded, name: &str, route: &RouteConfig) -> Result<()> {
        /// How often somebody else may change the route between check and entry.
        const RACES_MAX: usize = 10;
        let mut entered = None;
        for _ in 0..RACES_MAX {
            let configured = self.check_route(loaded, name, route).await?;
            let now = Timestamp::now();
            entered = self.ledger.enter_route_version(name, &configured, now).await?;
            if entered.is_some() {
                break;
            }
            if let Some(number) = self.counts
                && self.ledger.configuration_number().await? != number
            {
                tracing::info!(
                    route = name,
                    "another configuration counts; this one enters no version of the route"
                );
                return Ok(());
            }
        }
        let entered = entered.with_context(|| format!("others change [route.{name}] all the time"))?;
        tracing::info!(route = name, version = entered.version, position = %entered.from_position, "route version");
        self.activities.announce(Activity::Version {
            route: name.to_owned(),
            version: entered.version,
            from: entered.from_position,
        });
        Ok(())
    }

    /// The plugin that annotates a source's changes, if one is configured; recorded as that.
    pub(super) async fn annotator(
        &self,
        loaded: &Loaded,
        name: &str,
        source: &SourceConfig,
    ) -> Result<Option<IntakePlugin>> {
        let Some((plugin, component)) = self.check_annotator(loaded, name, source).await? else {
            return Ok(None);
        };
        plugin.enter(&self.ledger, component, self.counts).await?;
        Ok(Some(plugin))
    }

    /// The plugin that a source's changes are to be annotated by, if one is configured and can, and its component. Nothing is entered.
    pub(super) async fn check_annotator(
        &self,
        loaded: &Loaded,
        name: &str,
        source: &SourceConfig,
    ) -> Result<Option<(IntakePlugin, Vec<u8>)>> {
        let (Some(path), Some(withhold_to)) = (&source.annotator, loaded.withhold_to()?) else {
            self.check_nothing_is_withheld(name).await?;
            return Ok(None);
        };
        let refused = || format!("the plugin {} of [source.{name}] cannot annotate", path.display());
        let component = self.component(loaded, path).await.with_context(refused)?;
        let config = serde_json::to_string(&source.annotator_config)?;
        let (ledger, runtime, actor) = (&self.ledger, &self.runtime, source.actor.as_ref());
        let plugin = IntakePlugin::load(ledger, runtime, name, actor, component.clone(), config, withhold_to);
        Ok(Some((plugin.await.with_context(refused)?, component)))
    }

    /// Whether a source can do without a plugin at its intake: later changes of an item would be told before those that are withheld.
    async fn check_nothing_is_withheld(&self, name: &str) -> Result<()> {
        let withheld = match self.ledger.annotator(name).await? {
            Some(_) => self.ledger.withheld_count().await?,
            None => 0,
        };
        ensure!(
            withheld == 0,
            "[source.{name}] has no `annotator` any more, but {withheld} changes are withheld: give it the plugin back, and have \
             them annotated again with `weir withheld annotate`, before you take it away"
        );
        Ok(())
    }

    /// A plugin: that of a file, or one that was uploaded, by its digest.
    async fn component(&self, loaded: &Loaded, plugin: &Path) -> Result<Vec<u8>> {
        match plugin_digest(plugin) {
            None => tokio::fs::read(loaded.path(plugin))
                .await
                .context("the file cannot be read"),
            Some(digest) => {
                let digest = digest?;
                let is_known = !self.ledger.uploads_of(&[digest]).await?.is_empty();
                ensure!(is_known, "it was not uploaded: `weir plugin push` does that");
                Ok(self.ledger.plugin(&digest).await?.component)
            }
        }
    }

    /// What was promoted meanwhile stays, and has to get along with what changed in the configuration. Tells what the
    /// route is going to do, and what its plugin asks for.
    async fn check_planned(
        &self,
        name: &str,
        configured: &RouteDefinition,
        checked: Option<&CheckedPlugin>,
    ) -> Result<(RouteDefinition, Value)> {
        let planned = self.ledger.plan_route_version(name, configured).await?;
        let is_checked = planned.plugin == configured.plugin
            && planned.plugin_config == configured.plugin_config
            && planned.lookups == configured.lookups;
        if is_checked {
            let granted = checked.map_or(Value::Null, |checked| checked.granted.clone());
            return Ok((planned, granted));
        }
        let Some(digest) = &planned.plugin else {
            return Ok((planned, Value::Null));
        };
        let promoted = || format!("the plugin {digest}, which was promoted on [route.{name}], cannot run");
        let digest = hex::decode(digest)
            .ok()
            .and_then(|digest| digest.try_into().ok())
            .with_context(promoted)?;
        let checked = checked.map(|checked| &checked.plugin);
        let component = match checked.filter(|checked| checked.digest == digest) {
            Some(checked) => checked.component.clone(),
            None => self.ledger.plugin(&digest).await.with_context(promoted)?.component,
        };
        let plugin = self.runtime.load(component).await.with_context(promoted)?;
        let manifest = plugin.describe(&planned.plugin_config).await.with_context(promoted)?;
        let granted = manifest.to_json();
        give_tables(&self.ledger, manifest, &planned.lookups)
            .await
            .with_context(promoted)?;
        Ok((planned, granted))
    }

    /// A plugin, and the newest of the tables that it reads.
    async fn check_plugin(&self, loaded: &Loaded, plugin: &Path, plugin_config: &str) -> Result<CheckedPlugin> {
        let component = self.component(loaded, plugin).await?;
        let plugin = self.runtime.load(component.clone()).await?;
        ensure!(plugin.hook() == Hook::Route, Hook::Intake.instead());
        let manifest = plugin.describe(plugin_config).await?;
        let lookups = newest_tables(&self.ledger, &manifest).await?;
        Ok(CheckedPlugin {
            plugin: StoredPlugin {
                digest: *plugin.digest(),
                component,
            },
            granted: manifest.to_json(),
            lookups,
        })
    }
}
