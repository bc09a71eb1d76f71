//! A change with values that stand for those that are covered, so that it can be tried where those may not be seen.
//!
//! # Invariants
//!
//! - What stands for a value is of its type, and is the same before and after the change exactly where the values were: what patterns
//!   and plugins make of `changed` stays.
//! - A value is shown where its path is, where it is the item's key and the key is, and where it is the same as one that is.

use std::sync::Arc;

use weir_model::{AttributeValue, AttributedChange, Bytes, Change, Item, Number, Who};

use super::cover::Cover;
use crate::feed::RecordedChange;

impl Cover {
    /// The change with values that stand for those that are covered.
    pub(super) fn stand_in(&self, recorded: &RecordedChange) -> RecordedChange {
        let AttributedChange { change, who } = &*recorded.change;
        let images = Images { cover: self, change };
        let covered = Change {
            keys: images.covered("keys", &change.keys),
            old: change.old.as_ref().map(|old| images.covered("old", old)),
            new: change.new.as_ref().map(|new| images.covered("new", new)),
            ..change.clone()
        };
        let actor = who.actor.as_ref().map(|actor| {
            let is_shown = self.is_shown(&["actor"]);
            if is_shown { actor.clone() } else { "somebody".to_owned() }
        });
        let who = Who {
            actor,
            assurance: who.assurance,
        };
        RecordedChange {
            change: Arc::new(AttributedChange { change: covered, who }),
            ..recorded.clone()
        }
    }
}

/// The images of a change, which differ after they are covered where they did before.
struct Images<'a> {
    cover: &'a Cover,
    change: &'a Change,
}

/// A value and the one at the same place of the other image.
#[derive(Clone, Copy)]
struct Pair<'a> {
    value: &'a AttributeValue,
    is_shown: bool,
    other: Option<&'a AttributeValue>,
    is_other_shown: bool,
    is_old: bool,
}

impl Images<'_> {
    fn covered(&self, image: &str, item: &Item) -> Item {
        let (other_name, other) = match image {
            "old" => ("new", self.change.new.as_ref()),
            "new" => ("old", self.change.old.as_ref()),
            _ => ("keys", None),
        };
        let covered = item.iter().map(|(name, value)| {
            let pair = Pair {
                value,
                is_shown: self.is_shown(&[image, name]),
                other: other.and_then(|other| other.get(name)),
                is_other_shown: self.is_shown(&[other_name, name]),
                // A key is the same before and after, also where there is no other image.
                is_old: image == "old" && !self.change.keys.contains_key(name),
            };
            let paths = (&mut vec![image, name.as_str()], &mut vec![other_name, name.as_str()]);
            (name.clone(), self.stand_in(pair, paths))
        });
        covered.collect()
    }

    /// What is shown of a key is shown of it in the images, too.
    fn is_shown(&self, path: &[&str]) -> bool {
        let is_key = path.len() > 1 && self.change.keys.contains_key(path[1]);
        self.cover.is_shown(path) || (is_key && self.cover.is_shown(&[&["keys"], &path[1..]].concat()))
    }

    fn stand_in<'a>(&self, pair: Pair<'a>, paths: (&mut Vec<&'a str>, &mut Vec<&'a str>)) -> AttributeValue {
        let Pair { value, other, .. } = pair;
        // What is the same as a value that is shown is no secret.
        if pair.is_shown || (pair.is_other_shown && other == Some(value)) {
            return value.clone();
        }
        let (path, other_path) = paths;
        let mut inner = |step: &'a str, value: &'a AttributeValue, other: Option<&'a AttributeValue>| {
            path.push(step);
            other_path.push(step);
            let pair = Pair {
                value,
                is_shown: self.is_shown(path),
                other,
                is_other_shown: pair.is_other_shown || self.is_shown(other_path),
                is_old: pair.is_old,
            };
            let covered = self.stand_in(pair, (&mut *path, &mut *other_path));
            path.pop();
            other_path.pop();
            covered
        };
        match value {
            AttributeValue::M(members) => {
                let others = match other {
                    Some(AttributeValue::M(others)) => Some(others),
                    _ => None,
                };
                let covered = members.iter().map(|(name, value)| {
                    let other = others.and_then(|others| others.get(name));
                    (name.clone(), inner(name, value, other))
                });
                AttributeValue::M(covered.collect())
            }
            AttributeValue::L(elements) => {
                let others = match other {
                    Some(AttributeValue::L(others)) => others.as_slice(),
                    _ => &[],
                };
                let covered = elements.iter().enumerate();
                // No path leads into a list: what is wanted of it is wanted whole.
                AttributeValue::L(
                    covered
                        .map(|(index, value)| inner(IN_LIST, value, others.get(index)))
                        .collect(),
                )
            }
            _ => pair.leaf(),
        }
    }
}

/// A step that is in no path.
const IN_LIST: &str = "\0";

impl Pair<'_> {
    /// Another value of the same type: the same as the other's stand-in if the values are the same, else another one.
    fn leaf(self) -> AttributeValue {
        let is_same = self.other == Some(self.value);
        let taken = self.other.filter(|_| self.is_other_shown && !is_same);
        let begin = usize::from(self.is_old && !is_same);
        let all = (begin..begin + 3).map(|number| stand_in_of(self.value, number % 3));
        all.into_iter()
            .find(|stand_in| taken != Some(stand_in))
            .unwrap_or_else(|| stand_in_of(self.value, begin))
    }
}

/// One of three values of a type, or of the two that there are.
fn stand_in_of(value: &AttributeValue, number: usize) -> AttributeValue {
    let text = || ["text", "before", "other"][number].to_owned();
    let digit = || Number::parse(["1", "0", "2"][number]).expect("a digit is a number");
    let bytes = || Bytes(vec![[1, 0, 2][number]]);
    match value {
        AttributeValue::S(_) => AttributeValue::S(text()),
        AttributeValue::N(_) => AttributeValue::N(digit()),
        AttributeValue::B(_) => AttributeValue::B(bytes()),
        AttributeValue::Ss(_) => AttributeValue::Ss(vec![text()]),
        AttributeValue::Ns(_) => AttributeValue::Ns(vec![digit()]),
        AttributeValue::Bs(_) => AttributeValue::Bs(vec![bytes()]),
        AttributeValue::Bool(_) => AttributeValue::Bool(number.is_multiple_of(2)),
        AttributeValue::M(_) | AttributeValue::L(_) | AttributeValue::Null(_) => value.clone(),
    }
}

#[cfg(test)]
mod tests {
    use expect_test::{Expect, expect};

    use super::super::cover::tests::{but_for, recorded};
    use super::*;

    #[track_caller]
    fn check_stand_in(shown: &[&str], expect: Expect) {
        let stand_in = but_for(shown).stand_in(&recorded());
        let AttributedChange { change, who } = &*stand_in.change;
        let text = |value| serde_json::to_string(value).expect("an item is JSON");
        expect.assert_eq(&format!(
            "keys {}\nold {}\nnew {}\nby {}, changed {}",
            text(&Some(change.keys.clone())),
            text(&change.old),
            text(&change.new),
            who.actor.as_deref().unwrap_or_default(),
            stand_in.event().detail.object()["changed"]
        ));
    }

    #[test]
    fn what_stands_in_is_of_the_same_type_and_differs_where_the_values_do() {
        check_stand_in(
            &[],
            expect![[r#"
            keys {"id":{"S":"text"}}
            old {"id":{"S":"text"},"is_new":{"BOOL":false},"n":{"N":"0"},"same":{"B":"AQ=="}}
            new {"id":{"S":"text"},"is_new":{"BOOL":true},"lines":{"L":[{"M":{"sku":{"S":"text"}}}]},"n":{"N":"1"},"none":{"NULL":true},"same":{"B":"AQ=="},"tags":{"SS":["text"]},"to":{"M":{"city":{"S":"text"},"street":{"S":"text"}}}}
            by somebody, changed ["is_new","lines","n","none","tags","to"]"#]],
        );
    }

    #[test]
    fn what_stands_in_beside_a_value_that_is_shown_differs_from_it_where_the_value_did() {
        // The old truth is true and the new one false; the old number is 7 and the new one 8.
        let stand_in = |shown: &[&str]| {
            let covered = but_for(shown).stand_in(&recorded());
            covered.event().detail.object()["changed"].clone()
        };
        let changed = recorded().event().detail.object()["changed"].clone();
        let shown = [
            &[][..],
            &["/new/is_new"],
            &["/old/is_new"],
            &["/new/n"],
            &["/old/n"],
            &["/new/same"],
            &["/keys/id"],
        ];
        for shown in shown {
            assert_eq!(stand_in(shown), changed, "{shown:?}");
        }
    }

    #[test]
    fn a_removed_item_has_the_key_that_it_had() {
        let mut removed = recorded();
        let AttributedChange { mut change, who } = (*removed.change).clone();
        change.new = None;
        removed.change = Arc::new(AttributedChange { change, who });
        for shown in [&[][..], &["/keys/id"]] {
            let covered = but_for(shown).stand_in(&removed);
            let change = &covered.change.change;
            assert_eq!(
                change.old.as_ref().expect("it is there").get("id"),
                change.keys.get("id")
            );
        }
    }

    #[test]
    fn what_is_shown_stands_for_itself() {
        check_stand_in(
            &["/new/n", "/keys/id", "/new/to/city", "/actor"],
            expect![[r#"
            keys {"id":{"S":"o1"}}
            old {"id":{"S":"o1"},"is_new":{"BOOL":false},"n":{"N":"0"},"same":{"B":"AQ=="}}
            new {"id":{"S":"o1"},"is_new":{"BOOL":true},"lines":{"L":[{"M":{"sku":{"S":"text"}}}]},"n":{"N":"8"},"none":{"NULL":true},"same":{"B":"AQ=="},"tags":{"SS":["text"]},"to":{"M":{"city":{"S":"Ulm"},"street":{"S":"text"}}}}
            by maria, changed ["is_new","lines","n","none","tags","to"]"#]],
        );
    }
}
