//! Around a record that Postgres refuses: `unknown` takes its place, so that one record keeps no other from being recorded.
//!
//! # Invariants
//!
//! - It is tried with what the record says first, and then with the digest of that; never with the digest of anything else.
//! - A gap is never `unknown`: it waits.

use weir_evidence::Entry;
use weir_ledger::{SealedRecord, ShardBatch};
use weir_model::{Record, UnknownRecord};

use super::{ShardTask, opened};
use crate::intake::seal::content;

/// Puts in its place before recording waits: with what it says, and with the digest of that.
const AT_ONCE: u32 = 2;

/// A record that Postgres refuses.
pub(super) struct Refused {
    /// As one that was not understood.
    record: UnknownRecord,
    /// How often it was put in its place.
    times: u32,
}

impl Refused {
    /// The record as it came, if it is still there, or else as it was sealed. `None` for a gap.
    fn new(sealed: &SealedRecord, came: &[Record], reason: &str) -> Option<Self> {
        let sequence = sealed.sequence.clone()?;
        let came = came.iter().find(|record| *record.sequence() == sequence);
        let (created_at, raw) = match came {
            Some(Record::Unknown(unknown)) => (unknown.created_at, unknown.raw.clone()),
            Some(Record::Change(change)) => (change.created_at, format!("{change:?}")),
            None => {
                let body = opened(sealed)?;
                let entry = Entry::decode(&sealed.entry).ok()?;
                (entry.time()?, content(&entry.kind, &body))
            }
        };
        let record = UnknownRecord {
            sequence,
            created_at,
            reason: reason.to_owned(),
            raw,
        };
        Some(Self { record, times: 0 })
    }
}

impl ShardTask {
    /// Goes on behind the records that were recorded before the one at `index`, which becomes `unknown`.
    ///
    /// # Errors
    ///
    /// What recording waits for.
    pub(super) async fn go_around(
        &self,
        batch: &mut ShardBatch,
        (index, reason): (usize, &str),
        came: &[Record],
        refused: &mut Option<Refused>,
    ) -> Result<(), String> {
        let sealed = batch.records.get(index);
        let sequence = sealed.and_then(|sealed| sealed.sequence.as_ref());
        let known = refused.take().filter(|known| Some(&known.record.sequence) == sequence);
        let now = known.or_else(|| sealed.and_then(|sealed| Refused::new(sealed, came, reason)));
        let now = refused.insert(now.ok_or_else(|| format!("postgres refuses a gap: {reason}"))?);
        tracing::error!(
            shard.id = %self.shard,
            sequence = %now.record.sequence,
            reason,
            "postgres refuses a record; it is recorded as unknown"
        );
        let (sealer, origin) = (&self.source.sealer, batch.lease.origin());
        let sealed = sealer.seal_refused(&origin, now.record.clone(), now.times == 0).await;
        put_in_place(batch, index, sealed.map_err(|error| error.to_string())?);
        now.times += 1;
        if now.times > AT_ONCE {
            return Err(format!("postgres refuses even the digest of a record: {reason}"));
        }
        Ok(())
    }
}

/// The batch from there on, with another record in the place of the refused one.
fn put_in_place(batch: &mut ShardBatch, index: usize, sealed: SealedRecord) {
    let sequence = sealed.sequence.clone();
    let mut left: Vec<SealedRecord> = batch.records.to_vec();
    left[index] = sealed;
    // The gap before the first record, if there is one, is appended together with it.
    let begin = if index == 1 && left[0].sequence.is_none() {
        0
    } else {
        index
    };
    let before = left[..begin].iter().filter_map(|record| record.sequence.clone());
    let (done, last) = before.fold((0, None), |(count, _), sequence| (count + 1, Some(sequence)));
    if let Some(last) = last {
        batch.after = Some(last);
        batch.first = sequence;
        batch.read -= done;
    }
    batch.records = left.drain(begin..).collect();
}
