//! Reads a policy file (C2SP `tlog-policy`, "Policy file syntax and structure"), line by line.
//!
//! Names are bytes, not text: only vkeys have to be UTF-8. Of keys we read Ed25519: type 0x01 for a log, 0x04 for a
//! witness. The line break behind the last line may be missing.

use std::collections::{HashMap, HashSet};

use super::{Group, Member, Policy};
use crate::note::SignatureType;
use crate::{KeyError, VerifierKey};

/// Name of the quorum that asks for nobody.
const NONE: &[u8] = b"none";

/// Why bytes are not a policy.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PolicyError {
    /// A control character other than tab and line break.
    #[error("line {line} of the policy holds a control character")]
    ControlCharacter {
        /// Which line, from 1.
        line: usize,
    },
    /// The line begins with no known word, or has too few or too many words.
    #[error(
        "line {line} of the policy is none of: log VKEY [URL], witness NAME VKEY [URL], group NAME all|any|K NAME..., quorum NAME"
    )]
    Line {
        /// Which line, from 1.
        line: usize,
    },
    /// The public key cannot be read.
    #[error("line {line} of the policy: the key cannot be read")]
    Key {
        /// Which line, from 1.
        line: usize,
        /// Why.
        source: KeyError,
    },
    /// A log with the key of a witness.
    #[error("line {line} of the policy: the key of a log has signature type 0x01")]
    LogKey {
        /// Which line, from 1.
        line: usize,
    },
    /// A witness with the key of a log.
    #[error("line {line} of the policy: the key of a witness has signature type 0x04")]
    WitnessKey {
        /// Which line, from 1.
        line: usize,
    },
    /// Two logs, or two witnesses, with one public key.
    #[error("line {line} of the policy: this public key stands on an earlier line")]
    DuplicateKey {
        /// Which line, from 1.
        line: usize,
    },
    /// The name is taken, or is `none`.
    #[error("line {line} of the policy: the name is taken")]
    NameTaken {
        /// Which line, from 1.
        line: usize,
    },
    /// No earlier line defines that name.
    #[error("line {line} of the policy: {name:?} is not defined on an earlier line")]
    NameUnknown {
        /// Which line, from 1.
        line: usize,
        /// The name.
        name: String,
    },
    /// The name is a member of a group already.
    #[error("line {line} of the policy: {name:?} is a member of a group already")]
    MemberTwice {
        /// Which line, from 1.
        line: usize,
        /// The name.
        name: String,
    },
    /// The number is not 1 to the number of members.
    #[error("line {line} of the policy: a group asks for 1 to {members} of its members")]
    Threshold {
        /// Which line, from 1.
        line: usize,
        /// Members of the group.
        members: usize,
    },
    /// There is no quorum line, or more than one.
    #[error("a policy has exactly one line with its quorum")]
    Quorum,
}

pub(super) fn policy(bytes: &[u8]) -> Result<Policy, PolicyError> {
    let mut parser = Parser::default();
    for (index, line) in bytes.split(|byte| *byte == b'\n').enumerate() {
        parser.take(index + 1, line)?;
    }
    Ok(Policy {
        logs: parser.logs,
        witnesses: parser.witnesses,
        groups: parser.groups,
        quorum: parser.quorum.ok_or(PolicyError::Quorum)?,
    })
}

#[derive(Default)]
struct Parser<'policy> {
    logs: Vec<VerifierKey>,
    witnesses: Vec<VerifierKey>,
    groups: Vec<Group>,
    /// Outer: whether there is a quorum line. Inner: whether it names somebody.
    quorum: Option<Option<Member>>,
    names: HashMap<&'policy [u8], Member>,
    members: HashSet<Member>,
    log_keys: HashSet<[u8; 32]>,
    witness_keys: HashSet<[u8; 32]>,
}

impl<'policy> Parser<'policy> {
    fn take(&mut self, line: usize, text: &'policy [u8]) -> Result<(), PolicyError> {
        if text
            .iter()
            .any(|byte| (*byte < b' ' && *byte != b'\t') || *byte == 0x7F)
        {
            return Err(PolicyError::ControlCharacter { line });
        }
        let words: Vec<&[u8]> = text
            .split(|byte| matches!(byte, b' ' | b'\t'))
            .filter(|word| !word.is_empty())
            .collect();
        match words[..] {
            [] => Ok(()),
            [word, ..] if word.starts_with(b"#") => Ok(()),
            [b"log", vkey] | [b"log", vkey, _] => self.log(line, vkey),
            [b"witness", name, vkey] | [b"witness", name, vkey, _] => self.witness(line, name, vkey),
            [b"group", name, threshold, ref members @ ..] if !members.is_empty() => {
                self.group(line, name, threshold, members)
            }
            [b"quorum", name] => self.quorum(line, name),
            _ => Err(PolicyError::Line { line }),
        }
    }

    fn log(&mut self, line: usize, vkey: &[u8]) -> Result<(), PolicyError> {
        let key = parse_key(line, vkey)?;
        if key.signature_type() != SignatureType::Log {
            return Err(PolicyError::LogKey { line });
        }
        if !self.log_keys.insert(*key.public_key()) {
            return Err(PolicyError::DuplicateKey { line });
        }
        self.logs.push(key);
        Ok(())
    }

    fn witness(&mut self, line: usize, name: &'policy [u8], vkey: &[u8]) -> Result<(), PolicyError> {
        let key = parse_key(line, vkey)?;
        if key.signature_type() != SignatureType::Cosignature {
            return Err(PolicyError::WitnessKey { line });
        }
        if !self.witness_keys.insert(*key.public_key()) {
            return Err(PolicyError::DuplicateKey { line });
        }
        self.define(line, name, Member::Witness(self.witnesses.len()))?;
        self.witnesses.push(key);
        Ok(())
    }

    fn group(
        &mut self,
        line: usize,
        name: &'policy [u8],
        threshold: &[u8],
        names: &[&[u8]],
    ) -> Result<(), PolicyError> {
        let members: Vec<Member> = names
            .iter()
            .map(|name| {
                let member = self.find(line, name)?;
                let name = || String::from_utf8_lossy(name).into_owned();
                let new = self.members.insert(member);
                new.then_some(member)
                    .ok_or_else(|| PolicyError::MemberTwice { line, name: name() })
            })
            .collect::<Result<_, _>>()?;
        let threshold = match threshold {
            b"all" => members.len(),
            b"any" => 1,
            digits => parse_threshold(digits)
                .filter(|threshold| (1..=members.len()).contains(threshold))
                .ok_or(PolicyError::Threshold {
                    line,
                    members: members.len(),
                })?,
        };
        self.define(line, name, Member::Group(self.groups.len()))?;
        self.groups.push(Group { threshold, members });
        Ok(())
    }

    fn quorum(&mut self, line: usize, name: &[u8]) -> Result<(), PolicyError> {
        if self.quorum.is_some() {
            return Err(PolicyError::Quorum);
        }
        self.quorum = Some(if name == NONE {
            None
        } else {
            Some(self.find(line, name)?)
        });
        Ok(())
    }

    fn define(&mut self, line: usize, name: &'policy [u8], member: Member) -> Result<(), PolicyError> {
        if name == NONE || self.names.contains_key(name) {
            return Err(PolicyError::NameTaken { line });
        }
        self.names.insert(name, member);
        Ok(())
    }

    fn find(&self, line: usize, name: &[u8]) -> Result<Member, PolicyError> {
        self.names.get(name).copied().ok_or_else(|| PolicyError::NameUnknown {
            line,
            name: String::from_utf8_lossy(name).into_owned(),
        })
    }
}

fn parse_key(line: usize, vkey: &[u8]) -> Result<VerifierKey, PolicyError> {
    let text = std::str::from_utf8(vkey).map_err(|_| KeyError::Form);
    text.and_then(VerifierKey::parse)
        .map_err(|source| PolicyError::Key { line, source })
}

/// Digits without leading zeros.
fn parse_threshold(digits: &[u8]) -> Option<usize> {
    let digits = std::str::from_utf8(digits).ok()?;
    crate::checkpoint::parse_decimal(digits)?.try_into().ok()
}

#[cfg(test)]
mod tests;
