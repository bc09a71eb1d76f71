//! Checks a ledger from its stored bytes: every entry beside its body, all of them against the head, and every body that
//! is not there against the erasures that the ledger itself records.

use std::collections::BTreeMap;

use crate::erasure::{ErasurePlan, Positions};
use crate::tree::{Frontier, Hash, leaf_hash};
use crate::{Body, BodyKey, Entry, EntryError, EntryKind, ErasureScope, ErasureStage, OpenError, SealedBody};

/// Recomputes a ledger's tree, entry by entry in order of position.
#[derive(Default)]
pub struct Verifier {
    frontier: Frontier,
    /// Positions whose body is gone, and whose body lost attributes.
    emptied: Positions,
    redacted: Positions,
    erasures: BTreeMap<String, Erasure>,
}

/// What the ledger says of one erasure.
struct Erasure {
    scope: ErasureScope,
    positions: Positions,
    /// Once it is done: how many bodies it says it emptied or changed.
    done: Option<u64>,
}

/// What is stored beside an entry.
#[derive(Clone, Copy)]
pub enum StoredBody<'a> {
    /// Nothing.
    Absent,
    /// A body whose key was destroyed.
    Locked,
    /// A body and its key.
    Sealed(&'a SealedBody, &'a BodyKey),
    /// A body whose key was damaged or taken away: how.
    Unreadable(&'a str),
}

/// An entry that was checked beside its body.
#[derive(Clone, Debug)]
pub struct Checked {
    /// The entry.
    pub entry: Entry,
    /// Its leaf hash.
    pub leaf: Hash,
    /// The body, where it has one that was not erased.
    pub body: Option<Body>,
}

/// What is wrong, and where.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Finding {
    /// A position that the ledger must have is not there.
    #[error("position {position} is missing")]
    Missing {
        /// The first that is missing.
        position: u64,
    },
    /// The entry cannot be read.
    #[error("position {position}: the entry was changed, it is no entry any more ({error})")]
    EntryUnreadable {
        /// Where.
        position: u64,
        /// Why it cannot be read.
        error: EntryError,
    },
    /// Entry and body are not what was recorded together.
    #[error("position {position}: {error}")]
    Body {
        /// Where.
        position: u64,
        /// What is wrong with the body.
        error: OpenError,
    },
    /// There is nothing to open the body with, or no body, and no erasure says why.
    #[error("position {position}: {reason}")]
    BodyMissing {
        /// Where.
        position: u64,
        /// What is missing.
        reason: String,
    },
    /// A body stands beside an entry that has none.
    #[error("position {position}: a body stands where none was recorded")]
    BodyTooMany {
        /// Where.
        position: u64,
    },
    /// An erasure says that it is done, but the body is still there.
    #[error("position {position}: erasure {erasure} is recorded as done, but what it erased is there")]
    NotErased {
        /// Where.
        position: u64,
        /// The erasure.
        erasure: String,
    },
    /// Every entry agrees with its body, but all together are not what the head stands for.
    #[error(
        "{size} entries hash to {actual}, but the head says {expected}: entries were exchanged or the head was changed"
    )]
    Root {
        /// Number of entries.
        size: u64,
        /// Root of the stored entries.
        actual: String,
        /// Root in the head.
        expected: String,
    },
    /// The head stands for another number of entries.
    #[error("{actual} entries are stored, but the head says {expected}")]
    Size {
        /// Entries that are there.
        actual: u64,
        /// Entries that the head stands for.
        expected: u64,
    },
}

impl Verifier {
    /// Takes the entry at `position` with what is stored beside it.
    ///
    /// # Errors
    ///
    /// What is wrong with it. The verifier can go on: later findings are told too. A body that is not there is not yet
    /// wrong: whether an erasure covers it is known at the end.
    pub fn take(&mut self, position: u64, entry: &[u8], body: StoredBody<'_>) -> Result<Checked, Finding> {
        let expected = self.frontier.size();
        if position != expected {
            return Err(Finding::Missing { position: expected });
        }
        let leaf = leaf_hash(entry);
        self.frontier.push(leaf);
        let entry = Entry::decode(entry).map_err(|error| Finding::EntryUnreadable { position, error })?;
        let body = match body {
            StoredBody::Absent if entry.commitment().is_none() => None,
            _ if entry.commitment().is_none() => return Err(Finding::BodyTooMany { position }),
            StoredBody::Absent | StoredBody::Locked => {
                self.emptied.push(position);
                None
            }
            StoredBody::Unreadable(reason) => {
                let reason = reason.to_owned();
                return Err(Finding::BodyMissing { position, reason });
            }
            StoredBody::Sealed(sealed, key) => {
                let opened = sealed.open(key, &leaf, &entry);
                let body = opened.map_err(|error| Finding::Body { position, error })?.body;
                if body.has_erased() {
                    self.redacted.push(position);
                }
                Some(body)
            }
        };
        self.note_erasure(position, &entry, body.as_ref())?;
        Ok(Checked { entry, leaf, body })
    }

    fn note_erasure(&mut self, position: u64, entry: &Entry, body: Option<&Body>) -> Result<(), Finding> {
        let EntryKind::Erasure(order) = &entry.kind else {
            return Ok(());
        };
        match order.stage {
            ErasureStage::Intent => {
                let plan = body.and_then(|body| ErasurePlan::parse(body.raw.as_deref()?));
                let plan = plan.ok_or_else(|| Finding::BodyMissing {
                    position,
                    reason: "what this erasure is about cannot be read".to_owned(),
                })?;
                self.ordered(&order.id, order.scope, plan.positions);
            }
            ErasureStage::Done => {
                if let Some(erasure) = self.erasures.get_mut(&order.id) {
                    erasure.done = Some(order.bodies.unwrap_or_default());
                }
            }
        }
        Ok(())
    }

    /// Lets an erasure cover bodies that was ordered behind the last entry that is taken: it may have been carried out
    /// while entries were read.
    pub fn ordered(&mut self, id: &str, scope: ErasureScope, positions: Positions) {
        let erasure = Erasure {
            scope,
            positions,
            done: None,
        };
        self.erasures.insert(id.to_owned(), erasure);
    }

    /// Entries taken so far.
    #[must_use]
    pub fn size(&self) -> u64 {
        self.frontier.size()
    }

    /// The right edge of the tree over the entries taken so far.
    #[must_use]
    pub fn frontier(&self) -> &Frontier {
        &self.frontier
    }

    /// What is wrong with the whole: it is not the tree that the head stands for, or bodies are gone that no erasure
    /// covers, or are there although they were erased.
    #[must_use]
    pub fn finish(&self, size: u64, root: &Hash) -> Vec<Finding> {
        let mut findings = Vec::new();
        if self.frontier.size() != size {
            findings.push(Finding::Size {
                actual: self.frontier.size(),
                expected: size,
            });
        } else if self.frontier.root() != *root {
            let (actual, expected) = (hex::encode(self.frontier.root()), hex::encode(root));
            findings.push(Finding::Root { size, actual, expected });
        }
        let (mut may_be_empty, mut may_be_redacted) = (Positions::default(), Positions::default());
        for (id, erasure) in &self.erasures {
            let (may, gone) = match erasure.scope {
                ErasureScope::Attribute => (&mut may_be_redacted, self.redacted.union(&self.emptied)),
                _ => (&mut may_be_empty, self.emptied.clone()),
            };
            *may = may.union(&erasure.positions);
            let Some(done) = erasure.done else { continue };
            // Retention passes over what is held when it comes to it; it says how many bodies are gone.
            let is_kept = erasure.scope == ErasureScope::Retention && erasure.positions.common(&gone).count() >= done;
            if !is_kept && let Some(position) = erasure.positions.first_not_in(&gone) {
                let erasure = id.clone();
                findings.push(Finding::NotErased { position, erasure });
            }
        }
        let told = [
            (
                &self.emptied,
                &may_be_empty,
                "the body is gone, and no erasure covers it",
            ),
            (
                &self.redacted,
                &may_be_redacted,
                "attributes are gone, and no erasure covers them",
            ),
        ];
        for (gone, covered, reason) in told {
            if let Some(position) = gone.first_not_in(covered) {
                let reason = reason.to_owned();
                findings.push(Finding::BodyMissing { position, reason });
            }
        }
        findings
    }
}

#[cfg(test)]
mod tests;
