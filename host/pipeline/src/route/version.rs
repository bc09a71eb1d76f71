//! The versions of a route, loaded: pattern parsed, plugin compiled and described.

use std::collections::BTreeMap;
use std::sync::Arc;

use tokio::sync::Mutex;
use weir_ledger::{DatabaseError, Ledger, RouteVersion};
use weir_model::{Position, is_reserved};
use weir_routing::{DetailTemplate, Pattern, PatternError, TemplateError};
use weir_runtime::{DescribeError, LoadError, Manifest, Plugin, Runtime};

use super::tables::{TableError, give_tables};
use crate::feed::{Feed, Subscription};

/// Versions that are kept loaded.
const LOADED_MAX: usize = 4;

/// Loads versions of a route as positions ask for them, and keeps them. Clones share what is loaded.
#[derive(Clone)]
pub(super) struct Versions {
    route: String,
    feed: Arc<Feed>,
    ledger: Ledger,
    runtime: Runtime,
    /// Who has it loads, and who waits for it finds what was loaded.
    loaded: Arc<Mutex<BTreeMap<u32, Arc<LoadedVersion>>>>,
}

/// A version that can route.
pub(super) struct LoadedVersion {
    pub(super) stored: RouteVersion,
    /// Which changes it takes.
    pub(super) subscription: Subscription,
    pub(super) plugin: Option<(Plugin, Arc<Manifest>)>,
    pub(super) template: Option<DetailTemplate>,
    /// Bytes of an event's JSON text above which this template says what is sent.
    pub(super) projection: Option<(usize, DetailTemplate)>,
}

/// Why a version that the ledger names cannot route here.
#[derive(Debug, thiserror::Error)]
pub(super) enum VersionError {
    #[error("its event pattern cannot be read")]
    Pattern(#[from] PatternError),
    #[error("its template cannot be read")]
    Template(#[from] TemplateError),
    #[error("its template sets {0:?}, which Weir sets itself")]
    Reserved(String),
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
    pub(super) fn new(route: String, feed: Arc<Feed>, runtime: Runtime) -> Self {
        Self {
            route,
            ledger: feed.ledger().clone(),
            feed,
            runtime,
            loaded: Arc::default(),
        }
    }

    /// The version that routes `position`, and the position at which the next one begins.
    pub(super) async fn at(
        &self,
        position: Position,
    ) -> Result<Option<(Arc<LoadedVersion>, Option<Position>)>, VersionError> {
        let versions = self.ledger.route_versions(&self.route).await?;
        // The newest that begins there or before it: one may begin earlier than those before it, where the route halted.
        let Some(index) = versions.iter().rposition(|version| version.from_position <= position) else {
            return Ok(None);
        };
        let until = versions[index + 1..].iter().map(|version| version.from_position).min();
        Ok(Some((self.loaded(&versions[index]).await?, until)))
    }

    /// A version by its number.
    pub(super) async fn numbered(&self, number: u32) -> Result<Option<Arc<LoadedVersion>>, VersionError> {
        if let Some(loaded) = self.loaded.lock().await.get(&number) {
            return Ok(Some(Arc::clone(loaded)));
        }
        let versions = self.ledger.route_versions(&self.route).await?;
        match versions.iter().find(|version| version.version == number) {
            Some(stored) => self.loaded(stored).await.map(Some),
            None => Ok(None),
        }
    }

    /// The version that routes what is recorded now.
    pub(super) async fn newest(&self) -> Result<Option<Arc<LoadedVersion>>, VersionError> {
        match self.ledger.route_versions(&self.route).await?.last() {
            Some(stored) => self.loaded(stored).await.map(Some),
            None => Ok(None),
        }
    }

    async fn loaded(&self, stored: &RouteVersion) -> Result<Arc<LoadedVersion>, VersionError> {
        let mut all = self.loaded.lock().await;
        if let Some(loaded) = all.get(&stored.version) {
            return Ok(Arc::clone(loaded));
        }
        let loaded = Arc::new(self.load(stored).await?);
        // The newest ones are asked for most; parked deliveries may ask for any.
        while all.len() >= LOADED_MAX {
            all.pop_first();
        }
        all.insert(stored.version, Arc::clone(&loaded));
        Ok(loaded)
    }

    async fn load(&self, stored: &RouteVersion) -> Result<LoadedVersion, VersionError> {
        let plugin = match &stored.plugin {
            Some(digest) => {
                let plugin = self.runtime.load(self.ledger.plugin(digest).await?.component).await?;
                let manifest = plugin.describe(&stored.definition.plugin_config).await?;
                let manifest = give_tables(&self.ledger, manifest, &stored.definition.lookups).await?;
                Some((plugin, Arc::new(manifest)))
            }
            None => None,
        };
        let loaded = LoadedVersion::new(&self.route, stored.clone(), plugin)?;
        self.feed.subscribe(loaded.subscription.clone());
        Ok(loaded)
    }
}

impl LoadedVersion {
    /// A version whose plugin is loaded.
    pub(super) fn new(
        route: &str,
        stored: RouteVersion,
        plugin: Option<(Plugin, Arc<Manifest>)>,
    ) -> Result<Self, VersionError> {
        let pattern = stored.definition.pattern.as_deref().map(Pattern::parse).transpose()?;
        let template = stored.definition.template.as_deref().map(read_template).transpose()?;
        let projection = stored.definition.projection.as_ref().map(|projection| {
            let above_bytes = usize::try_from(projection.above_bytes).unwrap_or(usize::MAX);
            Ok::<_, VersionError>((above_bytes, read_template(&projection.template)?))
        });
        let projection = projection.transpose()?;
        Ok(Self {
            subscription: Subscription {
                route: route.to_owned(),
                version: stored.version,
                source: stored.definition.source.clone(),
                pattern,
            },
            stored,
            plugin,
            template,
            projection,
        })
    }
}

fn read_template(text: &str) -> Result<DetailTemplate, VersionError> {
    let template = DetailTemplate::parse(text)?;
    let reserved = template.names().find(|name| is_reserved(name)).map(str::to_owned);
    reserved.map_or(Ok(template), |name| Err(VersionError::Reserved(name)))
}
