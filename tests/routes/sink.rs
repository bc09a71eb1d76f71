//! A sink that does with each message what a test says, and remembers what it took.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use serde_json::Value;
use weir_model::Event;
use weir_sinks::{Limits, Message, Outcome, Sink};

/// What becomes of a message.
#[derive(Clone, Debug)]
pub(crate) enum Fate {
    /// Taken.
    Taken,
    /// Taken, and nobody is told.
    TakenAndSilent,
    /// Not taken, and nothing is wrong with the sink.
    Fails,
    /// Not taken, ever.
    Refused,
    /// The sink is not there.
    Away,
    /// The sink asks to be left alone for a second.
    AwayForAWhile,
}

type Rule = Box<dyn FnMut(&Value) -> Fate + Send>;

/// The sink. Clones are the same.
#[derive(Clone)]
pub(crate) struct TestSink {
    state: Arc<Mutex<State>>,
}

struct State {
    rule: Rule,
    /// How long it takes to answer.
    slow: Duration,
    taken: Vec<Value>,
    refused: BTreeSet<u64>,
    attempts: usize,
}

impl TestSink {
    /// Takes everything.
    pub(crate) fn new() -> Self {
        let state = State {
            rule: Box::new(|_| Fate::Taken),
            slow: Duration::ZERO,
            taken: Vec::new(),
            refused: BTreeSet::new(),
            attempts: 0,
        };
        Self {
            state: Arc::new(Mutex::new(state)),
        }
    }

    /// From now on each message, as an event, meets its fate by this rule.
    pub(crate) fn does(&self, rule: impl FnMut(&Value) -> Fate + Send + 'static) {
        self.lock().rule = Box::new(rule);
    }

    pub(crate) fn takes_so_long(&self, slow: Duration) {
        self.lock().slow = slow;
    }

    /// Everything that it took, in order, repeats too.
    pub(crate) fn taken(&self) -> Vec<Value> {
        self.lock().taken.clone()
    }

    /// Positions of the changes that it ever refused.
    pub(crate) fn refused(&self) -> BTreeSet<u64> {
        self.lock().refused.clone()
    }

    /// How many messages it took.
    pub(crate) fn count(&self) -> usize {
        self.lock().taken.len()
    }

    /// How many deliveries it took, repeats left out.
    pub(crate) fn distinct(&self) -> usize {
        let state = self.lock();
        let ids = state.taken.iter().map(|event| event["detail"]["delivery"].as_str());
        ids.collect::<BTreeSet<_>>().len()
    }

    /// How many messages it was sent.
    pub(crate) fn attempts(&self) -> usize {
        self.lock().attempts
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }
}

impl Sink for TestSink {
    fn limits(&self) -> Limits {
        Limits {
            messages_max: 10,
            bytes_max: 1 << 20,
            requests_max: 4,
        }
    }

    fn body(&self, event: &Event) -> String {
        serde_json::to_string(event).unwrap()
    }

    fn size(&self, message: &Message) -> usize {
        message.body.len()
    }

    fn send<'a>(&'a self, messages: &'a [Arc<Message>]) -> BoxFuture<'a, Vec<Outcome>> {
        let mut state = self.lock();
        let outcomes: Vec<Outcome> = messages
            .iter()
            .map(|message| {
                let event: Value = serde_json::from_str(&message.body).unwrap();
                state.attempts += 1;
                let fate = (state.rule)(&event);
                match fate {
                    Fate::Taken | Fate::TakenAndSilent => state.taken.push(event),
                    Fate::Refused => drop(state.refused.insert(event["detail"]["position"].as_u64().unwrap())),
                    Fate::Fails | Fate::Away | Fate::AwayForAWhile => {}
                }
                outcome(&fate)
            })
            .collect();
        let slow = state.slow;
        drop(state);
        async move {
            if slow.is_zero() {
                tokio::task::yield_now().await;
            } else {
                tokio::time::sleep(slow).await;
            }
            outcomes
        }
        .boxed()
    }
}

fn outcome(fate: &Fate) -> Outcome {
    let reason = "as the test says".to_owned();
    match fate {
        Fate::Taken => Outcome::Accepted,
        Fate::Fails => Outcome::Retry { reason, after: None },
        Fate::Refused => Outcome::Refused { reason },
        Fate::Away | Fate::TakenAndSilent => Outcome::Unavailable { reason, after: None },
        Fate::AwayForAWhile => Outcome::Unavailable {
            reason,
            after: Some(Duration::from_secs(1)),
        },
    }
}
