//! What the loop reads: entries behind the cursor, parked deliveries that are due, and what operators ordered: dead letters that are
//! sent again, and replays.
//!
//! # Invariants
//!
//! - Past a bound in deliveries, bytes or positions nothing is read: the ledger is the queue.
//! - What cannot be read keeps nothing else waiting: parked items that fail together are asked for one at a time.

use std::time::Duration;

use tokio::time::Instant;
use weir_ledger::{Replay, TokenBytes};
use weir_model::Position;

use super::{Router, beside, line_to};
use crate::problem::error_chain;
use crate::route::decide::Delivery;
use crate::route::line::Line;
use crate::route::reader::{Hindrance, MadeAgain, Next, Resent, Window};

/// How often the ledger is looked at for what other processes appended.
pub(super) const LOOK_INTERVAL: Duration = Duration::from_secs(1);

/// Deliveries of a route in memory beyond which nothing more is read.
const DELIVERIES_MAX: usize = 2000;

/// Bytes of their messages beyond which nothing more is read.
const BYTES_MAX: usize = 16 << 20;

/// Positions that are looked at before the cursor, at most: so many are routed again after a kill.
const POSITIONS_MAX: u64 = 10_000;

/// Dead letters that are sent again at a time, at most.
const REDRIVEN_MAX: u16 = 100;

/// What was read.
pub(super) enum Read {
    Window(Result<Next, Hindrance>),
    Parked {
        sink: String,
        items: Vec<TokenBytes>,
        made: Result<Vec<MadeAgain>, Hindrance>,
    },
    /// What operators ordered: letters to be sent again, and the route's replay.
    Ordered {
        replay: Result<Option<Replay>, Hindrance>,
        resent: Result<Vec<Resent>, Hindrance>,
    },
    Replayed(Replay, Result<Window, Hindrance>),
}

impl Router {
    /// Reads on, if there is room for it and nobody is reading.
    pub(super) fn read(&mut self) {
        let Some(mut reader) = self.reader.take() else {
            return;
        };
        if self.looks_for_orders() {
            let count_max = u16::try_from(self.books.room()).unwrap_or(u16::MAX).min(REDRIVEN_MAX);
            self.read_at = Instant::now();
            self.reading = Some(beside(async move {
                let replay = reader.ordered_replay().await;
                let resent = reader.redriven(count_max).await;
                (reader, Read::Ordered { replay, resent })
            }));
            return;
        }
        let asked = if self.parked_is_next || !self.may_read() {
            self.ask_for_parked()
        } else {
            None
        };
        self.parked_is_next = !self.parked_is_next;
        if let Some((sink, items)) = asked {
            self.read_at = Instant::now();
            self.reading = Some(beside(async move {
                let made = reader.parked(&sink, &items).await;
                (reader, Read::Parked { sink, items, made })
            }));
        } else if let Some((replay, next, count_max)) = self.may_replay() {
            self.replay_is_next = false;
            self.read_at = Instant::now();
            self.reading = Some(beside(async move {
                let window = reader.replayed(&replay, next, count_max).await;
                (reader, Read::Replayed(replay, window))
            }));
        } else if self.may_read() {
            self.replay_is_next = true;
            let next = self.books.next();
            self.has_grown = false;
            self.read_at = Instant::now();
            self.reading = Some(beside(async move {
                let window = reader.window(next).await;
                (reader, Read::Window(window))
            }));
        } else {
            self.reader = Some(reader);
        }
    }

    /// Whether entries may be read: it is time to look, and there is room for what they make.
    fn may_read(&self) -> bool {
        self.halting.is_none()
            && !self.is_over
            && self.has_room()
            && self.books.ahead() < POSITIONS_MAX
            && Instant::now() >= self.look_at
    }

    /// This partition's part of what the route may have.
    fn part(&self, of_route: usize) -> usize {
        of_route.div_ceil(self.rules.parts)
    }

    /// Whether there is room for what entries make.
    fn has_room(&self) -> bool {
        let of_lines = self.lines.values().map(Line::load);
        let (deliveries, bytes) = of_lines.fold(self.books.load(), |sum, line| (sum.0 + line.0, sum.1 + line.1));
        !self.books.is_full() && deliveries < self.part(DELIVERIES_MAX) && bytes < self.part(BYTES_MAX)
    }

    /// The replay, where to read on in it and how much, if that may be done now: in turns with what is new, and only while there is
    /// room to park it.
    fn may_replay(&self) -> Option<(Replay, Position, usize)> {
        let (replay, next, ahead) = self.books.replay_next()?;
        let is_its_turn = self.replay_is_next || !self.may_read();
        let is_due = Instant::now() >= self.replay_at;
        let room = self.books.replay_room();
        let may = is_its_turn && is_due && ahead < POSITIONS_MAX && self.has_room() && room > 0;
        may.then(|| (replay.clone(), next, room))
    }

    /// Whether it is time to look what operators ordered, and there is room for it.
    fn looks_for_orders(&self) -> bool {
        Instant::now() >= self.orders_at && !self.books.is_redriving() && self.books.room() > 0
    }

    /// Whether nothing is read because it is not time to look.
    pub(super) fn looks_later(&self) -> bool {
        self.reader.is_some() && Instant::now() < self.look_at
    }

    /// Whether a replay waits for its time.
    pub(super) fn replays_later(&self) -> bool {
        self.reader.is_some() && self.books.replay_next().is_some() && Instant::now() < self.replay_at
    }

    pub(super) fn looks_for_orders_later(&self) -> bool {
        self.reader.is_some() && Instant::now() < self.orders_at
    }

    /// Whether parked deliveries may be made again: Postgres answers, and has the rows that are known here.
    pub(super) fn may_ask(&self) -> bool {
        let is_failing = self.read_backoff.is_failing() && Instant::now() < self.look_at;
        let bytes: usize = self.lines.values().map(|line| line.load().1).sum();
        self.books.agrees_with_rows() && !is_failing && bytes < self.part(BYTES_MAX)
    }

    /// Parked items that are due, of one sink.
    fn ask_for_parked(&mut self) -> Option<(String, Vec<TokenBytes>)> {
        if !self.may_ask() {
            return None;
        }
        let now = self.rules.gates.clock().now();
        // In turns: one whose items are always due does not keep the others from it.
        let mut lines: Vec<(&String, &mut Line)> = self.lines.iter_mut().collect();
        let after_last = lines.partition_point(|(sink, _)| **sink <= self.asked_last);
        lines.rotate_left(after_last);
        let asked = lines.into_iter().find_map(|(sink, line)| {
            let items = line.ask_for_parked(now);
            (!items.is_empty()).then(|| (sink.clone(), items))
        })?;
        self.asked_last.clone_from(&asked.0);
        Some(asked)
    }

    /// Takes over what was read.
    pub(super) fn take(&mut self, read: Read, begun: Instant) {
        match read {
            Read::Window(Ok(Next::Window(window))) => {
                self.read_backoff.succeeded();
                self.was_read(window.read_at);
                self.books.scanned(window.next);
                self.books.bury_all(window.dead_letters);
                self.halting = window.halt;
                self.place(window.deliveries);
            }
            Read::Window(Ok(Next::Over)) => {
                self.read_backoff.succeeded();
                self.is_over = true;
            }
            Read::Window(Ok(Next::Nothing)) => {
                self.read_backoff.succeeded();
                let wait = if self.has_grown { Duration::ZERO } else { LOOK_INTERVAL };
                self.look_at = Instant::now() + wait;
            }
            Read::Window(Err(hindrance)) => self.hinder(&hindrance),
            Read::Parked { sink, items, made } => {
                self.was_read(begun);
                let (line, books) = (self.lines.get_mut(&sink), &mut self.books);
                match (line, made) {
                    (Some(line), Ok(made)) => line.take_back(&items, made, &self.rules, books),
                    (Some(line), Err(hindrance)) => {
                        let later = self.rules.gates.clock().now() + LOOK_INTERVAL * 5;
                        line.ask_again_for(&items, later);
                        self.hinder(&hindrance);
                    }
                    (None, _) => {}
                }
            }
            Read::Replayed(replay, Ok(window)) => {
                self.replay_backoff.succeeded();
                self.was_read(window.read_at);
                // It may have been cancelled meanwhile.
                if self.books.replay_scanned(&replay, window.next) {
                    self.books.bury_all(window.dead_letters);
                    self.place(window.deliveries);
                }
            }
            Read::Replayed(_, Err(hindrance)) => {
                self.replay_at = Instant::now() + self.replay_backoff.next();
                tracing::warn!(
                    route = %self.rules.route,
                    position = self.books.replay_next().map(|(_, position, _)| position.0),
                    problem = error_chain(&hindrance),
                    "the replay waits"
                );
            }
            Read::Ordered { replay, resent } => {
                self.orders_at = Instant::now() + LOOK_INTERVAL;
                match replay {
                    Ok(replay) => self.books.replays(replay),
                    Err(hindrance) => tracing::warn!(
                        route = %self.rules.route,
                        problem = error_chain(&hindrance),
                        "whether a replay is ordered cannot be read now"
                    ),
                }
                match resent {
                    Ok(resent) => {
                        let clock = self.rules.gates.clock();
                        let now = clock.timestamp(clock.now());
                        for resent in resent {
                            // What there is no room for stays ordered.
                            if !self.books.redrive(resent, now) {
                                break;
                            }
                        }
                    }
                    Err(hindrance) => tracing::warn!(
                        route = %self.rules.route,
                        problem = error_chain(&hindrance),
                        "dead letters cannot be sent again now"
                    ),
                }
            }
        }
    }

    fn place(&mut self, deliveries: Vec<Delivery>) {
        for delivery in deliveries {
            self.books.begun(&delivery);
            let line = line_to(&mut self.lines, &self.rules, &delivery.sink);
            line.place(delivery, &self.rules, &mut self.books);
        }
    }

    pub(super) fn hinder(&mut self, hindrance: &Hindrance) {
        tracing::warn!(
            route = %self.rules.route,
            position = %self.books.next(),
            problem = error_chain(hindrance),
            "the route waits at its cursor"
        );
        self.look_at = Instant::now() + self.read_backoff.next();
    }
}
