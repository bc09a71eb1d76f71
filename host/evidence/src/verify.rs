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
mod tests {
    use super::*;
    use crate::{Origin, SegmentKey, record};
    use weir_model::{LedgerName, SequenceNumber, ShardId, StreamArn};

    fn origin() -> Origin {
        Origin {
            stream: StreamArn::parse("arn").unwrap(),
            shard: ShardId::parse("shard").unwrap(),
        }
    }

    fn recorded(actor: &str, key: &BodyKey) -> (Vec<u8>, Hash, SealedBody) {
        let body = Body {
            actor: Some(actor.to_owned()),
            ..Body::default()
        };
        let entry = |commitment| Entry {
            ledger: LedgerName::parse("main").unwrap(),
            kind: EntryKind::Unknown {
                origin: origin(),
                commitment,
                sequence: SequenceNumber::parse("1").unwrap(),
                time: jiff::Timestamp::UNIX_EPOCH,
            },
        };
        record(&body, key, entry).unwrap()
    }

    #[test]
    fn any_flipped_bit_of_an_entry_or_body_is_found_at_its_position() {
        let key = SegmentKey::new([5; 32]).body_key(0).unwrap();
        let (entry, leaf, sealed) = recorded("maria", &key);
        let mut head = Frontier::default();
        head.push(leaf);

        let verify = |entry: &[u8], sealed: &SealedBody| -> Result<(), Finding> {
            let mut verifier = Verifier::default();
            verifier.take(0, entry, StoredBody::Sealed(sealed, &key))?;
            assert_eq!(verifier.finish(1, &head.root()), []);
            Ok(())
        };
        assert_eq!(verify(&entry, &sealed), Ok(()));
        for bit in 0..entry.len() * 8 {
            let mut changed = entry.clone();
            changed[bit / 8] ^= 1 << (bit % 8);
            assert!(matches!(
                verify(&changed, &sealed),
                Err(Finding::Body { position: 0, .. } | Finding::EntryUnreadable { position: 0, .. })
            ));
        }
        for bit in 0..sealed.0.len() * 8 {
            let mut changed = sealed.clone();
            changed.0[bit / 8] ^= 1 << (bit % 8);
            assert!(matches!(
                verify(&entry, &changed),
                Err(Finding::Body { position: 0, .. })
            ));
        }
    }

    #[test]
    fn an_entry_that_is_missing_or_was_exchanged_is_found() {
        let segment = SegmentKey::new([5; 32]);
        let keys: Vec<BodyKey> = (0..3).map(|index| segment.body_key(index).unwrap()).collect();
        let entries: Vec<_> = ["maria", "jonas", "chen"]
            .into_iter()
            .zip(&keys)
            .map(|(who, key)| recorded(who, key))
            .collect();
        let mut head = Frontier::default();
        entries.iter().for_each(|(_, leaf, _)| head.push(*leaf));

        let mut verifier = Verifier::default();
        verifier
            .take(0, &entries[0].0, StoredBody::Sealed(&entries[0].2, &keys[0]))
            .unwrap();
        assert_eq!(
            verifier.take(2, &entries[2].0, StoredBody::Absent).unwrap_err(),
            Finding::Missing { position: 1 }
        );

        let mut swapped = Verifier::default();
        for (position, from) in [(0, 0), (1, 2), (2, 1)] {
            swapped
                .take(
                    position,
                    &entries[from].0,
                    StoredBody::Sealed(&entries[from].2, &keys[from]),
                )
                .unwrap();
        }
        assert!(matches!(swapped.finish(3, &head.root())[..], [Finding::Root { .. }]));
        assert_eq!(
            swapped.finish(4, &head.root()),
            [Finding::Size { actual: 3, expected: 4 }]
        );
    }

    /// A ledger of three bodies and an erasure of `erased`, of which `gone` are really gone.
    fn after_erasure(erased: &[u64], gone: &[u64], is_done: bool) -> Vec<Finding> {
        after_erasure_of(ErasureScope::Item, erased, gone, is_done.then_some(2))
    }

    /// The same; if it is done, with so many bodies that it says are gone.
    fn after_erasure_of(scope: ErasureScope, erased: &[u64], gone: &[u64], done: Option<u64>) -> Vec<Finding> {
        let segment = SegmentKey::new([5; 32]);
        let key = |index: u64| segment.body_key(u16::try_from(index).unwrap()).unwrap();
        let mut verifier = Verifier::default();
        for position in 0..3 {
            let (entry, _, sealed) = recorded("maria", &key(position));
            let body = match gone.contains(&position) {
                true => StoredBody::Locked,
                false => StoredBody::Sealed(&sealed, &key(position)),
            };
            verifier.take(position, &entry, body).unwrap();
        }
        let plan = ErasurePlan {
            selector: "the item 7".to_owned(),
            paths: Vec::new(),
            positions: erased.iter().copied().collect(),
        };
        let stages = [ErasureStage::Intent, ErasureStage::Done];
        for (position, stage) in (3..).zip(stages.into_iter().take(1 + usize::from(done.is_some()))) {
            let body = Body {
                raw: Some(plan.to_json()),
                ..Body::default()
            };
            let (entry, _, sealed) = record(&body, &key(position), |commitment| Entry {
                ledger: LedgerName::parse("main").unwrap(),
                kind: EntryKind::Erasure(crate::Order {
                    commitment,
                    id: "e1".to_owned(),
                    scope,
                    stage,
                    item: None,
                    bodies: done.filter(|_| stage == ErasureStage::Done),
                    time: jiff::Timestamp::UNIX_EPOCH,
                }),
            })
            .unwrap();
            verifier
                .take(position, &entry, StoredBody::Sealed(&sealed, &key(position)))
                .unwrap();
        }
        verifier.finish(verifier.size(), &verifier.frontier().root())
    }

    #[test]
    fn a_body_may_be_gone_only_where_an_erasure_says_so() {
        assert_eq!(after_erasure(&[0, 2], &[0, 2], true), []);
        assert_eq!(after_erasure(&[0, 2], &[0], false), []);
        assert!(matches!(
            after_erasure(&[0], &[0, 1], true)[..],
            [Finding::BodyMissing { position: 1, .. }]
        ));
        assert!(matches!(
            after_erasure(&[0, 2], &[0], true)[..],
            [Finding::NotErased { position: 2, .. }]
        ));
    }

    #[test]
    fn retention_may_leave_what_it_does_not_count() {
        let retention = |gone, done| after_erasure_of(ErasureScope::Retention, &[0, 2], gone, Some(done));
        assert_eq!(retention(&[0, 2], 2), []);
        assert_eq!(retention(&[0], 1), []);
        assert!(matches!(
            retention(&[0], 2)[..],
            [Finding::NotErased { position: 2, .. }]
        ));
    }

    #[test]
    fn an_erasure_that_was_ordered_since_covers_what_it_is_about() {
        let key = SegmentKey::new([5; 32]).body_key(0).unwrap();
        let (entry, leaf, _) = recorded("maria", &key);
        let mut head = Frontier::default();
        head.push(leaf);
        for (ordered, findings) in [(0, 0), (1, 1)] {
            let mut verifier = Verifier::default();
            verifier.take(0, &entry, StoredBody::Locked).unwrap();
            verifier.ordered("e1", ErasureScope::Item, Positions::range(ordered, ordered + 1));
            assert_eq!(verifier.finish(1, &head.root()).len(), findings, "{ordered}");
        }
    }
}
