//! Takes values out of an item, by JSON pointer.

use crate::value::{split_step, unescape};
use crate::{AttributeValue, Item};

/// Replaces each value that a JSON pointer names, or removes it where `by` gives none; `""` names every attribute. In a list,
/// null is left in the place of what is removed, so that others keep theirs. Says whether there was anything.
pub fn replace(item: &mut Item, pointer: &str, by: &impl Fn(&AttributeValue) -> Option<AttributeValue>) -> bool {
    let Some(rest) = pointer.strip_prefix('/') else {
        let is_all = pointer.is_empty() && !item.is_empty();
        if is_all {
            *item = std::mem::take(item)
                .into_iter()
                .filter_map(|(name, value)| Some((name, by(&value)?)))
                .collect();
        }
        return is_all;
    };
    let (step, below) = split_step(rest);
    let name = unescape(step);
    let Some(value) = item.get_mut(&*name) else {
        return false;
    };
    if !below.is_empty() {
        return replace_below(value, below, by);
    }
    match by(value) {
        Some(replaced) => *value = replaced,
        None => {
            item.remove(&*name);
        }
    }
    true
}

fn replace_below(
    value: &mut AttributeValue,
    pointer: &str,
    by: &impl Fn(&AttributeValue) -> Option<AttributeValue>,
) -> bool {
    match value {
        AttributeValue::M(map) => replace(map, pointer, by),
        AttributeValue::L(list) => {
            let (step, below) = split_step(&pointer[1..]);
            let element = step.parse::<usize>().ok().and_then(|index| list.get_mut(index));
            let Some(element) = element else { return false };
            if !below.is_empty() {
                return replace_below(element, below, by);
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

    /// What is left of an item in which a pointer's values are removed, and one in which they are replaced.
    #[track_caller]
    fn check(item: &str, pointer: &str, removed: &str, replaced: &str) {
        let parse = |text: &str| serde_json::from_str::<Item>(text).unwrap();
        for (expected, by) in [(removed, None), (replaced, Some(AttributeValue::text("*")))] {
            let mut left = parse(item);
            let is_there = replace(&mut left, pointer, &|_| by.clone());
            assert_eq!(left, parse(expected), "{pointer}");
            assert_eq!(is_there, parse(item) != parse(expected), "{pointer}");
        }
    }

    #[test]
    fn what_a_pointer_names_is_removed_or_replaced_wherever_it_lies() {
        let item = r#"{"a/b":{"N":"1"},"l":{"L":[{"S":"x"},{"M":{"s":{"S":"y"}}}]}}"#;
        check(
            item,
            "/a~1b",
            r#"{"l":{"L":[{"S":"x"},{"M":{"s":{"S":"y"}}}]}}"#,
            r#"{"a/b":{"S":"*"},"l":{"L":[{"S":"x"},{"M":{"s":{"S":"y"}}}]}}"#,
        );
        check(
            item,
            "/l/0",
            r#"{"a/b":{"N":"1"},"l":{"L":[{"NULL":true},{"M":{"s":{"S":"y"}}}]}}"#,
            r#"{"a/b":{"N":"1"},"l":{"L":[{"S":"*"},{"M":{"s":{"S":"y"}}}]}}"#,
        );
        check(
            item,
            "/l/1/s",
            r#"{"a/b":{"N":"1"},"l":{"L":[{"S":"x"},{"M":{}}]}}"#,
            r#"{"a/b":{"N":"1"},"l":{"L":[{"S":"x"},{"M":{"s":{"S":"*"}}}]}}"#,
        );
        check(item, "", "{}", r#"{"a/b":{"S":"*"},"l":{"S":"*"}}"#);
    }

    #[test]
    fn what_is_not_there_stays_so() {
        let item = r#"{"a":{"N":"1"},"l":{"L":[{"S":"x"}]}}"#;
        for pointer in ["/b", "/a/b", "/l/1", "/l/x", "/l/0/x", "a", "/"] {
            check(item, pointer, item, item);
        }
    }
}
