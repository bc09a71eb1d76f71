//! How every shard stands, for people: who reads it, how far it is, what was lost.

use jiff::Timestamp;
use jiff_sqlx::Timestamp as StoredTimestamp;

use crate::{Ledger, WorkerId, in_time};

/// A shard, as people want to see it.
#[derive(Clone, Debug, PartialEq)]
pub struct ShardState {
    /// Name of its source.
    pub source: String,
    /// ARN of its stream.
    pub stream: String,
    /// The shard.
    pub shard: String,
    /// The shard it came from.
    pub parent: Option<String>,
    /// The parent is in the ledger and not recorded to its end: the shard waits.
    pub waits_for_parent: bool,
    /// When its end was recorded.
    pub finished_at: Option<Timestamp>,
    /// Sequence number of the last record in the ledger.
    pub position: Option<String>,
    /// Who reads it, with its name; `None` if nobody alive does.
    pub worker: Option<(WorkerId, String)>,
    /// Who alive asks for it.
    pub wanted_by: Option<WorkerId>,
    /// Gaps that were recorded of it.
    pub gaps: u64,
    /// When the source last answered, as the worker told; the workers tell every ten seconds.
    pub read_at: Option<Timestamp>,
    /// Time of the last record that came, as the source says it.
    pub record_at: Option<Timestamp>,
    /// How old the last record of the last page was, in seconds; zero when a page brought nothing.
    pub behind_s: f32,
    /// Records a second, lately.
    pub records_per_s: f32,
    /// Reads an hour, lately.
    pub reads_per_h: f32,
}

impl Ledger {
    /// Every shard that is not recorded to its end, and those whose end was recorded within a day, by stream and name.
    ///
    /// # Errors
    ///
    /// Postgres failed.
    pub async fn shard_states(&self) -> sqlx::Result<Vec<ShardState>> {
        let rows = sqlx::query!(
            r#"
            select source, arn, shard.shard, shard.parent, position, gaps,
                finished_at as "finished_at: StoredTimestamp",
                exists (
                    select from shard as parent
                    where parent.stream_id = shard.stream_id and parent.shard = shard.parent and parent.finished_at is null
                ) as "waits!",
                holder.worker_id as "worker?", holder.name as "worker_name?", asker.worker_id as "wanted_by?",
                activity.read_at as "read_at?: StoredTimestamp", activity.record_at as "record_at?: StoredTimestamp",
                activity.behind_s as "behind_s?", activity.records_per_s as "records_per_s?", activity.reads_per_h as "reads_per_h?"
            from shard
            join stream using (stream_id)
            left join shard_activity as activity on activity.stream_id = shard.stream_id and activity.shard = shard.shard
            left join worker as holder on holder.worker_id = shard.worker_id
                and holder.heartbeat_at > clock_timestamp() - make_interval(secs => $2)
            left join worker as asker on asker.worker_id = shard.wanted_by
                and asker.heartbeat_at > clock_timestamp() - make_interval(secs => $2)
            where stream.ledger_id = $1
              and (finished_at is null or finished_at > clock_timestamp() - interval '24 hours')
            order by stream.stream_id, shard.shard
            "#,
            self.shared.id,
            self.shared.settings.lease_expiry.as_secs_f64(),
        )
        .fetch_all(&self.shared.pool);
        let rows = in_time::<_, sqlx::Error>(rows).await?;
        Ok(rows
            .into_iter()
            .map(|row| {
                let is_read = row.finished_at.is_none() && row.worker.is_some();
                ShardState {
                    source: row.source,
                    stream: row.arn,
                    shard: row.shard,
                    parent: row.parent,
                    waits_for_parent: row.waits,
                    finished_at: row.finished_at.map(StoredTimestamp::to_jiff),
                    position: row.position,
                    worker: row.worker.map(WorkerId).zip(row.worker_name).filter(|_| is_read),
                    wanted_by: row.wanted_by.map(WorkerId),
                    gaps: row.gaps.cast_unsigned(),
                    read_at: row.read_at.map(StoredTimestamp::to_jiff),
                    record_at: row.record_at.map(StoredTimestamp::to_jiff),
                    behind_s: row.behind_s.filter(|_| is_read).unwrap_or_default(),
                    // What was told by who reads it no more says nothing about now.
                    records_per_s: row.records_per_s.filter(|_| is_read).unwrap_or_default(),
                    reads_per_h: row.reads_per_h.filter(|_| is_read).unwrap_or_default(),
                }
            })
            .collect())
    }
}
