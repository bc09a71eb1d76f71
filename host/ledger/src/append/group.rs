//! One transaction that appends batches of several shards.

use std::collections::HashSet;

use jiff::Timestamp;
use jiff_sqlx::Timestamp as StoredTimestamp;
use sqlx::PgConnection;
use tokio::time::Instant;
use weir_evidence::{Batch, BatchAfter, ConfigurationDigest, Entry, EntryKind, TileEdge, leaf_hash};
use weir_model::{Position, SequenceNumber, ShardId};

use super::account::{Accounted, OpenBatch, account};
use super::copy::{Row, copy_rows};
use super::split::GroupError;
use super::{AppendError, AppendTo, Appended, SealedRecord, ShardBatch};
use crate::head::unreadable;
use crate::shard::read_position;
use crate::tail::AppendedRow;
use crate::transaction::begin;
use crate::{Head, Ledger};

/// A locked shard, as it stands once the batches before have been taken.
pub(super) struct LockedShard {
    pub(super) stream_id: i32,
    pub(super) shard: ShardId,
    parent: Option<ShardId>,
    epoch: i64,
    pub(super) position: Option<SequenceNumber>,
    pub(super) is_finished: bool,
    is_parent_open: bool,
    pub(super) open: Option<OpenBatch>,
    now: Timestamp,
    pub(super) has_moved: bool,
    /// Gaps that are recorded now.
    pub(super) gaps: i64,
    /// Where the last batch with records begins that is recorded now, and how many it has.
    pub(super) tail: Option<(Position, usize)>,
}

/// What is written for one batch.
struct Written {
    before: Option<Vec<u8>>,
    behind: Option<Vec<u8>>,
}

enum Check {
    Write,
    AlreadyThere,
}

impl Ledger {
    /// Appends these batches, each that can be, and says of each what became of it.
    ///
    /// # Errors
    ///
    /// Nothing of it is there, unless the connection was lost during commit.
    pub(super) async fn transact_group(
        &self,
        batches: &[ShardBatch],
        cached: &mut Option<TileEdge>,
    ) -> Result<Vec<Result<Appended, AppendError>>, GroupError> {
        let known = cached.take();
        let began_at = Instant::now();
        let records = batches.iter().map(|batch| batch.records.len() + 2).sum();
        self.ensure_partitions(records).await?;
        let mut tx = begin(&self.shared.pool).await?;
        let mut frontier = self.lock_head(&mut tx).await?;
        let mut shards = self.lock_shards(&mut tx, batches).await?;
        let (mut results, mut written) = (Vec::with_capacity(batches.len()), Vec::with_capacity(batches.len()));
        let mut finished = HashSet::new();
        for batch in batches {
            let shard = shards.iter_mut().find(|shard| shard.is_of(batch));
            let shard = shard.ok_or_else(|| unreadable("shard of a lease"))?;
            match shard.check(batch, &finished) {
                Ok(Check::Write) => {
                    let accounted = shard.take(batch, self.shared.settings.batch_interval);
                    if shard.is_finished {
                        finished.insert((shard.stream_id, shard.shard.clone()));
                    }
                    written.push(Some(self.written(accounted)));
                    results.push(None);
                }
                Ok(Check::AlreadyThere) => {
                    written.push(None);
                    results.push(Some(Ok(Appended::AlreadyThere)));
                }
                Err(error) => {
                    written.push(None);
                    results.push(Some(Err(error)));
                }
            }
        }
        if written.iter().all(Option::is_none) {
            *cached = known;
            return Ok(results.into_iter().flatten().collect());
        }
        let mut edge = self.edge_at(&mut tx, &frontier, known).await?;
        let (first, mut tiles, mut rows, mut firsts) = (frontier.size(), Vec::new(), Vec::new(), Vec::new());
        for (batch, written) in batches.iter().zip(&written) {
            let Some(written) = written else {
                firsts.push(first);
                continue;
            };
            rows.extend(
                written
                    .before
                    .as_deref()
                    .map(|entry| (Row::bare(entry), leaf_hash(entry))),
            );
            let begin = first + rows.len() as u64;
            firsts.push(begin);
            if !batch.records.is_empty()
                && let Some(shard) = shards.iter_mut().find(|shard| shard.is_of(batch))
            {
                shard.tail = Some((Position(begin), batch.records.len()));
            }
            rows.extend(batch.records.iter().map(|record| (Row::of(record), record.leaf)));
            rows.extend(
                written
                    .behind
                    .as_deref()
                    .map(|entry| (Row::bare(entry), leaf_hash(entry))),
            );
        }
        let (rows, leaves): (Vec<Row<'_>>, Vec<_>) = rows.into_iter().unzip();
        let copied = copy_rows(&mut tx, self.shared.id, Position(first), &rows).await;
        copied.map_err(GroupError::of_copy)?;
        for leaf in leaves {
            frontier.push(leaf);
            edge.iter_mut()
                .for_each(|edge| edge.push(leaf, |tile| tiles.push(tile)));
        }
        shards.retain(|shard| shard.has_moved);
        self.finish_append(&mut tx, &frontier, &tiles, &shards).await?;
        let of_batch = batches.iter().zip(&firsts).zip(&written);
        let of_batch = of_batch.filter(|(_, written)| written.is_some());
        let withheld = of_batch.flat_map(|((batch, first), _)| (*first..).zip(&*batch.records));
        self.withhold(&mut tx, withheld).await?;
        tx.commit().await?;
        self.hand_over(Position(first), batches.iter().zip(&written), began_at);
        *cached = edge;
        let head = Head {
            size: frontier.size(),
            root: frontier.root(),
        };
        self.saw_size(head.size);
        let results = results.into_iter().zip(firsts);
        Ok(results
            .map(|(result, first)| {
                result.unwrap_or_else(|| {
                    Ok(Appended::Written {
                        first: Position(first),
                        head: head.clone(),
                    })
                })
            })
            .collect())
    }

    /// Offers what was written from `first` on to those who read on there. Before they hear of it, or they would read it.
    fn hand_over<'a>(
        &self,
        first: Position,
        of_batches: impl Iterator<Item = (&'a ShardBatch, &'a Option<Written>)> + Clone,
        began_at: Instant,
    ) {
        let written = of_batches.filter_map(|(batch, written)| Some((batch, written.as_ref()?)));
        let items = written.clone().flat_map(|(batch, Written { before, behind })| {
            let records = batch.records.iter().map(|record| record.item.map(|item| item.token));
            let before = before.iter().map(|_| None);
            before.chain(records).chain(behind.iter().map(|_| None))
        });
        self.shared.items.offer(first, items, began_at);
        let bare = |entry: &Vec<u8>| Some(AppendedRow::bare(entry, leaf_hash(entry)));
        let rows = written.flat_map(|(batch, Written { before, behind })| {
            let before = before.iter().map(bare);
            let records = batch.records.iter().map(AppendedRow::of);
            before.chain(records).chain(behind.iter().map(bare))
        });
        // Up to the first one of which nobody knows what its body says.
        self.shared.rows.offer(first, rows.map_while(|row| row), began_at);
    }

    fn written(&self, accounted: Accounted) -> Written {
        let entry = |batch: Batch| {
            let entry = Entry {
                ledger: self.shared.name.clone(),
                kind: EntryKind::Batch(batch),
            };
            entry.encode().expect("an entry of ids alone is below the limit")
        };
        Written {
            before: accounted.before.map(entry),
            behind: accounted.behind.map(entry),
        }
    }

    /// Locks the shards of these batches, in an order that is the same everywhere.
    async fn lock_shards(&self, conn: &mut PgConnection, batches: &[ShardBatch]) -> sqlx::Result<Vec<LockedShard>> {
        let streams: Vec<i32> = batches.iter().map(|batch| batch.lease.stream_id).collect();
        let shards: Vec<String> = batches
            .iter()
            .map(|batch| batch.lease.shard.as_str().to_owned())
            .collect();
        let rows = sqlx::query!(
            r#"
            select stream_id, shard, parent, epoch, position, finished_at is not null as "finished!",
                exists (
                    select from shard as parent
                    where parent.stream_id = shard.stream_id and parent.shard = shard.parent and parent.finished_at is null
                ) as "parent_open!",
                batch_after, batch_first, batch_last, batch_read, batch_recorded, batch_redacted, batch_config, batch_epoch,
                batch_opened_at as "batch_opened_at: StoredTimestamp", clock_timestamp() as "now!: StoredTimestamp"
            from shard
            where (stream_id, shard) in (select * from unnest($1::integer[], $2::text[]))
              and stream_id in (select stream_id from stream where ledger_id = $3)
            order by stream_id, shard
            for update
            "#,
            &streams,
            &shards,
            self.shared.id,
        )
        .fetch_all(conn)
        .await?;
        rows.into_iter()
            .map(|row| {
                let config = row
                    .batch_config
                    .and_then(|config| config.try_into().ok())
                    .map(ConfigurationDigest);
                let open = match (row.batch_after, config, row.batch_epoch, row.batch_opened_at) {
                    (Some(after), Some(config), Some(epoch), Some(opened_at)) => Some(OpenBatch {
                        after: match after.as_str() {
                            "start" => BatchAfter::Start,
                            "gap" => BatchAfter::Gap,
                            _ => BatchAfter::Record(
                                SequenceNumber::parse(after).map_err(|_| unreadable("sequence number"))?,
                            ),
                        },
                        range: read_position(row.batch_first)?.zip(read_position(row.batch_last)?),
                        read: row.batch_read.cast_unsigned(),
                        recorded: row.batch_recorded.cast_unsigned(),
                        redacted: row.batch_redacted.cast_unsigned(),
                        config,
                        epoch,
                        opened_at: opened_at.to_jiff(),
                    }),
                    _ => None,
                };
                let parent = row.parent.map(ShardId::parse).transpose();
                Ok(LockedShard {
                    stream_id: row.stream_id,
                    shard: ShardId::parse(row.shard).map_err(|_| unreadable("shard id"))?,
                    parent: parent.map_err(|_| unreadable("shard id"))?,
                    epoch: row.epoch,
                    position: read_position(row.position)?,
                    is_finished: row.finished,
                    is_parent_open: row.parent_open,
                    open,
                    now: row.now.to_jiff(),
                    has_moved: false,
                    gaps: 0,
                    tail: None,
                })
            })
            .collect()
    }
}

impl LockedShard {
    fn is_of(&self, batch: &ShardBatch) -> bool {
        self.stream_id == batch.lease.stream_id && self.shard == batch.lease.shard
    }

    /// Whether a batch may be written now, after those before it in the group.
    fn check(&self, batch: &ShardBatch, finished: &HashSet<(i32, ShardId)>) -> Result<Check, AppendError> {
        let lease = &batch.lease;
        if self.epoch != lease.epoch {
            return Err(AppendError::Fenced {
                shard: lease.shard.clone(),
                ours: lease.epoch,
                current: self.epoch,
            });
        }
        let stands_at = |position: Option<&SequenceNumber>, is_finished: bool| {
            self.position.as_ref() == position && self.is_finished == is_finished
        };
        let has_ended = match &batch.to {
            AppendTo::Record(last) => stands_at(Some(last), false),
            AppendTo::End(last) => stands_at(last.as_ref().or(batch.after.as_ref()), true),
            AppendTo::Close(_) => self.is_finished,
        };
        if stands_at(batch.after.as_ref(), false) {
            let parent = self.parent.as_ref().map(|parent| (self.stream_id, parent.clone()));
            if self.is_parent_open && !parent.is_some_and(|parent| finished.contains(&parent)) {
                return Err(AppendError::ParentOpen {
                    shard: lease.shard.clone(),
                });
            }
            return Ok(Check::Write);
        }
        if has_ended {
            return Ok(Check::AlreadyThere);
        }
        Err(AppendError::Moved {
            shard: lease.shard.clone(),
            position: self.position.clone(),
            finished: self.is_finished,
        })
    }

    /// Moves the shard across a batch, and says what accounts for it.
    fn take(&mut self, batch: &ShardBatch, interval: std::time::Duration) -> Accounted {
        let mut accounted = account(self.open.take(), batch, self.now, interval);
        self.open = accounted.open.take();
        let is_gap = |record: &&SealedRecord| record.sequence.is_none();
        self.gaps += i64::try_from(batch.records.iter().filter(is_gap).count()).expect("a batch is small");
        match &batch.to {
            AppendTo::Record(last) => self.position = Some(last.clone()),
            AppendTo::End(last) => {
                self.position = last.clone().or(self.position.take());
                self.is_finished = true;
            }
            AppendTo::Close(_) => {}
        }
        self.has_moved = true;
        accounted
    }
}
