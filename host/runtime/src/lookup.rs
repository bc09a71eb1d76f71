//! A table that plugins look things up in.
//!
//! # Invariants
//!
//! - A table has one content and one digest, however its file was written: names sorted, without white space.

use std::collections::BTreeMap;

use serde_json::Value;
use sha2::{Digest as _, Sha256};

/// Largest table, in bytes of its content.
const CONTENT_BYTES_MAX: usize = 16 << 20;

/// Longest key, in bytes.
const KEY_BYTES_MAX: usize = 1 << 10;

/// A table: JSON values by key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LookupTable {
    digest: [u8; 32],
    content: String,
    rows: BTreeMap<String, String>,
}

/// Why a text is no table.
#[derive(Debug, thiserror::Error)]
pub enum LookupError {
    /// It is no JSON object.
    #[error("a lookup table is a JSON object, its values by key: {{\"c-1\": {{\"segment\": \"vip\"}}}}")]
    NoObject(#[source] serde_json::Error),
    /// It is too large.
    #[error("the table has {bytes} bytes, at most {CONTENT_BYTES_MAX} are taken")]
    TooLarge {
        /// Its size.
        bytes: usize,
    },
    /// A key is too long.
    #[error("a key of the table has {bytes} bytes, at most {KEY_BYTES_MAX} are taken")]
    LongKey {
        /// Its length.
        bytes: usize,
    },
}

impl LookupTable {
    /// Reads a table from JSON text. Where a key stands twice, the last one counts.
    ///
    /// # Errors
    ///
    /// It is no table.
    pub fn parse(text: &str) -> Result<Self, LookupError> {
        let values: BTreeMap<String, Value> = serde_json::from_str(text).map_err(LookupError::NoObject)?;
        if let Some(key) = values.keys().find(|key| key.len() > KEY_BYTES_MAX) {
            return Err(LookupError::LongKey { bytes: key.len() });
        }
        let content = serde_json::to_string(&values).expect("what was read as JSON can be written");
        if content.len() > CONTENT_BYTES_MAX {
            return Err(LookupError::TooLarge { bytes: content.len() });
        }
        let rows = values.into_iter().map(|(key, value)| (key, value.to_string()));
        Ok(Self {
            digest: Sha256::digest(&content).into(),
            rows: rows.collect(),
            content,
        })
    }

    /// SHA-256 of the content.
    #[must_use]
    pub fn digest(&self) -> &[u8; 32] {
        &self.digest
    }

    /// JSON text: an object, its names sorted, without white space.
    #[must_use]
    pub fn content(&self) -> &str {
        &self.content
    }

    /// How many keys it has.
    #[must_use]
    pub fn len(&self) -> usize {
        self.rows.len()
    }

    /// Whether it has none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// The value of a key, JSON text.
    pub(crate) fn get(&self, key: &str) -> Option<&str> {
        self.rows.get(key).map(String::as_str)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_is_what_it_says_however_it_was_written() {
        let one = LookupTable::parse(r#"{"b": {"y": 1, "x": [2]}, "a": "text"}"#).unwrap();
        let other = LookupTable::parse("{\n\"a\":\"text\",\"b\":{\"x\":[2],\"y\":1}}").unwrap();
        assert_eq!(one, other);
        assert_eq!(one.content(), r#"{"a":"text","b":{"x":[2],"y":1}}"#);
        assert_eq!((one.len(), one.get("a"), one.get("c")), (2, Some("\"text\""), None));
        assert_ne!(one.digest(), LookupTable::parse("{}").unwrap().digest());
    }

    #[test]
    fn what_is_no_table_is_refused() {
        for text in ["", "[]", "{\"a\": }", "\"a\""] {
            assert!(
                matches!(LookupTable::parse(text), Err(LookupError::NoObject(_))),
                "{text}"
            );
        }
        let long = format!("{{\"{}\": 1}}", "k".repeat(KEY_BYTES_MAX + 1));
        assert!(matches!(LookupTable::parse(&long), Err(LookupError::LongKey { .. })));
        let large = format!("{{\"k\": \"{}\"}}", "v".repeat(CONTENT_BYTES_MAX));
        assert!(matches!(LookupTable::parse(&large), Err(LookupError::TooLarge { .. })));
    }
}
