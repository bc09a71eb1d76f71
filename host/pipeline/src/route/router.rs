//! The loop of a partition of a route: reads, sends and writes side by side.
//!
//! # Invariants
//!
//! - At most one read, one look for erasures and one settlement are under way; each is owned by this loop, so that whoever drops the loop ends all.
//! - The loop waits for what was begun, for what becomes due, or for news; it never turns without one of them.

mod erasing;
mod reading;
mod settling;

use std::collections::BTreeMap;
use std::time::Duration;

use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use futures_util::stream::{FuturesUnordered, StreamExt as _};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;
use weir_ledger::{Consumer, Ledger, ParkedItem};
use weir_sinks::Outcome;

use self::erasing::Looked;
use self::reading::Read;
use self::settling::Settled;
use super::books::Books;
use super::line::{Line, Request, Rules};
use super::reader::{Halt, Reader};
use super::{PartitionEnd, PartitionTask, Turns};
use crate::fault;
use crate::heart::{Member, Term};
use crate::pace::Backoff;

/// Longest request, above the time limit of any single call of a sink. A request that ran into it may have been taken, in parts
/// if it was sent in parts.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(90);

/// How long what is in memory is sent once it is told to stop, as long as the sinks take it. The less is left, the less is sent once
/// more by whoever goes on.
const DRAIN_MAX: Duration = Duration::from_secs(3);

/// A partition at work.
pub(super) struct Router {
    ledger: Ledger,
    member: Member,
    term: Term,
    turns: Turns,
    rules: Rules,
    books: Books,
    lines: BTreeMap<String, Line>,
    requests: FuturesUnordered<BoxFuture<'static, (Request, String, Vec<Outcome>)>>,
    /// `None` while it is at work.
    reader: Option<Reader>,
    reading: Option<BoxFuture<'static, (Reader, Read)>>,
    /// When that began.
    read_at: Instant,
    read_backoff: Backoff,
    /// When to look for entries again, at the latest.
    look_at: Instant,
    /// What was read last was not parked, so that is next.
    parked_is_next: bool,
    /// When to look what operators ordered.
    orders_at: Instant,
    /// What was read last is new, so the replay is next.
    replay_is_next: bool,
    /// When to read on in the replay, at the earliest.
    replay_at: Instant,
    replay_backoff: Backoff,
    looking: Option<BoxFuture<'static, Looked>>,
    /// When to look whether what is in memory is to be erased, when that was last known, and when something opened since which it
    /// has to be known anew.
    erase_at: Instant,
    erasures_known_at: Option<Instant>,
    doubted_at: Option<Instant>,
    /// The oldest page that came while it was being looked.
    read_meanwhile: Option<Instant>,
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
    /// There is nothing more to read: from there on the route has another number of partitions. What is parked is sent all the same,
    /// until all of them are so far.
    is_over: bool,
}

impl Router {
    pub(super) fn new(task: PartitionTask, consumer: Consumer, parked: &[ParkedItem]) -> Self {
        let count = parked.iter().map(|item| item.count).sum();
        let mut router = Self {
            books: Books::new(task.partition.route, consumer.next, count, task.parked_max),
            ledger: task.ledger,
            member: task.member,
            term: task.term,
            turns: task.turns,
            rules: task.rules,
            lines: BTreeMap::new(),
            requests: FuturesUnordered::new(),
            reader: Some(task.reader),
            reading: None,
            read_at: Instant::now(),
            looking: None,
            read_backoff: Backoff::new(Duration::from_millis(200), Duration::from_secs(10)),
            look_at: Instant::now(),
            parked_is_next: false,
            orders_at: Instant::now(),
            replay_is_next: false,
            replay_at: Instant::now(),
            replay_backoff: Backoff::new(Duration::from_millis(200), Duration::from_secs(10)),
            erase_at: Instant::now(),
            erasures_known_at: None,
            doubted_at: None,
            read_meanwhile: None,
            has_grown: false,
            asked_last: String::new(),
            consumer: Some(consumer),
            settling: None,
            settle_backoff: Backoff::new(Duration::from_millis(200), Duration::from_secs(10)),
            settle_at: Instant::now(),
            halting: None,
            is_over: false,
        };
        for item in parked {
            let clock = router.rules.gates.clock();
            let due = item.due_at.map_or(Duration::ZERO, |due| clock.time_of(due));
            router.line(&item.sink).know(item, due);
        }
        router
    }

    fn line(&mut self, sink: &str) -> &mut Line {
        line_to(&mut self.lines, &self.rules, sink)
    }

    pub(super) async fn run(mut self, stop: &CancellationToken) -> PartitionEnd {
        // Once it is told to stop.
        let mut drain_until = None;
        let mut size = self.ledger.watch_size();
        let mut news = self.rules.gates.news();
        loop {
            let is_stopping = stop.is_cancelled();
            // Where it is not, it is told to stop soon.
            let is_sure = self.member.is_in(self.term);
            let is_held = !is_sure || self.rules.gates.is_route_paused(&self.rules.route);
            if news.has_changed().unwrap_or(false) {
                news.mark_unchanged();
                self.doubt_erasures();
            }
            if is_stopping {
                drain_until.get_or_insert_with(|| Instant::now() + DRAIN_MAX);
            }
            let drains = drain_until.is_none_or(|until| Instant::now() < until);
            if drains && !is_held {
                self.look_for_erasures();
                if self.knows_erasures() {
                    self.send();
                }
            }
            if !is_stopping && !is_held {
                self.read();
            }
            self.settle(is_stopping);
            if is_stopping
                && self.requests.is_empty()
                && let Some(consumer) = self.consumer.take_if(|_| self.settling.is_none())
            {
                return PartitionEnd::Stopped(consumer);
            }
            let works = !is_stopping && !is_held;
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
                        line.settle(request, outcomes, &self.rules, &mut self.books);
                    }
                }
                Some((reader, read)) = at_work(&mut self.reading) => {
                    self.reading = None;
                    self.reader = Some(reader);
                    self.take(read, self.read_at);
                }
                Some(looked) = at_work(&mut self.looking) => {
                    self.looking = None;
                    self.looked(looked);
                }
                Some(settled) = at_work(&mut self.settling) => {
                    self.settling = None;
                    if self.settled(settled).is_err() {
                        return PartitionEnd::Fenced;
                    }
                }
                () = clock.sleep_until(due) => {}
                () = tokio::time::sleep_until(self.settle_at), if self.has_to_settle() => {}
                () = tokio::time::sleep_until(self.look_at), if works && self.looks_later() => {}
                () = tokio::time::sleep_until(self.erase_at), if works && self.erases_later() => {}
                () = tokio::time::sleep_until(self.orders_at), if works && self.looks_for_orders_later() => {}
                () = tokio::time::sleep_until(self.replay_at), if works && self.replays_later() => {}
                _ = size.changed(), if works && !self.read_backoff.is_failing() => {
                    self.look_at = Instant::now();
                    self.has_grown = true;
                }
                _ = news.changed() => self.doubt_erasures(),
                () = stop.cancelled(), if !is_stopping => {}
            }
        }
    }

    /// Sends whatever may be sent now.
    fn send(&mut self) {
        let now = self.rules.gates.clock().now();
        for (name, line) in &mut self.lines {
            while let Some(request) = line.request(now, &self.rules.gates) {
                self.requests.push(beside(send(request, name.clone())));
            }
        }
    }

    fn is_empty(&self) -> bool {
        self.lines.values().all(|line| line.load().0 == 0)
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
}

/// The line to a sink, new if it was not used yet.
fn line_to<'lines>(lines: &'lines mut BTreeMap<String, Line>, rules: &Rules, sink: &str) -> &'lines mut Line {
    lines
        .entry(sink.to_owned())
        .or_insert_with(|| Line::new(rules.gates.get(sink).cloned(), rules.parts))
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

/// Does something beside the loop, on another processor if one is free: a route of one partition is not held to one. Whoever drops
/// what comes of it ends it.
fn beside<T: Send + 'static>(work: impl Future<Output = T> + Send + 'static) -> BoxFuture<'static, T> {
    let task = AbortOnDropHandle::new(tokio::spawn(work));
    async move {
        match task.await {
            Ok(done) => done,
            Err(error) => match error.try_into_panic() {
                Ok(panic) => std::panic::resume_unwind(panic),
                // The runtime ends, and this with it.
                Err(_) => std::future::pending().await,
            },
        }
    }
    .boxed()
}

/// What becomes of something that is at work; nothing, if nothing is.
async fn at_work<T>(work: &mut Option<BoxFuture<'static, T>>) -> Option<T> {
    match work {
        Some(work) => Some(work.await),
        None => None,
    }
}
