//! Takes the values out of what is shown to whoever looks on. Names of attributes stay, and so does what Weir itself says.

use std::sync::Arc;

use serde_json::{Map, Value};
use weir_model::{
    AttributeValue, Bytes, CORRELATION, Change, Event, EventContext, Item, LedgerName, Number, Who, is_reserved,
};
use weir_runtime::BatchChange;

use crate::feed::RecordedChange;

/// Members of `detail` that say what happened to an item, without a value of it.
const OF_THE_RECORD: [&str; 6] = ["shard", "sequence", "table", "operation", "changed", "assurance"];

/// Covers all values but those at some paths.
pub(super) struct Cover {
    /// Parts of JSON pointers into `detail`.
    shown: Vec<Vec<String>>,
}

impl Cover {
    /// But for the values at these JSON pointers into `detail`, and below them.
    ///
    /// # Errors
    ///
    /// Quotes what is no pointer.
    pub(super) fn but_for(pointers: Vec<String>) -> Result<Self, String> {
        let parts = |pointer: String| match pointer.strip_prefix('/') {
            Some(path) => Ok(path
                .split('/')
                .map(|part| part.replace("~1", "/").replace("~0", "~"))
                .collect()),
            None if pointer.is_empty() => Ok(Vec::new()),
            None => Err(pointer),
        };
        let shown = pointers.into_iter().map(parts).collect::<Result<_, _>>()?;
        Ok(Self { shown })
    }

    /// The event as JSON without its values. What it says of its change itself, `of_change`, is no value.
    pub(super) fn event(&self, event: &Event, of_change: &Event) -> Value {
        let is_open = |name: &str, value: &Value| {
            (is_reserved(name) && name != CORRELATION)
                || OF_THE_RECORD.contains(&name) && of_change.detail.get(name) == Some(value)
        };
        let detail = event.detail.iter().map(|(name, value)| {
            let shown = if is_open(name, value) {
                value.clone()
            } else {
                self.value(value, &mut vec![name.as_str()])
            };
            (name.clone(), shown)
        });
        let detail: Map<String, Value> = detail.collect();
        Event {
            detail,
            ..event.clone()
        }
        .to_json()
    }

    fn is_shown(&self, path: &[&str]) -> bool {
        let is_above = |shown: &Vec<String>| {
            shown.len() <= path.len() && shown.iter().zip(path).all(|(part, of_path)| part == of_path)
        };
        self.shown.iter().any(is_above)
    }

    fn value<'a>(&self, value: &'a Value, path: &mut Vec<&'a str>) -> Value {
        if self.is_shown(path) {
            return value.clone();
        }
        let word = match value {
            Value::Object(members) => {
                let members = members.iter().map(|(name, value)| {
                    path.push(name);
                    let covered = self.value(value, path);
                    path.pop();
                    (name.clone(), covered)
                });
                return Value::Object(members.collect());
            }
            Value::Null => return Value::Null,
            Value::Bool(_) => "<truth>",
            Value::Number(_) => "<number>",
            Value::String(_) => "<text>",
            Value::Array(_) => "<list>",
        };
        Value::String(word.to_owned())
    }

    /// The change with values that stand for those that are covered: of the same types, and the same before and after where the
    /// values were.
    pub(super) fn stand_in(&self, recorded: &RecordedChange, ledger: &LedgerName) -> RecordedChange {
        let BatchChange { change, who } = &*recorded.change;
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
        let context = EventContext {
            source: &recorded.source,
            ledger,
            position: recorded.position,
            shard: &recorded.shard,
        };
        RecordedChange {
            event: Event::of_change(&covered, &who, context),
            change: Arc::new(BatchChange { change: covered, who }),
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
            .unwrap_or_else(|| self.value.clone())
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
    use jiff::Timestamp;
    use serde_json::json;
    use weir_evidence::ItemToken;
    use weir_model::{Assurance, EventId, Operation, Position, SequenceNumber, ShardId, StreamArn};

    use super::*;

    fn recorded() -> RecordedChange {
        let item = |json: &str| Some(serde_json::from_str::<Item>(json).expect("an item"));
        let change = Change {
            sequence: SequenceNumber::parse("100").expect("a sequence number"),
            event_id: EventId::parse("e1").expect("an id"),
            table: "orders".to_owned(),
            operation: Operation::Modify,
            created_at: Timestamp::UNIX_EPOCH,
            keys: item(r#"{"id":{"S":"o1"}}"#).expect("it is there"),
            old: item(r#"{"id":{"S":"o1"},"n":{"N":"7"},"same":{"B":"AQI="},"is_new":{"BOOL":true}}"#),
            new: item(
                r#"{"id":{"S":"o1"},"n":{"N":"8"},"same":{"B":"AQI="},"is_new":{"BOOL":false},"none":{"NULL":true},
                    "lines":{"L":[{"M":{"sku":{"S":"s"}}}]},"to":{"M":{"city":{"S":"Ulm"},"street":{"S":"x"}}},"tags":{"SS":["a","b"]}}"#,
            ),
            service: None,
        };
        let who = Who {
            actor: Some("maria".to_owned()),
            assurance: Assurance::Claimed,
        };
        let ledger = LedgerName::parse("main").expect("a name");
        let shard = ShardId::parse("shardId-1").expect("a shard");
        let context = EventContext {
            source: "shop",
            ledger: &ledger,
            position: Position(41),
            shard: &shard,
        };
        RecordedChange {
            position: Position(41),
            source: "shop".to_owned(),
            stream: StreamArn::parse("arn:aws:dynamodb:eu-west-1:1:table/orders/stream/1").expect("an ARN"),
            sequence: change.sequence.clone(),
            item: ItemToken {
                key_id: "k".to_owned(),
                token: [0; 16],
            },
            lane: 0,
            body_key: None,
            event: Event::of_change(&change, &who, context),
            shard,
            change: Arc::new(BatchChange { change, who }),
        }
    }

    fn but_for(pointers: &[&str]) -> Cover {
        let pointers = pointers.iter().map(|pointer| (*pointer).to_owned());
        Cover::but_for(pointers.collect()).expect("pointers")
    }

    #[track_caller]
    fn check_event(shown: &[&str], event: &Event, expect: Expect) {
        let covered = but_for(shown).event(event, &recorded().event);
        expect.assert_eq(&covered["detail"].to_string());
    }

    #[test]
    fn names_are_shown_and_values_are_not() {
        check_event(
            &[],
            &recorded().event,
            expect![[
                r#"{"actor":"<text>","assurance":"claimed","changed":["is_new","lines","n","none","tags","to"],"id":"e1","keys":{"id":"<text>"},"ledger":"main","new":{"id":"<text>","is_new":"<truth>","lines":"<list>","n":"<number>","none":null,"same":"<text>","tags":"<list>","to":{"city":"<text>","street":"<text>"}},"old":{"id":"<text>","is_new":"<truth>","n":"<number>","same":"<text>"},"operation":"modify","position":41,"sequence":"100","shard":"shardId-1","table":"orders"}"#
            ]],
        );
    }

    #[test]
    fn what_a_path_names_is_shown_and_all_below_it() {
        check_event(
            &["/new/to", "/old/n", "/actor", "/new/n/deeper"],
            &recorded().event,
            expect![[
                r#"{"actor":"maria","assurance":"claimed","changed":["is_new","lines","n","none","tags","to"],"id":"e1","keys":{"id":"<text>"},"ledger":"main","new":{"id":"<text>","is_new":"<truth>","lines":"<list>","n":"<number>","none":null,"same":"<text>","tags":"<list>","to":{"city":"Ulm","street":"x"}},"old":{"id":"<text>","is_new":"<truth>","n":7,"same":"<text>"},"operation":"modify","position":41,"sequence":"100","shard":"shardId-1","table":"orders"}"#
            ]],
        );
        let all = but_for(&[""]).event(&recorded().event, &recorded().event);
        assert_eq!(all, recorded().event.to_json());
    }

    #[test]
    fn what_a_plugin_writes_where_weir_says_what_happened_is_a_value_too() {
        let Value::Object(detail) =
            json!({"table": "maria", "operation": "modify", "changed": ["n"], "to": {"who": "maria"}})
        else {
            unreachable!("it is an object")
        };
        let output = recorded()
            .event
            .with_output("order-shipped".to_owned(), detail)
            .expect("an output");
        check_event(
            &[],
            &output,
            expect![[
                r#"{"changed":"<list>","id":"e1","ledger":"main","operation":"modify","position":41,"table":"<text>","to":{"who":"<text>"}}"#
            ]],
        );
    }

    #[test]
    fn what_correlates_events_is_a_value_of_the_item() {
        let event = recorded().event.correlated_by("id", &recorded().change.change);
        let covered = but_for(&[]).event(&event, &recorded().event);
        assert_eq!(covered["detail"]["correlation"], "<text>");
    }

    #[test]
    fn what_is_no_path_is_quoted() {
        assert_eq!(
            Cover::but_for(vec!["new.status".to_owned()]).err().as_deref(),
            Some("new.status")
        );
    }

    #[track_caller]
    fn check_stand_in(shown: &[&str], expect: Expect) {
        let stand_in = but_for(shown).stand_in(&recorded(), &LedgerName::parse("main").expect("a name"));
        let BatchChange { change, who } = &*stand_in.change;
        let text = |value| serde_json::to_string(value).expect("an item is JSON");
        expect.assert_eq(&format!(
            "keys {}\nold {}\nnew {}\nby {}, changed {}",
            text(&Some(change.keys.clone())),
            text(&change.old),
            text(&change.new),
            who.actor.as_deref().unwrap_or_default(),
            stand_in.event.detail["changed"]
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
            let covered = but_for(shown).stand_in(&recorded(), &LedgerName::parse("main").expect("a name"));
            covered.event.detail["changed"].clone()
        };
        let changed = recorded().event.detail["changed"].clone();
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
        let BatchChange { mut change, who } = (*removed.change).clone();
        change.new = None;
        removed.change = Arc::new(BatchChange { change, who });
        for shown in [&[][..], &["/keys/id"]] {
            let covered = but_for(shown).stand_in(&removed, &LedgerName::parse("main").expect("a name"));
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
