//! One walk over the entries of a bundle, their disclosures and rows, in which everything is read once.
//!
//! The checks have an order, and some of them count only if others found nothing. So each keeps its findings apart, and
//! `verify.rs` decides afterwards which of them are told.

use super::rows::{CSV_HEADER, Rows};
use super::ustar::Contents;
use crate::report::{Findings, Member, Remark, Tampering};
use crate::tree::{Hash, leaf_hash};
use crate::{Accounts, Disclosure, DisclosureError, Entry, EntryError, EntryKind, Loss};

/// Entries between two calls of the progress callback.
const PROGRESS_ENTRIES: u64 = 4096;

/// What the walk found, check by check.
pub(super) struct RangeCheck<'a> {
    pub(super) leaves: Vec<Hash>,
    pub(super) entries: Findings,
    /// The first entry of another version, and how many there are.
    pub(super) other_versions: Option<(u64, u64)>,
    pub(super) disclosures: Findings,
    pub(super) rows: Findings,
    pub(super) accounts: Findings,
    pub(super) remarks: Vec<Remark>,
    ledger: &'a str,
    shard_accounts: Accounts,
    json: RowsLeft<'a>,
    csv: RowsLeft<'a>,
    expected: Rows,
    disclosure: Disclosure,
    has_shown: bool,
    gaps: Option<(u64, u64, u64)>,
}

/// Rows that were not compared yet.
struct RowsLeft<'a> {
    member: Member,
    left: &'a [u8],
    differs: bool,
}

/// Takes the next line with its line break off `rest`. The break is there: lines were counted.
fn next_line<'a>(rest: &mut &'a [u8]) -> &'a [u8] {
    let is_break = |byte: &u8| *byte == b'\n';
    // Whole blocks first, without a branch for each byte: lines are long.
    let blocks = rest.chunks_exact(64);
    let skipped = blocks.take_while(|block| !block.iter().fold(false, |found, byte| found | is_break(byte)));
    let skipped = skipped.count() * 64;
    let end = rest[skipped..].iter().position(is_break);
    let end = end.map_or(rest.len(), |end| skipped + end);
    let (line, behind) = rest.split_at(end);
    *rest = behind.strip_prefix(b"\n").unwrap_or(behind);
    line
}

impl<'a> RangeCheck<'a> {
    /// Walks over `count` entries from the position `from` on. `entries.jsonl` and `disclosures.jsonl` have as many lines.
    pub(super) fn walk(
        contents: &Contents<'a>,
        ledger: &'a str,
        from: u64,
        count: u64,
        progress: &mut dyn FnMut(u64, u64),
    ) -> Self {
        let [_, _, mut entries, mut disclosures, _, json, csv] = *contents;
        let mut check = Self {
            leaves: Vec::with_capacity(usize::try_from(count).unwrap_or_default()),
            entries: Findings::default(),
            other_versions: None,
            disclosures: Findings::default(),
            rows: Findings::default(),
            accounts: Findings::default(),
            remarks: Vec::new(),
            ledger,
            shard_accounts: Accounts::new(from == 0),
            json: RowsLeft::new(Member::RowsJson, json),
            csv: RowsLeft::new(Member::RowsCsv, csv),
            expected: Rows::default(),
            disclosure: Disclosure::default(),
            has_shown: false,
            gaps: None,
        };
        check.csv.compare(CSV_HEADER, from, &mut check.rows);
        for index in 0..count {
            if index % PROGRESS_ENTRIES == 0 {
                progress(index, count);
            }
            check.take(from + index, next_line(&mut entries), next_line(&mut disclosures));
        }
        progress(count, count);
        check.finish();
        check
    }

    fn take(&mut self, position: u64, encoded: &[u8], disclosed: &[u8]) {
        self.leaves.push(leaf_hash(encoded));
        let entry = match Entry::decode(encoded) {
            Ok(entry) => entry,
            Err(EntryError::OtherVersion) => {
                self.other_versions.get_or_insert((position, 0)).1 += 1;
                return;
            }
            Err(error) => {
                self.entries.find(Tampering::Entry { position, error });
                return;
            }
        };
        if entry.ledger.as_str() != self.ledger {
            let ledger = entry.ledger.into();
            self.entries.find(Tampering::Ledger { position, ledger });
            return;
        }
        if let Err(error) = self.read_disclosure(&entry, disclosed) {
            self.disclosures.find(Tampering::Disclosure { position, error });
        } else if self.has_rows() {
            self.expected.clear();
            self.expected.add(position, encoded, &entry, &self.disclosure);
            self.json.compare(&self.expected.json, position, &mut self.rows);
            self.csv.compare(&self.expected.csv, position, &mut self.rows);
        }
        for unaccounted in self.shard_accounts.take(position, &entry) {
            self.accounts.find(unaccounted.into());
        }
        if let EntryKind::Gap(gap) = &entry.kind {
            let (gaps, certain, _) = self.gaps.get_or_insert((0, 0, position));
            *gaps += 1;
            *certain += u64::from(gap.loss == Loss::Certain);
        }
    }

    /// Reads what is shown of an entry's body, and checks it.
    fn read_disclosure(&mut self, entry: &Entry, disclosed: &[u8]) -> Result<(), DisclosureError> {
        let text = std::str::from_utf8(disclosed).map_err(|_| DisclosureError::Malformed)?;
        self.disclosure.read(text)?;
        self.disclosure.verify_for(entry.commitment())?;
        self.has_shown |= self.disclosure.shown().next().is_some();
        Ok(())
    }

    /// Says whether the rows are still worth comparing: each follows from an entry and a disclosure that were read.
    fn has_rows(&self) -> bool {
        self.disclosures.is_empty() && self.other_versions.is_none() && !(self.json.differs && self.csv.differs)
    }

    fn finish(&mut self) {
        self.json.finish(&mut self.rows);
        self.csv.finish(&mut self.rows);
        if let Some((gaps, certain, position)) = self.gaps {
            self.remarks.push(Remark::Gaps {
                gaps,
                certain,
                position,
            });
        }
        let entries = self.shard_accounts.waiting();
        if entries > 0 {
            self.remarks.push(Remark::Waiting { entries });
        }
        if !self.has_shown {
            self.remarks.push(Remark::NothingShown);
        }
    }
}

impl<'a> RowsLeft<'a> {
    fn new(member: Member, left: &'a [u8]) -> Self {
        Self {
            member,
            left,
            differs: false,
        }
    }

    /// Takes the next row off, which has to be `expected`. Behind one that is not, nothing is compared.
    fn compare(&mut self, expected: &[u8], position: u64, findings: &mut Findings) {
        if self.differs {
            return;
        }
        let member = self.member;
        if let Some(left) = self.left.strip_prefix(expected) {
            self.left = left;
        } else {
            self.differs = true;
            findings.find(Tampering::Rows { member, position });
        }
    }

    fn finish(&self, findings: &mut Findings) {
        if !self.differs && !self.left.is_empty() {
            findings.find(Tampering::RowsBesides { member: self.member });
        }
    }
}
