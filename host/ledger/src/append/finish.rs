//! Moves the head and the shards, and stores the tiles that were filled: one statement, the last before the commit.

use jiff_sqlx::Timestamp as StoredTimestamp;
use sqlx::PgConnection;
use weir_evidence::{BatchAfter, Frontier, Tile};
use weir_model::SequenceNumber;

use super::account::OpenBatch;
use super::group::LockedShard;
use crate::Ledger;

impl Ledger {
    pub(super) async fn finish_append(
        &self,
        conn: &mut PgConnection,
        frontier: &Frontier,
        tiles: &[Tile],
        shards: &[LockedShard],
    ) -> sqlx::Result<()> {
        let levels: Vec<i16> = tiles.iter().map(|tile| i16::from(tile.id.level)).collect();
        let indexes: Vec<i64> = tiles.iter().map(|tile| tile.id.index.cast_signed()).collect();
        let hashes: Vec<Vec<u8>> = tiles.iter().map(|tile| tile.hashes.as_flattened().to_vec()).collect();
        let text = |sequence: Option<&SequenceNumber>| sequence.map(|sequence| sequence.as_str().to_owned());
        let open = |read: &dyn Fn(&OpenBatch) -> Option<String>| -> Vec<Option<String>> {
            shards.iter().map(|shard| shard.open.as_ref().and_then(read)).collect()
        };
        let count = |read: &dyn Fn(&OpenBatch) -> u64| -> Vec<i64> {
            let count = |shard: &LockedShard| shard.open.as_ref().map_or(0, read).cast_signed();
            shards.iter().map(count).collect()
        };
        let streams: Vec<i32> = shards.iter().map(|shard| shard.stream_id).collect();
        let names: Vec<String> = shards.iter().map(|shard| shard.shard.as_str().to_owned()).collect();
        let positions: Vec<Option<String>> = shards.iter().map(|shard| text(shard.position.as_ref())).collect();
        let tail = |shard: &LockedShard| shard.tail.map(|(first, _)| crate::to_stored(first));
        let tails: Vec<Option<i64>> = shards.iter().map(tail).collect();
        let tail_count = |shard: &LockedShard| shard.tail.and_then(|(_, count)| i64::try_from(count).ok());
        let tail_counts: Vec<Option<i64>> = shards.iter().map(tail_count).collect();
        let gaps: Vec<i64> = shards.iter().map(|shard| shard.gaps).collect();
        let finished: Vec<bool> = shards.iter().map(|shard| shard.is_finished).collect();
        let after = open(&|open| {
            Some(match &open.after {
                BatchAfter::Start => "start".to_owned(),
                BatchAfter::Gap => "gap".to_owned(),
                BatchAfter::Record(sequence) => sequence.as_str().to_owned(),
            })
        });
        let first = open(&|open| text(open.range.as_ref().map(|(first, _)| first)));
        let last = open(&|open| text(open.range.as_ref().map(|(_, last)| last)));
        let config: Vec<Option<Vec<u8>>> = shards
            .iter()
            .map(|shard| Some(shard.open.as_ref()?.config.0.to_vec()))
            .collect();
        let epoch: Vec<Option<i64>> = shards.iter().map(|shard| Some(shard.open.as_ref()?.epoch)).collect();
        let opened_at: Vec<Option<StoredTimestamp>> = shards
            .iter()
            .map(|shard| Some(StoredTimestamp::from(shard.open.as_ref()?.opened_at)))
            .collect();
        sqlx::query!(
            "
            with moved_head as (
                update ledger_head set size = $2, root = $3, frontier = $4 where ledger_id = $1
            ),
            filled as (
                insert into tile (ledger_id, level, index, hashes)
                select $1, * from unnest($5::smallint[], $6::bigint[], $7::bytea[])
                on conflict do nothing
            )
            update shard
            set position = moved.position,
                finished_at = case when moved.finished then coalesce(shard.finished_at, clock_timestamp()) end,
                batch_after = moved.batch_after,
                batch_first = moved.batch_first,
                batch_last = moved.batch_last,
                batch_read = moved.batch_read,
                batch_recorded = moved.batch_recorded,
                batch_redacted = moved.batch_redacted,
                batch_config = moved.batch_config,
                batch_epoch = moved.batch_epoch,
                batch_opened_at = moved.batch_opened_at,
                gaps = shard.gaps + moved.gaps,
                -- Sixteen pages, as pairs.
                tail_pages = case
                    when moved.tail is null then shard.tail_pages
                    else (array[moved.tail, moved.tail_count] || shard.tail_pages)[1:32]
                end
            from unnest(
                $8::integer[], $9::text[], $10::text[], $11::boolean[], $12::text[], $13::text[], $14::text[], $15::bigint[],
                $16::bigint[], $17::bigint[], $18::bytea[], $19::bigint[], $20::timestamptz[],
                $21::bigint[], $22::bigint[], $23::bigint[]
            ) as moved (
                stream_id, shard, position, finished, batch_after, batch_first, batch_last, batch_read, batch_recorded,
                batch_redacted, batch_config, batch_epoch, batch_opened_at, gaps, tail, tail_count
            )
            where shard.stream_id = moved.stream_id and shard.shard = moved.shard
            ",
            self.shared.id,
            frontier.size().cast_signed(),
            &frontier.root()[..],
            frontier.to_bytes(),
            &levels,
            &indexes,
            &hashes,
            &streams,
            &names,
            &positions as &[Option<String>],
            &finished,
            &after as &[Option<String>],
            &first as &[Option<String>],
            &last as &[Option<String>],
            &count(&|open| open.read),
            &count(&|open| open.recorded),
            &count(&|open| open.redacted),
            &config as &[Option<Vec<u8>>],
            &epoch as &[Option<i64>],
            &opened_at as &[Option<StoredTimestamp>],
            &gaps,
            &tails as &[Option<i64>],
            &tail_counts as &[Option<i64>],
        )
        .execute(conn)
        .await?;
        Ok(())
    }
}
