//! What verifying something that was exported comes to: findings, doubts, remarks, and the verdict over them.
//!
//! | verdict | exit code | |
//! | --- | --- | --- |
//! | tampered | 1 | at least one finding |
//! | cannot tell | 2 | no finding, but something could not be checked |
//! | proved | 0 | everything was checked, and there was something to check |
//!
//! # Invariants
//!
//! - A report is `proved` only after every check ran. One that was given up says why, as a finding or a doubt.
//! - Memory for findings is bounded: past [`FINDINGS_MAX`] they are only counted.

mod remark;
mod tampering;

use crate::Checkpoint;

pub use self::remark::{Doubt, Remark};
pub use self::tampering::{Member, Tampering};

/// Findings that are kept. Who needs more has seen enough.
pub const FINDINGS_MAX: usize = 1000;

/// What came out.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Report {
    findings: Vec<Tampering>,
    findings_left_out: u64,
    doubts: Vec<Doubt>,
    remarks: Vec<Remark>,
    checkpoint: Option<Checkpoint>,
    ledger: Option<String>,
    from: u64,
    entries: u64,
}

/// The answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Everything is as it was recorded.
    Proved,
    /// Something is not.
    Tampered,
    /// Nothing says that something was tampered with, but this does not prove it either.
    CannotTell,
}

impl Report {
    /// What is wrong, the first [`FINDINGS_MAX`].
    #[must_use]
    pub fn findings(&self) -> &[Tampering] {
        &self.findings
    }

    /// How many findings there were beyond those.
    #[must_use]
    pub fn findings_left_out(&self) -> u64 {
        self.findings_left_out
    }

    /// What could not be checked.
    #[must_use]
    pub fn doubts(&self) -> &[Doubt] {
        &self.doubts
    }

    /// What an auditor should know although it changes nothing.
    #[must_use]
    pub fn remarks(&self) -> &[Remark] {
        &self.remarks
    }

    /// The checkpoint, once it was read. It is to be believed only as far as the verdict is.
    #[must_use]
    pub fn checkpoint(&self) -> Option<&Checkpoint> {
        self.checkpoint.as_ref()
    }

    /// Name of the ledger, once it was read.
    #[must_use]
    pub fn ledger(&self) -> Option<&str> {
        self.ledger.as_deref()
    }

    /// Position of the first entry.
    #[must_use]
    pub fn from(&self) -> u64 {
        self.from
    }

    /// Entries that were checked.
    #[must_use]
    pub fn entries(&self) -> u64 {
        self.entries
    }

    /// The answer.
    #[must_use]
    pub fn verdict(&self) -> Verdict {
        if !self.findings.is_empty() {
            Verdict::Tampered
        } else if !self.doubts.is_empty() || self.entries == 0 {
            Verdict::CannotTell
        } else {
            Verdict::Proved
        }
    }

    pub(crate) fn find(&mut self, finding: Tampering) {
        if self.findings.len() < FINDINGS_MAX {
            self.findings.push(finding);
        } else {
            self.findings_left_out += 1;
        }
    }

    /// Adds what a list of its own collected, which may have been cut.
    pub(crate) fn find_all(&mut self, findings: Findings) {
        findings.kept.into_iter().for_each(|finding| self.find(finding));
        self.findings_left_out += findings.left_out;
    }

    pub(crate) fn doubt(&mut self, doubt: Doubt) {
        self.doubts.push(doubt);
    }

    pub(crate) fn remark(&mut self, remark: Remark) {
        self.remarks.push(remark);
    }

    pub(crate) fn is_of(&mut self, ledger: &str, from: u64) {
        self.ledger = Some(ledger.to_owned());
        self.from = from;
    }

    pub(crate) fn has_checkpoint(&mut self, checkpoint: &Checkpoint) {
        self.checkpoint = Some(checkpoint.clone());
    }

    pub(crate) fn has_checked(&mut self, entries: u64) {
        self.entries = entries;
    }
}

impl Verdict {
    /// Exit code of the command.
    #[must_use]
    pub fn exit_code(self) -> u8 {
        match self {
            Self::Proved => 0,
            Self::Tampered => 1,
            Self::CannotTell => 2,
        }
    }
}

/// Findings of one check, kept apart until it is known whether the check counts.
#[derive(Default)]
pub(crate) struct Findings {
    kept: Vec<Tampering>,
    left_out: u64,
}

impl Findings {
    pub(crate) fn find(&mut self, finding: Tampering) {
        if self.kept.len() < FINDINGS_MAX {
            self.kept.push(finding);
        } else {
            self.left_out += 1;
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.kept.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_finding_outweighs_a_doubt_and_nothing_checked_is_no_success() {
        let mut report = Report::default();
        assert_eq!(report.verdict().exit_code(), 2);
        report.has_checked(1);
        assert_eq!(report.verdict().exit_code(), 0);
        report.doubt(Doubt::NothingToCheck);
        assert_eq!(report.verdict().exit_code(), 2);
        report.find(Tampering::Root);
        assert_eq!(report.verdict().exit_code(), 1);
    }

    #[test]
    fn findings_past_the_limit_are_counted() {
        let mut report = Report::default();
        (0..FINDINGS_MAX + 5).for_each(|_| report.find(Tampering::Root));
        assert_eq!((report.findings().len(), report.findings_left_out()), (FINDINGS_MAX, 5));
    }
}
