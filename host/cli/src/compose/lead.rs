//! What one process of a ledger does, while all share the recording: route, index, sign, erase, scrub.
//!
//! Whoever has the ledger's mandate leads. The others stand by, tell what is signed, and one of them leads as soon as the
//! mandate is free.

use std::time::Duration;

use anyhow::Result;
use tokio_util::sync::CancellationToken;
use weir_ledger::{Ledger, Mandate};
use weir_pipeline::{EraserTask, IndexTask, Publisher, RouteTask, ScrubTask};

use super::team::Team;

/// How often a process that stands by looks whether its turn has come.
const STANDBY_INTERVAL: Duration = Duration::from_millis(500);

/// How long the leader's tasks may take to finish what they have in hand. Below the grace of the whole process.
const LEAD_GRACE: Duration = Duration::from_secs(18);

/// Everything that one process does for all.
pub(super) struct Lead {
    pub(super) ledger: Ledger,
    pub(super) routes: Vec<RouteTask>,
    pub(super) publisher: Publisher,
    pub(super) eraser: EraserTask,
    pub(super) scrub: ScrubTask,
}

impl Lead {
    /// Stands by until the mandate is free, then leads until `stop` is cancelled.
    ///
    /// # Errors
    ///
    /// A task ended by itself.
    pub(super) async fn run(mut self, stop: CancellationToken) -> Result<()> {
        let stand_by = async {
            tokio::select! {
                mandate = take_mandate(&self.ledger) => mandate,
                () = self.publisher.stand_by() => unreachable!("standing by has no end"),
            }
        };
        let Some(mandate) = stop.run_until_cancelled(stand_by).await else {
            return Ok(());
        };
        let mut team = Team::new(stop.clone());
        for route in self.routes {
            team.spawn("route", route.run(stop.clone()));
        }
        team.spawn("index", IndexTask::new(self.ledger).run(stop.clone()));
        team.spawn("publisher", self.publisher.run(stop.clone()));
        team.spawn("eraser", self.eraser.run(stop.clone()));
        team.spawn("scrubber", self.scrub.run(stop));
        let outcome = team.run(LEAD_GRACE).await;
        drop(mandate);
        outcome
    }
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
                    "another weir routes and signs; this one shares the recording, and is standing by to take over the rest"
                );
                told = true;
            }
            Ok(None) => {}
            Err(error) => tracing::debug!(error = %error, "cannot ask who leads"),
        }
        tokio::time::sleep(STANDBY_INTERVAL).await;
    }
}
