//! What a sink's answer to a message means: for the delivery, for its item, and for the sink.

use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::time::Duration;

use weir_routing::Ticket;
use weir_sinks::Outcome;

use super::{Line, Request, Rules};
use crate::Activity;
use crate::gate::Gate;
use crate::pace::random;
use crate::route::books::Books;

/// The longest that a delivery which failed is kept in memory. What takes longer is parked: the route goes on without it.
const WAIT_IN_MEMORY_MAX: Duration = Duration::from_secs(2);

impl Line {
    /// What became of the messages of a request.
    pub(in crate::route) fn settle(
        &mut self,
        mut request: Request,
        outcomes: Vec<Outcome>,
        rules: &Rules,
        books: &mut Books,
    ) {
        self.requests -= 1;
        request.is_answered = true;
        let now = rules.gates.clock().now();
        for (ticket, outcome) in request.tickets.iter().zip(outcomes) {
            match outcome {
                Outcome::Accepted => {
                    rules.gates.accepted(&request.gate);
                    self.accepted(*ticket, rules, books);
                }
                Outcome::Refused { reason } => {
                    self.tell_failure(*ticket, &request, false, &reason, rules);
                    self.give_up(*ticket, "refused", &reason, books);
                }
                Outcome::Retry { reason, after } => {
                    self.tell_failure(*ticket, &request, true, &reason, rules);
                    let delay = self.delay_of_failure(*ticket, now, after.unwrap_or_default(), rules);
                    self.again_after(delay, *ticket, now, &reason, rules, books);
                }
                Outcome::Unavailable { reason, after } => {
                    match (
                        self.is_away_for_this_one(*ticket, &request.gate, after.is_some()),
                        after,
                    ) {
                        (true, Some(asked)) => {
                            // The sink answers, so it is there.
                            self.tell_failure(*ticket, &request, true, &reason, rules);
                            let token = self.outbox.get_mut(*ticket).delivery.item.token;
                            let delay = self.delay_asked_for(*ticket, now, asked, rules);
                            if self.again_after(delay, *ticket, now, &reason, rules, books) {
                                self.parked.was_away(token, request.gate.accepted());
                            }
                        }
                        (true, None) => {
                            rules.gates.unavailable(&request.gate, &reason, None);
                            let delay = self.delay_of_failure(*ticket, now, Duration::ZERO, rules);
                            self.again_after(delay, *ticket, now, &reason, rules, books);
                        }
                        (false, after) => {
                            rules.gates.unavailable(&request.gate, &reason, after);
                            self.outbox.retry_at(*ticket, now);
                        }
                    }
                }
            }
        }
    }

    /// Whether the sink was away for this delivery before, and took others since: then it is this one that it fails on. Where it
    /// asks to be left alone, that it did so before this one was parked counts, too.
    fn is_away_for_this_one(&mut self, ticket: Ticket, gate: &Gate, asks: bool) -> bool {
        let accepted = gate.accepted();
        let outgoing = self.outbox.get_mut(ticket);
        let before = outgoing.away_at.replace(accepted);
        let before = before.or(outgoing.asked_at.filter(|_| asks));
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
            self.parked.first_is_done(delivery.item.token);
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
            self.parked.first_is_done(delivery.item.token);
        }
    }

    /// How long until a delivery that the sink does not take now is sent again; `None` to give it up.
    fn delay_of_failure(&mut self, ticket: Ticket, now: Duration, asked: Duration, rules: &Rules) -> Option<Duration> {
        let outgoing = self.outbox.get_mut(ticket);
        outgoing.failures += 1;
        let age = outgoing.age(now, rules.gates.clock());
        rules.retry.delay(outgoing.failures, age, asked, random())
    }

    /// The same where the sink takes others, and asks to be left alone with this one.
    fn delay_asked_for(&mut self, ticket: Ticket, now: Duration, asked: Duration, rules: &Rules) -> Option<Duration> {
        let age = self.outbox.get_mut(ticket).age(now, rules.gates.clock());
        rules.retry.put_off(age, asked)
    }

    /// It is sent again after this time, or given up. Says whether it is parked.
    fn again_after(
        &mut self,
        delay: Option<Duration>,
        ticket: Ticket,
        now: Duration,
        reason: &str,
        rules: &Rules,
        books: &mut Books,
    ) -> bool {
        let Some(delay) = delay else {
            self.give_up(ticket, "attempts-exhausted", reason, books);
            return false;
        };
        let (clock, due) = (rules.gates.clock(), now + delay);
        let outgoing = self.outbox.get_mut(ticket);
        let age = outgoing.age(now, clock);
        if outgoing.is_parked {
            books.tried(outgoing.delivery.id.to_string(), outgoing.tried(due, clock));
            let token = outgoing.delivery.item.token;
            let withdrawn = self.outbox.withdraw(ticket).len();
            self.parked.wait(token, due);
            self.parked.leave_memory(token, withdrawn);
        } else if age + delay <= WAIT_IN_MEMORY_MAX {
            self.outbox.retry_at(ticket, due);
            return false;
        } else {
            self.park(ticket, due, reason, rules, books);
        }
        true
    }
}
