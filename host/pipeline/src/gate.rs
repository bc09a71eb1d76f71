//! Sinks as a process has them: whether each is sent to now, and how fast.
//!
//! # Invariants
//!
//! - One breaker and one rate for a sink, however many routes lead to it: what one learns of it, all know.
//! - A sink's rate is that of all processes together: each has an equal part of it.
//! - What an operator paused is not sent to from the moment on that this process has read it, within a second.

use std::collections::{BTreeMap, HashSet};
use std::num::NonZeroU32;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use governor::clock::{Clock as _, DefaultClock};
use governor::{DefaultDirectRateLimiter, Quota, RateLimiter};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use weir_ledger::{DatabaseError, Ledger, Pausable};
use weir_routing::{Admission, Breaker};
use weir_sinks::Sink;

use crate::clock::Clock;
use crate::heart::Member;
use crate::pace::{pause, random};

/// How often it is asked what operators paused.
const LOOK_INTERVAL: Duration = Duration::from_secs(1);

/// Characters of a reason that others are told.
const REASON_CHARS_MAX: usize = 300;

/// A sink as it is configured.
pub struct SinkSetup {
    /// The sink.
    pub sink: Arc<dyn Sink>,
    /// Messages that it gets in a second, at most, from all processes together.
    pub messages_per_second: Option<NonZeroU32>,
}

/// The configured sinks, and what is known of each.
pub struct Gates {
    clock: Clock,
    by_name: BTreeMap<String, Arc<Gate>>,
    paused_routes: Mutex<HashSet<String>>,
    /// Whether this process does an older configuration than the one that counts.
    is_behind: AtomicBool,
    /// How many processes send.
    processes: AtomicUsize,
    /// Changes when more may be sent than before, or an operator paused something.
    news: watch::Sender<()>,
}

/// The way into one sink.
pub(crate) struct Gate {
    name: String,
    pub(crate) sink: Arc<dyn Sink>,
    /// Messages that it gets in a second, from all processes together, and this one's part of it.
    rate: Option<(NonZeroU32, Mutex<Rate>)>,
    state: Mutex<GateState>,
}

struct Rate {
    limiter: DefaultDirectRateLimiter,
    burst: u32,
}

#[derive(Default)]
struct GateState {
    breaker: Breaker,
    reason: String,
    is_paused: bool,
    /// Deliveries that it accepted.
    accepted: u64,
}

/// Whether a request may be sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Pass {
    /// Yes, with so many messages.
    Send(usize),
    /// Not before this time.
    NotBefore(Duration),
    /// Not before there is news.
    Closed,
}

impl Gates {
    /// Nothing was sent to any of them yet.
    #[must_use]
    pub fn new(sinks: BTreeMap<String, SinkSetup>, clock: Clock) -> Self {
        let gates = sinks.into_iter().map(|(name, setup)| {
            let gate = Gate {
                name: name.clone(),
                sink: setup.sink,
                rate: setup
                    .messages_per_second
                    .map(|rate| (rate, Mutex::new(Rate::new(rate, 1)))),
                state: Mutex::default(),
            };
            (name, Arc::new(gate))
        });
        Self {
            clock,
            by_name: gates.collect(),
            paused_routes: Mutex::default(),
            is_behind: AtomicBool::new(false),
            processes: AtomicUsize::new(1),
            news: watch::Sender::new(()),
        }
    }

    /// This process does an older configuration than the one that counts. What it does not know, others may.
    pub fn fall_behind(&self) {
        self.is_behind.store(true, Ordering::Relaxed);
    }

    pub(crate) fn is_behind(&self) -> bool {
        self.is_behind.load(Ordering::Relaxed)
    }

    /// Keeps up with what operators pause, and tells other processes what became of each sink, until `stop` is cancelled.
    pub async fn keep(&self, ledger: &Ledger, mut member: Member, stop: &CancellationToken) {
        let mut noted = BTreeMap::new();
        let mut noted_by = None;
        let mut news = self.news.subscribe();
        loop {
            let looked = async {
                self.look(ledger).await?;
                let Some(me) = member.pulse().map(|pulse| pulse.term.worker) else {
                    return Ok(());
                };
                if noted_by.replace(me) != Some(me) {
                    noted.clear();
                }
                for (name, gate) in &self.by_name {
                    let state = gate.told();
                    if noted.get(name) != Some(&state) {
                        ledger.note_sink_state(me, name, state.0, &state.1).await?;
                        noted.insert(name.clone(), state);
                    }
                }
                Ok::<_, DatabaseError>(())
            };
            if let Err(error) = looked.await {
                tracing::debug!(error = %error, "cannot ask what is paused");
            }
            tokio::select! {
                () = stop.cancelled() => return,
                () = tokio::time::sleep(LOOK_INTERVAL) => {}
                () = member.next_pulse(), if noted_by.is_none() => {}
                // Sinks that flicker are not worth a row each time.
                _ = news.changed() => {
                    if !pause(stop, LOOK_INTERVAL / 4).await {
                        return;
                    }
                }
            }
        }
    }

    /// So many processes send: each has its part of a sink's rate.
    pub(crate) fn share(&self, processes: usize) {
        let processes = processes.max(1);
        if self.processes.swap(processes, Ordering::Relaxed) == processes {
            return;
        }
        for (all, rate) in self.by_name.values().filter_map(|gate| gate.rate.as_ref()) {
            let shared = Rate::new(*all, processes);
            // Those before may just have sent what they could.
            let _ = shared.take(usize::MAX);
            *rate.lock().unwrap_or_else(PoisonError::into_inner) = shared;
        }
    }

    /// Asks what operators paused.
    pub(crate) async fn look(&self, ledger: &Ledger) -> Result<(), DatabaseError> {
        let pauses = ledger.pauses().await?;
        let named = |kind: Pausable| -> HashSet<String> {
            let of_kind = pauses.iter().filter(|pause| pause.kind == kind);
            of_kind.map(|pause| pause.name.clone()).collect()
        };
        let (routes, sinks) = (named(Pausable::Route), named(Pausable::Sink));
        let mut is_news = false;
        for (name, gate) in &self.by_name {
            let is_paused = sinks.contains(name);
            let was_paused = std::mem::replace(&mut gate.lock().is_paused, is_paused);
            if is_paused != was_paused {
                tracing::warn!(
                    sink = name,
                    "an operator {}",
                    if is_paused { "paused it" } else { "resumed it" }
                );
                is_news = true;
            }
        }
        let mut paused_routes = self.paused_routes.lock().unwrap_or_else(PoisonError::into_inner);
        is_news |= *paused_routes != routes;
        *paused_routes = routes;
        drop(paused_routes);
        if is_news {
            self.news.send_replace(());
        }
        Ok(())
    }

    pub(crate) fn clock(&self) -> &Clock {
        &self.clock
    }

    pub(crate) fn get(&self, sink: &str) -> Option<&Arc<Gate>> {
        self.by_name.get(sink)
    }

    pub(crate) fn is_route_paused(&self, route: &str) -> bool {
        let paused = self.paused_routes.lock().unwrap_or_else(PoisonError::into_inner);
        paused.contains(route)
    }

    /// Changes when more may be sent than before, or an operator paused something.
    pub(crate) fn news(&self) -> watch::Receiver<()> {
        self.news.subscribe()
    }

    /// The sink accepted a delivery.
    pub(crate) fn accepted(&self, gate: &Gate) {
        self.change(gate, |state| {
            state.accepted += 1;
            state.breaker.accepted();
        });
    }

    /// The sink answered that it does not take a delivery: now, if `may_pass`, or ever.
    pub(crate) fn failed(&self, gate: &Gate, delivery: u64, may_pass: bool, reason: &str) {
        let now = self.clock.now();
        self.change(gate, |state| {
            state.breaker.failed(delivery, may_pass, now, random());
            reason.clone_into(&mut state.reason);
        });
    }

    /// The sink cannot be asked, or asks to be left alone.
    pub(crate) fn unavailable(&self, gate: &Gate, reason: &str, after: Option<Duration>) {
        let now = self.clock.now();
        self.change(gate, |state| {
            state.breaker.unavailable(now, after.unwrap_or_default(), random());
            reason.clone_into(&mut state.reason);
        });
    }

    /// A request was broken off: nobody will know what became of it.
    pub(crate) fn broken_off(&self, gate: &Gate) {
        let now = self.clock.now();
        gate.lock().breaker.broken_off(now);
        // Those who wait for its answer do so until there is news.
        self.news.send_replace(());
    }

    fn change(&self, gate: &Gate, by: impl FnOnce(&mut GateState)) {
        let mut state = gate.lock();
        let (was_closed, before) = (state.breaker.is_closed(), state.breaker.openings());
        by(&mut state);
        let (is_closed, openings) = (state.breaker.is_closed(), state.breaker.openings());
        let reason = (openings > before && (openings - 1).is_multiple_of(8)).then(|| state.reason.clone());
        drop(state);
        if let Some(reason) = reason {
            tracing::warn!(
                sink = gate.name,
                reason,
                "the sink takes nothing; its routes wait for it"
            );
        }
        if is_closed && !was_closed {
            tracing::info!(sink = gate.name, "the sink takes events again");
        }
        if is_closed && !was_closed {
            self.news.send_replace(());
        }
    }
}

impl Gate {
    /// Asks to send up to `wanted` messages in one request, at least one. Whoever may has to.
    pub(crate) fn pass(&self, now: Duration, wanted: usize) -> Pass {
        let mut state = self.lock();
        if state.is_paused {
            return Pass::Closed;
        }
        let messages = match state.breaker.admission(now) {
            Admission::Free => wanted,
            Admission::One => 1,
            Admission::NotBefore(until) => return Pass::NotBefore(until),
            Admission::Pending(_) => return Pass::Closed,
        };
        let rate = self.rate.as_ref();
        let rate = rate.map(|(_, rate)| rate.lock().unwrap_or_else(PoisonError::into_inner));
        let messages = match rate.map(|rate| rate.take(messages)) {
            None => messages,
            Some(Ok(messages)) => messages,
            Some(Err(wait)) => return Pass::NotBefore(now + wait),
        };
        state.breaker.sent(now);
        Pass::Send(messages)
    }

    /// How many deliveries it accepted so far.
    pub(crate) fn accepted(&self) -> u64 {
        self.lock().accepted
    }

    /// Whether a request would be sent, were there one.
    pub(crate) fn is_open_to(&self, now: Duration) -> bool {
        let state = self.lock();
        !state.is_paused && matches!(state.breaker.admission(now), Admission::Free | Admission::One)
    }

    /// When a request may be sent, if that is known.
    pub(crate) fn opens_at(&self) -> Option<Duration> {
        let state = self.lock();
        match state.breaker.admission(Duration::ZERO) {
            Admission::NotBefore(until) | Admission::Pending(until) if !state.is_paused => Some(until),
            _ => None,
        }
    }

    /// Its state and the reason for it, as others are told.
    fn told(&self) -> (&'static str, String) {
        let state = self.lock();
        let name = match state.breaker.admission(Duration::ZERO) {
            Admission::Free => return ("closed", String::new()),
            Admission::NotBefore(_) => "open",
            Admission::One | Admission::Pending(_) => "half-open",
        };
        (name, state.reason.chars().take(REASON_CHARS_MAX).collect())
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, GateState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Rate {
    /// One of so many equal parts of a rate. A second's worth may go at once.
    fn new(all: NonZeroU32, parts: usize) -> Self {
        let parts = u32::try_from(parts).unwrap_or(u32::MAX);
        let burst = NonZeroU32::new(all.get() / parts).unwrap_or(NonZeroU32::MIN);
        let each = (Duration::from_secs(1) / all.get()).saturating_mul(parts);
        let quota = Quota::with_period(each.max(Duration::from_nanos(1))).unwrap_or_else(|| Quota::per_second(all));
        Self {
            limiter: RateLimiter::direct(quota.allow_burst(burst)),
            burst: burst.get(),
        }
    }

    /// Takes as many as there are room for, up to `wanted`; or says how long to wait for one.
    fn take(&self, wanted: usize) -> Result<usize, Duration> {
        let mut messages = u32::try_from(wanted).unwrap_or(u32::MAX).min(self.burst);
        loop {
            let cells = NonZeroU32::new(messages).unwrap_or(NonZeroU32::MIN);
            match self.limiter.check_n(cells) {
                Ok(Ok(())) => return Ok(cells.get() as usize),
                Ok(Err(not_until)) if messages <= 1 => {
                    return Err(not_until.wait_time_from(DefaultClock::default().now()));
                }
                // More than fits now: a smaller request goes at once.
                Ok(Err(_)) | Err(_) => messages /= 2,
            }
        }
    }
}
