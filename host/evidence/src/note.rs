//! Signed notes (C2SP `signed-note`): a text, and below it the signatures of whoever vouches for it.
//!
//! ```text
//! example.com/ledger                     text: ends with a line break
//! 20852163
//! CsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=
//!                                        the last empty line parts text and signatures
//! — example.com/ledger Az3grlgtzPICa5OS8npVmf1Myq/5IZni...
//! — witness.example.com/w1 jWbPPwAAAABkGFDLEZMHwSRaJNiI...
//! ```
//!
//! # Invariants
//!
//! - Writing a note that was read gives the same bytes.
//! - Nothing here says that a signature is good: a note is only read. Whom to believe is the business of
//!   [`Policy`](crate::Policy).

mod key;

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;

pub use self::key::{Cosigner, KeyError, SignatureType, SigningKey, VerifierKey};

/// Begins a signature line: an em dash and a space.
const SIGNATURE_MARK: &str = "\u{2014} ";

/// A text with its signatures.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Note {
    text: String,
    signatures: Vec<SignatureLine>,
}

/// One signature of a note: who says to have signed, and the bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SignatureLine {
    name: String,
    key_id: u32,
    signature: Vec<u8>,
}

/// What a note says about one key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SignatureCheck {
    /// No signature of this key is on the note.
    Absent,
    /// Every signature of this key on the note is good, and there is one.
    Valid,
    /// A signature carries the key's name and id and is not the key's.
    Invalid,
}

/// Why bytes are not a signed note, or a text cannot become one.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoteError {
    /// Not UTF-8.
    #[error("note is not UTF-8")]
    NotUtf8,
    /// A control character below U+0020 other than the line break.
    #[error("note holds the control character U+{code:04X}")]
    ControlCharacter {
        /// Its code point.
        code: u32,
    },
    /// The text does not end with a line break.
    #[error("note text does not end with a line break")]
    TextUnfinished,
    /// There is no empty line with complete signature lines below it.
    #[error("note has no signature lines")]
    NoSignatures,
    /// A line below the text is not `— NAME BASE64`.
    #[error("signature line {line} of the note is malformed")]
    SignatureLine {
        /// Which, from 1.
        line: usize,
    },
}

impl Note {
    /// Reads a note.
    ///
    /// # Errors
    ///
    /// The bytes are not one.
    pub fn parse(bytes: &[u8]) -> Result<Self, NoteError> {
        let note = std::str::from_utf8(bytes).map_err(|_| NoteError::NotUtf8)?;
        check_characters(note)?;
        let split = note.rfind("\n\n").ok_or(NoteError::NoSignatures)?;
        let (text, signatures) = note.split_at(split + 1);
        Ok(Self {
            text: text.to_owned(),
            signatures: parse_signature_lines(&signatures[1..])?,
        })
    }

    /// Makes a note of `text`, signed by each of `keys`.
    ///
    /// # Errors
    ///
    /// The text is empty, does not end with a line break, or holds control characters; or there is no key.
    pub fn sign(text: String, keys: &[SigningKey]) -> Result<Self, NoteError> {
        check_characters(&text)?;
        if !text.ends_with('\n') {
            return Err(NoteError::TextUnfinished);
        }
        if keys.is_empty() {
            return Err(NoteError::NoSignatures);
        }
        let signatures = keys.iter().map(|key| key.sign(&text)).collect();
        Ok(Self { text, signatures })
    }

    /// Adds the signature lines that a witness answered with, unless they are there already.
    ///
    /// Nothing is verified: see [`Self::check_signature`].
    ///
    /// # Errors
    ///
    /// `lines` is not one or more complete signature lines. The note is as it was.
    pub fn add_signature_lines(&mut self, lines: &str) -> Result<(), NoteError> {
        check_characters(lines)?;
        for line in parse_signature_lines(lines)? {
            self.add_signature(line);
        }
        Ok(())
    }

    /// Adds one signature, unless it is there already.
    pub fn add_signature(&mut self, line: SignatureLine) {
        if !self.signatures.contains(&line) {
            self.signatures.push(line);
        }
    }

    /// The text, with the line break at its end.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The signatures in their order, good or not.
    #[must_use]
    pub fn signatures(&self) -> &[SignatureLine] {
        &self.signatures
    }

    /// What the note says about one key.
    #[must_use]
    pub fn check_signature(&self, key: &VerifierKey) -> SignatureCheck {
        let mut check = SignatureCheck::Absent;
        for line in self.signatures.iter().filter(|line| line.is_of(key)) {
            if !key.verifies(&self.text, &line.signature) {
                return SignatureCheck::Invalid;
            }
            check = SignatureCheck::Valid;
        }
        check
    }
}

impl fmt::Display for Note {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(formatter, "{}", self.text)?;
        self.signatures
            .iter()
            .try_for_each(|line| writeln!(formatter, "{line}"))
    }
}

impl SignatureLine {
    /// Name of the key that is said to have signed.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Id of that key.
    #[must_use]
    pub fn key_id(&self) -> u32 {
        self.key_id
    }

    /// Says whether the line carries the name and id of `key`.
    #[must_use]
    pub fn is_of(&self, key: &VerifierKey) -> bool {
        self.key_id == key.id() && self.name == key.name()
    }

    /// Says whether the line is a good signature of `key` over `text`.
    #[must_use]
    pub fn verifies(&self, key: &VerifierKey, text: &str) -> bool {
        self.is_of(key) && key.verifies(text, &self.signature)
    }

    fn parse(line: &str) -> Option<Self> {
        let (name, encoded) = line.strip_prefix(SIGNATURE_MARK)?.split_once(' ')?;
        let decoded = BASE64.decode(encoded).ok()?;
        let (id, signature) = decoded.split_first_chunk::<4>()?;
        (key::is_key_name(name) && !signature.is_empty()).then(|| Self {
            name: name.to_owned(),
            key_id: u32::from_be_bytes(*id),
            signature: signature.to_vec(),
        })
    }
}

/// The line without its line break.
impl fmt::Display for SignatureLine {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let bytes = [&self.key_id.to_be_bytes()[..], &self.signature].concat();
        write!(formatter, "{SIGNATURE_MARK}{} {}", self.name, BASE64.encode(bytes))
    }
}

fn check_characters(note: &str) -> Result<(), NoteError> {
    match note.bytes().find(|byte| *byte < b' ' && *byte != b'\n') {
        Some(byte) => Err(NoteError::ControlCharacter { code: byte.into() }),
        None => Ok(()),
    }
}

fn parse_signature_lines(lines: &str) -> Result<Vec<SignatureLine>, NoteError> {
    let lines = lines.strip_suffix('\n').ok_or(NoteError::NoSignatures)?;
    lines
        .split('\n')
        .enumerate()
        .map(|(index, line)| SignatureLine::parse(line).ok_or(NoteError::SignatureLine { line: index + 1 }))
        .collect()
}

#[cfg(test)]
mod tests;
