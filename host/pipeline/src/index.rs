//! Keeps the index up with the ledger.

use std::time::Duration;

use tokio_util::sync::CancellationToken;
use weir_ledger::{ConsumerError, Ledger, ReadError};

use crate::pace::{Backoff, pause};

/// Entries indexed in one transaction.
const PAGE_ENTRIES: u16 = 1000;

/// How often the ledger is looked at for what other processes appended.
const LOOK_INTERVAL: Duration = Duration::from_secs(1);

/// Fills the index, in order of position.
pub struct IndexTask {
    ledger: Ledger,
}

impl IndexTask {
    /// For this ledger.
    #[must_use]
    pub fn new(ledger: Ledger) -> Self {
        Self { ledger }
    }

    /// Indexes until `stop` is cancelled. Failures of Postgres are waited out.
    ///
    /// # Errors
    ///
    /// Another process took the index over.
    pub async fn run(self, stop: CancellationToken) -> Result<(), ConsumerError> {
        let mut backoff = Backoff::new(Duration::from_millis(200), Duration::from_secs(10));
        let mut size = self.ledger.watch_size();
        let mut consumer = loop {
            match self.ledger.claim_index().await {
                Ok(consumer) => break consumer,
                Err(error) => tracing::warn!(error = &error as &dyn std::error::Error, "the index waits for Postgres"),
            }
            if !pause(&stop, backoff.next()).await {
                return Ok(());
            }
        };
        while !stop.is_cancelled() {
            match self.ledger.index(&mut consumer, PAGE_ENTRIES).await {
                Ok(0) => {
                    backoff.succeeded();
                    let grew = tokio::time::timeout(LOOK_INTERVAL, size.changed());
                    stop.run_until_cancelled(grew).await;
                }
                Ok(_) => backoff.succeeded(),
                Err(error @ ConsumerError::Fenced { .. }) => return Err(error),
                Err(ConsumerError::Read(error @ ReadError::Tampered { .. })) => {
                    tracing::error!(error = %error, "the index cannot read on");
                    pause(&stop, Duration::from_secs(10)).await;
                }
                Err(error) => {
                    tracing::warn!(error = &error as &dyn std::error::Error, "the index waits for Postgres");
                    pause(&stop, backoff.next()).await;
                }
            }
        }
        Ok(())
    }
}
