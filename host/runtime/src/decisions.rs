//! What a call returned, checked before anything is made of it: a plugin may return anything.

use crate::bindings::exports::weir::plugin::routing::{Decisions, Verdict};
use crate::{Decision, Fault, FaultCode, Manifest, Output};

/// Checks what a call returned and sorts it by change.
pub(crate) fn read_decisions(
    decisions: Decisions,
    count: usize,
    manifest: &Manifest,
) -> Result<Vec<Result<Decision, Fault>>, String> {
    if decisions.verdicts.len() != count {
        return Err(format!("{} verdicts for {count} changes", decisions.verdicts.len()));
    }
    let mut answers: Vec<Result<Decision, Fault>> = Vec::with_capacity(count);
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
                detail: output.detail,
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
