//! Makes of each record what the ledger stores: who is resolved, the body sealed, the entry encoded and hashed.
//!
//! All of it happens before the ledger's lock is taken, on a thread that may be busy.

use std::sync::Arc;

use weir_evidence::{
    Body, BodyKey, Commitment, ConfigurationDigest, Entry, EntryError, EntryKind, GapCause, Loss, record,
};
use weir_ledger::{BodyKeyError, Ledger, NumberedBodyKey, SealedRecord};
use weir_model::{ActorRule, Change, Record, SequenceNumber, ShardId, StreamArn, UnknownRecord, Who};

/// Seals the records of one source.
pub(super) struct Sealer {
    ledger: Ledger,
    actor: Option<ActorRule>,
    config: ConfigurationDigest,
}

/// Where records come from.
#[derive(Clone, Debug)]
pub(super) struct Origin {
    pub(super) stream: StreamArn,
    pub(super) shard: ShardId,
}

/// Records that were never seen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Gap {
    pub(super) after: Option<SequenceNumber>,
    pub(super) cause: GapCause,
    pub(super) loss: Loss,
}

impl Sealer {
    pub(super) fn new(ledger: Ledger, actor: Option<ActorRule>, config: ConfigurationDigest) -> Self {
        Self { ledger, actor, config }
    }

    /// Seals a gap, if there is one, and the records behind it, in order.
    pub(super) async fn seal(
        self: &Arc<Self>,
        origin: &Origin,
        gap: Option<Gap>,
        records: Arc<[Record]>,
    ) -> Result<Vec<SealedRecord>, BodyKeyError> {
        let keys = self
            .ledger
            .take_body_keys(records.len() + usize::from(gap.is_some()))
            .await?;
        let (sealer, origin) = (Arc::clone(self), origin.clone());
        let sealed = tokio::task::spawn_blocking(move || {
            let mut keys = keys.into_iter();
            let mut key = || keys.next().expect("one key was taken for each");
            let mut sealed = Vec::with_capacity(records.len() + 1);
            if let Some(gap) = gap {
                sealed.push(sealer.seal_gap(&origin, gap, &key()));
            }
            for record in &*records {
                sealed.push(sealer.seal_record(&origin, record, &key()));
            }
            sealed
        });
        Ok(sealed.await.expect("sealing does not panic"))
    }

    /// Who made a change, by the source's rule.
    pub(super) fn who(&self, change: &Change) -> Who {
        match &self.actor {
            Some(rule) => rule.resolve(change),
            None => Who::without_rule(change),
        }
    }

    fn seal_record(&self, origin: &Origin, record: &Record, key: &NumberedBodyKey) -> SealedRecord {
        match record {
            Record::Change(change) => self.seal_change(origin, change, key).unwrap_or_else(|error| {
                let unknown = UnknownRecord {
                    sequence: change.sequence.clone(),
                    created_at: change.created_at,
                    reason: error.to_string(),
                    raw: format!("{change:?}"),
                };
                self.seal_unknown(origin, &unknown, key)
            }),
            Record::Unknown(unknown) => self.seal_unknown(origin, unknown, key),
        }
    }

    fn seal_change(&self, origin: &Origin, change: &Change, key: &NumberedBodyKey) -> Result<SealedRecord, EntryError> {
        let who = self.who(change);
        let body = Body {
            actor: who.actor,
            keys: Some(change.keys.clone()),
            old: change.old.clone(),
            new: change.new.clone(),
            ..Body::default()
        };
        let kind = EntryKind::Change {
            sequence: change.sequence.clone(),
            event: change.event_id.clone(),
            operation: change.operation,
            table: change.table.clone(),
            item: self.ledger.secret().item_token(&change.table, &change.keys),
            time: change.created_at,
            assurance: who.assurance,
            config: self.config,
        };
        let lane = self.ledger.secret().lane(&change.table, &change.keys);
        self.store(origin, &body, kind, Some(lane), key)
    }

    fn seal_unknown(&self, origin: &Origin, unknown: &UnknownRecord, key: &NumberedBodyKey) -> SealedRecord {
        let body = Body {
            raw: Some(unknown.raw.clone()),
            reason: Some(unknown.reason.clone()),
            ..Body::default()
        };
        let kind = EntryKind::Unknown {
            sequence: unknown.sequence.clone(),
            time: unknown.created_at,
        };
        self.store(origin, &body, kind, None, key)
            .expect("an entry of ids alone is below the limit")
    }

    fn seal_gap(&self, origin: &Origin, gap: Gap, key: &NumberedBodyKey) -> SealedRecord {
        let kind = EntryKind::Gap {
            after: gap.after,
            cause: gap.cause,
            loss: gap.loss,
        };
        self.store(origin, &Body::default(), kind, None, key)
            .expect("an entry of ids alone is below the limit")
    }

    fn store(
        &self,
        origin: &Origin,
        body: &Body,
        kind: EntryKind,
        lane: Option<u8>,
        NumberedBodyKey { number, key }: &NumberedBodyKey,
    ) -> Result<SealedRecord, EntryError> {
        let (entry, leaf, body) = record(body, key as &BodyKey, |commitment: Commitment| Entry {
            ledger: self.ledger.name().clone(),
            stream: origin.stream.clone(),
            shard: origin.shard.clone(),
            commitment,
            kind,
        })?;
        Ok(SealedRecord {
            lane,
            body_key: *number,
            entry,
            leaf,
            body,
        })
    }
}
