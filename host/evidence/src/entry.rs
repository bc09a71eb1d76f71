//! The entry: the permanent, hashed record of one thing that happened. Canonical JSON of at most 32 KiB.
//!
//! ```json
//! {"assurance":"claimed","commitment":"9f..","config":"51..","event":"..","item":"a1b2c3d4:77..","kind":"change",
//!  "ledger":"main","operation":"modify","sequence":"..","shard":"..","stream":"arn:..","table":"orders",
//!  "time":1772366400000,"v":1}
//! ```
//!
//! # Invariants
//!
//! - No key of an item, no image, no actor: those are in the sealed body, which `commitment` fixes.
//! - No position and no time of recording: the same record gives the same entry, wherever it lands.

mod wire;

use jiff::Timestamp;
use serde::Deserialize;
use weir_model::{Assurance, EventId, IdError, LedgerName, Operation, SequenceNumber, ShardId, StreamArn};

use self::wire::WireEntry;
use crate::{Commitment, ItemToken, canonical};

/// Largest entry in bytes (design, "Entry and body"): what a verifier has to be able to hold.
pub const ENTRY_BYTES_MAX: usize = 32 << 10;

/// Version of the encoding, member `v`.
const VERSION: u64 = 1;

/// The first 16 bytes of the SHA-256 of the configuration that touched an entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ConfigurationDigest(pub [u8; 16]);

/// One entry of a ledger.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Ledger that it was written for.
    pub ledger: LedgerName,
    /// Stream that it speaks of.
    pub stream: StreamArn,
    /// Shard of that stream.
    pub shard: ShardId,
    /// Fixes the body.
    pub commitment: Commitment,
    /// What happened.
    pub kind: EntryKind,
}

/// What an entry records.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum EntryKind {
    /// A change of an item.
    Change {
        /// Place in the shard.
        sequence: SequenceNumber,
        /// The source's id of the change.
        event: EventId,
        /// What happened to the item.
        operation: Operation,
        /// Table of the item.
        table: String,
        /// Stands for the item.
        item: ItemToken,
        /// Source time.
        time: Timestamp,
        /// What the actor in the body is worth.
        assurance: Assurance,
        /// The source's configuration when it was recorded.
        config: ConfigurationDigest,
    },
    /// Records that were never seen. The position moved across them in the transaction that wrote this.
    Gap {
        /// Last record before the gap; `None` if the gap begins the shard.
        after: Option<SequenceNumber>,
        /// Why.
        cause: GapCause,
        /// Whether something was lost.
        loss: Loss,
    },
    /// A record that could not be understood. The body has it as it came.
    Unknown {
        /// Place in the shard.
        sequence: SequenceNumber,
        /// Source time.
        time: Timestamp,
    },
}

/// Why records were never seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum GapCause {
    /// The service had trimmed what stood after the position (24 hours after it was written).
    Trimmed,
    /// The shard left the stream before it was read to its end.
    ShardExpired,
    /// The stream was switched off and on, or the table made anew.
    StreamReplaced,
}

/// Whether a gap lost something.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Loss {
    /// Records are gone.
    Certain,
    /// Records may be gone; the service does not say.
    Possible,
}

/// Why bytes are no entry, or an entry no bytes.
#[derive(Debug, thiserror::Error)]
pub enum EntryError {
    /// Over [`ENTRY_BYTES_MAX`].
    #[error("entry is {size_bytes} bytes, limit is {ENTRY_BYTES_MAX}")]
    TooLarge {
        /// Its size.
        size_bytes: usize,
    },
    /// Not the JSON of an entry.
    #[error("entry cannot be read")]
    Malformed(#[from] serde_json::Error),
    /// Written by a newer Weir.
    #[error("entry has version {version}, this weir reads {VERSION}")]
    Version {
        /// Its version.
        version: u64,
    },
    /// A member is not what it should be.
    #[error("entry has a wrong {member}")]
    Member {
        /// Its name.
        member: &'static str,
    },
}

impl From<IdError> for EntryError {
    fn from(error: IdError) -> Self {
        Self::Member { member: error.kind }
    }
}

impl GapCause {
    /// `trimmed`, `shard-expired` or `stream-replaced`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Trimmed => "trimmed",
            Self::ShardExpired => "shard-expired",
            Self::StreamReplaced => "stream-replaced",
        }
    }
}

impl Loss {
    /// `certain` or `possible`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Certain => "certain",
            Self::Possible => "possible",
        }
    }
}

impl Entry {
    /// The bytes that are hashed and stored.
    ///
    /// # Errors
    ///
    /// [`EntryError::TooLarge`].
    pub fn encode(&self) -> Result<Vec<u8>, EntryError> {
        let mut object = ObjectWriter::new();
        match &self.kind {
            EntryKind::Change {
                sequence,
                event,
                operation,
                table,
                item,
                time,
                assurance,
                config,
            } => {
                object.text("assurance", assurance.as_str());
                object.text("commitment", &hex::encode(self.commitment.0));
                object.text("config", &hex::encode(config.0));
                object.text("event", event.as_str());
                object.text("item", &format!("{}:{}", item.key_id, hex::encode(item.token)));
                object.text("kind", "change");
                object.text("ledger", self.ledger.as_str());
                object.text("operation", operation.as_str());
                object.text("sequence", sequence.as_str());
                object.text("shard", self.shard.as_str());
                object.text("stream", self.stream.as_str());
                object.text("table", table);
                object.integer("time", time.as_millisecond());
            }
            EntryKind::Gap { after, cause, loss } => {
                if let Some(after) = after {
                    object.text("after", after.as_str());
                }
                object.text("cause", cause.as_str());
                object.text("commitment", &hex::encode(self.commitment.0));
                object.text("kind", "gap");
                object.text("ledger", self.ledger.as_str());
                object.text("loss", loss.as_str());
                object.text("shard", self.shard.as_str());
                object.text("stream", self.stream.as_str());
            }
            EntryKind::Unknown { sequence, time } => {
                object.text("commitment", &hex::encode(self.commitment.0));
                object.text("kind", "unknown");
                object.text("ledger", self.ledger.as_str());
                object.text("sequence", sequence.as_str());
                object.text("shard", self.shard.as_str());
                object.text("stream", self.stream.as_str());
                object.integer("time", time.as_millisecond());
            }
        }
        object.integer("v", VERSION.cast_signed());
        let bytes = object.finish();
        if bytes.len() > ENTRY_BYTES_MAX {
            return Err(EntryError::TooLarge {
                size_bytes: bytes.len(),
            });
        }
        Ok(bytes)
    }

    /// Reads stored bytes.
    ///
    /// # Errors
    ///
    /// They are not an entry of a kind and version that this Weir knows.
    pub fn decode(bytes: &[u8]) -> Result<Self, EntryError> {
        if bytes.len() > ENTRY_BYTES_MAX {
            return Err(EntryError::TooLarge {
                size_bytes: bytes.len(),
            });
        }
        serde_json::from_slice::<WireEntry>(bytes)?.read()
    }
}

/// Writes one JSON object whose names come in order.
struct ObjectWriter {
    bytes: Vec<u8>,
    last_name: &'static str,
}

impl ObjectWriter {
    fn new() -> Self {
        Self {
            bytes: Vec::with_capacity(640),
            last_name: "",
        }
    }

    fn text(&mut self, name: &'static str, text: &str) {
        self.name(name);
        canonical::string(text, &mut self.bytes);
    }

    fn integer(&mut self, name: &'static str, value: i64) {
        self.name(name);
        self.bytes.extend_from_slice(value.to_string().as_bytes());
    }

    fn name(&mut self, name: &'static str) {
        debug_assert!(self.last_name < name, "{name} comes before {}", self.last_name);
        self.last_name = name;
        self.bytes.push(if self.bytes.is_empty() { b'{' } else { b',' });
        canonical::string(name, &mut self.bytes);
        self.bytes.push(b':');
    }

    fn finish(mut self) -> Vec<u8> {
        self.bytes.push(b'}');
        self.bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use expect_test::expect;

    fn entry(kind: EntryKind) -> Entry {
        Entry {
            ledger: LedgerName::parse("main").unwrap(),
            stream: StreamArn::parse("arn:aws:dynamodb:us-east-1:0:table/orders/stream/1").unwrap(),
            shard: ShardId::parse("shardId-1").unwrap(),
            commitment: Commitment([0xab; 32]),
            kind,
        }
    }

    fn change() -> EntryKind {
        EntryKind::Change {
            sequence: SequenceNumber::parse("100000000000000000001").unwrap(),
            event: EventId::parse("e1").unwrap(),
            operation: Operation::Modify,
            table: "orders \"2\"".to_owned(),
            item: ItemToken {
                key_id: "a1b2c3d4".to_owned(),
                token: [7; 16],
            },
            time: Timestamp::from_millisecond(1_772_366_400_000).unwrap(),
            assurance: Assurance::LastWriter,
            config: ConfigurationDigest([1; 16]),
        }
    }

    #[test]
    fn the_encoding_of_a_change_is_fixed() {
        expect![[r#"{"assurance":"last-writer","commitment":"abababababababababababababababababababababababababababababababab","config":"01010101010101010101010101010101","event":"e1","item":"a1b2c3d4:07070707070707070707070707070707","kind":"change","ledger":"main","operation":"modify","sequence":"100000000000000000001","shard":"shardId-1","stream":"arn:aws:dynamodb:us-east-1:0:table/orders/stream/1","table":"orders \"2\"","time":1772366400000,"v":1}"#]]
            .assert_eq(&String::from_utf8(entry(change()).encode().unwrap()).unwrap());
    }

    #[test]
    fn every_kind_reads_back_as_it_was_written() {
        let sequence = SequenceNumber::parse("5").unwrap();
        let kinds = [
            change(),
            EntryKind::Gap {
                after: Some(sequence.clone()),
                cause: GapCause::Trimmed,
                loss: Loss::Possible,
            },
            EntryKind::Gap {
                after: None,
                cause: GapCause::ShardExpired,
                loss: Loss::Certain,
            },
            EntryKind::Unknown {
                sequence,
                time: Timestamp::UNIX_EPOCH,
            },
        ];
        for kind in kinds {
            let entry = entry(kind);
            assert_eq!(Entry::decode(&entry.encode().unwrap()).unwrap(), entry);
        }
    }

    #[test]
    fn what_is_not_an_entry_is_refused() {
        let text = String::from_utf8(entry(change()).encode().unwrap()).unwrap();
        for (from, to) in [
            ("\"v\":1", "\"v\":2"),
            ("\"v\":1", "\"v\":1,\"more\":1"),
            ("\"kind\":\"change\"", "\"kind\":\"wish\""),
            ("abab", "abxx"),
            ("\"time\":1", "\"time\":1e99,\"was\":1"),
        ] {
            assert!(
                text.contains(from) && Entry::decode(text.replacen(from, to, 1).as_bytes()).is_err(),
                "{to}"
            );
        }
    }

    #[test]
    fn an_entry_over_the_limit_is_refused_before_it_is_stored() {
        let mut entry = entry(change());
        if let EntryKind::Change { table, .. } = &mut entry.kind {
            *table = "t".repeat(ENTRY_BYTES_MAX);
        }
        assert!(matches!(entry.encode(), Err(EntryError::TooLarge { .. })));
    }
}
