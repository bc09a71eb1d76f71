//! Leases: which worker reads which shard, and since which hand-over.
//!
//! ```text
//! worker ── beats every two seconds ──▶ row in `worker`          gone silent ──▶ its shards are free
//!    │
//!    ├── takes a free shard ──▶ epoch + 1      (waits for an append of the old holder that is in flight)
//!    ├── asks another worker for one ──▶ that one records what is in hand, lets go, and this one takes it
//!    └── leaves ──▶ its row goes, and its shards are free at once
//! ```
//!
//! # Invariants
//!
//! - Whoever took a shard last is the only one who can record it: the epoch decides, in the append's own transaction. Who
//!   is alive decides only who reads.
//! - Times are Postgres' clock and nobody else's.
//! - An asker that died asks for nothing: a half-done hand-over is free again by itself.

use std::time::Duration;

use jiff::Timestamp;
use jiff_sqlx::Timestamp as StoredTimestamp;
use weir_evidence::Origin;
use weir_model::{SequenceNumber, ShardId, StreamArn};

use crate::head::unreadable;
use crate::shard::read_position;
use crate::{Ledger, WorkerId, in_time};

/// A shard that was not recorded to its end.
#[derive(Clone, Debug, PartialEq)]
pub struct OpenShard {
    /// Its stream.
    pub stream_id: i32,
    /// The shard.
    pub shard: ShardId,
    /// Its parent was recorded to its end, or never was in the ledger.
    pub is_ready: bool,
    /// Who reads it; `None` if nobody alive does.
    pub worker: Option<WorkerId>,
    /// Who alive asks for it.
    pub wanted_by: Option<WorkerId>,
    /// Records a second, as its worker told last.
    pub records_per_s: f32,
}

/// What a worker tells of a shard that it reads.
#[derive(Clone, Debug, PartialEq)]
pub struct ShardReport {
    /// Its stream.
    pub stream_id: i32,
    /// The shard.
    pub shard: ShardId,
    /// Records a second, lately.
    pub records_per_s: f32,
    /// Reads an hour, lately.
    pub reads_per_h: f32,
    /// How long ago the source last answered.
    pub read_ago: Duration,
    /// Time of the last record that came, as the source says it.
    pub record_at: Option<Timestamp>,
    /// How old the last record of the last page was; zero when a page brought nothing.
    pub behind: Duration,
}

/// The right to record a shard, until someone else takes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ShardLease {
    /// Stream of the shard.
    pub stream_id: i32,
    /// ARN of that stream.
    pub stream: StreamArn,
    /// The shard.
    pub shard: ShardId,
    /// Counts hand-overs.
    pub epoch: i64,
    /// The last record in the ledger when the shard was taken.
    pub position: Option<SequenceNumber>,
}

impl ShardLease {
    /// What entries about this shard say of where they come from.
    #[must_use]
    pub fn origin(&self) -> Origin {
        Origin {
            stream: self.stream.clone(),
            shard: self.shard.clone(),
        }
    }
}

/// Why a shard could not be taken. Nothing has changed.
#[derive(Debug, thiserror::Error)]
pub enum ClaimError {
    /// It was read to its end.
    #[error("shard {0} is finished")]
    Finished(ShardId),
    /// Its parent was not read to its end.
    #[error("the parent of shard {0} is not finished")]
    ParentOpen(ShardId),
    /// Another worker that is alive has it.
    #[error("another worker has shard {0}")]
    Held(ShardId),
    /// It is not in the ledger.
    #[error("shard {0} is not known")]
    Unknown(ShardId),
    /// Postgres failed.
    #[error("could not take the shard")]
    Database(#[from] sqlx::Error),
}

impl Ledger {
    /// Every shard that was not recorded to its end, of every stream of this ledger.
    ///
    /// # Errors
    ///
    /// Postgres failed.
    pub async fn open_shards(&self) -> sqlx::Result<Vec<OpenShard>> {
        let rows = sqlx::query!(
            r#"
            with alive as (
                select worker_id from worker
                where ledger_id = $1 and heartbeat_at > clock_timestamp() - make_interval(secs => $2)
            )
            select stream_id, shard, holder.worker_id as "worker?", asker.worker_id as "wanted_by?",
                coalesce(records_per_s, 0) as "records_per_s!",
                not exists (
                    select from shard as parent
                    where parent.stream_id = shard.stream_id and parent.shard = shard.parent and parent.finished_at is null
                ) as "is_ready!"
            from shard
            join stream using (stream_id)
            left join shard_activity using (stream_id, shard)
            left join alive as holder on holder.worker_id = shard.worker_id
            left join alive as asker on asker.worker_id = shard.wanted_by
            where ledger_id = $1 and finished_at is null
            order by stream_id, shard
            "#,
            self.shared.id,
            self.lease_expiry_s(),
        )
        .fetch_all(&self.shared.pool);
        let rows = in_time::<_, sqlx::Error>(rows).await?;
        rows.into_iter()
            .map(|row| {
                Ok(OpenShard {
                    stream_id: row.stream_id,
                    shard: ShardId::parse(row.shard).map_err(|_| unreadable("shard id"))?,
                    is_ready: row.is_ready,
                    worker: row.worker.map(WorkerId),
                    wanted_by: row.wanted_by.map(WorkerId),
                    records_per_s: row.records_per_s,
                })
            })
            .collect()
    }

    /// Takes a shard that is free, or takes one of the worker's own anew. Whoever had it can record nothing more; an append
    /// of theirs in flight is waited for.
    ///
    /// # Errors
    ///
    /// The shard is finished, its parent is not, or another worker that is alive has it.
    pub async fn claim_shard(
        &self,
        worker: WorkerId,
        stream_id: i32,
        shard: &ShardId,
    ) -> Result<ShardLease, ClaimError> {
        let claimed = sqlx::query!(
            "
            update shard
            set epoch = epoch + 1, worker_id = $3, wanted_by = null
            from stream
            where shard.stream_id = $1 and shard = $2 and finished_at is null and stream.stream_id = shard.stream_id
              and not exists (
                select from shard as parent
                where parent.stream_id = shard.stream_id and parent.shard = shard.parent and parent.finished_at is null
              )
              and not exists (
                select from worker
                where worker.worker_id = shard.worker_id and worker.worker_id <> $3
                  and heartbeat_at > clock_timestamp() - make_interval(secs => $4)
              )
            returning epoch, position, stream.arn
            ",
            stream_id,
            shard.as_str(),
            worker.0,
            self.lease_expiry_s(),
        )
        .fetch_optional(&self.shared.pool);
        if let Some(row) = in_time::<_, sqlx::Error>(claimed).await? {
            let position = read_position(row.position)?;
            return Ok(ShardLease {
                stream_id,
                stream: StreamArn::parse(row.arn).map_err(|_| unreadable("stream ARN"))?,
                shard: shard.clone(),
                epoch: row.epoch,
                position,
            });
        }
        let shards = self.shards(stream_id).await?;
        let known = |wanted: &ShardId| shards.iter().find(|known| known.shard == *wanted);
        Err(match known(shard) {
            Some(known) if known.finished => ClaimError::Finished(shard.clone()),
            Some(found)
                if found
                    .parent
                    .as_ref()
                    .and_then(known)
                    .is_some_and(|parent| !parent.finished) =>
            {
                ClaimError::ParentOpen(shard.clone())
            }
            Some(_) => ClaimError::Held(shard.clone()),
            None => ClaimError::Unknown(shard.clone()),
        })
    }

    /// Lets go of a shard, unless someone else took it meanwhile: it is free at once.
    ///
    /// # Errors
    ///
    /// Postgres failed. Then it is free when the worker is gone.
    pub async fn release_shard(&self, lease: &ShardLease) -> sqlx::Result<()> {
        let released = sqlx::query!(
            "
            update shard
            set worker_id = null, wanted_by = null
            where stream_id = $1 and shard = $2 and epoch = $3
            ",
            lease.stream_id,
            lease.shard.as_str(),
            lease.epoch,
        )
        .execute(&self.shared.pool);
        in_time::<_, sqlx::Error>(released).await?;
        Ok(())
    }

    /// Asks the worker that has a shard to hand it over. The last asker counts.
    ///
    /// # Errors
    ///
    /// Postgres failed.
    pub async fn ask_for_shard(&self, worker: WorkerId, stream_id: i32, shard: &ShardId) -> sqlx::Result<()> {
        let asked = sqlx::query!(
            "
            update shard
            set wanted_by = $3
            where stream_id = $1 and shard = $2 and finished_at is null and worker_id <> $3
            ",
            stream_id,
            shard.as_str(),
            worker.0,
        )
        .execute(&self.shared.pool);
        in_time::<_, sqlx::Error>(asked).await?;
        Ok(())
    }

    /// Tells how the shards do that a worker reads.
    ///
    /// # Errors
    ///
    /// Postgres failed.
    pub async fn report_shards(&self, reports: &[ShardReport]) -> sqlx::Result<()> {
        let streams: Vec<i32> = reports.iter().map(|report| report.stream_id).collect();
        let shards: Vec<String> = reports.iter().map(|report| report.shard.as_str().to_owned()).collect();
        let records: Vec<f32> = reports.iter().map(|report| report.records_per_s).collect();
        let reads: Vec<f32> = reports.iter().map(|report| report.reads_per_h).collect();
        let ago: Vec<f64> = reports.iter().map(|report| report.read_ago.as_secs_f64()).collect();
        let behind: Vec<f32> = reports.iter().map(|report| report.behind.as_secs_f32()).collect();
        let record_at: Vec<Option<StoredTimestamp>> = reports
            .iter()
            .map(|report| report.record_at.map(StoredTimestamp::from))
            .collect();
        let told = sqlx::query!(
            "
            insert into shard_activity (stream_id, shard, records_per_s, reads_per_h, read_at, record_at, behind_s)
            select told.stream_id, told.shard, told.records, told.reads, clock_timestamp() - make_interval(secs => told.ago),
                told.record_at, told.behind
            from unnest($1::integer[], $2::text[], $3::real[], $4::real[], $5::double precision[], $6::timestamptz[], $7::real[])
                as told (stream_id, shard, records, reads, ago, record_at, behind)
            on conflict (stream_id, shard) do update
            set records_per_s = excluded.records_per_s, reads_per_h = excluded.reads_per_h, read_at = excluded.read_at,
                behind_s = excluded.behind_s,
                record_at = coalesce(excluded.record_at, shard_activity.record_at)
            ",
            &streams,
            &shards,
            &records,
            &reads,
            &ago,
            &record_at as &[Option<StoredTimestamp>],
            &behind,
        )
        .execute(&self.shared.pool);
        in_time::<_, sqlx::Error>(told).await?;
        Ok(())
    }

    /// Takes the turn to ask a stream for its shards, if nobody took it for this long.
    ///
    /// # Errors
    ///
    /// Postgres failed.
    pub async fn take_describe_turn(&self, stream_id: i32, interval: Duration) -> sqlx::Result<bool> {
        let taken = sqlx::query!(
            "
            update stream
            set described_at = clock_timestamp()
            where stream_id = $1
              and (described_at is null or described_at < clock_timestamp() - make_interval(secs => $2))
            ",
            stream_id,
            interval.as_secs_f64(),
        )
        .execute(&self.shared.pool);
        Ok(in_time::<_, sqlx::Error>(taken).await?.rows_affected() == 1)
    }
}
