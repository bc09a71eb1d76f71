//! Partitions: the shares of a route. Each is a range of lanes, with a cursor of its own and a worker that moves it.
//!
//! ```text
//! a version says how many ──▶ rows in `consumer`, all at one position ──▶ free ones are taken, epoch + 1
//!                                    ▲                                             │
//!                                    └── all stand where another number begins, ◀──┘
//!                                        and nobody has any: these go, others come
//! ```
//!
//! # Invariants
//!
//! - At any time the rows of a route are the partitions of one number: together they have every lane, and none twice.
//! - The changes of an item are in one partition, whatever the number: its lane says in which.
//! - Whoever took a partition last is the only one who can move its cursor. Who is alive decides only who works.
//! - Nobody waits for a row that somebody else has: one partition that is stuck keeps no other from being taken.
//! - Epochs of a route only grow, also where its rows go and others come: nobody who had one has one of those.

use std::collections::BTreeMap;
use std::fmt;
use std::num::NonZeroU8;

use jiff::Timestamp;
use jiff_sqlx::Timestamp as StoredTimestamp;
use sqlx::PgConnection;
use weir_model::Position;

use crate::{Consumer, Ledger, WorkerId, from_stored, in_time, to_stored};

/// How long a process may be silent in the middle of a settlement. Each takes milliseconds.
const SILENT_MAX_S: f64 = 3.0;

/// Lanes there are.
const LANES: u16 = 256;

/// A share of a route: the changes of the items in a range of lanes.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Partition {
    /// The route.
    pub route: String,
    /// The lowest of its lanes.
    pub first_lane: u8,
    /// The highest.
    pub last_lane: u8,
}

/// How a partition stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PartitionState {
    /// Which.
    pub partition: Partition,
    /// Everything below was dealt with.
    pub next: Position,
    /// When its cursor was moved last.
    pub moved_at: Timestamp,
    /// Who routes it; `None` if nobody alive does.
    pub worker: Option<WorkerId>,
    /// Who alive asks for it.
    pub wanted_by: Option<WorkerId>,
    /// Behind its cursor the route has another number of partitions: there is nothing more to do for this one.
    pub is_over: bool,
}

impl Partition {
    /// All of a route.
    #[must_use]
    pub fn whole(route: impl Into<String>) -> Self {
        Self {
            route: route.into(),
            first_lane: 0,
            last_lane: u8::MAX,
        }
    }

    /// A route in so many parts of nearly the same size.
    #[must_use]
    pub fn of(route: &str, count: NonZeroU8) -> Vec<Self> {
        let count = u16::from(count.get());
        let begin = |index: u16| index * LANES / count;
        let lane = |lane: u16| u8::try_from(lane).expect("there are 256 lanes");
        let parts = (0..count).map(|index| Self {
            route: route.to_owned(),
            first_lane: lane(begin(index)),
            last_lane: lane(begin(index + 1) - 1),
        });
        parts.collect()
    }

    /// Whether it is all of the route.
    #[must_use]
    pub fn is_whole(&self) -> bool {
        (self.first_lane, self.last_lane) == (0, u8::MAX)
    }

    /// Whether the items of a lane are in it.
    #[must_use]
    pub fn holds(&self, lane: u8) -> bool {
        (self.first_lane..=self.last_lane).contains(&lane)
    }

    /// Name of the consumer that it is.
    pub(crate) fn consumer(&self) -> String {
        format!("route:{self}")
    }

    pub(crate) fn of_consumer(name: &str) -> Option<Self> {
        let name = name.strip_prefix("route:")?;
        let Some((route, lanes)) = name.split_once('/') else {
            return Some(Self::whole(name));
        };
        let (first, last) = lanes.split_once('-')?;
        Some(Self {
            route: route.to_owned(),
            first_lane: first.parse().ok()?,
            last_lane: last.parse().ok()?,
        })
    }

    /// Where its lanes stand in an array that has one place for each.
    pub(crate) fn slice(&self) -> (i32, i32) {
        (i32::from(self.first_lane) + 1, i32::from(self.last_lane) + 1)
    }

    /// Its lanes, as the schema has them.
    pub(crate) fn lanes(&self) -> (i16, i16) {
        (self.first_lane.into(), self.last_lane.into())
    }
}

/// `orders`, or `orders/0-31` where a route has several.
impl fmt::Display for Partition {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.route)?;
        if self.is_whole() {
            return Ok(());
        }
        write!(formatter, "/{}-{}", self.first_lane, self.last_lane)
    }
}

/// A row of `consumer` that is locked.
struct Locked {
    next: Position,
    epoch: i64,
    is_free: bool,
}

impl Ledger {
    /// Every partition of every route, by route and lanes.
    ///
    /// # Errors
    ///
    /// Postgres failed.
    pub async fn partitions(&self) -> sqlx::Result<Vec<PartitionState>> {
        let rows = sqlx::query!(
            r#"
            with alive as (
                select worker_id from worker
                where ledger_id = $1 and heartbeat_at > clock_timestamp() - make_interval(secs => $2)
            )
            select name, next_position, moved_at as "moved_at: StoredTimestamp",
                holder.worker_id as "worker?", asker.worker_id as "wanted_by?", (
                    select coalesce((definition::json ->> 'partitions')::integer, 1)
                    from route_version
                    where route_version.ledger_id = $1 and from_position <= next_position
                      and route = split_part(substr(name, 7), '/', 1)
                    order by version desc
                    limit 1
                ) as partitions
            from consumer
            left join alive as holder on holder.worker_id = consumer.worker_id
            left join alive as asker on asker.worker_id = consumer.wanted_by
            where ledger_id = $1
            "#,
            self.shared.id,
            self.lease_expiry_s(),
        )
        .fetch_all(&self.shared.pool);
        let rows = in_time::<_, sqlx::Error>(rows).await?.into_iter();
        let mut wanted = BTreeMap::new();
        let states = rows.filter_map(|row| {
            let partition = Partition::of_consumer(&row.name)?;
            wanted.insert(partition.clone(), row.partitions);
            Some(PartitionState {
                partition,
                next: from_stored(row.next_position),
                moved_at: row.moved_at.to_jiff(),
                worker: row.worker.map(WorkerId),
                wanted_by: row.wanted_by.map(WorkerId),
                is_over: false,
            })
        });
        let mut states: Vec<PartitionState> = states.collect();
        let mut counts = BTreeMap::<String, i32>::new();
        for state in &states {
            *counts.entry(state.partition.route.clone()).or_default() += 1;
        }
        for state in &mut states {
            let wanted = wanted.get(&state.partition).copied().flatten();
            state.is_over = wanted.is_some_and(|wanted| wanted != counts[&state.partition.route]);
        }
        states.sort_by(|left, right| left.partition.cmp(&right.partition));
        Ok(states)
    }

    /// Gives a route the partitions that its version wants, once all that it has stand where that version begins and nobody
    /// alive has any. A route without a version has none. Waits for nobody: where a row is locked, nothing happens.
    ///
    /// # Errors
    ///
    /// Postgres failed. Safe to repeat.
    pub async fn partition_route(&self, route: &str) -> sqlx::Result<()> {
        in_time(async {
            let mut tx = self.begin().await?;
            let rows = match self.lock_partitions(&mut tx, route).await {
                Err(error) if is_locked(&error) => return Ok(()),
                rows => rows?,
            };
            let versions = self.list_route_versions(&mut tx, route).await?;
            let begins = versions.first().map(|first| first.from_position);
            let Some(next) = rows.iter().map(|row| row.next).min().or(begins) else {
                return Ok(());
            };
            let version = versions.iter().rfind(|version| version.from_position <= next);
            let Some(count) = version.map(|version| version.definition.partitions) else {
                return Ok(());
            };
            let is_over = rows.iter().all(|row| row.next == next && row.is_free);
            if rows.len() == usize::from(count.get()) || !is_over {
                return Ok(());
            }
            self.delete_partitions(&mut tx, route).await?;
            let epoch = rows.iter().map(|row| row.epoch + 1).max().unwrap_or_default();
            for partition in Partition::of(route, count) {
                sqlx::query!(
                    "
                    insert into consumer (ledger_id, name, next_position, epoch) values ($1, $2, $3, $4)
                    on conflict do nothing
                    ",
                    self.shared.id,
                    partition.consumer(),
                    to_stored(next),
                    epoch,
                )
                .execute(&mut *tx)
                .await?;
            }
            tx.commit().await
        })
        .await
    }

    /// What is there stays until the transaction ends, and nobody puts others in its place.
    async fn lock_partitions(&self, conn: &mut PgConnection, route: &str) -> sqlx::Result<Vec<Locked>> {
        // One after the other, each with a look of its own at the rows: who waits for rows that go does not see those that come.
        sqlx::query!(
            "select pg_advisory_xact_lock(hashtext('weir/partitions'), hashtext($1::integer || '/' || $2))",
            self.shared.id,
            route,
        )
        .fetch_one(&mut *conn)
        .await?;
        let rows = sqlx::query!(
            r#"
            select next_position, epoch, not exists (
                select from worker
                where worker.worker_id = consumer.worker_id
                  and heartbeat_at > clock_timestamp() - make_interval(secs => $3)
            ) as "is_free!"
            from consumer
            where ledger_id = $1 and (name = 'route:' || $2 or starts_with(name, 'route:' || $2 || '/'))
            order by name
            for update nowait
            "#,
            self.shared.id,
            route,
            self.lease_expiry_s(),
        )
        .fetch_all(&mut *conn)
        .await?;
        let rows = rows.into_iter().map(|row| Locked {
            next: from_stored(row.next_position),
            epoch: row.epoch,
            is_free: row.is_free,
        });
        Ok(rows.collect())
    }

    async fn delete_partitions(&self, conn: &mut PgConnection, route: &str) -> sqlx::Result<()> {
        sqlx::query!(
            "
            delete from consumer
            where ledger_id = $1 and (name = 'route:' || $2 or starts_with(name, 'route:' || $2 || '/'))
            ",
            self.shared.id,
            route,
        )
        .execute(conn)
        .await?;
        Ok(())
    }

    /// Takes a partition that is free, or takes one of the worker's own anew. Whoever had it can settle nothing more. `None` if
    /// another worker that is alive has it, if it is there no more, or while a settlement of it is in flight: one that hangs
    /// there, because its process is frozen or its machine gone, is disconnected.
    ///
    /// # Errors
    ///
    /// Postgres failed.
    pub async fn claim_partition(&self, worker: WorkerId, partition: &Partition) -> sqlx::Result<Option<Consumer>> {
        let name = partition.consumer();
        let claimed = sqlx::query!(
            "
            update consumer
            set epoch = epoch + 1, worker_id = $3, wanted_by = null
            from (
                select ledger_id, name from consumer where ledger_id = $1 and name = $2 for update skip locked
            ) as unlocked
            where consumer.ledger_id = unlocked.ledger_id and consumer.name = unlocked.name and not exists (
                select from worker
                where worker.worker_id = consumer.worker_id and worker.worker_id <> $3
                  and heartbeat_at > clock_timestamp() - make_interval(secs => $4)
            )
            returning next_position, epoch
            ",
            self.shared.id,
            name,
            worker.0,
            self.lease_expiry_s(),
        )
        .fetch_optional(&self.shared.pool);
        let claimed = in_time::<_, sqlx::Error>(claimed).await?;
        if claimed.is_none() {
            self.disconnect_silent_settlements().await?;
        }
        Ok(claimed.map(|row| Consumer::new(name, from_stored(row.next_position), row.epoch)))
    }

    /// Ends connections of ours that have moved a cursor and not said for seconds whether that stays.
    async fn disconnect_silent_settlements(&self) -> sqlx::Result<()> {
        in_time(async {
            let mut tx = self.begin().await?;
            // Backends belong to the user who logged in, whatever role was put on.
            sqlx::query("set local role none").execute(&mut *tx).await?;
            let ended = sqlx::query_scalar!(
                r#"
                select count(*) filter (where pg_terminate_backend(pid)) as "count!"
                from (
                    select distinct silent.pid
                    from pg_stat_activity as silent
                    join pg_locks as held on held.pid = silent.pid
                    where held.relation = 'consumer'::regclass and held.mode = 'RowExclusiveLock' and held.granted
                      and silent.datname = current_database() and silent.usename = session_user
                      and silent.application_name = 'weir' and silent.state = 'idle in transaction'
                      and silent.state_change < clock_timestamp() - make_interval(secs => $1)
                ) as silent
                "#,
                SILENT_MAX_S,
            )
            .fetch_one(&mut *tx)
            .await?;
            tx.commit().await?;
            if ended > 0 {
                tracing::warn!(
                    count = ended,
                    "disconnected processes that held a route's cursor for too long"
                );
            }
            Ok(())
        })
        .await
    }

    /// Lets go of a partition, unless someone else took it meanwhile: it is free at once.
    ///
    /// # Errors
    ///
    /// Postgres failed. Then it is free when the worker is gone.
    pub async fn release_partition(&self, consumer: &Consumer) -> sqlx::Result<()> {
        let released = sqlx::query!(
            "
            update consumer
            set worker_id = null, wanted_by = null
            where ledger_id = $1 and name = $2 and epoch = $3
            ",
            self.shared.id,
            consumer.name,
            consumer.epoch(),
        )
        .execute(&self.shared.pool);
        in_time::<_, sqlx::Error>(released).await.map(drop)
    }

    /// Asks the worker that has a partition to hand it over. The last asker counts.
    ///
    /// # Errors
    ///
    /// Postgres failed.
    pub async fn ask_for_partition(&self, worker: WorkerId, partition: &Partition) -> sqlx::Result<()> {
        let asked = sqlx::query!(
            "update consumer set wanted_by = $3 where ledger_id = $1 and name = $2 and worker_id <> $3",
            self.shared.id,
            partition.consumer(),
            worker.0,
        )
        .execute(&self.shared.pool);
        in_time::<_, sqlx::Error>(asked).await.map(drop)
    }
}

/// Whether somebody has a row that was not waited for (`lock_not_available`).
fn is_locked(error: &sqlx::Error) -> bool {
    let code = error.as_database_error().and_then(sqlx::error::DatabaseError::code);
    code.as_deref() == Some("55P03")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_have_every_lane_once_whatever_their_number() {
        for count in 1..=u8::MAX {
            let parts = Partition::of("orders", NonZeroU8::new(count).unwrap());
            assert_eq!(parts.len(), usize::from(count));
            for lane in 0..=u8::MAX {
                assert_eq!(
                    parts.iter().filter(|part| part.holds(lane)).count(),
                    1,
                    "{count}: {lane}"
                );
            }
            let sizes = parts.iter().map(|part| part.last_lane - part.first_lane);
            let (least, most) = (sizes.clone().min().unwrap(), sizes.max().unwrap());
            assert!(most - least <= 1, "{count}: {least} to {most}");
        }
    }

    #[test]
    fn the_name_of_a_partition_says_which_it_is() {
        let parts = Partition::of("orders", NonZeroU8::new(8).unwrap());
        let names: Vec<String> = parts.iter().map(Partition::consumer).collect();
        assert_eq!(
            (names[0].as_str(), names[7].as_str()),
            ("route:orders/0-31", "route:orders/224-255")
        );
        for (part, name) in parts.iter().zip(&names) {
            assert_eq!(Partition::of_consumer(name).as_ref(), Some(part));
        }
        let whole = Partition::whole("orders");
        assert_eq!((whole.consumer().as_str(), whole.is_whole()), ("route:orders", true));
        assert_eq!(Partition::of_consumer("route:orders"), Some(whole));
        assert_eq!(Partition::of_consumer("index"), None);
    }
}
