//! Finds the changes on which a call fails: poison is what fails alone.
//!
//! ```text
//! 8 changes, call fails ─┬─ 4, decided
//!                        └─ 4, fails ─┬─ 2, decided
//!                                     └─ 2, fails ─┬─ 1, decided
//!                                                  └─ 1, fails: poison
//! ```
//!
//! # Invariants
//!
//! - Exactly the changes that fail alone are poison, whatever stands beside them.
//! - What the search takes is bounded, however much of the batch is poison and however long it takes to fail. A batch of one
//!   change is always answered.

use crate::plugin::CallError;
use crate::{Answers, Batch, HostError, Limits};

/// What one call used of its limits.
#[derive(Clone, Copy)]
pub(crate) struct Used {
    pub(crate) fuel: u64,
    pub(crate) read_bytes: usize,
}

/// One answer per change of `batch`, in order. `call` answers a part of it, or says why it cannot, and what that took.
pub(crate) fn answers<Answer>(
    batch: &Batch,
    limits: Limits,
    call: impl FnMut(&Batch) -> (Result<Answers<Answer>, CallError>, Used),
) -> Result<Answers<Answer>, HostError> {
    let mut search = Search {
        call,
        answers: Vec::new(),
        fuel_left: limits.fuel_max.saturating_mul(limits.search_calls_max.max(1).into()),
        read_bytes_left: limits
            .read_bytes_max
            .saturating_mul(limits.search_calls_max.max(1) as usize),
    };
    search.answer(batch)?;
    Ok(search.answers)
}

struct Search<Answer, Call> {
    call: Call,
    answers: Answers<Answer>,
    fuel_left: u64,
    read_bytes_left: usize,
}

impl<Answer, Call: FnMut(&Batch) -> (Result<Answers<Answer>, CallError>, Used)> Search<Answer, Call> {
    fn answer(&mut self, part: &Batch) -> Result<(), HostError> {
        if part.is_empty() {
            return Ok(());
        }
        let (answered, used) = (self.call)(part);
        self.spend(used)?;
        match answered {
            Ok(answers) if self.answers.is_empty() => self.answers = answers,
            Ok(answers) => self.answers.extend(answers),
            Err(CallError::Host(error)) => return Err(error),
            Err(CallError::Fault(fault)) if part.len() == 1 => self.answers.push(Err(fault)),
            Err(CallError::Fault(_)) => {
                let (first, second) = part.halves();
                self.answer(&first)?;
                self.answer(&second)?;
            }
        }
        Ok(())
    }

    fn spend(&mut self, used: Used) -> Result<(), HostError> {
        let fuel_left = self.fuel_left.checked_sub(used.fuel);
        let read_bytes_left = self.read_bytes_left.checked_sub(used.read_bytes);
        (self.fuel_left, self.read_bytes_left) = fuel_left.zip(read_bytes_left).ok_or(HostError::TooMuchPoison)?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Decision, Fault, FaultCode};
    use weir_model::AttributedChange;

    const CALL_FUEL: u64 = 100;

    fn batch(count: usize) -> Batch {
        let change = |number: usize| AttributedChange {
            change: weir_model::Change {
                sequence: weir_model::SequenceNumber::parse((number + 1).to_string()).unwrap(),
                event_id: weir_model::EventId::parse(format!("event-{number}")).unwrap(),
                table: "orders".to_owned(),
                operation: weir_model::Operation::Insert,
                created_at: jiff::Timestamp::UNIX_EPOCH,
                keys: weir_model::Item::new(),
                old: None,
                new: None,
                service: None,
            },
            who: weir_model::Who {
                actor: None,
                assurance: weir_model::Assurance::Unknown,
            },
        };
        Batch::new((0..count).map(change))
    }

    /// Searches `count` changes of which those for which `poison` holds use up a whole call's fuel, within so many calls.
    /// Tells the poison that was found, and how many calls that took.
    fn search(
        count: usize,
        poison: impl Fn(usize) -> bool,
        search_calls_max: u32,
    ) -> Result<(Vec<usize>, usize), HostError> {
        let limits = Limits {
            fuel_max: CALL_FUEL,
            search_calls_max,
            ..Limits::default()
        };
        let place = |change: &AttributedChange| change.change.sequence.as_str().parse::<usize>().unwrap() - 1;
        let mut calls = 0;
        let answers = answers(&batch(count), limits, |part| {
            calls += 1;
            let fails = part.changes().iter().any(|change| poison(place(change)));
            let fault = CallError::Fault(Fault {
                code: FaultCode::Fuel,
                message: "it loops".to_owned(),
                log: String::new(),
            });
            let keep = Decision {
                keep: true,
                outputs: Vec::new(),
            };
            let used = Used {
                fuel: if fails { CALL_FUEL } else { 0 },
                read_bytes: 0,
            };
            let answered = if fails {
                Err(fault)
            } else {
                Ok(vec![Ok(keep); part.len()])
            };
            (answered, used)
        })?;
        assert_eq!(answers.len(), count);
        let found = (0..count).filter(|place| answers[*place].is_err()).collect();
        Ok((found, calls))
    }

    #[test]
    fn one_that_loops_is_found_among_a_thousand_within_eleven_calls() {
        for place in [0, 1, 499, 500, 998, 999] {
            let (found, _) = search(1000, |other| other == place, 11).unwrap();
            assert_eq!(found, [place]);
        }
        assert!(matches!(
            search(1000, |other| other == 7, 10),
            Err(HostError::TooMuchPoison)
        ));
    }

    #[test]
    fn a_search_ends_at_its_limit_however_much_is_poison() {
        assert!(matches!(search(1000, |_| true, 40), Err(HostError::TooMuchPoison)));
        let (found, calls) = search(20, |_| true, 40).unwrap();
        assert_eq!((found.len(), calls), (20, 39));
    }

    #[test]
    fn one_change_by_itself_always_has_an_answer() {
        for search_calls_max in [0, 1] {
            assert_eq!(search(1, |_| true, search_calls_max).unwrap().0, [0]);
        }
    }
}
