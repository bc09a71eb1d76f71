//! Carries erasures out, and orders those that the configured age asks for.
//!
//! Every order stands in the ledger before this task sees it. It takes no arguments: what is to be done is read from
//! Postgres, on a period and on a nudge, so a crash only delays it.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;
use weir_ledger::{ErasureError, Ledger, NewErasure, Selector};

use crate::pace::pause;
use crate::problem::error_chain;
use crate::publisher::Guard;

/// How often orders are looked for that another process took, or that waited for a hold.
const LOOK_INTERVAL: Duration = Duration::from_secs(10);

/// How often bodies are looked for that are older than the configured age.
const RETENTION_INTERVAL: Duration = Duration::from_secs(3600);

/// Carries out the erasures of one ledger.
pub struct EraserTask {
    ledger: Ledger,
    guard: Guard,
    retention: Option<Duration>,
    nudge: Arc<Notify>,
}

impl EraserTask {
    /// For this ledger. Bodies older than `retention` are emptied. What was destroyed is noted beside the guard.
    #[must_use]
    pub fn new(ledger: Ledger, guard: Guard, retention: Option<Duration>) -> Self {
        Self {
            ledger,
            guard,
            retention,
            nudge: Arc::new(Notify::new()),
        }
    }

    /// Wakes the task: an order was just taken.
    #[must_use]
    pub fn nudge(&self) -> Arc<Notify> {
        Arc::clone(&self.nudge)
    }

    /// Erases until `stop` is cancelled.
    ///
    /// # Errors
    ///
    /// None: what cannot be erased now is tried again.
    pub async fn run(self, stop: CancellationToken) -> Result<(), ErasureError> {
        let mut next_retention = tokio::time::Instant::now();
        while !stop.is_cancelled() {
            if self.retention.is_some() && tokio::time::Instant::now() >= next_retention {
                self.order_retention().await;
                next_retention = tokio::time::Instant::now() + RETENTION_INTERVAL;
            }
            self.carry_out().await;
            tokio::select! {
                _ = pause(&stop, LOOK_INTERVAL) => {}
                () = self.nudge.notified() => {}
            }
        }
        Ok(())
    }

    async fn carry_out(&self) {
        let guard = &self.guard;
        let carried_out = self
            .ledger
            .carry_out_erasures(Timestamp::now, |keys| guard.note_destroyed(keys))
            .await;
        match carried_out {
            Ok(done) => {
                for erasure in done {
                    tracing::info!(erasure.id = %erasure.id, scope = %erasure.scope, bodies = erasure.bodies, "erased");
                }
            }
            Err(error @ ErasureError::Held { .. }) => tracing::info!("{error}"),
            Err(error) => tracing::warn!(problem = error_chain(&error), "erasing waits"),
        }
    }

    async fn order_retention(&self) {
        let Some(limit) = self.retention.and_then(|age| Timestamp::now().checked_sub(age).ok()) else {
            return;
        };
        let order = NewErasure {
            selector: Selector::OlderThan(limit),
            attributes: Vec::new(),
            basis: "the configured retention".to_owned(),
            approver: "configuration".to_owned(),
        };
        match self.ledger.order_erasure(&order, Timestamp::now()).await {
            Ok(erasure) => tracing::info!(erasure.id = %erasure.id, "retention"),
            Err(ErasureError::Nothing) => {}
            Err(error) => tracing::warn!(problem = error_chain(&error), "retention waits"),
        }
    }
}
