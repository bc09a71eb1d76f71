//! Proofs over the tree: what to look up to make one, and how to check one.
//!
//! A proof is made of the roots of ranges of leaves. Which ranges is arithmetic, done here; their roots come from
//! wherever the tree is stored, as roots of *perfect* subtrees ([`Subtree`]), which never change once they are full.
//!
//! Checking takes bytes from strangers: nothing here panics or works more than the proof is long.

use std::ops::Range;

use super::{Hash, node_hash};

/// A perfect subtree: the leaves from `index * 2^level` on, `2^level` of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Subtree {
    /// Height above the leaves.
    pub level: u8,
    /// Which one of that height, from the left.
    pub index: u64,
}

/// Ranges whose roots prove that the leaf at `index` is in the tree of `size` leaves (RFC 6962, section 2.1.1), from
/// the leaf up.
///
/// # Panics
///
/// `index` is not below `size`.
#[must_use]
pub fn inclusion_ranges(index: u64, size: u64) -> Vec<Range<u64>> {
    assert!(index < size, "a leaf is in its tree");
    let mut ranges = Vec::new();
    let (mut low, mut high) = (0, size);
    while high - low > 1 {
        let middle = low + split(high - low);
        if index < middle {
            ranges.push(middle..high);
            high = middle;
        } else {
            ranges.push(low..middle);
            low = middle;
        }
    }
    ranges.reverse();
    ranges
}

/// Ranges whose roots prove that the tree of `old` leaves is the beginning of that of `new` (RFC 6962, section 2.1.2).
///
/// # Panics
///
/// `old` is above `new`.
#[must_use]
pub fn consistency_ranges(old: u64, new: u64) -> Vec<Range<u64>> {
    assert!(old <= new, "a tree only grows");
    let mut ranges = Vec::new();
    if old == 0 || old == new {
        return ranges;
    }
    let (mut low, mut high, mut is_whole) = (0, new, true);
    // SUBPROOF: walk down to where the old tree ends, and note what lies beside the way.
    while old != high {
        let middle = low + split(high - low);
        if old <= middle {
            ranges.push(middle..high);
            high = middle;
        } else {
            ranges.push(low..middle);
            low = middle;
            is_whole = false;
        }
    }
    if !is_whole {
        ranges.push(low..high);
    }
    ranges.reverse();
    ranges
}

/// Ranges outside `[from, to)`, from left to right: their roots prove the leaves of that range (`formats/bundle.md`).
#[must_use]
pub fn outside_ranges(from: u64, to: u64, size: u64) -> Vec<Range<u64>> {
    let mut ranges = Vec::new();
    let mut waiting: Vec<Range<u64>> = std::iter::once(0..size).filter(|all| !all.is_empty()).collect();
    while let Some(range) = waiting.pop() {
        if range.end <= from || range.start >= to {
            ranges.push(range);
        } else if range.start < from || range.end > to {
            let middle = range.start + split(range.end - range.start);
            waiting.push(middle..range.end);
            waiting.push(range.start..middle);
        }
    }
    ranges
}

/// The perfect subtrees that make up a range of a proof, from left to right.
#[must_use]
pub fn subtrees(range: &Range<u64>) -> Vec<Subtree> {
    let (mut low, mut subtrees) = (range.start, Vec::new());
    while low < range.end {
        let aligned = if low == 0 { u32::MAX } else { low.trailing_zeros() };
        let fitting = (range.end - low).ilog2();
        let level = aligned.min(fitting);
        subtrees.push(Subtree {
            level: u8::try_from(level).expect("below 64"),
            index: low >> level,
        });
        low += 1 << level;
    }
    subtrees
}

/// The root of a range from those of its [`subtrees`], in order.
///
/// # Panics
///
/// There are none.
#[must_use]
pub fn root_of_subtrees(roots: &[Hash]) -> Hash {
    let (last, before) = roots.split_last().expect("a range is not empty");
    before.iter().rfold(*last, |right, left| node_hash(left, &right))
}

/// The root that an inclusion proof leads to. `None` if the proof has not the right length.
#[must_use]
pub fn root_of_inclusion(index: u64, size: u64, leaf: Hash, proof: &[Hash]) -> Option<Hash> {
    if index >= size {
        return None;
    }
    let ranges = inclusion_ranges(index, size);
    if ranges.len() != proof.len() {
        return None;
    }
    let beside = ranges.iter().zip(proof);
    Some(beside.fold(leaf, |root, (range, other)| {
        if range.start > index {
            node_hash(&root, other)
        } else {
            node_hash(other, &root)
        }
    }))
}

/// Whether `proof` shows that the tree with `old_root` is the beginning of the one with `new_root` (RFC 9162,
/// section 2.1.4.2). Trees of the same size are consistent if their roots are the same; every tree begins with nothing.
#[must_use]
pub fn is_consistent(old_size: u64, old_root: &Hash, new_size: u64, new_root: &Hash, proof: &[Hash]) -> bool {
    if old_size > new_size {
        return false;
    }
    if old_size == new_size {
        return proof.is_empty() && old_root == new_root;
    }
    if old_size == 0 {
        return proof.is_empty() && *old_root == super::EMPTY_ROOT;
    }
    let mut hashes = proof.iter();
    let (mut old_node, mut new_node) = (old_size - 1, new_size - 1);
    while old_node & 1 == 1 {
        old_node >>= 1;
        new_node >>= 1;
    }
    let start = if old_size.is_power_of_two() {
        Some(old_root)
    } else {
        hashes.next()
    };
    let Some(start) = start else { return false };
    let (mut old, mut new) = (*start, *start);
    for hash in hashes {
        if new_node == 0 {
            return false;
        }
        if old_node & 1 == 1 || old_node == new_node {
            old = node_hash(hash, &old);
            new = node_hash(hash, &new);
            while old_node & 1 == 0 && old_node != 0 {
                old_node >>= 1;
                new_node >>= 1;
            }
        } else {
            new = node_hash(&new, hash);
        }
        old_node >>= 1;
        new_node >>= 1;
    }
    new_node == 0 && old == *old_root && new == *new_root
}

/// The root over all positions from the leaves of a range and the roots of the [`outside_ranges`], in order. `None` if
/// there are too few or too many of them, or the range is empty or not in the tree.
#[must_use]
pub fn root_of_range(from: u64, leaves: &[Hash], size: u64, outside: &[Hash]) -> Option<Hash> {
    let to = from
        .checked_add(leaves.len() as u64)
        .filter(|to| *to <= size && *to > from)?;
    let mut outside = outside.iter();
    let root = RangeRoot { from, to, leaves }.root(0, size, &mut outside)?;
    outside.next().is_none().then_some(root)
}

struct RangeRoot<'a> {
    from: u64,
    to: u64,
    leaves: &'a [Hash],
}

impl RangeRoot<'_> {
    /// Goes down at most 64 levels.
    fn root(&self, low: u64, high: u64, outside: &mut std::slice::Iter<'_, Hash>) -> Option<Hash> {
        if high <= self.from || low >= self.to {
            return outside.next().copied();
        }
        if high - low == 1 {
            let index = usize::try_from(low - self.from).ok()?;
            return self.leaves.get(index).copied();
        }
        let middle = low + split(high - low);
        let left = self.root(low, middle, outside)?;
        let right = self.root(middle, high, outside)?;
        Some(node_hash(&left, &right))
    }
}

/// The largest power of two below `size`, which is at least 2.
fn split(size: u64) -> u64 {
    1 << (size - 1).ilog2()
}

#[cfg(test)]
mod tests;
