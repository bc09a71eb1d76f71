//! The versions of a route, loaded: pattern parsed, plugin compiled and described.

use std::collections::HashMap;
use std::sync::Arc;

use weir_ledger::{DatabaseError, Ledger, RouteVersion};
use weir_model::Position;
use weir_routing::{Pattern, PatternError};
use weir_runtime::{DescribeError, LoadError, Manifest, Plugin, Runtime};

use super::tables::{TableError, give_tables};

/// Loads versions as positions ask for them, and keeps them.
pub(super) struct Versions {
    route: String,
    ledger: Ledger,
    runtime: Runtime,
    loaded: HashMap<u32, Arc<LoadedVersion>>,
}

/// A version that can route.
pub(super) struct LoadedVersion {
    pub(super) stored: RouteVersion,
    pub(super) pattern: Option<Pattern>,
    pub(super) plugin: Option<(Plugin, Arc<Manifest>)>,
}

/// Why a version that the ledger names cannot route here.
#[derive(Debug, thiserror::Error)]
pub(super) enum VersionError {
    #[error("its event pattern cannot be read")]
    Pattern(#[from] PatternError),
    #[error("its plugin cannot be loaded")]
    Load(#[from] LoadError),
    #[error("its plugin cannot be asked")]
    Describe(#[from] DescribeError),
    #[error("its plugin cannot be given its tables")]
    Tables(#[from] TableError),
    #[error("Postgres failed")]
    Database(#[from] DatabaseError),
}

impl Versions {
    pub(super) fn new(route: String, ledger: Ledger, runtime: Runtime) -> Self {
        Self {
            route,
            ledger,
            runtime,
            loaded: HashMap::new(),
        }
    }

    /// The version that routes `position`, and the position at which the next one begins.
    pub(super) async fn at(
        &mut self,
        position: Position,
    ) -> Result<Option<(Arc<LoadedVersion>, Option<Position>)>, VersionError> {
        let versions = self.ledger.route_versions(&self.route).await?;
        // The newest that begins there or before it: one may begin earlier than those before it, where the route halted.
        let Some(index) = versions.iter().rposition(|version| version.from_position <= position) else {
            return Ok(None);
        };
        let stored = &versions[index];
        let until = versions[index + 1..].iter().map(|version| version.from_position).min();
        if let Some(loaded) = self.loaded.get(&stored.version) {
            return Ok(Some((Arc::clone(loaded), until)));
        }
        let loaded = Arc::new(self.load(stored).await?);
        // Earlier ones were for positions that are behind the cursor now.
        self.loaded.retain(|version, _| *version > stored.version);
        self.loaded.insert(stored.version, Arc::clone(&loaded));
        Ok(Some((loaded, until)))
    }

    async fn load(&self, stored: &RouteVersion) -> Result<LoadedVersion, VersionError> {
        let pattern = stored.definition.pattern.as_deref().map(Pattern::parse).transpose()?;
        let plugin = match &stored.plugin {
            Some(digest) => {
                let plugin = self.runtime.load(self.ledger.plugin(digest).await?.component).await?;
                let manifest = plugin.describe(&stored.definition.plugin_config).await?;
                let manifest = give_tables(&self.ledger, manifest, &stored.definition.lookups).await?;
                Some((plugin, Arc::new(manifest)))
            }
            None => None,
        };
        Ok(LoadedVersion {
            stored: stored.clone(),
            pattern,
            plugin,
        })
    }
}
