//! Body keys: one per body, free to make, possible to destroy one by one.
//!
//! A segment of 65,536 keys hangs under one random root. A key is a leaf of a binary tree of hashes below it (the GGM
//! construction, Goldreich, Goldwasser, Micali 1986): each step down hashes a node with the bit of the way. So the
//! append derives keys without storing any, and destroying one key means to replace the root by the at most 16 nodes
//! beside the path to it: from those the destroyed leaf cannot be computed.
//!
//! What is stored is a list of nodes. In a fresh segment it is the root alone.

use sha2::{Digest as _, Sha256};
use zeroize::Zeroizing;

/// Keys of one segment. Key number `n` is key `n mod 65,536` of segment `n / 65,536`.
pub const BODY_KEYS_PER_SEGMENT: u64 = 1 << DEPTH;

/// Steps from the root to a key.
const DEPTH: u8 = 16;

/// Stored bytes of a node: depth, way from the root, secret.
const NODE_BYTES: usize = 1 + 2 + 32;

/// The key of one body: seals it, and makes the salts of its commitment.
pub struct BodyKey {
    #[cfg_attr(
        not(any(feature = "seal", test)),
        expect(dead_code, reason = "only sealing takes it")
    )]
    pub(crate) seal: Zeroizing<[u8; 32]>,
    pub(crate) salt: Zeroizing<[u8; 32]>,
}

/// What is left of the keys of one segment.
pub struct SegmentKey {
    nodes: Vec<Node>,
}

/// The root of a subtree of keys that still exist.
struct Node {
    depth: u8,
    /// The way from the segment's root, in the low `depth` bits.
    way: u16,
    secret: Zeroizing<[u8; 32]>,
}

/// Stored bytes are not a segment key.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{bytes} bytes are not the nodes of a segment key")]
pub struct SegmentKeyError {
    /// How many there were.
    pub bytes: usize,
}

impl SegmentKey {
    /// A fresh segment from a random root.
    #[must_use]
    pub fn new(root: [u8; 32]) -> Self {
        Self {
            nodes: vec![Node {
                depth: 0,
                way: 0,
                secret: Zeroizing::new(root),
            }],
        }
    }

    /// The key at `index` (0 to 65,535), or `None` if it was destroyed.
    #[must_use]
    pub fn body_key(&self, index: u16) -> Option<BodyKey> {
        let node = self.nodes.iter().find(|node| node.covers(index))?;
        let mut secret = node.secret.clone();
        for depth in node.depth..DEPTH {
            let bit = (index >> (DEPTH - 1 - depth)) & 1;
            secret = child(&secret, bit == 1);
        }
        Some(BodyKey {
            seal: expand(&secret, b"weir/body-seal/v1"),
            salt: expand(&secret, b"weir/body-salt/v1"),
        })
    }

    /// Destroys the key at `index`: from what is left, nothing leads back to it. Says whether it was still there.
    ///
    /// Whatever else holds the nodes of before has to be destroyed too: stored rows, back-ups, memory.
    pub fn destroy(&mut self, index: u16) -> bool {
        let Some(found) = self.nodes.iter().position(|node| node.covers(index)) else {
            return false;
        };
        let Node { depth, way, mut secret } = self.nodes.swap_remove(found);
        let mut way = u32::from(way);
        for depth in depth..DEPTH {
            let right = (index >> (DEPTH - 1 - depth)) & 1 == 1;
            self.nodes.push(Node {
                depth: depth + 1,
                way: u16::try_from(way << 1 | u32::from(!right)).expect("a way has at most 16 bits"),
                secret: child(&secret, !right),
            });
            way = way << 1 | u32::from(right);
            secret = child(&secret, right);
        }
        true
    }

    /// Whether no key is left.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.nodes.is_empty()
    }

    /// The nodes, for sealing and storage.
    #[must_use]
    pub fn to_bytes(&self) -> Zeroizing<Vec<u8>> {
        let mut bytes = Zeroizing::new(Vec::with_capacity(self.nodes.len() * NODE_BYTES));
        for node in &self.nodes {
            bytes.push(node.depth);
            bytes.extend_from_slice(&node.way.to_be_bytes());
            bytes.extend_from_slice(&*node.secret);
        }
        bytes
    }

    /// Reads what [`Self::to_bytes`] wrote.
    ///
    /// # Errors
    ///
    /// The bytes are not whole nodes, or a node lies deeper than a key.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, SegmentKeyError> {
        let error = SegmentKeyError { bytes: bytes.len() };
        let (chunks, rest) = bytes.as_chunks::<NODE_BYTES>();
        if !rest.is_empty() {
            return Err(error);
        }
        let node = |chunk: &[u8; NODE_BYTES]| {
            let [depth, way_high, way_low, secret @ ..] = chunk;
            let node = Node {
                depth: *depth,
                way: u16::from_be_bytes([*way_high, *way_low]),
                secret: Zeroizing::new(*secret),
            };
            (node.depth <= DEPTH).then_some(node)
        };
        chunks
            .iter()
            .map(node)
            .collect::<Option<_>>()
            .map(|nodes| Self { nodes })
            .ok_or(error)
    }
}

impl Node {
    fn covers(&self, index: u16) -> bool {
        u32::from(index) >> (DEPTH - self.depth) == u32::from(self.way)
    }
}

fn child(secret: &[u8; 32], right: bool) -> Zeroizing<[u8; 32]> {
    let hash = Sha256::new_with_prefix([u8::from(right)])
        .chain_update(b"weir/body-key/v1")
        .chain_update(secret);
    Zeroizing::new(hash.finalize().into())
}

fn expand(secret: &[u8; 32], label: &[u8]) -> Zeroizing<[u8; 32]> {
    Zeroizing::new(Sha256::new_with_prefix(label).chain_update(secret).finalize().into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::HashSet;

    #[test]
    fn every_index_has_its_own_key_and_the_same_one_after_storage() {
        let segment = SegmentKey::new([9; 32]);
        let stored = SegmentKey::from_bytes(&segment.to_bytes()).unwrap();
        let mut seen = HashSet::new();
        for index in [0, 1, 2, 255, 256, 32_767, 32_768, 65_535] {
            let key = segment.body_key(index).unwrap();
            assert_eq!(*key.seal, *stored.body_key(index).unwrap().seal);
            assert!(seen.insert(*key.seal) && seen.insert(*key.salt), "{index}");
        }
    }

    #[test]
    fn a_key_whose_node_is_gone_cannot_be_made() {
        let right_half = SegmentKey {
            nodes: vec![Node {
                depth: 1,
                way: 1,
                secret: child(&[9; 32], true),
            }],
        };
        assert!(right_half.body_key(7).is_none());
        let whole = SegmentKey::new([9; 32]);
        assert_eq!(
            *right_half.body_key(40_000).unwrap().seal,
            *whole.body_key(40_000).unwrap().seal
        );
    }

    proptest! {
        #[test]
        fn destroyed_keys_are_gone_and_all_others_are_what_they_were(
            destroyed in prop::collection::btree_set(any::<u16>(), 1..40),
            others in prop::collection::vec(any::<u16>(), 20),
        ) {
            let whole = SegmentKey::new([9; 32]);
            let mut left = SegmentKey::new([9; 32]);
            for index in &destroyed {
                prop_assert!(left.destroy(*index));
                prop_assert!(!left.destroy(*index));
            }
            prop_assert!(left.nodes.len() <= 16 * destroyed.len());
            let stored = SegmentKey::from_bytes(&left.to_bytes()).unwrap();
            for index in destroyed.iter().chain(&others) {
                let key = stored.body_key(*index).map(|key| *key.seal);
                let expected = (!destroyed.contains(index)).then(|| *whole.body_key(*index).unwrap().seal);
                prop_assert_eq!(key, expected);
            }
        }
    }

    /// No node that is left is one on the way to a destroyed key.
    #[test]
    fn nothing_that_is_left_leads_to_a_destroyed_key() {
        let mut left = SegmentKey::new([9; 32]);
        left.destroy(40_000);
        let mut secret = Zeroizing::new([9; 32]);
        for depth in 0..=DEPTH {
            assert!(left.nodes.iter().all(|node| *node.secret != *secret), "depth {depth}");
            if depth < DEPTH {
                secret = child(&secret, (40_000_u16 >> (DEPTH - 1 - depth)) & 1 == 1);
            }
        }
    }

    #[test]
    fn a_segment_of_which_every_key_was_destroyed_is_empty() {
        let mut segment = SegmentKey::new([9; 32]);
        (0..=u16::MAX).for_each(|index| assert!(segment.destroy(index)));
        assert!(segment.is_empty() && segment.to_bytes().is_empty());
    }

    #[test]
    fn bytes_that_are_not_nodes_are_refused() {
        assert!(SegmentKey::from_bytes(&[0; 34]).is_err());
        assert!(SegmentKey::from_bytes(&[17; 35]).is_err());
    }
}
