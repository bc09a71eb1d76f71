//! Files that somebody changed, by the thousand: at random, from a seed, and with everything made again that fits.
//!
//! | family | changed | made again |
//! | --- | --- | --- |
//! | flips, ends | any byte of the file | nothing |
//! | members | bytes and pieces of JSON in one member | sizes and hashes |
//! | lies | entries, disclosures, rows, the range, the tree | also root, signature and proof; mostly rows |
//! | accounts | batches and gaps of two shards | everything |
//! | entries | members of an entry, and what they say | everything |
//! | disclosures | paths and values | everything, also the commitment |
//! | checkpoints | lines of the text, signature lines | sizes and hashes, mostly the signature |
//! | proofs | all of this in a `.tlog-proof` | the tree |
//!
//! What is changed is often only a little: most of these files prove but for one thing, and some prove.

mod accounts;
mod checkpoints;
mod disclosures;
mod entries;
mod lies;
mod proofs;
mod trust;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde_json::{Map, Value, json};
use weir_evidence::{
    Cosigner, Disclosure, Note, SigningKey, consistency_ranges, inclusion_ranges, leaf_hash, node_hash,
};

use self::accounts::*;
use self::checkpoints::*;
use self::disclosures::*;
use self::entries::*;
use self::lies::*;
use self::proofs::*;
use self::trust::*;
use crate::fixture::*;

/// Files that are held against one policy, and perhaps one earlier checkpoint.
pub(crate) struct Run {
    pub(crate) name: String,
    pub(crate) trust: Trust,
    pub(crate) since: Option<Vec<u8>>,
    pub(crate) files: Vec<(String, Vec<u8>)>,
}

/// Whom the auditor trusts.
pub(crate) enum Trust {
    Key(String),
    Policy(Vec<u8>),
}

/// Everything that is compared.
pub(crate) fn runs(seed: u64) -> Vec<Run> {
    let mut random = Random(seed);
    let vkey = || Trust::Key(key().verifier_key().to_string());
    let mut runs = vec![
        run("key", vkey(), None, &mut random, FAMILIES),
        run(
            "quorum",
            quorum(),
            None,
            &mut random,
            &[("witnessed", 150, witnessed), ("proof", 20, proof)],
        ),
    ];
    let few: &[Family] = &[("lie", 6, lie), ("proof", 6, proof), ("bundle", 1, |_| bundle())];
    for (index, trust) in other_keys().into_iter().enumerate() {
        runs.push(run(&format!("key-{index}"), trust, None, &mut random, few));
    }
    for index in 0..24 {
        let policy = Trust::Policy(policy_file(&mut random));
        runs.push(run(
            &format!("policy-{index}"),
            policy,
            None,
            &mut random,
            &[("witnessed", 4, witnessed)],
        ));
    }
    for index in 0..24 {
        let (since, size) = earlier(&mut random, index);
        let mut run = run(&format!("since-{index}"), vkey(), Some(since), &mut random, few);
        for number in 0..12 {
            let file = made_for(&mut random, size);
            run.files.push((format!("continued-{number:03}"), file));
        }
        runs.push(run);
    }
    runs
}

type Family = (&'static str, usize, fn(&mut Random) -> Vec<u8>);

const FAMILIES: &[Family] = &[
    ("flip", 400, flip),
    ("end", 60, end),
    ("member", 500, member),
    ("lie", 600, lie),
    ("account", 400, accounts),
    ("entry", 500, entries),
    ("disclosure", 400, disclosures),
    ("checkpoint", 250, checkpoints),
    ("proof", 500, proof),
];

fn run(name: &str, trust: Trust, since: Option<Vec<u8>>, random: &mut Random, families: &[Family]) -> Run {
    let mut files = Vec::new();
    for (family, count, make) in families {
        files.extend((0..*count).map(|number| (format!("{family}-{number:03}"), make(random))));
    }
    let name = name.to_owned();
    Run {
        name,
        trust,
        since,
        files,
    }
}

/// `SplitMix64`: as good as it has to be, and the same everywhere.
pub(crate) struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }

    fn below(&mut self, bound: usize) -> usize {
        usize::try_from(self.next() % bound as u64).unwrap()
    }

    /// Once in that many times.
    fn once_in(&mut self, times: usize) -> bool {
        self.below(times) == 0
    }

    fn pick<'a, T: ?Sized>(&mut self, from: &[&'a T]) -> &'a T {
        from[self.below(from.len())]
    }
}

/// Some range of the history.
fn draft(random: &mut Random) -> Draft {
    let history = history();
    if random.once_in(2) {
        return Draft::of_history();
    }
    let from = random.below(history.len());
    let to = from + 1 + random.below(history.len() - from);
    Draft::of(&history, from..to)
}

fn bundle() -> Vec<u8> {
    Draft::of_history().seal().to_bytes()
}

fn flip(random: &mut Random) -> Vec<u8> {
    let mut bundle = draft(random).seal().to_bytes();
    let at = random.below(bundle.len());
    bundle[at] ^= 1 << random.below(8);
    bundle
}

fn end(random: &mut Random) -> Vec<u8> {
    let mut bundle = bundle();
    match random.below(5) {
        0 => bundle.truncate(random.below(600)),
        1 => bundle.truncate(random.below(bundle.len())),
        2 => bundle.extend(vec![0; 1 + random.below(1024)]),
        3 => drop(bundle.drain(..1 + random.below(600))),
        _ => {
            // Another name, and the checksum that fits it.
            let name = [
                &b"weir-bundle-v2/bundle.json"[..],
                b"x",
                b"",
                b"weir-bundle-v1/bundle.jso",
            ][random.below(4)];
            bundle[..100].fill(0);
            bundle[..name.len()].copy_from_slice(name);
            if !random.once_in(4) {
                bundle[148..156].fill(b' ');
                let sum: u32 = bundle[..512].iter().map(|byte| u32::from(*byte)).sum();
                bundle[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
            }
        }
    }
    bundle
}
