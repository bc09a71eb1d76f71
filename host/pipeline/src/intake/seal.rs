//! Makes of each record what the ledger stores: who is resolved, the body sealed, the entry encoded and hashed.
//!
//! All of it happens before the ledger's lock is taken, on a thread that may be busy.

use std::sync::Arc;

use serde_json::json;
use sha2::{Digest as _, Sha256};
use tokio::sync::Semaphore;
use weir_evidence::{
    Body, BodyKey, Commitment, ConfigurationDigest, Entry, EntryError, EntryKind, Gap, Origin, Withheld, leaf_hash,
    record,
};
use weir_ledger::{BodyKeyError, KeyedBody, Ledger, NumberedBodyKey, SealedItem, SealedRecord};
use weir_model::{ActorRule, Change, Record, SequenceNumber, UnknownRecord, Who};
use weir_runtime::Annotation;

use super::annotate::{AnnotateError, Annotated, IntakePlugin, PluginParts, Prepared};

/// Seals the records of one source.
pub(super) struct Sealer {
    ledger: Ledger,
    actor: Option<ActorRule>,
    plugin: Option<IntakePlugin>,
    config: ConfigurationDigest,
    /// Pages that may be sealed at once. More threads than processors seal no faster, and each keeps memory of its own.
    places: Semaphore,
}

/// Why records cannot be sealed now. Trying again is safe.
#[derive(Debug, thiserror::Error)]
pub(super) enum SealError {
    #[error("keys for bodies cannot be had")]
    BodyKey(#[from] BodyKeyError),
    #[error("records cannot be annotated")]
    Annotate(#[from] AnnotateError),
}

/// What decides the content of an entry beyond the record itself.
pub(super) fn config_digest(actor: Option<&ActorRule>, plugin: Option<PluginParts<'_>>) -> ConfigurationDigest {
    let rule = serde_json::to_vec(&actor).expect("an actor rule is JSON");
    let mut hash = Sha256::new_with_prefix(b"weir/intake-configuration/v1").chain_update(rule);
    if let Some((digest, config, lookups)) = plugin {
        let lookups = serde_json::to_vec(lookups).expect("digests are JSON");
        // Each of known length, or with its length before it.
        hash.update(b"\0annotator");
        hash.update(digest);
        for part in [config.as_bytes(), &lookups] {
            hash.update((part.len() as u64).to_be_bytes());
            hash.update(part);
        }
    }
    ConfigurationDigest(hash.finalize()[..16].try_into().expect("32 bytes have 16"))
}

impl Sealer {
    pub(super) fn new(ledger: Ledger, actor: Option<ActorRule>, plugin: Option<IntakePlugin>) -> Self {
        let processors = std::thread::available_parallelism().map_or(1, usize::from);
        let of_plugin = plugin
            .as_ref()
            .and_then(|plugin| plugin.annotator.stored.definition.digest());
        Self {
            config: of_plugin.unwrap_or_else(|| config_digest(actor.as_ref(), None)),
            ledger,
            actor,
            plugin,
            places: Semaphore::new(processors),
        }
    }

    /// Seals a gap, if there is one, and the records behind it, in order. Takes the records, unless a plugin made others of them: they
    /// are a page's worth of memory.
    pub(super) async fn seal(
        self: &Arc<Self>,
        origin: &Origin,
        gap: Option<Gap>,
        records: &mut Vec<Record>,
    ) -> Result<Vec<SealedRecord>, SealError> {
        let prepared = match &self.plugin {
            None => None,
            Some(plugin) => {
                let who = |change: &Change| self.who(change);
                Some(plugin.prepare(&self.ledger, who, records).await?)
            }
        };
        let keys = self.ledger.take_body_keys(records.len()).await?;
        // It fails when it is closed, which it never is.
        let place = self.places.acquire().await;
        let (sealer, origin) = (Arc::clone(self), origin.clone());
        let unprepared = if prepared.is_none() {
            std::mem::take(records)
        } else {
            Vec::new()
        };
        let sealed = tokio::task::spawn_blocking(move || {
            let mut keys = keys.into_iter();
            let mut key = || keys.next().expect("one key was taken for each");
            let gap = gap.map(|gap| sealer.seal_gap(gap));
            let mut sealed: Vec<SealedRecord> = gap.into_iter().collect();
            for record in unprepared {
                sealed.push(sealer.seal_record(&origin, record, &key()));
            }
            for prepared in prepared.into_iter().flatten() {
                sealed.push(sealer.seal_prepared(&origin, prepared, &key())?);
            }
            Ok(sealed)
        });
        let sealed = sealed.await.expect("sealing does not panic");
        drop(place);
        sealed
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
        refused: UnknownRecord,
        with_content: bool,
    ) -> Result<SealedRecord, BodyKeyError> {
        let key = self.ledger.take_body_keys(1).await?.pop().expect("one key was taken");
        let digest = |raw: &str| format!("sha256:{}", hex::encode(Sha256::digest(raw)));
        let unknown = UnknownRecord {
            raw: if with_content {
                refused.raw
            } else {
                digest(&refused.raw)
            },
            ..refused
        };
        match &self.plugin {
            None => Ok(self.seal_unknown(origin, unknown, &key)),
            Some(plugin) => self.seal_prepared(origin, plugin.refused(&unknown), &key),
        }
    }

    /// Who made a change, by the source's rule.
    pub(super) fn who(&self, change: &Change) -> Who {
        match &self.actor {
            Some(rule) => rule.resolve(change),
            None => Who::without_rule(change),
        }
    }

    fn seal_record(&self, origin: &Origin, record: Record, key: &NumberedBodyKey) -> SealedRecord {
        match record {
            Record::Change(change) => self.seal_change(origin, change, key),
            Record::Unknown(unknown) => self.seal_unknown(origin, unknown, key),
        }
    }

    fn seal_prepared(
        &self,
        origin: &Origin,
        prepared: Prepared,
        key: &NumberedBodyKey,
    ) -> Result<SealedRecord, BodyKeyError> {
        match prepared {
            Prepared::Change(annotated) => Ok(self.seal_told(origin, annotated, key)),
            Prepared::Withheld(change, withheld) => self.seal_withheld(origin, &change, &withheld, key),
            Prepared::Unknown(unknown, withheld) => {
                let raw = self.withhold(origin, &unknown.sequence, &withheld)?;
                Ok(self.seal_unknown(origin, UnknownRecord { raw, ..unknown }, key))
            }
        }
    }

    fn seal_change(&self, origin: &Origin, change: Change, key: &NumberedBodyKey) -> SealedRecord {
        let annotated = Annotated {
            item: self.ledger.secret().item_token(&change.table, &change.keys),
            lane: self.ledger.secret().lane(&change.table, &change.keys),
            who: self.who(&change),
            change,
            annotation: Annotation::default(),
            is_redacted: false,
        };
        self.seal_told(origin, annotated, key)
    }

    fn seal_told(&self, origin: &Origin, annotated: Annotated, key: &NumberedBodyKey) -> SealedRecord {
        let (sequence, created_at) = (annotated.change.sequence.clone(), annotated.change.created_at);
        let sealed = seal_annotated(&self.ledger, origin, annotated, false, self.config, key);
        sealed.unwrap_or_else(|unstored| {
            let unknown = UnknownRecord {
                sequence,
                created_at,
                reason: unstored.error.to_string(),
                raw: content(&unstored.kind, &unstored.body),
            };
            self.seal_unknown(origin, unknown, key)
        })
    }

    fn seal_withheld(
        &self,
        origin: &Origin,
        change: &Change,
        withheld: &Withheld,
        key: &NumberedBodyKey,
    ) -> Result<SealedRecord, BodyKeyError> {
        let body = Body {
            raw: Some(self.withhold(origin, &change.sequence, withheld)?),
            reason: Some(withheld.code.clone()),
            ..Body::default()
        };
        let item = self.ledger.secret().item_token(&change.table, &change.keys);
        let sealed_item = SealedItem {
            lane: self.ledger.secret().lane(&change.table, &change.keys),
            token: item.token,
            is_withheld: true,
        };
        let kind = |commitment| EntryKind::Withheld {
            origin: origin.clone(),
            commitment,
            sequence: change.sequence.clone(),
            event: change.event_id.clone(),
            operation: change.operation,
            table: change.table.clone(),
            item,
            time: change.created_at,
            config: self.config,
        };
        let sealed = store(&self.ledger, &change.sequence, body, kind, Some(sealed_item), key);
        Ok(match sealed {
            Ok(sealed) => sealed,
            // Too large for an entry even so: an outlandishly long name.
            Err(unstored) => {
                let unknown = UnknownRecord {
                    sequence: change.sequence.clone(),
                    created_at: change.created_at,
                    reason: unstored.error.to_string(),
                    raw: content(&unstored.kind, &unstored.body),
                };
                self.seal_unknown(origin, unknown, key)
            }
        })
    }

    /// What is withheld, as only those can open it who may.
    fn withhold(
        &self,
        origin: &Origin,
        sequence: &SequenceNumber,
        withheld: &Withheld,
    ) -> Result<String, BodyKeyError> {
        let plugin = self.plugin.as_ref().expect("only what a plugin has seen is withheld");
        let mut seed = [0; 32];
        getrandom::fill(&mut seed).map_err(BodyKeyError::Randomness)?;
        Ok(plugin.withhold_to().seal(withheld, origin, sequence, seed))
    }

    fn seal_unknown(&self, origin: &Origin, unknown: UnknownRecord, key: &NumberedBodyKey) -> SealedRecord {
        let body = Body {
            raw: Some(unknown.raw),
            reason: Some(unknown.reason),
            ..Body::default()
        };
        let kind = |commitment| EntryKind::Unknown {
            origin: origin.clone(),
            commitment,
            sequence: unknown.sequence.clone(),
            time: unknown.created_at,
        };
        let sealed = store(&self.ledger, &unknown.sequence, body, kind, None, key).map_err(|unstored| unstored.error);
        sealed.expect("an entry of ids alone is below the limit")
    }

    fn seal_gap(&self, gap: Gap) -> SealedRecord {
        let entry = Entry {
            ledger: self.ledger.name().clone(),
            kind: EntryKind::Gap(gap),
        };
        let entry = entry.encode().expect("an entry of ids alone is below the limit");
        SealedRecord {
            sequence: None,
            item: None,
            leaf: leaf_hash(&entry),
            entry,
            body: None,
            is_redacted: false,
        }
    }
}

/// A record that the ledger has no entry for.
pub(super) struct Unstored {
    pub(super) error: EntryError,
    /// What it is, and what it said.
    kind: Box<EntryKind>,
    body: Box<Body>,
}

/// What a record says, as the text of one that was not understood.
pub(super) fn content(kind: &EntryKind, body: &Body) -> String {
    let (EntryKind::Change {
        table,
        operation,
        event,
        ..
    }
    | EntryKind::Withheld {
        table,
        operation,
        event,
        ..
    }) = kind
    else {
        return body.raw.clone().unwrap_or_default();
    };
    json!({ "table": table, "operation": operation, "event": event, "body": body }).to_string()
}

/// A change as it is stored, recorded at once or as an amendment of what was withheld.
pub(super) fn seal_annotated(
    ledger: &Ledger,
    origin: &Origin,
    annotated: Annotated,
    is_amendment: bool,
    config: ConfigurationDigest,
    key: &NumberedBodyKey,
) -> Result<SealedRecord, Unstored> {
    let Annotated {
        change,
        item,
        lane,
        who,
        annotation,
        is_redacted,
    } = annotated;
    let body = Body {
        actor: who.actor,
        keys: Some(change.keys),
        old: change.old,
        new: change.new,
        reason: annotation.reason,
        tags: annotation.tags.into_iter().collect(),
        ..Body::default()
    };
    let sealed_item = SealedItem {
        lane,
        token: item.token,
        is_withheld: false,
    };
    let kind = |commitment| EntryKind::Change {
        is_amendment,
        origin: origin.clone(),
        commitment,
        sequence: change.sequence.clone(),
        event: change.event_id,
        operation: change.operation,
        table: change.table,
        item,
        time: change.created_at,
        assurance: who.assurance,
        config,
    };
    let sealed = store(ledger, &change.sequence, body, kind, Some(sealed_item), key)?;
    Ok(SealedRecord { is_redacted, ..sealed })
}

fn store(
    ledger: &Ledger,
    sequence: &SequenceNumber,
    body: Body,
    kind: impl FnOnce(Commitment) -> EntryKind,
    item: Option<SealedItem>,
    NumberedBodyKey { number, key }: &NumberedBodyKey,
) -> Result<SealedRecord, Unstored> {
    let recorded = record(&body, key as &BodyKey, |commitment: Commitment| Entry {
        ledger: ledger.name().clone(),
        kind: kind(commitment),
    });
    let recorded = match recorded {
        Ok(recorded) => recorded,
        Err((error, entry)) => {
            return Err(Unstored {
                error,
                kind: Box::new(entry.kind),
                body: Box::new(body),
            });
        }
    };
    Ok(SealedRecord {
        sequence: Some(sequence.clone()),
        item,
        entry: recorded.entry,
        leaf: recorded.leaf,
        body: Some(KeyedBody {
            key: *number,
            sealed: recorded.sealed,
            plain: Some(Arc::new(recorded.plain)),
        }),
        is_redacted: false,
    })
}
