//! What all processes of a ledger may be told to do, in place of what their own files say: sources, sinks and routes.
//!
//! Where Postgres is, which ledger it is, its keys and where the API listens stay each process's own. So do the files that sources and
//! sinks name, such as secrets: each process looks for them beside its own configuration.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use super::{Config, Loaded, RouteConfig, SinkConfig, SourceConfig};

/// Begins the name of a plugin that was uploaded, where a file could stand.
const DIGEST: &str = "sha256:";

/// `[source]`, `[sink]` and `[route]`.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct SharedConfig {
    #[serde(default)]
    pub(crate) source: BTreeMap<String, SourceConfig>,
    #[serde(default)]
    pub(crate) sink: BTreeMap<String, SinkConfig>,
    #[serde(default)]
    pub(crate) route: BTreeMap<String, RouteConfig>,
}

impl Loaded {
    /// What it says of sources, sinks and routes, but for cases.
    pub(crate) fn shared(&self) -> SharedConfig {
        let Config {
            source, sink, route, ..
        } = self.config.clone();
        let mut shared = SharedConfig { source, sink, route };
        shared.route.values_mut().for_each(|route| route.case.clear());
        shared
    }

    /// The same process with other sources, sinks and routes.
    pub(crate) fn doing(&self, shared: SharedConfig) -> Result<Self> {
        let SharedConfig { source, sink, route } = shared;
        let config = Config {
            source,
            sink,
            route,
            ..self.config.clone()
        };
        let folder = self.folder.clone();
        let loaded = Self { config, folder };
        loaded.check()?;
        Ok(loaded)
    }
}

impl SharedConfig {
    /// The plugins that are files, each with the configuration that it gets.
    pub(crate) fn plugin_files(&mut self) -> impl Iterator<Item = (&mut PathBuf, &toml::Table)> {
        let routes = self
            .route
            .values_mut()
            .map(|route| (&mut route.plugin, &route.plugin_config));
        let sources = self
            .source
            .values_mut()
            .map(|source| (&mut source.annotator, &source.annotator_config));
        let plugins = routes
            .chain(sources)
            .filter_map(|(plugin, config)| Some((plugin.as_mut()?, config)));
        plugins.filter(|(plugin, _)| plugin_digest(plugin).is_none())
    }
}

/// The digest of a plugin that is named by it, not by a file.
pub(crate) fn plugin_digest(plugin: &Path) -> Option<Result<[u8; 32]>> {
    let digits = plugin.to_str()?.strip_prefix(DIGEST)?;
    let digest = hex::decode(digits).ok().and_then(|bytes| bytes.try_into().ok());
    Some(digest.with_context(|| {
        format!("{digits:?} is no digest: write `sha256:` and the 64 digits that `weir plugin list --json` has")
    }))
}

/// The name of a plugin by its digest.
pub(crate) fn named_by_digest(component: &[u8]) -> PathBuf {
    format!("{DIGEST}{}", hex::encode(Sha256::digest(component))).into()
}
