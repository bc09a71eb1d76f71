//! Reads an entry: its JSON first, as it stands there, then each member into what it has to be.

use jiff::Timestamp;
use serde::Deserialize;
use weir_model::{Assurance, EventId, LedgerName, Operation, SequenceNumber, ShardId, StreamArn};

use super::{ConfigurationDigest, Entry, EntryError, EntryKind, GapCause, Loss, VERSION};
use crate::{Commitment, ItemToken};

/// An entry as its JSON says it, before its members are checked.
#[derive(Deserialize)]
#[serde(tag = "kind", rename_all = "lowercase", deny_unknown_fields)]
pub(super) enum WireEntry {
    Change {
        #[serde(flatten)]
        common: WireCommon,
        assurance: Assurance,
        config: String,
        event: EventId,
        item: String,
        operation: Operation,
        sequence: SequenceNumber,
        table: String,
        time: i64,
    },
    Gap {
        #[serde(flatten)]
        common: WireCommon,
        #[serde(default)]
        after: Option<SequenceNumber>,
        cause: GapCause,
        loss: Loss,
    },
    Unknown {
        #[serde(flatten)]
        common: WireCommon,
        sequence: SequenceNumber,
        time: i64,
    },
}

#[derive(Deserialize)]
pub(super) struct WireCommon {
    commitment: String,
    ledger: LedgerName,
    shard: ShardId,
    stream: StreamArn,
    v: u64,
}

impl WireEntry {
    pub(super) fn read(self) -> Result<Entry, EntryError> {
        let (common, kind) = match self {
            Self::Change {
                common,
                assurance,
                config,
                event,
                item,
                operation,
                sequence,
                table,
                time,
            } => {
                let item = read_item_token(&item)?;
                let config = ConfigurationDigest(read_hex("config", &config)?);
                let time = read_time(time)?;
                (
                    common,
                    EntryKind::Change {
                        sequence,
                        event,
                        operation,
                        table,
                        item,
                        time,
                        assurance,
                        config,
                    },
                )
            }
            Self::Gap {
                common,
                after,
                cause,
                loss,
            } => (common, EntryKind::Gap { after, cause, loss }),
            Self::Unknown { common, sequence, time } => {
                let time = read_time(time)?;
                (common, EntryKind::Unknown { sequence, time })
            }
        };
        if common.v != VERSION {
            return Err(EntryError::Version { version: common.v });
        }
        Ok(Entry {
            ledger: common.ledger,
            stream: common.stream,
            shard: common.shard,
            commitment: Commitment(read_hex::<32>("commitment", &common.commitment)?),
            kind,
        })
    }
}

fn read_item_token(text: &str) -> Result<ItemToken, EntryError> {
    let (key_id, token) = text.split_once(':').ok_or(EntryError::Member { member: "item" })?;
    Ok(ItemToken {
        key_id: key_id.to_owned(),
        token: read_hex("item", token)?,
    })
}

fn read_time(milliseconds: i64) -> Result<Timestamp, EntryError> {
    Timestamp::from_millisecond(milliseconds).map_err(|_| EntryError::Member { member: "time" })
}

fn read_hex<const BYTES: usize>(member: &'static str, text: &str) -> Result<[u8; BYTES], EntryError> {
    let mut bytes = [0; BYTES];
    hex::decode_to_slice(text, &mut bytes).map_err(|_| EntryError::Member { member })?;
    Ok(bytes)
}
