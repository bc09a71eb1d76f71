//! What one process of a ledger does, while all share the recording and the routes: index, sign, erase, scrub.
//!
//! Whoever has the ledger's mandate leads. The others stand by, tell what is signed, and one of them leads as soon as the
//! mandate is free. A leader that lost the mandate without its notice, for its line to Postgres was cut or it froze, learns that
//! when the index is fenced: it resigns, and stands by. It goes on recording and routing.

use std::time::Duration;

use anyhow::Result;
use tokio_util::sync::CancellationToken;
use weir_ledger::{ConsumerError, Ledger, Mandate};
use weir_pipeline::{EraserTask, IndexTask, Publisher, ScrubTask};

use super::team::Team;

/// How often a process that stands by looks whether its turn has come.
const STANDBY_INTERVAL: Duration = Duration::from_millis(500);

/// How long the leader's tasks may take to finish what they have in hand. Below the grace of the whole process.
const LEAD_GRACE: Duration = Duration::from_secs(18);

/// Everything that one process does for all.
pub(super) struct Lead {
    pub(super) ledger: Ledger,
    pub(super) publisher: Publisher,
    pub(super) eraser: EraserTask,
    pub(super) scrub: ScrubTask,
}

impl Lead {
    /// Stands by until the mandate is free, then leads, until `stop` is cancelled.
    ///
    /// # Errors
    ///
    /// A task ended by itself, and not because another process leads.
    pub(super) async fn run(mut self, stop: CancellationToken) -> Result<()> {
        loop {
            let stand_by = async {
                tokio::select! {
                    mandate = take_mandate(&self.ledger) => mandate,
                    () = self.publisher.stand_by() => unreachable!("standing by has no end"),
                }
            };
            let Some(mandate) = stop.run_until_cancelled(stand_by).await else {
                return Ok(());
            };
            let outcome = self.lead(stop.child_token()).await;
            drop(mandate);
            match outcome {
                Err(error) if is_fenced(&error) && !stop.is_cancelled() => {
                    tracing::warn!(ledger = %self.ledger.name(), problem = %error, "another weir leads now; this one resigns");
                }
                outcome => return outcome,
            }
        }
    }

    async fn lead(&mut self, stop: CancellationToken) -> Result<()> {
        let mut team = Team::new(stop.clone());
        team.spawn("index", IndexTask::new(self.ledger.clone()).run(stop.clone()));
        team.spawn("eraser", self.eraser.clone().run(stop.clone()));
        team.spawn("scrubber", self.scrub.clone().run(stop.clone()));
        // The publisher outlives a mandate, for operators' decisions reach it in both states. It ends when the team does.
        let publishing = async {
            let published = self.publisher.run(stop.clone()).await;
            stop.cancel();
            published
        };
        let (outcome, published) = tokio::join!(team.run(LEAD_GRACE), publishing);
        outcome.and(published.map_err(Into::into))
    }
}

/// Whether a task ended because another process has what it worked on.
fn is_fenced(error: &anyhow::Error) -> bool {
    matches!(error.downcast_ref(), Some(ConsumerError::Fenced { .. }))
}

/// Waits until no other process leads. Failures are waited out.
async fn take_mandate(ledger: &Ledger) -> Mandate {
    let mut told = false;
    loop {
        match ledger.try_take_mandate().await {
            Ok(Some(mandate)) => return mandate,
            Ok(None) if !told => {
                tracing::info!(
                    ledger = %ledger.name(),
                    "another weir signs; this one shares the recording and the routes, and is standing by to take over the rest"
                );
                told = true;
            }
            Ok(None) => {}
            Err(error) => tracing::debug!(error = %error, "cannot ask who leads"),
        }
        tokio::time::sleep(STANDBY_INTERVAL).await;
    }
}
