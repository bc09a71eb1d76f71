//! Makes of each record what the ledger stores: who is resolved, the body sealed, the entry encoded and hashed.
//!
//! All of it happens before the ledger's lock is taken, on a thread that may be busy.

use std::sync::Arc;

use sha2::{Digest as _, Sha256};
use tokio::sync::Semaphore;
use weir_evidence::{
    Body, BodyKey, Commitment, ConfigurationDigest, Entry, EntryError, EntryKind, Gap, Origin, leaf_hash, record,
};
use weir_ledger::{BodyKeyError, KeyedBody, Ledger, NumberedBodyKey, SealedRecord};
use weir_model::{ActorRule, Change, Record, SequenceNumber, UnknownRecord, Who};

/// Seals the records of one source.
pub(super) struct Sealer {
    ledger: Ledger,
    actor: Option<ActorRule>,
    config: ConfigurationDigest,
    /// Pages that may be sealed at once. More threads than processors seal no faster, and each keeps memory of its own.
    places: Semaphore,
}

impl Sealer {
    pub(super) fn new(ledger: Ledger, actor: Option<ActorRule>, config: ConfigurationDigest) -> Self {
        let processors = std::thread::available_parallelism().map_or(1, usize::from);
        Self {
            ledger,
            actor,
            config,
            places: Semaphore::new(processors),
        }
    }

    /// Seals a gap, if there is one, and the records behind it, in order.
    pub(super) async fn seal(
        self: &Arc<Self>,
        origin: &Origin,
        gap: Option<Gap>,
        records: Arc<[Record]>,
    ) -> Result<Vec<SealedRecord>, BodyKeyError> {
        let keys = self.ledger.take_body_keys(records.len()).await?;
        // It fails when it is closed, which it never is.
        let place = self.places.acquire().await;
        let (sealer, origin) = (Arc::clone(self), origin.clone());
        let sealed = tokio::task::spawn_blocking(move || {
            let mut keys = keys.into_iter();
            let mut key = || keys.next().expect("one key was taken for each");
            let mut sealed = Vec::with_capacity(records.len() + 1);
            if let Some(gap) = gap {
                sealed.push(sealer.seal_gap(gap));
            }
            for record in &*records {
                sealed.push(sealer.seal_record(&origin, record, &key()));
            }
            sealed
        });
        let sealed = sealed.await.expect("sealing does not panic");
        drop(place);
        Ok(sealed)
    }

    /// The configuration that decides what these entries say.
    pub(super) fn config(&self) -> ConfigurationDigest {
        self.config
    }

    /// Seals a record that Postgres refused as one that could not be stored: first with its content, and if that is what
    /// is refused, with its digest.
    pub(super) async fn seal_refused(
        &self,
        origin: &Origin,
        record: &Record,
        reason: String,
        with_content: bool,
    ) -> Result<SealedRecord, BodyKeyError> {
        let key = self.ledger.take_body_keys(1).await?.pop().expect("one key was taken");
        let raw = match record {
            Record::Change(change) => format!("{change:?}"),
            Record::Unknown(unknown) => unknown.raw.clone(),
        };
        let digest = || format!("sha256:{}", hex::encode(Sha256::digest(&raw)));
        let unknown = UnknownRecord {
            sequence: record.sequence().clone(),
            created_at: record.created_at(),
            reason,
            raw: if with_content { raw.clone() } else { digest() },
        };
        Ok(self.seal_unknown(origin, &unknown, &key))
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
        let kind = |commitment| EntryKind::Change {
            origin: origin.clone(),
            commitment,
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
        self.store(&change.sequence, &body, kind, Some(lane), key)
    }

    fn seal_unknown(&self, origin: &Origin, unknown: &UnknownRecord, key: &NumberedBodyKey) -> SealedRecord {
        let body = Body {
            raw: Some(unknown.raw.clone()),
            reason: Some(unknown.reason.clone()),
            ..Body::default()
        };
        let kind = |commitment| EntryKind::Unknown {
            origin: origin.clone(),
            commitment,
            sequence: unknown.sequence.clone(),
            time: unknown.created_at,
        };
        self.store(&unknown.sequence, &body, kind, None, key)
            .expect("an entry of ids alone is below the limit")
    }

    fn seal_gap(&self, gap: Gap) -> SealedRecord {
        let entry = Entry {
            ledger: self.ledger.name().clone(),
            kind: EntryKind::Gap(gap),
        };
        let entry = entry.encode().expect("an entry of ids alone is below the limit");
        SealedRecord {
            sequence: None,
            lane: None,
            leaf: leaf_hash(&entry),
            entry,
            body: None,
        }
    }

    fn store(
        &self,
        sequence: &SequenceNumber,
        body: &Body,
        kind: impl FnOnce(Commitment) -> EntryKind,
        lane: Option<u8>,
        NumberedBodyKey { number, key }: &NumberedBodyKey,
    ) -> Result<SealedRecord, EntryError> {
        let (entry, leaf, sealed) = record(body, key as &BodyKey, |commitment: Commitment| Entry {
            ledger: self.ledger.name().clone(),
            kind: kind(commitment),
        })?;
        Ok(SealedRecord {
            sequence: Some(sequence.clone()),
            lane,
            entry,
            leaf,
            body: Some(KeyedBody { key: *number, sealed }),
        })
    }
}
