//! Verifies a bundle: the checks of `formats/bundle.md`, "To verify", in their order.
//!
//! ```text
//! form* ─ bundle.json* ─ hashes ─ checkpoint* ─ policy ─ size ─ entries* ─ root* ─ disclosures ─ rows ─ accounts ─ earlier
//! ```
//!
//! A finding in one marked * ends it, because nothing after it can be read. The walk over the entries is one, in
//! `range.rs`, and so cheaper than its findings read: they are told afterwards, as far as they count.

use super::manifest::{File, Manifest, described};
use super::proof::{Proof, Since};
use super::range::RangeCheck;
use super::ustar::{self, Beginning, Contents};
use crate::report::{Doubt, Member, Tampering};
use crate::tree::{EMPTY_ROOT, is_consistent, root_of_range};
use crate::{CheckError, Checkpoint, CheckpointError, Note, Policy, Report, Untrusted};

/// Verifies a bundle against a policy, and perhaps against a checkpoint that the auditor held before.
#[must_use]
pub fn verify_bundle(bundle: &[u8], policy: &Policy, since: Option<&[u8]>) -> Report {
    verify_bundle_with_progress(bundle, policy, since, &mut |_, _| ())
}

/// As [`verify_bundle`]; now and then `progress` is told how many entries were walked over, of how many.
#[must_use]
pub fn verify_bundle_with_progress(
    bundle: &[u8],
    policy: &Policy,
    since: Option<&[u8]>,
    progress: &mut dyn FnMut(u64, u64),
) -> Report {
    let mut report = Report::default();
    verify(&mut report, bundle, policy, since, progress);
    report
}

/// `None` says that the verification ended early; the report has why.
fn verify(
    report: &mut Report,
    bundle: &[u8],
    policy: &Policy,
    since: Option<&[u8]>,
    progress: &mut dyn FnMut(u64, u64),
) -> Option<()> {
    let contents = open(report, bundle)?;
    let manifest = read_manifest(report, &contents)?;
    check_files(report, &contents, &manifest);
    let [_, checkpoint, _, _, proof, _, _] = contents;
    let checkpoint = check_checkpoint(report, checkpoint, policy)?;
    if checkpoint.size < manifest.to {
        report.find(Tampering::Beyond {
            size: checkpoint.size,
            to: manifest.to,
        });
    }
    let range = check_entries(report, &contents, &manifest, progress)?;
    let proof = check_root(report, proof, &manifest, &range, &checkpoint)?;

    let is_of_this_version = range.other_versions.is_none();
    let disclosures_are_right = range.disclosures.is_empty();
    report.find_all(range.disclosures);
    if disclosures_are_right && is_of_this_version {
        report.find_all(range.rows);
    }
    if is_of_this_version {
        report.find_all(range.accounts);
    }
    range.remarks.into_iter().for_each(|remark| report.remark(remark));
    if let Some(since) = since {
        check_since(report, since, policy, &checkpoint, proof.since.as_ref());
    }
    Some(())
}

fn open<'a>(report: &mut Report, bundle: &'a [u8]) -> Option<Contents<'a>> {
    match ustar::beginning(bundle) {
        Beginning::Empty => report.doubt(Doubt::Empty),
        Beginning::OtherArchive(name) => report.doubt(Doubt::OtherArchive { name }),
        Beginning::Bundle => match ustar::read(bundle) {
            Ok(contents) => return Some(contents),
            Err(what) => report.find(Tampering::Form { what }),
        },
    }
    None
}

fn read_manifest(report: &mut Report, contents: &Contents<'_>) -> Option<Manifest> {
    let Some(manifest) = Manifest::parse(contents[0]) else {
        report.find(Tampering::Manifest);
        return None;
    };
    report.is_of(&manifest.ledger, manifest.from);
    if manifest.from == manifest.to {
        report.doubt(Doubt::NothingToCheck);
        return None;
    }
    Some(manifest)
}

fn check_files(report: &mut Report, contents: &Contents<'_>, manifest: &Manifest) {
    let files = described().zip(&contents[1..]).zip(&manifest.files);
    for ((member, content), expected) in files {
        let actual = File::of(content);
        if actual.bytes != expected.bytes {
            report.find(Tampering::MemberSize {
                member,
                actual: actual.bytes,
                expected: expected.bytes,
            });
        }
        if actual.sha256 != expected.sha256 {
            report.find(Tampering::MemberHash { member });
        }
    }
}

fn check_checkpoint(report: &mut Report, bytes: &[u8], policy: &Policy) -> Option<Checkpoint> {
    match check_signed(bytes, policy) {
        Ok((checkpoint, untrusted)) => {
            report.has_checkpoint(&checkpoint);
            if let Some(reason) = untrusted {
                report.doubt(Doubt::Untrusted(reason));
            }
            Some(checkpoint)
        }
        Err(error) => {
            report.find(Tampering::Checkpoint(error));
            None
        }
    }
}

fn check_entries<'a>(
    report: &mut Report,
    contents: &Contents<'a>,
    manifest: &'a Manifest,
    progress: &mut dyn FnMut(u64, u64),
) -> Option<RangeCheck<'a>> {
    let count = manifest.to - manifest.from;
    let mut lines_are_right = true;
    for (member, content) in [(Member::Entries, contents[2]), (Member::Disclosures, contents[3])] {
        let actual = count_lines(content);
        if actual != count || !content.ends_with(b"\n") {
            lines_are_right = false;
            report.find(Tampering::Lines {
                member,
                actual,
                expected: count,
            });
        }
    }
    if !lines_are_right {
        return None;
    }
    let mut range = RangeCheck::walk(contents, &manifest.ledger, manifest.from, count, progress);
    report.has_checked(count);
    if let Some((position, entries)) = range.other_versions {
        report.doubt(Doubt::OtherVersion { position, entries });
    }
    let can_be_read = range.entries.is_empty();
    report.find_all(std::mem::take(&mut range.entries));
    can_be_read.then_some(range)
}

/// Counts line breaks. A byte holds the count of 255 bytes, which lets the machine compare many at once.
fn count_lines(content: &[u8]) -> u64 {
    let breaks = |bytes: &[u8]| bytes.iter().map(|byte| u8::from(*byte == b'\n')).sum::<u8>();
    content.chunks(255).map(|bytes| u64::from(breaks(bytes))).sum()
}

fn check_root(
    report: &mut Report,
    proof: &[u8],
    manifest: &Manifest,
    range: &RangeCheck<'_>,
    checkpoint: &Checkpoint,
) -> Option<Proof> {
    let Some(proof) = Proof::parse(proof) else {
        report.find(Tampering::Proof);
        return None;
    };
    let root = root_of_range(manifest.from, &range.leaves, checkpoint.size, &proof.hashes);
    if root != Some(checkpoint.root) {
        report.find(Tampering::Root);
        return None;
    }
    Some(proof)
}

fn check_since(report: &mut Report, since: &[u8], policy: &Policy, checkpoint: &Checkpoint, proof: Option<&Since>) {
    let since = match check_signed(since, policy) {
        Ok((since, None)) => since,
        // What nobody signed is nothing to hold against the ledger.
        Ok((_, Some(reason))) => return report.doubt(Doubt::SinceUntrusted(reason)),
        Err(error) => return report.find(Tampering::Since(error)),
    };
    if since.origin != checkpoint.origin {
        return report.doubt(Doubt::SinceOrigin {
            since: since.origin,
            origin: checkpoint.origin.clone(),
        });
    }
    if since.size > checkpoint.size {
        return report.find(Tampering::Shrunk {
            since: since.size,
            size: checkpoint.size,
        });
    }
    let is_beginning = if since.size == checkpoint.size {
        since.root == checkpoint.root
    } else if since.size == 0 {
        since.root == EMPTY_ROOT
    } else if let Some(proof) = proof.filter(|proof| proof.size == since.size) {
        is_consistent(
            since.size,
            &since.root,
            checkpoint.size,
            &checkpoint.root,
            &proof.hashes,
        )
    } else {
        return report.doubt(Doubt::SinceProofMissing { since: since.size });
    };
    if !is_beginning {
        report.find(Tampering::Rewritten { since: since.size });
    }
}

/// Reads a signed checkpoint, and says what keeps the policy from vouching for it.
///
/// # Errors
///
/// It is no checkpoint, or a signature on it is not what it says.
pub(crate) fn check_signed(bytes: &[u8], policy: &Policy) -> Result<(Checkpoint, Option<Untrusted>), CheckError> {
    let note = Note::parse(bytes).map_err(CheckpointError::from)?;
    match policy.check(&note) {
        Ok(checkpoint) => Ok((checkpoint, None)),
        Err(CheckError::Untrusted { checkpoint, reason }) => Ok((checkpoint, Some(reason))),
        Err(error) => Err(error),
    }
}
