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

mod hold;
mod renumber;

use std::collections::BTreeMap;
use std::fmt;
use std::num::NonZeroU8;

use jiff::Timestamp;
use jiff_sqlx::Timestamp as StoredTimestamp;
use weir_model::Position;

use crate::{Ledger, WorkerId, from_stored, in_time};

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
