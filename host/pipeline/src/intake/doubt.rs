//! What every answer of the service says for a while is believed; what one of them says may be wrong.
//!
//! An answer that leaves a shard out is followed by one that has it, sooner or later (streams.md 5, 6). Flink's reader asks up
//! to five times; the service gives no bound.
//!
//! # Invariants
//!
//! - Time is the service's, told by its answers: waiting for an answer, and being asleep between two, is no evidence.

use jiff::{SignedDuration, Timestamp};

/// Answers that have to agree, however far apart they are: a process that slept between two heard nothing.
const ANSWERS_MIN: u32 = 5;

/// Something that every answer said since one of them said it first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Doubt {
    since: Timestamp,
    answers: u32,
}

impl Doubt {
    /// One more answer says so.
    pub(super) fn more(before: Option<Self>, answered_at: Timestamp) -> Self {
        match before {
            Some(doubt) => Self {
                answers: doubt.answers.saturating_add(1),
                ..doubt
            },
            None => Self {
                since: answered_at,
                answers: 1,
            },
        }
    }

    /// Whether it is to be believed: enough answers said so, over this time.
    pub(super) fn is_settled(&self, answered_at: Timestamp, sure_after: SignedDuration) -> bool {
        self.answers >= ANSWERS_MIN && answered_at.duration_since(self.since) >= sure_after
    }

    /// When an answer said so first.
    pub(super) fn since(&self) -> Timestamp {
        self.since
    }

    /// Whether this is the first answer that says so.
    pub(super) fn is_new(&self) -> bool {
        self.answers == 1
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn second(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    /// Whether answers at these seconds settle a doubt that takes a minute.
    #[track_caller]
    fn check(answers: &[i64], settled: bool) {
        let doubt = answers
            .iter()
            .fold(None, |doubt, at| Some(Doubt::more(doubt, second(*at))));
        let last = second(*answers.last().unwrap());
        assert_eq!(
            doubt.unwrap().is_settled(last, SignedDuration::from_secs(60)),
            settled,
            "{answers:?}"
        );
    }

    /// streams.md 6: a second answer alone does not tell a trimmed parent from one that was left out.
    #[test]
    fn enough_answers_over_enough_of_the_services_time_are_believed() {
        check(&[0], false);
        check(&[0, 10, 20, 30, 59], false);
        check(&[0, 10, 20, 30, 60], true);
        // It slept in between.
        check(&[0, 1, 2, 3600], false);
        check(&[0, 1, 2, 3600, 3601], true);
    }
}
