//! The append: records become entries, and the positions of their shards move, in one transaction.
//!
//! ```text
//! append ──▶ queue ──▶ one group, as much as waits ──▶ lock head, lock shards ──▶ check each ──▶ copy entries,
//!                        ▲                                                        full tiles, head, shards ──▶ commit
//!                        └── while this group commits, the next one fills
//! ```
//!
//! Whoever gets the turn appends for all who wait: no task of its own, and no group without somebody who wants it.
//! What a check can answer:
//!
//! | epoch | the shard stands | answer |
//! | --- | --- | --- |
//! | ours | where the batch begins | written |
//! | ours | where the batch ends | was committed already: acknowledged |
//! | ours | elsewhere | `Moved`: read again from there |
//! | not ours | | `Fenced`: drop the shard |
//!
//! # Invariants
//!
//! - A batch is in the ledger once or not at all, however often it is appended.
//! - One batch that Postgres refuses keeps no other from being recorded.
//! - Nobody holds the head for long: a worker that froze with it is disconnected.
//! - Everything that can be worked out without the lock was worked out before: entries come in encoded, sealed, hashed.

mod account;
mod copy;
mod finish;
mod group;
mod head_lock;
mod own;
mod partitions;
mod split;
mod withhold;

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};
use weir_evidence::{Closed, ConfigurationDigest, Hash, PlainBody, SealedBody, TileEdge};
use weir_model::{Position, SequenceNumber};

use crate::{Head, Ledger, ShardLease, TokenBytes};

pub(crate) use self::own::OwnRecord;

/// Rows of one transaction. A batch that is larger travels alone.
const GROUP_ROWS_MAX: usize = 10_000;

/// Bytes of one transaction. A batch that is larger travels alone.
const GROUP_BYTES_MAX: usize = 16 << 20;

/// Bytes that may wait for their turn, all batches together; who comes after that waits before.
const WAITING_BYTES_MAX: usize = 64 << 20;

/// What the bytes that wait are counted in.
const PERMIT_BYTES: usize = 1 << 10;

/// One record, ready to be stored.
#[derive(Clone, Debug)]
pub struct SealedRecord {
    /// Place in the shard; `None` for a gap.
    pub sequence: Option<SequenceNumber>,
    /// The item that it is about, if it is about one.
    pub item: Option<SealedItem>,
    /// Canonical bytes of the entry.
    pub entry: Vec<u8>,
    /// Their leaf hash.
    pub leaf: Hash,
    /// The body beside it, if it has one.
    pub body: Option<KeyedBody>,
    /// Something of it was redacted before it was recorded.
    pub is_redacted: bool,
}

/// The item of a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SealedItem {
    /// Its lane.
    pub lane: u8,
    /// What stands for it in the entry.
    pub token: TokenBytes,
    /// What happened to it is withheld until it is amended.
    pub is_withheld: bool,
}

impl SealedRecord {
    /// Lane of its item; `None` where it is about no item.
    #[must_use]
    pub fn lane(&self) -> Option<u8> {
        self.item.map(|item| item.lane)
    }

    /// Whether it is withheld until it is amended.
    #[must_use]
    pub fn is_withheld(&self) -> bool {
        self.item.is_some_and(|item| item.is_withheld)
    }
}

/// A sealed body and the number of its key.
#[derive(Clone, Debug)]
pub struct KeyedBody {
    /// Number of the key that sealed it.
    pub key: i64,
    /// The body.
    pub sealed: SealedBody,
    /// What was sealed. It is handed over once the record stands in the ledger ([`Ledger::read_on`]); without it, whoever wants the
    /// record reads the ledger.
    pub plain: Option<Arc<PlainBody>>,
}

/// Records of one shard that follow each other.
#[derive(Clone, Debug)]
pub struct ShardBatch {
    /// The right to record this shard.
    pub lease: ShardLease,
    /// Where the shard must stand.
    pub after: Option<SequenceNumber>,
    /// Where it stands afterwards.
    pub to: AppendTo,
    /// The records, in order. A gap comes first.
    pub records: Arc<[SealedRecord]>,
    /// The first record that came from the source, if any did: it may have been skipped.
    pub first: Option<SequenceNumber>,
    /// How many came. Those without a record in `records` were skipped.
    pub read: u64,
    /// The source's configuration.
    pub config: ConfigurationDigest,
}

/// Where a shard stands after a batch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AppendTo {
    /// At this record; more may follow.
    Record(SequenceNumber),
    /// At its end; the last record may be in this batch.
    End(Option<SequenceNumber>),
    /// Where it stood. Accounts for what was recorded so far, because of this.
    Close(Closed),
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
    /// The parent of the shard was not recorded to its end. Nothing was written.
    #[error("the parent of shard {shard} is not finished")]
    ParentOpen {
        /// The shard.
        shard: weir_model::ShardId,
    },
    /// Postgres refused this record. Those before it are recorded, and the shard stands behind them; a gap right before it
    /// is not, because it is recorded together with what stands behind it.
    #[error("postgres refused the record at index {index}: {reason}")]
    Refused {
        /// Its place among the batch's records.
        index: usize,
        /// What Postgres said.
        reason: String,
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
            Self::Fenced { .. } | Self::Moved { .. } | Self::Refused { .. } => false,
            Self::Database(_) | Self::ParentOpen { .. } => true,
        }
    }
}

/// Appends that wait for their turn.
pub(crate) struct AppendQueue {
    waiting: Mutex<VecDeque<Waiting>>,
    /// Who has it appends for all who wait. Holds the tree's edge as of this process's last append.
    turn: tokio::sync::Mutex<Option<TileEdge>>,
    room: Arc<Semaphore>,
}

/// One append that waits, and who waits for it.
struct Waiting {
    batch: ShardBatch,
    answer: oneshot::Sender<Result<Appended, AppendError>>,
    _room: OwnedSemaphorePermit,
}

impl AppendQueue {
    pub(crate) fn new() -> Self {
        Self {
            waiting: Mutex::default(),
            turn: tokio::sync::Mutex::default(),
            room: Arc::new(Semaphore::new(WAITING_BYTES_MAX / PERMIT_BYTES)),
        }
    }

    /// As much as makes a group, in order of arrival.
    fn take_group(&self) -> Vec<Waiting> {
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        let (mut rows, mut bytes, mut count) = (0, 0, 0);
        for next in waiting.iter() {
            rows += next.batch.records.len();
            bytes += next.batch.bytes();
            if count > 0 && (rows > GROUP_ROWS_MAX || bytes > GROUP_BYTES_MAX) {
                break;
            }
            count += 1;
        }
        waiting.drain(..count).collect()
    }
}

impl ShardBatch {
    /// Only accounts for what was recorded of a shard so far.
    #[must_use]
    pub fn close(lease: ShardLease, at: Option<SequenceNumber>, config: ConfigurationDigest, why: Closed) -> Self {
        Self {
            lease,
            after: at,
            to: AppendTo::Close(why),
            records: Arc::new([]),
            first: None,
            read: 0,
            config,
        }
    }

    fn bytes(&self) -> usize {
        let body = |record: &SealedRecord| record.body.as_ref().map_or(0, |body| body.sealed.0.len());
        self.records
            .iter()
            .map(|record| record.entry.len() + body(record))
            .sum()
    }
}

impl Ledger {
    /// Appends a batch of one shard.
    ///
    /// Durable on return. May be called again with the same batch after any error; may be called concurrently, and then
    /// waits its turn, together with whatever else waits. Given up half-way, the batch may still be appended.
    ///
    /// # Errors
    ///
    /// The lease is lost, the shard stands elsewhere, or Postgres failed or refused a record.
    pub async fn append(&self, batch: ShardBatch) -> Result<Appended, AppendError> {
        let queue = &self.shared.append;
        let permits = (batch.bytes() / PERMIT_BYTES + 1).min(WAITING_BYTES_MAX / PERMIT_BYTES);
        let permits = u32::try_from(permits).expect("64 Ki permits");
        let room = Arc::clone(&queue.room).acquire_many_owned(permits).await;
        let (answer, mut answered) = oneshot::channel();
        queue
            .waiting
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push_back(Waiting {
                batch,
                answer,
                _room: room.expect("the semaphore is never closed"),
            });
        loop {
            tokio::select! {
                biased;
                // A leader that was dropped took our batch with it; whether it is there has to be found out.
                result = &mut answered => return result.unwrap_or_else(|_| Err(AppendError::Database(interrupted()))),
                mut edge = queue.turn.lock() => self.append_waiting(&mut edge).await,
            }
        }
    }

    /// Appends what waits, as one group.
    async fn append_waiting(&self, edge: &mut Option<TileEdge>) {
        let (batches, answers): (Vec<_>, Vec<_>) = self
            .shared
            .append
            .take_group()
            .into_iter()
            .map(|waiting| (waiting.batch, (waiting.answer, waiting._room)))
            .unzip();
        if batches.is_empty() {
            return;
        }
        let results = self.append_group(&batches, edge).await;
        for (result, (answer, _)) in results.into_iter().zip(answers) {
            // Who waited may have given up.
            let _ = answer.send(result);
        }
    }
}

fn interrupted() -> sqlx::Error {
    std::io::Error::new(std::io::ErrorKind::Interrupted, "the append was given up half-way").into()
}

/// Longest append. Past it the connection is given up, and whether the batch is there has to be found out.
const APPEND_TIMEOUT: Duration = Duration::from_secs(30);
