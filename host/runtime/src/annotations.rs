//! What a plugin at intake adds to changes and takes from them, checked before anything is made of it.
//!
//! # Invariants
//!
//! - Every change of a batch has exactly one answer: an annotation, which may be empty, or the fault that it is withheld with.
//! - An annotation is small enough to be recorded beside the change.

use std::collections::BTreeSet;
use std::fmt;

use weir_model::Path;

use crate::bindings::intake::exports::weir::plugin::annotating as wire;
use crate::bindings::weir::plugin::types;
use crate::manifest::{is_name, no_path, part_name};
use crate::{Answers, NAME_BYTES_MAX};

/// Longest name of an actor, in bytes.
const ACTOR_BYTES_MAX: usize = 1024;

/// Longest reason, in bytes.
const REASON_BYTES_MAX: usize = 4096;

/// Tags of one change at most.
const TAGS_MAX: usize = 32;

/// Longest value of a tag, in bytes.
const TAG_BYTES_MAX: usize = 256;

/// Redactions of one change at most.
const REDACTIONS_MAX: usize = 256;

/// What a plugin says about one change.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Annotation {
    /// Who made it; `None` leaves what is known.
    pub actor: Option<String>,
    /// Why.
    pub reason: Option<String>,
    /// Names with values, in the order of the names.
    pub tags: Vec<(String, String)>,
    /// What is taken from it before it is recorded, in order.
    pub redactions: Vec<Redaction>,
}

/// What is taken from a change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Redaction {
    /// Part of the change.
    pub part: Part,
    /// Where in the part; [`Path::ALL`] is each of its attributes.
    pub path: Path,
    /// How.
    pub method: RedactionMethod,
}

/// A part of a change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// The item's key.
    Keys,
    /// The item before.
    Old,
    /// The item after.
    New,
}

/// How something is taken from a change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RedactionMethod {
    /// It is gone.
    Omit,
    /// It is told that it was there.
    Mask,
    /// A keyed hash stands for it: two that are equal stay equal.
    Hash,
}

impl fmt::Display for Redaction {
    /// As people write it: `mask new /email`.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let method = match self.method {
            RedactionMethod::Omit => "omit",
            RedactionMethod::Mask => "mask",
            RedactionMethod::Hash => "hash",
        };
        let part = match self.part {
            Part::Keys => types::Part::Keys,
            Part::Old => types::Part::Old,
            Part::New => types::Part::New,
        };
        let text = format!("{method} {} {}", part_name(part), self.path);
        formatter.write_str(text.trim_end())
    }
}

impl From<types::Part> for Part {
    fn from(part: types::Part) -> Self {
        match part {
            types::Part::Keys => Self::Keys,
            types::Part::Old => Self::Old,
            types::Part::New => Self::New,
        }
    }
}

/// Checks what a call returned and sorts it by change.
pub(crate) fn read_annotations(
    annotations: Vec<wire::Annotation>,
    count: usize,
) -> Result<Answers<Annotation>, String> {
    let mut annotations = annotations.into_iter().peekable();
    let mut answers = Vec::with_capacity(count);
    for index in 0..count {
        let own = annotations.next_if(|annotation| annotation.index as usize == index);
        let own = own.map(|annotation| read(annotation).map_err(|problem| format!("change {index}: {problem}")));
        answers.push(Ok(own.transpose()?.unwrap_or_default()));
    }
    match annotations.next() {
        None => Ok(answers),
        Some(_) => {
            Err("annotations are not sorted by index, are two for one change, or are outside the batch".to_owned())
        }
    }
}

fn read(annotation: wire::Annotation) -> Result<Annotation, String> {
    let texts = [
        ("actor", &annotation.actor, ACTOR_BYTES_MAX),
        ("reason", &annotation.reason, REASON_BYTES_MAX),
    ];
    for (what, text, bytes_max) in texts {
        let Some(text) = text else { continue };
        if text.is_empty() || text.len() > bytes_max {
            return Err(format!(
                "the {what} has {} bytes, it may have 1 to {bytes_max}",
                text.len()
            ));
        }
    }
    if annotation.tags.len() > TAGS_MAX || annotation.redactions.len() > REDACTIONS_MAX {
        return Err(format!(
            "it has more than {TAGS_MAX} tags or {REDACTIONS_MAX} redactions; a path redacts all that lies under it"
        ));
    }
    let mut tags = annotation.tags;
    tags.sort();
    let mut names = BTreeSet::new();
    for (name, value) in &tags {
        if !is_name(name) {
            return Err(format!(
                "the tag {name:?} has no name: 1 to {NAME_BYTES_MAX} letters, digits, `-`, `_`, `.`, `+`, `/`"
            ));
        }
        if !names.insert(name) {
            return Err(format!("it has the tag {name:?} twice"));
        }
        if value.len() > TAG_BYTES_MAX {
            return Err(format!(
                "the tag {name:?} has {} bytes, at most {TAG_BYTES_MAX} are taken",
                value.len()
            ));
        }
    }
    let redactions = annotation.redactions.into_iter().map(|redaction| {
        let types::Field { part, path } = redaction.field;
        Ok(Redaction {
            part: part.into(),
            path: Path::parse(&path).ok_or_else(|| no_path(&path))?,
            method: match redaction.method {
                wire::RedactionMethod::Omit => RedactionMethod::Omit,
                wire::RedactionMethod::Mask => RedactionMethod::Mask,
                wire::RedactionMethod::Hash => RedactionMethod::Hash,
            },
        })
    });
    Ok(Annotation {
        actor: annotation.actor,
        reason: annotation.reason,
        redactions: redactions.collect::<Result<_, String>>()?,
        tags,
    })
}

#[cfg(test)]
mod tests {
    use expect_test::{Expect, expect};

    use super::*;

    fn annotation(index: u32) -> wire::Annotation {
        wire::Annotation {
            index,
            actor: Some("maria".to_owned()),
            reason: None,
            tags: Vec::new(),
            redactions: Vec::new(),
        }
    }

    #[track_caller]
    fn refused(annotations: Vec<wire::Annotation>, expect: Expect) {
        expect.assert_eq(&read_annotations(annotations, 3).unwrap_err());
    }

    #[test]
    fn what_is_not_annotated_has_an_empty_annotation() {
        let read = read_annotations(vec![annotation(1)], 3).unwrap();
        let actors = read.into_iter().map(|answer| answer.unwrap().actor);
        assert_eq!(actors.collect::<Vec<_>>(), [None, Some("maria".to_owned()), None]);
    }

    #[test]
    fn annotations_that_are_not_one_for_a_change_in_order_are_refused() {
        for indexes in [&[1, 0][..], &[1, 1], &[3], &[u32::MAX]] {
            let annotations = indexes.iter().copied().map(annotation).collect();
            refused(
                annotations,
                expect!["annotations are not sorted by index, are two for one change, or are outside the batch"],
            );
        }
    }

    #[test]
    fn what_could_not_be_recorded_is_refused_with_its_bounds() {
        let with = |change: &dyn Fn(&mut wire::Annotation)| {
            let mut annotation = annotation(2);
            change(&mut annotation);
            vec![annotation]
        };
        let tag = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        refused(
            with(&|annotation| annotation.actor = Some(String::new())),
            expect!["change 2: the actor has 0 bytes, it may have 1 to 1024"],
        );
        refused(
            with(&|annotation| annotation.reason = Some("x".repeat(4097))),
            expect!["change 2: the reason has 4097 bytes, it may have 1 to 4096"],
        );
        refused(
            with(&|annotation| annotation.tags = vec![tag("a b", "")]),
            expect![[r#"change 2: the tag "a b" has no name: 1 to 64 letters, digits, `-`, `_`, `.`, `+`, `/`"#]],
        );
        refused(
            with(&|annotation| annotation.tags = vec![tag("a", "1"), tag("b", ""), tag("a", "2")]),
            expect![[r#"change 2: it has the tag "a" twice"#]],
        );
        refused(
            with(&|annotation| annotation.tags = vec![tag("a", &"x".repeat(257))]),
            expect![[r#"change 2: the tag "a" has 257 bytes, at most 256 are taken"#]],
        );
        refused(
            with(&|annotation| annotation.tags = (0..33).map(|number| tag(&number.to_string(), "")).collect()),
            expect!["change 2: it has more than 32 tags or 256 redactions; a path redacts all that lies under it"],
        );
        refused(
            with(&|annotation| {
                let field = types::Field {
                    part: types::Part::New,
                    path: "email".to_owned(),
                };
                let method = wire::RedactionMethod::Omit;
                annotation.redactions = vec![wire::Redaction { field, method }];
            }),
            expect![[
                r#"change 2: "email" is no path: a JSON pointer begins with `/` and has at most 64 steps, "" is the whole part"#
            ]],
        );
    }
}
