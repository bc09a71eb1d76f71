use proptest::prelude::*;

use super::*;
use crate::tree::{EMPTY_ROOT, leaf_hash};

fn leaves(size: u64) -> Vec<Hash> {
    (0..size).map(|index| leaf_hash(&index.to_be_bytes())).collect()
}

/// The definition of RFC 6962, section 2.1.
fn root(leaves: &[Hash]) -> Hash {
    match leaves {
        [] => EMPTY_ROOT,
        [leaf] => *leaf,
        _ => {
            let middle = usize::try_from(split(leaves.len() as u64)).unwrap();
            node_hash(&root(&leaves[..middle]), &root(&leaves[middle..]))
        }
    }
}

/// The roots of ranges, each put together from perfect subtrees as a stored tree would do it.
fn prove(leaves: &[Hash], ranges: &[Range<u64>]) -> Vec<Hash> {
    let of = |low: u64, high: u64| root(&leaves[usize::try_from(low).unwrap()..usize::try_from(high).unwrap()]);
    let range_root = |range: &Range<u64>| {
        let roots: Vec<Hash> = subtrees(range)
            .iter()
            .map(|subtree| of(subtree.index << subtree.level, (subtree.index + 1) << subtree.level))
            .collect();
        assert_eq!(root_of_subtrees(&roots), of(range.start, range.end));
        root_of_subtrees(&roots)
    };
    ranges.iter().map(range_root).collect()
}

proptest! {
    #[test]
    fn every_leaf_proves_its_inclusion_and_no_other(size in 1_u64..200, index in 0_u64..200, other in 0_u64..200) {
        let (index, other) = (index % size, other % size);
        let leaves = leaves(size);
        let proof = prove(&leaves, &inclusion_ranges(index, size));
        let leaf = leaves[usize::try_from(index).unwrap()];
        prop_assert_eq!(root_of_inclusion(index, size, leaf, &proof), Some(root(&leaves)));
        if other != index {
            prop_assert_ne!(root_of_inclusion(other, size, leaf, &proof), Some(root(&leaves)));
        }
        prop_assert_eq!(root_of_inclusion(size, size, leaf, &proof), None);
        let longer = [&proof[..], &[[0; 32]]].concat();
        prop_assert_eq!(root_of_inclusion(index, size, leaf, &longer), None);
    }

    #[test]
    fn every_tree_proves_to_begin_with_each_smaller_one(
        old in 0_u64..150, more in 0_u64..150, place in any::<usize>(), bits in 1_u8..
    ) {
        let new = old + more;
        let leaves = leaves(new);
        let old_root = root(&leaves[..usize::try_from(old).unwrap()]);
        let new_root = root(&leaves);
        let proof = prove(&leaves, &consistency_ranges(old, new));
        prop_assert!(is_consistent(old, &old_root, new, &new_root, &proof));
        let flip = |hash: &Hash| {
            let mut flipped = *hash;
            flipped[place % 32] ^= bits;
            flipped
        };
        prop_assert!(!is_consistent(old, &flip(&old_root), new, &new_root, &proof));
        if old > 0 {
            prop_assert!(!is_consistent(old, &old_root, new, &flip(&new_root), &proof));
        }
        if !proof.is_empty() {
            let mut changed = proof.clone();
            changed[place % proof.len()] = flip(&proof[place % proof.len()]);
            prop_assert!(!is_consistent(old, &old_root, new, &new_root, &changed));
            prop_assert!(!is_consistent(old, &old_root, new, &new_root, &proof[1..]));
        }
        let longer = [&proof[..], &[[0; 32]]].concat();
        prop_assert!(!is_consistent(old, &old_root, new, &new_root, &longer));
    }

    #[test]
    fn every_range_proves_the_whole_tree(from in 0_u64..200, count in 1_u64..200, more in 0_u64..200) {
        let (to, size) = (from + count, from + count + more);
        let leaves = leaves(size);
        let outside = prove(&leaves, &outside_ranges(from, to, size));
        let inside = &leaves[usize::try_from(from).unwrap()..usize::try_from(to).unwrap()];
        prop_assert_eq!(root_of_range(from, inside, size, &outside), Some(root(&leaves)));
        let longer = [&outside[..], &[[0; 32]]].concat();
        prop_assert_eq!(root_of_range(from, inside, size, &longer), None);
        if !outside.is_empty() {
            prop_assert_eq!(root_of_range(from, inside, size, &outside[1..]), None);
        }
        prop_assert_eq!(root_of_range(from, &[], size, &outside), None);
    }

    #[test]
    fn proofs_from_strangers_never_panic(
        index in any::<u64>(), size in any::<u64>(), proof in prop::collection::vec(any::<[u8; 32]>(), 0..70)
    ) {
        let _ = root_of_inclusion(index, size, [0; 32], &proof);
        let _ = is_consistent(index, &[0; 32], size, &[1; 32], &proof);
        let _ = root_of_range(index, &proof, size, &proof);
    }
}
