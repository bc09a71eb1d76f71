//! What a plugin decides, in a shape that cannot break the contract.
//!
//! The contract wants three lists that agree with each other: a verdict for every change, a rejection for exactly the
//! rejected ones, outputs in order. A ruling holds its own rejection, and the lists are written down once, at the end.

use serde::Serialize;

use crate::bindings::exports::weir::plugin::routing;

/// One ruling for each change of a batch, and what is sent besides. Every change is kept until told otherwise.
///
/// The last ruling on a change counts. An index past the end of the batch panics.
#[derive(Debug)]
pub struct Decisions {
    rulings: Vec<Ruling>,
    outputs: Vec<routing::Output>,
}

/// Why an output was not taken. The decisions are as they were before.
#[derive(Debug, thiserror::Error)]
pub enum EmitError {
    /// The detail's `Serialize` failed, or a map in it has keys that are not text.
    #[error("the detail of {detail_type:?} cannot be written as JSON")]
    NotJson {
        detail_type: String,
        source: serde_json::Error,
    },

    /// Sinks and event patterns expect named fields.
    #[error("the detail of {detail_type:?} is not a JSON object")]
    NotAnObject { detail_type: String },
}

#[derive(Clone, Debug)]
enum Ruling {
    Keep,
    Replace,
    Drop,
    Reject { code: String, message: String },
}

impl Decisions {
    pub(crate) fn new(count: u32) -> Self {
        Self {
            rulings: vec![Ruling::Keep; count as usize],
            outputs: Vec::new(),
        }
    }

    /// Sends the change as it is, and its outputs.
    pub fn keep(&mut self, index: usize) {
        self.rulings[index] = Ruling::Keep;
    }

    /// Sends the outputs of the change, and not the change.
    pub fn replace(&mut self, index: usize) {
        self.rulings[index] = Ruling::Replace;
    }

    /// Sends nothing of the change, not even outputs that were emitted for it.
    pub fn drop(&mut self, index: usize) {
        self.rulings[index] = Ruling::Drop;
    }

    /// Sends nothing of the change and sets it aside for people to look at.
    ///
    /// `code` is stable and for machines (`total-missing`); `message` is for people.
    pub fn reject(&mut self, index: usize, code: impl Into<String>, message: impl Into<String>) {
        self.rulings[index] = Ruling::Reject {
            code: code.into(),
            message: message.into(),
        };
    }

    /// Adds an event to every sink of the route. The events of one change are sent in the order of these calls.
    ///
    /// # Errors
    ///
    /// The detail is not a JSON object.
    pub fn emit(&mut self, index: usize, detail_type: &str, detail: &impl Serialize) -> Result<(), EmitError> {
        self.push_output(index, None, detail_type, detail)
    }

    /// Like [`emit`](Self::emit), to one sink. The manifest declares the sink.
    ///
    /// # Errors
    ///
    /// The detail is not a JSON object.
    pub fn emit_to(
        &mut self,
        sink: &str,
        index: usize,
        detail_type: &str,
        detail: &impl Serialize,
    ) -> Result<(), EmitError> {
        self.push_output(index, Some(sink.to_owned()), detail_type, detail)
    }

    fn push_output(
        &mut self,
        index: usize,
        sink: Option<String>,
        detail_type: &str,
        detail: &impl Serialize,
    ) -> Result<(), EmitError> {
        let count = self.rulings.len();
        assert!(index < count, "there is no change {index} in a batch of {count}");
        let detail_type = detail_type.to_owned();
        let detail = match serde_json::to_string(detail) {
            Ok(detail) if detail.starts_with('{') => detail,
            Ok(_) => return Err(EmitError::NotAnObject { detail_type }),
            Err(source) => return Err(EmitError::NotJson { detail_type, source }),
        };
        self.outputs.push(routing::Output {
            index: wire_index(index),
            sink,
            detail_type,
            detail,
        });
        Ok(())
    }

    pub(crate) fn into_contract(self) -> routing::Decisions {
        let Self { rulings, mut outputs } = self;
        outputs.retain(|output| matches!(rulings[output.index as usize], Ruling::Keep | Ruling::Replace));
        // Stable: the outputs of one change stay in the order in which they were emitted.
        outputs.sort_by_key(|output| output.index);

        let mut verdicts = Vec::with_capacity(rulings.len());
        let mut rejections = Vec::new();
        for (index, ruling) in rulings.into_iter().enumerate() {
            verdicts.push(match ruling {
                Ruling::Keep => routing::Verdict::Keep,
                Ruling::Replace => routing::Verdict::Replace,
                Ruling::Drop => routing::Verdict::Drop,
                Ruling::Reject { code, message } => {
                    rejections.push(routing::Rejection {
                        index: wire_index(index),
                        code,
                        message,
                    });
                    routing::Verdict::Reject
                }
            });
        }
        routing::Decisions {
            verdicts,
            outputs,
            rejections,
        }
    }
}

fn wire_index(index: usize) -> u32 {
    u32::try_from(index).expect("a batch is counted in 32 bits")
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::fmt::Write;

    use expect_test::{Expect, expect};

    use super::*;

    #[track_caller]
    fn check(count: u32, decide: impl FnOnce(&mut Decisions), expect: Expect) {
        let mut decisions = Decisions::new(count);
        decide(&mut decisions);
        let decisions = decisions.into_contract();
        let mut shown = format!("{:?}\n", decisions.verdicts);
        for routing::Output {
            index,
            sink,
            detail_type,
            detail,
        } in decisions.outputs
        {
            let sink = sink.unwrap_or_else(|| "every sink".to_owned());
            writeln!(shown, "{index} {detail_type} to {sink}: {detail}").unwrap();
        }
        for routing::Rejection { index, code, message } in decisions.rejections {
            writeln!(shown, "{index} {code}: {message}").unwrap();
        }
        expect.assert_eq(&shown);
    }

    fn detail(number: u32) -> BTreeMap<&'static str, u32> {
        BTreeMap::from([("number", number)])
    }

    #[test]
    fn what_is_not_mentioned_is_kept() {
        check(
            2,
            |_| {},
            expect![[r#"
                [Verdict::Keep, Verdict::Keep]
            "#]],
        );
    }

    #[test]
    fn outputs_and_rejections_are_in_order_however_they_were_made() {
        check(
            4,
            |decisions| {
                decisions.reject(3, "late", "too late");
                decisions.emit(2, "second", &detail(2)).unwrap();
                decisions.emit_to("audit", 0, "first", &detail(0)).unwrap();
                decisions.emit(2, "third", &detail(3)).unwrap();
                decisions.reject(1, "early", "too early");
                decisions.replace(2);
            },
            expect![[r#"
                [Verdict::Keep, Verdict::Reject, Verdict::Replace, Verdict::Reject]
                0 first to audit: {"number":0}
                2 second to every sink: {"number":2}
                2 third to every sink: {"number":3}
                1 early: too early
                3 late: too late
            "#]],
        );
    }

    #[test]
    fn the_last_ruling_counts_and_a_dropped_change_sends_nothing() {
        check(
            2,
            |decisions| {
                decisions.reject(0, "wrong", "never mind");
                decisions.keep(0);
                decisions.emit(1, "lost", &detail(1)).unwrap();
                decisions.drop(1);
            },
            expect![[r#"
                [Verdict::Keep, Verdict::Drop]
            "#]],
        );
    }

    #[test]
    fn a_detail_that_is_no_object_is_refused() {
        let error = Decisions::new(1).emit(0, "list", &[1, 2]).unwrap_err();
        expect![[r#"the detail of "list" is not a JSON object"#]].assert_eq(&error.to_string());
    }
}
