//! Trees, proofs, tiles and checkpoints beside implementations that we did not write.
//!
//! | what | whose |
//! | --- | --- |
//! | roots, inclusion and consistency proofs, both ways | `tlog_tiles` (a port of Go's sumdb), `ct-merkle` |
//! | tiles, read and authenticated | `tlog_tiles` |
//! | checkpoints and their signatures, both ways | `tlog_tiles`, `signed_note` |
//! | published proofs | the reference vectors of certificate transparency |

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::collections::BTreeMap;
use std::ops::Range;

use ct_merkle::mem_backed_tree::MemoryBackedTree;
use ct_merkle::{ConsistencyProof, InclusionProof, RootHash};
use proptest::prelude::*;
use sha2::Sha256;
use signed_note::{StandardVerifier, VerifierList};
use tlog_tiles::{HashReader, TileHashReader, TileReader};
use weir_evidence::{
    Checkpoint, Frontier, Hash, Policy, SignedCheckpoint, SigningKey, TILE_HEIGHT, TILE_WIDTH, TileEdge, TileId,
    VerifierKey, consistency_ranges, inclusion_ranges, is_consistent, leaf_hash, root_of_inclusion, root_of_subtrees,
    subtrees,
};

/// A log in tiles, as the ledger stores it.
struct Tiles {
    edge: TileEdge,
    full: BTreeMap<TileId, Vec<Hash>>,
}

/// The same log as `tlog_tiles` stores it.
struct Stored(Vec<tlog_tiles::Hash>);

fn entry(index: u64) -> Vec<u8> {
    format!("entry {index}").into_bytes()
}

impl Tiles {
    fn of(size: u64) -> Self {
        let (mut edge, mut full) = (TileEdge::default(), BTreeMap::new());
        for index in 0..size {
            edge.push(leaf_hash(&entry(index)), |tile| {
                full.insert(tile.id, tile.hashes);
            });
        }
        Self { edge, full }
    }

    fn tile(&self, id: TileId) -> &[Hash] {
        self.full
            .get(&id)
            .map_or_else(|| self.edge.partial(id.level), Vec::as_slice)
    }

    fn root_of(&self, range: &Range<u64>) -> Hash {
        let roots: Vec<Hash> = subtrees(range)
            .into_iter()
            .map(|subtree| subtree.root_in(self.tile(TileId::of(subtree))).unwrap())
            .collect();
        root_of_subtrees(&roots)
    }

    fn proof(&self, ranges: &[Range<u64>]) -> Vec<Hash> {
        ranges.iter().map(|range| self.root_of(range)).collect()
    }
}

impl TileReader for Tiles {
    fn height(&self) -> u8 {
        TILE_HEIGHT
    }

    fn read_tiles(&self, tiles: &[tlog_tiles::Tile]) -> Result<Vec<Vec<u8>>, tlog_tiles::Error> {
        let read = |tile: &tlog_tiles::Tile| {
            let id = TileId {
                level: tile.level(),
                index: tile.level_index(),
            };
            let width = usize::try_from(tile.width()).unwrap();
            self.tile(id)[..width].concat()
        };
        Ok(tiles.iter().map(read).collect())
    }

    fn save_tiles(&self, _: &[tlog_tiles::Tile], _: &[Vec<u8>]) {}
}

impl Stored {
    fn of(size: u64) -> Self {
        let mut stored = Self(Vec::new());
        for index in 0..size {
            let more = tlog_tiles::stored_hashes(index, &entry(index), &stored).unwrap();
            stored.0.extend(more);
        }
        stored
    }
}

impl HashReader for Stored {
    fn read_hashes(&self, indexes: &[u64]) -> Result<Vec<tlog_tiles::Hash>, tlog_tiles::Error> {
        let read = |index: &u64| self.0[usize::try_from(*index).unwrap()];
        Ok(indexes.iter().map(read).collect())
    }
}

fn ours(proof: &[tlog_tiles::Hash]) -> Vec<Hash> {
    proof.iter().map(|hash| hash.0).collect()
}

fn theirs(proof: &[Hash]) -> Vec<tlog_tiles::Hash> {
    proof.iter().map(|hash| tlog_tiles::Hash(*hash)).collect()
}

fn root(size: u64) -> Hash {
    let mut frontier = Frontier::default();
    (0..size).for_each(|index| frontier.push(leaf_hash(&entry(index))));
    frontier.root()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn proofs_of_a_go_port_are_ours_and_it_takes_ours(size in 1_u64..1500, index in any::<u64>(), old in any::<u64>()) {
        let (index, old) = (index % size, 1 + old % size);
        let (tiles, stored) = (Tiles::of(size), Stored::of(size));
        let (head, old_head) = (root(size), root(old));
        prop_assert_eq!(tlog_tiles::tree_hash(size, &stored).unwrap().0, head);

        let inclusion = tiles.proof(&inclusion_ranges(index, size));
        let their_inclusion = tlog_tiles::prove_record(size, index, &stored).unwrap();
        prop_assert_eq!(&ours(&their_inclusion), &inclusion);
        prop_assert_eq!(root_of_inclusion(index, size, leaf_hash(&entry(index)), &ours(&their_inclusion)), Some(head));
        let leaf = tlog_tiles::record_hash(&entry(index));
        let head_of_theirs = tlog_tiles::Hash(head);
        prop_assert!(tlog_tiles::check_record(&theirs(&inclusion), size, head_of_theirs, index, leaf).is_ok());

        let consistency = tiles.proof(&consistency_ranges(old, size));
        let their_consistency = tlog_tiles::prove_tree(size, old, &stored).unwrap();
        prop_assert_eq!(&ours(&their_consistency), &consistency);
        prop_assert!(is_consistent(old, &old_head, size, &head, &ours(&their_consistency)));
        let old_of_theirs = tlog_tiles::Hash(old_head);
        prop_assert!(tlog_tiles::check_tree(&theirs(&consistency), size, head_of_theirs, old, old_of_theirs).is_ok());
    }

    #[test]
    fn what_one_refuses_the_other_refuses(
        size in 1_u64..300, index in any::<u64>(), old in any::<u64>(), at in any::<prop::sample::Index>(), how in 0..4,
    ) {
        let (index, old) = (index % size, 1 + old % size);
        let (tiles, head, old_head) = (Tiles::of(size), root(size), root(old));
        let spoil = |mut proof: Vec<Hash>| {
            match how {
                0 => proof.insert(at.index(proof.len() + 1), [1; 32]),
                1 => drop(proof.pop()),
                2 if !proof.is_empty() => {
                    let at = at.index(proof.len());
                    proof[at][0] ^= 1;
                }
                _ => proof.reverse(),
            }
            proof
        };
        let inclusion = spoil(tiles.proof(&inclusion_ranges(index, size)));
        let leaf = leaf_hash(&entry(index));
        let they_take = tlog_tiles::check_record(
            &theirs(&inclusion), size, tlog_tiles::Hash(head), index, tlog_tiles::Hash(leaf),
        );
        prop_assert_eq!(root_of_inclusion(index, size, leaf, &inclusion) == Some(head), they_take.is_ok());

        let consistency = spoil(tiles.proof(&consistency_ranges(old, size)));
        let they_take = tlog_tiles::check_tree(
            &theirs(&consistency), size, tlog_tiles::Hash(head), old, tlog_tiles::Hash(old_head),
        );
        prop_assert_eq!(is_consistent(old, &old_head, size, &head, &consistency), they_take.is_ok());
    }

    #[test]
    fn proofs_of_ct_merkle_are_ours_and_it_takes_ours(size in 1_u64..400, index in any::<u64>(), old in any::<u64>()) {
        let (index, old) = (index % size, 1 + old % size);
        let tiles = Tiles::of(size);
        let mut tree = MemoryBackedTree::<Sha256, Vec<u8>>::new();
        (0..size).for_each(|index| tree.push(entry(index)));
        let head = root(size);
        let their_head = tree.root();
        prop_assert_eq!(their_head.as_bytes().as_slice(), head);

        let inclusion = tiles.proof(&inclusion_ranges(index, size)).concat();
        let their_inclusion = tree.prove_inclusion(usize::try_from(index).unwrap());
        prop_assert_eq!(their_inclusion.as_bytes(), &inclusion);
        let inclusion = InclusionProof::<Sha256>::try_from_bytes(inclusion).unwrap();
        prop_assert!(their_head.verify_inclusion(&entry(index), index, &inclusion).is_ok());

        let consistency = tiles.proof(&consistency_ranges(old, size)).concat();
        let their_consistency = tree.prove_consistency(usize::try_from(size - old).unwrap());
        prop_assert_eq!(their_consistency.as_bytes(), &consistency);
        let consistency = ConsistencyProof::<Sha256>::try_from_bytes(consistency).unwrap();
        let old_head = RootHash::<Sha256>::new(root(old).into(), old);
        prop_assert!(their_head.verify_consistency(&old_head, &consistency).is_ok());
    }

    /// Their reader checks every tile that it reads against the root.
    #[test]
    fn tiles_are_read_and_authenticated_by_a_go_port(size in 1_u64..70_000, index in any::<u64>(), old in any::<u64>()) {
        let (index, old) = (index % size, 1 + old % size);
        let tiles = Tiles::of(size);
        let head = tlog_tiles::Hash(tiles.edge.frontier().root());
        let reader = TileHashReader::new(size, head, &tiles);
        let inclusion = tlog_tiles::prove_record(size, index, &reader).unwrap();
        prop_assert_eq!(ours(&inclusion), tiles.proof(&inclusion_ranges(index, size)));
        let consistency = tlog_tiles::prove_tree(size, old, &reader).unwrap();
        prop_assert_eq!(ours(&consistency), tiles.proof(&consistency_ranges(old, size)));
        for tile in tlog_tiles::Tile::new_tiles(TILE_HEIGHT, 0, size) {
            let id = TileId { level: tile.level(), index: tile.level_index() };
            prop_assert_eq!(id.width(size), usize::try_from(tile.width()).unwrap());
            prop_assert_eq!(tiles.tile(id).len(), id.width(size));
        }
        prop_assert!(tiles.full.values().all(|hashes| hashes.len() == TILE_WIDTH));
    }

    #[test]
    fn checkpoints_are_read_and_verified_by_others_and_theirs_by_us(
        origin in "[a-z.]{1,12}(/[a-z]{1,5})?", size in any::<u64>(), root in any::<[u8; 32]>(), seed in any::<[u8; 32]>(),
        flipped in any::<prop::sample::Index>(),
    ) {
        let key = SigningKey::new(origin.clone(), &seed).unwrap();
        let checkpoint = Checkpoint { origin: origin.clone(), size, root };
        let signed = checkpoint.sign(std::slice::from_ref(&key)).unwrap().to_string();

        let known = || -> VerifierList {
            let vkey = key.verifier_key().to_string();
            VerifierList::new(vec![Box::new(StandardVerifier::new(&vkey).unwrap())])
        };
        let note = signed_note::Note::from_bytes(signed.as_bytes()).unwrap();
        let (verified, unverified) = note.verify(&known()).unwrap();
        prop_assert_eq!((verified.len(), unverified.len()), (1, 0));
        prop_assert_eq!(note.to_bytes(), signed.as_bytes());
        let parsed = tlog_tiles::Checkpoint::from_bytes(note.text()).unwrap();
        prop_assert_eq!((parsed.origin(), parsed.size(), parsed.hash().0), (&*origin, size, root));
        prop_assert_eq!(parsed.to_bytes(), note.text());

        // One flipped bit, and neither takes it.
        let mut bytes = signed.into_bytes();
        let at = flipped.index(bytes.len());
        bytes[at] ^= 1;
        let they_take = signed_note::Note::from_bytes(&bytes).is_ok_and(|note| note.verify(&known()).is_ok());
        let policy = Policy::from_key(key.verifier_key()).unwrap();
        let we_take = SignedCheckpoint::parse(&bytes).is_ok_and(|signed| policy.check(signed.note()).is_ok());
        prop_assert!(!they_take && !we_take, "byte {}", at);
    }
}

/// The vkey and note of `signed_note`'s documentation, which are those of Go's `golang.org/x/mod/sumdb/note`.
#[test]
fn the_note_that_go_published_verifies() {
    let vkey = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW";
    let note = "If you think cryptography is the answer to your problem,\n\
        then you don't know what your problem is.\n\n\
        — PeterNeumann x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM=\n";
    let key = VerifierKey::parse(vkey).unwrap();
    let parsed = weir_evidence::Note::parse(note.as_bytes()).unwrap();
    assert_eq!(parsed.check_signature(&key), weir_evidence::SignatureCheck::Valid);
}

/// Leaves, inclusion proofs and consistency proofs of the reference test of certificate transparency
/// (`transparency-dev/merkle`, `testonly/reference_test.go`).
#[test]
fn the_published_proofs_of_certificate_transparency_are_ours() {
    const LEAVES: [&str; 8] = [
        "",
        "00",
        "10",
        "2021",
        "3031",
        "40414243",
        "5051525354555657",
        "606162636465666768696a6b6c6d6e6f",
    ];
    const INCLUSION: [(u64, u64, &[&str]); 7] = [
        (0, 1, &[]),
        (0, 2, &[B]),
        (1, 2, &[A]),
        (
            2,
            3,
            &["fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125"],
        ),
        (1, 5, &[A, C, E]),
        (
            0,
            8,
            &[B, C, "6b47aaf29ee3c2af9af889bc1fb9254dabd31177f16232dd6aab035ca39bf6e4"],
        ),
        (5, 8, &[E, G, D]),
    ];
    const CONSISTENCY: [(u64, u64, &[&str]); 4] = [
        (1, 1, &[]),
        (
            1,
            8,
            &[B, C, "6b47aaf29ee3c2af9af889bc1fb9254dabd31177f16232dd6aab035ca39bf6e4"],
        ),
        (2, 5, &[C, E]),
        (
            6,
            8,
            &["0ebc5d3437fbe2db158b9f126a1d118e308181031d0a949f8dededebc558ef6a", G, D],
        ),
    ];
    const A: &str = "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d";
    const B: &str = "96a296d224f285c67bee93c30f8a309157f0daa35dc5b87e410b78630a09cfc7";
    const C: &str = "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e";
    const D: &str = "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7";
    const E: &str = "bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b";
    const G: &str = "ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0";

    let leaves = LEAVES.map(|leaf| leaf_hash(&hex::decode(leaf).unwrap()));
    let tiles = |size: u64| {
        let mut tiles = Tiles::of(0);
        let leaves = &leaves[..usize::try_from(size).unwrap()];
        leaves.iter().for_each(|leaf| tiles.edge.push(*leaf, |_| ()));
        tiles
    };
    let published = |hashes: &[&str]| -> Vec<Hash> {
        let hash = |hash: &&str| hex::decode(hash).unwrap().try_into().unwrap();
        hashes.iter().map(hash).collect()
    };
    for (index, size, proof) in INCLUSION {
        let tiles = tiles(size);
        assert_eq!(
            tiles.proof(&inclusion_ranges(index, size)),
            published(proof),
            "{index} of {size}"
        );
        let leaf = leaves[usize::try_from(index).unwrap()];
        let root = tiles.edge.frontier().root();
        assert_eq!(root_of_inclusion(index, size, leaf, &published(proof)), Some(root));
    }
    for (old, size, proof) in CONSISTENCY {
        let (old_root, root) = (tiles(old).edge.frontier().root(), tiles(size).edge.frontier().root());
        assert_eq!(
            tiles(size).proof(&consistency_ranges(old, size)),
            published(proof),
            "{old} to {size}"
        );
        assert!(is_consistent(old, &old_root, size, &root, &published(proof)));
    }
}
