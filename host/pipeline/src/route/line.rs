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

mod parked;

use std::collections::{HashMap, HashSet};
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use sha2::{Digest as _, Sha256};
use weir_ledger::{ParkedItem, TokenBytes, Tried};
use weir_model::Position;
use weir_routing::{Outbox, RequestLimits, RetrySchedule, Ticket};
use weir_sinks::{Limits, Message, Outcome};

use self::parked::ParkedItems;
use super::books::Books;
use super::decide::Delivery;
use super::reader::{MadeAgain, Remade};
use crate::gate::{Gate, Gates, Pass};
use crate::pace::random;
use crate::{Activities, Activity};

/// The longest that a delivery which failed is kept in memory. What takes longer is parked: the route goes on without it.
const WAIT_IN_MEMORY_MAX: Duration = Duration::from_secs(2);

/// What all lines of a route share.
pub(super) struct Rules {
    pub(super) route: String,
    pub(super) gates: Arc<Gates>,
    pub(super) retry: RetrySchedule,
    pub(super) activities: Activities,
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

/// A delivery in memory.
struct Outgoing {
    delivery: Delivery,
    message: Arc<Message>,
    attempts: u32,
    /// Attempts that the sink answered. A sink that is away does not count.
    failures: u32,
    failed_at: Option<Timestamp>,
    is_parked: bool,
    /// How much the sink had accepted when it was away for this one last.
    away_at: Option<u64>,
}

/// Messages on their way.
pub(super) struct Request {
    pub(super) gate: Arc<Gate>,
    pub(super) tickets: Vec<Ticket>,
    pub(super) messages: Vec<Arc<Message>>,
}

impl Line {
    pub(super) fn new(gate: Option<Arc<Gate>>) -> Self {
        let nothing = Limits {
            messages_max: 0,
            bytes_max: 0,
            requests_max: 0,
        };
        Self {
            limits: gate.as_ref().map_or(nothing, |gate| gate.sink.limits()),
            gate,
            outbox: Outbox::new(),
            parked: ParkedItems::default(),
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
            books.park(&delivery, None);
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
    pub(super) fn request(&mut self, now: Duration) -> Option<Request> {
        let gate = self.gate.as_ref()?;
        let wanted = self.outbox.ready(now).min(self.limits.messages_max);
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
        let limits = RequestLimits {
            deliveries_max,
            bytes_max: self.limits.bytes_max,
        };
        let gate = Arc::clone(gate);
        let tickets = self.outbox.take(now, limits);
        self.requests += 1;
        let messages = tickets.iter().map(|ticket| {
            let outgoing = self.outbox.get_mut(*ticket);
            outgoing.attempts += 1;
            Arc::clone(&outgoing.message)
        });
        let messages = messages.collect();
        Some(Request {
            gate,
            tickets,
            messages,
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

    /// Parked deliveries of these items could not be made again. Others go first.
    pub(super) fn ask_again_for(&mut self, items: &[TokenBytes], due: Duration) {
        for token in items {
            self.parked.answered(*token, due);
        }
    }

    /// Parked deliveries were made again, of these items.
    pub(super) fn take_back(&mut self, items: &[TokenBytes], made: Vec<MadeAgain>, rules: &Rules, books: &mut Books) {
        // Those that were being written while this was read are not known to be there yet. They stand behind the others.
        let mut known: HashMap<TokenBytes, usize> = HashMap::new();
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
            let attempts = parked.tried.map_or(0, |tried| tried.attempts);
            match (remade, &self.gate) {
                (Remade::Delivery(delivery), Some(gate)) => {
                    self.parked.enters_memory(parked.token);
                    let outgoing = Outgoing::new(gate, delivery, Some(parked.tried));
                    self.push(outgoing);
                    continue;
                }
                (Remade::Delivery(delivery), None) => {
                    books.bury(&delivery, "no-sink", "the sink is not configured", attempts);
                }
                (Remade::Erased, _) => tell_erased(rules, parked.position, &parked.delivery),
                (Remade::Lost, _) => books.bury_lost(&parked, attempts),
            }
            self.parked.done(parked.token);
            books.unpark(parked.delivery);
        }
        self.ask_again_for(items, Duration::ZERO);
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

    /// What is ordered to be erased is not sent, unless it is under way.
    pub(super) fn forget_erased(&mut self, erased: &HashSet<Position>, rules: &Rules, books: &mut Books) {
        let removed = self
            .outbox
            .remove_if(|outgoing| erased.contains(&outgoing.delivery.position));
        for outgoing in removed {
            let delivery = &outgoing.delivery;
            tell_erased(rules, delivery.position, &delivery.id.to_string());
            if outgoing.is_parked {
                books.unpark(delivery.id.to_string());
                self.parked.done_in_memory(delivery.item.token);
            } else {
                books.accepted(delivery);
            }
        }
    }

    /// What became of the messages of a request.
    pub(super) fn settle(&mut self, request: &Request, outcomes: Vec<Outcome>, rules: &Rules, books: &mut Books) {
        self.requests -= 1;
        let now = rules.gates.clock().now();
        for (ticket, outcome) in request.tickets.iter().zip(outcomes) {
            match outcome {
                Outcome::Accepted => {
                    rules.gates.accepted(&request.gate);
                    self.accepted(*ticket, rules, books);
                }
                Outcome::Refused { reason } => {
                    self.tell_failure(*ticket, request, false, &reason, rules);
                    self.give_up(*ticket, "refused", &reason, books);
                }
                Outcome::Retry { reason, after } => {
                    self.tell_failure(*ticket, request, true, &reason, rules);
                    self.failed(*ticket, now, &reason, after.unwrap_or_default(), rules, books);
                }
                Outcome::Unavailable { reason, after } => {
                    if self.is_away_for_this_one(*ticket, &request.gate) {
                        self.tell_failure(*ticket, request, true, &reason, rules);
                        self.failed(*ticket, now, &reason, after.unwrap_or_default(), rules, books);
                    } else {
                        rules.gates.unavailable(&request.gate, &reason, after);
                        self.outbox.retry_at(*ticket, now);
                    }
                }
            }
        }
    }

    /// Whether the sink was away for this delivery before, and took others since: then it is this one that it fails on.
    fn is_away_for_this_one(&mut self, ticket: Ticket, gate: &Gate) -> bool {
        let accepted = gate.accepted();
        let before = self.outbox.get_mut(ticket).away_at.replace(accepted);
        before.is_some_and(|before| before < accepted)
    }

    fn tell_failure(&mut self, ticket: Ticket, request: &Request, may_pass: bool, reason: &str, rules: &Rules) {
        let mut hasher = DefaultHasher::new();
        self.outbox.get_mut(ticket).delivery.id.hash(&mut hasher);
        rules.gates.failed(&request.gate, hasher.finish(), may_pass, reason);
    }

    fn accepted(&mut self, ticket: Ticket, rules: &Rules, books: &mut Books) {
        let outgoing = self.outbox.settle(ticket);
        let delivery = &outgoing.delivery;
        if outgoing.is_parked {
            books.unpark(delivery.id.to_string());
            self.parked.done_in_memory(delivery.item.token);
        } else {
            books.accepted(delivery);
        }
        rules.activities.tell(|| Activity::Delivered {
            position: delivery.position,
            sink: delivery.sink.clone(),
            detail_type: delivery.event.detail_type.clone(),
        });
    }

    fn give_up(&mut self, ticket: Ticket, code: &str, reason: &str, books: &mut Books) {
        let outgoing = self.outbox.settle(ticket);
        let delivery = &outgoing.delivery;
        if outgoing.is_parked {
            books.bury(delivery, code, reason, outgoing.attempts);
            books.unpark(delivery.id.to_string());
            self.parked.done_in_memory(delivery.item.token);
        } else {
            books.give_up(delivery, code, reason, outgoing.attempts);
        }
    }

    fn failed(
        &mut self,
        ticket: Ticket,
        now: Duration,
        reason: &str,
        asked: Duration,
        rules: &Rules,
        books: &mut Books,
    ) {
        let clock = rules.gates.clock();
        let outgoing = self.outbox.get_mut(ticket);
        outgoing.failures += 1;
        let failed_at = *outgoing.failed_at.get_or_insert(clock.timestamp(now));
        let age = Duration::try_from(clock.timestamp(now).duration_since(failed_at)).unwrap_or_default();
        let Some(delay) = rules.retry.delay(outgoing.failures, age, asked, random()) else {
            return self.give_up(ticket, "attempts-exhausted", reason, books);
        };
        let due = now + delay;
        let tried = Tried {
            attempts: outgoing.attempts,
            failures: outgoing.failures,
            failed_at,
            due_at: clock.timestamp(due),
        };
        if outgoing.is_parked {
            books.tried(outgoing.delivery.id.to_string(), tried);
            let token = outgoing.delivery.item.token;
            let withdrawn = self.outbox.withdraw(ticket).len();
            self.parked.wait(token, due);
            self.parked.leave_memory(token, withdrawn);
        } else if age + delay <= WAIT_IN_MEMORY_MAX {
            self.outbox.retry_at(ticket, due);
        } else {
            self.park(ticket, due, tried, reason, rules, books);
        }
    }

    /// Parks a delivery and all that is in memory behind it.
    fn park(&mut self, ticket: Ticket, due: Duration, tried: Tried, reason: &str, rules: &Rules, books: &mut Books) {
        let withdrawn = self.outbox.withdraw(ticket);
        let Some(first) = withdrawn.first() else { return };
        let (position, token) = (first.delivery.position, first.delivery.item.token);
        tracing::warn!(
            route = rules.route,
            sink = first.delivery.sink,
            %position,
            delivery = %first.delivery.id,
            attempts = tried.attempts,
            "a delivery fails; its item is parked and the route goes on"
        );
        rules.activities.tell(|| Activity::Parked {
            position,
            sink: first.delivery.sink.clone(),
            reason: reason.to_owned(),
        });
        // Behind it may be one that was redriven: that has its row.
        let is_parked = |outgoing: &&Outgoing| outgoing.is_parked;
        self.parked
            .leave_memory(token, withdrawn.iter().filter(is_parked).count());
        let new: Vec<&Outgoing> = withdrawn.iter().filter(|outgoing| !outgoing.is_parked).collect();
        self.parked.park(token, new.len(), due);
        let tried = std::iter::once(Some(tried)).chain(std::iter::repeat(None));
        for (outgoing, tried) in new.into_iter().zip(tried) {
            books.park(&outgoing.delivery, tried);
        }
    }
}

impl Outgoing {
    /// `parked` is what became so far of a delivery that is parked.
    fn new(gate: &Gate, delivery: Delivery, parked: Option<Option<Tried>>) -> Self {
        let tried = parked.flatten();
        let message = Message::new(
            &*gate.sink,
            delivery.id.clone(),
            group_of(&delivery.item.token),
            &delivery.event,
        );
        Self {
            message: Arc::new(message),
            delivery,
            attempts: tried.map_or(0, |tried| tried.attempts),
            failures: tried.map_or(0, |tried| tried.failures),
            failed_at: tried.map(|tried| tried.failed_at),
            is_parked: parked.is_some(),
            away_at: None,
        }
    }
}

fn tell_erased(rules: &Rules, position: Position, delivery: &str) {
    tracing::info!(route = rules.route, %position, delivery, "what waited was erased, and is not sent");
}

/// What receivers know the messages of an item by. The token itself stays in the ledger, where it links entries.
fn group_of(token: &TokenBytes) -> String {
    let hash = Sha256::new_with_prefix(b"weir/message-group/v1\0");
    hex::encode(&hash.chain_update(token).finalize()[..16])
}
