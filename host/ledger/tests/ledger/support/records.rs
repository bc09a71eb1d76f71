//! Records: sealing them, appending them, and reading them back as text.

use std::fmt::Write as _;
use std::ops::RangeInclusive;
use std::sync::Arc;

use jiff::Timestamp;
use weir_evidence::{
    Body, Commitment, ConfigurationDigest, Entry, EntryKind, Gap, GapCause, ItemToken, Loss, leaf_hash, record,
};
use weir_ledger::{
    AppendError, AppendTo, Appended, BodyKeyError, KeyedBody, Ledger, NumberedBodyKey, RecordedEntry, SealedItem,
    SealedRecord, ShardBatch, ShardLease,
};
use weir_model::{Assurance, AttributeValue, EventId, Item, Operation, Position, SequenceNumber};

use super::TABLE;

pub(crate) const CONFIG: ConfigurationDigest = ConfigurationDigest([5; 16]);

/// One change of `item` for each sequence number, sealed.
pub(crate) async fn seal_items(ledger: &Ledger, lease: &ShardLease, changes: &[(u64, &str)]) -> Vec<SealedRecord> {
    // A connection that a test ends may be this one; asking again is safe.
    let mut keys = ledger.take_body_keys(changes.len()).await;
    for _ in 0..10 {
        if matches!(keys, Err(BodyKeyError::Database(_))) {
            keys = ledger.take_body_keys(changes.len()).await;
        }
    }
    let keys = keys.unwrap();
    let seal = |(&(sequence, item), numbered): (&(u64, &str), &NumberedBodyKey)| {
        let body = Body {
            actor: Some("ann".to_owned()),
            keys: Some(item_keys(item)),
            new: Some(attributes(&[("id", item), ("version", &sequence.to_string())])),
            ..Body::default()
        };
        seal_body(ledger, lease, sequence, item, &body, numbered)
    };
    changes.iter().zip(&keys).map(seal).collect()
}

/// A change that inserts an item with one long text.
pub(crate) async fn seal_large(ledger: &Ledger, lease: &ShardLease, sequence: u64, text: &str) -> SealedRecord {
    let numbered = ledger.take_body_keys(1).await.unwrap().remove(0);
    let body = Body {
        new: Some(attributes(&[("id", "large"), ("text", text)])),
        ..Body::default()
    };
    seal_body(ledger, lease, sequence, "large", &body, &numbered)
}

/// When everything here happened, in seconds since 1970.
pub(crate) const HAPPENED_S: i64 = 1_772_366_400;

/// One change of `item` with this body.
pub(crate) fn seal_body(
    ledger: &Ledger,
    lease: &ShardLease,
    sequence: u64,
    item: &str,
    body: &Body,
    numbered: &NumberedBodyKey,
) -> SealedRecord {
    seal_body_at(ledger, lease, (sequence, HAPPENED_S), item, body, numbered)
}

/// The same, with the second in which it happened.
pub(crate) fn seal_body_at(
    ledger: &Ledger,
    lease: &ShardLease,
    (sequence, second): (u64, i64),
    item: &str,
    body: &Body,
    numbered: &NumberedBodyKey,
) -> SealedRecord {
    seal_entry(ledger, sequence, Some(item), body, numbered, |commitment| {
        EntryKind::Change {
            is_amendment: false,
            origin: lease.origin(),
            commitment,
            sequence: number(sequence),
            event: EventId::parse(format!("event-{sequence}")).unwrap(),
            operation: Operation::Modify,
            table: TABLE.to_owned(),
            item: token(ledger, item),
            time: Timestamp::from_second(second).unwrap(),
            assurance: Assurance::Claimed,
            config: CONFIG,
        }
    })
}

/// A record with this body, perhaps about an item, as an entry of that kind.
pub(crate) fn seal_entry(
    ledger: &Ledger,
    sequence: u64,
    item: Option<&str>,
    body: &Body,
    numbered: &NumberedBodyKey,
    kind: impl FnOnce(Commitment) -> EntryKind,
) -> SealedRecord {
    let recorded = record(body, &numbered.key, |commitment| Entry {
        ledger: ledger.name().clone(),
        kind: kind(commitment),
    });
    let recorded = recorded.unwrap();
    SealedRecord {
        sequence: Some(number(sequence)),
        item: item.map(|item| SealedItem {
            lane: ledger.secret().lane(TABLE, &item_keys(item)),
            token: token(ledger, item).token,
            is_withheld: false,
        }),
        entry: recorded.entry,
        leaf: recorded.leaf,
        body: Some(KeyedBody {
            key: numbered.number,
            sealed: recorded.sealed,
            plain: Some(Arc::new(recorded.plain)),
        }),
        is_redacted: false,
    }
}

/// Stands for a record that was not understood.
pub(crate) async fn seal_unknown(ledger: &Ledger, lease: &ShardLease, sequence: u64) -> SealedRecord {
    let numbered = ledger.take_body_keys(1).await.unwrap().remove(0);
    let body = Body {
        raw: Some("what came".to_owned()),
        reason: Some("Postgres refused it".to_owned()),
        ..Body::default()
    };
    seal_entry(ledger, sequence, None, &body, &numbered, |commitment| {
        EntryKind::Unknown {
            origin: lease.origin(),
            commitment,
            sequence: number(sequence),
            time: Timestamp::from_second(HAPPENED_S).unwrap(),
        }
    })
}

/// A gap from `after` (0: the shard's begin) up to before `next`.
pub(crate) fn gap(ledger: &Ledger, lease: &ShardLease, after: u64, next: u64) -> SealedRecord {
    let entry = Entry {
        ledger: ledger.name().clone(),
        kind: EntryKind::Gap(Gap {
            origin: lease.origin(),
            commitment: None,
            after: (after > 0).then(|| number(after)),
            next: Some(number(next)),
            since: None,
            until: None,
            cause: GapCause::Trimmed,
            loss: Loss::Certain,
        }),
    };
    let entry = entry.encode().unwrap();
    SealedRecord {
        sequence: None,
        item: None,
        leaf: leaf_hash(&entry),
        entry,
        body: None,
        is_redacted: false,
    }
}

/// One change for each sequence number of a range, all of one item.
pub(crate) async fn seal(ledger: &Ledger, lease: &ShardLease, range: RangeInclusive<u64>) -> Vec<SealedRecord> {
    let changes: Vec<_> = range.map(|sequence| (sequence, "milk")).collect();
    seal_items(ledger, lease, &changes).await
}

/// Records that bring a shard from sequence number `after` (0: its begin) to the last of them.
pub(crate) fn batch(lease: &ShardLease, after: u64, to: u64, records: &[SealedRecord]) -> ShardBatch {
    ShardBatch {
        lease: lease.clone(),
        after: (after > 0).then(|| number(after)),
        to: AppendTo::Record(number(to)),
        records: Arc::from(records),
        first: Some(number(after + 1)),
        read: to - after,
        config: CONFIG,
    }
}

/// What brings a shard that stands at `after` to its end, with the last records it has.
pub(crate) fn end(lease: &ShardLease, after: u64, last: Option<u64>, records: &[SealedRecord]) -> ShardBatch {
    let after_number = (after > 0).then(|| number(after));
    match last {
        Some(last) => ShardBatch {
            to: AppendTo::End(Some(number(last))),
            ..batch(lease, after, last, records)
        },
        None => ShardBatch {
            to: AppendTo::End(after_number),
            first: None,
            read: 0,
            ..batch(lease, after, after, records)
        },
    }
}

/// Seals and appends what stands between two sequence numbers of a shard.
pub(crate) async fn append(ledger: &Ledger, lease: &ShardLease, after: u64, to: u64) -> Result<Appended, AppendError> {
    let records = seal(ledger, lease, after + 1..=to).await;
    ledger.append(batch(lease, after, to, &records)).await
}

/// Records the end of a shard that stands at `after`.
pub(crate) async fn append_end(ledger: &Ledger, lease: &ShardLease, after: u64) -> Result<Appended, AppendError> {
    ledger.append(end(lease, after, None, &[])).await
}

/// What an append said, in a few words.
pub(crate) fn told(result: &Result<Appended, AppendError>) -> String {
    let at = |position: &Option<SequenceNumber>| position.as_ref().map_or("its begin".to_owned(), ToString::to_string);
    match result {
        Ok(Appended::Written { first, head }) => format!("written at {first}, the head has {}", head.size),
        Ok(Appended::AlreadyThere) => "already there".to_owned(),
        Err(AppendError::Fenced { ours, current, .. }) => format!("fenced: {ours} by {current}"),
        Err(AppendError::Moved { position, finished, .. }) => {
            let end = if *finished { ", finished" } else { "" };
            format!("moved: stands at {}{end}", at(position))
        }
        Err(AppendError::ParentOpen { .. }) => "its parent is open".to_owned(),
        Err(AppendError::Refused { index, .. }) => format!("refused the record at {index}"),
        Err(AppendError::Database(_)) => "failed".to_owned(),
    }
}

pub(crate) fn number(sequence: u64) -> SequenceNumber {
    SequenceNumber::parse(sequence.to_string()).unwrap()
}

pub(crate) fn token(ledger: &Ledger, item: &str) -> ItemToken {
    ledger.secret().item_token(TABLE, &item_keys(item))
}

pub(crate) fn item_keys(item: &str) -> Item {
    attributes(&[("id", item)])
}

pub(crate) fn attributes(pairs: &[(&str, &str)]) -> Item {
    let attribute = |&(name, value): &(&str, &str)| (name.to_owned(), AttributeValue::text(value));
    pairs.iter().map(attribute).collect()
}

/// Entries from `from` on as `0:milk@1 1:bread@2`: position, item, sequence number. Item and number are from the body.
pub(crate) async fn read(ledger: &Ledger, from: u64) -> String {
    shown(&ledger.read_from(Position(from), 1000).await.unwrap())
}

pub(crate) fn shown(entries: &[RecordedEntry]) -> String {
    let mut text = String::new();
    for entry in entries {
        let new = entry.body.new.as_ref();
        let attribute = |name| new.and_then(|new| new.get(name)?.as_text()).unwrap_or("?");
        let gap = if text.is_empty() { "" } else { " " };
        write!(
            text,
            "{gap}{}:{}@{}",
            entry.position,
            attribute("id"),
            attribute("version")
        )
        .unwrap();
    }
    text
}
