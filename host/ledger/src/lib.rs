//! The ledger in Postgres: all the SQL there is.
//!
//! ```text
//!                    ┌── append ──▶ entry, ledger_head, shard          (one transaction)
//! intake ──▶ Ledger ─┤
//!                    └── body keys ▶ segment_key, body_key_counter     (before, without the head's lock)
//!
//! routes, index ◀── read ── entry                  cursors ▶ consumer  (each its own transaction)
//!      ▲─── tails: what this process appended last, in memory
//! ```
//!
//! # Invariants
//!
//! - An entry, its body, its shard's position and the head that covers it become visible together or not at all.
//! - Positions are given under the head's lock: a reader that saw position `n` never sees a new one below it.
//! - What was committed is only ever added to.
//! - After a lost connection nothing is assumed. Every write here may be repeated.

mod annotator;
mod append;
mod body_key;
mod checkpoint;
mod configuration;
mod consumer;
mod database;
mod dead_letter;
mod erasure;
mod head;
mod index;
mod lease;
mod lookup;
mod parked;
mod pause;
mod plugin;
mod read;
mod redrive;
mod replay;
mod route_halt;
mod route_partition;
mod route_version;
mod settlement;
mod shard;
mod shard_beginning;
mod shard_state;
mod sink_state;
mod tail;
mod transaction;
mod tree;
mod verify;
mod withheld;
mod worker;

pub use annotator::{Annotator, AnnotatorDefinition};
pub use append::{AppendError, AppendTo, Appended, KeyedBody, SealedItem, SealedRecord, ShardBatch};
pub use body_key::{BodyKeyError, NumberedBodyKey};
pub use checkpoint::{SigningOrigin, StoredCheckpoint};
pub use configuration::AppliedConfiguration;
pub use consumer::{Consumer, ConsumerError};
pub use database::{ConnectError, Database, Mandate, MigrateError, OpenError, Role, is_unreachable};
pub use dead_letter::{DeadLetter, DeadLetterPlace};
pub use erasure::{CarriedOut, Erasing, Erasure, ErasureError, Hold, HoldError, NewErasure, NewHold, Selector};
pub use head::Head;
pub use index::Indexed;
pub use lease::{ClaimError, OpenShard, ShardLease, ShardReport};
pub use lookup::{Lookup, NewLookup};
pub use parked::{Parked, ParkedAtSink, ParkedItem, ParkedPlace, Tried};
pub use pause::{Pausable, Pause};
pub use plugin::{NewUpload, StoredPlugin, Upload, UploadQuery};
pub use read::{ReadError, RecordedEntry};
pub use redrive::{DeadLetterSelection, OrderedLetters};
pub use replay::{Replay, ReplayError, Replayed};
pub use route_halt::RouteHalt;
pub use route_partition::{Partition, PartitionState};
pub use route_version::{
    ConfiguredRoute, FailurePolicy, Projection, PromoteError, Promotion, RouteDefinition, RouteVersion,
};
pub use settlement::{Redriven, Settlement};
pub use shard::{NewShard, NewStream, Shard, Stream};
pub use shard_beginning::ShardBeginning;
pub use shard_state::ShardState;
pub use sink_state::SinkState;
pub use tail::Continued;
pub use tree::TreeError;
pub use verify::{Verification, VerificationFinding, VerifyError};
pub use withheld::{AmendError, Amendment, TokenBytes};
pub use worker::{LiveWorker, Work, WorkerId};

/// What goes wrong between Weir and Postgres.
pub use sqlx::Error as DatabaseError;

use std::collections::BTreeMap;
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use sqlx::{PgConnection, PgPool};
use tokio::sync::watch;
use weir_evidence::{LedgerSecret, SegmentKey};
use weir_model::{LedgerName, Position};

use self::append::AppendQueue;
use self::tail::{AppendedRow, Tail};

/// One open ledger. Clones share it.
#[derive(Clone)]
pub struct Ledger {
    shared: Arc<Shared>,
}

struct Shared {
    pool: PgPool,
    eraser: PgPool,
    heart: PgPool,
    /// Of that, those that are open and idle.
    heart_lines: tokio::sync::Mutex<Vec<PgConnection>>,
    id: i32,
    name: LedgerName,
    secret: LedgerSecret,
    /// Segments seen lately. One is 64 bytes until keys in it are destroyed.
    segments: Mutex<BTreeMap<i64, (Arc<SegmentKey>, std::time::Instant)>>,
    /// Body keys that this process reserved and has not used.
    reserved: tokio::sync::Mutex<std::ops::Range<i64>>,
    /// Size of the ledger as this process last saw it: wakes those who read.
    size: watch::Sender<u64>,
    /// Positions below this have their partition.
    partitioned_to: tokio::sync::Mutex<i64>,
    /// What orders to erase cover, as far as this process has read them.
    covered: tokio::sync::Mutex<erasure::Covered>,
    /// No change below this has a body that is left.
    erased_to: AtomicU64,
    /// Appends of this process, gathered into groups.
    append: AppendQueue,
    /// What they wrote last, for routes.
    rows: Tail<AppendedRow>,
    /// The items that they wrote of last, for the index.
    items: Tail<Option<TokenBytes>>,
    settings: LedgerSettings,
}

/// How a ledger is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LedgerSettings {
    /// How long records of a shard may be recorded without being accounted for by a `batch` entry.
    pub batch_interval: Duration,
    /// How long a worker that does not beat counts as alive. What it has is free afterwards.
    pub lease_expiry: Duration,
}

impl Default for LedgerSettings {
    fn default() -> Self {
        Self {
            batch_interval: Duration::from_secs(1),
            lease_expiry: Duration::from_secs(6),
        }
    }
}

impl Ledger {
    /// The ledger's name.
    #[must_use]
    pub fn name(&self) -> &LedgerName {
        &self.shared.name
    }

    /// The ledger's secret.
    #[must_use]
    pub fn secret(&self) -> &LedgerSecret {
        &self.shared.secret
    }

    /// Follows the ledger's size as this process sees it grow. Other processes' appends are not told here: who waits
    /// looks into the ledger from time to time.
    #[must_use]
    pub fn watch_size(&self) -> watch::Receiver<u64> {
        self.shared.size.subscribe()
    }

    fn saw_size(&self, size: u64) {
        self.shared.size.send_if_modified(|seen| {
            let grew = size > *seen;
            *seen = size.max(*seen);
            grew
        });
    }
}

/// Longest that anything but an append may take. The server's own limit is below it, but a server that is gone keeps none.
const CALL_TIMEOUT: Duration = Duration::from_secs(75);

/// Gives up what Postgres does not answer. What it was doing may or may not have happened.
async fn in_time<T, E: From<DatabaseError>>(call: impl Future<Output = Result<T, E>>) -> Result<T, E> {
    tokio::time::timeout(CALL_TIMEOUT, call)
        .await
        .unwrap_or_else(|_| Err(timed_out().into()))
}

fn timed_out() -> DatabaseError {
    std::io::Error::new(std::io::ErrorKind::TimedOut, "Postgres did not answer in time").into()
}

/// Positions are below 2^63 because Postgres gives them out.
fn to_stored(position: Position) -> i64 {
    i64::try_from(position.0).expect("a position came from Postgres")
}

fn from_stored(position: i64) -> Position {
    Position(u64::try_from(position).expect("the schema keeps positions from 0"))
}
