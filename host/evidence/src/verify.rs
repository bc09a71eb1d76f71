//! Checks a ledger from its stored bytes: every entry beside its body, and all of them against the head.

use crate::tree::{Frontier, Hash, leaf_hash};
use crate::{BodyKey, Entry, OpenError, SealedBody};

/// Recomputes a ledger's tree, entry by entry in order of position.
#[derive(Default)]
pub struct Verifier {
    frontier: Frontier,
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
    #[error("position {position}: the entry was changed, it is no entry any more")]
    EntryUnreadable {
        /// Where.
        position: u64,
    },
    /// Entry and body are not what was recorded together.
    #[error("position {position}: {error}")]
    Body {
        /// Where.
        position: u64,
        /// What is wrong with the body.
        error: OpenError,
    },
    /// There is nothing to open the body with, or no body.
    #[error("position {position}: {reason}")]
    BodyMissing {
        /// Where.
        position: u64,
        /// What is missing.
        reason: String,
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
    /// Takes the entry at `position` with its body and the key that opens it, or what there is instead of them.
    ///
    /// # Errors
    ///
    /// What is wrong with it. The verifier can go on: later findings are told too.
    pub fn take(
        &mut self,
        position: u64,
        entry: &[u8],
        body: Result<(&SealedBody, &BodyKey), String>,
    ) -> Result<(), Finding> {
        let expected = self.frontier.size();
        if position != expected {
            return Err(Finding::Missing { position: expected });
        }
        let leaf = leaf_hash(entry);
        self.frontier.push(leaf);
        let entry = Entry::decode(entry).map_err(|_| Finding::EntryUnreadable { position })?;
        let (sealed, key) = body.map_err(|reason| Finding::BodyMissing { position, reason })?;
        sealed
            .open(key, &leaf, &entry)
            .map_err(|error| Finding::Body { position, error })?;
        Ok(())
    }

    /// Entries taken so far.
    #[must_use]
    pub fn size(&self) -> u64 {
        self.frontier.size()
    }

    /// Compares what was taken with the head.
    ///
    /// # Errors
    ///
    /// It is not the tree that the head stands for.
    pub fn finish(&self, size: u64, root: &Hash) -> Result<(), Finding> {
        if self.frontier.size() != size {
            return Err(Finding::Size {
                actual: self.frontier.size(),
                expected: size,
            });
        }
        if self.frontier.root() != *root {
            let (actual, expected) = (hex::encode(self.frontier.root()), hex::encode(root));
            return Err(Finding::Root { size, actual, expected });
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Body, EntryKind, GapCause, Loss, SegmentKey, record};
    use weir_model::{LedgerName, ShardId, StreamArn};

    fn recorded(actor: &str, key: &BodyKey) -> (Vec<u8>, Hash, SealedBody) {
        let body = Body {
            actor: Some(actor.to_owned()),
            ..Body::default()
        };
        let entry = |commitment| Entry {
            ledger: LedgerName::parse("main").unwrap(),
            stream: StreamArn::parse("arn").unwrap(),
            shard: ShardId::parse("shard").unwrap(),
            commitment,
            kind: EntryKind::Gap {
                after: None,
                cause: GapCause::Trimmed,
                loss: Loss::Certain,
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

        let verify = |entry: &[u8], sealed: &SealedBody| {
            let mut verifier = Verifier::default();
            verifier.take(0, entry, Ok((sealed, &key)))?;
            verifier.finish(1, &head.root())
        };
        assert_eq!(verify(&entry, &sealed), Ok(()));
        for bit in 0..entry.len() * 8 {
            let mut changed = entry.clone();
            changed[bit / 8] ^= 1 << (bit % 8);
            assert!(matches!(
                verify(&changed, &sealed),
                Err(Finding::Body { position: 0, .. } | Finding::EntryUnreadable { position: 0 })
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
        verifier.take(0, &entries[0].0, Ok((&entries[0].2, &keys[0]))).unwrap();
        assert_eq!(
            verifier.take(2, &entries[2].0, Err(String::new())),
            Err(Finding::Missing { position: 1 })
        );

        let mut swapped = Verifier::default();
        for (position, from) in [(0, 0), (1, 2), (2, 1)] {
            swapped
                .take(position, &entries[from].0, Ok((&entries[from].2, &keys[from])))
                .unwrap();
        }
        assert!(matches!(swapped.finish(3, &head.root()), Err(Finding::Root { .. })));
        assert_eq!(
            swapped.finish(4, &head.root()),
            Err(Finding::Size { actual: 3, expected: 4 })
        );
    }
}
