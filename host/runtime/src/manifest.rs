//! What a plugin asks for under one configuration, which is all that it gets.
//!
//! # Invariants
//!
//! - A path grants what lies under it, never what lies above.
//! - A manifest is small enough to be shown to an operator, and to stand in an entry of the ledger.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde_json::{Value, json};
use weir_model::{PATH_STEPS_MAX, Path};

use crate::LookupTable;
use crate::bindings::weir::plugin::types::{self, Field, Part};

/// What a plugin asks for under one configuration.
#[derive(Clone, Debug, PartialEq)]
pub struct Manifest {
    /// Its name.
    pub name: String,
    /// Its version.
    pub version: String,
    /// One line about it.
    pub summary: String,
    /// Whether it may read who made a change.
    pub reads_actor: bool,
    /// Sinks that its outputs may name.
    pub sinks: Vec<String>,
    /// Lookup tables that it reads.
    pub lookups: Vec<String>,
    pub(crate) reads: Vec<Field>,
    /// The tables that it was given, by name.
    tables: BTreeMap<String, Arc<LookupTable>>,
}

/// Tables that a plugin reads and was not given.
#[derive(Debug, thiserror::Error)]
#[error("the plugin looks up in the table {}, which is not there: `weir lookup push NAME FILE` uploads one", .0.join(", "))]
pub struct MissingTables(pub Vec<String>);

/// Longest name, version or name of a sink or table, in bytes.
pub const NAME_BYTES_MAX: usize = 64;

/// Longest summary, in bytes.
const SUMMARY_BYTES_MAX: usize = 500;

/// Fields, sinks or lookup tables at most.
const ASKED_MAX: usize = 64;

/// All of it as JSON text inside of JSON text, in bytes: so it stands in an entry of the ledger, which has 32 KiB. Digests of the
/// tables and a reason stand there, too.
const RECORDED_BYTES_MAX: usize = 12 << 10;

/// Of a path that is none, in bytes, what is shown.
const PATH_BYTES_SHOWN: usize = 200;

/// What is wrong with a plugin's configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigProblem {
    /// Where in the configuration document, a JSON pointer.
    pub path: String,
    /// What.
    pub message: String,
}

impl From<types::Manifest> for Manifest {
    fn from(manifest: types::Manifest) -> Self {
        Self {
            name: manifest.name,
            version: manifest.version,
            summary: manifest.summary,
            reads_actor: manifest.reads_actor,
            sinks: manifest.sinks,
            lookups: manifest.lookups,
            reads: manifest.reads,
            tables: BTreeMap::new(),
        }
    }
}

impl From<types::ConfigProblem> for ConfigProblem {
    fn from(problem: types::ConfigProblem) -> Self {
        Self {
            path: problem.path,
            message: problem.message,
        }
    }
}

impl Manifest {
    /// Gives the plugin the tables that it reads, out of these.
    ///
    /// # Errors
    ///
    /// Some are not among them.
    pub fn with_tables(mut self, tables: &BTreeMap<String, Arc<LookupTable>>) -> Result<Self, MissingTables> {
        let missing: Vec<String> = self
            .lookups
            .iter()
            .filter(|name| !tables.contains_key(*name))
            .cloned()
            .collect();
        if !missing.is_empty() {
            return Err(MissingTables(missing));
        }
        let given = self
            .lookups
            .iter()
            .map(|name| (name.clone(), Arc::clone(&tables[name])));
        self.tables = given.collect();
        Ok(self)
    }

    /// A table that the plugin reads.
    pub(crate) fn table(&self, name: &str) -> wasmtime::Result<&LookupTable> {
        match self.tables.get(name) {
            Some(table) => Ok(table),
            None => wasmtime::bail!("the manifest does not declare the lookup table {name:?}"),
        }
    }

    /// Fields that it may read, as people write them: `new /status`; `new` alone is all of the new image.
    pub fn reads(&self) -> impl Iterator<Item = String> {
        self.reads.iter().map(written)
    }

    fn grants(&self, field: &Field) -> bool {
        self.reads.iter().any(|declared| {
            declared.part == field.part
                && field
                    .path
                    .strip_prefix(&declared.path)
                    .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
        })
    }

    /// The manifest as people and entries of the ledger have it.
    #[must_use]
    pub fn to_json(&self) -> Value {
        json!({
            "name": self.name,
            "version": self.version,
            "summary": self.summary,
            "reads": self.reads().collect::<Vec<_>>(),
            "reads_actor": self.reads_actor,
            "sinks": self.sinks,
            "lookups": self.lookups,
        })
    }

    /// What it asks for that `granted` does not have, in words: `read new /email`, `name the sink mail`.
    #[must_use]
    pub fn asks_beyond(&self, granted: Option<&Self>) -> Vec<String> {
        let has_read = |field: &Field| granted.is_some_and(|granted| granted.grants(field));
        let has = |list: fn(&Self) -> &Vec<String>, name: &String| {
            granted.is_some_and(|granted| list(granted).contains(name))
        };
        let mut asks: Vec<String> = Vec::new();
        let fields = self.reads.iter().filter(|field| !has_read(field));
        asks.extend(fields.map(|field| format!("read {}", written(field))));
        if self.reads_actor && !granted.is_some_and(|granted| granted.reads_actor) {
            asks.push("read who made a change".to_owned());
        }
        let sinks = self.sinks.iter().filter(|sink| !has(|manifest| &manifest.sinks, sink));
        asks.extend(sinks.map(|sink| format!("name the sink {sink}")));
        let lookups = self
            .lookups
            .iter()
            .filter(|table| !has(|manifest| &manifest.lookups, table));
        asks.extend(lookups.map(|table| format!("look up in the table {table}")));
        asks
    }

    /// What makes it no manifest, if anything does.
    pub(crate) fn problem(&self) -> Option<String> {
        let named = [("name", &self.name), ("version", &self.version)];
        let sinks = self.sinks.iter().map(|sink| ("name of a sink", sink));
        let lookups = self.lookups.iter().map(|table| ("name of a lookup table", table));
        for (what, name) in named.into_iter().chain(sinks).chain(lookups) {
            if !is_name(name) {
                return Some(format!(
                    "the {what} {name:?} is none: 1 to {NAME_BYTES_MAX} letters, digits, `-`, `_`, `.`, `+`, `/`"
                ));
            }
        }
        if self.summary.len() > SUMMARY_BYTES_MAX || self.summary.chars().any(char::is_control) {
            return Some(format!("the summary is one line of at most {SUMMARY_BYTES_MAX} bytes"));
        }
        let mut seen = BTreeSet::new();
        for field in &self.reads {
            if Path::parse(&field.path).is_none() || field.path.chars().any(char::is_control) {
                return Some(no_path(&field.path));
            }
            if !seen.insert(written(field)) {
                return Some(format!("it asks for {} twice", written(field)));
            }
        }
        if [self.reads.len(), self.sinks.len(), self.lookups.len()]
            .iter()
            .any(|len| *len > ASKED_MAX)
        {
            return Some(format!(
                "it asks for more than {ASKED_MAX} fields, sinks or tables; a path grants all that lies under it"
            ));
        }
        let recorded = Value::String(self.to_json().to_string()).to_string().len();
        if recorded > RECORDED_BYTES_MAX {
            return Some(format!(
                "all that it says of itself has {recorded} bytes, at most {RECORDED_BYTES_MAX} can be recorded; a path grants all \
                 that lies under it"
            ));
        }
        None
    }

    /// Where `field` is in its part, if it may be read.
    pub(crate) fn path(&self, field: &Field) -> wasmtime::Result<Path> {
        if !self.grants(field) {
            wasmtime::bail!(
                "the manifest does not declare {} {:?}",
                part_name(field.part),
                field.path
            );
        }
        Path::parse(&field.path).ok_or_else(|| wasmtime::Error::msg(no_path(&field.path)))
    }
}

/// What is said of a path that is none.
pub(crate) fn no_path(path: &str) -> String {
    let shown = &path[..path.floor_char_boundary(PATH_BYTES_SHOWN)];
    format!(
        "{shown:?} is no path: a JSON pointer begins with `/` and has at most {PATH_STEPS_MAX} steps, \"\" is the whole part"
    )
}

/// A field as people write it.
fn written(field: &Field) -> String {
    format!("{} {}", part_name(field.part), field.path)
        .trim_end()
        .to_owned()
}

pub(crate) fn part_name(part: Part) -> &'static str {
    match part {
        Part::Keys => "keys",
        Part::Old => "old",
        Part::New => "new",
    }
}

/// Whether this can be the name or version of a plugin, the name of a sink or table that it reads, or that of a replay.
#[must_use]
pub fn is_name(name: &str) -> bool {
    let is_of_name = |character: char| character.is_ascii_alphanumeric() || "-_.+/".contains(character);
    !name.is_empty() && name.len() <= NAME_BYTES_MAX && name.chars().all(is_of_name)
}

/// All problems in one line, each with its place.
pub(crate) fn listed(problems: &[ConfigProblem]) -> String {
    let lines: Vec<String> = problems
        .iter()
        .map(|problem| format!("{}: {}", problem.path, problem.message))
        .collect();
    lines.join("; ")
}
