//! The commitment: 32 bytes in the permanent entry that fix every attribute of the erasable body.
//!
//! ```text
//! attribute digest = SHA-256("weir/attribute/v1\0" || salt || u32 length of path || path || value)
//! commitment       = SHA-256("weir/commitment/v1\0" || u32 count || attribute digests, sorted by path)
//! ```
//!
//! Integers are big-endian. A path is a JSON pointer that begins with its part: `/new/status`, `/actor`. A value is
//! canonical DynamoDB-JSON, and canonical JSON text for what the database did not write. Each attribute has its own
//! 32-byte salt, so one attribute can be shown and proved while nobody can guess the others. The salts are the key
//! stream of `ChaCha8` under the body's salt key with a zero nonce, 32 bytes each, in the order of the paths. Once a part
//! of the body was erased, the salts of the rest stand in the body, and of what went only the digest is left.

use chacha20::ChaCha8;
use chacha20::cipher::{KeyIvInit as _, StreamCipher as _};
use sha2::{Digest as _, Sha256};
use weir_model::Item;

use crate::body::Hex32;
use crate::tree::Hash;
use crate::{Body, BodyKey, canonical};

/// Fixes a body without showing it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Commitment(pub Hash);

impl Commitment {
    /// Commits to `body` under its key.
    #[must_use]
    pub fn of(body: &Body, key: &BodyKey) -> Self {
        let mut digests = Vec::with_capacity(48);
        for_each_attribute(body, key, |attribute| digests.push(attribute.digest()));
        commitment_over(&digests)
    }
}

/// One attribute of a body, as it is committed to.
pub(crate) enum Committed<'a> {
    /// It is there.
    Kept {
        path: &'a str,
        salt: &'a [u8; 32],
        /// Canonical JSON.
        value: &'a [u8],
    },
    /// It was erased. Nobody can compute this digest again.
    Erased(Hash),
}

impl Committed<'_> {
    pub(crate) fn digest(&self) -> Hash {
        match self {
            Self::Kept { path, salt, value } => attribute_digest(salt, path, value),
            Self::Erased(digest) => *digest,
        }
    }
}

/// The commitment to attributes with these digests, in order of their paths.
pub(crate) fn commitment_over(digests: &[Hash]) -> Commitment {
    let count = u32::try_from(digests.len()).expect("an item has fewer than 2^32 attributes");
    let outer = Sha256::new_with_prefix(b"weir/commitment/v1\0")
        .chain_update(count.to_be_bytes())
        .chain_update(digests.as_flattened());
    Commitment(outer.finalize().into())
}

pub(crate) fn attribute_digest(salt: &[u8; 32], path: &str, value: &[u8]) -> Hash {
    const LABEL: &[u8] = b"weir/attribute/v1\0";
    let length = u32::try_from(path.len()).expect("an attribute name has at most 64 KiB");
    // Hashing few bytes costs most in the pieces they come in.
    let pieces = [LABEL, salt, &length.to_be_bytes(), path.as_bytes(), value];
    let total: usize = pieces.iter().map(|piece| piece.len()).sum();
    let mut together = [0; 256];
    if let Some(together) = together.get_mut(..total) {
        let mut at = 0;
        for piece in pieces {
            together[at..at + piece.len()].copy_from_slice(piece);
            at += piece.len();
        }
        return Sha256::digest(together).into();
    }
    Sha256::new_with_prefix(LABEL)
        .chain_update(salt)
        .chain_update(length.to_be_bytes())
        .chain_update(path)
        .chain_update(value)
        .finalize()
        .into()
}

/// Walks over the attributes of a body in order of their paths, each with its salt.
pub(crate) fn for_each_attribute(body: &Body, key: &BodyKey, mut visit: impl FnMut(Committed<'_>)) {
    let attributes = Attributes::of(body);
    let mut salts = Salts::of(body, key, attributes.spans.len());
    let erased = body.remains.as_ref().map_or(&[][..], |remains| &remains.erased);
    let mut erased = erased.iter().peekable();
    let mut index: u32 = 0;
    for (path, value) in attributes.in_order() {
        while let Some(gone) = erased.next_if(|gone| gone.index == index) {
            visit(Committed::Erased(gone.digest.0));
            index += 1;
        }
        let salt = salts.next();
        visit(Committed::Kept {
            path,
            salt: &salt,
            value,
        });
        index += 1;
    }
    erased.for_each(|gone| visit(Committed::Erased(gone.digest.0)));
}

/// Where salts come from: the body's key, or the body itself once part of it was erased.
enum Salts<'a> {
    Stream(std::vec::IntoIter<[u8; 32]>),
    Explicit(std::slice::Iter<'a, Hex32>),
}

impl<'a> Salts<'a> {
    fn of(body: &'a Body, key: &BodyKey, count: usize) -> Self {
        match &body.remains {
            None => {
                let mut salts = vec![[0; 32]; count];
                ChaCha8::new(&(*key.salt).into(), &[0; 12].into()).apply_keystream(salts.as_flattened_mut());
                Self::Stream(salts.into_iter())
            }
            Some(remains) => Self::Explicit(remains.salts.iter()),
        }
    }

    fn next(&mut self) -> [u8; 32] {
        match self {
            Self::Stream(salts) => salts.next().expect("there is a salt for each attribute"),
            // A body with too few salts commits to something else, and that shows.
            Self::Explicit(salts) => salts.next().map_or([0; 32], |salt| salt.0),
        }
    }
}

/// Every attribute of a body with its canonical value. All text stands in one buffer.
struct Attributes {
    text: Vec<u8>,
    /// Beginning of the path, of the value, end of the value.
    spans: Vec<(usize, usize, usize)>,
}

impl Attributes {
    fn of(body: &Body) -> Self {
        let mut attributes = Self {
            text: Vec::with_capacity(4096),
            spans: Vec::with_capacity(48),
        };
        // In order of their paths, but for items whose names do not sort like their escaped forms.
        attributes.push_text("/actor", body.actor.as_deref());
        attributes.push_item("/keys/", body.keys.as_ref());
        attributes.push_item("/new/", body.new.as_ref());
        attributes.push_item("/old/", body.old.as_ref());
        attributes.push_text("/raw", body.raw.as_deref());
        attributes.push_text("/reason", body.reason.as_deref());
        for (name, value) in &body.tags {
            let mut path = b"/tags/".to_vec();
            push_escaped(name, &mut path);
            attributes.push_text(std::str::from_utf8(&path).expect("a name is text"), Some(value));
        }
        let Self { text, spans } = &mut attributes;
        let path = |span: &(usize, usize, usize)| &text[span.0..span.1];
        if !spans.is_sorted_by(|left, right| path(left) <= path(right)) {
            spans.sort_by(|left, right| path(left).cmp(path(right)));
        }
        attributes
    }

    fn in_order(&self) -> impl Iterator<Item = (&str, &[u8])> {
        self.spans.iter().map(|(path, value, end)| {
            let path = std::str::from_utf8(&self.text[*path..*value]).expect("a path was text");
            (path, &self.text[*value..*end])
        })
    }

    fn push_text(&mut self, path: &str, text: Option<&str>) {
        if let Some(text) = text {
            let begin = self.text.len();
            self.text.extend_from_slice(path.as_bytes());
            let value = self.text.len();
            canonical::string(text, &mut self.text);
            self.spans.push((begin, value, self.text.len()));
        }
    }

    fn push_item(&mut self, part: &str, item: Option<&Item>) {
        for (name, attribute) in item.into_iter().flatten() {
            let begin = self.text.len();
            self.text.extend_from_slice(part.as_bytes());
            push_escaped(name, &mut self.text);
            let value = self.text.len();
            canonical::attribute_value(attribute, &mut self.text);
            self.spans.push((begin, value, self.text.len()));
        }
    }
}

/// Appends a name as a part of a JSON pointer (RFC 6901, section 3).
fn push_escaped(name: &str, out: &mut Vec<u8>) {
    for byte in name.bytes() {
        match byte {
            b'~' => out.extend_from_slice(b"~0"),
            b'/' => out.extend_from_slice(b"~1"),
            byte => out.push(byte),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::SegmentKey;

    fn commit(body: &str, key_index: u16) -> Commitment {
        let key = SegmentKey::new([3; 32]).body_key(key_index).unwrap();
        Commitment::of(&serde_json::from_str(body).unwrap(), &key)
    }

    #[test]
    fn a_commitment_changes_with_value_type_name_part_and_key() {
        let bodies = [
            r#"{"new":{"a":{"S":"1"}}}"#,
            r#"{"new":{"a":{"S":"2"}}}"#,
            r#"{"new":{"a":{"N":"1"}}}"#,
            r#"{"new":{"b":{"S":"1"}}}"#,
            r#"{"old":{"a":{"S":"1"}}}"#,
            r#"{"new":{"a":{"S":"1"},"b":{"S":""}}}"#,
            r#"{"new":{"a":{"S":"1"}},"actor":"maria"}"#,
            r#"{"new":{"a":{"S":"1"}},"tags":{"b":"maria"}}"#,
            r#"{"new":{"a":{"S":"1"}},"tags":{"c":"maria"}}"#,
            r#"{}"#,
        ];
        let mut commitments: Vec<Hash> = bodies.iter().map(|body| commit(body, 0).0).collect();
        commitments.push(commit(bodies[0], 1).0);
        let distinct: std::collections::HashSet<_> = commitments.iter().collect();
        assert_eq!(distinct.len(), commitments.len());
    }

    #[test]
    fn the_order_of_a_set_does_not_matter_and_long_numbers_are_not_confused() {
        assert_eq!(
            commit(r#"{"new":{"a":{"SS":["x","y"]}}}"#, 0),
            commit(r#"{"new":{"a":{"SS":["y","x"]}}}"#, 0)
        );
        assert_ne!(
            commit(r#"{"new":{"a":{"N":"12345678901234567890123456789012345678"}}}"#, 0),
            commit(r#"{"new":{"a":{"N":"12345678901234567890123456789012345679"}}}"#, 0)
        );
    }
}
