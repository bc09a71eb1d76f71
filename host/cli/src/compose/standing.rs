//! What this process does: what its own file says, or what was applied for all processes of the ledger.
//!
//! ```text
//! weir apply ──▶ a row, and an entry ──▶ every process: checks it, hands over what it does, begins anew with the new one
//!                                                         └── it cannot: goes on with what it does, and says so
//! ```

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result};
use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use serde_json::Value;
use weir_api::Configure;
use weir_ledger::{AppliedConfiguration, Ledger};

use super::configured::RouteHandle;
use super::{sinks, worker_name};
use crate::config::{Loaded, SharedConfig, named_by_digest};

/// How often it is asked whether something was applied.
const LOOK_INTERVAL: Duration = Duration::from_secs(1);

/// A configuration that a process does, or did.
#[derive(Clone)]
pub(crate) struct Standing {
    /// With the sources, sinks and routes that it does.
    pub(crate) loaded: Loaded,
    /// Its own file.
    own: Loaded,
    /// Number of the configuration, if it was applied.
    pub(super) number: Option<u32>,
    /// Number of what counted when that was asked last, whether it can be done here or not.
    seen: u32,
    /// That number, if it could not be begun, and why.
    refused: Option<Arc<(u32, anyhow::Error)>>,
}

impl Standing {
    /// What the process does that has this file and starts now.
    pub(crate) async fn of(own: Loaded, ledger: &Ledger) -> Result<Self> {
        let applied = ledger.configuration().await?;
        let seen = applied.as_ref().map_or(0, |applied| applied.number);
        let (loaded, number) = match applied.and_then(definition) {
            None => (own.clone(), None),
            Some((number, definition)) => {
                let loaded = read(&own, &definition);
                let loaded = loaded.with_context(|| {
                    format!(
                        "configuration {number}, which `weir apply` made that of all processes, cannot be used here"
                    )
                })?;
                (loaded, Some(number))
            }
        };
        Ok(Self {
            loaded,
            own,
            number,
            seen,
            refused: None,
        })
    }

    /// Goes on with this one, for the one that counts cannot be begun.
    pub(crate) fn in_place_of(mut self, refused: &Self, why: anyhow::Error) -> Self {
        self.seen = refused.seen;
        self.refused = Some(Arc::new((refused.seen, why)));
        self
    }

    /// Waits until something is applied that can be done here.
    pub(super) async fn next(&self, routes: &RouteHandle) -> Self {
        let (mut seen, ledger) = (self.seen, &routes.ledger);
        let mut refused = self.refused.clone();
        loop {
            tokio::time::sleep(LOOK_INTERVAL).await;
            if let Some(before) = refused.take()
                && !refuse(ledger, before.0, &before.1).await
            {
                refused = Some(before);
            }
            let newest = match ledger.configuration_number().await {
                Ok(newest) if newest != seen => newest,
                Ok(_) => continue,
                Err(error) => {
                    tracing::debug!(%error, "cannot ask whether a configuration was applied");
                    continue;
                }
            };
            let prepared = async {
                let next = Self::of(self.own.clone(), ledger).await?;
                check(&next.loaded, routes).await?;
                anyhow::Ok(next)
            };
            match prepared.await {
                Ok(next) => return next,
                Err(error) => {
                    tracing::error!(
                        problem = format!("{error:#}"),
                        "a configuration was applied that cannot be done here; this process goes on with the one before"
                    );
                    seen = newest;
                    refused = Some(Arc::new((newest, error)));
                }
            }
        }
    }
}

/// Says to whoever looks that this process cannot do it. Whether that arrived: there may be no heartbeat yet.
async fn refuse(ledger: &Ledger, number: u32, why: &anyhow::Error) -> bool {
    let (worker, why) = (worker_name(), format!("{why:#}").replace('\0', "\u{fffd}"));
    let told = ledger.refuse_configuration(&worker, number, &why);
    told.await.unwrap_or_default()
}

/// The definition that was applied, and its number.
fn definition(applied: AppliedConfiguration) -> Option<(u32, String)> {
    Some((applied.number, applied.definition?))
}

fn read(own: &Loaded, definition: &str) -> Result<Loaded> {
    own.doing(serde_json::from_str(definition)?)
}

/// Whether a process can do it: its sinks have their secrets, its plugins can be loaded and take their configuration.
async fn check(loaded: &Loaded, routes: &RouteHandle) -> Result<()> {
    sinks::make(loaded).await?;
    for (name, route) in &loaded.config.route {
        routes.check_route(loaded, name, route).await?;
    }
    for (name, source) in &loaded.config.source {
        routes.check_annotator(loaded, name, source).await?;
    }
    Ok(())
}

/// Answers for a process what can be applied.
pub(super) struct Applies {
    pub(super) standing: Standing,
    pub(super) routes: RouteHandle,
}

impl Configure for Applies {
    fn own(&self) -> Value {
        let own = &self.standing.own;
        let mut shared = own.shared();
        for (plugin, _) in shared.plugin_files() {
            // As it would be applied. Of one that cannot be read there is nothing else to say.
            if let Ok(component) = std::fs::read(own.path(plugin)) {
                *plugin = named_by_digest(&component);
            }
        }
        to_json(&shared)
    }

    fn check(self: Arc<Self>, definition: Value) -> BoxFuture<'static, Result<Value, String>> {
        async move {
            let shared: SharedConfig = serde_json::from_value(definition).map_err(|error| error.to_string())?;
            let loaded = self.standing.own.doing(shared);
            let checked = async {
                let loaded = loaded?;
                check(&loaded, &self.routes).await?;
                Ok::<_, anyhow::Error>(to_json(&loaded.shared()))
            };
            checked.await.map_err(|error| format!("{error:#}"))
        }
        .boxed()
    }
}

fn to_json(shared: &SharedConfig) -> Value {
    serde_json::to_value(shared).expect("a configuration is JSON")
}
