//! What a plugin asks for under one configuration, which is all that it gets.
//!
//! # Invariants
//!
//! - A path grants what lies under it, never what lies above.

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
}

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
    /// Fields that it may read, as people write them: `new /status`; `new` alone is all of the new image.
    pub fn reads(&self) -> impl Iterator<Item = String> {
        self.reads.iter().map(|field| {
            format!("{} {}", part_name(field.part), field.path)
                .trim_end()
                .to_owned()
        })
    }

    /// Says whether `field` may be read.
    pub(crate) fn check_reads(&self, field: &Field) -> wasmtime::Result<()> {
        let grants = |declared: &Field| {
            declared.part == field.part
                && field
                    .path
                    .strip_prefix(&declared.path)
                    .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
        };
        if self.reads.iter().any(grants) {
            return Ok(());
        }
        wasmtime::bail!(
            "the manifest does not declare {} {:?}",
            part_name(field.part),
            field.path
        )
    }
}

fn part_name(part: Part) -> &'static str {
    match part {
        Part::Keys => "keys",
        Part::Old => "old",
        Part::New => "new",
    }
}

/// All problems in one line, each with its place.
pub(crate) fn listed(problems: &[ConfigProblem]) -> String {
    let lines: Vec<String> = problems
        .iter()
        .map(|problem| format!("{}: {}", problem.path, problem.message))
        .collect();
    lines.join("; ")
}
