//! Signs heads of the ledger, after the commit, and only while the tree has only grown.
//!
//! ```text
//! head ──▶ consistent with the guard's head? ──▶ sign ──▶ guard moves ──▶ stored, served ──▶ witnesses cosign
//!              │ no
//!              └──▶ nothing is signed or served, recording goes on, until an operator decides
//! ```
//!
//! The guard is kept outside the database. A database that was restored, cut off or rewritten does not agree with it.
//!
//! # Invariants
//!
//! - No signature without a consistency proof from the last head that was signed, made of stored tiles.
//! - Nothing leaves here before the guard has moved.
//! - Recording never waits for any of this.

mod decision;
mod error;
mod guard;
mod status;
mod witness;

use std::time::Duration;

use futures_util::future::join_all;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use weir_evidence::{Checkpoint, EMPTY_ROOT, SignedCheckpoint, SigningKey, consistency_ranges, is_consistent};
use weir_ledger::{Head, Ledger, SigningOrigin, TreeError};

use self::decision::Decision;
pub use self::error::PublishError;
pub use self::guard::{Guard, GuardError};
pub use self::status::{Publication, PublicationStatus};
pub use self::witness::Witness;
use crate::pace::{Backoff, pause};
use crate::problem::error_chain;

/// Shortest time between two checkpoints.
const PUBLISH_INTERVAL: Duration = Duration::from_millis(250);

/// How often the head is looked at for what other processes appended, and witnesses that failed are asked again.
const LOOK_INTERVAL: Duration = Duration::from_secs(1);

/// Decisions of operators that may wait.
const DECISIONS_MAX: usize = 4;

/// How a ledger's heads are signed.
pub struct PublisherSettings {
    /// Origin line of the first checkpoints; later origins are numbered behind it.
    pub origin: String,
    /// Seeds of the signing keys, 64 hexadecimal digits each. All sign; during a rotation there are two.
    pub seeds: Vec<zeroize::Zeroizing<String>>,
    /// Where the guard is kept.
    pub guard: Guard,
    /// Witnesses that are asked to cosign.
    pub witnesses: Vec<Witness>,
}

/// Signs the heads of one ledger.
pub struct Publisher {
    ledger: Ledger,
    settings: PublisherSettings,
    publication: Publication,
    decisions: mpsc::Receiver<Decision>,
    http: reqwest::Client,
}

impl Publisher {
    /// For this ledger. Makes the guard of a ledger that is new, before anything is recorded in it.
    ///
    /// # Errors
    ///
    /// The keys are not keys, or the guard cannot be made. That it is missing is told later, by not signing.
    pub async fn prepare(ledger: Ledger, settings: PublisherSettings) -> Result<(Self, Publication), PublishError> {
        let (decide, decisions) = mpsc::channel(DECISIONS_MAX);
        let publication = Publication::new(ledger.clone(), decide);
        let publisher = Self {
            http: witness::client(),
            ledger,
            settings,
            publication: publication.clone(),
            decisions,
        };
        let origin = publisher.ledger.signing_origin(&publisher.settings.origin).await?;
        if !publisher.settings.names(&origin) {
            tracing::warn!(
                configured = publisher.settings.origin,
                origin = origin.origin,
                "the configured origin is not that of the ledger, which keeps the one that it has; set that again"
            );
        }
        publisher.keys(&origin)?;
        // Before anything is sealed: the database may be a back-up from before these keys were destroyed.
        let destroyed = publisher.settings.guard.destroyed().await?;
        publisher.ledger.skip_body_keys(&destroyed).await?;
        let head = publisher.ledger.head().await?;
        if head.size == 0 && publisher.settings.guard.read().await?.is_none() {
            let empty = publisher.sign(&origin, &head)?;
            match publisher.settings.guard.advance(None, empty).await {
                // Another process that begins made it.
                Ok(()) | Err(GuardError::Moved(_)) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok((publisher, publication))
    }

    /// Tells what another process publishes, for as long as this is awaited.
    pub async fn stand_by(&mut self) {
        loop {
            let told = async {
                self.publication.signs_with(self.ledger.verifier_keys().await?);
                if let Some(stored) = self.ledger.newest_checkpoint().await?
                    && let Ok(signed) = SignedCheckpoint::parse(stored.note.as_bytes())
                {
                    self.publication.published(&signed);
                }
                Ok::<_, weir_ledger::DatabaseError>(())
            };
            if let Err(error) = told.await {
                tracing::debug!(problem = error_chain(&error), "what is published cannot be told");
            }
            tokio::select! {
                () = tokio::time::sleep(LOOK_INTERVAL) => {}
                Some(decision) = self.decisions.recv() => decision.refuse(),
            }
        }
    }

    /// Publishes until `stop` is cancelled. Failures are waited out, and what needs a decision is told and waited for.
    ///
    /// # Errors
    ///
    /// None: a publisher that cannot sign does not end, so that recording goes on.
    pub async fn run(&mut self, stop: CancellationToken) -> Result<(), PublishError> {
        let mut size = self.ledger.watch_size();
        let mut backoff = Backoff::new(Duration::from_millis(200), Duration::from_secs(10));
        while !stop.is_cancelled() {
            size.mark_unchanged();
            let wait = match self.publish().await {
                Ok(()) => {
                    backoff.succeeded();
                    PUBLISH_INTERVAL
                }
                Err(error) => {
                    let is_news = self.publication.stopped_by(&error);
                    if error.needs_decision() {
                        if is_news {
                            tracing::error!(ledger = %self.ledger.name(), "{error}");
                        }
                        LOOK_INTERVAL
                    } else {
                        if is_news || backoff.is_news() {
                            tracing::warn!(ledger = %self.ledger.name(), problem = error_chain(&error), "publishing waits");
                        }
                        backoff.next()
                    }
                }
            };
            pause(&stop, wait).await;
            tokio::select! {
                () = stop.cancelled() => {}
                _ = tokio::time::timeout(LOOK_INTERVAL, size.changed()) => {}
                Some(decision) = self.decisions.recv() => self.decide(decision).await,
            }
        }
        Ok(())
    }

    /// Signs the head as it is now, if that is not done yet.
    async fn publish(&self) -> Result<(), PublishError> {
        let origin = self.ledger.signing_origin(&self.settings.origin).await?;
        let head = self.ledger.head().await?;
        let guarded = self.check(&origin, &head).await?;
        let signed = self.sign(&origin, &head)?;
        let is_new = guarded.checkpoint().size < head.size || guarded.note().text() != signed.note().text();
        if is_new {
            self.settings.guard.advance(Some(guarded), signed.clone()).await?;
        }
        let stored = self.ledger.newest_checkpoint().await?;
        let stored = stored.filter(|stored| stored.size == head.size);
        let known = stored
            .as_ref()
            .and_then(|stored| SignedCheckpoint::parse(stored.note.as_bytes()).ok());
        // What is stored may have cosignatures that we do not have; what we signed may have a new key's signature.
        let mut signed = match known {
            Some(known)
                if signed
                    .note()
                    .signatures()
                    .iter()
                    .all(|line| known.note().signatures().contains(line)) =>
            {
                known
            }
            _ => {
                self.note_keys(&origin).await?;
                self.ledger
                    .store_checkpoint(&origin, head.size, &signed.to_string())
                    .await?;
                signed
            }
        };
        let disputed = self.ask_witnesses(&origin, &mut signed).await?;
        // Who asks for the checkpoint is told that it is disputed, and not the checkpoint.
        match disputed {
            None => {
                self.publication.published(&signed);
                Ok(())
            }
            Some(error) => Err(error),
        }
    }

    /// Makes sure that the tree under `head` grew out of the guarded one.
    async fn check(&self, origin: &SigningOrigin, head: &Head) -> Result<SignedCheckpoint, PublishError> {
        let guarded = self.settings.guard.read().await?.ok_or_else(|| PublishError::NoGuard {
            place: self.settings.guard.place(),
            size: head.size,
        })?;
        let signed = guarded.checkpoint();
        if signed.origin != origin.origin {
            return Err(PublishError::OtherGuard {
                guarded: signed.origin.clone(),
                origin: origin.origin.clone(),
            });
        }
        if self.has_grown(signed, head).await? {
            return Ok(guarded);
        }
        Err(PublishError::NotGrown {
            signed: signed.size,
            size: head.size,
        })
    }

    async fn has_grown(&self, signed: &Checkpoint, head: &Head) -> Result<bool, PublishError> {
        if signed.size > head.size {
            return Ok(false);
        }
        let proof = match self
            .ledger
            .roots(head.size, &consistency_ranges(signed.size, head.size))
            .await
        {
            Ok(proof) => proof,
            // A tree of which parts are missing proves nothing.
            Err(TreeError::Incomplete { .. }) => return Ok(false),
            Err(error) => return Err(error.into()),
        };
        let begins_empty = signed.size == 0 && signed.root == EMPTY_ROOT;
        Ok(begins_empty || is_consistent(signed.size, &signed.root, head.size, &head.root, &proof))
    }

    /// Asks the witnesses that have not cosigned yet, and stores what they sign. Says what one of them disputes.
    async fn ask_witnesses(
        &self,
        origin: &SigningOrigin,
        signed: &mut SignedCheckpoint,
    ) -> Result<Option<PublishError>, PublishError> {
        let asked = self
            .settings
            .witnesses
            .iter()
            .filter(|witness| !witness.has_signed(signed));
        let answers = join_all(asked.map(|witness| witness.cosign(&self.http, &self.ledger, signed))).await;
        let mut is_cosigned = false;
        let mut disputed = None;
        for answer in answers {
            match answer {
                Ok(lines) => {
                    signed.add_signature_lines(&lines).map_err(signing)?;
                    is_cosigned = true;
                }
                Err(witness::CosignError::Disputed { witness, reason }) => {
                    disputed = Some(PublishError::Disputed { witness, reason });
                }
                Err(error) => tracing::debug!(problem = error_chain(&error), "a witness did not cosign"),
            }
        }
        if is_cosigned {
            self.note_keys(origin).await?;
            self.ledger
                .store_checkpoint(origin, signed.checkpoint().size, &signed.to_string())
                .await?;
        }
        Ok(disputed)
    }

    fn sign(&self, origin: &SigningOrigin, head: &Head) -> Result<SignedCheckpoint, PublishError> {
        let checkpoint = Checkpoint {
            origin: origin.origin.clone(),
            size: head.size,
            root: head.root,
        };
        checkpoint.sign(&self.keys(origin)?).map_err(signing)
    }

    fn keys(&self, origin: &SigningOrigin) -> Result<Vec<SigningKey>, PublishError> {
        let seeds = self.settings.seeds.iter();
        seeds
            .map(|seed| SigningKey::parse(origin.origin.clone(), seed).map_err(signing))
            .collect()
    }

    fn vkeys(&self, origin: &SigningOrigin) -> Result<Vec<String>, PublishError> {
        Ok(self
            .keys(origin)?
            .iter()
            .map(|key| key.verifier_key().to_string())
            .collect())
    }

    async fn note_keys(&self, origin: &SigningOrigin) -> Result<(), PublishError> {
        let mut vkeys = self.vkeys(origin)?;
        vkeys.extend(self.settings.witnesses.iter().map(|witness| witness.key().to_string()));
        self.publication.signs_with(vkeys.clone());
        Ok(self.ledger.note_verifier_keys(&vkeys).await?)
    }
}

fn signing(error: impl std::error::Error) -> PublishError {
    PublishError::Signing(error_chain(&error))
}
