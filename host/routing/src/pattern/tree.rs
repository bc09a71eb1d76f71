//! The compiled form: a tree of fields whose leaves are rules, and the walk that decides.

use std::sync::Arc;

use serde_json::Value;

use super::rule::Rule;

/// Most alternatives that a pattern's `$or`s may multiply out to. EventBridge refuses more than 1,000 combinations.
pub(super) const ALTERNATIVES_MAX: usize = 1000;

/// Fields that must all match, in the order of the text.
#[derive(Clone, Debug, Default)]
pub(super) struct Fields(pub(super) Vec<(Arc<str>, Node)>);

#[derive(Clone, Debug)]
pub(super) enum Node {
    Leaf(Arc<Leaf>),
    Fields(Fields),
}

/// Rules of which one must match.
#[derive(Debug)]
pub(super) struct Leaf {
    pub(super) rules: Box<[Rule]>,

    /// The rules as the user wrote them, on one line.
    pub(super) text: Box<str>,
}

/// What a part of the pattern makes of a part of the event.
///
/// Two kinds of yes, because they differ under an array: what is there needs one element that has it, what is missing
/// has to be missing from all.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    No,
    /// All that was asked for is that something is missing, and it is.
    Absent,
    /// Something that was asked for is there, and nothing speaks against it.
    Present,
}

impl Fields {
    /// Decides on `value`, or on there being nothing.
    pub(super) fn verdict(&self, value: Option<&Value>) -> Verdict {
        if let Some(Value::Array(elements)) = value {
            return any_element(elements, |element| self.verdict(element));
        }
        let object = value.and_then(Value::as_object);
        let mut verdict = Verdict::Absent;
        for (key, node) in &self.0 {
            match node.verdict(object.and_then(|object| object.get(&**key))) {
                Verdict::No => return Verdict::No,
                Verdict::Absent => {}
                Verdict::Present => verdict = Verdict::Present,
            }
        }
        verdict
    }
}

impl Node {
    pub(super) fn verdict(&self, value: Option<&Value>) -> Verdict {
        match self {
            Self::Leaf(leaf) => leaf.verdict(value),
            Self::Fields(fields) => fields.verdict(value),
        }
    }
}

impl Leaf {
    fn verdict(&self, value: Option<&Value>) -> Verdict {
        match value {
            Some(Value::Array(elements)) => any_element(elements, |element| self.verdict(element)),
            // An object has leaves under other names, not under its own.
            None | Some(Value::Object(_)) if self.rules.iter().any(Rule::matches_nothing) => Verdict::Absent,
            None | Some(Value::Object(_)) => Verdict::No,
            Some(scalar) if self.rules.iter().any(|rule| rule.matches(scalar)) => Verdict::Present,
            Some(_) => Verdict::No,
        }
    }
}

/// One element that has what was asked for is enough; else every element, and an array without any, must do without it.
fn any_element(elements: &[Value], verdict_on: impl Fn(Option<&Value>) -> Verdict) -> Verdict {
    let mut verdict = verdict_on(None);
    for element in elements {
        match verdict_on(Some(element)) {
            Verdict::No => verdict = Verdict::No,
            Verdict::Absent => {}
            Verdict::Present => return Verdict::Present,
        }
    }
    verdict
}
