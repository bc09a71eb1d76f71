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
//! stream of `ChaCha8` under the body's salt key with a zero nonce, 32 bytes each, in the order of the paths.

use chacha20::ChaCha8;
use chacha20::cipher::{KeyIvInit as _, StreamCipher as _};
use sha2::{Digest as _, Sha256};
use weir_model::Item;

use crate::tree::Hash;
use crate::{Body, BodyKey, canonical};

/// Fixes a body without showing it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Commitment(pub Hash);

impl Commitment {
    /// Commits to `body` under its key.
    #[must_use]
    pub fn of(body: &Body, key: &BodyKey) -> Self {
        let attributes = attributes(body);
        let mut salts = ChaCha8::new(&(*key.salt).into(), &[0; 12].into());
        let count = u32::try_from(attributes.len()).expect("an item has fewer than 2^32 attributes");
        let mut outer = Sha256::new_with_prefix(b"weir/commitment/v1\0").chain_update(count.to_be_bytes());
        for (path, value) in &attributes {
            let mut salt = [0; 32];
            salts.apply_keystream(&mut salt);
            outer.update(attribute_digest(&salt, path, value));
        }
        Self(outer.finalize().into())
    }
}

fn attribute_digest(salt: &[u8; 32], path: &str, value: &[u8]) -> Hash {
    let length = u32::try_from(path.len()).expect("an attribute name has at most 64 KiB");
    Sha256::new_with_prefix(b"weir/attribute/v1\0")
        .chain_update(salt)
        .chain_update(length.to_be_bytes())
        .chain_update(path)
        .chain_update(value)
        .finalize()
        .into()
}

/// Every attribute of a body with its canonical value, sorted by path.
fn attributes(body: &Body) -> Vec<(String, Vec<u8>)> {
    let mut attributes = Vec::new();
    for (part, item) in [("keys", &body.keys), ("old", &body.old), ("new", &body.new)] {
        push_item(&mut attributes, part, item.as_ref());
    }
    for (path, text) in [("/actor", &body.actor), ("/raw", &body.raw), ("/reason", &body.reason)] {
        if let Some(text) = text {
            let mut value = Vec::with_capacity(text.len() + 2);
            canonical::string(text, &mut value);
            attributes.push((path.to_owned(), value));
        }
    }
    attributes.sort();
    attributes
}

fn push_item(attributes: &mut Vec<(String, Vec<u8>)>, part: &str, item: Option<&Item>) {
    for (name, attribute) in item.into_iter().flatten() {
        let mut value = Vec::with_capacity(32);
        canonical::attribute_value(attribute, &mut value);
        attributes.push((format!("/{part}/{}", name.replace('~', "~0").replace('/', "~1")), value));
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
