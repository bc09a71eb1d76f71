//! What this process does: what its own file says, or what was applied for all processes of the ledger.
//!
//! ```text
//! weir apply ──▶ a row, and an entry ──▶ every process: checks it, hands over what it does, begins anew with the new one
//!                                                         └── it cannot: goes on with what it did, says so, and tries again later
//! ```
//!
//! # Invariants
//!
//! - A process enters versions of routes only for the configuration that counts: one that is behind undoes nothing.
//! - That Postgres does not answer is waited out. It says nothing about a configuration.

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use futures_util::future::BoxFuture;
use futures_util::{FutureExt as _, TryStreamExt as _};
use serde_json::Value;
use weir_api::Configure;
use weir_ledger::{AppliedConfiguration, Ledger};
use weir_pipeline::{Gates, Source};

use super::configured::RouteHandle;
use super::{SOURCES_AT_ONCE, sinks, source_settings, worker_name};
use crate::config::{ConfigPath, Loaded, SharedConfig, named_by_digest};

/// How often it is asked whether something was applied.
const LOOK_INTERVAL: Duration = Duration::from_secs(1);

/// How long until a configuration that cannot be done is looked at again; where it was begun in vain twice as long each time, up to the
/// longest.
const RETRY_FIRST: Duration = Duration::from_secs(20);
const RETRY_LONGEST: Duration = Duration::from_secs(3600);

/// Configurations before one that cannot be done that are tried in its place at a start, at most, before the process's own file.
const EARLIER_MAX: u32 = 5;

/// A configuration that a process does.
#[derive(Clone)]
pub(crate) struct Standing {
    /// With the sources, sinks and routes that it does.
    pub(crate) loaded: Loaded,
    own: OwnFile,
    /// Its number, also where that says that each process does what its own file says; 0 before anything was applied.
    pub(super) number: u32,
    /// What counts now in its place, and cannot be done here.
    refused: Option<Refusal>,
    /// How often it was begun in vain before.
    begun_in_vain: u32,
}

/// The file of the process. What it says of sources, sinks and routes is read again whenever it is to count.
#[derive(Clone)]
struct OwnFile {
    path: ConfigPath,
    /// As it was at the start: everything else is as it was then.
    started: Loaded,
}

/// A configuration that cannot be done.
#[derive(Clone)]
struct Refusal {
    number: u32,
    why: Arc<str>,
    /// How often: to try that costs what is done now.
    begun_in_vain: u32,
    retry_at: Instant,
}

impl Standing {
    /// What a process does that starts now, with this file.
    pub(crate) async fn at_start(path: &ConfigPath, started: Loaded, ledger: &Ledger) -> Result<Self> {
        let own = OwnFile {
            path: path.clone(),
            started,
        };
        let newest = ledger.configuration().await?;
        let number = newest.as_ref().map_or(0, |newest| newest.number);
        match own.standing(newest) {
            Ok(standing) => Ok(standing),
            Err(error) => {
                let refused = Refusal::new(number, &error, 0);
                own.instead(ledger, number, refused, error).await
            }
        }
    }

    /// What to do instead, for this one cannot be begun: `before`, or what was applied before it, and at last the process's own file.
    ///
    /// # Errors
    ///
    /// It is the last: why it cannot be begun.
    pub(crate) async fn instead(self, error: anyhow::Error, before: Option<Self>, ledger: &Ledger) -> Result<Self> {
        if let Some(before) = before {
            tell(&error);
            let refused = Some(Refusal::new(self.number, &error, self.begun_in_vain + 1));
            return Ok(Self { refused, ..before });
        }
        // What counts is what is refused, also where it is not the first that cannot be begun.
        let refused = self.refused.unwrap_or_else(|| Refusal::new(self.number, &error, 1));
        self.own.instead(ledger, self.number, refused, error).await
    }

    /// Whether another configuration counts than the one that it does.
    pub(super) fn is_behind(&self) -> bool {
        self.refused.is_some()
    }

    /// Waits until something is applied that can be done here.
    pub(super) async fn next(&self, routes: &RouteHandle, gates: &Gates) -> Self {
        let (mut refused, ledger) = (self.refused.clone(), &routes.ledger);
        loop {
            tokio::time::sleep(LOOK_INTERVAL).await;
            if let Some(refused) = &refused {
                refused.tell(ledger).await;
            }
            let newest = match ledger.configuration_number().await {
                Ok(newest) if newest != self.number => newest,
                Ok(_) => continue,
                Err(error) => {
                    tracing::debug!(%error, "cannot ask whether a configuration was applied");
                    continue;
                }
            };
            let is_early = |refused: &Refusal| refused.number == newest && Instant::now() < refused.retry_at;
            if refused.as_ref().is_some_and(is_early) {
                continue;
            }
            match self.prepare(routes).await {
                Ok(mut next) => {
                    let earlier = refused.filter(|refused| refused.number == next.number);
                    next.begun_in_vain = earlier.map_or(0, |refused| refused.begun_in_vain);
                    return next;
                }
                Err(error) if is_of_postgres(&error) => {
                    tracing::debug!(
                        problem = format!("{error:#}"),
                        "what was applied cannot be looked at now"
                    );
                }
                Err(error) => {
                    let earlier = refused.filter(|refused| refused.number == newest);
                    if earlier.is_none() {
                        tell(&error);
                    }
                    let begun_in_vain = earlier.map_or(0, |refused| refused.begun_in_vain);
                    refused = Some(Refusal::new(newest, &error, begun_in_vain));
                    gates.fall_behind();
                }
            }
        }
    }

    /// What counts now, checked.
    async fn prepare(&self, routes: &RouteHandle) -> Result<Self> {
        let next = self.own.standing(routes.ledger.configuration().await?)?;
        check(&next.loaded, routes).await?;
        Ok(next)
    }
}

impl OwnFile {
    /// What it says of sources, sinks and routes now.
    fn read(&self) -> Result<Loaded> {
        self.started.doing(self.path.load()?.shared())
    }

    fn standing(&self, applied: Option<AppliedConfiguration>) -> Result<Standing> {
        let number = applied.as_ref().map_or(0, |applied| applied.number);
        let loaded = match applied.and_then(|applied| applied.definition) {
            None => self.read()?,
            Some(definition) => {
                let loaded = serde_json::from_str(&definition).map_err(anyhow::Error::new);
                let loaded = loaded.and_then(|shared| self.started.doing(shared));
                loaded.with_context(|| format!("configuration {number} cannot be used here"))?
            }
        };
        Ok(Standing {
            loaded,
            own: self.clone(),
            number,
            refused: None,
            begun_in_vain: 0,
        })
    }

    /// What was applied before this number and can be read; at last the file itself.
    async fn instead(&self, ledger: &Ledger, number: u32, refused: Refusal, error: anyhow::Error) -> Result<Standing> {
        if number == 0 || is_of_postgres(&error) {
            return Err(error);
        }
        tell(&error);
        let earliest = refused.number.saturating_sub(EARLIER_MAX).max(1);
        for earlier in (earliest..number).rev().chain([0]) {
            let applied = ledger.configuration_numbered(earlier).await?;
            if let Ok(standing) = self.standing(applied) {
                let refused = Some(refused);
                return Ok(Standing { refused, ..standing });
            }
        }
        Err(error)
    }
}

impl Refusal {
    fn new(number: u32, error: &anyhow::Error, begun_in_vain: u32) -> Self {
        let wait = RETRY_FIRST
            .saturating_mul(1 << begun_in_vain.min(16))
            .min(RETRY_LONGEST);
        Self {
            number,
            why: format!("{error:#}").replace('\0', "\u{fffd}").into(),
            begun_in_vain,
            retry_at: Instant::now() + wait,
        }
    }

    /// Says it to whoever looks; again and again, for a heart may begin anew.
    async fn tell(&self, ledger: &Ledger) {
        let worker = worker_name();
        let told = ledger.refuse_configuration(&worker, self.number, &self.why);
        if let Err(error) = told.await {
            tracing::debug!(%error, "cannot tell which configuration cannot be done here");
        }
    }
}

fn tell(error: &anyhow::Error) {
    tracing::error!(
        problem = format!("{error:#}"),
        "what was applied cannot be done here; this process goes on with what was before it, and tries again later"
    );
}

/// Whether Postgres did not answer, or is not itself: nothing that a configuration says makes that better.
pub(crate) fn is_of_postgres(error: &anyhow::Error) -> bool {
    error
        .chain()
        .filter_map(|cause| cause.downcast_ref())
        .any(weir_ledger::is_unreachable)
}

/// Whether a process can do it: its tables have streams, its sinks their secrets, its plugins can be loaded and take their
/// configuration.
async fn check(loaded: &Loaded, routes: &RouteHandle) -> Result<()> {
    sinks::make(loaded).await?;
    for (name, route) in &loaded.config.route {
        routes.check_route(loaded, name, route).await?;
    }
    futures_util::stream::iter(loaded.config.source.iter().map(Ok))
        .try_for_each_concurrent(SOURCES_AT_ONCE, async |(name, source)| {
            Source::check(&source_settings(loaded, name, source), &routes.ledger).await?;
            drop(routes.check_annotator(loaded, name, source).await?);
            Ok(())
        })
        .await
}

/// Answers for a process what can be applied.
pub(super) struct Applies {
    pub(super) standing: Standing,
    pub(super) routes: RouteHandle,
}

impl Configure for Applies {
    fn does(&self) -> Value {
        by_digest(&self.standing.loaded)
    }

    fn own(&self) -> Result<Value, String> {
        let own = self.standing.own.read();
        own.map(|own| by_digest(&own)).map_err(|error| format!("{error:#}"))
    }

    fn read(&self, definition: Value) -> Result<Value, String> {
        let shared: SharedConfig = serde_json::from_value(definition).map_err(|error| error.to_string())?;
        let loaded = self.standing.own.started.doing(shared);
        let loaded = loaded.map_err(|error| format!("{error:#}"))?;
        Ok(to_json(&loaded.shared()))
    }

    fn check(self: Arc<Self>, definition: Option<Value>) -> BoxFuture<'static, Result<(), String>> {
        async move {
            let checked = async {
                let own = &self.standing.own;
                let loaded = match definition {
                    Some(definition) => own.started.doing(serde_json::from_value(definition)?)?,
                    None => own.read()?,
                };
                check(&loaded, &self.routes).await
            };
            checked.await.map_err(|error| format!("{error:#}"))
        }
        .boxed()
    }
}

/// What it says, as it would be applied.
fn by_digest(loaded: &Loaded) -> Value {
    let mut shared = loaded.shared();
    for (plugin, _) in shared.plugin_files() {
        // Of one that cannot be read there is nothing else to say.
        if let Ok(component) = std::fs::read(loaded.path(plugin)) {
            *plugin = named_by_digest(&component);
        }
    }
    to_json(&shared)
}

fn to_json(shared: &SharedConfig) -> Value {
    serde_json::to_value(shared).expect("a configuration is JSON")
}
