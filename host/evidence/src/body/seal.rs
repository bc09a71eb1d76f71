//! The body as it is stored: compressed, and sealed with a key of its own. Nothing of this is needed to verify what an
//! auditor was handed, so it is a feature of the crate, and a verifier builds without it.

use std::cell::RefCell;

use aes_gcm::aead::consts::U12;
use aes_gcm::aead::{Aead as _, KeyInit as _, Payload};
use aes_gcm::{Aes256Gcm, Key, Nonce};
use zstd::bulk::Compressor;

use super::Body;
use crate::tree::Hash;
use crate::{BodyKey, Commitment, Entry, EntryError};

/// Fast, and within a few percent of the higher levels on items of about a kilobyte.
const ZSTD_LEVEL: i32 = 1;

thread_local! {
    /// Making a compressor costs more than packing a body of a kilobyte with it, so each thread keeps one.
    static COMPRESSOR: RefCell<Compressor<'static>> =
        RefCell::new(Compressor::new(ZSTD_LEVEL).expect("level 1 is a level"));
}

/// Largest body, unpacked. A change carries at most two images of 400 KB, at most six times that in JSON escapes.
pub(crate) const BODY_BYTES_MAX: usize = 16 << 20;

/// A body as it is stored: compressed, then encrypted with AES-256-GCM. The nonce is the beginning of the entry's leaf
/// hash, and all of that hash is authenticated with it. A key is used once; should a database that was restored hand its
/// number out again, the nonce still differs, because the entry does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SealedBody(pub Vec<u8>);

/// A body that was opened, and what it takes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OpenedBody {
    /// The body.
    pub body: Body,
    /// Its size unpacked, in bytes.
    pub bytes: usize,
}

/// Why a sealed body could not be opened beside its entry.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum OpenError {
    /// Entry, body or key number is not what it was when they were sealed together.
    #[error("entry and body do not belong together: one of them was changed")]
    Unauthentic,
    /// It opened, but is no body. Only who holds the keys can have made this.
    #[error("body opens but cannot be read")]
    Malformed,
    /// It opened, but is not what the entry commits to. Only who holds the keys can have made this.
    #[error("body opens but is not what the entry commits to")]
    Uncommitted,
}

impl Body {
    /// Compresses and seals this body for the entry with that leaf hash.
    ///
    /// # Errors
    ///
    /// It is larger than what is ever unpacked.
    pub fn seal(&self, key: &BodyKey, leaf: &Hash) -> Result<SealedBody, EntryError> {
        let plain = serde_json::to_vec(self).expect("a body is JSON");
        if plain.len() > BODY_BYTES_MAX {
            return Err(EntryError::BodyTooLarge {
                size_bytes: plain.len(),
            });
        }
        let packed = COMPRESSOR.with_borrow_mut(|compressor| compressor.compress(&plain));
        let packed = packed.expect("compression into memory succeeds");
        let payload = Payload {
            msg: &packed,
            aad: leaf,
        };
        Ok(SealedBody(
            cipher(key)
                .encrypt(&nonce(leaf), payload)
                .expect("AES-GCM takes 64 GiB"),
        ))
    }
}

impl SealedBody {
    /// Opens the body of `entry`, whose leaf hash is `leaf`, and checks it against the entry's commitment.
    ///
    /// # Errors
    ///
    /// It is not the body that was sealed with this entry.
    pub fn open(&self, key: &BodyKey, leaf: &Hash, entry: &Entry) -> Result<OpenedBody, OpenError> {
        let payload = Payload {
            msg: &self.0,
            aad: leaf,
        };
        let packed = cipher(key)
            .decrypt(&nonce(leaf), payload)
            .map_err(|_| OpenError::Unauthentic)?;
        let plain = zstd::bulk::decompress(&packed, BODY_BYTES_MAX).map_err(|_| OpenError::Malformed)?;
        let body: Body = serde_json::from_slice(&plain).map_err(|_| OpenError::Malformed)?;
        if entry.commitment() != Some(&Commitment::of(&body, key)) {
            return Err(OpenError::Uncommitted);
        }
        Ok(OpenedBody {
            body,
            bytes: plain.len(),
        })
    }
}

/// The first 96 bits of the leaf hash.
fn nonce(leaf: &Hash) -> Nonce<U12> {
    let (nonce, _) = leaf.split_first_chunk::<12>().expect("a hash has 32 bytes");
    Nonce::from(*nonce)
}

fn cipher(key: &BodyKey) -> Aes256Gcm {
    Aes256Gcm::new(&Key::<Aes256Gcm>::from(*key.seal))
}
