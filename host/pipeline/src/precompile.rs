//! Compiles what routes run and what was uploaded lately, in every process: whoever leads next can run it at once.
//!
//! # Invariants
//!
//! - Nothing waits for this: who needs a plugin that is not compiled yet compiles it.

use std::collections::HashSet;
use std::time::Duration;

use tokio_util::sync::CancellationToken;
use weir_evidence::Hash;
use weir_ledger::{DatabaseError, Ledger};
use weir_runtime::Runtime;

use crate::pace::pause;
use crate::problem::error_chain;

/// How often is looked for plugins.
const LOOK_INTERVAL: Duration = Duration::from_millis(500);

/// Compiles plugins as they come.
pub struct PrecompileTask {
    ledger: Ledger,
    runtime: Runtime,
    seen: HashSet<Hash>,
}

impl PrecompileTask {
    /// For the plugins of this ledger, into what this runtime keeps.
    #[must_use]
    pub fn new(ledger: Ledger, runtime: Runtime) -> Self {
        Self {
            ledger,
            runtime,
            seen: HashSet::new(),
        }
    }

    /// Compiles until `stop` is cancelled.
    pub async fn run(mut self, stop: CancellationToken) {
        while !stop.is_cancelled() {
            if let Some(Err(error)) = stop.run_until_cancelled(self.look()).await {
                tracing::debug!(problem = error_chain(&error), "cannot look for plugins to compile");
            }
            pause(&stop, LOOK_INTERVAL).await;
        }
    }

    async fn look(&mut self) -> Result<(), DatabaseError> {
        for digest in self.ledger.plugins_wanted().await? {
            if self.seen.contains(&digest) {
                continue;
            }
            let component = self.ledger.plugin(&digest).await?.component;
            if let Err(error) = self.runtime.load(component).await {
                // It was loaded where it was uploaded; whoever needs it here says so.
                tracing::debug!(
                    plugin = hex::encode(digest),
                    problem = error_chain(&error),
                    "cannot be compiled here"
                );
            }
            self.seen.insert(digest);
        }
        Ok(())
    }
}
