//! Carries erasures out, and orders those that the configured age asks for.
//!
//! Every order stands in the ledger before this task sees it. It takes no arguments: what is to be done is read from
//! Postgres, on a period and on a nudge, so a crash only delays it.

use std::sync::Arc;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;
use weir_ledger::{ErasureError, Ledger, NewErasure, Selector};

use crate::pace::pause;
use crate::problem::error_chain;
use crate::publisher::Guard;

/// How often orders are looked for that another process took, or that waited for a hold.
const LOOK_INTERVAL: Duration = Duration::from_secs(10);

/// How often bodies are looked for that are older than the configured age, and keys are wiped again.
const HOUR: Duration = Duration::from_secs(3600);

/// How long after an erasure its keys are wiped again and again: a transaction that old has ended, or never will.
const WIPE_AGAIN: SignedDuration = SignedDuration::from_hours(24);

/// Carries out the erasures of one ledger. Clones are the same task.
#[derive(Clone)]
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
        let mut next_hour = tokio::time::Instant::now();
        while !stop.is_cancelled() {
            if tokio::time::Instant::now() >= next_hour {
                next_hour = tokio::time::Instant::now() + HOUR;
                self.order_retention().await;
                self.rewrite_again().await;
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
        match self.ledger.order_amended(Timestamp::now()).await {
            Ok(orders) => {
                for erasure in orders {
                    tracing::info!(erasure.id = %erasure.id, "what was withheld is told, and its first bodies are erased");
                }
            }
            Err(error) => tracing::warn!(problem = error_chain(&error), "erasing what was withheld waits"),
        }
        let guard = &self.guard;
        let carried_out = self
            .ledger
            .carry_out_erasures(Timestamp::now, |keys| guard.note_destroyed(keys))
            .await;
        let carried_out = match carried_out {
            Ok(carried_out) => carried_out,
            Err(error) => {
                tracing::warn!(problem = error_chain(&error), "erasing waits");
                return;
            }
        };
        for erasure in carried_out.done {
            tracing::info!(erasure.id = %erasure.id, scope = %erasure.scope, bodies = erasure.bodies, "erased");
        }
        for (erasure, error) in carried_out.waiting {
            match error {
                ErasureError::Held { .. } => tracing::info!(erasure.id = %erasure.id, "{error}"),
                error => tracing::warn!(erasure.id = %erasure.id, problem = error_chain(&error), "erasing waits"),
            }
        }
    }

    /// A transaction that was open during an erasure (a back-up that ran, a forgotten session) kept the pages of the key
    /// table that were wiped. After it ended, wiping again takes them too.
    async fn rewrite_again(&self) {
        let since = Timestamp::now() - WIPE_AGAIN;
        let wiped = async {
            let orders = self.ledger.erasures().await?;
            if orders
                .iter()
                .any(|erasure| erasure.done_at.is_some_and(|done_at| done_at > since))
            {
                self.ledger.rewrite_erased().await?;
            }
            Ok::<_, ErasureError>(())
        };
        if let Err(error) = wiped.await {
            tracing::warn!(problem = error_chain(&error), "wiping keys again waits");
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
            Ok(orders) => {
                for erasure in orders {
                    tracing::info!(erasure.id = %erasure.id, "retention");
                }
            }
            Err(ErasureError::Nothing) => {}
            Err(error) => tracing::warn!(problem = error_chain(&error), "retention waits"),
        }
    }
}
