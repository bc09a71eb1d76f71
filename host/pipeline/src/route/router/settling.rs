//! What the loop writes down: the cursor, and what is left behind it.

use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt as _;
use tokio::time::Instant;
use weir_ledger::{Consumer, ConsumerError, Settlement};
use weir_model::Position;

use super::Router;
use crate::problem::error_chain;
use crate::route::reader::Halt;
use crate::{Activity, fault};

/// How often the cursor is moved while deliveries are under way.
const SETTLE_INTERVAL: Duration = Duration::from_millis(50);

/// Positions after which it is moved in any case.
const SETTLE_POSITIONS: u64 = 1000;

/// Another process has the partition.
pub(super) struct Fenced;

/// What became of a settlement.
pub(super) struct Settled {
    consumer: Consumer,
    moved: bool,
    settlement: Settlement,
    halt: Option<Halt>,
    outcome: Result<(), ConsumerError>,
}

impl Router {
    /// Whether anything is not written down that can be.
    pub(super) fn has_to_settle(&self) -> bool {
        let Some(consumer) = &self.consumer else {
            return false;
        };
        let cursor = self.books.cursor();
        let halts = self.halting.as_ref().is_some_and(|halt| halt.position == cursor);
        cursor != consumer.next || halts || self.books.has_more_than_the_cursor()
    }

    /// Writes down what was done: at once where nothing else is to be done, else now and then.
    pub(super) fn settle(&mut self, is_stopping: bool) {
        if !self.has_to_settle() {
            return;
        }
        let Some(mut consumer) = self.consumer.take() else {
            return;
        };
        let cursor = self.books.cursor();
        let is_idle = self.is_empty();
        let is_worth_it = is_idle
            || is_stopping && self.requests.is_empty()
            || cursor.0.saturating_sub(consumer.next.0) >= SETTLE_POSITIONS;
        if Instant::now() < self.settle_at && (!is_worth_it || self.settle_backoff.is_failing()) {
            self.consumer = Some(consumer);
            return;
        }
        let moved = cursor != consumer.next;
        let halt = self.halting.take_if(|halt| halt.position == cursor);
        let (cursor, settlement) = self.books.close();
        let (ledger, route) = (self.ledger.clone(), self.rules.route.clone());
        let turns = Arc::clone(&self.turns.to_settle);
        self.settling = Some(
            async move {
                let _turn = turns.acquire().await;
                let mut outcome = ledger.settle(&mut consumer, cursor, &settlement).await;
                if let (
                    Ok(()),
                    Some(Halt {
                        position,
                        version,
                        code,
                    }),
                ) = (&outcome, &halt)
                {
                    let halted = ledger.halt_route(&route, *position, *version, code).await;
                    outcome = halted.map_err(Into::into);
                }
                Settled {
                    consumer,
                    moved,
                    settlement,
                    halt,
                    outcome,
                }
            }
            .boxed(),
        );
    }

    /// What was done is written down, or has to be written once more: all of it may be. Fails where another process has the partition.
    pub(super) fn settled(&mut self, settled: Settled) -> Result<(), Fenced> {
        self.consumer = Some(settled.consumer);
        match settled.outcome {
            Ok(()) => {}
            Err(ConsumerError::Fenced { .. }) => return Err(Fenced),
            Err(error) => {
                tracing::warn!(
                    route = %self.rules.route,
                    position = %self.books.cursor(),
                    problem = error_chain(&error),
                    "the cursor cannot be moved"
                );
                self.books.reopen(settled.settlement);
                // Another version may have gone on there meanwhile.
                if let Some(halt) = settled.halt.filter(|halt| halt.position == self.books.next()) {
                    self.halting = Some(halt);
                }
                self.settle_at = Instant::now() + self.settle_backoff.next();
                return Ok(());
            }
        }
        if settled.moved {
            fault::point("after-cursor");
        }
        self.settle_backoff.succeeded();
        self.settle_at = Instant::now() + SETTLE_INTERVAL;
        self.books.closed(self.written(), &settled.settlement);
        for parked in &settled.settlement.parked {
            self.line(&parked.sink).written(parked.token);
        }
        for redriven in &settled.settlement.redriven {
            for parked in &redriven.parked {
                self.line(&parked.sink).redriven(parked.token);
            }
            // There may be more.
            self.orders_at = Instant::now();
        }
        for letter in &settled.settlement.dead_letters {
            tracing::warn!(
                route = %letter.route,
                position = %letter.position,
                code = letter.code,
                delivery = letter.delivery,
                "dead letter"
            );
            self.rules.activities.tell(|| Activity::GaveUp {
                position: letter.position,
                reason: format!("{}: {}", letter.code, letter.reason),
            });
        }
        if let Some(halt) = settled.halt {
            self.tell_halt(halt);
        }
        Ok(())
    }

    /// The cursor as it is written down.
    fn written(&self) -> Position {
        self.consumer.as_ref().map_or(Position(0), |consumer| consumer.next)
    }

    fn tell_halt(&self, halt: Halt) {
        tracing::error!(
            route = %self.rules.route,
            position = %halt.position,
            version = halt.version,
            code = halt.code,
            "the plugin fails on a change and the route halts before it; `weir plugin promote` or `rollback` goes on there"
        );
        self.rules.activities.tell(|| Activity::Halted {
            position: halt.position,
            route: self.rules.route.clone(),
            code: halt.code,
        });
    }
}
