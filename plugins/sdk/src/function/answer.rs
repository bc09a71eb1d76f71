//! What a function may answer about a change, and how that becomes a decision of the batch.
//!
//! # Invariants
//!
//! - An answer holds nothing of the batch: it is complete when the function returns.

use serde::Serialize;
use serde_json::value::RawValue;

use crate::{Decisions, EmitError, Error};

/// What a function decided about one change: [`keep`](Self::keep), [`drop`](Self::drop), [`replace`](Self::replace) or
/// [`reject`](Self::reject) it, and what is sent besides.
#[derive(Debug)]
#[must_use]
pub struct Decision {
    ruling: Ruling,
    outputs: Vec<Output>,
}

#[derive(Debug)]
enum Ruling {
    Keep,
    Replace,
    Drop,
    Reject { code: String, message: String },
}

#[derive(Debug)]
struct Output {
    sink: Option<String>,
    detail_type: String,
    /// Serialised at once, so that a decision borrows nothing. A failure is told when the decision is taken.
    detail: Result<Box<RawValue>, serde_json::Error>,
}

impl Decision {
    /// Sends the change as it is, and the outputs.
    pub fn keep() -> Self {
        Self::of(Ruling::Keep)
    }

    /// Sends nothing of the change, not even outputs.
    pub fn drop() -> Self {
        Self::of(Ruling::Drop)
    }

    /// Sends the outputs, and not the change.
    pub fn replace() -> Self {
        Self::of(Ruling::Replace)
    }

    /// Sends nothing of the change and sets it aside for people to look at.
    ///
    /// `code` is stable and for machines (`total-missing`); `message` is for people.
    pub fn reject(code: impl Into<String>, message: impl Into<String>) -> Self {
        Self::of(Ruling::Reject {
            code: code.into(),
            message: message.into(),
        })
    }

    /// Adds an event to every sink of the route. The detail is a JSON object; anything else fails the change.
    pub fn emit(self, detail_type: &str, detail: &impl Serialize) -> Self {
        self.push(None, detail_type, detail)
    }

    /// Like [`emit`](Self::emit), to one sink, which `#[router(sinks = ["..."])]` names.
    pub fn emit_to(self, sink: &str, detail_type: &str, detail: &impl Serialize) -> Self {
        self.push(Some(sink.to_owned()), detail_type, detail)
    }

    fn of(ruling: Ruling) -> Self {
        Self {
            ruling,
            outputs: Vec::new(),
        }
    }

    fn push(mut self, sink: Option<String>, detail_type: &str, detail: &impl Serialize) -> Self {
        self.outputs.push(Output {
            sink,
            detail_type: detail_type.to_owned(),
            detail: serde_json::value::to_raw_value(detail),
        });
        self
    }
}

/// What a function may answer: a [`Decision`]; a `bool`, true to keep and false to drop; or a `Result` of either, whose
/// error fails the change.
pub trait Answer {
    /// Writes it down.
    ///
    /// # Errors
    ///
    /// It is an error, or has an output that is no JSON object.
    fn decide(self, index: usize, decisions: &mut Decisions) -> Result<(), Error>;
}

impl Answer for bool {
    fn decide(self, index: usize, decisions: &mut Decisions) -> Result<(), Error> {
        if !self {
            decisions.drop(index);
        }
        Ok(())
    }
}

impl Answer for Decision {
    fn decide(self, index: usize, decisions: &mut Decisions) -> Result<(), Error> {
        for Output {
            sink,
            detail_type,
            detail,
        } in self.outputs
        {
            let detail = match detail {
                Ok(detail) => detail,
                Err(source) => return Err(EmitError::NotJson { detail_type, source }.into()),
            };
            match sink {
                Some(sink) => decisions.emit_to(&sink, index, &detail_type, &detail)?,
                None => decisions.emit(index, &detail_type, &detail)?,
            }
        }
        match self.ruling {
            Ruling::Keep => decisions.keep(index),
            Ruling::Replace => decisions.replace(index),
            Ruling::Drop => decisions.drop(index),
            Ruling::Reject { code, message } => decisions.reject(index, code, message),
        }
        Ok(())
    }
}

impl<Right: Answer, Wrong: Into<Error>> Answer for Result<Right, Wrong> {
    fn decide(self, index: usize, decisions: &mut Decisions) -> Result<(), Error> {
        self.map_err(Into::into)?.decide(index, decisions)
    }
}

#[cfg(test)]
mod tests {
    use expect_test::{Expect, expect};

    use super::*;

    /// What is sent of one change that a function answered so.
    #[track_caller]
    fn sent(answer: impl Answer, expect: Expect) {
        let mut decisions = Decisions::new(1);
        let shown = match answer.decide(0, &mut decisions) {
            Ok(()) => format!("{:?}", decisions.into_contract()),
            Err(error) => format!("fails: {error}"),
        };
        expect.assert_eq(&shown);
    }

    #[test]
    fn an_answer_is_a_truth_a_decision_or_an_error() {
        sent(
            true,
            expect!["Decisions { verdicts: [Verdict::Keep], outputs: [], rejections: [] }"],
        );
        sent(
            false,
            expect!["Decisions { verdicts: [Verdict::Drop], outputs: [], rejections: [] }"],
        );
        sent(
            Decision::replace().emit("small", &serde_json::json!({"id": 1})),
            expect![[
                r#"Decisions { verdicts: [Verdict::Replace], outputs: [Output { index: 0, sink: None, detail-type: "small", detail: "{\"id\":1}" }], rejections: [] }"#
            ]],
        );
        sent(
            Decision::keep().emit("list", &[1]),
            expect![[r#"fails: the detail of "list" is not a JSON object"#]],
        );
        sent(Err::<bool, _>("no such plan"), expect!["fails: no such plan"]);
    }
}
