//! What a route has done and not written down yet: how far its cursor may go, and what it leaves behind.
//!
//! # Invariants
//!
//! - What is left behind of a position is written in the transaction that moves the cursor across it, or later; never before.
//! - No more is parked than the budget allows: the cursor stands before what does not fit.

mod letters;
mod replay;

use std::collections::BTreeMap;

use jiff::Timestamp;
use weir_ledger::{DeadLetter, Parked, Redriven, Replay, Settlement, Tried};
use weir_model::Position;
use weir_routing::Watermark;

use self::replay::ReplayBooks;
use super::decide::Delivery;
use super::reader::Resent;
use crate::fault;

/// Deliveries of a replay in memory, at most.
const REPLAYED_MAX: usize = 200;

/// Where a delivery stands among all that wait: position, number of the output, sink, and its id, for a replay may send under
/// another one what waits already.
type Place = (Position, u32, String, String);

/// Keeps account of a route.
pub(super) struct Books {
    route: String,
    watermark: Watermark,
    /// The cursor as it is written down.
    written: Position,
    replay: Option<ReplayBooks>,
    /// The replay that ended last.
    ended: Option<Timestamp>,
    /// What is to be written next.
    settlement: Settlement,
    /// What waits behind its item and is not written down, in order.
    parking: BTreeMap<Place, Parked>,
    /// Rows of what is parked, as if everything here were written down.
    parked: usize,
    parked_max: usize,
    /// What is being written.
    closing: Closing,
    /// Whether something was accepted since something was last taken out.
    has_accepted: bool,
}

/// What is being written.
#[derive(Default)]
struct Closing {
    /// Rows of parked deliveries that go or change.
    changed: usize,
    /// Rows that come.
    parked: usize,
    /// Whether dead letters go that are sent again.
    redriven: bool,
}

impl Books {
    /// Everything below `next` is settled, and so many deliveries are parked.
    pub(super) fn new(route: String, next: Position, parked: usize, parked_max: usize) -> Self {
        Self {
            route,
            watermark: Watermark::new(next.0),
            written: next,
            replay: None,
            ended: None,
            settlement: Settlement::default(),
            parking: BTreeMap::new(),
            parked,
            parked_max,
            closing: Closing::default(),
            has_accepted: false,
        }
    }

    /// Everything below `next` was decided about.
    pub(super) fn scanned(&mut self, next: Position) {
        self.watermark.scanned(next.0);
    }

    pub(super) fn begun(&mut self, delivery: &Delivery) {
        match (delivery.replay, &mut self.replay) {
            (None, _) => self.watermark.begun(delivery.position.0),
            (Some(_), Some(replay)) => replay.begun(delivery.position),
            (Some(_), None) => {}
        }
    }

    fn done(&mut self, delivery: &Delivery) {
        match (delivery.replay, &mut self.replay) {
            (None, _) => self.watermark.done(delivery.position.0),
            (Some(ordered_at), Some(replay)) if replay.order.ordered_at == ordered_at => {
                replay.done(delivery.position);
            }
            // Its replay was cancelled.
            (Some(_), _) => {}
        }
    }

    /// The replay of the route, as it is ordered now.
    pub(super) fn replays(&mut self, ordered: Option<Replay>) {
        let of_now = self.replay.as_ref().map(|replay| replay.order.ordered_at);
        let ordered_at = ordered.as_ref().map(|ordered| ordered.ordered_at);
        // One that ended here may still have been there when that was read.
        if ordered_at != of_now && (ordered_at.is_none() || ordered_at != self.ended) {
            self.replay = ordered.map(ReplayBooks::new);
        }
    }

    /// Everything of this replay below `next` was decided about. Says whether it is still the one.
    pub(super) fn replay_scanned(&mut self, replay: &Replay, next: Position) -> bool {
        let of_now = self.replay.as_mut();
        let of_now = of_now.filter(|of_now| of_now.order.ordered_at == replay.ordered_at);
        of_now.map(|of_now| of_now.scanned(next)).is_some()
    }

    /// The replay and where to read on in it, if there is anything to read, and how many positions of it are read and not done.
    pub(super) fn replay_next(&self) -> Option<(&Replay, Position, u64)> {
        let replay = self.replay.as_ref()?;
        Some((&replay.order, replay.next()?, replay.ahead()))
    }

    /// A delivery that was not parked was accepted.
    pub(super) fn accepted(&mut self, delivery: &Delivery) {
        self.has_accepted = true;
        self.done(delivery);
    }

    /// A delivery waits behind its item from now on.
    pub(super) fn park(&mut self, delivery: &Delivery, tried: Option<Tried>) {
        self.done(delivery);
        let parked = self.row(delivery, tried);
        self.parking.insert(place(&parked), parked);
    }

    fn row(&self, delivery: &Delivery, tried: Option<Tried>) -> Parked {
        Parked {
            delivery: delivery.id.to_string(),
            route: self.route.clone(),
            version: delivery.version.stored.version,
            position: delivery.position,
            output: delivery.output,
            sink: delivery.sink.clone(),
            token: delivery.item.token,
            tried,
            as_new: delivery.as_new.clone(),
        }
    }

    /// Deliveries that could be parked beside what waits already.
    pub(super) fn room(&self) -> usize {
        self.parked_max.saturating_sub(self.parked + self.parking.len())
    }

    /// Deliveries of the replay that may come beside those in memory. Few, so that they are never what the route waits for; and
    /// only while half of what may be parked would be left, should all of them fail.
    pub(super) fn replay_room(&self) -> usize {
        let open = self.replay.as_ref().map_or(0, |replay| replay.open);
        let waiting = self.parked + self.parking.len();
        let least = usize::from(open == 0 && waiting == 0);
        let half = (self.parked_max / 2).saturating_sub(open + waiting);
        half.min(REPLAYED_MAX.saturating_sub(open)).max(least)
    }

    /// Whether dead letters that are sent again are still to be written down.
    pub(super) fn is_redriving(&self) -> bool {
        !self.settlement.redriven.is_empty() || self.closing.redriven
    }

    /// A dead letter is sent again: what is sent is parked, and due at once. Says whether there was room; where nothing is
    /// parked, there is.
    pub(super) fn redrive(&mut self, resent: Resent, now: Timestamp) -> bool {
        if self.parked > 0 && resent.deliveries.len() > self.room() {
            return false;
        }
        self.parked += resent.deliveries.len();
        // What was sent before stays known as that; its failures are forgotten, for somebody mended something.
        let was_sent = resent.letter.sink.is_some() && resent.letter.attempts > 0;
        let tried = was_sent.then_some(Tried {
            attempts: resent.letter.attempts,
            failures: 0,
            failed_at: now,
            due_at: now,
        });
        let parked = resent.deliveries.iter().map(|delivery| self.row(delivery, tried));
        let redriven = Redriven {
            parked: parked.collect(),
            letter: resent.letter.delivery,
        };
        self.settlement.redriven.push(redriven);
        self.settlement.dead_letters.extend(resent.dead_letters);
        true
    }

    /// A parked delivery failed once more.
    pub(super) fn tried(&mut self, delivery: String, tried: Tried) {
        self.settlement.tried.retain(|(earlier, _)| *earlier != delivery);
        self.settlement.tried.push((delivery, tried));
    }

    /// So many deliveries were thought to be parked and are not.
    pub(super) fn forget_parked(&mut self, count: usize) {
        self.parked = self.parked.saturating_sub(count);
    }

    /// A parked delivery is parked no more.
    pub(super) fn unpark(&mut self, delivery: String) {
        self.has_accepted = true;
        self.parked = self.parked.saturating_sub(1);
        self.settlement.unparked.push(delivery);
    }

    /// Where to read on.
    pub(super) fn next(&self) -> Position {
        Position(self.watermark.next())
    }

    /// Everything below this is dealt with.
    pub(super) fn cursor(&self) -> Position {
        let done = Position(self.watermark.cursor());
        if !self.is_full() {
            return done;
        }
        // Before the first that does not fit. Where nothing is parked, one position does, whatever it has.
        let room = self.parked_max.saturating_sub(self.parked);
        let mut positions = self.parking.keys().map(|(position, ..)| *position);
        let first = positions.clone().next();
        let unfit = match positions.nth(room) {
            unfit if unfit == first && self.parked == 0 => positions.find(|position| Some(*position) != first),
            unfit => unfit,
        };
        // What a replay parks stands behind the cursor, which goes back for nothing.
        unfit.map_or(done, |unfit| unfit.min(done).max(self.written))
    }

    /// Whether more waits than may be parked. Nothing more is read then.
    pub(super) fn is_full(&self) -> bool {
        self.parked + self.parking.len() > self.parked_max
    }

    /// What is in memory because the cursor has not passed it: deliveries that wait behind their item, and dead letters; and bytes
    /// of those.
    pub(super) fn load(&self) -> (usize, usize) {
        let letters = &self.settlement.dead_letters;
        let payload = |letter: &DeadLetter| letter.payload.as_ref().map_or(0, String::len);
        (self.parking.len() + letters.len(), letters.iter().map(payload).sum())
    }

    /// Positions that were looked at and that the cursor has not passed.
    pub(super) fn ahead(&self) -> u64 {
        self.watermark.next().saturating_sub(self.cursor().0)
    }

    /// Whether the rows of what is parked are those that are known here.
    pub(super) fn agrees_with_rows(&self) -> bool {
        let is_written = self.settlement.unparked.is_empty() && self.settlement.tried.is_empty();
        is_written && self.closing.changed == 0 && !self.is_redriving()
    }

    /// Whether something can be written besides the cursor.
    pub(super) fn has_more_than_the_cursor(&self) -> bool {
        let cursor = self.cursor();
        let of_settlement = &self.settlement;
        !of_settlement.tried.is_empty()
            || !of_settlement.unparked.is_empty()
            || !of_settlement.redriven.is_empty()
            || self.replay.as_ref().is_some_and(|replay| replay.moved().is_some())
            || self
                .parking
                .keys()
                .next()
                .is_some_and(|(position, ..)| *position < self.written)
            || of_settlement.dead_letters.iter().any(|letter| letter.position < cursor)
    }

    /// Takes out what can be written now, and how far the cursor goes with it.
    pub(super) fn close(&mut self) -> (Position, Settlement) {
        let cursor = self.cursor();
        if std::mem::take(&mut self.has_accepted) {
            fault::point("after-send");
        }
        let all = std::mem::take(&mut self.settlement);
        let (dead_letters, later) = all
            .dead_letters
            .into_iter()
            .partition(|letter| letter.position < cursor);
        self.settlement.dead_letters = later;
        let later = self.parking.split_off(&(cursor, 0, String::new(), String::new()));
        let settlement = Settlement {
            dead_letters,
            parked: std::mem::replace(&mut self.parking, later).into_values().collect(),
            tried: all.tried,
            unparked: all.unparked,
            redriven: all.redriven,
            replayed: self.replay.as_ref().and_then(ReplayBooks::moved),
        };
        self.closing = Closing {
            changed: settlement.unparked.len() + settlement.tried.len(),
            parked: settlement.parked.len(),
            redriven: !settlement.redriven.is_empty(),
        };
        self.parked += settlement.parked.len();
        (cursor, settlement)
    }

    /// What was taken out is written, and so is the cursor.
    pub(super) fn closed(&mut self, cursor: Position, settlement: &Settlement) {
        self.closing = Closing::default();
        self.written = cursor;
        let of_now = |replay: &&mut ReplayBooks| {
            let replayed = settlement.replayed;
            replayed.is_some_and(|replayed| replayed.ordered_at == replay.order.ordered_at)
        };
        if let (Some(replay), Some(replayed)) = (self.replay.as_mut().filter(of_now), settlement.replayed)
            && replay.written(replayed)
        {
            self.ended = Some(replay.order.ordered_at);
            self.replay = None;
        }
    }

    /// Puts back what could not be written: it goes before what came since.
    pub(super) fn reopen(&mut self, settlement: Settlement) {
        self.parked = self.parked.saturating_sub(self.closing.parked);
        self.closing = Closing::default();
        let parked = settlement.parked.iter().map(|parked| (place(parked), parked.clone()));
        self.parking.extend(parked);
        let since = std::mem::replace(&mut self.settlement, settlement);
        self.settlement.parked.clear();
        self.settlement.replayed = None;
        self.settlement.dead_letters.extend(since.dead_letters);
        self.settlement.unparked.extend(since.unparked);
        self.settlement.redriven.extend(since.redriven);
        for (delivery, tried) in since.tried {
            self.tried(delivery, tried);
        }
    }
}

fn place(parked: &Parked) -> Place {
    let Parked {
        position,
        output,
        sink,
        delivery,
        ..
    } = parked;
    (*position, *output, sink.clone(), delivery.clone())
}
