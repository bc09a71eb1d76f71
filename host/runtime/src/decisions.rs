//! What a plugin decides, checked before anything is made of it: a call may return anything.
//!
//! # Invariants
//!
//! - Every change of a batch has exactly one answer: a decision, or the fault that it is set aside with.
//! - An output of a decision is an event that can be made: its detail is a JSON object.

use serde_json::{Map, Value};

use crate::Manifest;
use crate::bindings::exports::weir::plugin::routing::{Decisions, Verdict};

/// Longest detail of an output, in bytes: more than any sink takes.
const DETAIL_BYTES_MAX: usize = 1 << 20;

/// What a plugin answers about the changes of a batch, in order.
pub type Answers<Answer> = Vec<Result<Answer, Fault>>;

/// What a plugin decided about one change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Decision {
    /// The change itself is sent.
    pub keep: bool,
    /// Events that it made of it, in order.
    pub outputs: Vec<Output>,
}

/// One event that a plugin made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Output {
    /// The sink it is for; `None` means every sink of the route.
    pub sink: Option<String>,
    /// Its type.
    pub detail_type: String,
    /// Its detail.
    pub detail: Map<String, Value>,
}

/// Why there is no decision about one change: it is poison, or was rejected.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// What happened, for machines.
    pub code: FaultCode,
    /// What happened, for people.
    pub message: String,
    /// What the plugin logged about this change.
    pub log: String,
}

/// What can go wrong with one change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FaultCode {
    /// The plugin trapped.
    Trap,
    /// It used up its fuel: an endless loop, or too much work.
    Fuel,
    /// It asked for more memory than it may have.
    Memory,
    /// It returned an error.
    Error,
    /// It returned something that makes no sense: a missing verdict, an index outside the batch.
    Invalid,
    /// It rejected the change, with this code of its own.
    Rejected(String),
}

impl FaultCode {
    /// `plugin-trap`, `plugin-fuel`, ..., or the plugin's own code of a rejection.
    #[must_use]
    pub fn as_str(&self) -> &str {
        match self {
            Self::Trap => "plugin-trap",
            Self::Fuel => "plugin-fuel",
            Self::Memory => "plugin-memory",
            Self::Error => "plugin-error",
            Self::Invalid => "plugin-invalid",
            Self::Rejected(code) => code,
        }
    }
}

/// Checks what a call returned and sorts it by change.
pub(crate) fn read_decisions(
    decisions: Decisions,
    count: usize,
    manifest: &Manifest,
) -> Result<Answers<Decision>, String> {
    if decisions.verdicts.len() != count {
        return Err(format!("{} verdicts for {count} changes", decisions.verdicts.len()));
    }
    let mut answers: Answers<Decision> = Vec::with_capacity(count);
    let mut outputs = decisions.outputs.into_iter().peekable();
    let mut rejections = decisions.rejections.into_iter().peekable();
    for (index, verdict) in decisions.verdicts.iter().enumerate() {
        let mut own = Vec::new();
        while let Some(output) = outputs.next_if(|output| output.index as usize == index) {
            if let Some(sink) = output.sink.as_ref().filter(|sink| !manifest.sinks.contains(sink)) {
                return Err(format!(
                    "an output names the sink {sink:?}, which the manifest does not declare"
                ));
            }
            own.push(Output {
                sink: output.sink,
                detail_type: output.detail_type,
                detail: read_detail(&output.detail)?,
            });
        }
        let rejection = rejections.next_if(|rejection| rejection.index as usize == index);
        answers.push(match (verdict, rejection) {
            (Verdict::Reject, Some(rejection)) if own.is_empty() => Err(Fault {
                code: FaultCode::Rejected(rejection.code),
                message: rejection.message,
                log: String::new(),
            }),
            (Verdict::Reject, _) => return Err(format!("change {index} is rejected without exactly one rejection")),
            (_, Some(_)) => return Err(format!("change {index} has a rejection but is not rejected")),
            (Verdict::Keep, None) => Ok(Decision {
                keep: true,
                outputs: own,
            }),
            (Verdict::Replace, None) => Ok(Decision {
                keep: false,
                outputs: own,
            }),
            (Verdict::Drop, None) if own.is_empty() => Ok(Decision {
                keep: false,
                outputs: own,
            }),
            (Verdict::Drop, None) => return Err(format!("change {index} is dropped but has outputs")),
        });
    }
    if outputs.next().is_some() || rejections.next().is_some() {
        return Err("outputs or rejections are not sorted by index, or are outside the batch".to_owned());
    }
    Ok(answers)
}

fn read_detail(text: &str) -> Result<Map<String, Value>, String> {
    if text.len() > DETAIL_BYTES_MAX {
        return Err(format!(
            "the detail of an output has {} bytes, at most {DETAIL_BYTES_MAX} are taken",
            text.len()
        ));
    }
    serde_json::from_str(text).map_err(|error| format!("the detail of an output must be a JSON object: {error}"))
}
