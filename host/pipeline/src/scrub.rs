//! Reads the whole ledger again and again, slowly, so that what was damaged or changed is noticed before anybody asks.
//!
//! Every entry is opened beside its body and held against its leaf in the stored tree. What is found is told in the log
//! and to whoever asks ([`Scrubbed`]); nothing is changed.

use std::time::Duration;

use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use weir_evidence::{TILE_WIDTH, TileId};
use weir_ledger::{Ledger, ReadError, TreeError};
use weir_model::Position;

use crate::pace::pause;

/// Between two tiles of entries: a million entries take a little over an hour.
const TILE_INTERVAL: Duration = Duration::from_secs(1);

/// Findings that are kept for those who ask.
const FINDINGS_MAX: usize = 20;

/// How far the scrubber has come.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Scrubbed {
    /// Entries below this were read in this round.
    pub position: u64,
    /// Rounds that came to the end.
    pub rounds: u64,
    /// What was found, newest last.
    pub findings: Vec<String>,
}

/// Scrubs one ledger. Clones tell the same watchers.
#[derive(Clone)]
pub struct ScrubTask {
    ledger: Ledger,
    scrubbed: watch::Sender<Scrubbed>,
}

impl ScrubTask {
    /// For this ledger.
    #[must_use]
    pub fn new(ledger: Ledger) -> Self {
        Self {
            ledger,
            scrubbed: watch::Sender::default(),
        }
    }

    /// Follows it.
    #[must_use]
    pub fn watch(&self) -> watch::Receiver<Scrubbed> {
        self.scrubbed.subscribe()
    }

    /// Scrubs until `stop` is cancelled.
    ///
    /// # Errors
    ///
    /// None: what cannot be read now is read later.
    pub async fn run(self, stop: CancellationToken) -> Result<(), ReadError> {
        let mut tile = 0;
        while pause(&stop, TILE_INTERVAL).await {
            match self.scrub_tile(tile).await {
                Ok(true) => tile += 1,
                Ok(false) => {
                    tile = 0;
                    self.scrubbed.send_modify(|scrubbed| scrubbed.rounds += 1);
                }
                Err(error) => tracing::debug!(error = &error as &dyn std::error::Error, "scrubbing waits"),
            }
        }
        Ok(())
    }

    /// Checks the entries of one tile, which is not full at the end of the tree. Says whether more may follow.
    async fn scrub_tile(&self, index: u64) -> Result<bool, TreeError> {
        let (id, first) = (TileId { level: 0, index }, index * TILE_WIDTH as u64);
        let width = id.width(self.ledger.head().await?.size);
        let leaves = self.ledger.tile(id, width).await?;
        let (mut next, end) = (first, first + width as u64);
        while next < end {
            let count = u16::try_from(end - next).expect("a tile has 256 entries");
            let read = self.ledger.read_from(Position(next), count).await;
            match read {
                Ok(page) => {
                    let Some(last) = page.last() else { break };
                    next = last.position.0 + 1;
                    for recorded in &page {
                        let place = usize::try_from(recorded.position.0 - first).expect("a tile has 256 entries");
                        if leaves.get(place) != Some(&recorded.leaf) {
                            self.found(format!(
                                "position {}: the entry is not the one in the tree",
                                recorded.position
                            ));
                        }
                    }
                }
                Err(ReadError::Tampered { position, found }) => {
                    self.found(format!("position {position}: {found}"));
                    next = position.0 + 1;
                }
                Err(error) => {
                    tracing::debug!(error = &error as &dyn std::error::Error, "scrubbing waits");
                    return Ok(true);
                }
            }
        }
        self.scrubbed.send_modify(|scrubbed| scrubbed.position = end);
        Ok(width == TILE_WIDTH)
    }

    fn found(&self, finding: String) {
        self.scrubbed.send_if_modified(|scrubbed| {
            let is_news = !scrubbed.findings.contains(&finding);
            if is_news {
                tracing::error!(ledger = %self.ledger.name(), "tampered: {finding}");
                scrubbed.findings.push(finding);
                let too_many = scrubbed.findings.len().saturating_sub(FINDINGS_MAX);
                scrubbed.findings.drain(..too_many);
            }
            is_news
        });
    }
}
