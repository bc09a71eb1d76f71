//! The way of a route to one sink: what waits in memory, what is parked, and what an answer means.
//!
//! ```text
//! delivery ──▶ in memory ──▶ request ──┬──▶ accepted
//!                 ▲                    ├──▶ fails: waits a moment in memory, or is parked with all of its item
//!                 │                    └──▶ dead letter
//!              parked ──▶ made again, when it is due
//! ```
//!
//! # Invariants
//!
//! - At most one delivery of an item is under way, and each only after every earlier one was accepted or given up.
//! - While anything of an item is parked, whatever comes of it is parked too, behind it.

mod answers;
mod outgoing;
mod parked;

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use weir_ledger::{Erasing, ParkedItem, TokenBytes, Tried};
use weir_model::Position;
use weir_routing::{Outbox, RequestLimits, RetrySchedule, Ticket};
use weir_sinks::{Limits, Message};

use self::outgoing::Outgoing;
use self::parked::ParkedItems;
use super::books::Books;
use super::decide::Delivery;
use super::reader::{MadeAgain, Remade};
use crate::clock::Clock;
use crate::gate::{Gate, Gates, Pass};
use crate::{Activities, Activity};

/// Parked deliveries of a route in memory beyond which no more are asked for.
const IN_MEMORY_MAX: usize = 500;

/// How long something waits of which a part is being erased.
const NOT_YET_WAIT: Duration = Duration::from_secs(1);

/// What all lines of a route share.
pub(super) struct Rules {
    pub(super) route: String,
    pub(super) gates: Arc<Gates>,
    pub(super) retry: RetrySchedule,
    pub(super) activities: Activities,
    /// How many partitions the route has: each has an equal part of what the route may do.
    pub(super) parts: usize,
}

/// The way to one sink.
pub(super) struct Line {
    /// `None`: the sink is not configured any more.
    gate: Option<Arc<Gate>>,
    limits: Limits,
    outbox: Outbox<TokenBytes, Outgoing>,
    parked: ParkedItems,
    /// Requests under way.
    requests: usize,
    /// When the sink's rate leaves room for another one.
    not_before: Duration,
}

/// Messages on their way.
pub(super) struct Request {
    gates: Arc<Gates>,
    pub(super) gate: Arc<Gate>,
    pub(super) tickets: Vec<Ticket>,
    pub(super) messages: Vec<Arc<Message>>,
    /// Whether the sink's answer was heard.
    is_answered: bool,
}

impl Drop for Request {
    fn drop(&mut self) {
        if !self.is_answered {
            self.gates.broken_off(&self.gate);
        }
    }
}

impl Line {
    /// Of one of so many partitions.
    pub(super) fn new(gate: Option<Arc<Gate>>, parts: usize) -> Self {
        let nothing = Limits {
            messages_max: 0,
            bytes_max: 0,
            requests_max: 0,
        };
        Self {
            limits: gate.as_ref().map_or(nothing, |gate| {
                let limits = gate.sink.limits();
                Limits {
                    requests_max: (limits.requests_max / parts).max(1),
                    ..limits
                }
            }),
            gate,
            outbox: Outbox::new(),
            parked: ParkedItems::new(IN_MEMORY_MAX.div_ceil(parts)),
            requests: 0,
            not_before: Duration::ZERO,
        }
    }

    /// Deliveries and bytes in memory.
    pub(super) fn load(&self) -> (usize, usize) {
        (self.outbox.len(), self.outbox.bytes())
    }

    /// Knows of what was parked before.
    pub(super) fn know(&mut self, item: &ParkedItem, due: Duration) {
        self.parked.know(item.token, item.count, due);
    }

    /// Takes a delivery over.
    pub(super) fn place(&mut self, delivery: Delivery, rules: &Rules, books: &mut Books) {
        let Some(gate) = &self.gate else {
            tracing::error!(
                route = rules.route,
                sink = delivery.sink,
                "this sink is not configured any more; its deliveries are dead letters"
            );
            return books.give_up(&delivery, "no-sink", "the sink is not configured", 0);
        };
        if self.parked.holds(&delivery.item.token) {
            self.parked.follow(delivery.item.token);
            let tried = sent_before(&delivery, rules.gates.clock());
            books.park(&delivery, tried);
        } else {
            let outgoing = Outgoing::new(gate, delivery, None);
            self.push(outgoing);
        }
    }

    fn push(&mut self, outgoing: Outgoing) {
        let Some(gate) = &self.gate else { return };
        let bytes = gate.sink.size(&outgoing.message);
        self.outbox.push(outgoing.delivery.item.token, bytes, outgoing);
    }

    /// The next request, if one may be sent now.
    pub(super) fn request(&mut self, now: Duration, gates: &Arc<Gates>) -> Option<Request> {
        let gate = self.gate.as_ref()?;
        let limits = RequestLimits {
            deliveries_max: self.limits.messages_max,
            bytes_max: self.limits.bytes_max,
        };
        let wanted = self.outbox.fitting(now, limits);
        if wanted == 0 || self.requests >= self.limits.requests_max {
            return None;
        }
        let deliveries_max = match gate.pass(now, wanted) {
            Pass::Send(count) => count,
            Pass::NotBefore(due) => {
                self.not_before = due;
                return None;
            }
            Pass::Closed => return None,
        };
        let gate = Arc::clone(gate);
        let tickets = self.outbox.take(
            now,
            RequestLimits {
                deliveries_max,
                ..limits
            },
        );
        self.requests += 1;
        let messages = tickets.iter().map(|ticket| {
            let outgoing = self.outbox.get_mut(*ticket);
            outgoing.attempts += 1;
            Arc::clone(&outgoing.message)
        });
        let messages = messages.collect();
        Some(Request {
            gates: Arc::clone(gates),
            gate,
            tickets,
            messages,
            is_answered: false,
        })
    }

    /// When there may be something to do, if nothing happens before.
    pub(super) fn next_due(&mut self, now: Duration, may_ask: bool) -> Option<Duration> {
        let is_ready = self.outbox.ready(now) > 0 && self.requests < self.limits.requests_max;
        let sends = if is_ready { Some(now) } else { self.outbox.next_due() };
        let parked = self.parked.next_due().filter(|_| may_ask);
        let due = [sends, parked].into_iter().flatten().min()?;
        match &self.gate {
            Some(gate) if gate.is_open_to(now) => Some(due.max(self.not_before)),
            Some(gate) => gate.opens_at().map(|opens| opens.max(due)),
            None => Some(due),
        }
    }

    /// Parked items whose first delivery is due.
    pub(super) fn ask_for_parked(&mut self, now: Duration) -> Vec<TokenBytes> {
        let may_send = self.gate.as_ref().is_none_or(|gate| gate.is_open_to(now));
        if may_send { self.parked.ask(now) } else { Vec::new() }
    }

    /// Parked deliveries of these items could not be made again. Others go first, and these one at a time: one of them may be all
    /// that is wrong.
    pub(super) fn ask_again_for(&mut self, items: &[TokenBytes], due: Duration) {
        self.parked.doubt(items, due);
    }

    /// Parked deliveries were made again, of these items.
    pub(super) fn take_back(&mut self, items: &[TokenBytes], made: Vec<MadeAgain>, rules: &Rules, books: &mut Books) {
        // Those that were being written while this was read are not known to be there yet. They stand behind the others.
        let mut known: HashMap<TokenBytes, usize> = HashMap::new();
        let mut not_yet = Vec::new();
        for token in items {
            let found = made.iter().filter(|made| made.parked.token == *token).count();
            let (written, missing) = self.parked.found(*token, found);
            books.forget_parked(missing);
            known.insert(*token, written);
        }
        for MadeAgain { parked, remade } in made {
            match known.get_mut(&parked.token) {
                Some(left) if *left > 0 => *left -= 1,
                _ => continue,
            }
            if matches!(remade, Remade::NotYet | Remade::Left) {
                // Whatever stands behind it waits, too.
                known.insert(parked.token, 0);
                if matches!(remade, Remade::NotYet) {
                    not_yet.push(parked.token);
                }
                continue;
            }
            let attempts = parked.tried.map_or(0, |tried| tried.attempts);
            match (remade, &self.gate) {
                (Remade::Delivery(delivery), Some(gate)) => {
                    self.parked.enters_memory(parked.token);
                    let mut outgoing = Outgoing::new(gate, *delivery, Some(parked.tried));
                    outgoing.asked_at = self.parked.take_away_at(parked.token);
                    self.push(outgoing);
                    continue;
                }
                (Remade::Delivery(delivery), None) => {
                    books.bury(&delivery, "no-sink", "the sink is not configured", attempts);
                }
                (Remade::Erased, _) => tell_erased(rules, parked.position, &parked.delivery),
                (Remade::NotYet | Remade::Left, _) => {}
                (Remade::Lost(why), _) => books.bury_lost(&parked, attempts, why),
            }
            self.parked.done(parked.token);
            books.unpark(parked.delivery);
        }
        for token in items {
            let wait = if not_yet.contains(token) {
                NOT_YET_WAIT
            } else {
                Duration::ZERO
            };
            self.parked.answered(*token, rules.gates.clock().now() + wait);
        }
    }

    /// What was parked is written down now.
    pub(super) fn written(&mut self, token: TokenBytes) {
        self.parked.written(token);
    }

    /// A delivery is parked, due at once, and written down already.
    pub(super) fn redriven(&mut self, token: TokenBytes) {
        self.parked.redriven(token);
    }

    /// Positions of what is in memory.
    pub(super) fn positions(&self) -> impl Iterator<Item = Position> {
        self.outbox.deliveries().map(|outgoing| outgoing.delivery.position)
    }

    /// What is in memory of these positions is made again before it is sent, with all of its item: it is to be erased, wholly or
    /// in part. What is under way is looked at another time, and what stands behind it comes back when that is done.
    pub(super) fn make_again(&mut self, erasing: &BTreeMap<Position, Erasing>, clock: &Clock, books: &mut Books) {
        let is_erasing = |outgoing: &&Outgoing| match erasing.get(&outgoing.delivery.position) {
            None => false,
            Some(Erasing::Whole | Erasing::Pending) => true,
            Some(Erasing::Done { body_key }) => *body_key != outgoing.delivery.body_key,
        };
        let items: HashSet<TokenBytes> = self
            .outbox
            .deliveries()
            .filter(is_erasing)
            .map(|outgoing| outgoing.delivery.item.token)
            .collect();
        for token in items {
            let withdrawn = self.outbox.withdraw_idle(&token);
            if withdrawn.is_empty() {
                continue;
            }
            self.park_all(token, &withdrawn, clock.now(), clock, books);
            if self.outbox.holds(&token) {
                self.parked.stand_behind(token);
            }
        }
    }

    /// Parks a delivery and all that is in memory behind it.
    fn park(&mut self, ticket: Ticket, due: Duration, reason: &str, rules: &Rules, books: &mut Books) {
        let withdrawn = self.outbox.withdraw(ticket);
        let Some(first) = withdrawn.first() else { return };
        let (position, token) = (first.delivery.position, first.delivery.item.token);
        tracing::warn!(
            route = rules.route,
            sink = first.delivery.sink,
            %position,
            delivery = %first.delivery.id,
            attempts = first.attempts,
            "a delivery fails; its item is parked and the route goes on"
        );
        rules.activities.tell(|| Activity::Parked {
            position,
            sink: first.delivery.sink.clone(),
            reason: reason.to_owned(),
        });
        self.park_all(token, &withdrawn, due, rules.gates.clock(), books);
    }

    /// Parks what was in memory of an item, in order. The first is due then.
    fn park_all(&mut self, token: TokenBytes, withdrawn: &[Outgoing], due: Duration, clock: &Clock, books: &mut Books) {
        // What came out of a parked row has it still.
        let (old, new): (Vec<&Outgoing>, Vec<&Outgoing>) = withdrawn.iter().partition(|outgoing| outgoing.is_parked);
        self.parked.leave_memory(token, old.len());
        self.parked.park(token, new.len(), due);
        self.parked.first_is_parked(token);
        // Whether it was sent decides what may be sent once a part of it is erased.
        for outgoing in old.into_iter().filter(|old| old.attempts > old.attempts_noted) {
            books.tried(outgoing.delivery.id.to_string(), outgoing.tried(due, clock));
        }
        for outgoing in new {
            let tried = (outgoing.attempts > 0).then(|| outgoing.tried(due, clock));
            let tried = tried.or_else(|| sent_before(&outgoing.delivery, clock));
            books.park(&outgoing.delivery, tried);
        }
    }
}

/// What is known of a delivery of a replay before it is sent: it was sent once, and so is none without the parts that are erased
/// since.
fn sent_before(delivery: &Delivery, clock: &Clock) -> Option<Tried> {
    let now = clock.timestamp(clock.now());
    delivery.replay.map(|_| Tried {
        attempts: 1,
        failures: 0,
        failed_at: now,
        due_at: now,
    })
}

fn tell_erased(rules: &Rules, position: Position, delivery: &str) {
    tracing::info!(route = rules.route, %position, delivery, "what waited was erased, and is not sent");
}
