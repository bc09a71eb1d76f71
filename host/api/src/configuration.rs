//! What all processes of the ledger do, where an operator says so: sources, sinks and routes.
//!
//! # Invariants
//!
//! - What is applied was checked by the process that answers, and follows what whoever asked has seen, if they say what that was.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use futures_util::future::BoxFuture;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use sha2::{Digest as _, Sha256};

use crate::error::ApiError;
use crate::route::check_reason;
use crate::server::Answers;

/// Kinds of sections, in the order of the configuration file.
const KINDS: [&str; 3] = ["source", "sink", "route"];

/// Digits that name a plan.
const PLAN_DIGITS: usize = 16;

/// Checks for the process that answers what it is told to do. A definition is `{"source": {}, "sink": {}, "route": {}}`, each with
/// sections by name, as the configuration file has them.
pub trait Configure: Send + Sync + 'static {
    /// What the process does.
    fn does(&self) -> Value;

    /// What the process's own file says now.
    ///
    /// # Errors
    ///
    /// What is wrong with it.
    fn own(&self) -> Result<Value, String>;

    /// The definition with all that it leaves out, in the one form that it has.
    ///
    /// # Errors
    ///
    /// What is wrong with it.
    fn read(&self, definition: Value) -> Result<Value, String>;

    /// Whether the process can do a definition that was read, or what its own file says; else what is wrong with it.
    fn check(self: Arc<Self>, definition: Option<Value>) -> BoxFuture<'static, Result<(), String>>;
}

/// Body of `POST /v1/configuration`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ApplyRequest {
    /// What all processes do from now on; `null`: what each process's own file says. It has to be said.
    pub definition: Value,
    /// Change nothing, tell the plan.
    #[serde(default)]
    pub dry_run: bool,
    /// Name of a plan: nothing is applied where the plan is another one now.
    #[serde(default)]
    pub expect: Option<String>,
    /// Why. Recorded.
    #[serde(default)]
    pub reason: String,
}

/// Answer of `POST /v1/configuration`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Applied {
    /// Number of the configuration that counts now; 0 where nothing was ever applied.
    pub number: u32,
    /// Whether that was applied now.
    pub applied: bool,
    /// What differs.
    pub steps: Vec<PlanStep>,
    /// Names what counted before, and what is to count: 16 hexadecimal digits.
    pub plan: String,
}

/// A section that differs. Where processes do what their own files say, it is told of the process that answers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlanStep {
    /// `source`, `sink` or `route`.
    pub kind: String,
    /// Its name.
    pub name: String,
    /// How.
    pub change: PlanChange,
    /// Keys of it that differ, for one that changes.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub keys: Vec<String>,
}

/// How a section differs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum PlanChange {
    /// It is new.
    Added,
    /// It says something else.
    Changed,
    /// It goes.
    Removed,
}

/// Answer of `GET /v1/configuration`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Configuration {
    /// Number of what was applied last; 0 where nothing was.
    pub number: u32,
    /// When.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub applied_at: Option<Timestamp>,
    /// What all processes do; absent where each does what its own file says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub definition: Option<Value>,
}

/// `GET /v1/configuration`
pub(crate) async fn show(State(answers): State<Answers>) -> Result<Json<Configuration>, ApiError> {
    Ok(Json(newest(&answers).await?))
}

/// `POST /v1/configuration`
pub(crate) async fn apply(
    State(answers): State<Answers>,
    Json(request): Json<ApplyRequest>,
) -> Result<Json<Applied>, ApiError> {
    check_reason(&request.reason)?;
    let Some(configure) = answers.configure.clone() else {
        let message = "this Weir does what its own file says: `weir dev` takes nothing else";
        return Err(ApiError::new(StatusCode::CONFLICT, "own-file", message));
    };
    let before = newest(&answers).await?;
    let bad = |problem: String| refused("bad-configuration", problem);
    let definition = match request.definition {
        Value::Null => None,
        definition => Some(configure.read(definition).map_err(bad)?),
    };
    if let Some(definition) = &definition {
        // In the form that is applied: what is looked at is what is done.
        check_trust(&answers, definition).await?;
    }
    {
        let _place = answers.gate.enter().await;
        let checked = Arc::clone(&configure).check(definition.clone()).await;
        checked.map_err(bad)?;
    }
    let is_other = definition != before.definition;
    let active = before.definition.unwrap_or_else(|| configure.does());
    let wanted = definition.clone().map_or_else(|| configure.own(), Ok).map_err(bad)?;
    let text = definition.as_ref().map(Value::to_string);
    let plan = plan_name(before.number, text.as_deref());
    if request.expect.as_ref().is_some_and(|expected| *expected != plan) {
        let message = format!("the plan is {plan} now: look at it with --dry-run, and apply that");
        return Err(ApiError::new(StatusCode::CONFLICT, "other-plan", message));
    }
    let mut applied = Applied {
        number: before.number,
        applied: false,
        steps: steps(&active, &wanted),
        plan,
    };
    // What processes do that were told to do what their own files say is what those said then.
    let is_news = is_other || (definition.is_none() && !applied.steps.is_empty());
    if !request.dry_run && is_news {
        let (ledger, now) = (&answers.ledger, Timestamp::now());
        let number = ledger.apply_configuration(before.number, text.as_deref(), &request.reason, now);
        applied.number = number.await?.ok_or_else(|| {
            let message = "somebody else applied a configuration just now: look at the plan again with --dry-run";
            ApiError::new(StatusCode::CONFLICT, "other-plan", message)
        })?;
        applied.applied = true;
    }
    Ok(Json(applied))
}

async fn newest(answers: &Answers) -> Result<Configuration, ApiError> {
    let Some(applied) = answers.ledger.configuration().await? else {
        return Ok(Configuration {
            number: 0,
            applied_at: None,
            definition: None,
        });
    };
    let definition = applied.definition.as_deref().map(serde_json::from_str).transpose();
    Ok(Configuration {
        number: applied.number,
        applied_at: Some(applied.applied_at),
        definition: definition.map_err(|error| ApiError::unavailable(&error))?,
    })
}

/// Plugins were uploaded to this ledger, and where keys are trusted one of them signed each.
async fn check_trust(answers: &Answers, definition: &Value) -> Result<(), ApiError> {
    let sections = |kind: &str| definition[kind].as_object().into_iter().flat_map(Map::values);
    let plugins = sections("route").map(|route| &route["plugin"]);
    let annotators = sections("source").map(|source| &source["annotator"]);
    for plugin in plugins.chain(annotators).filter_map(Value::as_str) {
        let digest = plugin
            .strip_prefix("sha256:")
            .and_then(|digits| hex::decode(digits).ok());
        let uploads = match digest.and_then(|digest| digest.try_into().ok()) {
            Some(digest) => answers.ledger.uploads_of(&[digest]).await?,
            None => Vec::new(),
        };
        if uploads.is_empty() {
            let message = format!(
                "the plugin {plugin:?} is none that was uploaded: push it with `weir plugin push`, and name it by its digest, as \
                 \"sha256:...\""
            );
            return Err(refused("unknown-plugin", message));
        }
        answers.gate.check_trust(&uploads)?;
    }
    Ok(())
}

fn refused(code: &'static str, message: impl Into<String>) -> ApiError {
    ApiError::new(StatusCode::UNPROCESSABLE_ENTITY, code, message)
}

/// Sections that differ, by kind and name.
fn steps(before: &Value, after: &Value) -> Vec<PlanStep> {
    let nothing = Map::new();
    let mut steps = Vec::new();
    for kind in KINDS {
        let sections = |of: &Value| of[kind].as_object().cloned().unwrap_or_else(|| nothing.clone());
        let (earlier, later) = (sections(before), sections(after));
        let mut names: Vec<&String> = earlier.keys().chain(later.keys()).collect();
        names.sort_unstable();
        names.dedup();
        for name in names {
            let (change, keys) = match (earlier.get(name), later.get(name)) {
                (None, _) => (PlanChange::Added, Vec::new()),
                (_, None) => (PlanChange::Removed, Vec::new()),
                (Some(one), Some(other)) if one == other => continue,
                (Some(one), Some(other)) => (PlanChange::Changed, differing(one, other)),
            };
            steps.push(PlanStep {
                kind: kind.to_owned(),
                name: name.clone(),
                change,
                keys,
            });
        }
    }
    steps
}

/// Keys whose values differ; what is null is not there.
fn differing(one: &Value, other: &Value) -> Vec<String> {
    let keys = [one, other]
        .into_iter()
        .filter_map(Value::as_object)
        .flat_map(Map::keys);
    let mut keys: Vec<String> = keys.filter(|key| one[*key] != other[*key]).cloned().collect();
    keys.sort_unstable();
    keys.dedup();
    keys
}

fn plan_name(number: u32, text: Option<&str>) -> String {
    let mut hash = Sha256::new_with_prefix(b"weir/plan/v1\0");
    hash.update(number.to_be_bytes());
    hash.update([u8::from(text.is_some())]);
    hash.update(text.unwrap_or_default());
    hex::encode(hash.finalize())[..PLAN_DIGITS].to_owned()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_plan_tells_each_section_that_differs_and_what_of_it() {
        let before = json!({
            "source": { "shop": { "table": "orders" } },
            "sink": { "bus": { "type": "log", "file": "a", "rate": null }, "old": { "type": "log" } },
        });
        let after = json!({
            "source": { "shop": { "table": "orders" } },
            "sink": { "bus": { "type": "log", "file": "b" } },
            "route": { "all": { "source": "shop" } },
        });
        let told: Vec<_> = steps(&before, &after)
            .into_iter()
            .map(|step| (step.kind, step.name, step.change, step.keys.join(" ")))
            .collect();
        let step =
            |kind: &str, name: &str, change, keys: &str| (kind.to_owned(), name.to_owned(), change, keys.to_owned());
        assert_eq!(
            told,
            [
                step("sink", "bus", PlanChange::Changed, "file"),
                step("sink", "old", PlanChange::Removed, ""),
                step("route", "all", PlanChange::Added, ""),
            ]
        );
    }

    #[test]
    fn a_plan_is_named_by_what_counted_and_what_is_to_count() {
        let names = [(1, Some("a")), (2, Some("a")), (1, Some("b")), (1, Some("")), (1, None)];
        let names = names.map(|(number, text)| plan_name(number, text));
        assert!(names.iter().all(|name| name.len() == PLAN_DIGITS));
        for (index, name) in names.iter().enumerate() {
            assert!(!names[index + 1..].contains(name), "{names:?}");
        }
    }
}
