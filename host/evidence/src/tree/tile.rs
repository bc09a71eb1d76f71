//! Tiles: how the tree is stored and served (C2SP `tlog-tiles`).
//!
//! A tile is 256 hashes beside each other. Tiles of level 0 hold leaf hashes; each hash in a tile of a higher level is
//! the root of a full tile of the level below. A full tile never changes. The partial tiles at the right edge of a tree
//! ([`TileEdge`]) are all that is needed to add leaves and to fill tiles.

use super::proof::Subtree;
use super::{Frontier, Hash, node_hash};

/// Hashes of a full tile.
pub const TILE_WIDTH: usize = 1 << TILE_HEIGHT;

/// Levels of the tree that a tile spans.
pub const TILE_HEIGHT: u8 = 8;

/// Which tile.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TileId {
    /// 0 for tiles of leaf hashes.
    pub level: u8,
    /// Which one of that level, from the left.
    pub index: u64,
}

/// A full tile.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tile {
    /// Which one.
    pub id: TileId,
    /// Its 256 hashes.
    pub hashes: Vec<Hash>,
}

/// The partial tiles at the right edge of a tree, one per level, each with fewer than 256 hashes.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct TileEdge {
    size: u64,
    levels: Vec<Vec<Hash>>,
}

impl TileId {
    /// The tile that the root of a perfect subtree is computed from.
    #[must_use]
    pub fn of(subtree: Subtree) -> Self {
        Self {
            level: subtree.level / TILE_HEIGHT,
            index: subtree.index >> (TILE_HEIGHT - subtree.level % TILE_HEIGHT),
        }
    }

    /// How many hashes this tile has in a tree of `size`; 0 if it is not there.
    #[must_use]
    pub fn width(self, size: u64) -> usize {
        let hashes = size
            .checked_shr(u32::from(self.level) * u32::from(TILE_HEIGHT))
            .unwrap_or(0);
        let before = self.index.saturating_mul(TILE_WIDTH as u64);
        usize::try_from(hashes.saturating_sub(before)).map_or(TILE_WIDTH, |width| width.min(TILE_WIDTH))
    }
}

impl Subtree {
    /// Its root, from the hashes of the tile [`TileId::of`] it. `None` if that tile has too few of them.
    #[must_use]
    pub fn root_in(self, hashes: &[Hash]) -> Option<Hash> {
        let height = self.level % TILE_HEIGHT;
        let first = usize::try_from((self.index << height) % TILE_WIDTH as u64).ok()?;
        Some(perfect_root(hashes.get(first..first + (1 << height))?))
    }
}

impl Tile {
    /// The root of the tree over its hashes.
    #[must_use]
    pub fn root(&self) -> Hash {
        perfect_root(&self.hashes)
    }
}

impl TileEdge {
    /// The edge of a tree of `size`, from its partial tiles, level by level. `None` if they are not as wide as that.
    #[must_use]
    pub fn new(size: u64, levels: Vec<Vec<Hash>>) -> Option<Self> {
        let fits = Self::widths(size).eq(levels.iter().map(Vec::len));
        fits.then_some(Self { size, levels })
    }

    /// How wide the partial tiles of a tree are, level by level. The highest level is not empty, unless the tree is.
    pub fn widths(size: u64) -> impl Iterator<Item = usize> {
        let mut left = size;
        std::iter::from_fn(move || {
            let width = usize::try_from(left % TILE_WIDTH as u64).expect("below 256");
            (left > 0).then(|| {
                left /= TILE_WIDTH as u64;
                width
            })
        })
    }

    /// Number of leaves.
    #[must_use]
    pub fn size(&self) -> u64 {
        self.size
    }

    /// The partial tile of a level; empty if there is none.
    #[must_use]
    pub fn partial(&self, level: u8) -> &[Hash] {
        self.levels.get(usize::from(level)).map_or(&[], Vec::as_slice)
    }

    /// Adds a leaf at the right, and hands over the tiles that it fills.
    pub fn push(&mut self, leaf: Hash, mut filled: impl FnMut(Tile)) {
        self.size += 1;
        let (mut level, mut hash) = (0_u8, leaf);
        loop {
            if self.levels.len() == usize::from(level) {
                self.levels.push(Vec::with_capacity(TILE_WIDTH));
            }
            let hashes = &mut self.levels[usize::from(level)];
            hashes.push(hash);
            if hashes.len() < TILE_WIDTH {
                return;
            }
            let span = u32::from(level + 1) * u32::from(TILE_HEIGHT);
            let tile = Tile {
                id: TileId {
                    level,
                    index: (self.size >> span) - 1,
                },
                hashes: std::mem::replace(hashes, Vec::with_capacity(TILE_WIDTH)),
            };
            hash = tile.root();
            level += 1;
            filled(tile);
        }
    }

    /// The roots of the perfect subtrees of the whole tree.
    #[must_use]
    pub fn frontier(&self) -> Frontier {
        let mut roots = Vec::new();
        for hashes in self.levels.iter().rev() {
            let mut rest = hashes.as_slice();
            while !rest.is_empty() {
                let (perfect, behind) = rest.split_at(1 << rest.len().ilog2());
                roots.push(perfect_root(perfect));
                rest = behind;
            }
        }
        Frontier { size: self.size, roots }
    }
}

fn perfect_root(hashes: &[Hash]) -> Hash {
    if let [hash] = hashes {
        return *hash;
    }
    let mut level: Vec<Hash> = pairs(hashes);
    while level.len() > 1 {
        level = pairs(&level);
    }
    level[0]
}

fn pairs(hashes: &[Hash]) -> Vec<Hash> {
    let (pairs, _) = hashes.as_chunks::<2>();
    pairs.iter().map(|[left, right]| node_hash(left, right)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tree::leaf_hash;
    use proptest::prelude::*;
    use std::collections::BTreeMap;

    fn grow(edge: &mut TileEdge, tiles: &mut BTreeMap<TileId, Vec<Hash>>, to: u64) {
        for index in edge.size()..to {
            edge.push(leaf_hash(&index.to_be_bytes()), |tile| {
                assert!(tiles.insert(tile.id, tile.hashes).is_none());
            });
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(20))]
        #[test]
        fn full_tiles_and_the_edge_hold_the_whole_tree(size in 0_u64..70_000, more in 0_u64..600) {
            let (mut edge, mut tiles) = (TileEdge::default(), BTreeMap::new());
            grow(&mut edge, &mut tiles, size);
            edge = TileEdge::new(size, edge.levels).unwrap();
            grow(&mut edge, &mut tiles, size + more);

            let mut frontier = Frontier::default();
            (0..size + more).for_each(|index: u64| frontier.push(leaf_hash(&index.to_be_bytes())));
            prop_assert_eq!(edge.frontier(), frontier.clone());
            let roots: Vec<Hash> = crate::subtrees(&(0..size + more))
                .into_iter()
                .map(|subtree| {
                    let id = TileId::of(subtree);
                    let hashes = tiles.get(&id).map_or_else(|| edge.partial(id.level), Vec::as_slice);
                    assert_eq!(hashes.len(), id.width(size + more));
                    subtree.root_in(hashes).unwrap()
                })
                .collect();
            prop_assert_eq!(roots, frontier.roots);
        }
    }

    /// The example of tlog-tiles, "Partial Tiles".
    #[test]
    fn a_tree_of_70_000_has_the_tiles_that_the_specification_counts() {
        let (mut edge, mut tiles) = (TileEdge::default(), BTreeMap::new());
        grow(&mut edge, &mut tiles, 70_000);
        let full = |level| tiles.keys().filter(|id| id.level == level).count();
        assert_eq!((full(0), full(1), full(2)), (273, 1, 0));
        assert_eq!(
            (edge.partial(0).len(), edge.partial(1).len(), edge.partial(2).len()),
            (112, 17, 1)
        );
        assert_eq!(TileEdge::widths(256).collect::<Vec<_>>(), [0, 1]);
    }

    #[test]
    fn partial_tiles_of_another_width_are_refused() {
        assert!(TileEdge::new(3, vec![vec![[0; 32]; 2]]).is_none());
        assert!(TileEdge::new(256, vec![vec![]]).is_none());
        assert!(TileEdge::new(0, vec![]).is_some());
    }
}
