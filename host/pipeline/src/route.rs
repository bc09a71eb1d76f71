//! The way out: one task per route reads the ledger behind its cursor, decides, delivers, and moves the cursor.
//!
//! ```text
//! entries ─▶ cut where the version changes ─▶ event pattern ─▶ plugin ─▶ deliveries ─▶ a line for each sink ─▶ sinks
//!  (reader)                                                                 │              │
//!                                                      dead letters, parked ┴──────────────┘
//!                                                      and cursor, in one transaction  (books)
//! ```
//!
//! Reading, sending and writing go on side by side. What is in memory is bounded: past that nothing is read, for the ledger is the
//! queue.
//!
//! # Invariants
//!
//! - What is decided about a change depends on the change and the route's version at its position, on nothing else.
//! - The cursor passes a position only when each of its deliveries was accepted, is parked, or is a dead letter.
//! - A sink that takes nothing makes the route wait where it is. An item that fails makes nothing wait but itself.
//! - A route that halts stands before the change that its plugin fails on, and goes on there with its next version.

mod books;
mod decide;
mod line;
mod reader;
mod tables;
mod trial;
mod version;

use std::collections::{BTreeMap, HashSet};
use std::num::NonZeroUsize;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use futures_util::stream::{FuturesUnordered, StreamExt as _};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use weir_ledger::{Consumer, ConsumerError, DatabaseError, Ledger, ParkedItem, Settlement, TokenBytes};
use weir_model::Position;
use weir_routing::RetrySchedule;
use weir_runtime::Runtime;
use weir_sinks::Outcome;

use self::books::Books;
use self::line::{Line, Request, Rules};
use self::reader::{Halt, Hindrance, MadeAgain, Reader, Resent, Window};
pub use self::tables::{TableDigests, TableError, give_tables, newest_tables};
pub use self::trial::{Trial, TrialError};
use crate::gate::Gates;
use crate::pace::Backoff;
use crate::problem::error_chain;
use crate::{Activities, Activity, fault};

/// How often the ledger is looked at for what other processes appended.
const LOOK_INTERVAL: Duration = Duration::from_secs(1);

/// How often the cursor is moved while deliveries are under way.
const SETTLE_INTERVAL: Duration = Duration::from_millis(50);

/// Positions after which it is moved in any case.
const SETTLE_POSITIONS: u64 = 1000;

/// Dead letters that are sent again at a time, at most.
const REDRIVEN_MAX: u16 = 100;

/// Deliveries in memory beyond which nothing more is read.
const DELIVERIES_MAX: usize = 2000;

/// Bytes of their messages beyond which nothing more is read.
const BYTES_MAX: usize = 16 << 20;

/// Longest request, above the time limit of any single call of a sink. A request that ran into it may have been taken, in parts
/// if it was sent in parts.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(90);

/// What a route is made of, besides what the ledger knows of it.
pub struct RouteSettings {
    /// Its name. What it does stands in the ledger, as versions of it.
    pub name: String,
    /// When a failed delivery is tried again, and when it is given up.
    pub retry: RetrySchedule,
    /// Deliveries that may wait behind their item, at most. Past that the route waits at its cursor.
    pub parked_max: NonZeroUsize,
}

/// Routes the changes of a ledger, by whatever versions of the route the ledger names.
pub struct RouteTask {
    name: String,
    ledger: Ledger,
    reader: Reader,
    rules: Rules,
    parked_max: NonZeroUsize,
}

/// Why a route ended by itself.
#[derive(Debug, thiserror::Error)]
pub enum RouteError {
    /// Another process has the route now.
    #[error("route {0} was taken over by another process")]
    Fenced(String),
    /// Postgres failed before the route could begin.
    #[error("the route cannot begin")]
    Database(#[from] DatabaseError),
}

impl RouteTask {
    /// A route by name. What it does stands in the ledger, as versions of it.
    #[must_use]
    pub fn new(
        settings: RouteSettings,
        ledger: Ledger,
        runtime: Runtime,
        gates: Arc<Gates>,
        activities: Activities,
    ) -> Self {
        let name = settings.name;
        Self {
            reader: Reader::new(name.clone(), ledger.clone(), runtime, activities.clone()),
            ledger,
            rules: Rules {
                route: name.clone(),
                gates,
                retry: settings.retry,
                activities,
            },
            name,
            parked_max: settings.parked_max,
        }
    }

    /// Routes until `stop` is cancelled. What is in its way is waited out, at the cursor.
    ///
    /// Stopping waits for the requests in hand; what waits for another attempt is attempted again at the next start, under the
    /// same ids.
    ///
    /// # Errors
    ///
    /// Another process took the route over.
    pub async fn run(self, stop: CancellationToken) -> Result<(), RouteError> {
        // Before its first version a route has nothing to do.
        let begins = self
            .ledger
            .route_versions(&self.name)
            .await?
            .first()
            .map_or(Position(0), |first| first.from_position);
        let consumer = self
            .ledger
            .claim_consumer(&format!("route:{}", self.name), begins)
            .await?;
        // Nothing is sent before this is known, or what waits behind its item would be overtaken.
        let parked = self.ledger.parked_items(&self.name).await?;
        self.rules.gates.look(&self.ledger).await?;
        Router::new(self, consumer, &parked).run(&stop).await
    }
}

/// A route at work.
struct Router {
    ledger: Ledger,
    rules: Rules,
    books: Books,
    lines: BTreeMap<String, Line>,
    requests: FuturesUnordered<BoxFuture<'static, (Request, String, Vec<Outcome>)>>,
    /// `None` while it is at work.
    reader: Option<Reader>,
    reading: Option<BoxFuture<'static, (Reader, Read)>>,
    read_backoff: Backoff,
    /// When to look for entries again, at the latest.
    look_at: Instant,
    /// What was read last was not parked, so that is next.
    parked_is_next: bool,
    /// When to look whether dead letters are to be sent again.
    redrive_at: Instant,
    /// When to look whether what is in memory is to be erased, and when that was last known.
    erase_at: Instant,
    erasures_known_at: Instant,
    /// The ledger grew since it was read last.
    has_grown: bool,
    /// The sink whose parked deliveries were made again last.
    asked_last: String,
    /// `None` while it is being moved.
    consumer: Option<Consumer>,
    settling: Option<BoxFuture<'static, Settled>>,
    settle_backoff: Backoff,
    settle_at: Instant,
    /// The route halts once everything before is settled.
    halting: Option<Halt>,
}

/// What was read.
enum Read {
    Window(Result<Option<Window>, Hindrance>),
    Parked {
        sink: String,
        items: Vec<TokenBytes>,
        made: Result<Vec<MadeAgain>, Hindrance>,
    },
    Redriven(Result<Vec<Resent>, Hindrance>),
    Erasing(Result<HashSet<Position>, Hindrance>),
}

/// What became of a settlement.
struct Settled {
    consumer: Consumer,
    moved: bool,
    settlement: Settlement,
    halt: Option<Halt>,
    outcome: Result<(), ConsumerError>,
}

impl Router {
    fn new(task: RouteTask, consumer: Consumer, parked: &[ParkedItem]) -> Self {
        let count = parked.iter().map(|item| item.count).sum();
        let mut router = Self {
            books: Books::new(task.name, consumer.next, count, task.parked_max.get()),
            ledger: task.ledger,
            rules: task.rules,
            lines: BTreeMap::new(),
            requests: FuturesUnordered::new(),
            reader: Some(task.reader),
            reading: None,
            read_backoff: Backoff::new(Duration::from_millis(200), Duration::from_secs(10)),
            look_at: Instant::now(),
            parked_is_next: false,
            redrive_at: Instant::now(),
            erase_at: Instant::now(),
            erasures_known_at: Instant::now(),
            has_grown: false,
            asked_last: String::new(),
            consumer: Some(consumer),
            settling: None,
            settle_backoff: Backoff::new(Duration::from_millis(200), Duration::from_secs(10)),
            settle_at: Instant::now(),
            halting: None,
        };
        for item in parked {
            let clock = router.rules.gates.clock();
            let due = item.due_at.map_or(Duration::ZERO, |due| clock.time_of(due));
            router.line(&item.sink).know(item, due);
        }
        router
    }

    fn line(&mut self, sink: &str) -> &mut Line {
        let gates = &self.rules.gates;
        self.lines
            .entry(sink.to_owned())
            .or_insert_with(|| Line::new(gates.get(sink).cloned()))
    }

    async fn run(mut self, stop: &CancellationToken) -> Result<(), RouteError> {
        let mut size = self.ledger.watch_size();
        let mut news = self.rules.gates.news();
        loop {
            let is_stopping = stop.is_cancelled();
            let is_paused = self.rules.gates.is_route_paused(&self.rules.route);
            if !is_stopping && !is_paused {
                if self.knows_erasures() {
                    self.send();
                }
                self.read();
            }
            self.settle(is_stopping);
            if is_stopping && self.requests.is_empty() && self.settling.is_none() {
                return Ok(());
            }
            let works = !is_stopping && !is_paused;
            let due = if works && self.knows_erasures() {
                self.next_due()
            } else {
                None
            };
            let clock = self.rules.gates.clock().clone();
            tokio::select! {
                Some((request, sink, outcomes)) = self.requests.next() => {
                    fault::point("after-request");
                    if let Some(line) = self.lines.get_mut(&sink) {
                        line.settle(&request, outcomes, &self.rules, &mut self.books);
                    }
                }
                Some((reader, read)) = at_work(&mut self.reading) => {
                    self.reading = None;
                    self.reader = Some(reader);
                    self.take(read);
                }
                Some(settled) = at_work(&mut self.settling) => {
                    self.settling = None;
                    self.settled(settled)?;
                }
                () = clock.sleep_until(due) => {}
                () = tokio::time::sleep_until(self.settle_at), if self.has_to_settle() => {}
                () = tokio::time::sleep_until(self.look_at), if works && self.looks_later() => {}
                () = tokio::time::sleep_until(self.erase_at), if works && self.erases_later() => {}
                () = tokio::time::sleep_until(self.redrive_at), if works && self.redrives_later() => {}
                _ = size.changed(), if works && !self.read_backoff.is_failing() => {
                    self.look_at = Instant::now();
                    self.has_grown = true;
                }
                _ = news.changed() => {}
                () = stop.cancelled(), if !is_stopping => {}
            }
        }
    }

    /// Sends whatever may be sent now.
    fn send(&mut self) {
        let now = self.rules.gates.clock().now();
        for (name, line) in &mut self.lines {
            while let Some(request) = line.request(now) {
                self.requests.push(send(request, name.clone()).boxed());
            }
        }
    }

    /// Reads on, if there is room for it and nobody is reading.
    fn read(&mut self) {
        let Some(mut reader) = self.reader.take() else {
            return;
        };
        if let Some(positions) = self.asks_for_erasures() {
            self.reading = Some(
                async move {
                    let erasing = reader.erasing(positions).await;
                    (reader, Read::Erasing(erasing))
                }
                .boxed(),
            );
            return;
        }
        if self.redrives() {
            let count_max = u16::try_from(self.books.room()).unwrap_or(u16::MAX).min(REDRIVEN_MAX);
            self.reading = Some(
                async move {
                    let resent = reader.redriven(count_max).await;
                    (reader, Read::Redriven(resent))
                }
                .boxed(),
            );
            return;
        }
        let asked = if self.parked_is_next || !self.may_read() {
            self.ask_for_parked()
        } else {
            None
        };
        self.parked_is_next = !self.parked_is_next;
        if let Some((sink, items)) = asked {
            self.reading = Some(
                async move {
                    let made = reader.parked(&sink, &items).await;
                    (reader, Read::Parked { sink, items, made })
                }
                .boxed(),
            );
        } else if self.may_read() {
            let next = self.books.next();
            self.has_grown = false;
            self.reading = Some(
                async move {
                    let window = reader.window(next).await;
                    (reader, Read::Window(window))
                }
                .boxed(),
            );
        } else {
            self.reader = Some(reader);
        }
    }

    /// Whether entries may be read: it is time to look, and there is room for what they make.
    fn may_read(&self) -> bool {
        let (deliveries, bytes) = self
            .lines
            .values()
            .map(Line::load)
            .fold((0, 0), |sum, line| (sum.0 + line.0, sum.1 + line.1));
        self.halting.is_none()
            && !self.books.is_full()
            && deliveries + self.books.parking() < DELIVERIES_MAX
            && bytes < BYTES_MAX
            && Instant::now() >= self.look_at
    }

    /// Whether what is in memory was not to be erased a moment ago. What waited for long, or came out of a pause, is looked at
    /// first.
    fn knows_erasures(&self) -> bool {
        self.erasures_known_at.elapsed() < LOOK_INTERVAL * 3
    }

    fn is_empty(&self) -> bool {
        self.lines.values().all(|line| line.load().0 == 0)
    }

    /// Positions of what is in memory, if it is time to look whether they are to be erased: what waits in memory, for a sink that
    /// is away or paused, may wait for long.
    fn asks_for_erasures(&self) -> Option<Vec<Position>> {
        if Instant::now() < self.erase_at {
            return None;
        }
        let mut positions: Vec<Position> = self.lines.values().flat_map(Line::positions).collect();
        positions.sort_unstable();
        positions.dedup();
        (!positions.is_empty()).then_some(positions)
    }

    /// Whether it is time to look for dead letters that are to be sent again, and there is room for them.
    fn redrives(&self) -> bool {
        Instant::now() >= self.redrive_at && !self.books.is_redriving() && self.books.room() > 0
    }

    /// Whether nothing is read because it is not time to look.
    fn looks_later(&self) -> bool {
        self.reader.is_some() && Instant::now() < self.look_at
    }

    fn erases_later(&self) -> bool {
        self.reader.is_some() && !self.is_empty() && Instant::now() < self.erase_at
    }

    fn redrives_later(&self) -> bool {
        self.reader.is_some() && Instant::now() < self.redrive_at
    }

    /// Whether parked deliveries may be made again: Postgres answers, and has the rows that are known here.
    fn may_ask(&self) -> bool {
        let is_failing = self.read_backoff.is_failing() && Instant::now() < self.look_at;
        let bytes: usize = self.lines.values().map(|line| line.load().1).sum();
        self.books.agrees_with_rows() && !is_failing && bytes < BYTES_MAX
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
    fn take(&mut self, read: Read) {
        match read {
            Read::Window(Ok(Some(window))) => {
                self.read_backoff.succeeded();
                if self.is_empty() {
                    // What was just read was there.
                    self.erasures_known_at = Instant::now();
                    self.erase_at = Instant::now() + LOOK_INTERVAL;
                }
                self.books.scanned(window.next);
                self.books.bury_all(window.dead_letters);
                self.halting = window.halt;
                for delivery in window.deliveries {
                    self.books.begun(&delivery);
                    let gates = &self.rules.gates;
                    let line = self
                        .lines
                        .entry(delivery.sink.clone())
                        .or_insert_with(|| Line::new(gates.get(&delivery.sink).cloned()));
                    line.place(delivery, &self.rules, &mut self.books);
                }
            }
            Read::Window(Ok(None)) => {
                self.read_backoff.succeeded();
                let wait = if self.has_grown { Duration::ZERO } else { LOOK_INTERVAL };
                self.look_at = Instant::now() + wait;
            }
            Read::Window(Err(hindrance)) => self.hinder(&hindrance),
            Read::Parked { sink, items, made } => {
                let was_empty = self.is_empty();
                let (line, books) = (self.lines.get_mut(&sink), &mut self.books);
                match (line, made) {
                    (Some(line), Ok(made)) => {
                        if was_empty {
                            self.erasures_known_at = Instant::now();
                        }
                        line.take_back(&items, made, &self.rules, books);
                    }
                    (Some(line), Err(hindrance)) => {
                        let later = self.rules.gates.clock().now() + LOOK_INTERVAL * 5;
                        line.ask_again_for(&items, later);
                        self.hinder(&hindrance);
                    }
                    (None, _) => {}
                }
            }
            Read::Erasing(erasing) => {
                self.erase_at = Instant::now() + LOOK_INTERVAL;
                match erasing {
                    Ok(erasing) => {
                        self.erasures_known_at = Instant::now();
                        for line in self.lines.values_mut() {
                            line.forget_erased(&erasing, &self.rules, &mut self.books);
                        }
                    }
                    Err(hindrance) => self.hinder(&hindrance),
                }
            }
            Read::Redriven(resent) => {
                self.redrive_at = Instant::now() + LOOK_INTERVAL;
                match resent {
                    Ok(resent) => resent.into_iter().for_each(|resent| self.books.redrive(resent)),
                    Err(hindrance) => tracing::warn!(
                        route = %self.rules.route,
                        problem = error_chain(&hindrance),
                        "dead letters cannot be sent again now"
                    ),
                }
            }
        }
    }

    fn hinder(&mut self, hindrance: &Hindrance) {
        tracing::warn!(
            route = %self.rules.route,
            position = %self.books.next(),
            problem = error_chain(hindrance),
            "the route waits at its cursor"
        );
        self.look_at = Instant::now() + self.read_backoff.next();
    }

    /// When there is something to do, if nothing happens before.
    fn next_due(&mut self) -> Option<Duration> {
        let now = self.rules.gates.clock().now();
        let may_ask = self.reader.is_some() && self.may_ask();
        self.lines
            .values_mut()
            .filter_map(|line| line.next_due(now, may_ask))
            .min()
    }

    /// Whether anything is not written down that can be.
    fn has_to_settle(&self) -> bool {
        let Some(consumer) = &self.consumer else {
            return false;
        };
        let cursor = self.books.cursor();
        let halts = self.halting.as_ref().is_some_and(|halt| halt.position == cursor);
        cursor != consumer.next || halts || self.books.has_more_than_the_cursor()
    }

    /// Writes down what was done: at once where nothing else is to be done, else now and then.
    fn settle(&mut self, is_stopping: bool) {
        if !self.has_to_settle() {
            return;
        }
        let Some(mut consumer) = self.consumer.take() else {
            return;
        };
        let cursor = self.books.cursor();
        let is_idle = self.is_empty();
        let is_worth_it =
            is_idle || is_stopping && self.requests.is_empty() || cursor.0 - consumer.next.0 >= SETTLE_POSITIONS;
        if Instant::now() < self.settle_at && (!is_worth_it || self.settle_backoff.is_failing()) {
            self.consumer = Some(consumer);
            return;
        }
        let moved = cursor != consumer.next;
        let halt = self.halting.take_if(|halt| halt.position == cursor);
        let (cursor, settlement) = self.books.close();
        let (ledger, route) = (self.ledger.clone(), self.rules.route.clone());
        self.settling = Some(
            async move {
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

    /// What was done is written down, or has to be written once more: all of it may be.
    fn settled(&mut self, settled: Settled) -> Result<(), RouteError> {
        self.consumer = Some(settled.consumer);
        match settled.outcome {
            Ok(()) => {}
            Err(ConsumerError::Fenced { .. }) => return Err(RouteError::Fenced(self.rules.route.clone())),
            Err(error) => {
                tracing::warn!(
                    route = %self.rules.route,
                    position = %self.books.cursor(),
                    problem = error_chain(&error),
                    "the cursor cannot be moved"
                );
                self.books.reopen(settled.settlement);
                self.halting = settled.halt;
                self.settle_at = Instant::now() + self.settle_backoff.next();
                return Ok(());
            }
        }
        if settled.moved {
            fault::point("after-cursor");
        }
        self.settle_backoff.succeeded();
        self.settle_at = Instant::now() + SETTLE_INTERVAL;
        self.books.closed();
        for parked in &settled.settlement.parked {
            self.line(&parked.sink).written(parked.token);
        }
        for redriven in &settled.settlement.redriven {
            for parked in &redriven.parked {
                self.line(&parked.sink).redriven(parked.token);
            }
            // There may be more.
            self.redrive_at = Instant::now();
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

/// Sends a request, and says what became of each message, whatever the sink does.
async fn send(request: Request, sink: String) -> (Request, String, Vec<Outcome>) {
    let outcomes = tokio::time::timeout(REQUEST_TIMEOUT, request.gate.sink.send(&request.messages)).await;
    let outcomes = outcomes.unwrap_or_else(|_| {
        let unavailable = Outcome::Unavailable {
            reason: "the sink did not answer in time".to_owned(),
            after: None,
        };
        vec![unavailable; request.messages.len()]
    });
    (request, sink, outcomes)
}

/// What becomes of something that is at work; nothing, if nothing is.
async fn at_work<T>(work: &mut Option<BoxFuture<'static, T>>) -> Option<T> {
    match work {
        Some(work) => Some(work.await),
        None => None,
    }
}
