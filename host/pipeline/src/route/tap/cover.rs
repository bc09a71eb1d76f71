//! Takes the values out of events that are shown to whoever looks on. Names of attributes stay, and so does what Weir itself says.

use serde_json::{Map, Value};
use weir_model::{CORRELATION, Event, is_reserved};

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
        let (detail, recorded) = (event.detail.object(), of_change.detail.object());
        let is_open = |name: &str, value: &Value| {
            (is_reserved(name) && name != CORRELATION)
                || OF_THE_RECORD.contains(&name) && recorded.get(name) == Some(value)
        };
        let detail = detail.iter().map(|(name, value)| {
            let shown = if is_open(name, value) {
                value.clone()
            } else {
                self.value(value, &mut vec![name.as_str()])
            };
            (name.clone(), shown)
        });
        let detail: Map<String, Value> = detail.collect();
        Event {
            detail: detail.into(),
            ..event.clone()
        }
        .to_json()
    }

    /// Whether the value at this path is shown.
    pub(super) fn is_shown(&self, path: &[&str]) -> bool {
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
}

#[cfg(test)]
pub(super) mod tests {
    use std::sync::Arc;

    use expect_test::{Expect, expect};
    use jiff::Timestamp;
    use serde_json::json;
    use weir_evidence::ItemToken;
    use weir_model::{
        Assurance, AttributedChange, Change, EventId, Item, LedgerName, Operation, Position, SequenceNumber, ShardId,
        StreamArn, Who,
    };

    use super::*;
    use crate::feed::RecordedChange;

    pub(in crate::route::tap) fn recorded() -> RecordedChange {
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
        RecordedChange {
            ledger,
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
            shard,
            change: Arc::new(AttributedChange { change, who }),
        }
    }

    pub(in crate::route::tap) fn but_for(pointers: &[&str]) -> Cover {
        let pointers = pointers.iter().map(|pointer| (*pointer).to_owned());
        Cover::but_for(pointers.collect()).expect("pointers")
    }

    #[track_caller]
    fn check_event(shown: &[&str], event: &Event, expect: Expect) {
        let covered = but_for(shown).event(event, &recorded().event());
        expect.assert_eq(&covered["detail"].to_string());
    }

    #[test]
    fn names_are_shown_and_values_are_not() {
        check_event(
            &[],
            &recorded().event(),
            expect![[
                r#"{"actor":"<text>","assurance":"claimed","changed":["is_new","lines","n","none","tags","to"],"id":"e1","keys":{"id":"<text>"},"ledger":"main","new":{"id":"<text>","is_new":"<truth>","lines":"<list>","n":"<number>","none":null,"same":"<text>","tags":"<list>","to":{"city":"<text>","street":"<text>"}},"old":{"id":"<text>","is_new":"<truth>","n":"<number>","same":"<text>"},"operation":"modify","position":41,"sequence":"100","shard":"shardId-1","table":"orders"}"#
            ]],
        );
    }

    #[test]
    fn what_a_path_names_is_shown_and_all_below_it() {
        check_event(
            &["/new/to", "/old/n", "/actor", "/new/n/deeper"],
            &recorded().event(),
            expect![[
                r#"{"actor":"maria","assurance":"claimed","changed":["is_new","lines","n","none","tags","to"],"id":"e1","keys":{"id":"<text>"},"ledger":"main","new":{"id":"<text>","is_new":"<truth>","lines":"<list>","n":"<number>","none":null,"same":"<text>","tags":"<list>","to":{"city":"Ulm","street":"x"}},"old":{"id":"<text>","is_new":"<truth>","n":7,"same":"<text>"},"operation":"modify","position":41,"sequence":"100","shard":"shardId-1","table":"orders"}"#
            ]],
        );
        let all = but_for(&[""]).event(&recorded().event(), &recorded().event());
        assert_eq!(all, recorded().event().to_json());
    }

    #[test]
    fn what_a_plugin_writes_where_weir_says_what_happened_is_a_value_too() {
        let Value::Object(detail) =
            json!({"table": "maria", "operation": "modify", "changed": ["n"], "to": {"who": "maria"}})
        else {
            unreachable!("it is an object")
        };
        let output = recorded()
            .event()
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
        let event = recorded().event().correlated_by("id", &recorded().change.change);
        let covered = but_for(&[]).event(&event, &recorded().event());
        assert_eq!(covered["detail"]["correlation"], "<text>");
    }

    #[test]
    fn what_is_no_path_is_quoted() {
        assert_eq!(
            Cover::but_for(vec!["new.status".to_owned()]).err().as_deref(),
            Some("new.status")
        );
    }
}
