//! Why an event did not match: the first path that missed, the rule there, and what the event has.

use std::fmt;

use serde_json::Value;

use super::tree::{Fields, Node, Verdict};

/// Most characters of an event's value that are quoted.
const FOUND_CHARS_MAX: usize = 200;

/// Why a pattern matched an event or not. Displays as one line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Explanation {
    /// The event matched.
    Matched,

    /// The event did not match: the first miss of every alternative that `$or` makes, without repetitions. Without
    /// `$or` that is one.
    Missed(Vec<Miss>),
}

/// Where an event and a pattern part.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Miss {
    /// Fields that lead there, joined by dots; empty for the event as a whole.
    pub path: String,

    /// What the pattern asks for there, in the pattern's own words.
    pub rule: String,

    /// What the event has there, cut to 200 characters.
    pub found: String,
}

impl fmt::Display for Explanation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self::Missed(misses) = self else {
            return f.write_str("matched");
        };
        for (index, miss) in misses.iter().enumerate() {
            let separator = if index == 0 { "" } else { "; and " };
            write!(f, "{separator}{miss}")?;
        }
        Ok(())
    }
}

impl fmt::Display for Miss {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let path = if self.path.is_empty() { "event" } else { &self.path };
        write!(f, "`{path}` does not match {}: found {}", self.rule, self.found)
    }
}

impl Fields {
    /// Finds the first miss in an event that these fields do not match.
    pub(super) fn miss(&self, event: &Value) -> Miss {
        let mut path = String::new();
        if event.is_object() {
            self.miss_below(Some(event), &mut path)
        } else {
            Miss {
                path,
                rule: self.to_string(),
                found: quote(event),
            }
        }
    }

    fn miss_below(&self, value: Option<&Value>, path: &mut String) -> Miss {
        if let Some(Value::Array(elements)) = value {
            return self.miss_in(elements, path);
        }
        let object = value.and_then(Value::as_object);
        for (key, node) in &self.0 {
            let value = object.and_then(|object| object.get(&**key));
            if node.verdict(value) == Verdict::No {
                push_field(path, key);
                return node.miss_below(value, path);
            }
        }
        unreachable!("fields that miss have one that misses")
    }

    fn miss_in(&self, elements: &[Value], path: &mut String) -> Miss {
        // Where all that is asked for is absence, one element that has something is the reason.
        let has_unwanted = |element: &&Value| self.verdict(Some(element)) == Verdict::No;
        let reason = match elements {
            [] => None,
            [only] => Some(only),
            _ if self.verdict(None) == Verdict::Absent => elements.iter().find(has_unwanted),
            // Each element may miss something else, so none of them is the reason.
            _ => {
                let found = format!("no element that does in {}", quote_elements(elements));
                return Miss {
                    path: path.clone(),
                    rule: self.to_string(),
                    found,
                };
            }
        };
        self.miss_below(reason, path)
    }
}

impl Node {
    fn miss_below(&self, value: Option<&Value>, path: &mut String) -> Miss {
        match self {
            Self::Fields(fields) => fields.miss_below(value, path),
            Self::Leaf(leaf) => {
                let found = match value {
                    None => "nothing".to_owned(),
                    Some(Value::Object(_)) => "an object, which has fields of its own but no value".to_owned(),
                    Some(value) => quote(value),
                };
                Miss {
                    path: path.clone(),
                    rule: leaf.text.to_string(),
                    found,
                }
            }
        }
    }
}

impl fmt::Display for Fields {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("{")?;
        for (index, (key, node)) in self.0.iter().enumerate() {
            let separator = if index == 0 { "" } else { ", " };
            write!(f, "{separator}{}: ", Value::from(&**key))?;
            match node {
                Node::Leaf(leaf) => f.write_str(&leaf.text)?,
                Node::Fields(fields) => write!(f, "{fields}")?,
            }
        }
        f.write_str("}")
    }
}

/// Adds a field to a path; a name that holds anything unusual stands in quotes, so that its dots are its own.
pub(super) fn push_field(path: &mut String, key: &str) {
    if !path.is_empty() {
        path.push('.');
    }
    let plain = |char: char| char.is_alphanumeric() || matches!(char, '-' | '_' | '$');
    if !key.is_empty() && key.chars().all(plain) {
        path.push_str(key);
    } else {
        path.push_str(&Value::from(key).to_string());
    }
}

fn quote(value: &Value) -> String {
    cut(value.to_string())
}

fn quote_elements(elements: &[Value]) -> String {
    cut(serde_json::to_string(elements).expect("a value in memory has string keys only"))
}

fn cut(mut text: String) -> String {
    if let Some((end, _)) = text.char_indices().nth(FOUND_CHARS_MAX) {
        text.truncate(end);
        text.push('…');
    }
    text
}
