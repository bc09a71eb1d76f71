//! What is known about the beginning of a shard of which nothing was recorded yet.
//!
//! The source keeps records for a day. Whoever begins to read a shard later begins with what is left, and no error tells.

use std::time::Duration;

use jiff::Timestamp;
use jiff_sqlx::Timestamp as StoredTimestamp;
use weir_model::ShardId;

use crate::{Ledger, in_time};

/// What is known about the beginning of a shard.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ShardBeginning {
    /// From when on its records are to be recorded, by the source's clock; `None` if nobody knows.
    pub owed_from: Option<Timestamp>,
    /// Its parent left the stream before it was ever in the ledger.
    pub is_orphan: bool,
    /// How long ago it was last read to where its records end, and had none.
    pub empty_ago: Option<Duration>,
}

impl Ledger {
    /// What is known about the beginning of a shard. Nothing about one that was never entered.
    ///
    /// # Errors
    ///
    /// Postgres failed.
    pub async fn shard_beginning(&self, stream_id: i32, shard: &ShardId) -> sqlx::Result<ShardBeginning> {
        let row = sqlx::query!(
            r#"
            select owed_from as "owed_from: StoredTimestamp", is_orphan,
                extract(epoch from clock_timestamp() - read_at)::double precision as "empty_ago_s"
            from shard
            left join shard_activity as activity on activity.stream_id = shard.stream_id
                and activity.shard = shard.shard
                -- A record that came and is not in the ledger may be trimmed by now.
                and activity.record_at is null
            where shard.stream_id = $1 and shard.shard = $2
            "#,
            stream_id,
            shard.as_str(),
        )
        .fetch_optional(&self.shared.pool);
        let Some(row) = in_time::<_, sqlx::Error>(row).await? else {
            return Ok(ShardBeginning::default());
        };
        Ok(ShardBeginning {
            owed_from: row.owed_from.map(StoredTimestamp::to_jiff),
            is_orphan: row.is_orphan,
            empty_ago: row
                .empty_ago_s
                .and_then(|seconds| Duration::try_from_secs_f64(seconds.max(0.0)).ok()),
        })
    }
}
