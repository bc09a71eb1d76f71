//! Streams and shards: what there is to record, and how far it was recorded. Who reads it: `lease`.

use std::collections::HashSet;

use jiff::Timestamp;
use jiff_sqlx::Timestamp as StoredTimestamp;
use weir_evidence::{Entry, EntryKind};
use weir_model::{EventId, SequenceNumber, ShardId, StreamArn};

use crate::head::unreadable;
use crate::{Ledger, ReadError, from_stored, in_time};

/// Last records of a shard that its children may begin with again, looked at in any case: a full page (API model of the
/// service, `GetRecords`).
const LAST_RECORDS: i64 = 1000;

/// One life of a table's stream, known to this ledger.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stream {
    /// Its row.
    pub stream_id: i32,
    /// Configured name of the source that found it.
    pub source: String,
    /// Its ARN.
    pub arn: StreamArn,
    /// Its table.
    pub table: String,
    /// Key attributes of the table, partition key first.
    pub key_names: Vec<String>,
    /// Records older than this are skipped.
    pub records_from: Option<Timestamp>,
    /// When it was entered, by the source's clock; `None` for one that was entered before this was noted.
    pub entered_at: Option<Timestamp>,
    /// When the source last told its shards, by the source's clock.
    pub told_at: Option<Timestamp>,
    /// It was off, and everything of it was recorded.
    pub is_drained: bool,
}

/// A stream as it was found.
#[derive(Clone, Copy, Debug)]
pub struct NewStream<'a> {
    /// Configured name of the source.
    pub source: &'a str,
    /// Its ARN.
    pub arn: &'a StreamArn,
    /// Its table.
    pub table: &'a str,
    /// Key attributes of the table, partition key first.
    pub key_names: &'a [String],
    /// Where to start if the stream is new: skip what is older.
    pub records_from: Option<Timestamp>,
    /// When it was found, by the source's clock.
    pub entered_at: Timestamp,
}

/// A shard as it was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewShard {
    /// Its id.
    pub shard: ShardId,
    /// The shard it came from.
    pub parent: Option<ShardId>,
    /// From when on its records are to be recorded, by the source's clock.
    pub owed_from: Option<Timestamp>,
    /// Its parent left the stream before it was ever in the ledger.
    pub is_orphan: bool,
}

/// A shard and how far it was recorded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shard {
    /// Its id.
    pub shard: ShardId,
    /// The shard it came from, if it is known to the stream.
    pub parent: Option<ShardId>,
    /// The last record in the ledger.
    pub position: Option<SequenceNumber>,
    /// Its end was recorded.
    pub finished: bool,
}

/// A shard as its row has it.
struct StoredShard {
    shard: String,
    parent: Option<String>,
    position: Option<String>,
    finished: bool,
}

impl StoredShard {
    fn read(self) -> sqlx::Result<Shard> {
        let id = |id: String| ShardId::parse(id).map_err(|_| unreadable("shard id"));
        Ok(Shard {
            shard: id(self.shard)?,
            parent: self.parent.map(id).transpose()?,
            position: read_position(self.position)?,
            finished: self.finished,
        })
    }
}

impl Ledger {
    /// Enters a stream, or finds it: where it starts and which source it belongs to is decided once, at the first time.
    ///
    /// # Errors
    ///
    /// Postgres failed, or the stream belongs to another ledger or source.
    pub async fn enter_stream(&self, new: NewStream<'_>) -> sqlx::Result<Stream> {
        in_time::<_, sqlx::Error>(
            sqlx::query!(
                "
            insert into stream (ledger_id, source, arn, table_name, key_names, records_from, entered_at)
            values ($1, $2, $3, $4, $5, $6, $7)
            on conflict (arn) do nothing
            ",
                self.shared.id,
                new.source,
                new.arn.as_str(),
                new.table,
                new.key_names,
                new.records_from.map(StoredTimestamp::from) as Option<StoredTimestamp>,
                StoredTimestamp::from(new.entered_at) as StoredTimestamp,
            )
            .execute(&self.shared.pool),
        )
        .await?;
        let entered = self.streams().await?.into_iter().find(|stream| stream.arn == *new.arn);
        match entered {
            Some(stream) if stream.source == new.source => Ok(stream),
            Some(stream) => Err(sqlx::Error::Protocol(format!(
                "stream {} was recorded as source {:?} and keeps that name: call the source so again",
                new.arn, stream.source
            ))),
            None => Err(sqlx::Error::Protocol(format!(
                "stream {} belongs to another ledger, for life",
                new.arn
            ))),
        }
    }

    /// Every stream of this ledger, oldest first.
    ///
    /// # Errors
    ///
    /// Postgres failed.
    pub async fn streams(&self) -> sqlx::Result<Vec<Stream>> {
        let rows = sqlx::query!(
            r#"
            select stream_id, source, arn, table_name, key_names, records_from as "records_from: StoredTimestamp",
                entered_at as "entered_at: StoredTimestamp", told_at as "told_at: StoredTimestamp",
                drained_at is not null as "is_drained!"
            from stream
            where ledger_id = $1
            order by stream_id
            "#,
            self.shared.id,
        )
        .fetch_all(&self.shared.pool);
        let rows = in_time(rows).await?;
        rows.into_iter()
            .map(|row| {
                Ok(Stream {
                    stream_id: row.stream_id,
                    source: row.source,
                    arn: StreamArn::parse(row.arn).map_err(|_| unreadable("stream ARN"))?,
                    table: row.table_name,
                    key_names: row.key_names,
                    records_from: row.records_from.map(StoredTimestamp::to_jiff),
                    entered_at: row.entered_at.map(StoredTimestamp::to_jiff),
                    told_at: row.told_at.map(StoredTimestamp::to_jiff),
                    is_drained: row.is_drained,
                })
            })
            .collect()
    }

    /// Enters shards that are not there yet, from what the source told at a time of its own clock.
    ///
    /// # Errors
    ///
    /// Postgres failed. Entering them again is safe.
    pub async fn enter_shards(&self, stream_id: i32, shards: &[NewShard], told_at: Timestamp) -> sqlx::Result<()> {
        let ids: Vec<String> = shards.iter().map(|shard| shard.shard.as_str().to_owned()).collect();
        let parents: Vec<Option<String>> = shards
            .iter()
            .map(|shard| shard.parent.as_ref().map(|parent| parent.as_str().to_owned()))
            .collect();
        let owed_from: Vec<Option<StoredTimestamp>> = shards
            .iter()
            .map(|shard| shard.owed_from.map(StoredTimestamp::from))
            .collect();
        let orphans: Vec<bool> = shards.iter().map(|shard| shard.is_orphan).collect();
        let entered = sqlx::query!(
            "
            with told as (
                update stream set told_at = greatest(told_at, $6) where stream_id = $1
            )
            insert into shard (stream_id, shard, parent, owed_from, is_orphan)
            select $1, found.shard, found.parent, found.owed_from, found.is_orphan
            from unnest($2::text[], $3::text[], $4::timestamptz[], $5::boolean[])
                as found (shard, parent, owed_from, is_orphan)
            on conflict do nothing
            ",
            stream_id,
            &ids,
            &parents as &[Option<String>],
            &owed_from as &[Option<StoredTimestamp>],
            &orphans,
            StoredTimestamp::from(told_at) as StoredTimestamp,
        )
        .execute(&self.shared.pool);
        in_time::<_, sqlx::Error>(entered).await?;
        Ok(())
    }

    /// Notes that a stream is off and that everything of it is recorded.
    ///
    /// # Errors
    ///
    /// Postgres failed. Noting it again is safe.
    pub async fn drained_stream(&self, stream_id: i32) -> sqlx::Result<()> {
        let drained = sqlx::query!(
            "update stream set drained_at = coalesce(drained_at, clock_timestamp()) where stream_id = $1",
            stream_id,
        )
        .execute(&self.shared.pool);
        in_time::<_, sqlx::Error>(drained).await?;
        Ok(())
    }

    /// Remembers the key attribute of a stream's table, where the stream itself did not tell and it is not known yet.
    ///
    /// # Errors
    ///
    /// Postgres failed. Telling it again is safe.
    pub async fn learn_key_name(&self, stream_id: i32, key_name: &str) -> sqlx::Result<()> {
        let learned = sqlx::query!(
            "update stream set key_names = array[$2] where stream_id = $1 and key_names = '{}'",
            stream_id,
            key_name,
        )
        .execute(&self.shared.pool);
        in_time(learned).await?;
        Ok(())
    }

    /// Every shard of a stream that was ever entered.
    ///
    /// # Errors
    ///
    /// Postgres failed.
    pub async fn shards(&self, stream_id: i32) -> sqlx::Result<Vec<Shard>> {
        let rows = sqlx::query_as!(
            StoredShard,
            r#"
            select shard, parent, position, finished_at is not null as "finished!"
            from shard
            where stream_id = $1
            order by shard
            "#,
            stream_id,
        )
        .fetch_all(&self.shared.pool);
        let rows = in_time::<_, sqlx::Error>(rows).await?;
        rows.into_iter().map(StoredShard::read).collect()
    }

    /// A shard and those that it came from, itself first, its parent second, as far as they were ever entered and so many
    /// generations at most.
    ///
    /// # Errors
    ///
    /// Postgres failed.
    pub async fn lineage(&self, stream_id: i32, shard: &ShardId, generations_max: i32) -> sqlx::Result<Vec<Shard>> {
        let rows = sqlx::query_as!(
            StoredShard,
            r#"
            with recursive line as (
                select shard, parent, position, finished_at, 1 as generation
                from shard
                where stream_id = $1 and shard = $2
                union all
                select shard.shard, shard.parent, shard.position, shard.finished_at, line.generation + 1
                from line
                join shard on shard.stream_id = $1 and shard.shard = line.parent
                where line.generation < $3
            )
            select shard as "shard!", parent, position, finished_at is not null as "finished!"
            from line
            order by generation
            "#,
            stream_id,
            shard.as_str(),
            generations_max,
        )
        .fetch_all(&self.shared.pool);
        let rows = in_time::<_, sqlx::Error>(rows).await?;
        rows.into_iter().map(StoredShard::read).collect()
    }

    /// Shards of a stream that were recorded to their end and have no child in the ledger.
    ///
    /// # Errors
    ///
    /// Postgres failed.
    pub async fn finished_leaves(&self, stream_id: i32) -> sqlx::Result<Vec<Shard>> {
        let mut shards = self.shards(stream_id).await?;
        let parents: HashSet<ShardId> = shards.iter().filter_map(|shard| shard.parent.clone()).collect();
        shards.retain(|shard| shard.finished && !parents.contains(&shard.shard));
        Ok(shards)
    }

    /// Event ids of the last records that were recorded of a shard: of its last page, and of those before it until they are
    /// a thousand, or sixteen pages.
    ///
    /// # Errors
    ///
    /// Postgres failed, or an entry cannot be read.
    pub async fn last_events(&self, stream: &Stream, shard: &ShardId) -> Result<HashSet<EventId>, ReadError> {
        let pages = sqlx::query_scalar!(
            "select tail_pages from shard where stream_id = $1 and shard = $2",
            stream.stream_id,
            shard.as_str(),
        )
        .fetch_optional(&self.shared.pool);
        let pages = in_time::<_, sqlx::Error>(pages).await?.unwrap_or_default();
        let (mut firsts, mut counts, mut records) = (Vec::new(), Vec::new(), 0);
        for page in pages.chunks_exact(2) {
            if records >= LAST_RECORDS {
                break;
            }
            firsts.push(page[0]);
            counts.push(page[1]);
            records += page[1];
        }
        let rows = sqlx::query!(
            "
            select position, entry
            from unnest($2::bigint[], $3::bigint[]) as page (first, count)
            join entry on ledger_id = $1 and position >= page.first and position < page.first + page.count
            ",
            self.shared.id,
            &firsts,
            &counts,
        )
        .fetch_all(&self.shared.pool);
        let mut events = HashSet::new();
        for row in in_time::<_, sqlx::Error>(rows).await? {
            let entry = Entry::decode(&row.entry).map_err(|error| ReadError::Tampered {
                position: from_stored(row.position),
                found: error.to_string(),
            })?;
            match entry.kind {
                EntryKind::Change { origin, event, .. } | EntryKind::Withheld { origin, event, .. }
                    if origin.shard == *shard && origin.stream == stream.arn =>
                {
                    events.insert(event);
                }
                _ => {}
            }
        }
        Ok(events)
    }
}

pub(crate) fn read_position(stored: Option<String>) -> sqlx::Result<Option<SequenceNumber>> {
    stored
        .map(SequenceNumber::parse)
        .transpose()
        .map_err(|_| unreadable("sequence number"))
}
