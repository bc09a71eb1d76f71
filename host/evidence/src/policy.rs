//! Whom to believe: the logs whose checkpoints count, and the witnesses that must have seen them (C2SP `tlog-policy`).
//!
//! ```text
//! log    example.com/ledger+1a2b3c4d+AQ...
//! witness W1 witness.example/1+...
//! witness W2 witness.example/2+...
//! group   both all W1 W2
//! quorum  both
//! ```
//!
//! A public key alone is the policy of that one log and no witness.
//!
//! # Invariants
//!
//! - A policy comes from elsewhere than what it judges.
//! - A name is a member of one group at most, so a witness counts once.
//! - Groups name only what stands before them, so one pass decides the quorum.

mod parse;

use crate::note::SignatureType;
use crate::{Checkpoint, CheckpointError, Note, VerifierKey};

pub use self::parse::PolicyError;

/// Logs, witnesses and the quorum.
#[derive(Clone, Debug)]
pub struct Policy {
    logs: Vec<VerifierKey>,
    witnesses: Vec<VerifierKey>,
    groups: Vec<Group>,
    quorum: Option<Member>,
}

/// A number of members of which enough must have cosigned.
#[derive(Clone, Debug)]
struct Group {
    threshold: usize,
    members: Vec<Member>,
}

/// A witness or a group, by its index.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Member {
    Witness(usize),
    Group(usize),
}

/// Why a note is not a checkpoint that a policy vouches for.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CheckError {
    /// It is no checkpoint. Somebody made it so.
    #[error(transparent)]
    Malformed(#[from] CheckpointError),
    /// It carries a signature in the name of a key of the policy that is not that key's. Somebody made it so.
    #[error("the signature of {name} does not fit: the text or the signature was changed")]
    BadSignature {
        /// Name of the key.
        name: String,
    },
    /// Every signature that the policy knows is good, but too few are there. This cannot tell whether it is genuine.
    #[error("{reason}")]
    Untrusted {
        /// What it says.
        checkpoint: Checkpoint,
        /// What is missing.
        reason: Untrusted,
    },
}

/// What a checkpoint lacks.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Untrusted {
    /// No log of the policy signed it, or none under this origin.
    #[error("the checkpoint of {origin:?} is not signed by a log of that name that the policy lists")]
    Log {
        /// Origin of the checkpoint.
        origin: String,
    },
    /// A log signed it, too few witnesses did.
    #[error("the checkpoint of {origin:?} is not cosigned by the policy's quorum of witnesses")]
    Quorum {
        /// Origin of the checkpoint.
        origin: String,
    },
}

impl Policy {
    /// The policy of one log, without witnesses: `log <vkey>`, `quorum none`.
    ///
    /// # Errors
    ///
    /// It is the key of a witness.
    pub fn from_key(key: VerifierKey) -> Result<Self, PolicyError> {
        if key.signature_type() != SignatureType::Log {
            return Err(PolicyError::LogKey { line: 1 });
        }
        Ok(Self {
            logs: vec![key],
            witnesses: Vec::new(),
            groups: Vec::new(),
            quorum: None,
        })
    }

    /// Reads a policy file.
    ///
    /// # Errors
    ///
    /// The bytes are not one, or name keys of types that Weir does not read.
    pub fn parse(bytes: &[u8]) -> Result<Self, PolicyError> {
        parse::policy(bytes)
    }

    /// The logs in their order.
    #[must_use]
    pub fn logs(&self) -> &[VerifierKey] {
        &self.logs
    }

    /// The witnesses in their order.
    #[must_use]
    pub fn witnesses(&self) -> &[VerifierKey] {
        &self.witnesses
    }

    /// Reads a note as a checkpoint and says whether this policy vouches for it.
    ///
    /// # Errors
    ///
    /// It does not, or the note was tampered with.
    pub fn check(&self, note: &Note) -> Result<Checkpoint, CheckError> {
        let checkpoint = Checkpoint::parse(note.text())?;
        let logs_signed = signed(note, &self.logs)?;
        let witnesses_signed = signed(note, &self.witnesses)?;
        let by_log = logs_signed
            .iter()
            .zip(&self.logs)
            .any(|(signed, log)| *signed && log.name() == checkpoint.origin);
        let origin = checkpoint.origin.clone();
        let reason = if !by_log {
            Untrusted::Log { origin }
        } else if !self.is_quorum(&witnesses_signed) {
            Untrusted::Quorum { origin }
        } else {
            return Ok(checkpoint);
        };
        Err(CheckError::Untrusted { checkpoint, reason })
    }

    fn is_quorum(&self, witnesses_signed: &[bool]) -> bool {
        let Some(quorum) = self.quorum else {
            return true;
        };
        let mut groups_signed = Vec::with_capacity(self.groups.len());
        for group in &self.groups {
            let signed = group.members.iter().filter(|member| match member {
                Member::Witness(index) => witnesses_signed[*index],
                Member::Group(index) => groups_signed[*index],
            });
            let enough = signed.count() >= group.threshold;
            groups_signed.push(enough);
        }
        match quorum {
            Member::Witness(index) => witnesses_signed[index],
            Member::Group(index) => groups_signed[index],
        }
    }
}

/// Which of `keys` signed the note.
fn signed(note: &Note, keys: &[VerifierKey]) -> Result<Vec<bool>, CheckError> {
    let mut signed = vec![false; keys.len()];
    for line in note.signatures() {
        for (key, signed) in keys.iter().zip(&mut signed).filter(|(key, _)| line.is_of(key)) {
            if !line.verifies(key, note.text()) {
                let name = key.name().to_owned();
                return Err(CheckError::BadSignature { name });
            }
            *signed = true;
        }
    }
    Ok(signed)
}

#[cfg(test)]
mod tests;
