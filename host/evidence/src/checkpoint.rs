//! The checkpoint: what a ledger is at one size, in three lines (C2SP `tlog-checkpoint`), signed as a note.
//!
//! ```text
//! example.com/ledger                               origin: which ledger
//! 20852163                                         size: number of entries
//! CsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=     root of the Merkle tree over them
//! ```
//!
//! Lines may follow that mean nothing to us (extension lines); they are signed like the rest.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;

use crate::tree::Hash;
use crate::{Note, NoteError, SigningKey};

/// Size and root of a ledger.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Checkpoint {
    /// Which ledger: a name for all the world, one line.
    pub origin: String,
    /// Number of entries.
    pub size: u64,
    /// Root of the tree over them.
    pub root: Hash,
}

/// A checkpoint as a note. Read, not believed: see [`Policy::check`](crate::Policy::check).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SignedCheckpoint {
    checkpoint: Checkpoint,
    note: Note,
}

/// Why bytes are not a signed checkpoint.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CheckpointError {
    /// Not a signed note.
    #[error(transparent)]
    Note(#[from] NoteError),
    /// The text ends too early, or holds an empty line.
    #[error("a checkpoint is three lines or more, none of them empty")]
    Lines,
    /// The second line is no size.
    #[error("{text:?} is not the size of a tree")]
    Size {
        /// The line, cut to 64 characters.
        text: String,
    },
    /// The third line is no root.
    #[error("{text:?} is not a root: 32 bytes in base64")]
    Root {
        /// The line, cut to 64 characters.
        text: String,
    },
}

impl Checkpoint {
    /// Reads the text of a checkpoint's note.
    ///
    /// # Errors
    ///
    /// The text is not a checkpoint.
    pub fn parse(text: &str) -> Result<Self, CheckpointError> {
        let lines = text.strip_suffix('\n').ok_or(CheckpointError::Lines)?;
        if lines.split('\n').any(str::is_empty) {
            return Err(CheckpointError::Lines);
        }
        let mut lines = lines.split('\n');
        let (Some(origin), Some(size), Some(root)) = (lines.next(), lines.next(), lines.next()) else {
            return Err(CheckpointError::Lines);
        };
        Ok(Self {
            origin: origin.to_owned(),
            size: parse_decimal(size).ok_or_else(|| CheckpointError::Size { text: cut(size) })?,
            root: parse_hash(root).ok_or_else(|| CheckpointError::Root { text: cut(root) })?,
        })
    }

    /// Signs it with each of `keys`.
    ///
    /// # Errors
    ///
    /// The origin is not one line of text, or there is no key.
    pub fn sign(&self, keys: &[SigningKey]) -> Result<SignedCheckpoint, CheckpointError> {
        let note = Note::sign(self.to_string(), keys)?;
        if Self::parse(note.text())? != *self {
            return Err(CheckpointError::Lines);
        }
        Ok(SignedCheckpoint {
            checkpoint: self.clone(),
            note,
        })
    }
}

/// The three lines.
impl fmt::Display for Checkpoint {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            formatter,
            "{}\n{}\n{}",
            self.origin,
            self.size,
            BASE64.encode(self.root)
        )
    }
}

impl SignedCheckpoint {
    /// Reads a note whose text is a checkpoint.
    ///
    /// # Errors
    ///
    /// The bytes are not one.
    pub fn parse(bytes: &[u8]) -> Result<Self, CheckpointError> {
        let note = Note::parse(bytes)?;
        Ok(Self {
            checkpoint: Checkpoint::parse(note.text())?,
            note,
        })
    }

    /// What was signed.
    #[must_use]
    pub fn checkpoint(&self) -> &Checkpoint {
        &self.checkpoint
    }

    /// The note itself.
    #[must_use]
    pub fn note(&self) -> &Note {
        &self.note
    }

    /// Adds the signature lines that a witness answered with.
    ///
    /// # Errors
    ///
    /// As [`Note::add_signature_lines`].
    pub fn add_signature_lines(&mut self, lines: &str) -> Result<(), NoteError> {
        self.note.add_signature_lines(lines)
    }
}

/// The note, as it is stored and sent.
impl fmt::Display for SignedCheckpoint {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.note.fmt(formatter)
    }
}

/// Reads a decimal without leading zeros.
pub(crate) fn parse_decimal(digits: &str) -> Option<u64> {
    let canonical = digits == "0" || !digits.starts_with('0');
    let decimal = canonical && digits.bytes().all(|digit| digit.is_ascii_digit());
    digits.parse().ok().filter(|_| decimal)
}

/// Reads a hash in base64.
pub(crate) fn parse_hash(encoded: &str) -> Option<Hash> {
    let mut bytes = [0; 33];
    let length = (encoded.len() == 44).then(|| BASE64.decode_slice(encoded, &mut bytes).ok())??;
    bytes[..length].try_into().ok()
}

fn cut(text: &str) -> String {
    text.chars().take(64).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The example of C2SP `tlog-checkpoint`.
    const EXAMPLE: &str = "example.com/behind-the-sofa\n20852163\nCsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=\n";

    #[test]
    fn the_example_of_the_specification_reads_and_is_written_back() {
        let checkpoint = Checkpoint::parse(EXAMPLE).unwrap();
        assert_eq!(checkpoint.origin, "example.com/behind-the-sofa");
        assert_eq!(checkpoint.size, 20_852_163);
        assert_eq!(checkpoint.to_string(), EXAMPLE);
    }

    #[test]
    fn extension_lines_are_passed_over_and_stay_in_the_note() {
        let text = format!("{EXAMPLE}anything\n");
        assert_eq!(Checkpoint::parse(&text), Checkpoint::parse(EXAMPLE));
        let key = SigningKey::new("example.com".to_owned(), &[1; 32]).unwrap();
        let note = Note::sign(text, &[key]).unwrap().to_string();
        assert_eq!(SignedCheckpoint::parse(note.as_bytes()).unwrap().to_string(), note);
    }

    #[test]
    fn what_is_not_a_checkpoint_is_refused() {
        for (from, to) in [
            ("example.com/behind-the-sofa", ""),
            ("20852163", "020852163"),
            ("20852163", "+20852163"),
            ("20852163", "-1"),
            ("20852163", "0x10"),
            ("20852163", ""),
            ("20852163", "18446744073709551616"),
            ("q2I=", "q2J="),
            ("q2I=", "q2I"),
            ("q2I=", "q2I=A"),
            ("CsUY", ""),
            ("\nCsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=", ""),
            ("q2I=\n", "q2I="),
            ("q2I=\n", "q2I=\n\n"),
            ("q2I=\n", "q2I=\n\nmore\n"),
        ] {
            assert!(EXAMPLE.contains(from));
            assert!(
                Checkpoint::parse(&EXAMPLE.replace(from, to)).is_err(),
                "{from:?} {to:?}"
            );
        }
        assert!(Checkpoint::parse("").is_err());
    }

    #[test]
    fn an_origin_that_would_be_read_as_something_else_is_not_signed() {
        let key = SigningKey::new("example.com".to_owned(), &[1; 32]).unwrap();
        let sign = |origin: &str| {
            let checkpoint = Checkpoint {
                origin: origin.to_owned(),
                size: 0,
                root: [0; 32],
            };
            checkpoint.sign(std::slice::from_ref(&key))
        };
        assert!(sign("example.com").is_ok());
        assert!(sign("").is_err());
        assert!(sign("a\n7").is_err());
        assert!(sign("a\tb").is_err());
    }
}
