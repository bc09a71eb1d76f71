//! A plugin that is one function of one change: what its parameters may be, and what it may answer.
//!
//! ```text
//! parameter          comes from                       read
//! ─────────          ──────────                       ────
//! Option<&str>       #[new("/status")] and the like   once for the whole batch
//! Option<f64>        the same                         once for the whole batch
//! Option<&Value>     the same                         once for the whole batch
//! OnDemand           the same                         once for each change that asks
//! Operation          its type                         once for the whole batch
//! Facts              its type                         once for each change that asks
//! ```
//!
//! # Invariants
//!
//! - A function sees one change. It cannot depend on how changes were put together, which the contract forbids.

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::value::RawValue;
use serde_path_to_error::Segment;

use crate::{Batch, ChangeMeta, ConfigProblem, Decisions, EmitError, Error, Field, Level, Operation, Value};

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

/// A field of the change that is read when it is asked for: for what few changes need.
#[derive(Clone, Copy, Debug)]
pub struct OnDemand<'batch> {
    batch: &'batch Batch,
    field: &'batch Field,
    index: usize,
}

impl OnDemand<'_> {
    /// The value. None where the field is absent.
    #[must_use]
    pub fn value(&self) -> Option<Value> {
        self.batch.get(self.index, self.field)
    }

    /// The value as plain JSON, as an event shows it. It goes into the detail of an output as it is.
    #[must_use]
    pub fn json(&self) -> Option<Box<RawValue>> {
        self.batch.json(self.index, self.field)
    }
}

/// Facts of the change beside its images.
#[derive(Clone, Copy, Debug)]
pub struct Facts<'batch> {
    batch: &'batch Batch,
    index: usize,
}

impl Facts<'_> {
    /// Event id, table, sequence number, time.
    #[must_use]
    pub fn meta(&self) -> ChangeMeta {
        self.batch.meta(self.index)
    }

    /// Declared paths that differ between the old and the new image, sorted.
    #[must_use]
    pub fn changed(&self) -> Vec<String> {
        self.batch.changed(self.index)
    }

    /// The time of the change, in milliseconds since 1970-01-01T00:00:00Z: the only clock there is.
    #[must_use]
    pub fn now_ms(&self) -> u64 {
        self.batch.now_ms(self.index)
    }

    /// The only randomness there is: comes from the change's event id.
    #[must_use]
    pub fn seed(&self) -> u64 {
        self.batch.seed(self.index)
    }

    /// Leaves a line with the plugin's log, tied to the change.
    pub fn log(&self, level: Level, message: &str) {
        self.batch.log(level, self.index, message);
    }
}

/// A type that a field of the change may have as a parameter. Only [`router`](macro@crate::router) names it.
#[doc(hidden)]
pub trait FromField<'batch> {
    type Column;

    fn column(batch: &Batch, field: &Field) -> Self::Column;

    fn at(batch: &'batch Batch, column: &'batch Self::Column, field: &'batch Field, index: usize) -> Self;
}

impl<'batch> FromField<'batch> for Option<&'batch str> {
    type Column = Vec<Option<String>>;

    fn column(batch: &Batch, field: &Field) -> Self::Column {
        batch.texts(field)
    }

    fn at(_: &'batch Batch, column: &'batch Self::Column, _: &'batch Field, index: usize) -> Self {
        column[index].as_deref()
    }
}

impl<'batch> FromField<'batch> for Option<f64> {
    type Column = Vec<Option<f64>>;

    fn column(batch: &Batch, field: &Field) -> Self::Column {
        batch.numbers(field)
    }

    fn at(_: &'batch Batch, column: &'batch Self::Column, _: &'batch Field, index: usize) -> Self {
        column[index]
    }
}

impl<'batch> FromField<'batch> for Option<&'batch Value> {
    type Column = Vec<Option<Value>>;

    fn column(batch: &Batch, field: &Field) -> Self::Column {
        batch.column(field)
    }

    fn at(_: &'batch Batch, column: &'batch Self::Column, _: &'batch Field, index: usize) -> Self {
        column[index].as_ref()
    }
}

impl<'batch> FromField<'batch> for OnDemand<'batch> {
    type Column = ();

    fn column(_: &Batch, _: &Field) -> Self::Column {}

    fn at(batch: &'batch Batch, (): &'batch Self::Column, field: &'batch Field, index: usize) -> Self {
        OnDemand { batch, field, index }
    }
}

/// A type that says by itself what of the change it is. Only [`router`](macro@crate::router) names it.
#[doc(hidden)]
pub trait FromChange<'batch> {
    type Column;

    fn column(batch: &Batch) -> Self::Column;

    fn at(batch: &'batch Batch, column: &'batch Self::Column, index: usize) -> Self;
}

impl<'batch> FromChange<'batch> for Operation {
    type Column = Vec<Operation>;

    fn column(batch: &Batch) -> Self::Column {
        batch.operations()
    }

    fn at(_: &'batch Batch, column: &'batch Self::Column, index: usize) -> Self {
        column[index]
    }
}

impl<'batch> FromChange<'batch> for Facts<'batch> {
    type Column = ();

    fn column(_: &Batch) -> Self::Column {}

    fn at(batch: &'batch Batch, (): &'batch Self::Column, index: usize) -> Self {
        Facts { batch, index }
    }
}

/// The configuration of a plugin that takes none: an empty object.
#[doc(hidden)]
#[derive(Debug, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NoConfig {}

/// Reads a configuration document, and says where it cannot be read.
#[doc(hidden)]
pub fn read_config<Config: DeserializeOwned>(config: &str) -> Result<Config, Vec<ConfigProblem>> {
    let mut document = serde_json::Deserializer::from_str(config);
    let read = serde_path_to_error::deserialize(&mut document);
    let read = read.map_err(|error| {
        let names = error.path().iter().filter_map(|segment| match segment {
            Segment::Seq { index } => Some(index.to_string()),
            Segment::Map { key } => Some(key.clone()),
            Segment::Enum { variant } => Some(variant.clone()),
            Segment::Unknown => None,
        });
        let names: Vec<String> = names.collect();
        let names = names.iter().map(String::as_str);
        vec![ConfigProblem::at(names, error.inner().to_string())]
    })?;
    let end = document.end();
    end.map_err(|error| vec![ConfigProblem::at([], error.to_string())])?;
    Ok(read)
}

#[cfg(test)]
mod tests {
    use expect_test::{Expect, expect};

    use super::*;

    #[track_caller]
    fn check<Config: DeserializeOwned + std::fmt::Debug>(config: &str, expect: Expect) {
        let shown = match read_config::<Config>(config) {
            Ok(config) => format!("{config:?}"),
            Err(problems) => format!("{:?} {}", problems[0].path, problems[0].message),
        };
        expect.assert_eq(&shown);
    }

    #[derive(Debug, serde::Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Settings {
        #[expect(dead_code, reason = "shown")]
        limits: Vec<f64>,
    }

    #[test]
    fn a_configuration_is_read_or_refused_at_its_place() {
        check::<Settings>(r#"{"limits": [1, 2.5]}"#, expect!["Settings { limits: [1.0, 2.5] }"]);
        check::<Settings>(
            r#"{"limits": [1, "2"]}"#,
            expect![[r#""/limits/1" invalid type: string "2", expected f64 at line 1 column 18"#]],
        );
        check::<Settings>(
            r#"{"limit": []}"#,
            expect![[r#""/limit" unknown field `limit`, expected `limits` at line 1 column 8"#]],
        );
        check::<Settings>(
            r#"{"limits": []} {}"#,
            expect![[r#""" trailing characters at line 1 column 16"#]],
        );
    }

    #[test]
    fn a_plugin_without_a_configuration_takes_an_empty_one() {
        check::<NoConfig>("{}", expect!["NoConfig"]);
        check::<NoConfig>(
            r#"{"limit": 1}"#,
            expect![[r#""/limit" unknown field `limit`, there are no fields at line 1 column 8"#]],
        );
    }

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
