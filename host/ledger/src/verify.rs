//! Recomputes a ledger from its stored bytes and compares it with everything that is derived from them.
//!
//! ```text
//! entries and bodies, page by page ──▶ tree ──▶ tiles, checkpoints, head
//!                                 ├──▶ batches ──▶ shards
//!                                 └──▶ lanes
//! ```
//!
//! # Invariants
//!
//! - Nothing is changed.
//! - What was recorded while it ran is left out: the head as it was at the beginning decides.
//! - Nothing to check is no proof.

mod derived;
mod finding;

use weir_evidence::{
    Accounts, BodyKey, Checked, Entry, EntryKind, Finding, SealedBody, StoredBody, Tile, TileEdge, Verifier,
    VerifierKey, is_hash,
};
use weir_model::{Item, Position};

pub use self::finding::VerificationFinding;
use crate::read::StoredEntry;
use crate::{BodyKeyError, Head, Ledger, ReadError, from_stored};

/// Entries read at a time.
const PAGE_ENTRIES: u16 = 1000;

/// Findings that are told one by one; more are not more certain.
const FINDINGS_MAX: usize = 20;

/// What a verification found.
#[derive(Clone, Debug)]
pub struct Verification {
    /// The head that the entries were held against.
    pub head: Head,
    /// Entries that were recomputed.
    pub checked: u64,
    /// Checkpoints that were held against the tree.
    pub checkpoints: u64,
    /// Bodies, or parts of them, that were erased by order.
    pub erased: u64,
    /// What is wrong; at most 20. Nothing wrong and something checked is proof.
    pub findings: Vec<VerificationFinding>,
}

/// Why a verification cannot tell.
#[derive(Debug, thiserror::Error)]
pub enum VerifyError {
    /// The keys could not be had.
    #[error("could not read the keys of bodies")]
    BodyKey(#[from] BodyKeyError),
    /// Postgres failed.
    #[error("could not read the ledger")]
    Database(#[from] sqlx::Error),
}

/// A verification under way.
struct Run<'a> {
    ledger: &'a Ledger,
    head: Head,
    verifier: Verifier,
    edge: TileEdge,
    accounts: Accounts,
    keys: Vec<VerifierKey>,
    checkpoints: u64,
    erased: u64,
    findings: Vec<VerificationFinding>,
}

impl Ledger {
    /// Recomputes every entry up to the head as it is now. `progress` is told the number of entries done.
    ///
    /// # Errors
    ///
    /// The ledger could not be read, so nothing can be said.
    pub async fn verify(&self, progress: impl Fn(u64, u64)) -> Result<Verification, VerifyError> {
        let (head, frontier) = self.head_and_frontier().await?;
        let mut run = Run {
            ledger: self,
            head,
            verifier: Verifier::default(),
            edge: TileEdge::default(),
            accounts: Accounts::new(true),
            keys: Vec::new(),
            checkpoints: 0,
            erased: 0,
            findings: Vec::new(),
        };
        run.read_keys().await?;
        let is_whole = run.walk(progress).await?;
        if is_whole {
            run.learn_newer_orders().await?;
            let findings = run.verifier.finish(run.head.size, &run.head.root);
            run.findings
                .extend(findings.into_iter().map(VerificationFinding::Entry));
            run.check_derived(&frontier).await?;
            if run.findings.is_empty() {
                run.check_shards().await?;
            }
        }
        run.findings.truncate(FINDINGS_MAX);
        Ok(Verification {
            checked: run.verifier.size(),
            head: run.head,
            checkpoints: run.checkpoints,
            erased: run.erased,
            findings: run.findings,
        })
    }
}

impl Run<'_> {
    /// Takes every entry below the head. Says whether it came to the end.
    async fn walk(&mut self, progress: impl Fn(u64, u64)) -> Result<bool, VerifyError> {
        let mut next = 0;
        while next < self.head.size {
            let mut page = self.ledger.stored_from(Position(next), PAGE_ENTRIES).await?;
            page.retain(|row| from_stored(row.position).0 < self.head.size);
            let Some(last) = page.last() else { break };
            let first = std::mem::replace(&mut next, from_stored(last.position).0 + 1);
            let mut tiles = Vec::new();
            let checkpoints = self.ledger.checkpoints_between(first, next).await?;
            let mut checkpoints = checkpoints.iter().peekable();
            for mut row in page {
                let taken = self.take(&mut row).await?;
                if let Err(finding) = taken {
                    let is_end = matches!(finding, VerificationFinding::Entry(Finding::Missing { .. }));
                    self.findings.push(finding);
                    if is_end || self.findings.len() >= FINDINGS_MAX {
                        return Ok(false);
                    }
                }
                self.edge
                    .push(weir_evidence::leaf_hash(&row.entry), |tile: Tile| tiles.push(tile));
                while let Some((size, note)) = checkpoints.next_if(|(size, _)| *size == self.verifier.size()) {
                    self.check_checkpoint(*size, note).await?;
                }
            }
            self.check_tiles(&tiles).await?;
            progress(self.verifier.size(), self.head.size);
        }
        Ok(true)
    }

    /// Erasures that were ordered behind the head that we began with may have been carried out while we read.
    async fn learn_newer_orders(&mut self) -> Result<(), VerifyError> {
        match self.ledger.orders_since(Position(self.head.size)).await {
            Ok(orders) => {
                for order in orders {
                    self.verifier.ordered(&order.id, order.scope, order.plan.positions);
                }
                Ok(())
            }
            // Not ours to tell: what it covers shows as missing, and the next verification reads the order itself.
            Err(ReadError::Tampered { .. }) => Ok(()),
            Err(ReadError::BodyKey(error)) => Err(error.into()),
            Err(ReadError::Database(error)) => Err(error.into()),
        }
    }

    async fn key_of(&self, row: &StoredEntry) -> Result<Result<Option<BodyKey>, String>, VerifyError> {
        match row.body_key {
            None => Ok(Ok(None)),
            Some(number) => match self.ledger.body_key(number).await {
                Ok(key) => Ok(Ok(key)),
                Err(error @ (BodyKeyError::Unauthentic { .. } | BodyKeyError::Missing { .. })) => {
                    Ok(Err(error.to_string()))
                }
                Err(error) => Err(error.into()),
            },
        }
    }

    async fn take(&mut self, row: &mut StoredEntry) -> Result<Result<(), VerificationFinding>, VerifyError> {
        let position = from_stored(row.position).0;
        let mut key = self.key_of(row).await?;
        // Read right before an erasure of attributes destroyed its key: another body stands there now.
        if row.body.is_some()
            && matches!(key, Ok(None))
            && let Some(again) = self.ledger.stored_at(&[row.position]).await?.pop()
            && again.entry == row.entry
        {
            *row = again;
            key = self.key_of(row).await?;
        }
        let sealed = row.body.as_ref().map(|body| SealedBody(body.clone()));
        let body = match (&sealed, &key) {
            (_, Err(reason)) => StoredBody::Unreadable(reason),
            (None, _) => StoredBody::Absent,
            (Some(_), Ok(None)) => StoredBody::Locked,
            (Some(sealed), Ok(Some(key))) => StoredBody::Sealed(sealed, key),
        };
        let is_erased = row.body.is_none() || matches!(key, Ok(None));
        let checked = match self.verifier.take(position, &row.entry, body) {
            Ok(checked) => checked,
            Err(finding) => {
                // An entry whose body is damaged still says what was recorded.
                let is_about_body = matches!(&finding, Finding::Body { .. } | Finding::BodyMissing { .. });
                if let (true, Ok(entry)) = (is_about_body, Entry::decode(&row.entry)) {
                    self.account(position, &entry);
                }
                return Ok(Err(VerificationFinding::Entry(finding)));
            }
        };
        let is_redacted = checked.body.as_ref().is_some_and(weir_evidence::Body::has_erased);
        self.erased += u64::from(checked.entry.commitment().is_some() && (is_erased || is_redacted));
        self.account(position, &checked.entry);
        Ok(self.check_lane(position, row.lane, &checked))
    }

    fn account(&mut self, position: u64, entry: &Entry) {
        let findings = self.accounts.take(position, entry).into_iter();
        self.findings
            .extend(findings.map(|finding| VerificationFinding::Account(Box::new(finding))));
    }

    /// A lane can be worked out again as long as the key of the item is there.
    fn check_lane(&self, position: u64, lane: Option<i16>, checked: &Checked) -> Result<(), VerificationFinding> {
        let is_right = match &checked.entry.kind {
            EntryKind::Change { table, .. } => match checked.body.as_ref() {
                // Of what was there before it was hashed, nothing can be worked out.
                Some(body) if !body.has_erased() && !body.keys.iter().flat_map(Item::values).any(is_hash) => {
                    let keys = body.keys.as_ref();
                    keys.is_none_or(|keys| lane == Some(i16::from(self.ledger.shared.secret.lane(table, keys))))
                }
                _ => lane.is_some(),
            },
            EntryKind::Withheld { .. } => lane.is_some(),
            _ => lane.is_none(),
        };
        if is_right {
            Ok(())
        } else {
            Err(VerificationFinding::Lane { position })
        }
    }
}
