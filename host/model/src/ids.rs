//! Names of things, each a type of its own, so that a shard is never passed where a stream belongs.

use std::cmp::Ordering;
use std::fmt;

use serde::{Deserialize, Serialize};

/// Longest id that is taken from outside, in bytes. The longest the services write are stream ARNs of about 300.
const ID_BYTES_MAX: usize = 1024;

/// Longest sequence number in digits. DynamoDB Streams writes 21 to 40 (API model), Kinesis up to 128.
const SEQUENCE_DIGITS_MAX: usize = 128;

/// The text cannot be this id.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is not a {kind}: {why}")]
pub struct IdError {
    /// What it should have been: "shard id".
    pub kind: &'static str,
    /// The text, cut to 64 characters.
    pub text: String,
    /// What is wrong with it.
    pub why: &'static str,
}

fn checked(kind: &'static str, text: String) -> Result<String, IdError> {
    let why = if text.is_empty() {
        "it is empty"
    } else if text.len() > ID_BYTES_MAX {
        "it is longer than 1024 bytes"
    } else if has_control(&text) {
        "it holds control characters"
    } else {
        return Ok(text);
    };
    Err(IdError {
        kind,
        text: text.chars().take(64).collect(),
        why,
    })
}

/// Most ids are ASCII, of which whole words are looked at.
fn has_control(text: &str) -> bool {
    if text.is_ascii() {
        text.bytes().fold(false, |found, byte| found | byte.is_ascii_control())
    } else {
        text.chars().any(char::is_control)
    }
}

macro_rules! text_id {
    ($(#[$doc:meta])* $name:ident, $kind:literal) => {
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name(String);

        impl $name {
            /// Takes any text of 1 to 1024 bytes without control characters.
            ///
            /// # Errors
            ///
            /// Empty, too long, or with control characters.
            pub fn parse(text: impl Into<String>) -> Result<Self, IdError> {
                checked($kind, text.into()).map(Self)
            }

            /// The text.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl TryFrom<String> for $name {
            type Error = IdError;

            fn try_from(text: String) -> Result<Self, IdError> {
                Self::parse(text)
            }
        }

        impl From<$name> for String {
            fn from(id: $name) -> Self {
                id.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str(&self.0)
            }
        }
    };
}

text_id! {
    /// A shard of a stream: `shardId-00000001541626099285-f35f62ef`.
    ShardId, "shard id"
}

text_id! {
    /// One life of a table's stream. Switching a stream off and on makes a new one.
    StreamArn, "stream ARN"
}

text_id! {
    /// The source's own id of a change, the same each time the record is read.
    EventId, "event id"
}

text_id! {
    /// A ledger by name.
    LedgerName, "ledger name"
}

/// A record's place in its shard: decimal digits that do not fit an integer.
///
/// Ordered by length and then text, which is the order of the numbers, leading zeros aside. Only numbers of one
/// lineage of shards compare meaningfully.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct SequenceNumber(String);

impl SequenceNumber {
    /// Takes 1 to 128 decimal digits.
    ///
    /// # Errors
    ///
    /// Everything else.
    pub fn parse(text: impl Into<String>) -> Result<Self, IdError> {
        let text = text.into();
        let digits = (1..=SEQUENCE_DIGITS_MAX).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit());
        if digits {
            Ok(Self(text))
        } else {
            Err(IdError {
                kind: "sequence number",
                text: text.chars().take(64).collect(),
                why: "it is not 1 to 128 decimal digits",
            })
        }
    }

    /// The digits as the service wrote them.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Ord for SequenceNumber {
    fn cmp(&self, other: &Self) -> Ordering {
        let (left, right) = (self.0.trim_start_matches('0'), other.0.trim_start_matches('0'));
        left.len()
            .cmp(&right.len())
            .then_with(|| left.cmp(right))
            .then_with(|| self.0.cmp(&other.0))
    }
}

impl PartialOrd for SequenceNumber {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl TryFrom<String> for SequenceNumber {
    type Error = IdError;

    fn try_from(text: String) -> Result<Self, IdError> {
        Self::parse(text)
    }
}

impl From<SequenceNumber> for String {
    fn from(number: SequenceNumber) -> Self {
        number.0
    }
}

impl fmt::Display for SequenceNumber {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

/// Index of an entry in its ledger, from 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Position(pub u64);

impl fmt::Display for Position {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(formatter)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// streams.md 26: sequence numbers of up to 40 digits compare by length and then text.
    #[test]
    fn sequence_numbers_compare_as_numbers_although_they_fit_no_integer() {
        let number = |text: &str| SequenceNumber::parse(text).unwrap();
        assert!(number("999999999999999999999") < number("1000000000000000000000"));
        assert!(
            number("1111111111111111111111111111111111111110") < number("1111111111111111111111111111111111111111")
        );
        assert!(number("0009") < number("10"));
    }

    #[test]
    fn ids_from_outside_are_checked() {
        assert!(SequenceNumber::parse("12a").is_err());
        assert!(SequenceNumber::parse("").is_err());
        assert!(ShardId::parse("").is_err());
        assert!(ShardId::parse("a\nb").is_err());
        assert!(StreamArn::parse("x".repeat(1025)).is_err());
    }
}
