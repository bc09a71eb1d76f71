//! What a plugin says of itself.

use wasmtime::Store;

use super::{CallError, HostError, Plugin, read_trap};
use crate::bindings::weir::plugin::types;
use crate::host::{Call, Host};
use crate::load::Exports;
use crate::manifest::listed;
use crate::{ConfigProblem, Fault, Manifest};

/// Why a plugin did not describe itself.
#[derive(Debug, thiserror::Error)]
pub enum DescribeError {
    /// It does not accept its configuration.
    #[error("the plugin does not accept its configuration: {}", listed(.0))]
    Config(Vec<ConfigProblem>),
    /// What it says of itself cannot be shown, granted and recorded.
    #[error("the plugin describes itself badly: {0}")]
    Manifest(String),
    /// It said two things about the same configuration.
    #[error("the plugin described itself in two ways for one configuration")]
    Unstable,
    /// It failed.
    #[error("the plugin failed to describe itself: {}", .0.message)]
    Fault(Fault),
    /// The host was at fault.
    #[error(transparent)]
    Host(#[from] HostError),
}

impl Plugin {
    /// Asks the plugin, twice, what it wants under `config` (JSON text).
    ///
    /// # Errors
    ///
    /// It does not accept the configuration, or cannot be trusted to describe itself.
    pub async fn describe(&self, config: &str) -> Result<Manifest, DescribeError> {
        let (plugin, config) = (self.clone(), config.to_owned());
        let both = move || -> Result<_, DescribeError> {
            Ok((plugin.call_describe(&config)?, plugin.call_describe(&config)?))
        };
        let described = self.runtime.threads.run(both).await;
        let (first, second) = described.map_err(|_| HostError::ThreadEnded)??;
        if first != second {
            return Err(DescribeError::Unstable);
        }
        if let Some(problem) = first.problem() {
            return Err(DescribeError::Manifest(problem));
        }
        Ok(first)
    }

    fn call_describe(&self, config: &str) -> Result<Manifest, DescribeError> {
        let mut store = self.store(Call::Describe);
        match self.describe_in(&mut store, config) {
            Ok(Ok(manifest)) => Ok(manifest.into()),
            Ok(Err(problems)) => Err(DescribeError::Config(problems.into_iter().map(Into::into).collect())),
            Err(error) => Err(match read_trap(&error, store.data()) {
                CallError::Fault(fault) => DescribeError::Fault(fault),
                CallError::Host(error) => DescribeError::Host(error),
            }),
        }
    }

    fn describe_in(
        &self,
        store: &mut Store<Host>,
        config: &str,
    ) -> wasmtime::Result<Result<types::Manifest, Vec<types::ConfigProblem>>> {
        match &self.compiled.exports {
            Exports::Router(router) => {
                let router = router.instantiate(&mut *store)?;
                router.weir_plugin_lifecycle().call_describe(store, config)
            }
            Exports::Annotator(annotator) => {
                let annotator = annotator.instantiate(&mut *store)?;
                annotator.weir_plugin_lifecycle().call_describe(store, config)
            }
        }
    }
}
