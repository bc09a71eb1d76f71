//! What the publisher does, for those who ask; and how operators tell it their decisions.

use tokio::sync::{mpsc, oneshot, watch};
use weir_evidence::SignedCheckpoint;
use weir_ledger::Ledger;

use super::{Decision, PublishError};

/// How publishing stands.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PublicationStatus {
    /// The newest checkpoint, with the cosignatures that came, as text.
    pub checkpoint: Option<String>,
    /// Entries that it covers.
    pub size: u64,
    /// Public keys whose signatures stand below checkpoints: own keys first, then those of witnesses.
    pub vkeys: Vec<String>,
    /// Why nothing is signed now, if nothing is.
    pub stopped: Option<String>,
}

/// Follows a publisher, and tells it decisions. Clones follow the same one.
#[derive(Clone)]
pub struct Publication {
    ledger: Ledger,
    status: std::sync::Arc<watch::Sender<PublicationStatus>>,
    decide: mpsc::Sender<Decision>,
}

impl Publication {
    pub(super) fn new(ledger: Ledger, decide: mpsc::Sender<Decision>) -> Self {
        Self {
            ledger,
            status: std::sync::Arc::new(watch::Sender::default()),
            decide,
        }
    }

    /// As it stands.
    #[must_use]
    pub fn status(&self) -> PublicationStatus {
        self.status.borrow().clone()
    }

    /// Follows it.
    #[must_use]
    pub fn watch(&self) -> watch::Receiver<PublicationStatus> {
        self.status.subscribe()
    }

    /// The ledger that is published.
    #[must_use]
    pub fn ledger(&self) -> &Ledger {
        &self.ledger
    }

    /// Has a missing guard made anew from what the database has.
    ///
    /// # Errors
    ///
    /// The guard is there, or the tree did not grow out of the newest stored checkpoint.
    pub async fn adopt(&self) -> Result<String, PublishError> {
        self.ask(Decision::Adopt).await
    }

    /// Has the ledger go on under a new origin.
    ///
    /// # Errors
    ///
    /// The ledger agrees with its guard, or something failed.
    pub async fn continue_anew(&self, reason: String) -> Result<String, PublishError> {
        self.ask(|done| Decision::Continue { reason, done }).await
    }

    async fn ask(
        &self,
        decision: impl FnOnce(oneshot::Sender<Result<String, PublishError>>) -> Decision,
    ) -> Result<String, PublishError> {
        let (done, answer) = oneshot::channel();
        self.decide
            .send(decision(done))
            .await
            .map_err(|_| PublishError::Stopped)?;
        answer.await.unwrap_or(Err(PublishError::Stopped))
    }

    pub(super) fn published(&self, signed: &SignedCheckpoint) {
        self.status.send_modify(|status| {
            status.size = signed.checkpoint().size;
            status.checkpoint = Some(signed.to_string());
            status.stopped = None;
        });
    }

    pub(super) fn signs_with(&self, vkeys: Vec<String>) {
        self.status.send_modify(|status| status.vkeys = vkeys);
    }

    /// Says whether that is news.
    pub(super) fn stopped_by(&self, error: &PublishError) -> bool {
        let why = error.to_string();
        self.status.send_if_modified(|status| {
            let is_news = status.stopped.as_deref() != Some(&why);
            status.stopped = Some(why);
            is_news
        })
    }
}
