//! The body of an entry: what was changed and by whom, sealed with a key of its own.

use std::cell::RefCell;

use aes_gcm::aead::consts::U12;
use aes_gcm::aead::{Aead as _, KeyInit as _, Payload};
use aes_gcm::{Aes256Gcm, Key, Nonce};
use serde::{Deserialize, Serialize};
use weir_model::Item;
use zstd::bulk::Compressor;

use crate::canonical::read_hex;
use crate::commitment::{Committed, for_each_attribute};
use crate::tree::Hash;
use crate::{BodyKey, Commitment, Entry};

/// Fast, and within a few percent of the higher levels on items of about a kilobyte.
const ZSTD_LEVEL: i32 = 1;

thread_local! {
    /// Making a compressor costs more than packing a body of a kilobyte with it, so each thread keeps one.
    static COMPRESSOR: RefCell<Compressor<'static>> =
        RefCell::new(Compressor::new(ZSTD_LEVEL).expect("level 1 is a level"));
}

/// Largest body that is unpacked. A change carries at most two images of 400 KB, at most six times that in JSON escapes.
const BODY_BYTES_MAX: usize = 16 << 20;

/// What an entry keeps secret. Every member is absent where the record did not have it.
#[derive(Clone, Debug, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Body {
    /// Who made the change; the entry says what the name is worth.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub actor: Option<String>,
    /// Primary key of the item.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub keys: Option<Item>,
    /// The item before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub old: Option<Item>,
    /// The item after.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub new: Option<Item>,
    /// A record that was not understood, as text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub raw: Option<String>,
    /// Why it was not understood; the basis of an order.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// What is left of attributes that were erased.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub remains: Option<Remains>,
}

/// What a body keeps when attributes of it are erased, so that it still is what its entry commits to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Remains {
    /// The salts of what is left, in order of the paths. Until then they come from the body's key.
    pub(crate) salts: Vec<Hex32>,
    /// The erased attributes, in order.
    pub(crate) erased: Vec<ErasedAttribute>,
}

/// What is left of an erased attribute: its place among the others and its digest. Not its path, not its salt.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ErasedAttribute {
    pub(crate) index: u32,
    pub(crate) digest: Hex32,
}

/// 32 bytes that are 64 hexadecimal digits in JSON.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub(crate) struct Hex32(pub(crate) [u8; 32]);

impl TryFrom<String> for Hex32 {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        read_hex(&text).map(Self).ok_or("expected 64 hexadecimal digits")
    }
}

impl From<Hex32> for String {
    fn from(bytes: Hex32) -> Self {
        hex::encode(bytes.0)
    }
}

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
    /// This body without the attributes that `erase` picks by their paths. It commits to the same as before under any
    /// key, and what was erased cannot be computed from it. `None` if there is nothing to erase.
    #[must_use]
    pub fn without(&self, key: &BodyKey, erase: impl Fn(&str) -> bool) -> Option<Self> {
        let mut left = self.clone();
        let (mut salts, mut erased) = (Vec::new(), Vec::new());
        let mut index = 0;
        let mut gone: Vec<String> = Vec::new();
        for_each_attribute(self, key, |attribute| {
            match &attribute {
                Committed::Kept { path, salt, .. } if !erase(path) => salts.push(Hex32(**salt)),
                Committed::Kept { path, .. } => {
                    gone.push((*path).to_owned());
                    let digest = Hex32(attribute.digest());
                    erased.push(ErasedAttribute { index, digest });
                }
                Committed::Erased(digest) => {
                    let digest = Hex32(*digest);
                    erased.push(ErasedAttribute { index, digest });
                }
            }
            index += 1;
        });
        if gone.is_empty() {
            return None;
        }
        gone.iter().for_each(|path| left.remove(path));
        left.remains = Some(Remains { salts, erased });
        Some(left)
    }

    /// Whether attributes of this body were erased.
    #[must_use]
    pub fn has_erased(&self) -> bool {
        self.remains.is_some()
    }

    fn remove(&mut self, path: &str) {
        let mut parts = path.splitn(3, '/').skip(1);
        let (part, name) = (parts.next().unwrap_or_default(), parts.next());
        let name = name.map(|name| name.replace("~1", "/").replace("~0", "~"));
        let item = match part {
            "keys" => &mut self.keys,
            "old" => &mut self.old,
            "new" => &mut self.new,
            "actor" => return self.actor = None,
            "raw" => return self.raw = None,
            _ => return self.reason = None,
        };
        if let (Some(item), Some(name)) = (item, name) {
            item.remove(&name);
        }
    }

    /// Compresses and seals this body for the entry with that leaf hash.
    #[must_use]
    pub fn seal(&self, key: &BodyKey, leaf: &Hash) -> SealedBody {
        let plain = serde_json::to_vec(self).expect("a body is JSON");
        let packed = COMPRESSOR.with_borrow_mut(|compressor| compressor.compress(&plain));
        let packed = packed.expect("compression into memory succeeds");
        let payload = Payload {
            msg: &packed,
            aad: leaf,
        };
        SealedBody(
            cipher(key)
                .encrypt(&nonce(leaf), payload)
                .expect("AES-GCM takes 64 GiB"),
        )
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
