//! Takes the values out of what is shown to whoever looks on. Names of attributes stay, and so does what Weir itself says.

use std::sync::Arc;

use serde_json::{Map, Value};
use weir_model::{AttributeValue, Bytes, Change, Event, EventContext, Item, LedgerName, Number, Who, is_reserved};
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
            is_reserved(name) || OF_THE_RECORD.contains(&name) && of_change.detail.get(name) == Some(value)
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
        let image = |name: &str, image: &Option<Item>| image.as_ref().map(|image| self.item(name, image, change));
        let change = Change {
            keys: self.item("keys", &change.keys, change),
            old: image("old", &change.old),
            new: image("new", &change.new),
            ..change.clone()
        };
        let actor = who.actor.as_ref().map(|actor| {
            if self.is_shown(&["actor"]) {
                actor.clone()
            } else {
                "somebody".to_owned()
            }
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
            event: Event::of_change(&change, &who, context),
            change: Arc::new(BatchChange { change, who }),
            ..recorded.clone()
        }
    }

    fn item(&self, image: &str, item: &Item, change: &Change) -> Item {
        let covered = item.iter().map(|(name, value)| {
            let is_before = image == "old" && change.new.as_ref().is_none_or(|new| new.get(name) != Some(value));
            (name.clone(), self.attribute(value, &mut vec![image, name], is_before))
        });
        covered.collect()
    }

    fn attribute<'a>(&self, value: &'a AttributeValue, path: &mut Vec<&'a str>, is_before: bool) -> AttributeValue {
        if self.is_shown(path) {
            return value.clone();
        }
        let text = || if is_before { "before" } else { "text" }.to_owned();
        let number = || Number::parse(if is_before { "0" } else { "1" }).expect("a digit is a number");
        let bytes = || Bytes(vec![u8::from(!is_before)]);
        match value {
            AttributeValue::S(_) => AttributeValue::S(text()),
            AttributeValue::N(_) => AttributeValue::N(number()),
            AttributeValue::B(_) => AttributeValue::B(bytes()),
            AttributeValue::Ss(_) => AttributeValue::Ss(vec![text()]),
            AttributeValue::Ns(_) => AttributeValue::Ns(vec![number()]),
            AttributeValue::Bs(_) => AttributeValue::Bs(vec![bytes()]),
            AttributeValue::Bool(_) => AttributeValue::Bool(!is_before),
            AttributeValue::Null(truth) => AttributeValue::Null(*truth),
            AttributeValue::L(elements) => {
                // No path leads into a list: what is wanted of it is wanted whole.
                let covered = elements.iter().map(|element| self.attribute(element, path, is_before));
                AttributeValue::L(covered.collect())
            }
            AttributeValue::M(members) => {
                let covered = members.iter().map(|(name, value)| {
                    path.push(name);
                    let covered = self.attribute(value, path, is_before);
                    path.pop();
                    (name.clone(), covered)
                });
                AttributeValue::M(covered.collect())
            }
        }
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
    fn what_is_shown_stands_for_itself() {
        check_stand_in(
            &["/new/n", "/keys/id", "/new/to/city", "/actor"],
            expect![[r#"
            keys {"id":{"S":"o1"}}
            old {"id":{"S":"text"},"is_new":{"BOOL":false},"n":{"N":"0"},"same":{"B":"AQ=="}}
            new {"id":{"S":"text"},"is_new":{"BOOL":true},"lines":{"L":[{"M":{"sku":{"S":"text"}}}]},"n":{"N":"8"},"none":{"NULL":true},"same":{"B":"AQ=="},"tags":{"SS":["text"]},"to":{"M":{"city":{"S":"Ulm"},"street":{"S":"text"}}}}
            by maria, changed ["is_new","lines","n","none","tags","to"]"#]],
        );
    }
}
