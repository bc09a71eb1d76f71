//! What a plugin would make of changes that are recorded. Nothing is sent.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use weir_ledger::{Ledger, ReadError, RouteDefinition};
use weir_model::{AttributedChange, Position};
use weir_routing::{Pattern, PatternError};
use weir_runtime::{Batch, FaultCode, Manifest, Plugin};

use crate::feed::RecordedChange;

/// Entries that are looked through, from the ledger's end.
const ENTRIES_MAX: u16 = 1000;

/// Changes that a plugin is tried on, at most.
const CHANGES_MAX: usize = 200;

/// What a plugin made of the newest recorded changes that its route takes, at most 200.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Trial {
    /// How many there were.
    pub changes: usize,
    /// Sent as they are.
    pub kept: usize,
    /// Events made of them.
    pub outputs: usize,
    /// Nothing is sent of them.
    pub dropped: usize,
    /// Rejected by the plugin.
    pub rejected: usize,
    /// The plugin failed on them.
    pub failed: usize,
    /// Why it failed on the first of them.
    pub failure: Option<String>,
}

/// Why a plugin could not be tried.
#[derive(Debug, thiserror::Error)]
pub enum TrialError {
    /// The ledger cannot be read.
    #[error("the ledger cannot be read")]
    Read(#[from] ReadError),
    /// The route's event pattern cannot be read.
    #[error("the route's event pattern cannot be read")]
    Pattern(#[from] PatternError),
    /// Its answer is no function of the change.
    #[error(
        "the plugin's answer about the change at position {0} depends on the batch that it comes in; a plugin may look at one \
         change at a time only"
    )]
    Unsteady(Position),
    /// The plugin could not be run.
    #[error("the plugin cannot be run")]
    Plugin(#[from] weir_runtime::HostError),
}

impl Trial {
    /// Tries a plugin on the newest recorded changes that a route takes.
    ///
    /// # Errors
    ///
    /// It could not be tried, or its answers depend on more than the change.
    pub async fn run(
        ledger: &Ledger,
        route: &RouteDefinition,
        plugin: &Plugin,
        plugin_config: &str,
        manifest: &Arc<Manifest>,
    ) -> Result<Self, TrialError> {
        let pattern = route.pattern.as_deref().map(Pattern::parse).transpose()?;
        let streams = ledger.streams().await.map_err(ReadError::from)?;
        let size = ledger.head().await.map_err(ReadError::from)?.size;
        let entries = ledger
            .read_from(Position(size.saturating_sub(ENTRIES_MAX.into())), ENTRIES_MAX)
            .await?;
        let taken = entries.into_iter().filter_map(|entry| {
            let change = RecordedChange::of(entry, ledger.name(), &streams)?;
            let is_taken =
                change.source == route.source && pattern.as_ref().is_none_or(|pattern| change.is_taken_by(pattern));
            is_taken.then_some((change.position, change.change))
        });
        let (mut positions, mut changes): (Vec<Position>, Vec<Arc<AttributedChange>>) = taken.unzip();
        let old = changes.len().saturating_sub(CHANGES_MAX);
        positions.drain(..old);
        changes.drain(..old);

        let probed = plugin.probe(&Batch::new(changes), plugin_config, manifest).await?;
        if let Some(index) = probed.unsteady {
            return Err(TrialError::Unsteady(positions[index]));
        }
        let mut trial = Self {
            changes: positions.len(),
            ..Self::default()
        };
        for answer in probed.answers {
            match answer {
                Ok(decision) => {
                    trial.kept += usize::from(decision.keep);
                    trial.outputs += decision.outputs.len();
                    trial.dropped += usize::from(!decision.keep && decision.outputs.is_empty());
                }
                Err(fault) if matches!(fault.code, FaultCode::Rejected(_)) => trial.rejected += 1,
                Err(fault) => {
                    trial.failed += 1;
                    trial
                        .failure
                        .get_or_insert(format!("{}: {}", fault.code.as_str(), fault.message));
                }
            }
        }
        Ok(trial)
    }
}
