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

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde_json::{Map, Value, json};
use weir_evidence::{
    Cosigner, Disclosure, Note, SigningKey, consistency_ranges, inclusion_ranges, leaf_hash, node_hash,
};

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

/// Pieces that JSON, notes and tables are made of.
const PIECES: &[&str] = &[
    "{",
    "}",
    "[",
    "]",
    ":",
    ",",
    "\"",
    "\\",
    "0",
    "1",
    "-",
    ".",
    "e",
    " ",
    "\n",
    "\n\n",
    "\r",
    "\t",
    "é",
    "\u{fb33}",
    "\u{1f600}",
    "null",
    "true",
    "{}",
    "[]",
    "\"\"",
    "\\u0000",
    "\\u001f",
    "\\ud83d\\ude00",
    "\\n",
    "\\/",
    "AAAA",
    "=",
    "00",
    "\u{2014}",
    "\u{85}",
    "\u{7f}",
];

fn member(random: &mut Random) -> Vec<u8> {
    let mut archive = draft(random).seal();
    let member = random.below(7);
    let mut content = archive.contents[member].clone();
    let at = random.below(content.len() + 1);
    match random.below(5) {
        0 if at < content.len() => content[at] ^= 1 << random.below(8),
        1 => drop(content.drain(at..(at + 1 + random.below(20)).min(content.len()))),
        2 => content.truncate(at),
        3 => content = random.pick(PIECES).repeat(random.below(3)).into_bytes(),
        _ => drop(content.splice(at..at, random.pick(PIECES).bytes())),
    }
    archive.contents[member] = content;
    if member != BUNDLE {
        archive.rehash();
    }
    archive.to_bytes()
}

fn lie(random: &mut Random) -> Vec<u8> {
    let mut lie = draft(random);
    for _ in 0..=random.below(2) {
        change(&mut lie, random);
    }
    if !random.once_in(3) {
        lie = lie.with_rows_where_possible();
    }
    let mut archive = lie.seal();
    if random.once_in(3) {
        another_tree(&mut archive, &lie, random);
        archive.rehash();
    }
    archive.to_bytes()
}

fn change(lie: &mut Draft, random: &mut Random) {
    let Some(last) = lie.entries.len().checked_sub(1).filter(|_| !lie.disclosures.is_empty()) else {
        return;
    };
    let (one, other) = (random.below(last + 1), random.below(last + 1));
    let disclosure = one.min(lie.disclosures.len() - 1);
    match random.below(16) {
        0 => lie.entries.swap(one, other),
        1 => {
            lie.entries.swap(one, other);
            let end = lie.disclosures.len() - 1;
            lie.disclosures.swap(one.min(end), other.min(end));
        }
        2 | 3 => {
            lie.entries.remove(one);
            lie.disclosures.remove(disclosure);
        }
        4 => drop(lie.disclosures.remove(disclosure)),
        5 => {
            lie.entries.insert(other, lie.entries[one].clone());
            lie.disclosures
                .insert(other.min(lie.disclosures.len()), lie.disclosures[disclosure].clone());
        }
        6 | 7 => lie.entries[one] = changed_entry(&lie.entries[one], random),
        8 => another_text(&mut lie.entries[one], random),
        9 => {
            let other = other.min(lie.disclosures.len() - 1);
            lie.disclosures.swap(disclosure, other);
        }
        10 => another_text(&mut lie.disclosures[disclosure], random),
        11 => another_text(&mut lie.rows_json, random),
        12 => another_text(&mut lie.rows_csv, random),
        13 => {
            lie.ledger = random
                .pick(&["other", "", "a\\nb", "main2", "\\\"", "\u{85}"])
                .to_owned()
        }
        14 => drop(lie.before.pop()),
        _ => lie.before.push([7; 32]),
    }
}

fn another_text(text: &mut String, random: &mut Random) {
    let places: Vec<usize> = text.char_indices().map(|(at, _)| at).chain([text.len()]).collect();
    let at = places[random.below(places.len())];
    match random.below(3) {
        0 => text.insert_str(at, random.pick(PIECES)),
        1 if at < text.len() => drop(text.remove(at)),
        _ => {
            if at < text.len() {
                text.remove(at);
            }
            text.insert_str(at, random.pick(PIECES));
        }
    }
}

/// Root, proof or checkpoint of another tree.
fn another_tree(archive: &mut Archive, lie: &Draft, random: &mut Random) {
    let text = String::from_utf8(archive.contents[PROOF].clone()).unwrap();
    let mut proof: Value = serde_json::from_str(&text).unwrap();
    let hash = || Value::from("5c".repeat(32));
    match random.below(7) {
        0 => archive.contents[CHECKPOINT] = checkpoint(&leaves(&history())).to_string().into_bytes(),
        1 => {
            let leaves = lie.leaves();
            let size = random.below(leaves.len() + 1);
            archive.contents[CHECKPOINT] = checkpoint(&leaves[..size]).to_string().into_bytes();
        }
        2 => {
            let mut more = lie.leaves();
            more.push([1; 32]);
            archive.contents[CHECKPOINT] = checkpoint(&more).to_string().into_bytes();
        }
        3 => {
            let hashes = proof["hashes"].as_array_mut().unwrap();
            hashes.insert(random.below(hashes.len() + 1), hash());
        }
        4 => drop(proof["hashes"].as_array_mut().unwrap().pop()),
        5 => proof["hashes"].as_array_mut().unwrap().reverse(),
        _ => {
            let size = [json!(7), json!(0), json!("7"), json!(null)][random.below(4)].clone();
            let hashes = [json!([]), json!([hash()]), json!(["5C"]), json!({})][random.below(4)].clone();
            proof["since"] = json!({ "hashes": hashes, "size": size });
        }
    }
    archive.contents[PROOF] = proof.to_string().into_bytes();
}

/// An entry with members that are missing, too many, or say something else, in canonical form.
fn changed_entry(entry: &str, random: &mut Random) -> String {
    let Ok(Value::Object(mut members)) = serde_json::from_str(entry) else {
        return entry.to_owned();
    };
    for _ in 0..=random.below(2) {
        let names: Vec<String> = members.keys().cloned().collect();
        let name = if random.once_in(5) || names.is_empty() {
            random.pick(NAMES).to_owned()
        } else {
            names[random.below(names.len())].clone()
        };
        if random.once_in(5) {
            members.remove(&name);
        } else {
            members.insert(name.clone(), value_of(&name, random));
        }
    }
    Value::Object(members).to_string()
}

const NAMES: &[&str] = &[
    "after",
    "assurance",
    "bodies",
    "cause",
    "closed",
    "commitment",
    "config",
    "detail",
    "event",
    "first",
    "id",
    "item",
    "kind",
    "last",
    "ledger",
    "loss",
    "next",
    "operation",
    "read",
    "recorded",
    "redacted",
    "scope",
    "sequence",
    "shard",
    "since",
    "stage",
    "stream",
    "table",
    "time",
    "until",
    "v",
    "what",
    "other",
    "Kind",
    "",
];

/// A value that a member of that name may have, or almost.
fn value_of(name: &str, random: &mut Random) -> Value {
    if random.once_in(6) {
        let anything = [
            json!(null),
            json!(true),
            json!(-1),
            json!(1.5),
            json!([]),
            json!({}),
            json!({"a": [1]}),
            json!(0),
        ];
        return anything[random.below(anything.len())].clone();
    }
    let words: &[&str] = match name {
        "v" | "time" | "since" | "until" | "read" | "recorded" | "redacted" | "bodies" => {
            let numbers: [u64; 8] = [
                0,
                1,
                2,
                3,
                253_402_207_200_000,
                253_402_207_200_001,
                (1 << 53) - 1,
                1 << 53,
            ];
            return json!(numbers[random.below(numbers.len())]);
        }
        "kind" => &[
            "change",
            "unknown",
            "gap",
            "batch",
            "lifecycle",
            "erasure",
            "hold",
            "tidings",
            "",
            "Change",
        ],
        "operation" => &["insert", "modify", "remove", "replace"],
        "assurance" => &[
            "unknown",
            "system",
            "last-writer",
            "claimed",
            "signed",
            "corroborated",
            "certain",
        ],
        "cause" => &["trimmed", "shard-expired", "stream-replaced", "lost"],
        "loss" => &["certain", "possible", "none"],
        "closed" => &["interval", "configuration", "hand-over", "end", "never"],
        "scope" => &["attribute", "item", "subject", "retention", "all"],
        "stage" => &["intent", "done", "placed", "released"],
        "after" | "sequence" | "first" | "last" | "next" => {
            let digits = [
                "0", "00", "7", "007", "20", "99", "100", "101", "0101", "102", "103", "start", "gap", "", "-1", "1.0",
                "٣",
            ];
            return match random.below(12) {
                0 => json!("9".repeat(128)),
                1 => json!("9".repeat(129)),
                _ => json!(random.pick(&digits)),
            };
        }
        "commitment" => &["5c", "G", "5C"],
        "config" => &[
            "01010101010101010101010101010101",
            "0101010101010101010101010101010",
            "0101010101010101010101010101010A",
        ],
        "item" => &[
            "a1b2c3d4:07070707070707070707070707070707",
            "a1b2c3d:007070707070707070707070707070707",
            "A1b2c3d4:07070707070707070707070707070707",
            "a1b2c3d4:0707070707070707070707070707070",
            "a1b2c3d4-07070707070707070707070707070707",
        ],
        _ => {
            return match random.below(10) {
                0 => json!("x".repeat(1024)),
                1 => json!("x".repeat(1025)),
                2 => json!("é".repeat(512)),
                3 => json!("x".repeat(40_000)),
                _ => json!(random.pick(&[
                    "", "main", "other", "a", "b", "a\nb", "\u{85}", "\u{7f}", "\u{2028}", "\"\\", "é"
                ])),
            };
        }
    };
    let word = random.pick(words);
    if name == "commitment" {
        json!(word.repeat(if random.once_in(2) { 32 } else { 64 }))
    } else {
        json!(word)
    }
}

/// Every kind of entry, one of them changed.
fn entries(random: &mut Random) -> Vec<u8> {
    let mut lie = draft(random);
    let index = random.below(lie.entries.len());
    lie.entries[index] = changed_entry(&lie.entries[index], random);
    // The optional members of a gap and the counts of a batch are where kinds differ.
    if random.once_in(3) {
        lie.disclosures[index] = "{}".to_owned();
    }
    lie.with_rows_where_possible().seal().to_bytes()
}

/// A bundle of those entries, of which nothing is shown, at that place of a ledger.
fn bundle_of(entries: Vec<String>, before: usize) -> Vec<u8> {
    let lie = Draft {
        ledger: "main".to_owned(),
        before: vec![[3; 32]; before],
        disclosures: vec!["{}".to_owned(); entries.len()],
        entries,
        rows_json: String::new(),
        rows_csv: String::new(),
        behind: vec![],
        since: String::new(),
    };
    lie.with_rows_where_possible().seal().to_bytes()
}

/// Where a shard stands while its entries are made up.
struct Shard {
    name: &'static str,
    next: usize,
    waiting: Vec<usize>,
    end: String,
    has_gap: bool,
}

/// Two shards that are accounted for, but for a value here and there.
fn accounts(random: &mut Random) -> Vec<u8> {
    let shard = |name| Shard {
        name,
        next: 5,
        waiting: vec![],
        end: "start".to_owned(),
        has_gap: false,
    };
    let mut shards = [shard("a"), shard("b")];
    let slips = [4, 12, 40, 1000][random.below(4)];
    let count = 2 + random.below(14);
    let entries = (0..count)
        .map(|_| {
            let shard = random.below(2);
            account(&mut shards[shard], random, slips).to_string()
        })
        .collect();
    bundle_of(entries, if random.once_in(2) { 0 } else { 1 + random.below(4) })
}

fn account(shard: &mut Shard, random: &mut Random, slips: usize) -> Value {
    let mut entry = Map::from_iter([
        ("ledger".to_owned(), json!("main")),
        ("shard".to_owned(), json!(shard.name)),
        ("stream".to_owned(), json!("stream")),
        ("v".to_owned(), json!(1)),
    ]);
    let members = match random.below(7) {
        0..=2 => {
            shard.next += 1 + random.below(3);
            let sequence = slipped(shard.next, random, slips);
            shard.waiting.push(sequence);
            json!({
                "commitment": "00".repeat(32), "kind": "unknown", "time": 7,
                "sequence": if random.once_in(8) { format!("00{sequence}") } else { sequence.to_string() },
            })
        }
        3 => {
            let after = shard.next;
            shard.has_gap = true;
            shard.next += 5;
            let mut gap = json!({"cause": "trimmed", "kind": "gap", "loss": "certain"});
            if !random.once_in(3) {
                gap["after"] = json!(slipped(after, random, slips).to_string());
            }
            gap
        }
        _ => batch(shard, random, slips),
    };
    if let Value::Object(members) = members {
        entry.extend(members);
    }
    Value::Object(entry)
}

fn batch(shard: &mut Shard, random: &mut Random, slips: usize) -> Value {
    let recorded = shard.waiting.len();
    let read = if recorded == 0 && random.once_in(2) {
        0
    } else {
        recorded.max(1) + random.below(2)
    };
    let after = if shard.has_gap { "gap" } else { &shard.end };
    let after = match random.below(slips) {
        0 => ["start", "gap", "0", &shard.next.to_string()][random.below(4)].to_owned(),
        _ => after.to_owned(),
    };
    let mut batch = json!({
        "after": after, "config": "01".repeat(16), "kind": "batch",
        "closed": if random.once_in(slips) { "end" } else { "interval" },
        "read": slipped(read, random, slips), "recorded": slipped(recorded, random, slips),
        "redacted": slipped(0, random, slips),
    });
    if read > 0 {
        shard.next += usize::from(recorded == 0);
        let first = shard.waiting.first().copied().unwrap_or(shard.next);
        batch["first"] = json!(slipped(first, random, slips).to_string());
        batch["last"] = json!(slipped(shard.next, random, slips).to_string());
        shard.end = shard.next.to_string();
    } else if shard.has_gap {
        shard.end = "gap".to_owned();
    }
    if random.once_in(slips * 4) {
        batch.as_object_mut().unwrap().remove(random.pick(&["first", "last"]));
    }
    shard.waiting.clear();
    shard.has_gap = false;
    batch
}

/// The number, or now and then another.
fn slipped(number: usize, random: &mut Random, slips: usize) -> usize {
    if random.once_in(slips) {
        (number + random.below(3)).saturating_sub(1)
    } else {
        number
    }
}

const PATHS: &[&str] = &[
    "/actor",
    "/keys/id",
    "/new/",
    "/new/a",
    "/new/a~0",
    "/new/a~1b",
    "/new/b",
    "/new/\u{1f600}",
    "/new/\u{fb33}",
    "/new/a\nb",
    "/new/\"q\"",
    "/new/=1+1",
    "/old/x",
    "/raw",
    "/reason",
    "/new/a~2",
    "/new/~",
    "/new/a/b",
    "/now/x",
    "",
    "/",
    "actor",
    "/new",
    "/actor/",
    "/keys/",
];

/// How many of [`PATHS`] there may be.
const PATHS_RIGHT: usize = 15;

const VALUES: &[&str] = &[
    r#""maria""#,
    r#""""#,
    r#""a\nb""#,
    r#""=1\"x,""#,
    r#"{"S":"1"}"#,
    r#"{"L":[]}"#,
    r#"{"":""}"#,
    r#"{"S":1}"#,
    "{\"M\":{\"\u{1f600}\":1,\"\u{fb33}\":2}}",
    "{\"M\":{\"\u{fb33}\":1,\"\u{1f600}\":2}}",
    r#"{"a":{"":1,"\n":2," ":3}}"#,
    r#"{"a":[true,false,null]}"#,
    r#"{"N":9007199254740991}"#,
    "{}",
    r#"{"a":1,"b":2}"#,
    r#"{"S": "1"}"#,
    "1",
    "null",
    "[]",
    r#""\u00e9""#,
    r#""\ud800""#,
    r#""\u001f""#,
    r#""\u001F""#,
    r#"{"N":9007199254740992}"#,
    r#"{"N":-0}"#,
    r#"{"N":1.0}"#,
    r#"{"N":1e5}"#,
    "true",
    "\"\u{7f}\"",
    r#""\/""#,
    "",
    " ",
    r#"{"a":{"b":1,"a":2}}"#,
    r#"{"a":{"a":1,"a":1}}"#,
    r#"{"a":[1,]}"#,
    "\"a",
    "{\"a\":\"\t\"}",
    r#"{"\u000a":1}"#,
    r#"{"\n":01}"#,
];

/// An entry that commits to what is shown, whatever that is.
fn disclosures(random: &mut Random) -> Vec<u8> {
    let mut lie = Draft::of_history();
    let index = [1, 2, 3, 6, 7, 9, 12, 14][random.below(8)];
    let disclosure = shown(random);
    let commitment = disclosure.commitment().map(|commitment| hex::encode(commitment.0));
    let mut line = Vec::new();
    disclosure.write(&mut line);
    lie.disclosures[index] = String::from_utf8(line).unwrap();
    if let Some(commitment) = commitment.filter(|_| !random.once_in(20)) {
        let mut entry: Value = serde_json::from_str(&lie.entries[index]).unwrap();
        entry["commitment"] = json!(commitment);
        lie.entries[index] = entry.to_string();
    }
    if random.once_in(20) {
        another_text(&mut lie.disclosures[index], random);
    }
    lie.with_rows_where_possible().seal().to_bytes()
}

fn shown(random: &mut Random) -> Disclosure {
    let mut paths: Vec<&str> = PATHS[..PATHS_RIGHT]
        .iter()
        .filter(|_| random.once_in(3))
        .copied()
        .collect();
    if !random.once_in(6) {
        paths.sort_unstable();
    }
    if random.once_in(6) {
        paths.push(random.pick(PATHS));
    }
    let mut disclosure = Disclosure::with_attributes();
    for path in paths {
        if random.once_in(4) {
            disclosure.hide([5; 32]);
        }
        let is_text = matches!(path, "/actor" | "/raw" | "/reason");
        let deep = |levels: usize| format!("{{\"L\":{}{}}}", "[".repeat(levels), "]".repeat(levels));
        let value = match random.below(16) {
            0 => random.pick(VALUES).to_owned(),
            1 => deep(98 + random.below(4)),
            _ if is_text => VALUES[random.below(4)].to_owned(),
            _ => VALUES[4 + random.below(9)].to_owned(),
        };
        disclosure.show(path, [6; 32], &value);
    }
    disclosure
}

/// A checkpoint of the right tree with lines that may be wrong.
fn checkpoints(random: &mut Random) -> Vec<u8> {
    let lie = Draft::of_history();
    let mut archive = lie.seal();
    archive.contents[CHECKPOINT] = checkpoint_of(&lie.leaves(), random);
    archive.rehash();
    archive.to_bytes()
}

fn checkpoint_of(leaves: &[weir_evidence::Hash], random: &mut Random) -> Vec<u8> {
    let (size, root) = (leaves.len().to_string(), BASE64.encode(root(leaves)));
    let sizes = [
        &*size,
        "016",
        "0",
        "15",
        "18446744073709551615",
        "18446744073709551616",
        "+16",
        " 16",
        "",
        "1٦",
    ];
    let origins = [
        "log.example/main",
        "log.example/other",
        "é",
        " ",
        "log.example/main ",
        "",
        "\u{7f}",
    ];
    let roots = [
        &*root,
        &root.replace('=', ""),
        &format!("{root}="),
        "AAAA",
        "",
        &root.replace("A", "_"),
    ];
    let more = [
        "",
        "more\n",
        "more\nand more\n",
        "\n",
        " \n",
        "\u{2014} nobody AAAAAAAA\n",
        "\n\nx\n",
    ];
    let one = |from: &[&str], random: &mut Random| {
        if random.once_in(6) {
            random.pick(from).to_owned()
        } else {
            from[0].to_owned()
        }
    };
    let (origin, size, root) = (one(&origins, random), one(&sizes, random), one(&roots, random));
    let text = format!("{origin}\n{size}\n{root}\n{}", one(&more, random));
    let other = SigningKey::new("log.example/main".to_owned(), &[2; 32]).unwrap();
    let keys: &[SigningKey] = if random.once_in(12) { &[other] } else { &[key()] };
    let mut note = Note::sign(text, keys).map_or_else(|_| String::new(), |note| note.to_string());
    for _ in 0..random.below(3) {
        note.push_str(&signature_line(&note, random));
    }
    if random.once_in(8) {
        another_text(&mut note, random);
    }
    note.into_bytes()
}

/// A line that may stand below a checkpoint.
fn signature_line(note: &str, random: &mut Random) -> String {
    let vkey = key().verifier_key();
    let id = vkey.id().to_be_bytes();
    let line = |name: &str, bytes: &[u8]| format!("\u{2014} {name} {}\n", BASE64.encode(bytes));
    let name = "log.example/main";
    match random.below(14) {
        0 => line("nobody", &[0; 5]),
        1 => line("nobody", &[0; 4]),
        2 => line(name, &[9; 68]),
        3 => line(name, &[&id[..], &[0; 64]].concat()),
        4 => line(name, &[&id[..], &[0; 63]].concat()),
        5 => line("log.example/mine", &[&id[..], &[0; 64]].concat()),
        6 => line("no body", &[0; 8]),
        7 => line("no+body", &[0; 8]),
        8 => line("", &[0; 8]),
        9 => "\u{2014} nobody AAAAAAB=\n".to_owned(),
        10 => "\u{2014} nobody AAAAAAA\n".to_owned(),
        11 => line("no\u{3000}body", &[0; 8]),
        12 => note.lines().last().map(|last| format!("{last}\n")).unwrap_or_default(),
        _ => line("no\u{200b}body", &[0; 8]),
    }
}

fn witness(number: usize) -> Cosigner {
    Cosigner::new(format!("w{number}.example"), &[20 + u8::try_from(number).unwrap(); 32]).unwrap()
}

/// Two of three witnesses.
fn quorum() -> Trust {
    let witnesses: Vec<String> = (0..3)
        .map(|number| format!("witness W{number} {}\n", witness(number).verifier_key()))
        .collect();
    let log = key().verifier_key();
    Trust::Policy(format!("log {log}\n{}group G 2 W0 W1 W2\nquorum G\n", witnesses.concat()).into_bytes())
}

/// A checkpoint that some witnesses cosigned.
fn witnessed(random: &mut Random) -> Vec<u8> {
    let lie = Draft::of_history();
    let mut archive = lie.seal();
    let mut head = checkpoint(&lie.leaves());
    for number in 0..4 {
        let times = [0, 1_772_366_400, (1 << 63) - 1, 1 << 63, u64::MAX];
        let time = if random.once_in(12) {
            times[random.below(5)]
        } else {
            times[1]
        };
        let text = head.note().text();
        let line = match random.below(16) {
            0..6 => continue,
            6 => witness(number).cosign(&format!("{text}more\n"), time),
            _ => witness(number).cosign(text, time),
        };
        head.add_signature_lines(&format!("{line}\n")).unwrap();
    }
    archive.contents[CHECKPOINT] = head.to_string().into_bytes();
    archive.rehash();
    archive.to_bytes()
}

/// Keys of others, and texts that are no keys.
fn other_keys() -> Vec<Trust> {
    let vkey = |name: &str, seed| {
        SigningKey::new(name.to_owned(), &[seed; 32])
            .unwrap()
            .verifier_key()
            .to_string()
    };
    let good = vkey("log.example/main", 1);
    let no_point = {
        let material = [&[1][..], &[2], &[0; 31]].concat();
        let name = b"log.example/main";
        let id = <sha2::Sha256 as sha2::Digest>::digest([&name[..], b"\n", &material].concat());
        format!("log.example/main+{}+{}", hex::encode(&id[..4]), BASE64.encode(material))
    };
    let keys = [
        vkey("log.example/main", 2),
        vkey("log.example/other", 1),
        witness(0).verifier_key().to_string(),
        no_point,
        good.replace('+', "-"),
        good.replacen("+", "+0", 1),
        format!("{good}A"),
        good.to_uppercase(),
        format!(" {good}"),
        String::new(),
    ];
    keys.into_iter().map(Trust::Key).collect()
}

/// A policy with a line or two that may be wrong.
fn policy_file(random: &mut Random) -> Vec<u8> {
    let (log, first, second) = (
        key().verifier_key(),
        witness(0).verifier_key(),
        witness(1).verifier_key(),
    );
    let mut lines = vec![
        format!("log {log} https://log.example"),
        format!("witness A {first}"),
        format!("witness  B\t{second} https://w.example "),
        format!(
            "group both {} A B",
            random.pick(&["all", "2", "any", "1", "02", "3", "0", "x", "-1"])
        ),
        format!(
            "quorum {}",
            random.pick(&["both", "both", "A", "none", "B", "C", "log"])
        ),
    ];
    let more = [
        "# a comment".to_owned(),
        String::new(),
        " \t".to_owned(),
        format!("log {first}"),
        format!("witness C {log}"),
        format!("witness C {first}"),
        "witness both x".to_owned(),
        "group other any A".to_owned(),
        "group none any A".to_owned(),
        "group empty any".to_owned(),
        "quorum none".to_owned(),
        "group top all both".to_owned(),
        "quorum".to_owned(),
        "log a b c d".to_owned(),
        "\u{7f}".to_owned(),
        "\r".to_owned(),
        "# \u{e9}".to_owned(),
        format!("group twice 1 {0} {0}", random.pick(&["both", "A"])),
    ];
    for _ in 0..random.below(3) {
        let line = more[random.below(more.len())].clone();
        let at = random.below(lines.len() + 1);
        lines.insert(at, line);
    }
    if random.once_in(6) {
        lines.remove(random.below(lines.len()));
    }
    let mut text = lines.join("\n");
    if random.once_in(2) {
        text.push('\n');
    }
    text.into_bytes()
}

/// A checkpoint that the auditor held before, and the size that bundles are made for.
fn earlier(random: &mut Random, index: usize) -> (Vec<u8>, usize) {
    let leaves = leaves(&history());
    let size = [0, 1, 2, 7, 8, 12, 15, 16][index % 8];
    let since = match index {
        0..8 => checkpoint(&leaves[..size]).to_string().into_bytes(),
        8..12 => checkpoint(&vec![[8; 32]; size + 1]).to_string().into_bytes(),
        12 => checkpoint(&[&leaves[..], &[[8; 32]]].concat()).to_string().into_bytes(),
        13 => vec![],
        14 => b"note\n".to_vec(),
        _ => checkpoint_of(&leaves[..size], random),
    };
    (since, size)
}

/// A bundle with a proof of consistency that may be wrong.
fn made_for(random: &mut Random, size: usize) -> Vec<u8> {
    let mut lie = draft(random);
    let leaves = lie.leaves();
    let size = if random.once_in(4) {
        random.below(leaves.len() + 1)
    } else {
        size
    };
    let mut hashes = roots(&leaves, &consistency_ranges(size as u64, leaves.len() as u64));
    match random.below(6) {
        0 => drop(hashes.pop()),
        1 => hashes.push(node_hash(&[1; 32], &[2; 32])),
        2 => hashes.reverse(),
        _ => {}
    }
    let hashes: Vec<String> = hashes.iter().map(|hash| format!("\"{}\"", hex::encode(hash))).collect();
    if !random.once_in(8) {
        lie.since = format!(",\"since\":{{\"hashes\":[{}],\"size\":{size}}}", hashes.join(","));
    }
    lie.seal().to_bytes()
}

/// The proof of one entry, with something changed.
fn proof(random: &mut Random) -> Vec<u8> {
    let history = history();
    let index = random.below(history.len());
    let mut entry = history[index].entry.clone();
    let mut disclosure = Vec::new();
    history[index].disclosure.write(&mut disclosure);
    let mut disclosure: Value = serde_json::from_slice(&disclosure).unwrap();
    match random.below(8) {
        0 | 1 => entry = changed_entry(&entry, random),
        2 => {
            let mut members: Value = serde_json::from_str(&entry).unwrap();
            members["v"] = json!(2);
            entry = members.to_string();
        }
        3 => another_text(&mut entry, random),
        _ => {}
    }
    if random.once_in(4) {
        let others = [
            json!({}),
            json!({"attributes": []}),
            json!([]),
            json!(1),
            json!({"other": [{}]}),
            json!(""),
        ];
        disclosure = others[random.below(others.len())].clone();
    }
    let mut leaves = leaves(&history);
    leaves[index] = leaf_hash(entry.as_bytes());
    let mut extra = json!({"disclosure": disclosure, "entry": entry});
    if random.once_in(16) {
        extra[random.pick(&["more", "entry", "disclosure"])] = json!({});
    }
    let mut extra = extra.to_string();
    if random.once_in(12) {
        another_text(&mut extra, random);
    }
    let ranges = inclusion_ranges(index as u64, leaves.len() as u64);
    let mut hashes: Vec<String> = roots(&leaves, &ranges).iter().map(|hash| BASE64.encode(hash)).collect();
    match random.below(24) {
        0 => drop(hashes.pop()),
        1 => hashes.push(BASE64.encode([1; 32])),
        2 => hashes.reverse(),
        3 => hashes[0] = BASE64.encode([1; 31]),
        4 => hashes[0] = hashes[0].replace('=', ""),
        _ => {}
    }
    let head = if random.once_in(4) {
        String::from_utf8(checkpoint_of(&leaves, random)).unwrap()
    } else {
        checkpoint(&leaves).to_string()
    };
    let shown_index = if random.once_in(16) {
        index ^ random.below(32)
    } else {
        index
    };
    let lines: String = hashes.iter().map(|hash| format!("{hash}\n")).collect();
    let header = if random.once_in(40) {
        random.pick(&[
            "c2sp.org/tlog-proof@v2",
            "c2sp.org/tlog-proof@v1 ",
            "c2sp.org/tlog-proof",
            "",
        ])
    } else {
        "c2sp.org/tlog-proof@v1"
    };
    let text = format!(
        "{header}\nextra {}\nindex {shown_index}\n{lines}\n{head}",
        BASE64.encode(extra)
    );
    let mut file = text.into_bytes();
    if random.once_in(3) {
        let at = random.below(file.len());
        match random.below(3) {
            0 => file[at] ^= 1 << random.below(8),
            1 => file.truncate(at),
            _ => drop(file.splice(at..at, random.pick(PIECES).bytes())),
        }
    }
    file
}
