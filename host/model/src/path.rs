//! A JSON pointer over attributes, taken apart once and followed in many items.

use std::fmt;

use crate::{AttributeValue, Item};

/// Steps of a path. Items are nested 32 levels deep at most (DynamoDB, "Quotas and limits").
pub const PATH_STEPS_MAX: usize = 64;

/// A JSON pointer (RFC 6901) over attribute names and list indexes: `/customer/address/zip`, `/lines/0`. The first step is an
/// attribute of the item; `""` has no step, and names every attribute.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Path {
    /// As it was written.
    text: String,
    steps: Vec<Step>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Step {
    name: String,
    /// What it is in a list.
    index: Option<usize>,
}

impl Path {
    /// Every attribute.
    pub const ALL: Self = Self {
        text: String::new(),
        steps: Vec::new(),
    };

    /// Takes a pointer apart. `None` if it does not begin with `/`, and is not empty, or has more than [`PATH_STEPS_MAX`] steps.
    #[must_use]
    pub fn parse(pointer: &str) -> Option<Self> {
        if pointer.is_empty() {
            return Some(Self::ALL);
        }
        let steps = pointer.strip_prefix('/')?.split('/');
        // Counted first: a guest may hand over megabytes of slashes.
        if steps.clone().nth(PATH_STEPS_MAX).is_some() {
            return None;
        }
        Some(Self {
            text: pointer.to_owned(),
            steps: steps.map(Step::parse).collect(),
        })
    }

    /// The attribute that it begins with. `None` is every one.
    #[must_use]
    pub fn attribute(&self) -> Option<&str> {
        self.steps.first().map(|step| step.name.as_str())
    }

    /// The value that it names, if the item has it. A path without a step names no single value.
    #[must_use]
    pub fn find<'item>(&self, item: &'item Item) -> Option<&'item AttributeValue> {
        let (first, below) = self.steps.split_first()?;
        below
            .iter()
            .try_fold(item.get(&first.name)?, |value, step| step.of_value(value))
    }

    /// Replaces what it names, or removes it where `by` gives none. In a list, null is left in the place of what is removed, so
    /// that others keep theirs. Says whether there was anything.
    pub fn replace(&self, item: &mut Item, by: &impl Fn(&AttributeValue) -> Option<AttributeValue>) -> bool {
        match self.steps.split_first() {
            Some((first, below)) => replace_in_item(item, first, below, by),
            None if item.is_empty() => false,
            None => {
                let all = std::mem::take(item).into_iter();
                *item = all.filter_map(|(name, value)| Some((name, by(&value)?))).collect();
                true
            }
        }
    }
}

impl fmt::Display for Path {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.text)
    }
}

impl Step {
    fn parse(step: &str) -> Self {
        Self {
            name: if step.contains('~') {
                step.replace("~1", "/").replace("~0", "~")
            } else {
                step.to_owned()
            },
            index: step.parse().ok(),
        }
    }

    fn of_value<'value>(&self, value: &'value AttributeValue) -> Option<&'value AttributeValue> {
        match value {
            AttributeValue::M(map) => map.get(&self.name),
            AttributeValue::L(list) => list.get(self.index?),
            _ => None,
        }
    }
}

fn replace_in_item(
    item: &mut Item,
    step: &Step,
    below: &[Step],
    by: &impl Fn(&AttributeValue) -> Option<AttributeValue>,
) -> bool {
    let Some(value) = item.get_mut(&step.name) else {
        return false;
    };
    if let Some((next, below)) = below.split_first() {
        return replace_in_value(value, next, below, by);
    }
    match by(value) {
        Some(replaced) => *value = replaced,
        None => {
            item.remove(&step.name);
        }
    }
    true
}

fn replace_in_value(
    value: &mut AttributeValue,
    step: &Step,
    below: &[Step],
    by: &impl Fn(&AttributeValue) -> Option<AttributeValue>,
) -> bool {
    match value {
        AttributeValue::M(map) => replace_in_item(map, step, below, by),
        AttributeValue::L(list) => {
            let Some(element) = step.index.and_then(|index| list.get_mut(index)) else {
                return false;
            };
            if let Some((next, below)) = below.split_first() {
                return replace_in_value(element, next, below, by);
            }
            *element = by(element).unwrap_or(AttributeValue::Null(true));
            true
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn item(text: &str) -> Item {
        serde_json::from_str(text).unwrap()
    }

    fn path(pointer: &str) -> Path {
        Path::parse(pointer).unwrap()
    }

    #[test]
    fn a_path_walks_maps_and_lists_and_unescapes_names() {
        let item = item(r#"{"a/b":{"M":{"~":{"L":[{"S":"zero"},{"S":"one"}]}}}}"#);
        let found = |pointer: &str| path(pointer).find(&item);
        assert_eq!(found("/a~1b/~0/1").and_then(AttributeValue::as_text), Some("one"));
        for missing in ["/a~1b/~0/2", "/a~1b/~0/-1", "/missing", ""] {
            assert_eq!(found(missing), None, "{missing}");
        }
    }

    #[test]
    fn what_begins_with_no_slash_or_goes_deeper_than_any_item_is_no_path() {
        assert_eq!(Path::parse("a"), None);
        assert!(Path::parse(&"/a".repeat(PATH_STEPS_MAX)).is_some());
        assert_eq!(Path::parse(&"/a".repeat(PATH_STEPS_MAX + 1)), None);
        assert_eq!(Path::parse(&"/".repeat(16 << 20)), None);
    }

    /// What is left of an item in which a path's values are removed, and one in which they are replaced.
    #[track_caller]
    fn check(text: &str, pointer: &str, removed: &str, replaced: &str) {
        for (expected, by) in [(removed, None), (replaced, Some(AttributeValue::text("*")))] {
            let mut left = item(text);
            let is_there = path(pointer).replace(&mut left, &|_| by.clone());
            assert_eq!(left, item(expected), "{pointer}");
            assert_eq!(is_there, item(text) != item(expected), "{pointer}");
        }
    }

    #[test]
    fn what_a_path_names_is_removed_or_replaced_wherever_it_lies() {
        let text = r#"{"a/b":{"N":"1"},"l":{"L":[{"S":"x"},{"M":{"s":{"S":"y"}}}]}}"#;
        check(
            text,
            "/a~1b",
            r#"{"l":{"L":[{"S":"x"},{"M":{"s":{"S":"y"}}}]}}"#,
            r#"{"a/b":{"S":"*"},"l":{"L":[{"S":"x"},{"M":{"s":{"S":"y"}}}]}}"#,
        );
        check(
            text,
            "/l/0",
            r#"{"a/b":{"N":"1"},"l":{"L":[{"NULL":true},{"M":{"s":{"S":"y"}}}]}}"#,
            r#"{"a/b":{"N":"1"},"l":{"L":[{"S":"*"},{"M":{"s":{"S":"y"}}}]}}"#,
        );
        check(
            text,
            "/l/1/s",
            r#"{"a/b":{"N":"1"},"l":{"L":[{"S":"x"},{"M":{}}]}}"#,
            r#"{"a/b":{"N":"1"},"l":{"L":[{"S":"x"},{"M":{"s":{"S":"*"}}}]}}"#,
        );
        check(text, "", "{}", r#"{"a/b":{"S":"*"},"l":{"S":"*"}}"#);
    }

    #[test]
    fn what_is_not_there_stays_so() {
        let text = r#"{"a":{"N":"1"},"l":{"L":[{"S":"x"}]}}"#;
        for pointer in ["/b", "/a/b", "/l/1", "/l/x", "/l/0/x", "/"] {
            check(text, pointer, text, text);
        }
    }
}
