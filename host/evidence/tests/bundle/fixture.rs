//! A small ledger with everything in it, and bundles of it made by hand.
//!
//! [`BundleWriter`] refuses to write what does not prove. So a [`Draft`] is what somebody could write who has the keys:
//! whatever is in it, [`Draft::seal`] makes the root, the signature and the hashes that fit. The archive is put together
//! here a second time, so that writer and reader of the crate do not only agree with each other.

use std::ops::Range;

use sha2::{Digest as _, Sha256};
use weir_evidence::{
    Body, BundleWriter, Checkpoint, Commitment, Disclosure, Frontier, Hash, Policy, Report, SegmentKey,
    SignedCheckpoint, SigningKey, leaf_hash, outside_ranges, root_of_subtrees, subtrees, verify_bundle,
};

/// Members of a bundle, in order.
pub(crate) const MEMBERS: [&str; 7] = [
    "bundle.json",
    "checkpoint",
    "entries.jsonl",
    "disclosures.jsonl",
    "proof.json",
    "rows.jsonl",
    "rows.csv",
];

pub(crate) const BUNDLE: usize = 0;
pub(crate) const CHECKPOINT: usize = 1;
pub(crate) const ENTRIES: usize = 2;
pub(crate) const DISCLOSURES: usize = 3;
pub(crate) const PROOF: usize = 4;
pub(crate) const ROWS_JSON: usize = 5;
pub(crate) const ROWS_CSV: usize = 6;

/// An entry and what is shown of its body.
#[derive(Clone, Debug)]
pub(crate) struct Record {
    pub(crate) entry: String,
    pub(crate) disclosure: Disclosure,
}

/// A range of a ledger, and the leaves around it.
#[derive(Clone, Debug)]
pub(crate) struct Draft {
    pub(crate) ledger: String,
    pub(crate) before: Vec<Hash>,
    pub(crate) entries: Vec<String>,
    pub(crate) disclosures: Vec<String>,
    pub(crate) rows_json: String,
    pub(crate) rows_csv: String,
    pub(crate) behind: Vec<Hash>,
    /// Size and consistency proof of an earlier checkpoint, as JSON members of `proof.json`.
    pub(crate) since: String,
}

/// The members of a bundle before they are archived.
#[derive(Clone, Debug)]
pub(crate) struct Archive {
    pub(crate) contents: [Vec<u8>; 7],
}

pub(crate) fn key() -> SigningKey {
    SigningKey::new("log.example/main".to_owned(), &[1; 32]).unwrap()
}

pub(crate) fn policy() -> Policy {
    Policy::from_key(key().verifier_key()).unwrap()
}

pub(crate) fn code(bundle: &[u8]) -> u8 {
    verify(bundle).verdict().exit_code()
}

pub(crate) fn verify(bundle: &[u8]) -> Report {
    verify_bundle(bundle, &policy(), None)
}

/// A record of an entry whose members are `members`, with `COMMITMENT` in the place of its commitment, and of the body
/// that `body` is, of which the paths in `shown` are shown; `None` shows nothing at all.
fn record(number: u16, members: &str, body: Option<&str>, shown: Option<&[&str]>) -> Record {
    let mut entry = members.replace(
        "SOURCE",
        r#""stream":"arn:aws:dynamodb:us-east-1:0:table/orders/stream/1""#,
    );
    entry = entry.replace("CONFIG", r#""config":"01010101010101010101010101010101""#);
    entry = entry.replace("ITEM", r#""item":"a1b2c3d4:07070707070707070707070707070707""#);
    let mut disclosure = Disclosure::nothing();
    if let Some(body) = body {
        let body: Body = serde_json::from_str(body).unwrap();
        let key = SegmentKey::new([9; 32]).body_key(number).unwrap();
        let commitment = hex::encode(Commitment::of(&body, &key).0);
        entry = entry.replace("COMMITMENT", &format!(r#""commitment":"{commitment}""#));
        if let Some(shown) = shown {
            disclosure = Disclosure::of(&body, &key, |path| shown.contains(&path));
        }
    }
    Record { entry, disclosure }
}

fn change(number: u16, shard: &str, sequence: u32, operation: &str, body: &str, shown: Option<&[&str]>) -> Record {
    let members = format!(
        r#"{{"assurance":"claimed",COMMITMENT,CONFIG,"event":"e{sequence}",ITEM,"kind":"change","ledger":"main","operation":"{operation}","sequence":"{sequence}","shard":"{shard}",SOURCE,"table":"orders","time":17723664000{number:02},"v":1}}"#
    );
    record(number, &members, Some(body), shown)
}

fn batch(shard: &str, after: &str, range: (u32, u32), counts: (u32, u32, u32), closed: &str) -> Record {
    let ((first, last), (read, recorded, redacted)) = (range, counts);
    let members = format!(
        r#"{{"after":"{after}","closed":"{closed}",CONFIG,"first":"{first}","kind":"batch","last":"{last}","ledger":"main","read":{read},"recorded":{recorded},"redacted":{redacted},"shard":"{shard}",SOURCE,"v":1}}"#
    );
    record(0, &members, None, None)
}

/// Every kind of entry, three shards, a gap, and disclosures from nothing to everything.
pub(crate) fn history() -> Vec<Record> {
    let order = r#"{"actor":"maria","keys":{"id":{"S":"1"}},"new":{"id":{"S":"1"},"n/~":{"N":"1.50"},"status":{"S":"\"paid\""}}}"#;
    let shipped =
        r#"{"actor":"jonas","keys":{"id":{"S":"1"}},"new":{"status":{"S":"shipped"}},"old":{"status":{"S":"paid"}}}"#;
    let raw = r#"{"raw":"{\"no\": record}","reason":"it has no keys\n"}"#;
    let order_of_erasure = r#"{"actor":"officer","reason":"Article 17"}"#;
    vec![
        record(
            0,
            r#"{"detail":"a \"new\" ledger\n","kind":"lifecycle","ledger":"main","time":1772366400000,"v":1,"what":"created"}"#,
            None,
            None,
        ),
        change(
            1,
            "a",
            100,
            "insert",
            order,
            Some(&["/actor", "/keys/id", "/new/id", "/new/n~1~0", "/new/status"]),
        ),
        change(2, "b", 7, "modify", shipped, Some(&["/actor", "/new/status"])),
        record(
            3,
            r#"{COMMITMENT,"kind":"unknown","ledger":"main","sequence":"101","shard":"a",SOURCE,"time":1772366400003,"v":1}"#,
            Some(raw),
            Some(&["/raw", "/reason"]),
        ),
        batch("a", "start", (100, 101), (2, 2, 0), "interval"),
        batch("b", "start", (5, 7), (3, 1, 1), "configuration"),
        record(
            6,
            r#"{COMMITMENT,"id":"1",ITEM,"kind":"hold","ledger":"main","scope":"item","stage":"placed","time":1772366400006,"v":1}"#,
            Some(order_of_erasure),
            Some(&["/reason"]),
        ),
        change(7, "a", 102, "remove", order, None),
        record(
            8,
            r#"{"after":"7","cause":"trimmed","kind":"gap","ledger":"main","loss":"certain","next":"20","shard":"b","since":1772366400000,SOURCE,"until":1772366400008,"v":1}"#,
            None,
            None,
        ),
        change(9, "b", 20, "modify", shipped, Some(&[])),
        batch("b", "gap", (20, 20), (1, 1, 0), "hand-over"),
        batch("a", "101", (102, 102), (1, 1, 0), "end"),
        record(
            12,
            r#"{COMMITMENT,"id":"2","kind":"erasure","ledger":"main","scope":"retention","stage":"intent","time":1772366400012,"v":1}"#,
            Some(order_of_erasure),
            None,
        ),
        record(
            13,
            r#"{"bodies":3,COMMITMENT,"id":"2","kind":"erasure","ledger":"main","scope":"retention","stage":"done","time":1772366400013,"v":1}"#,
            Some(order_of_erasure),
            Some(&["/actor"]),
        ),
        record(
            14,
            r#"{"cause":"shard-expired",COMMITMENT,"kind":"gap","ledger":"main","loss":"possible","shard":"c",SOURCE,"v":1}"#,
            Some("{}"),
            Some(&[]),
        ),
        change(
            15,
            "b",
            21,
            "remove",
            r#"{"keys":{"id":{"S":"1"}},"old":{"status":{"S":"x"}}}"#,
            Some(&["/old/status"]),
        ),
    ]
}

pub(crate) fn leaves(records: &[Record]) -> Vec<Hash> {
    records
        .iter()
        .map(|record| leaf_hash(record.entry.as_bytes()))
        .collect()
}

pub(crate) fn root(leaves: &[Hash]) -> Hash {
    let mut frontier = Frontier::default();
    leaves.iter().for_each(|leaf| frontier.push(*leaf));
    frontier.root()
}

/// The checkpoint over all of `leaves`.
pub(crate) fn checkpoint(leaves: &[Hash]) -> SignedCheckpoint {
    let checkpoint = Checkpoint {
        origin: "log.example/main".to_owned(),
        size: leaves.len() as u64,
        root: root(leaves),
    };
    checkpoint.sign(&[key()]).unwrap()
}

/// Roots of ranges of a tree, as a ledger would look them up.
pub(crate) fn roots(leaves: &[Hash], ranges: &[Range<u64>]) -> Vec<Hash> {
    let perfect = |low: u64, level: u8| {
        let low = usize::try_from(low << level).unwrap();
        root(&leaves[low..low + (1 << level)])
    };
    let root_of = |range| {
        let parts: Vec<Hash> = subtrees(range)
            .iter()
            .map(|part| perfect(part.index, part.level))
            .collect();
        root_of_subtrees(&parts)
    };
    ranges.iter().map(root_of).collect()
}

/// A bundle as the crate writes it.
pub(crate) fn written(records: &[Record], range: Range<usize>) -> Vec<u8> {
    let mut writer = BundleWriter::new("main", range.start as u64);
    for record in &records[range.clone()] {
        writer.add(record.entry.as_bytes(), &record.disclosure).unwrap();
    }
    let leaves = leaves(records);
    let outside = outside_ranges(range.start as u64, range.end as u64, leaves.len() as u64);
    let mut out = Vec::new();
    writer
        .finish(&checkpoint(&leaves), roots(&leaves, &outside), None, &mut out)
        .unwrap();
    out
}

impl Draft {
    /// A range of a ledger, as it is.
    pub(crate) fn of(records: &[Record], range: Range<usize>) -> Self {
        let archive = Archive::parse(&written(records, range.clone()));
        let text = |member: usize| String::from_utf8(archive.contents[member].clone()).unwrap();
        let lines = |member| text(member).lines().map(str::to_owned).collect();
        let leaves = leaves(records);
        Self {
            ledger: "main".to_owned(),
            before: leaves[..range.start].to_vec(),
            entries: lines(ENTRIES),
            disclosures: lines(DISCLOSURES),
            rows_json: text(ROWS_JSON),
            rows_csv: text(ROWS_CSV),
            behind: leaves[range.end..].to_vec(),
            since: String::new(),
        }
    }

    /// All of [`history`].
    pub(crate) fn of_history() -> Self {
        let history = history();
        let length = history.len();
        Self::of(&history, 0..length)
    }

    /// Replaces a text in the entry at an index of the range.
    #[track_caller]
    pub(crate) fn edit(mut self, index: usize, from: &str, to: &str) -> Self {
        assert!(self.entries[index].contains(from), "{}", self.entries[index]);
        self.entries[index] = self.entries[index].replacen(from, to, 1);
        self
    }

    /// The same entries and disclosures with the rows that they make.
    #[track_caller]
    pub(crate) fn with_its_rows(self) -> Self {
        self.rows().expect("entries and disclosures belong together")
    }

    /// The same, or this very draft if no rows can be made of it.
    pub(crate) fn with_rows_where_possible(self) -> Self {
        self.rows().unwrap_or(self)
    }

    fn rows(&self) -> Option<Self> {
        let mut writer = BundleWriter::new(&self.ledger, self.before.len() as u64);
        for (entry, disclosure) in self.entries.iter().zip(&self.disclosures) {
            writer
                .add(entry.as_bytes(), &Disclosure::parse(disclosure).ok()?)
                .ok()?;
        }
        if self.disclosures.len() != self.entries.len() {
            return None;
        }
        let leaves = self.leaves();
        let mut out = Vec::new();
        writer
            .finish(&checkpoint(&leaves), self.outside(&leaves), None, &mut out)
            .ok()?;
        let archive = Archive::parse(&out);
        let text = |member: usize| String::from_utf8(archive.contents[member].clone()).unwrap();
        Some(Self {
            rows_json: text(ROWS_JSON),
            rows_csv: text(ROWS_CSV),
            ..self.clone()
        })
    }

    pub(crate) fn leaves(&self) -> Vec<Hash> {
        let entries = self.entries.iter().map(|entry| leaf_hash(entry.as_bytes()));
        self.before
            .iter()
            .copied()
            .chain(entries)
            .chain(self.behind.iter().copied())
            .collect()
    }

    /// Makes everything that fits: proof, root, signature, hashes.
    pub(crate) fn seal(&self) -> Archive {
        let leaves = self.leaves();
        let hashes: Vec<String> = self
            .outside(&leaves)
            .iter()
            .map(|hash| format!("\"{}\"", hex::encode(hash)))
            .collect();
        let lines = |lines: &[String]| {
            lines
                .iter()
                .map(|line| format!("{line}\n"))
                .collect::<String>()
                .into_bytes()
        };
        let (from, to) = (self.before.len(), self.before.len() + self.entries.len());
        let mut archive = Archive {
            contents: [
                format!(r#"{{"files":[],"from":{from},"ledger":"{}","to":{to}}}"#, self.ledger).into_bytes(),
                checkpoint(&leaves).to_string().into_bytes(),
                lines(&self.entries),
                lines(&self.disclosures),
                format!("{{\"hashes\":[{}]{}}}", hashes.join(","), self.since).into_bytes(),
                self.rows_json.clone().into_bytes(),
                self.rows_csv.clone().into_bytes(),
            ],
        };
        archive.rehash();
        archive
    }

    fn outside(&self, leaves: &[Hash]) -> Vec<Hash> {
        let from = self.before.len() as u64;
        let to = from + self.entries.len() as u64;
        roots(leaves, &outside_ranges(from, to, leaves.len() as u64))
    }
}

impl Archive {
    /// Takes an archive apart by the sizes in its headers.
    pub(crate) fn parse(bytes: &[u8]) -> Self {
        let mut rest = bytes;
        let contents = MEMBERS.map(|member| {
            let header = &rest[..512];
            assert!(header.starts_with(format!("weir-bundle-v1/{member}\0").as_bytes()));
            let size = usize::from_str_radix(std::str::from_utf8(&header[124..135]).unwrap(), 8).unwrap();
            let content = rest[512..512 + size].to_vec();
            rest = &rest[512 + size.next_multiple_of(512)..];
            content
        });
        assert_eq!(rest, [0; 1024]);
        Self { contents }
    }

    /// Replaces a text in a member, and makes the hashes again.
    #[track_caller]
    pub(crate) fn edit(mut self, member: usize, from: &str, to: &str) -> Self {
        let text = String::from_utf8(self.contents[member].clone()).unwrap();
        assert!(text.contains(from), "{text}");
        self.contents[member] = text.replacen(from, to, 1).into_bytes();
        if member != BUNDLE {
            self.rehash();
        }
        self
    }

    /// Makes `files` of `bundle.json` again, if there is one.
    pub(crate) fn rehash(&mut self) {
        let file = |(member, content): (&&str, &Vec<u8>)| {
            let (bytes, sha256) = (content.len(), hex::encode(Sha256::digest(content)));
            format!(r#"{{"bytes":{bytes},"name":"{member}","sha256":"{sha256}"}}"#)
        };
        let files: Vec<String> = MEMBERS.iter().zip(&self.contents).skip(1).map(file).collect();
        let text = String::from_utf8(self.contents[BUNDLE].clone()).unwrap();
        let end = text.find("],\"from\"").unwrap();
        self.contents[BUNDLE] = format!("{{\"files\":[{}{}", files.join(","), &text[end..]).into_bytes();
    }

    pub(crate) fn to_bytes(&self) -> Vec<u8> {
        let mut out = Vec::new();
        for (member, content) in MEMBERS.iter().zip(&self.contents) {
            let mut header = [0; 512];
            let size = format!("{:011o}", content.len());
            for (offset, text) in [
                (0, format!("weir-bundle-v1/{member}").as_str()),
                (100, "0000644"),
                (108, "0000000"),
                (116, "0000000"),
                (124, &size),
                (136, "00000000000"),
                (148, "        "),
                (156, "0"),
                (257, "ustar"),
                (263, "00"),
            ] {
                header[offset..offset + text.len()].copy_from_slice(text.as_bytes());
            }
            let sum: u32 = header.iter().map(|byte| u32::from(*byte)).sum();
            header[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
            out.extend_from_slice(&header);
            out.extend_from_slice(content);
            out.resize(out.len().next_multiple_of(512), 0);
        }
        out.resize(out.len() + 1024, 0);
        out
    }
}
