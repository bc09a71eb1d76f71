//! Cases that a plugin is tried with: a file beside it.
//!
//! ```toml
//! config = { large_order = 500 }        # of every case that has none of its own
//!
//! [lookup.customers]                    # a table that the plugin looks things up in
//! c-1 = { segment = "vip" }
//!
//! [[case]]
//! name = "a large order is announced"
//! change = { new = { status = "placed", total = 700 } }
//! expect = "keep"                       # or drop, replace, "reject total-missing", "plugin-trap"
//! outputs = [{ type = "large-order", detail = { total = 700 } }]
//!
//! [[case]]
//! name = "who bought is nobody's business"     # of a plugin at intake; what is not there is not looked at
//! change = { new = { customer = "Ada", note = "ring twice" } }
//! expect = "annotate"
//! actor = "clerk/maria"
//! tags = { class = "personal" }
//! redactions = ["hash old /customer", "hash new /customer", "mask old /note", "mask new /note"]
//! becomes = { new = { customer = "hash", note = "***" } }
//! ```

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use anyhow::{Context as _, bail};
use serde::Deserialize;
use serde_json::{Value, json};
use weir_runtime::{Fault, LookupTable};

use super::Tables;
use super::answer::{Answer, annotation_of, outputs_of, verdict};
use crate::command::tried::same_number;

/// What the file of a plugin's folder is called.
pub(super) const FILE: &str = "cases.toml";

/// Cases of a plugin.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Cases {
    config: Option<Value>,
    #[serde(rename = "lookup", default)]
    lookups: BTreeMap<String, Value>,
    #[serde(rename = "case", default)]
    pub(super) cases: Vec<Case>,
}

/// A change, and what the plugin has to decide.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Case {
    pub(super) name: String,
    config: Option<Value>,
    pub(super) change: Value,
    expect: String,
    #[serde(default)]
    outputs: Vec<ExpectedOutput>,
    actor: Option<Value>,
    reason: Option<Value>,
    tags: Option<Value>,
    redactions: Option<Value>,
    becomes: Option<BTreeMap<String, Value>>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct ExpectedOutput {
    #[serde(rename = "type")]
    detail_type: String,
    sink: Option<String>,
    detail: Value,
}

impl Cases {
    pub(super) fn load(file: &Path) -> anyhow::Result<Self> {
        let text = std::fs::read_to_string(file).with_context(|| format!("{} cannot be read", file.display()))?;
        let cases = Self::parse(&text).with_context(|| format!("{} has no cases", file.display()))?;
        Ok(cases)
    }

    fn parse(text: &str) -> anyhow::Result<Self> {
        let cases: Self = toml::from_str(text)?;
        if cases.cases.is_empty() {
            bail!("it has no [[case]]");
        }
        Ok(cases)
    }

    /// The tables of all cases.
    pub(super) fn tables(&self) -> anyhow::Result<Tables> {
        let tables = self.lookups.iter().map(|(name, table)| {
            let table = LookupTable::parse(&table.to_string()).with_context(|| format!("[lookup.{name}]"))?;
            Ok((name.clone(), Arc::new(table)))
        });
        tables.collect()
    }

    /// The configuration of a case, JSON text.
    pub(super) fn config_of(&self, case: &Case) -> String {
        let config = case.config.as_ref().or(self.config.as_ref());
        config.map_or_else(|| "{}".to_owned(), Value::to_string)
    }
}

impl Case {
    /// What was expected and what came, if they differ.
    pub(super) fn difference(&self, answer: &Result<Answer, Fault>) -> Option<(Value, Value)> {
        let outputs = self
            .outputs
            .iter()
            .map(|output| json!({"type": output.detail_type, "sink": output.sink, "detail": output.detail}));
        let mut expected = json!({"expect": self.expect, "outputs": outputs.collect::<Vec<_>>()});
        let mut came = json!({"expect": verdict(answer), "outputs": outputs_of(answer)});
        let annotation = annotation_of(answer).unwrap_or_default();
        let said = [
            ("actor", &self.actor),
            ("reason", &self.reason),
            ("tags", &self.tags),
            ("redactions", &self.redactions),
        ];
        for (name, value) in said {
            if let Some(value) = value {
                expected[name] = value.clone();
                came[name] = annotation[name].clone();
            }
        }
        for (part, image) in self.becomes.iter().flatten() {
            expected[part] = image.clone();
            came[part] = annotation["becomes"][part].clone();
        }
        (!same(&expected, &came)).then_some((expected, came))
    }
}

/// Whether two documents say the same: a number is its value, so that 700 and 700.0 are one.
fn same(left: &Value, right: &Value) -> bool {
    match (left, right) {
        (Value::Number(left), Value::Number(right)) => same_number(left, right),
        (Value::Array(left), Value::Array(right)) => {
            left.len() == right.len() && left.iter().zip(right).all(|(left, right)| same(left, right))
        }
        (Value::Object(left), Value::Object(right)) => {
            let has = |(name, left): (&String, &Value)| right.get(name).is_some_and(|right| same(left, right));
            left.len() == right.len() && left.iter().all(has)
        }
        (left, right) => left == right,
    }
}

#[cfg(test)]
mod tests {
    use expect_test::expect;
    use weir_runtime::{Decision, FaultCode, Output};

    use super::*;

    fn case(text: &str) -> Case {
        let text = format!("[[case]]\nname = \"a\"\nchange = {{}}\n{text}");
        Cases::parse(&text).unwrap().cases.remove(0)
    }

    fn kept(detail: &str) -> Result<Answer, Fault> {
        let output = Output {
            sink: None,
            detail_type: "large-order".to_owned(),
            detail: serde_json::from_str(detail).unwrap(),
        };
        Ok(Answer::Decision(Decision {
            keep: true,
            outputs: vec![output],
        }))
    }

    #[test]
    fn a_case_expects_a_verdict_and_every_output() {
        let expects = case("expect = \"keep\"\noutputs = [{ type = \"large-order\", detail = { total = 700 } }]");
        assert_eq!(expects.difference(&kept(r#"{"total": 700.0}"#)), None);
        let (_, came) = expects.difference(&kept(r#"{"total": 701}"#)).unwrap();
        expect![[r#"{"expect":"keep","outputs":[{"detail":{"total":701},"sink":null,"type":"large-order"}]}"#]]
            .assert_eq(&came.to_string());
        // What is not expected is no less wrong than what is missing.
        assert!(case("expect = \"keep\"").difference(&kept("{}")).is_some());
    }

    #[test]
    fn a_rejection_is_expected_by_its_code() {
        let rejected = Err(Fault {
            code: FaultCode::Rejected("total-missing".to_owned()),
            message: "no total".to_owned(),
            log: String::new(),
        });
        assert_eq!(case("expect = \"reject total-missing\"").difference(&rejected), None);
        assert!(case("expect = \"plugin-trap\"").difference(&rejected).is_some());
    }

    #[test]
    fn a_file_without_cases_or_with_words_that_are_none_is_refused() {
        let error = Cases::parse("").unwrap_err().to_string();
        expect!["it has no [[case]]"].assert_eq(&error);
        let error = Cases::parse("[[case]]\nname = \"a\"\nchange = {}\nexpects = \"keep\"")
            .unwrap_err()
            .to_string();
        assert!(error.contains("unknown field `expects`"), "{error}");
    }
}
