//! Entries that speak of the ledger itself, in the transaction that does what they say.

use jiff::Timestamp;
use sqlx::{PgConnection, Postgres, Transaction};
use weir_evidence::{Body, BodyKey, Commitment, Entry, EntryKind, Hash, TileEdge, leaf_hash, record};
use weir_model::{LedgerName, Position};

use super::copy::{Row, copy_rows};
use super::{KeyedBody, SealedRecord};
use crate::transaction::begin;
use crate::{BodyKeyError, Head, Ledger, NumberedBodyKey};

/// An entry of the ledger's own, ready to be stored.
pub(crate) struct OwnRecord {
    record: SealedRecord,
}

impl OwnRecord {
    /// An entry without a body. What operators and plugins say stands in some of them, so it may be too large for one.
    fn bare(entry: &Entry) -> sqlx::Result<Self> {
        let entry = entry.encode().map_err(|error| sqlx::Error::Encode(Box::new(error)))?;
        let leaf: Hash = leaf_hash(&entry);
        Ok(Self::new(entry, leaf, None))
    }

    /// An entry that tells what became of the ledger itself.
    pub(crate) fn lifecycle(ledger: &LedgerName, what: &str, detail: String, time: Timestamp) -> sqlx::Result<Self> {
        Self::bare(&Entry {
            ledger: ledger.clone(),
            kind: EntryKind::Lifecycle {
                time,
                what: what.to_owned(),
                detail,
            },
        })
    }

    /// An entry with a body.
    pub(crate) fn sealed(key: &NumberedBodyKey, body: &Body, entry: impl FnOnce(Commitment) -> Entry) -> Self {
        let body_key: &BodyKey = &key.key;
        let recorded = record(body, body_key, entry).expect("an entry of our own is small");
        let body = KeyedBody {
            key: key.number,
            sealed: recorded.sealed,
            plain: None,
        };
        Self::new(recorded.entry, recorded.leaf, Some(body))
    }

    fn new(entry: Vec<u8>, leaf: Hash, body: Option<KeyedBody>) -> Self {
        Self {
            record: SealedRecord {
                sequence: None,
                item: None,
                entry,
                leaf,
                body,
                is_redacted: false,
            },
        }
    }
}

impl From<SealedRecord> for OwnRecord {
    fn from(record: SealedRecord) -> Self {
        Self { record }
    }
}

impl Ledger {
    /// One key for an entry of our own.
    pub(crate) async fn take_own_key(&self) -> Result<NumberedBodyKey, BodyKeyError> {
        let mut keys = self.take_body_keys(1).await?;
        Ok(keys.pop().expect("one key was taken"))
    }

    /// Appends an entry of our own, with whatever `beside` does in the same transaction, given its position.
    pub(crate) async fn append_own(
        &self,
        record: &OwnRecord,
        beside: impl AsyncFnOnce(&mut PgConnection, Position) -> sqlx::Result<()>,
    ) -> sqlx::Result<Head> {
        self.append_all_own(std::slice::from_ref(record), beside).await
    }

    /// Appends entries of our own, one behind the other, with whatever `beside` does in the same transaction, given the
    /// position of the first.
    pub(crate) async fn append_all_own(
        &self,
        records: &[OwnRecord],
        beside: impl AsyncFnOnce(&mut PgConnection, Position) -> sqlx::Result<()>,
    ) -> sqlx::Result<Head> {
        let mut cached = self.shared.append.turn.lock().await;
        let known = cached.take();
        let attempt = async {
            self.ensure_partitions(records.len()).await?;
            let mut tx = begin(&self.shared.pool).await?;
            let (head, edge) = self.append_own_in(&mut tx, records, beside, known).await?;
            tx.commit().await?;
            Ok((head, edge))
        };
        let attempt = tokio::time::timeout(super::APPEND_TIMEOUT, attempt).await;
        let (head, edge) = attempt.unwrap_or_else(|_| Err(crate::timed_out()))?;
        *cached = edge;
        self.saw_size(head.size);
        Ok(head)
    }

    async fn append_own_in(
        &self,
        tx: &mut Transaction<'static, Postgres>,
        records: &[OwnRecord],
        beside: impl AsyncFnOnce(&mut PgConnection, Position) -> sqlx::Result<()>,
        known: Option<TileEdge>,
    ) -> sqlx::Result<(Head, Option<TileEdge>)> {
        let mut frontier = self.lock_head(tx).await?;
        let mut edge = self.edge_at(tx, &frontier, known).await?;
        let (first, mut tiles) = (Position(frontier.size()), Vec::new());
        let rows: Vec<Row<'_>> = records.iter().map(|own| Row::of(&own.record)).collect();
        copy_rows(tx, self.shared.id, first, &rows).await?;
        for own in records {
            frontier.push(own.record.leaf);
            edge.iter_mut()
                .for_each(|edge| edge.push(own.record.leaf, |tile| tiles.push(tile)));
        }
        self.finish_append(tx, &frontier, &tiles, &[]).await?;
        beside(tx, first).await?;
        let head = Head {
            size: frontier.size(),
            root: frontier.root(),
        };
        Ok((head, edge))
    }
}
