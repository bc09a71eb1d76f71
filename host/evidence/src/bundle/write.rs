//! Writes a bundle.
//!
//! The archive begins with the hashes of what follows, so the members are held in memory until the last entry is there.
//!
//! # Invariants
//!
//! - A bundle that was written is one that proves: every disclosure is checked on the way in, and the root at the end.
//!   Only signatures are taken as they are.

use std::io;

use super::manifest::{DESCRIBED, File, Manifest};
use super::proof::{Proof, Since};
use super::rows::{CSV_HEADER, Rows};
use super::ustar::{self, MEMBER_BYTES_MAX};
use crate::report::Member;
use crate::tree::{Hash, leaf_hash, root_of_range};
use crate::{Disclosure, DisclosureError, Entry, EntryError, SignedCheckpoint};

/// Collects a range of a ledger, entry by entry.
pub struct BundleWriter {
    ledger: String,
    from: u64,
    leaves: Vec<Hash>,
    entries: Vec<u8>,
    disclosures: Vec<u8>,
    rows: Rows,
}

/// Why a bundle was not written.
#[derive(Debug, thiserror::Error)]
pub enum BundleError {
    /// The bytes are no entry. The bundle is as it was.
    #[error("position {position} is no entry that can be exported")]
    Entry {
        /// Where.
        position: u64,
        /// Why.
        source: EntryError,
    },
    /// The entry is of another ledger. The bundle is as it was.
    #[error("position {position} is an entry of the ledger {ledger:?}")]
    Ledger {
        /// Where.
        position: u64,
        /// Its ledger.
        ledger: String,
    },
    /// The disclosure is not one of the entry's body. The bundle is as it was.
    #[error("what is to be shown of position {position} is not what the entry commits to")]
    Disclosure {
        /// Where.
        position: u64,
        /// Why.
        source: DisclosureError,
    },
    /// There are no entries. Nothing was written.
    #[error("a bundle without entries proves nothing")]
    Empty,
    /// Entries and hashes do not make the checkpoint's root. Nothing was written.
    #[error("the entries and the proof do not make the root that was signed")]
    Root,
    /// A member is too large for the archive. Nothing was written.
    #[error("{member} has {bytes} bytes, limit is {MEMBER_BYTES_MAX}: export a smaller range")]
    TooLarge {
        /// Which.
        member: Member,
        /// Its size.
        bytes: u64,
    },
    /// Writing failed. What was written is no bundle.
    #[error("the bundle could not be written")]
    Write(#[from] io::Error),
}

impl BundleWriter {
    /// Begins a bundle of `ledger` whose first entry is the one at `from`.
    #[must_use]
    pub fn new(ledger: &str, from: u64) -> Self {
        let mut rows = Rows::default();
        rows.csv.extend_from_slice(CSV_HEADER);
        Self {
            ledger: ledger.to_owned(),
            from,
            leaves: Vec::new(),
            entries: Vec::new(),
            disclosures: Vec::new(),
            rows,
        }
    }

    /// Position of the next entry.
    #[must_use]
    pub fn next_position(&self) -> u64 {
        self.from + self.leaves.len() as u64
    }

    /// Adds the next entry and what is shown of its body.
    ///
    /// # Errors
    ///
    /// The two do not belong together, or not into this bundle.
    pub fn add(&mut self, encoded: &[u8], disclosure: &Disclosure) -> Result<(), BundleError> {
        let position = self.next_position();
        let entry = Entry::decode(encoded).map_err(|source| BundleError::Entry { position, source })?;
        if entry.ledger.as_str() != self.ledger {
            let ledger = entry.ledger.into();
            return Err(BundleError::Ledger { position, ledger });
        }
        disclosure
            .verify_for(entry.commitment())
            .map_err(|source| BundleError::Disclosure { position, source })?;
        self.leaves.push(leaf_hash(encoded));
        self.entries.extend_from_slice(encoded);
        self.entries.push(b'\n');
        disclosure.write(&mut self.disclosures);
        self.disclosures.push(b'\n');
        self.rows.add(position, encoded, &entry, disclosure);
        Ok(())
    }

    /// Writes the archive. `outside` are the roots of [`outside_ranges`](crate::outside_ranges); `since`, for an auditor
    /// who holds an earlier checkpoint, is its size and the consistency proof from it.
    ///
    /// # Errors
    ///
    /// The bundle would not prove, or is too large, or could not be written.
    pub fn finish(
        self,
        checkpoint: &SignedCheckpoint,
        outside: Vec<Hash>,
        since: Option<(u64, Vec<Hash>)>,
        out: &mut impl io::Write,
    ) -> Result<(), BundleError> {
        if self.leaves.is_empty() {
            return Err(BundleError::Empty);
        }
        let head = checkpoint.checkpoint();
        if root_of_range(self.from, &self.leaves, head.size, &outside) != Some(head.root) {
            return Err(BundleError::Root);
        }
        let to = self.next_position();
        let proof = Proof {
            hashes: outside,
            since: since.map(|(size, hashes)| Since { hashes, size }),
        };
        let (checkpoint, proof) = (checkpoint.to_string(), proof.write());
        let contents: [&[u8]; DESCRIBED] = [
            checkpoint.as_bytes(),
            &self.entries,
            &self.disclosures,
            &proof,
            &self.rows.json,
            &self.rows.csv,
        ];
        for (member, content) in super::manifest::described().zip(contents) {
            let bytes = content.len() as u64;
            if bytes > MEMBER_BYTES_MAX {
                return Err(BundleError::TooLarge { member, bytes });
            }
        }
        let manifest = Manifest {
            files: contents.map(File::of),
            from: self.from,
            to,
            ledger: self.ledger,
        };
        let manifest = manifest.write();
        let [checkpoint, entries, disclosures, proof, json, csv] = contents;
        let contents = [&*manifest, checkpoint, entries, disclosures, proof, json, csv];
        Ok(ustar::write(&contents, out)?)
    }
}
