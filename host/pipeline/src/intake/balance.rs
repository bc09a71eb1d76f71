//! Who should read what: decided by each worker for itself, from what all see in Postgres.
//!
//! ```text
//! free shards ──▶ whoever has less than its share takes them, each beginning at another place
//! no free ones ─▶ whoever has least asks whoever has most, for at most half of the difference
//! asked for ────▶ let go
//! ```
//!
//! A shard weighs something because it is polled, and more the more records come. Nobody decides for others, so nothing
//! has to be elected; two who decide alike meet in Postgres, where one of them is refused.

use std::collections::HashMap;

use weir_ledger::{LiveWorker, OpenShard, WorkerId};

/// Weight of a shard that is only polled.
const IDLE_WEIGHT: f64 = 1.0;

/// Records a second that weigh as much as a shard that is only polled.
const RECORDS_PER_WEIGHT: f64 = 100.0;

/// A difference below this share of the larger load is noise, not a reason to hand anything over.
const NOISE: f64 = 0.1;

/// What a worker should do now. Indexes are those of the shards it looked at.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Moves {
    /// Free shards to take.
    pub(super) take: Vec<usize>,
    /// Shards of others to ask for.
    pub(super) ask: Vec<usize>,
    /// Own shards to hand over.
    pub(super) let_go: Vec<usize>,
}

/// What `me` should do, if these are alive and these shards are open.
pub(super) fn moves(me: WorkerId, workers: &[LiveWorker], shards: &[OpenShard]) -> Moves {
    let mut moves = Moves::default();
    let eligible: Vec<WorkerId> = workers
        .iter()
        .filter(|worker| !worker.is_draining)
        .map(|worker| worker.id)
        .collect();
    let Some(rank) = eligible.iter().position(|worker| *worker == me) else {
        // Draining, or gone: everything goes, but not before somebody is there to take it.
        let mine = |shard: &OpenShard| shard.worker == Some(me) && !eligible.is_empty();
        moves.let_go.extend(indexes_of(shards, mine));
        return moves;
    };
    let is_asked_of_me = |shard: &OpenShard| {
        shard.worker == Some(me)
            && shard
                .wanted_by
                .is_some_and(|asker| asker != me && eligible.contains(&asker))
    };
    moves.let_go.extend(indexes_of(shards, is_asked_of_me));

    let mut loads = Loads::of(&eligible, shards);
    let free: Vec<usize> = indexes_of(shards, |shard| shard.is_ready && shard.worker.is_none()).collect();
    // Each begins at another place, so that they seldom want the same one.
    let begin = free.len() * rank / eligible.len();
    for index in free[begin..].iter().chain(&free[..begin]) {
        if loads.of_worker(me) < loads.share {
            loads.add(me, weight(&shards[*index]));
            moves.take.push(*index);
        }
    }
    if free.is_empty() {
        moves.ask = asks(me, &mut loads, shards);
    }
    moves
}

/// Shards to ask the worker for that has most, if this is the one that has least.
fn asks(me: WorkerId, loads: &mut Loads, shards: &[OpenShard]) -> Vec<usize> {
    let mut asks = Vec::new();
    let Some((most, least)) = loads.most_and_least() else {
        return asks;
    };
    let difference = loads.of_worker(most) - loads.of_worker(me);
    if least != me || difference < NOISE * loads.of_worker(most) {
        return asks;
    }
    let mut theirs: Vec<usize> = indexes_of(shards, |shard| {
        shard.worker == Some(most) && shard.wanted_by.is_none() && shard.is_ready
    })
    .collect();
    theirs.sort_by(|left, right| weight(&shards[*right]).total_cmp(&weight(&shards[*left])));
    let mut moved = 0.0;
    for index in theirs {
        let weight = weight(&shards[index]);
        // Half of the difference makes them equal; one that is heavier than what is left of that only swaps the two.
        if moved + weight <= difference / 2.0 {
            moved += weight;
            asks.push(index);
        }
    }
    asks
}

fn indexes_of(shards: &[OpenShard], wanted: impl Fn(&OpenShard) -> bool) -> impl Iterator<Item = usize> {
    shards
        .iter()
        .enumerate()
        .filter(move |(_, shard)| wanted(shard))
        .map(|(index, _)| index)
}

fn weight(shard: &OpenShard) -> f64 {
    IDLE_WEIGHT + f64::from(shard.records_per_s) / RECORDS_PER_WEIGHT
}

/// How much each worker has, counting what it asked for.
struct Loads {
    by_worker: HashMap<WorkerId, f64>,
    /// What each would have if all had the same.
    share: f64,
}

impl Loads {
    fn of(eligible: &[WorkerId], shards: &[OpenShard]) -> Self {
        let mut loads = Self {
            by_worker: eligible.iter().map(|worker| (*worker, 0.0)).collect(),
            share: 0.0,
        };
        let mut total = 0.0;
        for shard in shards.iter().filter(|shard| shard.is_ready) {
            total += weight(shard);
            // What nobody has counts for nobody, so that somebody has less than its share and takes it.
            if let Some(holder) = shard.worker {
                let asker = shard.wanted_by.filter(|asker| loads.by_worker.contains_key(asker));
                loads.add(asker.unwrap_or(holder), weight(shard));
            }
        }
        #[expect(clippy::cast_precision_loss, reason = "there are few workers")]
        let count = eligible.len() as f64;
        loads.share = total / count;
        loads
    }

    fn of_worker(&self, worker: WorkerId) -> f64 {
        self.by_worker.get(&worker).copied().unwrap_or_default()
    }

    fn add(&mut self, worker: WorkerId, weight: f64) {
        if let Some(load) = self.by_worker.get_mut(&worker) {
            *load += weight;
        }
    }

    /// The workers with most and least; among equals the one that came first.
    fn most_and_least(&self) -> Option<(WorkerId, WorkerId)> {
        let by_load = |left: &(&WorkerId, &f64), right: &(&WorkerId, &f64)| {
            left.1.total_cmp(right.1).then_with(|| right.0.cmp(left.0))
        };
        let most = self.by_worker.iter().max_by(by_load)?.0;
        let least = self
            .by_worker
            .iter()
            .min_by(|left, right| left.1.total_cmp(right.1).then(left.0.cmp(right.0)))?
            .0;
        (most != least).then_some((*most, *least))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use weir_model::ShardId;

    fn worker(id: i64) -> LiveWorker {
        LiveWorker {
            id: WorkerId(id),
            name: String::new(),
            is_draining: false,
        }
    }

    fn shards(count: usize) -> Vec<OpenShard> {
        let shard = |index| OpenShard {
            stream_id: 1,
            shard: ShardId::parse(format!("shard-{index}")).unwrap(),
            is_ready: true,
            worker: None,
            wanted_by: None,
            records_per_s: 0.0,
        };
        (0..count).map(shard).collect()
    }

    /// Rounds in which every worker decides from the same picture, and Postgres takes the first of two. Says how many it
    /// took until nobody wanted anything, and how many shards were let go on the way.
    fn settle(workers: &[LiveWorker], shards: &mut [OpenShard]) -> (usize, usize) {
        let mut handed_over = 0;
        for round in 0..50 {
            let decided: Vec<(WorkerId, Moves)> = workers
                .iter()
                .map(|worker| (worker.id, moves(worker.id, workers, shards)))
                .collect();
            if decided.iter().all(|(_, moves)| *moves == Moves::default()) {
                return (round, handed_over);
            }
            for (me, moves) in decided {
                for index in moves.let_go {
                    // The asker takes it in its next round, before anybody else is short of one.
                    shards[index].worker = shards[index].wanted_by.take();
                    handed_over += 1;
                }
                for index in moves.ask {
                    shards[index].wanted_by = Some(me);
                }
                for index in moves.take {
                    shards[index].worker.get_or_insert(me);
                }
            }
        }
        panic!("they never settle: {shards:?}");
    }

    fn counts(workers: &[LiveWorker], shards: &[OpenShard]) -> Vec<usize> {
        let of = |worker: &LiveWorker| shards.iter().filter(|shard| shard.worker == Some(worker.id)).count();
        workers.iter().map(of).collect()
    }

    /// streams.md 41: without a storm.
    #[test]
    fn workers_that_start_together_share_evenly_without_handing_anything_over() {
        for (workers, count) in [(1, 7), (2, 7), (3, 100), (8, 5), (5, 1000)] {
            let workers: Vec<LiveWorker> = (0..workers).map(worker).collect();
            let mut shards = shards(count);
            let (rounds, handed_over) = settle(&workers, &mut shards);
            let counts = counts(&workers, &shards);
            let (most, least) = (counts.iter().max().unwrap(), counts.iter().min().unwrap());
            assert!(most - least <= 1, "{counts:?}");
            assert!(
                rounds <= 6 && handed_over == 0,
                "{rounds} rounds, {handed_over} handed over"
            );
        }
    }

    #[test]
    fn a_worker_that_joins_gets_its_share_and_one_that_is_gone_leaves_it() {
        let mut workers = vec![worker(1)];
        let mut shards = shards(100);
        settle(&workers, &mut shards);
        for id in 2..=4 {
            workers.push(worker(id));
            let (_, handed_over) = settle(&workers, &mut shards);
            assert!(handed_over <= 50, "{handed_over}");
        }
        let shared = counts(&workers, &shards);
        assert!(shared.iter().all(|count| (22..=28).contains(count)), "{shared:?}");
        workers.remove(0);
        shards
            .iter_mut()
            .filter(|shard| shard.worker == Some(WorkerId(1)))
            .for_each(|shard| shard.worker = None);
        let (_, handed_over) = settle(&workers, &mut shards);
        assert_eq!(handed_over, 0);
        let shared = counts(&workers, &shards);
        assert!(shared.iter().all(|count| (30..=37).contains(count)), "{shared:?}");
    }

    #[test]
    fn busy_shards_count_for_more_than_idle_ones() {
        let mut workers = vec![worker(1)];
        let mut shards = shards(12);
        // Two carry half of everything between them.
        shards[0].records_per_s = 500.0;
        shards[1].records_per_s = 500.0;
        settle(&workers, &mut shards);
        workers.push(worker(2));
        settle(&workers, &mut shards);
        let busy: Vec<_> = shards[..2].iter().map(|shard| shard.worker).collect();
        assert_ne!(busy[0], busy[1]);
    }

    /// Or it is nobody's for good, once all others have equally much.
    #[test]
    fn a_shard_whose_worker_died_while_it_was_asked_for_is_taken() {
        for count in 1..=5 {
            let workers: Vec<LiveWorker> = (1..=count).map(worker).collect();
            for asker in &workers {
                let mut shards = shards(workers.len());
                shards[0].wanted_by = Some(asker.id);
                let others = workers.iter().filter(|worker| worker.id != asker.id);
                for (shard, worker) in shards[1..].iter_mut().zip(others) {
                    shard.worker = Some(worker.id);
                }
                settle(&workers, &mut shards);
                assert_eq!(counts(&workers, &shards), vec![1; workers.len()]);
            }
        }
    }

    #[test]
    fn a_worker_that_drains_lets_everything_go_and_takes_nothing() {
        let mut workers = vec![worker(1), worker(2)];
        let mut all = shards(10);
        settle(&workers, &mut all);
        workers[0].is_draining = true;
        let decided = moves(WorkerId(1), &workers, &all);
        assert_eq!((decided.let_go.len(), decided.take.len(), decided.ask.len()), (5, 0, 0));
        settle(&workers, &mut all);
        settle(&workers, &mut all);
        assert_eq!(counts(&workers, &all), [0, 10]);
        // The last one keeps what nobody would take.
        workers[1].is_draining = true;
        assert_eq!(moves(WorkerId(2), &workers, &all), Moves::default());
    }

    /// streams.md 1.
    #[test]
    fn a_shard_whose_parent_is_not_finished_is_nobody_s_yet() {
        for (waits, free) in [(0, 1), (1, 0)] {
            let mut shards = shards(2);
            shards[waits].is_ready = false;
            assert_eq!(moves(WorkerId(1), &[worker(1)], &shards).take, [free]);
        }
    }

    /// streams.md 40.
    #[test]
    fn who_is_asked_by_somebody_that_is_gone_keeps_its_shard() {
        let mut shards = shards(1);
        shards[0].worker = Some(WorkerId(1));
        shards[0].wanted_by = Some(WorkerId(9));
        assert_eq!(moves(WorkerId(1), &[worker(1)], &shards), Moves::default());
    }
}
