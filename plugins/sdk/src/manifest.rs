//! What a plugin asks for, said in few words.
//!
//! The types are the contract's own; here stand the ways to make them.

use crate::{ConfigProblem, Field, Manifest, Part};

impl Manifest {
    /// A manifest that asks for nothing. Add to it with the methods below.
    #[must_use]
    pub fn new(name: impl Into<String>, version: impl Into<String>, summary: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            version: version.into(),
            summary: summary.into(),
            reads: Vec::new(),
            reads_actor: false,
            sinks: Vec::new(),
            lookups: Vec::new(),
        }
    }

    /// Adds fields that the plugin reads. One that is there already is not added again.
    #[must_use]
    pub fn reads(mut self, fields: impl IntoIterator<Item = Field>) -> Self {
        for field in fields {
            if !self.reads.contains(&field) {
                self.reads.push(field);
            }
        }
        self
    }

    /// Asks to read who made a change.
    #[must_use]
    pub fn reads_actor(mut self) -> Self {
        self.reads_actor = true;
        self
    }

    /// Adds sinks of the plugin's route that [`Decisions::emit_to`](crate::Decisions::emit_to) names.
    #[must_use]
    pub fn sinks<Name: Into<String>>(mut self, names: impl IntoIterator<Item = Name>) -> Self {
        self.sinks.extend(names.into_iter().map(Into::into));
        self
    }

    /// Adds tables that [`Batch::lookup`](crate::Batch::lookup) reads.
    #[must_use]
    pub fn lookups<Name: Into<String>>(mut self, tables: impl IntoIterator<Item = Name>) -> Self {
        self.lookups.extend(tables.into_iter().map(Into::into));
        self
    }
}

/// Paths are JSON pointers over attribute names and list indexes (`/items/0/sku`); the empty path is the whole part.
impl Field {
    /// Of the item's key attributes.
    #[must_use]
    pub fn keys(path: impl Into<String>) -> Self {
        Self {
            part: Part::Keys,
            path: path.into(),
        }
    }

    /// Of the item before the change. Absent in an insert.
    #[must_use]
    pub fn old_image(path: impl Into<String>) -> Self {
        Self {
            part: Part::Old,
            path: path.into(),
        }
    }

    /// Of the item after the change. Absent in a remove.
    #[must_use]
    pub fn new_image(path: impl Into<String>) -> Self {
        Self {
            part: Part::New,
            path: path.into(),
        }
    }
}

impl ConfigProblem {
    /// A problem with the value under these names, outermost first; without names, with the document itself.
    #[must_use]
    pub fn at<'name>(names: impl IntoIterator<Item = &'name str>, message: impl Into<String>) -> Self {
        let path = names
            .into_iter()
            .map(|name| format!("/{}", name.replace('~', "~0").replace('/', "~1")))
            .collect();
        Self {
            path,
            message: message.into(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_problem_points_to_names_with_slashes_and_tildes() {
        assert_eq!(ConfigProblem::at(["a/b", "c~d"], "").path, "/a~1b/c~0d");
        assert_eq!(ConfigProblem::at([], "").path, "");
    }
}
