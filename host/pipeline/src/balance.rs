//! Who should have what, of shards and of partitions of routes: decided by each worker for itself, from what all see in Postgres.
//!
//! ```text
//! free pieces ──▶ whoever has less than its share takes them, each beginning at another place
//! left over ────▶ whoever sees them: those that have less do not take them
//! no free ones ─▶ whoever has least asks whoever has most, for at most half of the difference
//! asked for ────▶ let go
//! ```
//!
//! Nobody decides for others, so nothing has to be elected; two who decide alike meet in Postgres, where one of them is refused.

use std::collections::HashMap;

use weir_ledger::{LiveWorker, Work, WorkerId};

/// A difference below this share of the larger load is noise, not a reason to hand anything over.
const NOISE: f64 = 0.1;

/// What one worker at a time has.
#[derive(Clone, Debug)]
pub(crate) struct Piece {
    /// What it is part of: who is not configured for that cannot have it.
    pub(crate) of: Work,
    /// It may be taken, should it be free.
    pub(crate) is_ready: bool,
    /// Who has it; `None` if nobody alive does.
    pub(crate) worker: Option<WorkerId>,
    /// Who alive asks for it.
    pub(crate) wanted_by: Option<WorkerId>,
    /// It was free for so long that those who have less do not take it.
    pub(crate) is_left: bool,
    /// What there is to do for it.
    pub(crate) weight: f64,
}

/// What a worker should do now. Indexes are those of the pieces it looked at.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Moves {
    /// Free pieces to take.
    pub(crate) take: Vec<usize>,
    /// Pieces of others to ask for.
    pub(crate) ask: Vec<usize>,
    /// Own pieces to hand over.
    pub(crate) let_go: Vec<usize>,
}

/// What `me` should do, if these are alive and there are these pieces.
pub(crate) fn moves(me: WorkerId, workers: &[LiveWorker], pieces: &[Piece]) -> Moves {
    let mut moves = Moves::default();
    let takes = |worker: &LiveWorker, piece: &Piece| !worker.is_draining && worker.works_at.contains(&piece.of);
    let eligible = workers
        .iter()
        .filter(|worker| pieces.iter().any(|piece| takes(worker, piece)));
    let eligible: Vec<WorkerId> = eligible.map(|worker| worker.id).collect();
    let Some(rank) = eligible.iter().position(|worker| *worker == me) else {
        // Draining: everything goes, but not before somebody is there to take it.
        let is_last = |piece: &Piece| !workers.iter().any(|worker| takes(worker, piece));
        let goes = indexes_of(pieces, |piece| piece.worker == Some(me) && !is_last(piece));
        moves.let_go.extend(goes);
        let stays = indexes_of(pieces, |piece| {
            piece.worker.is_none() && piece.is_ready && is_last(piece)
        });
        moves.take.extend(stays);
        return moves;
    };
    let is_asked_of_me = |piece: &Piece| {
        piece.worker == Some(me)
            && piece
                .wanted_by
                .is_some_and(|asker| asker != me && eligible.contains(&asker))
    };
    moves.let_go.extend(indexes_of(pieces, is_asked_of_me));

    let mut loads = Loads::of(&eligible, pieces);
    let free: Vec<usize> = indexes_of(pieces, |piece| piece.is_ready && piece.worker.is_none()).collect();
    // Each begins at another place, so that they seldom want the same one.
    let begin = free.len() * rank / eligible.len();
    for index in free[begin..].iter().chain(&free[..begin]) {
        if loads.of_worker(me) < loads.share || pieces[*index].is_left {
            loads.add(me, pieces[*index].weight);
            moves.take.push(*index);
        }
    }
    if free.is_empty() {
        moves.ask = asks(me, &mut loads, pieces);
    }
    moves
}

/// Pieces to ask the worker for that has most, if this is the one that has least.
fn asks(me: WorkerId, loads: &mut Loads, pieces: &[Piece]) -> Vec<usize> {
    let mut asks = Vec::new();
    let Some((most, least)) = loads.most_and_least() else {
        return asks;
    };
    let difference = loads.of_worker(most) - loads.of_worker(me);
    if least != me || difference < NOISE * loads.of_worker(most) {
        return asks;
    }
    let mut theirs: Vec<usize> = indexes_of(pieces, |piece| {
        piece.worker == Some(most) && piece.wanted_by.is_none() && piece.is_ready
    })
    .collect();
    theirs.sort_by(|left, right| pieces[*right].weight.total_cmp(&pieces[*left].weight));
    let mut moved = 0.0;
    for index in theirs {
        let weight = pieces[index].weight;
        // Half of the difference makes them equal; one that is heavier than what is left of that only swaps the two.
        if moved + weight <= difference / 2.0 {
            moved += weight;
            asks.push(index);
        }
    }
    asks
}

fn indexes_of(pieces: &[Piece], wanted: impl Fn(&Piece) -> bool) -> impl Iterator<Item = usize> {
    pieces
        .iter()
        .enumerate()
        .filter(move |(_, shard)| wanted(shard))
        .map(|(index, _)| index)
}

/// How much each worker has, counting what it asked for.
struct Loads {
    by_worker: HashMap<WorkerId, f64>,
    /// What each would have if all had the same.
    share: f64,
}

impl Loads {
    fn of(eligible: &[WorkerId], pieces: &[Piece]) -> Self {
        let mut loads = Self {
            by_worker: eligible.iter().map(|worker| (*worker, 0.0)).collect(),
            share: 0.0,
        };
        let mut total = 0.0;
        for piece in pieces.iter().filter(|piece| piece.is_ready) {
            total += piece.weight;
            // What nobody has counts for nobody, so that somebody has less than its share and takes it.
            if let Some(holder) = piece.worker {
                let asker = piece.wanted_by.filter(|asker| loads.by_worker.contains_key(asker));
                loads.add(asker.unwrap_or(holder), piece.weight);
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
    fn orders() -> Work {
        Work::Route("orders".to_owned())
    }

    fn worker(id: i64) -> LiveWorker {
        LiveWorker {
            id: WorkerId(id),
            name: String::new(),
            is_draining: false,
            process: None,
            works_at: vec![orders()],
            configuration: None,
            refused: None,
        }
    }

    fn pieces(count: usize) -> Vec<Piece> {
        let piece = Piece {
            of: orders(),
            is_ready: true,
            worker: None,
            wanted_by: None,
            is_left: false,
            weight: 1.0,
        };
        vec![piece; count]
    }

    /// Rounds in which every worker decides from the same picture, and Postgres takes the first of two. Says how many it
    /// took until nobody wanted anything, and how many pieces were let go on the way.
    fn settle(workers: &[LiveWorker], pieces: &mut [Piece]) -> (usize, usize) {
        let mut handed_over = 0;
        for round in 0..50 {
            let decided: Vec<(WorkerId, Moves)> = workers
                .iter()
                .map(|worker| (worker.id, moves(worker.id, workers, pieces)))
                .collect();
            if decided.iter().all(|(_, moves)| *moves == Moves::default()) {
                return (round, handed_over);
            }
            for (me, moves) in decided {
                for index in moves.let_go {
                    // The asker takes it in its next round, before anybody else is short of one.
                    pieces[index].worker = pieces[index].wanted_by.take();
                    handed_over += 1;
                }
                for index in moves.ask {
                    pieces[index].wanted_by = Some(me);
                }
                for index in moves.take {
                    pieces[index].worker.get_or_insert(me);
                }
            }
        }
        panic!("they never settle: {pieces:?}");
    }

    fn counts(workers: &[LiveWorker], pieces: &[Piece]) -> Vec<usize> {
        let of = |worker: &LiveWorker| pieces.iter().filter(|piece| piece.worker == Some(worker.id)).count();
        workers.iter().map(of).collect()
    }

    /// streams.md 41: without a storm.
    #[test]
    fn workers_that_start_together_share_evenly_without_handing_anything_over() {
        for (workers, count) in [(1, 7), (2, 7), (3, 100), (8, 5), (5, 1000)] {
            let workers: Vec<LiveWorker> = (0..workers).map(worker).collect();
            let mut pieces = pieces(count);
            let (rounds, handed_over) = settle(&workers, &mut pieces);
            let counts = counts(&workers, &pieces);
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
        let mut pieces = pieces(100);
        settle(&workers, &mut pieces);
        for id in 2..=4 {
            workers.push(worker(id));
            let (_, handed_over) = settle(&workers, &mut pieces);
            assert!(handed_over <= 50, "{handed_over}");
        }
        let shared = counts(&workers, &pieces);
        assert!(shared.iter().all(|count| (22..=28).contains(count)), "{shared:?}");
        workers.remove(0);
        pieces
            .iter_mut()
            .filter(|piece| piece.worker == Some(WorkerId(1)))
            .for_each(|piece| piece.worker = None);
        let (_, handed_over) = settle(&workers, &mut pieces);
        assert_eq!(handed_over, 0);
        let shared = counts(&workers, &pieces);
        assert!(shared.iter().all(|count| (30..=37).contains(count)), "{shared:?}");
    }

    #[test]
    fn busy_shards_count_for_more_than_idle_ones() {
        let mut workers = vec![worker(1)];
        let mut pieces = pieces(12);
        // Two carry half of everything between them.
        pieces[0].weight = 6.0;
        pieces[1].weight = 6.0;
        settle(&workers, &mut pieces);
        workers.push(worker(2));
        settle(&workers, &mut pieces);
        let busy: Vec<_> = pieces[..2].iter().map(|piece| piece.worker).collect();
        assert_ne!(busy[0], busy[1]);
    }

    /// Or it is nobody's for good, once all others have equally much.
    #[test]
    fn a_shard_whose_worker_died_while_it_was_asked_for_is_taken() {
        for count in 1..=5 {
            let workers: Vec<LiveWorker> = (1..=count).map(worker).collect();
            for asker in &workers {
                let mut pieces = pieces(workers.len());
                pieces[0].wanted_by = Some(asker.id);
                let others = workers.iter().filter(|worker| worker.id != asker.id);
                for (piece, worker) in pieces[1..].iter_mut().zip(others) {
                    piece.worker = Some(worker.id);
                }
                settle(&workers, &mut pieces);
                assert_eq!(counts(&workers, &pieces), vec![1; workers.len()]);
            }
        }
    }

    #[test]
    fn a_worker_that_drains_lets_everything_go_and_takes_nothing() {
        let mut workers = vec![worker(1), worker(2)];
        let mut all = pieces(10);
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
        // Also what it had to give up for a moment, and what the others are not configured for.
        all[3].worker = None;
        assert_eq!(moves(WorkerId(2), &workers, &all).take, [3]);
        workers[0].is_draining = false;
        all[4].of = Work::Route("invoices".to_owned());
        workers[1].works_at.push(all[4].of.clone());
        assert!(!moves(WorkerId(2), &workers, &all).let_go.contains(&4));
    }

    /// streams.md 1.
    #[test]
    fn a_shard_whose_parent_is_not_finished_is_nobody_s_yet() {
        for (waits, free) in [(0, 1), (1, 0)] {
            let mut pieces = pieces(2);
            pieces[waits].is_ready = false;
            assert_eq!(moves(WorkerId(1), &[worker(1)], &pieces).take, [free]);
        }
    }

    #[test]
    fn what_nobody_takes_for_long_is_taken_by_whoever_sees_it() {
        let workers = [worker(1), worker(2)];
        let mut pieces = pieces(4);
        pieces[0].worker = Some(WorkerId(1));
        pieces[1].worker = Some(WorkerId(1));
        // Worker 2 is not configured for them.
        assert_eq!(moves(WorkerId(1), &workers, &pieces).take, [0; 0]);
        pieces[3].is_left = true;
        assert_eq!(moves(WorkerId(1), &workers, &pieces).take, [3]);
    }

    /// streams.md 40.
    #[test]
    fn who_is_asked_by_somebody_that_is_gone_keeps_its_shard() {
        let mut pieces = pieces(1);
        pieces[0].worker = Some(WorkerId(1));
        pieces[0].wanted_by = Some(WorkerId(9));
        assert_eq!(moves(WorkerId(1), &[worker(1)], &pieces), Moves::default());
    }
}
