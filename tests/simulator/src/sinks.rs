//! Where a consumer sends on to: EventBridge, SNS, SQS. They keep what they accepted, in order.
//!
//! ```text
//! batch ──▶ too many? too large? ──▶ refused whole
//!       └─▶ entry by entry ──▶ fails, if that was asked for, or drawn
//!                          └─▶ kept, seen before (FIFO), or thrown away in silence
//! ```
//!
//! # Invariants
//!
//! - An entry that was answered as accepted is in the list, with what became of it.
//! - An entry that was answered as failed is not.

pub(crate) mod eventbridge;
pub(crate) mod form;
pub(crate) mod sns;
pub(crate) mod sqs;

use std::collections::{BTreeMap, VecDeque};

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::random::Random;

/// Entries of a batch at most, in all three services.
pub(crate) const ENTRIES_MAX: usize = 10;

/// Bytes of a batch at most (EventBridge User Guide, "`PutEvents` entry size"; SNS API reference, `PublishBatch`). SQS
/// took as many for most of its life, and takes a megabyte now.
const BATCH_BYTES_MAX: usize = 256 * 1024;

/// How long a FIFO topic or queue knows a message again (SQS Developer Guide, "Exactly-once processing").
const DEDUPLICATION: SignedDuration = SignedDuration::from_mins(5);

/// Codes that entries fail with at random: those that are worth another attempt.
const RETRYABLE: [&str; 2] = ["ThrottlingException", "InternalFailure"];

/// How sinks behave.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct SinkSettings {
    /// Bytes of a `PutEvents` batch at most. Some accounts have 1 MB.
    pub eventbridge_bytes_max: usize,
    /// Bytes of a `PublishBatch` at most.
    pub sns_bytes_max: usize,
    /// Bytes of a `SendMessageBatch` at most.
    pub sqs_bytes_max: usize,
    /// A batch that is too large is answered with a 413 and nothing else.
    pub bare_413: bool,
    /// FIFO topics and queues know a message again for five minutes.
    pub deduplicates: bool,
    /// The probability with which an entry fails, in a way that is worth another attempt.
    pub entry_failure_probability: f64,
}

impl Default for SinkSettings {
    fn default() -> Self {
        Self {
            eventbridge_bytes_max: BATCH_BYTES_MAX,
            sns_bytes_max: BATCH_BYTES_MAX,
            sqs_bytes_max: BATCH_BYTES_MAX,
            bare_413: false,
            deduplicates: true,
            entry_failure_probability: 0.0,
        }
    }
}

/// An entry of a batch that fails, though the call does not.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EntryFailure {
    /// Its place in the batch, from 0.
    pub index: usize,
    /// The code that it fails with.
    pub code: String,
    /// The sender is to blame. EventBridge does not say.
    #[serde(default)]
    pub sender_fault: bool,
}

/// An entry that was answered as accepted.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Received {
    /// `PutEvents`, `PublishBatch` or `SendMessageBatch`.
    pub operation: String,
    /// The bus, the ARN of the topic or the URL of the queue.
    pub target: String,
    /// When.
    pub at: Timestamp,
    /// The id that was given to it.
    pub id: String,
    /// What became of it.
    pub fate: Fate,
    /// The entry as it was sent.
    pub entry: Value,
}

/// What became of an entry that was accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Fate {
    /// It goes on to receivers.
    Kept,
    /// It was known already, and is not sent on again.
    Duplicate,
    /// It was thrown away, and nobody was told.
    Discarded,
}

/// The sinks.
#[derive(Debug)]
pub(crate) struct Sinks {
    pub(crate) settings: SinkSettings,
    pub(crate) received: Vec<Received>,
    /// What fails in the next batches of an operation.
    failures: BTreeMap<String, VecDeque<Vec<EntryFailure>>>,
    /// When a FIFO target first saw a message.
    seen: BTreeMap<(String, String), (Timestamp, String)>,
    random: Random,
}

/// An entry of a batch, as far as all services have it.
pub(crate) struct Entry<'batch> {
    pub(crate) target: &'batch str,
    pub(crate) deduplication: Option<&'batch str>,
    pub(crate) is_discarded: bool,
    pub(crate) entry: &'batch Value,
}

impl Sinks {
    pub(crate) fn new(seed: u64) -> Self {
        Self {
            settings: SinkSettings::default(),
            received: Vec::new(),
            failures: BTreeMap::new(),
            seen: BTreeMap::new(),
            random: Random::new(seed),
        }
    }

    /// Lets entries of the next batch fail, or of the one after those that were asked for before.
    pub(crate) fn fail_entries(&mut self, operation: &str, failures: Vec<EntryFailure>) {
        self.failures
            .entry(operation.to_owned())
            .or_default()
            .push_back(failures);
    }

    pub(crate) fn calm(&mut self) {
        self.failures.clear();
        self.settings.entry_failure_probability = 0.0;
    }

    /// What fails in this batch.
    fn failures_of(&mut self, operation: &str, entries: usize) -> BTreeMap<usize, EntryFailure> {
        let queued = self.failures.get_mut(operation).and_then(VecDeque::pop_front);
        let queued = queued.unwrap_or_default().into_iter();
        let mut failures: BTreeMap<usize, EntryFailure> = queued.map(|failure| (failure.index, failure)).collect();
        for index in 0..entries {
            if self.random.chance(self.settings.entry_failure_probability) {
                let code = self.random.pick(&RETRYABLE).map_or("", |code| code);
                failures.entry(index).or_insert_with(|| EntryFailure {
                    index,
                    code: code.to_owned(),
                    sender_fault: false,
                });
            }
        }
        failures
    }

    /// Keeps an entry, and returns its id.
    fn accept(&mut self, operation: &str, entry: &Entry<'_>, now: Timestamp) -> String {
        let mut id = uuid(&mut self.random);
        let mut fate = if entry.is_discarded {
            Fate::Discarded
        } else {
            Fate::Kept
        };
        let deduplication = entry.deduplication.filter(|_| self.settings.deduplicates);
        if let Some(deduplication) = deduplication.filter(|_| entry.target.ends_with(".fifo")) {
            let key = (entry.target.to_owned(), deduplication.to_owned());
            match self.seen.get(&key) {
                Some((first, known)) if now.duration_since(*first) < DEDUPLICATION => {
                    id.clone_from(known);
                    fate = Fate::Duplicate;
                }
                _ => {
                    self.seen.insert(key, (now, id.clone()));
                }
            }
        }
        self.received.push(Received {
            operation: operation.to_owned(),
            target: entry.target.to_owned(),
            at: now,
            id: id.clone(),
            fate,
            entry: entry.entry.clone(),
        });
        id
    }

    /// The number that a FIFO target gave to the last entry: rising, 20 digits.
    fn sequence_number(&self) -> String {
        format!("{:020}", self.received.len())
    }
}

fn uuid(random: &mut Random) -> String {
    let hex = random.hex(30);
    format!(
        "{}-{}-4{}-8{}-{}",
        &hex[..8],
        &hex[8..12],
        &hex[12..15],
        &hex[15..18],
        &hex[18..30]
    )
}

fn text<'entry>(entry: &'entry Value, name: &str) -> Option<&'entry str> {
    entry.get(name).and_then(Value::as_str)
}
