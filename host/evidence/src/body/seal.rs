//! The body as it is stored: compressed, and sealed with a key of its own. Nothing of this is needed to verify what an
//! auditor was handed, so it is a feature of the crate, and a verifier builds without it.

use std::cell::RefCell;
use std::fmt;

use aes_gcm::aead::consts::U12;
use aes_gcm::aead::{Aead as _, KeyInit as _, Payload};
use aes_gcm::{Aes256Gcm, Key, Nonce};
use zstd::bulk::{Compressor, Decompressor};

use super::Body;
use crate::canonical;
use crate::tree::Hash;
use crate::{BodyKey, Commitment, Entry, EntryError};

/// Fast, and within a few percent of the higher levels on items of about a kilobyte.
const ZSTD_LEVEL: i32 = 1;

thread_local! {
    /// Making one costs more than packing a body of a kilobyte with it, so each thread keeps one.
    static COMPRESSOR: RefCell<Compressor<'static>> =
        RefCell::new(Compressor::new(ZSTD_LEVEL).expect("level 1 is a level"));
    /// Making one costs ten times as much as unpacking a body of a kilobyte with it.
    static DECOMPRESSOR: RefCell<Decompressor<'static>> =
        RefCell::new(Decompressor::new().expect("there is memory for a decompressor"));
}

/// Largest body, unpacked. A change carries at most two images of 400 KB, at most six times that in JSON escapes.
pub(crate) const BODY_BYTES_MAX: usize = 16 << 20;

/// A body as it is stored: compressed, then encrypted with AES-256-GCM. The nonce is the beginning of the entry's leaf
/// hash, and all of that hash is authenticated with it. A key is used once; should a database that was restored hand its
/// number out again, the nonce still differs, because the entry does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SealedBody(pub Vec<u8>);

/// A body as text, before it is packed and sealed: exactly what is read when it is opened.
#[derive(Clone, PartialEq, Eq)]
pub struct PlainBody(Box<[u8]>);

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
        self.seal_plain(key, leaf).map(|(sealed, _)| sealed)
    }

    /// Seals it, and says what it is as text.
    pub(crate) fn seal_plain(&self, key: &BodyKey, leaf: &Hash) -> Result<(SealedBody, PlainBody), EntryError> {
        let plain = self.to_json();
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
        let sealed = cipher(key).encrypt(&nonce(leaf), payload);
        let sealed = SealedBody(sealed.expect("AES-GCM takes 64 GiB"));
        Ok((sealed, PlainBody(plain.into_boxed_slice())))
    }

    /// What serde would write, in a third of the time. Sets come sorted, because in the database they have no order.
    fn to_json(&self) -> Vec<u8> {
        let Self {
            actor,
            keys,
            old,
            new,
            raw,
            reason,
            tags,
            remains,
        } = self;
        let mut json = Vec::with_capacity(2048);
        let mut member = |name: &str, write: &mut dyn FnMut(&mut Vec<u8>)| {
            json.extend_from_slice(if json.is_empty() { b"{\"" } else { b",\"" });
            json.extend_from_slice(name.as_bytes());
            json.extend_from_slice(b"\":");
            write(&mut json);
        };
        for (name, item) in [("keys", keys), ("new", new), ("old", old)] {
            if let Some(item) = item {
                member(name, &mut |json| canonical::item(item, json));
            }
        }
        for (name, text) in [("actor", actor), ("raw", raw), ("reason", reason)] {
            if let Some(text) = text {
                member(name, &mut |json| canonical::string(text, json));
            }
        }
        if !tags.is_empty() {
            member("tags", &mut |json| {
                serde_json::to_writer(json, tags).expect("texts are JSON and a vector takes it");
            });
        }
        if let Some(remains) = remains {
            member("remains", &mut |json| {
                serde_json::to_writer(json, remains).expect("digests are JSON and a vector takes it");
            });
        }
        if json.is_empty() {
            json.push(b'{');
        }
        json.push(b'}');
        json
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
        let plain = DECOMPRESSOR.with_borrow_mut(|decompressor| decompressor.decompress(&packed, BODY_BYTES_MAX));
        let plain = plain.map_err(|_| OpenError::Malformed)?;
        let opened = read(&plain)?;
        if entry.commitment() != Some(&Commitment::of(&opened.body, key)) {
            return Err(OpenError::Uncommitted);
        }
        Ok(opened)
    }
}

impl PlainBody {
    /// Its size.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.0.len()
    }

    /// The body that it is, as [`SealedBody::open`] gives it.
    ///
    /// # Errors
    ///
    /// It is no body, which no body becomes.
    pub fn read(&self) -> Result<OpenedBody, OpenError> {
        read(&self.0)
    }
}

/// Shows nothing: it is what is kept secret.
impl fmt::Debug for PlainBody {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "PlainBody({} bytes)", self.bytes())
    }
}

fn read(plain: &[u8]) -> Result<OpenedBody, OpenError> {
    let body = serde_json::from_slice(plain).map_err(|_| OpenError::Malformed)?;
    Ok(OpenedBody {
        body,
        bytes: plain.len(),
    })
}

/// The first 96 bits of the leaf hash.
fn nonce(leaf: &Hash) -> Nonce<U12> {
    let (nonce, _) = leaf.split_first_chunk::<12>().expect("a hash has 32 bytes");
    Nonce::from(*nonce)
}

fn cipher(key: &BodyKey) -> Aes256Gcm {
    Aes256Gcm::new(&Key::<Aes256Gcm>::from(*key.seal))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::SegmentKey;

    #[test]
    fn the_json_of_a_body_is_what_serde_reads_and_would_have_written_but_for_the_order() {
        let item = r#"{"":{"S":""},"\"~/\u0001":{"S":"\"\n\u0007\ud83d\ude00"},"bin":{"B":"AQI="},"deep":{"L":[{"M":{"\ufb33":{"N":"1e5"},
            "\ud83d\ude00":{"NULL":true}}},{"BOOL":false}]},"sets":{"SS":["a","b"]},"numbers":{"NS":["1","2"]},"bins":{"BS":["AA==","AQ=="]}}"#;
        let whole = format!(
            r#"{{"actor":"ann","keys":{item},"old":{item},"new":{item},"raw":"r","reason":"\\","tags":{{"a":"1","~/":"\""}}}}"#
        );
        let key = SegmentKey::new([5; 32]).body_key(0).unwrap();
        let whole: Body = serde_json::from_str(&whole).unwrap();
        let redacted = whole
            .without(&key, |path| path == "/new/deep" || path == "/actor")
            .unwrap();
        let empty = Body::default();
        let reason = Body {
            reason: Some("r".to_owned()),
            ..Body::default()
        };
        for body in [&whole, &redacted, &empty, &reason] {
            let json = body.to_json();
            assert_eq!(serde_json::from_slice::<Body>(&json).unwrap(), *body);
            let (ours, theirs): (serde_json::Value, _) = (
                serde_json::from_slice(&json).unwrap(),
                serde_json::to_value(body).unwrap(),
            );
            assert_eq!(ours, theirs);
        }
    }

    #[test]
    fn a_body_that_could_never_be_opened_is_not_sealed() {
        let key = SegmentKey::new([5; 32]).body_key(0).unwrap();
        let body = |bytes| Body {
            raw: Some("x".repeat(bytes)),
            ..Body::default()
        };
        let empty = body(0).to_json().len();
        assert!(body(BODY_BYTES_MAX - empty).seal(&key, &[7; 32]).is_ok());
        let size_bytes = BODY_BYTES_MAX + 1;
        assert_eq!(
            body(size_bytes - empty).seal(&key, &[7; 32]),
            Err(EntryError::BodyTooLarge { size_bytes })
        );
    }
}
