//! What a plugin answers about a change, at whichever hook it is called.

use std::sync::Arc;

use serde_json::{Value, json};
use weir_evidence::{LedgerSecret, is_hash};
use weir_model::{AttributeValue, AttributedChange, Change, Item, Path, plain_json};
use weir_pipeline::redact;
use weir_runtime::{Annotation, Batch, Decision, Fault, FaultCode, Hook, HostError, Manifest, Measured};

use super::Loaded;

/// What is shown in the place of a hash: the key that makes it is the ledger's.
const HASH: &str = "hash";

/// An answer.
#[derive(Clone, Debug)]
pub(super) enum Answer {
    /// On a route.
    Decision(Decision),
    /// At intake, with what is left of the change.
    Annotation(Annotation, Box<Change>),
}

impl Loaded {
    /// What it answers about one change, and what that took.
    pub(super) async fn measure(
        &self,
        change: AttributedChange,
        config: &str,
        manifest: &Arc<Manifest>,
    ) -> anyhow::Result<Measured<Answer>> {
        match self.plugin.hook() {
            Hook::Route => {
                let measured = self.plugin.measure(change, config, manifest).await?;
                Ok(answered(measured, |decision| Ok(Answer::Decision(decision))))
            }
            Hook::Intake => {
                let left = change.change.clone();
                let measured = self.plugin.measure_annotation(change, config, manifest).await?;
                Ok(answered(measured, |annotation| annotated(annotation, left)))
            }
        }
    }

    /// The first change about which it answers otherwise in another batch, or alone.
    pub(super) async fn unsteady(
        &self,
        batch: &Batch,
        config: &str,
        manifest: &Arc<Manifest>,
    ) -> anyhow::Result<Option<usize>> {
        let unsteady = match self.plugin.hook() {
            Hook::Route => {
                let probed = self.plugin.probe(batch, config, manifest).await;
                probed.map(|probed| probed.unsteady)
            }
            Hook::Intake => {
                let probed = self.plugin.probe_annotations(batch, config, manifest).await;
                probed.map(|probed| probed.unsteady)
            }
        };
        match unsteady {
            // Cases about nothing but failures are too dear together; each alone has an answer.
            Err(HostError::TooMuchPoison) => Ok(None),
            unsteady => Ok(unsteady?),
        }
    }

    /// Calls it with a batch, and counts the changes that it fails on or rejects.
    pub(super) async fn faults(&self, batch: Batch, config: &str, manifest: &Arc<Manifest>) -> anyhow::Result<usize> {
        Ok(match self.plugin.hook() {
            Hook::Route => count(&self.plugin.route(batch, config, manifest).await?),
            Hook::Intake => count(&self.plugin.annotate(batch, config, manifest).await?),
        })
    }
}

fn count<T>(answers: &[Result<T, Fault>]) -> usize {
    answers.iter().filter(|answer| answer.is_err()).count()
}

fn answered<T>(measured: Measured<T>, read: impl FnOnce(T) -> Result<Answer, Fault>) -> Measured<Answer> {
    Measured {
        answer: measured.answer.and_then(read),
        log: measured.log,
        fuel: measured.fuel,
        memory_bytes: measured.memory_bytes,
    }
}

fn annotated(annotation: Annotation, mut change: Change) -> Result<Answer, Fault> {
    redact(&LedgerSecret::new(&[0; 32]), &mut change, &annotation.redactions)?;
    let images = [Some(&mut change.keys), change.old.as_mut(), change.new.as_mut()];
    images.into_iter().flatten().for_each(show_hashes);
    Ok(Answer::Annotation(annotation, Box::new(change)))
}

fn show_hashes(image: &mut Item) {
    Path::ALL.replace(image, &|value| Some(shown(value)));
}

fn shown(value: &AttributeValue) -> AttributeValue {
    match value {
        value if is_hash(value) => AttributeValue::text(HASH),
        AttributeValue::M(map) => {
            let mut map = map.clone();
            show_hashes(&mut map);
            AttributeValue::M(map)
        }
        AttributeValue::L(list) => AttributeValue::L(list.iter().map(shown).collect()),
        value => value.clone(),
    }
}

/// `keep`, `replace`, `drop`, `reject CODE`, `annotate`, or the code of a fault.
pub(super) fn verdict(answer: &Result<Answer, Fault>) -> String {
    match answer {
        Ok(Answer::Annotation(..)) => "annotate".to_owned(),
        Ok(Answer::Decision(decision)) if decision.keep => "keep".to_owned(),
        Ok(Answer::Decision(decision)) if decision.outputs.is_empty() => "drop".to_owned(),
        Ok(Answer::Decision(_)) => "replace".to_owned(),
        Err(fault) => match &fault.code {
            FaultCode::Rejected(code) => format!("reject {code}"),
            code => code.as_str().to_owned(),
        },
    }
}

/// Events that the plugin made.
pub(super) fn outputs_of(answer: &Result<Answer, Fault>) -> Vec<Value> {
    let Ok(Answer::Decision(decision)) = answer else {
        return Vec::new();
    };
    let outputs = decision.outputs.iter();
    outputs
        .map(|output| json!({"type": output.detail_type, "sink": output.sink, "detail": output.detail}))
        .collect()
}

/// What is said about the change, and what is left of it; nothing of a decision.
pub(super) fn annotation_of(answer: &Result<Answer, Fault>) -> Option<Value> {
    let Ok(Answer::Annotation(annotation, change)) = answer else {
        return None;
    };
    let redactions: Vec<String> = annotation.redactions.iter().map(ToString::to_string).collect();
    let tags: serde_json::Map<String, Value> = annotation
        .tags
        .iter()
        .map(|(name, value)| (name.clone(), Value::from(value.clone())))
        .collect();
    Some(json!({
        "actor": annotation.actor,
        "reason": annotation.reason,
        "tags": tags,
        "redactions": redactions,
        "becomes": {
            "key": plain_json(&change.keys),
            "old": change.old.as_ref().map(plain_json),
            "new": change.new.as_ref().map(plain_json),
        },
    }))
}
