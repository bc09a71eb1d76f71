//! The stored tree: its tiles, the edge that appends need, and the hashes that proofs are made of.
//!
//! Full tiles stand in the table `tile`. What is not full is worked out: from the entries for level 0, from the full tiles
//! below for the others.

use std::collections::BTreeMap;
use std::ops::Range;

use sqlx::PgConnection;
use weir_evidence::{Frontier, Hash, TILE_WIDTH, Tile, TileEdge, TileId, leaf_hash, root_of_subtrees, subtrees};

use crate::{Ledger, in_time};

/// Why a tree cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum TreeError {
    /// Stored tiles or entries are missing.
    #[error("tile {level}/{index} of the tree cannot be made: stored entries or tiles are missing")]
    Incomplete {
        /// Level of the tile.
        level: u8,
        /// Which one of that level.
        index: u64,
    },
    /// Postgres failed.
    #[error("could not read the tree")]
    Database(#[from] sqlx::Error),
}

impl Ledger {
    /// The first `width` hashes of a tile.
    ///
    /// # Errors
    ///
    /// Entries or tiles are missing, or Postgres failed.
    pub async fn tile(&self, id: TileId, width: usize) -> Result<Vec<Hash>, TreeError> {
        in_time(async {
            let mut conn = self.shared.pool.acquire().await?;
            self.tile_hashes(&mut conn, id, 0..width).await
        })
        .await
    }

    /// The roots of ranges of leaves that a proof is made of. All of them lie below the head's size.
    ///
    /// # Errors
    ///
    /// Entries or tiles are missing, or Postgres failed.
    pub async fn roots(&self, size: u64, ranges: &[Range<u64>]) -> Result<Vec<Hash>, TreeError> {
        let mut conn = self.shared.pool.acquire().await?;
        let mut tiles: BTreeMap<TileId, Vec<Hash>> = BTreeMap::new();
        let mut roots = Vec::with_capacity(ranges.len());
        for range in ranges {
            let mut parts = Vec::new();
            for subtree in subtrees(range) {
                let id = TileId::of(subtree);
                if let std::collections::btree_map::Entry::Vacant(vacant) = tiles.entry(id) {
                    vacant.insert(in_time(self.tile_hashes(&mut conn, id, 0..id.width(size))).await?);
                }
                parts.push(subtree.root_in(&tiles[&id]).ok_or(TreeError::Incomplete {
                    level: id.level,
                    index: id.index,
                })?);
            }
            roots.push(root_of_subtrees(&parts));
        }
        Ok(roots)
    }

    /// The tree's edge under a locked head. What is `known` of an earlier edge is not read again. `None` if what is stored
    /// is not the tree that the head stands for: recording goes on without tiles then, and nothing more is signed.
    pub(crate) async fn edge_at(
        &self,
        conn: &mut PgConnection,
        frontier: &Frontier,
        known: Option<TileEdge>,
    ) -> sqlx::Result<Option<TileEdge>> {
        let known = known.filter(|known| known.size() <= frontier.size());
        if let Some(known) = known {
            if known.size() == frontier.size() && known.frontier() == *frontier {
                return Ok(Some(known));
            }
            if let Ok(edge) = self.read_edge(conn, frontier.size(), Some(&known)).await
                && edge.frontier() == *frontier
            {
                return Ok(Some(edge));
            }
        }
        match self.read_edge(conn, frontier.size(), None).await {
            Ok(edge) if edge.frontier() == *frontier => Ok(Some(edge)),
            Err(TreeError::Database(error)) => Err(error),
            Ok(_) | Err(TreeError::Incomplete { .. }) => {
                tracing::error!("the stored tree is not the one that the head stands for; `weir verify` tells more");
                Ok(None)
            }
        }
    }

    pub(crate) async fn read_edge(
        &self,
        conn: &mut PgConnection,
        size: u64,
        known: Option<&TileEdge>,
    ) -> Result<TileEdge, TreeError> {
        let mut levels = Vec::new();
        for (level, width) in (0_u8..).zip(TileEdge::widths(size)) {
            let index = size >> (8 * (u32::from(level) + 1));
            let known = known.filter(|known| known.size() >> (8 * (u32::from(level) + 1)) == index);
            let mut hashes = known.map_or_else(Vec::new, |known| known.partial(level).to_vec());
            let missing = hashes.len()..width;
            hashes.extend(self.tile_hashes(conn, TileId { level, index }, missing).await?);
            levels.push(hashes);
        }
        Ok(TileEdge::new(size, levels).expect("each level was filled to its width"))
    }

    /// Some of the hashes of a tile, which may not be full.
    async fn tile_hashes(
        &self,
        conn: &mut PgConnection,
        id: TileId,
        wanted: Range<usize>,
    ) -> Result<Vec<Hash>, TreeError> {
        if wanted.is_empty() {
            return Ok(Vec::new());
        }
        let stored = sqlx::query_scalar!(
            "select hashes from tile where ledger_id = $1 and level = $2 and index = $3",
            self.shared.id,
            i16::from(id.level),
            id.index.cast_signed(),
        )
        .fetch_optional(&mut *conn)
        .await?;
        if let Some(stored) = stored {
            return Ok(stored.as_chunks::<32>().0.get(wanted).unwrap_or_default().to_vec());
        }
        let first = id.index * TILE_WIDTH as u64;
        let below = (first + wanted.start as u64).cast_signed()..(first + wanted.end as u64).cast_signed();
        let hashes: Vec<Hash> = if id.level == 0 {
            let entries = sqlx::query_scalar!(
                "select entry from entry where ledger_id = $1 and position >= $2 and position < $3 order by position",
                self.shared.id,
                below.start,
                below.end,
            )
            .fetch_all(conn)
            .await?;
            entries.iter().map(|entry| leaf_hash(entry)).collect()
        } else {
            let tiles = sqlx::query!(
                "
                select index, hashes
                from tile
                where ledger_id = $1 and level = $2 and index >= $3 and index < $4
                order by index
                ",
                self.shared.id,
                i16::from(id.level - 1),
                below.start,
                below.end,
            )
            .fetch_all(conn)
            .await?;
            tiles
                .into_iter()
                .map(|tile| tile_of(id.level - 1, tile.index, &tile.hashes).root())
                .collect()
        };
        if hashes.len() != wanted.len() {
            return Err(TreeError::Incomplete {
                level: id.level,
                index: id.index,
            });
        }
        Ok(hashes)
    }
}

fn tile_of(level: u8, index: i64, hashes: &[u8]) -> Tile {
    Tile {
        id: TileId {
            level,
            index: index.cast_unsigned(),
        },
        hashes: hashes.as_chunks::<32>().0.to_vec(),
    }
}
