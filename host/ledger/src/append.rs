//! The append: a shard's records become entries, and its position moves, in one transaction.
//!
//! ```text
//! lock the head ──▶ lock the shard ──▶ epoch ours, position as expected ──▶ copy entries, move head and shard, commit
//!                        │
//!                        ├─ epoch ours, position = end of this batch ──▶ was committed already: acknowledge
//!                        ├─ epoch ours, another position             ──▶ Moved: read again from there
//!                        └─ epoch not ours                           ──▶ Fenced: drop the shard
//! ```
//!
//! # Invariants
//!
//! - A batch is in the ledger once or not at all, however often it is appended.
//! - Everything that can be worked out without the lock was worked out before: entries come in encoded, sealed, hashed.

use std::time::Duration;

use sqlx::{Connection as _, PgConnection};
use weir_evidence::{Hash, SealedBody};
use weir_model::{Position, SequenceNumber};

use crate::head::unreadable;
use crate::shard::read_position;
use crate::{Head, Ledger, ShardLease, from_stored, timed_out};

/// Longest append. Past it the connection is given up, and whether the batch is there has to be found out.
const APPEND_TIMEOUT: Duration = Duration::from_secs(30);

/// Positions per partition of `entry`, as `ensure_entry_partitions` makes them.
const POSITIONS_PER_PARTITION: i64 = 1 << 20;

/// Bytes gathered before they are handed to the connection.
const COPY_CHUNK_BYTES: usize = 64 << 10;

/// One record, ready to be stored.
#[derive(Clone, Debug)]
pub struct SealedRecord {
    /// Lane of its item; `None` where it is about no item.
    pub lane: Option<u8>,
    /// Number of the key that sealed the body.
    pub body_key: i64,
    /// Canonical bytes of the entry.
    pub entry: Vec<u8>,
    /// Their leaf hash.
    pub leaf: Hash,
    /// The body beside it.
    pub body: SealedBody,
}

/// Records of one shard that follow each other.
#[derive(Clone, Debug)]
pub struct ShardBatch<'a> {
    /// The right to record this shard.
    pub lease: &'a ShardLease,
    /// Where the shard must stand.
    pub after: Option<SequenceNumber>,
    /// Where it stands afterwards.
    pub to: AppendTo,
    /// The records, in order.
    pub records: &'a [SealedRecord],
}

/// Where a shard stands after a batch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AppendTo {
    /// At this record; more may follow.
    Record(SequenceNumber),
    /// At its end; the last record may be in this batch.
    End(Option<SequenceNumber>),
}

/// What an append did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Appended {
    /// The records stand from `first` on, and this is the head over them.
    Written {
        /// Position of the first record.
        first: Position,
        /// The head after them.
        head: Head,
    },
    /// The batch was in the ledger already: an earlier attempt had been committed.
    AlreadyThere,
}

/// Why a batch was not appended.
#[derive(Debug, thiserror::Error)]
pub enum AppendError {
    /// Another worker holds the shard now. Nothing of this batch was written.
    #[error("lease epoch {ours} of shard {shard} was fenced by epoch {current}")]
    Fenced {
        /// The shard.
        shard: weir_model::ShardId,
        /// Epoch of the lease.
        ours: i64,
        /// Epoch now.
        current: i64,
    },
    /// The shard stands elsewhere than this batch begins. Nothing was written; read again from there.
    #[error("shard {shard} stands elsewhere than expected")]
    Moved {
        /// The shard.
        shard: weir_model::ShardId,
        /// Where it stands.
        position: Option<SequenceNumber>,
        /// Its end was recorded.
        finished: bool,
    },
    /// Postgres failed. The batch may or may not be there: a connection lost during commit does not say.
    /// Appending the same batch again is safe.
    #[error("could not append to the ledger")]
    Database(#[from] sqlx::Error),
}

impl AppendError {
    /// Whether the same batch may be tried again.
    #[must_use]
    pub fn may_retry(&self) -> bool {
        match self {
            Self::Fenced { .. } | Self::Moved { .. } => false,
            Self::Database(_) => true,
        }
    }
}

impl Ledger {
    /// Appends a batch of one shard.
    ///
    /// Durable on return. May be called again with the same batch after any error; may be called concurrently, and then
    /// waits its turn at the head.
    ///
    /// # Errors
    ///
    /// The lease is lost, the shard stands elsewhere, or Postgres failed.
    pub async fn append(&self, batch: ShardBatch<'_>) -> Result<Appended, AppendError> {
        let _turn = self.shared.append_turn.lock().await;
        let attempt = tokio::time::timeout(APPEND_TIMEOUT, self.append_in_time(batch));
        attempt
            .await
            .unwrap_or_else(|_| Err(AppendError::Database(timed_out())))
    }

    async fn append_in_time(&self, batch: ShardBatch<'_>) -> Result<Appended, AppendError> {
        self.ensure_partitions(batch.records.len()).await?;
        let mut conn = self.shared.pool.acquire().await?;
        let mut tx = conn.begin().await?;
        let mut frontier = self.lock_head(&mut tx).await?;
        if lock_shard(&mut tx, &batch).await? == ShardCheck::AlreadyThere {
            return Ok(Appended::AlreadyThere);
        }
        let first = from_stored(i64::try_from(frontier.size()).map_err(|_| unreadable("size"))?);
        copy_entries(&mut tx, self.shared.id, first, batch.records).await?;
        batch.records.iter().for_each(|record| frontier.push(record.leaf));
        self.update_head(&mut tx, &frontier).await?;
        move_shard(&mut tx, &batch).await?;
        tx.commit().await?;
        let head = Head {
            size: frontier.size(),
            root: frontier.root(),
        };
        self.saw_size(head.size);
        Ok(Appended::Written { first, head })
    }

    /// Makes the partition that this append reaches into, and the next, unless that is known to have been done.
    async fn ensure_partitions(&self, count: usize) -> sqlx::Result<()> {
        let size = i64::try_from(*self.shared.size.borrow()).expect("positions are below 2^63");
        let wanted = size + i64::try_from(count).expect("a batch is small");
        let mut partitioned_to = self.shared.partitioned_to.lock().await;
        // Another process may append meanwhile: half a partition of slack is more than it can write before we look again.
        if wanted + POSITIONS_PER_PARTITION / 2 >= *partitioned_to {
            sqlx::query!("select ensure_entry_partitions($1, $2)", self.shared.id, wanted)
                .fetch_one(&self.shared.pool)
                .await?;
            *partitioned_to = (wanted / POSITIONS_PER_PARTITION + 2) * POSITIONS_PER_PARTITION;
        }
        Ok(())
    }
}

#[derive(PartialEq, Eq)]
enum ShardCheck {
    Write,
    AlreadyThere,
}

async fn lock_shard(conn: &mut PgConnection, batch: &ShardBatch<'_>) -> Result<ShardCheck, AppendError> {
    let lease = batch.lease;
    let row = sqlx::query!(
        r#"
        select epoch, position, finished_at is not null as "finished!"
        from shard
        where stream_id = $1 and shard = $2
        for update
        "#,
        lease.stream_id,
        lease.shard.as_str(),
    )
    .fetch_one(conn)
    .await?;
    if row.epoch != lease.epoch {
        return Err(AppendError::Fenced {
            shard: lease.shard.clone(),
            ours: lease.epoch,
            current: row.epoch,
        });
    }
    let stands = (read_position(row.position)?, row.finished);
    let ends = match &batch.to {
        AppendTo::Record(last) => (Some(last.clone()), false),
        AppendTo::End(last) => (last.clone().or_else(|| batch.after.clone()), true),
    };
    if stands == (batch.after.clone(), false) {
        Ok(ShardCheck::Write)
    } else if stands == ends {
        Ok(ShardCheck::AlreadyThere)
    } else {
        let (position, finished) = stands;
        Err(AppendError::Moved {
            shard: lease.shard.clone(),
            position,
            finished,
        })
    }
}

async fn move_shard(conn: &mut PgConnection, batch: &ShardBatch<'_>) -> sqlx::Result<()> {
    let (position, finished) = match &batch.to {
        AppendTo::Record(last) => (Some(last), false),
        AppendTo::End(last) => (last.as_ref(), true),
    };
    sqlx::query!(
        "
        update shard
        set position = coalesce($3, position), finished_at = case when $4 then clock_timestamp() end
        where stream_id = $1 and shard = $2
        ",
        batch.lease.stream_id,
        batch.lease.shard.as_str(),
        position.map(SequenceNumber::as_str),
        finished,
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// Writes rows in the binary format of COPY (Postgres manual, "COPY", "Binary Format").
async fn copy_entries(
    conn: &mut PgConnection,
    ledger_id: i32,
    first: Position,
    records: &[SealedRecord],
) -> sqlx::Result<()> {
    if records.is_empty() {
        return Ok(());
    }
    let mut copy = conn
        .copy_in_raw("copy entry (ledger_id, position, lane, body_key, entry, body) from stdin with (format binary)")
        .await?;
    let mut rows = Vec::with_capacity(2 * COPY_CHUNK_BYTES);
    rows.extend_from_slice(b"PGCOPY\n\xff\r\n\0\0\0\0\0\0\0\0\0");
    for (position, record) in (first.0..).zip(records) {
        rows.extend_from_slice(&6_i16.to_be_bytes());
        field(&mut rows, &ledger_id.to_be_bytes());
        field(&mut rows, &position.to_be_bytes());
        match record.lane {
            Some(lane) => field(&mut rows, &i16::from(lane).to_be_bytes()),
            None => rows.extend_from_slice(&(-1_i32).to_be_bytes()),
        }
        field(&mut rows, &record.body_key.to_be_bytes());
        field(&mut rows, &record.entry);
        field(&mut rows, &record.body.0);
        if rows.len() >= COPY_CHUNK_BYTES {
            copy.send(std::mem::take(&mut rows)).await?;
        }
    }
    rows.extend_from_slice(&(-1_i16).to_be_bytes());
    copy.send(rows).await?;
    copy.finish().await?;
    Ok(())
}

fn field(row: &mut Vec<u8>, value: &[u8]) {
    let length = i32::try_from(value.len()).expect("entries and bodies are below 2 GiB");
    row.extend_from_slice(&length.to_be_bytes());
    row.extend_from_slice(value);
}
