//! The proof of one entry: a `.tlog-proof` file (C2SP `tlog-proof@v1`), readable by tools that know nothing of Weir.
//!
//! ```text
//! c2sp.org/tlog-proof@v1
//! extra <base64 of {"disclosure":{...},"entry":"..."}>      ours: the entry, and what is shown of its body
//! index 73894
//! gSKyXoYZUgZ6jduWYrkDOARinOMGJveXjgMkBTcdPlQ=             inclusion proof, from the leaf up
//!
//! example.com/ledger                                       the signed checkpoint, as it is
//! ...
//! ```
//!
//! # Invariants
//!
//! - A proof that was read is written as the same bytes.
//! - `extra` is signed by nobody. The entry in it is believed because its leaf is in the tree, and what is shown because
//!   the entry commits to it.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;

use crate::bundle::check_signed;
use crate::checkpoint::{parse_decimal, parse_hash};
use crate::cursor::Cursor;
use crate::report::{Doubt, Remark, Tampering};
use crate::tree::{Hash, leaf_hash, root_of_inclusion};
use crate::{Disclosure, DisclosureError, Entry, EntryError, Policy, Report, SignedCheckpoint, canonical};

/// First line of a proof, with its line break.
const HEADER: &str = "c2sp.org/tlog-proof@v1\n";

/// One entry, proved.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TlogProof {
    entry: String,
    disclosure: Disclosure,
    index: u64,
    hashes: Vec<Hash>,
    checkpoint: String,
}

/// Why a proof was not made.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TlogProofError {
    /// The bytes are no entry.
    #[error("the bytes are no entry that can be proved")]
    Entry(#[from] EntryError),
    /// The disclosure is not one of the entry's body.
    #[error("what is to be shown is not what the entry commits to")]
    Disclosure(#[from] DisclosureError),
    /// Entry and hashes do not make the checkpoint's root.
    #[error("the entry and the proof do not make the root that was signed")]
    Root,
}

impl TlogProof {
    /// Puts a proof together: the entry at `index` with what is shown of its body, the inclusion proof (the roots of
    /// [`inclusion_ranges`](crate::inclusion_ranges)), and the checkpoint.
    ///
    /// # Errors
    ///
    /// It would not prove.
    pub fn new(
        encoded: &[u8],
        disclosure: Disclosure,
        index: u64,
        hashes: Vec<Hash>,
        checkpoint: &SignedCheckpoint,
    ) -> Result<Self, TlogProofError> {
        disclosure.verify_for(Entry::decode(encoded)?.commitment())?;
        let head = checkpoint.checkpoint();
        if root_of_inclusion(index, head.size, leaf_hash(encoded), &hashes) != Some(head.root) {
            return Err(TlogProofError::Root);
        }
        let entry = std::str::from_utf8(encoded).expect("an entry that was read is UTF-8");
        Ok(Self {
            entry: entry.to_owned(),
            disclosure,
            index,
            hashes,
            checkpoint: checkpoint.to_string(),
        })
    }

    /// The entry's bytes, as text.
    #[must_use]
    pub fn entry(&self) -> &str {
        &self.entry
    }

    /// What is shown of its body.
    #[must_use]
    pub fn disclosure(&self) -> &Disclosure {
        &self.disclosure
    }

    /// Position of the entry.
    #[must_use]
    pub fn index(&self) -> u64 {
        self.index
    }

    /// Reads a proof. The checkpoint in it is only cut out.
    ///
    /// # Errors
    ///
    /// Which part is not as it has to be.
    pub fn parse(bytes: &[u8]) -> Result<Self, &'static str> {
        let parsed = Parsed::parse(bytes)?;
        Ok(Self {
            entry: parsed.entry,
            disclosure: parsed.disclosure.map_err(|_| "its extra line")?,
            index: parsed.index,
            hashes: parsed.hashes,
            checkpoint: parsed.checkpoint.to_owned(),
        })
    }
}

/// A proof that was taken apart.
struct Parsed<'a> {
    entry: String,
    /// What is no disclosure may be one of another version's entry.
    disclosure: Result<Disclosure, DisclosureError>,
    index: u64,
    hashes: Vec<Hash>,
    checkpoint: &'a str,
}

impl<'a> Parsed<'a> {
    fn parse(bytes: &'a [u8]) -> Result<Self, &'static str> {
        let text = std::str::from_utf8(bytes).map_err(|_| "its encoding")?;
        let text = text.strip_prefix(HEADER).ok_or("its first line")?;
        let (head, checkpoint) = text.split_once("\n\n").ok_or("the empty line before the checkpoint")?;
        let mut lines = head.split('\n');
        let extra = lines.next().and_then(|line| line.strip_prefix("extra "));
        let (entry, disclosure) = extra.and_then(parse_extra).ok_or("its extra line")?;
        let index = lines.next().and_then(|line| line.strip_prefix("index "));
        Ok(Self {
            entry,
            disclosure,
            index: index.and_then(parse_decimal).ok_or("its index line")?,
            hashes: lines
                .map(parse_hash)
                .collect::<Option<_>>()
                .ok_or("the inclusion proof")?,
            checkpoint,
        })
    }
}

/// The file.
impl fmt::Display for TlogProof {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut extra = b"{\"disclosure\":".to_vec();
        self.disclosure.write(&mut extra);
        extra.extend_from_slice(b",\"entry\":");
        canonical::string(&self.entry, &mut extra);
        extra.push(b'}');
        writeln!(
            formatter,
            "{HEADER}extra {}\nindex {}",
            BASE64.encode(extra),
            self.index
        )?;
        for hash in &self.hashes {
            writeln!(formatter, "{}", BASE64.encode(hash))?;
        }
        write!(formatter, "\n{}", self.checkpoint)
    }
}

/// The entry, and what is shown of its body. `None` if the text is not canonical JSON of the two.
fn parse_extra(encoded: &str) -> Option<(String, Result<Disclosure, DisclosureError>)> {
    let decoded = String::from_utf8(BASE64.decode(encoded).ok()?).ok()?;
    let mut cursor = Cursor::new(&decoded);
    cursor.expect("{\"disclosure\":")?;
    let disclosure = Disclosure::parse(cursor.member()?);
    cursor.expect(",\"entry\":")?;
    let mut entry = String::new();
    cursor.string(&mut entry)?;
    cursor.expect("}")?;
    cursor.end()?;
    Some((entry, disclosure))
}

/// Verifies a `.tlog-proof` file against a policy (`formats/bundle.md`, "The proof of one entry").
#[must_use]
pub fn verify_tlog_proof(file: &[u8], policy: &Policy) -> Report {
    let mut report = Report::default();
    verify(&mut report, file, policy);
    report
}

/// `None` says that the verification ended early; the report has why.
fn verify(report: &mut Report, file: &[u8], policy: &Policy) -> Option<()> {
    if !file.starts_with(HEADER.as_bytes()) {
        report.doubt(Doubt::OtherFile);
        return None;
    }
    let proof = Parsed::parse(file)
        .map_err(|what| report.find(Tampering::TlogProof { what }))
        .ok()?;
    let position = proof.index;
    let (checkpoint, untrusted) = check_signed(proof.checkpoint.as_bytes(), policy)
        .map_err(|error| report.find(Tampering::Checkpoint(error)))
        .ok()?;
    report.has_checkpoint(&checkpoint);
    if let Some(reason) = untrusted {
        report.doubt(Doubt::Untrusted(reason));
    }
    let entry = match Entry::decode(proof.entry.as_bytes()) {
        Ok(entry) => Some(entry),
        Err(EntryError::OtherVersion) => {
            report.doubt(Doubt::OtherVersion { position, entries: 1 });
            None
        }
        Err(error) => {
            report.find(Tampering::Entry { position, error });
            return None;
        }
    };
    report.has_checked(1);
    let leaf = leaf_hash(proof.entry.as_bytes());
    if root_of_inclusion(position, checkpoint.size, leaf, &proof.hashes) != Some(checkpoint.root) {
        report.find(Tampering::Root);
    }
    let entry = entry?;
    report.is_of(entry.ledger.as_str(), position);
    match proof.disclosure {
        Ok(disclosure) => {
            if let Err(error) = disclosure.verify_for(entry.commitment()) {
                report.find(Tampering::Disclosure { position, error });
            }
            if disclosure.shown().next().is_none() {
                report.remark(Remark::NothingShown);
            }
        }
        Err(error) => report.find(Tampering::Disclosure { position, error }),
    }
    Some(())
}
