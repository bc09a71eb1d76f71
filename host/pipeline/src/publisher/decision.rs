//! What Weir must not decide by itself: that a database without its guard is the newest, and that a tree which did not grow
//! out of the signed one goes on.
//!
//! # Invariants
//!
//! - A lost guard is made anew only from a tree that grew out of the newest checkpoint that is stored.
//! - A tree that goes on under a new origin quotes what was signed under the old one, and what had been erased is erased
//!   again before anything of it is signed.

use tokio::sync::oneshot;
use weir_evidence::SignedCheckpoint;
use weir_ledger::{ErasureError, NewErasure, Selector, SigningOrigin};

use super::{PublishError, Publisher, PublisherSettings, signing};

/// What an operator decided.
pub(crate) enum Decision {
    /// The guard is missing, and what the database has is to be trusted.
    Adopt(oneshot::Sender<Result<String, PublishError>>),
    /// The tree is not the one that was signed; it goes on under another origin.
    Continue {
        reason: String,
        done: oneshot::Sender<Result<String, PublishError>>,
    },
}

impl Decision {
    /// Says that another process would have to carry it out.
    pub(super) fn refuse(self) {
        let (Self::Adopt(done) | Self::Continue { done, .. }) = self;
        // Who asked may have gone.
        let _ = done.send(Err(PublishError::Elsewhere));
    }
}

impl Publisher {
    pub(super) async fn decide(&self, decision: Decision) {
        match decision {
            Decision::Adopt(done) => {
                // Who asked may have gone.
                let _ = done.send(self.adopt().await);
            }
            Decision::Continue { reason, done } => {
                let _ = done.send(self.continue_anew(&reason).await);
            }
        }
    }

    /// Makes a guard for the tree as the database has it, if it grew out of the newest checkpoint that is stored there.
    async fn adopt(&self) -> Result<String, PublishError> {
        if self.settings.guard.read().await?.is_some() {
            return Err(PublishError::NothingToAdopt);
        }
        let origin = self.ledger.signing_origin(&self.settings.origin).await?;
        let head = self.ledger.head().await?;
        if let Some(stored) = self.ledger.newest_checkpoint().await? {
            let stored = SignedCheckpoint::parse(stored.note.as_bytes()).map_err(signing)?;
            if !self.has_grown(stored.checkpoint(), &head).await? {
                return Err(PublishError::NotGrown {
                    signed: stored.checkpoint().size,
                    size: head.size,
                });
            }
        }
        let signed = self.sign(&origin, &head)?;
        self.settings.guard.advance(None, signed).await?;
        Ok(format!(
            "the guard is {} now, over {} entries",
            self.settings.guard.place(),
            head.size
        ))
    }

    /// Begins a new origin, whose first entry quotes what was signed under the old one; destroys keys again that were
    /// destroyed after the back-up was made.
    async fn continue_anew(&self, reason: &str) -> Result<String, PublishError> {
        let origin = self.ledger.signing_origin(&self.settings.origin).await?;
        let head = self.ledger.head().await?;
        let guarded = match self.check(&origin, &head).await {
            Ok(_) => return Err(PublishError::NothingToContinue),
            Err(PublishError::NotGrown { .. } | PublishError::OtherGuard { .. }) => {
                self.settings
                    .guard
                    .read()
                    .await?
                    .ok_or(PublishError::NothingToContinue)?
            }
            Err(error) => return Err(error),
        };
        self.erase_again(reason).await?;
        // A guard of a later origin than the database knows: the database is from before an earlier continuation.
        let number = self
            .settings
            .number_after(&guarded.checkpoint().origin)
            .max(origin.number + 1);
        let next = SigningOrigin {
            number,
            origin: self.settings.numbered(number),
        };
        self.ledger
            .continue_under(&next, reason, &guarded.to_string(), jiff::Timestamp::now())
            .await?;
        let signed = self.sign(&next, &self.ledger.head().await?)?;
        self.settings.guard.advance(Some(guarded), signed).await?;
        Ok(format!(
            "the ledger goes on as {}; give auditors its new key: {}",
            next.origin,
            self.vkeys(&next)?.join(" ")
        ))
    }

    /// Erases again what was erased after the back-up was made. Its order is lost with the rest, so a new one says what goes.
    async fn erase_again(&self, reason: &str) -> Result<(), PublishError> {
        let destroyed = self.settings.guard.destroyed().await?;
        let order = NewErasure {
            selector: Selector::BodyKeys(destroyed.clone()),
            attributes: Vec::new(),
            basis: "erased before the database was restored".to_owned(),
            approver: format!("weir ledger continue: {reason}"),
        };
        match self.ledger.order_erasure(&order, jiff::Timestamp::now()).await {
            Ok(_) | Err(ErasureError::Nothing) => {}
            Err(error) => return Err(error.into()),
        }
        let guard = &self.settings.guard;
        let carried_out = self
            .ledger
            .carry_out_erasures(jiff::Timestamp::now, |keys| guard.note_destroyed(keys))
            .await?;
        if let Some((_, error)) = carried_out.waiting.into_iter().next() {
            return Err(error.into());
        }
        Ok(self.ledger.destroy_keys_again(&destroyed).await?)
    }
}

impl PublisherSettings {
    /// Whether an origin of the ledger is the configured one, or a later one behind it. Where it is not, the configuration was changed,
    /// and that changes nothing: an origin is for life.
    #[must_use]
    pub fn names(&self, origin: &SigningOrigin) -> bool {
        match origin.number {
            0 => origin.origin == self.origin,
            number => origin.origin == self.numbered(number),
        }
    }

    fn numbered(&self, number: u32) -> String {
        format!("{}/{number}", self.origin)
    }

    /// The number behind that of an origin of ours.
    fn number_after(&self, origin: &str) -> u32 {
        let number = origin
            .strip_prefix(&self.origin)
            .and_then(|rest| rest.strip_prefix('/'));
        number
            .and_then(|number| number.parse::<u32>().ok())
            .map_or(1, |number| number.saturating_add(1))
    }
}
