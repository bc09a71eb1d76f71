//! Brings deliveries to their sinks: in requests as large as a sink takes, in order per item, again where it failed.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use futures_util::stream::{FuturesUnordered, StreamExt as _};
use sha2::{Digest as _, Sha256};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use weir_evidence::ItemToken;
use weir_ledger::DeadLetter;
use weir_routing::{Outbox, RequestLimits, RetrySchedule};
use weir_sinks::{Message, Outcome, Sink};

use super::Sinks;
use super::decide::{Delivery, event_text};
use super::version::LoadedVersion;
use crate::pace::{Backoff, random};
use crate::{Activities, Activity, fault};

/// Longest request, above the time limit of any single call of a sink. A request that ran into it may have been taken, in parts
/// if it was sent in parts.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(90);

/// Delivers the events of a route.
pub(super) struct Courier {
    sinks: Sinks,
    retry: RetrySchedule,
    activities: Activities,
}

/// The deliveries of one window to one sink.
struct Round<'a> {
    courier: &'a Courier,
    version: &'a LoadedVersion,
    sink: Arc<dyn Sink>,
    deliveries: Vec<Delivery>,
    /// What is sent of each.
    messages: Vec<Arc<Message>>,
    outbox: Outbox<ItemToken>,
    /// What counts against each delivery: how often it failed, and since when. A sink that is away does not count.
    failures: Vec<u32>,
    first_failure: Vec<Option<Duration>>,
    started: Instant,
    unavailable: Backoff,
    /// The sink is left alone until then.
    away_until: Duration,
    dead_letters: Vec<DeadLetter>,
}

impl Courier {
    pub(super) fn new(sinks: Sinks, retry: RetrySchedule, activities: Activities) -> Self {
        Self {
            sinks,
            retry,
            activities,
        }
    }

    /// Delivers everything, and returns what had to be given up; `None` if it was stopped before the end.
    pub(super) async fn deliver(
        &self,
        version: &LoadedVersion,
        deliveries: Vec<Delivery>,
        stop: &CancellationToken,
    ) -> Option<Vec<DeadLetter>> {
        let mut by_sink: BTreeMap<String, Vec<Delivery>> = BTreeMap::new();
        for delivery in deliveries {
            by_sink.entry(delivery.sink.clone()).or_default().push(delivery);
        }
        let rounds = by_sink.into_iter().map(|(name, deliveries)| async move {
            match self.sinks.get(&name) {
                Some(sink) => self.round(version, Arc::clone(sink), deliveries).run(stop).await,
                None => {
                    tracing::error!(
                        sink = name,
                        "this sink is not configured any more; its deliveries are dead letters"
                    );
                    let give_up =
                        |delivery| self.dead_letter(version, delivery, "no-sink", "the sink is not configured", 0);
                    Some(deliveries.iter().map(give_up).collect())
                }
            }
        });
        let given_up: Option<Vec<Vec<DeadLetter>>> = join_all(rounds).await.into_iter().collect();
        Some(given_up?.into_iter().flatten().collect())
    }

    fn round<'a>(&'a self, version: &'a LoadedVersion, sink: Arc<dyn Sink>, deliveries: Vec<Delivery>) -> Round<'a> {
        let message = |delivery: &Delivery| {
            let group = group_of(&delivery.item);
            Arc::new(Message::new(&*sink, delivery.id.clone(), group, &delivery.event))
        };
        let messages: Vec<Arc<Message>> = deliveries.iter().map(message).collect();
        let sizes = messages.iter().map(|message| sink.size(message));
        let outbox = Outbox::new(deliveries.iter().map(|delivery| delivery.item.clone()).zip(sizes));
        Round {
            courier: self,
            version,
            sink,
            messages,
            outbox,
            failures: vec![0; deliveries.len()],
            first_failure: vec![None; deliveries.len()],
            deliveries,
            started: Instant::now(),
            unavailable: Backoff::new(Duration::from_millis(250), Duration::from_secs(30)),
            away_until: Duration::ZERO,
            dead_letters: Vec::new(),
        }
    }

    fn dead_letter(
        &self,
        version: &LoadedVersion,
        delivery: &Delivery,
        code: &str,
        reason: &str,
        attempts: u32,
    ) -> DeadLetter {
        DeadLetter {
            delivery: delivery.id.to_string(),
            route: delivery.route.clone(),
            version: version.stored.version,
            position: delivery.position,
            sink: Some(delivery.sink.clone()),
            code: code.to_owned(),
            reason: reason.to_owned(),
            attempts,
            plugin_digest: version.stored.plugin.map(hex::encode),
            plugin_log: None,
            payload: Some(event_text(&delivery.event)),
            created_at: None,
        }
    }
}

impl Round<'_> {
    async fn run(mut self, stop: &CancellationToken) -> Option<Vec<DeadLetter>> {
        let sink = Arc::clone(&self.sink);
        let limits = sink.limits();
        let request = RequestLimits {
            deliveries_max: limits.messages_max,
            bytes_max: limits.bytes_max,
        };
        let mut in_flight = FuturesUnordered::new();
        while !self.outbox.is_done() {
            while in_flight.len() < limits.requests_max && !stop.is_cancelled() {
                let now = self.started.elapsed();
                if now < self.away_until {
                    break;
                }
                let taken = self.outbox.take(now, request);
                if taken.is_empty() {
                    break;
                }
                let messages = taken.iter().map(|index| Arc::clone(&self.messages[*index])).collect();
                in_flight.push(send(Arc::clone(&sink), taken, messages));
            }
            if in_flight.is_empty() && stop.is_cancelled() {
                return None;
            }
            // While the sink is away, something is always due: what it did not take.
            let due = self
                .outbox
                .next_due()
                .map(|due| self.started + due.max(self.away_until));
            tokio::select! {
                Some((taken, outcomes)) = in_flight.next() => {
                    fault::point("after-request");
                    self.settle(taken, outcomes);
                }
                () = sleep_until(due), if in_flight.len() < limits.requests_max && !stop.is_cancelled() => {}
                () = stop.cancelled(), if in_flight.is_empty() => return None,
            }
        }
        Some(self.dead_letters)
    }

    fn settle(&mut self, taken: Vec<usize>, outcomes: Vec<Outcome>) {
        let now = self.started.elapsed();
        for (index, outcome) in taken.into_iter().zip(outcomes) {
            match outcome {
                Outcome::Accepted => {
                    self.unavailable.succeeded();
                    self.outbox.settle(index);
                    let delivery = &self.deliveries[index];
                    self.courier.activities.tell(|| Activity::Delivered {
                        position: delivery.position,
                        sink: delivery.sink.clone(),
                        detail_type: delivery.event.detail_type.clone(),
                    });
                }
                Outcome::Refused { reason } => self.give_up(index, "refused", &reason),
                Outcome::Retry { reason, after } => {
                    self.failures[index] += 1;
                    let age = now.saturating_sub(*self.first_failure[index].get_or_insert(now));
                    let asked = after.unwrap_or_default();
                    match self.courier.retry.delay(self.failures[index], age, asked, random()) {
                        Some(delay) => self.outbox.retry_at(index, now + delay),
                        None => self.give_up(index, "attempts-exhausted", &reason),
                    }
                }
                Outcome::Unavailable { reason, after } => {
                    self.outbox.retry_at(index, now);
                    self.leave_alone(now, &reason, after);
                }
            }
        }
    }

    /// Sends nothing for a while. What was under way when the sink went away says nothing new about it.
    fn leave_alone(&mut self, now: Duration, reason: &str, after: Option<Duration>) {
        let asked = now + after.unwrap_or_default();
        if now >= self.away_until {
            let is_news = self.unavailable.is_news();
            self.away_until = asked.max(now + self.unavailable.next());
            if is_news {
                let wait_ms = self.away_until.saturating_sub(now).as_millis();
                tracing::warn!(reason, wait_ms, "the sink is not available; the route waits for it");
            }
        }
        self.away_until = self.away_until.max(asked);
    }

    fn give_up(&mut self, index: usize, code: &str, reason: &str) {
        let delivery = &self.deliveries[index];
        let attempts = self.outbox.attempts(index);
        self.dead_letters
            .push(self.courier.dead_letter(self.version, delivery, code, reason, attempts));
        self.outbox.settle(index);
    }
}

async fn send(sink: Arc<dyn Sink>, taken: Vec<usize>, messages: Vec<Arc<Message>>) -> (Vec<usize>, Vec<Outcome>) {
    let outcomes = tokio::time::timeout(REQUEST_TIMEOUT, sink.send(&messages))
        .await
        .unwrap_or_else(|_| {
            vec![
                Outcome::Unavailable {
                    reason: "the sink did not answer in time".to_owned(),
                    after: None,
                };
                messages.len()
            ]
        });
    (taken, outcomes)
}

/// What receivers know the messages of an item by. The token itself stays in the ledger, where it links entries.
fn group_of(item: &ItemToken) -> String {
    let hash = Sha256::new_with_prefix(b"weir/message-group/v1\0");
    hex::encode(&hash.chain_update(item.token).finalize()[..16])
}

async fn sleep_until(due: Option<Instant>) {
    match due {
        Some(due) => tokio::time::sleep_until(due).await,
        None => std::future::pending().await,
    }
}
