//! Keys of notes: Ed25519, in the two roles that a ledger needs.
//!
//! | type | role | signs |
//! | --- | --- | --- |
//! | 0x01 | log | the text of the note |
//! | 0x04 | witness (C2SP `tlog-cosignature`, v1) | `cosignature/v1`, the time, the text |
//!
//! A public key travels as a *vkey*: `NAME+ID+BASE64`, where the id is a hash of name, type and key.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use ed25519_dalek::{Signature, Signer as _, Verifier as _, VerifyingKey};
use sha2::{Digest as _, Sha256};
use zeroize::Zeroizing;

use super::SignatureLine;

/// Bytes of an Ed25519 signature.
const SIGNATURE_BYTES: usize = 64;

/// Latest time of a cosignature in seconds since 1970 (C2SP `tlog-cosignature`, "Format").
const TIMESTAMP_S_MAX: u64 = i64::MAX.cast_unsigned();

/// What a key is for, and so what its signatures are over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SignatureType {
    /// 0x01: a log signs its own notes.
    Log,
    /// 0x04: a witness signs what it saw, with the time.
    Cosignature,
}

/// The private key of a log. Never printed, and overwritten when dropped.
pub struct SigningKey {
    key: ed25519_dalek::SigningKey,
    verifier: VerifierKey,
}

/// The private key of a witness. Never printed, and overwritten when dropped.
pub struct Cosigner {
    key: ed25519_dalek::SigningKey,
    verifier: VerifierKey,
}

/// A public key with its name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VerifierKey {
    name: String,
    id: u32,
    signature_type: SignatureType,
    key: VerifyingKey,
}

/// Why a text is not a key. A private key is not repeated in the message.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// Empty, or with white space, `+` or control characters.
    #[error("{name:?} is not a key name: it is empty, or holds white space, a plus or control characters")]
    Name {
        /// The name.
        name: String,
    },
    /// Not the seed of a private key.
    #[error("a private key is 64 hexadecimal digits")]
    Seed,
    /// Not `NAME+ID+BASE64`.
    #[error("a public key is NAME+ID+BASE64, with 8 lower case hexadecimal digits in the middle")]
    Form,
    /// A signature type that Weir does not read.
    #[error("signature type {signature_type:#04x} is not known: only 0x01 (log) and 0x04 (cosignature), both Ed25519")]
    SignatureType {
        /// Its number.
        signature_type: u8,
    },
    /// The bytes are no Ed25519 key.
    #[error("the bytes are not an Ed25519 public key")]
    PublicKey,
    /// The id is not the hash of name, type and key: one of them was changed.
    #[error("the key id is {given:08x}, but name and key make {expected:08x}: one of them was changed")]
    Id {
        /// As it is written.
        given: u32,
        /// As it should be.
        expected: u32,
    },
}

impl SigningKey {
    /// Makes the key of the log called `name` from 32 random bytes.
    ///
    /// # Errors
    ///
    /// [`KeyError::Name`].
    pub fn new(name: String, seed: &[u8; 32]) -> Result<Self, KeyError> {
        let (key, verifier) = pair(name, SignatureType::Log, seed)?;
        Ok(Self { key, verifier })
    }

    /// Makes the key from the 64 hexadecimal digits of its file; white space around them is skipped.
    ///
    /// # Errors
    ///
    /// [`KeyError::Name`], [`KeyError::Seed`].
    pub fn parse(name: String, text: &str) -> Result<Self, KeyError> {
        let mut seed = Zeroizing::new([0; 32]);
        hex::decode_to_slice(text.trim(), &mut *seed).map_err(|_| KeyError::Seed)?;
        Self::new(name, &seed)
    }

    /// The public half.
    #[must_use]
    pub fn verifier_key(&self) -> VerifierKey {
        self.verifier.clone()
    }

    /// Signs the text of a note.
    #[must_use]
    pub fn sign(&self, text: &str) -> SignatureLine {
        self.verifier.line(self.key.sign(text.as_bytes()).to_bytes().to_vec())
    }
}

impl Cosigner {
    /// Makes the key of the witness called `name` from 32 random bytes.
    ///
    /// # Errors
    ///
    /// [`KeyError::Name`].
    pub fn new(name: String, seed: &[u8; 32]) -> Result<Self, KeyError> {
        let (key, verifier) = pair(name, SignatureType::Cosignature, seed)?;
        Ok(Self { key, verifier })
    }

    /// The public half.
    #[must_use]
    pub fn verifier_key(&self) -> VerifierKey {
        self.verifier.clone()
    }

    /// Signs the text of a checkpoint as seen at `timestamp_s`, in seconds since 1970.
    #[must_use]
    pub fn cosign(&self, text: &str, timestamp_s: u64) -> SignatureLine {
        let signature = self.key.sign(&cosigned_message(text, timestamp_s));
        self.verifier
            .line([&timestamp_s.to_be_bytes()[..], &signature.to_bytes()].concat())
    }
}

impl VerifierKey {
    /// Reads a vkey.
    ///
    /// # Errors
    ///
    /// The text is not one, or one of a type that Weir does not read.
    pub fn parse(text: &str) -> Result<Self, KeyError> {
        let mut parts = text.splitn(3, '+');
        let (Some(name), Some(id), Some(encoded)) = (parts.next(), parts.next(), parts.next()) else {
            return Err(KeyError::Form);
        };
        let given = parse_id(id).ok_or(KeyError::Form)?;
        let decoded = BASE64.decode(encoded).map_err(|_| KeyError::Form)?;
        let (number, bytes) = decoded.split_first().ok_or(KeyError::Form)?;
        let signature_type = SignatureType::of_number(*number).ok_or(KeyError::SignatureType {
            signature_type: *number,
        })?;
        let bytes: &[u8; 32] = bytes.try_into().map_err(|_| KeyError::PublicKey)?;
        let key = VerifyingKey::from_bytes(bytes).map_err(|_| KeyError::PublicKey)?;
        let parsed = Self::new(name.to_owned(), signature_type, key)?;
        if parsed.id == given {
            Ok(parsed)
        } else {
            Err(KeyError::Id {
                given,
                expected: parsed.id,
            })
        }
    }

    /// Name of the key; of a log, its origin.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The id that signature lines carry.
    #[must_use]
    pub fn id(&self) -> u32 {
        self.id
    }

    /// What the key is for.
    #[must_use]
    pub fn signature_type(&self) -> SignatureType {
        self.signature_type
    }

    /// The 32 bytes of the key itself.
    #[must_use]
    pub fn public_key(&self) -> &[u8; 32] {
        self.key.as_bytes()
    }

    /// Says whether `signature` (the bytes behind the key id) is this key's over `text`.
    #[must_use]
    pub fn verifies(&self, text: &str, signature: &[u8]) -> bool {
        let verify = |message: &[u8], signature: &[u8; SIGNATURE_BYTES]| {
            self.key.verify(message, &Signature::from_bytes(signature)).is_ok()
        };
        match self.signature_type {
            SignatureType::Log => signature
                .try_into()
                .is_ok_and(|signature| verify(text.as_bytes(), signature)),
            SignatureType::Cosignature => signature
                .split_first_chunk::<8>()
                .is_some_and(|(timestamp, signature)| {
                    let timestamp_s = u64::from_be_bytes(*timestamp);
                    timestamp_s <= TIMESTAMP_S_MAX
                        && signature
                            .try_into()
                            .is_ok_and(|signature| verify(&cosigned_message(text, timestamp_s), signature))
                }),
        }
    }

    fn new(name: String, signature_type: SignatureType, key: VerifyingKey) -> Result<Self, KeyError> {
        if !is_key_name(&name) {
            return Err(KeyError::Name { name });
        }
        let hash = Sha256::new_with_prefix(&name)
            .chain_update([b'\n', signature_type.number()])
            .chain_update(key.as_bytes())
            .finalize();
        let id = u32::from_be_bytes([hash[0], hash[1], hash[2], hash[3]]);
        Ok(Self {
            name,
            id,
            signature_type,
            key,
        })
    }

    fn line(&self, signature: Vec<u8>) -> SignatureLine {
        SignatureLine {
            name: self.name.clone(),
            key_id: self.id,
            signature,
        }
    }
}

/// The vkey.
impl fmt::Display for VerifierKey {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let bytes = [&[self.signature_type.number()], &self.key.as_bytes()[..]].concat();
        write!(formatter, "{}+{:08x}+{}", self.name, self.id, BASE64.encode(bytes))
    }
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "SigningKey({})", self.verifier)
    }
}

impl fmt::Debug for Cosigner {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "Cosigner({})", self.verifier)
    }
}

impl SignatureType {
    fn number(self) -> u8 {
        match self {
            Self::Log => 0x01,
            Self::Cosignature => 0x04,
        }
    }

    fn of_number(number: u8) -> Option<Self> {
        [Self::Log, Self::Cosignature]
            .into_iter()
            .find(|signature_type| signature_type.number() == number)
    }
}

/// Says whether `name` can be the name of a key: not empty, without white space, plus and control characters.
pub(super) fn is_key_name(name: &str) -> bool {
    !name.is_empty()
        && !name
            .chars()
            .any(|character| character.is_whitespace() || character == '+' || character < ' ')
}

fn pair(
    name: String,
    signature_type: SignatureType,
    seed: &[u8; 32],
) -> Result<(ed25519_dalek::SigningKey, VerifierKey), KeyError> {
    let key = ed25519_dalek::SigningKey::from_bytes(seed);
    let verifier = VerifierKey::new(name, signature_type, key.verifying_key())?;
    Ok((key, verifier))
}

fn cosigned_message(text: &str, timestamp_s: u64) -> Vec<u8> {
    format!("cosignature/v1\ntime {timestamp_s}\n{text}").into_bytes()
}

fn parse_id(digits: &str) -> Option<u32> {
    let lower = digits.len() == 8 && digits.bytes().all(|digit| matches!(digit, b'0'..=b'9' | b'a'..=b'f'));
    u32::from_str_radix(digits, 16).ok().filter(|_| lower)
}

#[cfg(test)]
mod tests;
