//! Faults: calls that go wrong, before or after they took effect.
//!
//! ```text
//! call ──▶ fault before? ──▶ no answer, or an error      nothing happened
//!      └─▶ effect ──▶ fault after? ──▶ the same          it happened, and nobody was told
//! ```
//!
//! # Invariants
//!
//! - A queued fault strikes once for each time that was asked for, and the call that it strikes is counted off by no
//!   other fault.
//! - Records in an answer that did not arrive whole were not read.

use serde::{Deserialize, Serialize};

use crate::random::Random;

/// How a call goes wrong.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Fault {
    /// HTTP 500 with `InternalServerError` (`InternalFailure` from a sink).
    InternalServerError,
    /// HTTP 400 with `LimitExceededException`.
    LimitExceeded,
    /// HTTP 400 with `ThrottlingException`.
    Throttling,
    /// Another status and code.
    Error {
        /// The HTTP status.
        status: u16,
        /// The code of the error.
        code: String,
    },
    /// A status with no body: what stands before a service may say 413 in its place.
    Bare {
        /// The HTTP status.
        status: u16,
    },
    /// The connection is reset before anything is answered.
    Reset,
    /// Nothing is answered until the caller hangs up.
    Hang,
    /// The answer breaks off in the middle. It is always after the effect.
    Truncated,
    /// The answer comes, but later, by the wall clock.
    Delay {
        /// By how much.
        milliseconds: u64,
    },
}

/// A fault, and the calls that it strikes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FaultRule {
    /// The operation, `GetRecords` or `PutEvents`; any, if there is none.
    #[serde(default)]
    pub operation: Option<String>,
    /// The shard that the call asks for; any, if there is none.
    #[serde(default)]
    pub shard: Option<String>,
    /// How it goes wrong.
    pub fault: Fault,
    /// It takes effect first.
    #[serde(default)]
    pub after_effect: bool,
    /// Calls that go well before.
    #[serde(default)]
    pub skip: u32,
    /// Calls that it strikes then.
    #[serde(default = "once")]
    pub times: u32,
    /// Strikes each call with this probability, until faults are cleared; `skip` and `times` do not count then.
    #[serde(default)]
    pub probability: Option<f64>,
}

fn once() -> u32 {
    1
}

impl FaultRule {
    /// Strikes the next call of an operation, before it takes effect.
    #[must_use]
    pub fn next(operation: &str, fault: Fault) -> Self {
        Self {
            operation: Some(operation.to_owned()),
            shard: None,
            fault,
            after_effect: false,
            skip: 0,
            times: 1,
            probability: None,
        }
    }

    /// Strikes any call with a probability, until faults are cleared.
    #[must_use]
    pub fn random(probability: f64, fault: Fault) -> Self {
        Self {
            operation: None,
            probability: Some(probability),
            ..Self::next("", fault)
        }
    }

    /// After it took effect.
    #[must_use]
    pub fn after_effect(self) -> Self {
        Self {
            after_effect: true,
            ..self
        }
    }

    /// Only for a shard.
    #[must_use]
    pub fn on_shard(self, shard: &str) -> Self {
        Self {
            shard: Some(shard.to_owned()),
            ..self
        }
    }

    /// After so many calls that go well.
    #[must_use]
    pub fn skip(self, skip: u32) -> Self {
        Self { skip, ..self }
    }

    /// So many times.
    #[must_use]
    pub fn times(self, times: u32) -> Self {
        Self { times, ..self }
    }

    fn is_for(&self, operation: &str, shard: Option<&str>) -> bool {
        let operation_fits = self.operation.as_ref().is_none_or(|asked| asked == operation);
        let shard_fits = self.shard.as_ref().is_none_or(|asked| Some(asked.as_str()) == shard);
        operation_fits && shard_fits
    }
}

/// What strikes a call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Strike {
    pub(crate) fault: Fault,
    pub(crate) after_effect: bool,
}

/// The faults to come.
#[derive(Debug, Default)]
pub(crate) struct FaultTable {
    rules: Vec<FaultRule>,
}

impl FaultTable {
    pub(crate) fn add(&mut self, rule: FaultRule) {
        self.rules.push(rule);
    }

    pub(crate) fn clear(&mut self) {
        self.rules.clear();
    }

    /// Those that still wait for their call, and those that are drawn.
    pub(crate) fn waiting(&self) -> Vec<FaultRule> {
        let waiting = self.rules.iter().filter(|rule| rule.times > 0);
        waiting.cloned().collect()
    }

    /// What strikes this call: the first queued rule that is due, or else the first drawn one.
    pub(crate) fn strike(&mut self, operation: &str, shard: Option<&str>, random: &mut Random) -> Option<Strike> {
        self.rules.retain(|rule| rule.times > 0);
        let mut strike = None;
        let queued = self
            .rules
            .iter_mut()
            .filter(|rule| rule.probability.is_none() && rule.is_for(operation, shard));
        for rule in queued {
            if rule.skip > 0 {
                rule.skip -= 1;
            } else if strike.is_none() {
                rule.times -= 1;
                strike = Some(Strike::of(rule));
            }
        }
        if strike.is_some() {
            return strike;
        }
        let drawn = self.rules.iter().find(|rule| {
            let probability = rule.probability.unwrap_or_default();
            rule.is_for(operation, shard) && random.chance(probability)
        });
        drawn.map(Strike::of)
    }
}

impl Strike {
    fn of(rule: &FaultRule) -> Self {
        Self {
            fault: rule.fault.clone(),
            after_effect: rule.after_effect || rule.fault == Fault::Truncated,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn strikes(table: &mut FaultTable, calls: &[(&str, Option<&str>)]) -> Vec<bool> {
        let mut random = Random::new(1);
        let struck = calls
            .iter()
            .map(|(operation, shard)| table.strike(operation, *shard, &mut random));
        struck.map(|strike| strike.is_some()).collect()
    }

    #[test]
    fn a_fault_waits_for_its_call_and_strikes_as_often_as_asked() {
        let mut table = FaultTable::default();
        table.add(FaultRule::next("GetRecords", Fault::Reset).skip(1).times(2));
        let calls = ["GetRecords", "ListStreams", "GetRecords", "GetRecords", "GetRecords"].map(|name| (name, None));
        assert_eq!(strikes(&mut table, &calls), [false, false, true, true, false]);
    }

    #[test]
    fn a_fault_for_a_shard_leaves_other_shards_alone() {
        let mut table = FaultTable::default();
        table.add(FaultRule::next("GetRecords", Fault::Reset).on_shard("b"));
        let calls = [
            ("GetRecords", Some("a")),
            ("GetRecords", Some("b")),
            ("GetRecords", Some("b")),
        ];
        assert_eq!(strikes(&mut table, &calls), [false, true, false]);
    }
}
