//! The detail of an event: an object that a template or a plugin made, or a change as it is.
//!
//! Most events are changes as they are. Such a detail shares the change and is written straight from it: a tree of its values
//! would cost more than the text that is sent.
//!
//! # Invariants
//!
//! - Both forms are the same JSON, its members in order of name: nobody can tell from the text which it was.

use std::borrow::Cow;
use std::sync::Arc;

use serde::{Serialize, Serializer};
use serde_json::{Map, Value};

use crate::event::{CORRELATION, REPLAYED_AS, changed_attributes};
use crate::value::Plain;
use crate::{
    Assurance, AttributedChange, EventContext, EventId, Item, LedgerName, Operation, Position, SequenceNumber, ShardId,
};

/// The detail of an event.
#[derive(Clone, Debug)]
pub struct Detail(Form);

#[derive(Clone, Debug)]
enum Form {
    Object(Map<String, Value>),
    Change(Box<OfChange>),
}

/// A change as it is.
#[derive(Clone, Debug)]
struct OfChange {
    told: Arc<AttributedChange>,
    ledger: LedgerName,
    position: Position,
    shard: ShardId,
    correlation: Option<String>,
    delivery: Option<String>,
    plugin: Option<String>,
    replayed_as: Option<String>,
}

/// What is said of a delivery beside its change.
#[derive(Clone, Copy)]
pub(crate) enum Mark {
    Correlation,
    Delivery,
    Plugin,
    ReplayedAs,
}

impl Mark {
    fn name(self) -> &'static str {
        match self {
            Self::Correlation => CORRELATION,
            Self::Delivery => "delivery",
            Self::Plugin => "plugin",
            Self::ReplayedAs => REPLAYED_AS,
        }
    }
}

impl Detail {
    pub(crate) fn of_change(told: Arc<AttributedChange>, context: EventContext<'_>) -> Self {
        Self(Form::Change(Box::new(OfChange {
            told,
            ledger: context.ledger.clone(),
            position: context.position,
            shard: context.shard.clone(),
            correlation: None,
            delivery: None,
            plugin: None,
            replayed_as: None,
        })))
    }

    /// Says something of the delivery.
    pub(crate) fn mark(&mut self, mark: Mark, text: String) {
        match &mut self.0 {
            Form::Object(object) => {
                object.insert(mark.name().to_owned(), Value::String(text));
            }
            Form::Change(of_change) => *of_change.marked(mark) = Some(text),
        }
    }

    /// The member of this name.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<Cow<'_, Value>> {
        match &self.0 {
            Form::Object(object) => object.get(name).map(Cow::Borrowed),
            Form::Change(of_change) => of_change.get(name).map(Cow::Owned),
        }
    }

    /// Sets a member. A change becomes an object by it.
    pub fn insert(&mut self, name: String, value: Value) {
        let mut object = std::mem::take(self).into_object();
        object.insert(name, value);
        *self = object.into();
    }

    /// All members.
    #[must_use]
    pub fn object(&self) -> Cow<'_, Map<String, Value>> {
        match &self.0 {
            Form::Object(object) => Cow::Borrowed(object),
            Form::Change(of_change) => Cow::Owned(of_change.object()),
        }
    }

    /// All members.
    #[must_use]
    pub fn into_object(self) -> Map<String, Value> {
        match self.0 {
            Form::Object(object) => object,
            Form::Change(of_change) => of_change.object(),
        }
    }
}

impl Default for Detail {
    fn default() -> Self {
        Self::from(Map::new())
    }
}

impl From<Map<String, Value>> for Detail {
    fn from(object: Map<String, Value>) -> Self {
        Self(Form::Object(object))
    }
}

impl PartialEq for Detail {
    fn eq(&self, other: &Self) -> bool {
        self.object() == other.object()
    }
}

impl Serialize for Detail {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match &self.0 {
            Form::Object(object) => object.serialize(serializer),
            Form::Change(of_change) => of_change.members().serialize(serializer),
        }
    }
}

impl OfChange {
    fn marked(&mut self, mark: Mark) -> &mut Option<String> {
        match mark {
            Mark::Correlation => &mut self.correlation,
            Mark::Delivery => &mut self.delivery,
            Mark::Plugin => &mut self.plugin,
            Mark::ReplayedAs => &mut self.replayed_as,
        }
    }

    fn get(&self, name: &str) -> Option<Value> {
        let marked = |text: &Option<String>| text.as_deref().map(Value::from);
        // What sinks and the outputs of plugins ask for is had without the whole.
        match name {
            "id" => Some(self.told.change.event_id.as_str().into()),
            "ledger" => Some(self.ledger.as_str().into()),
            "position" => Some(self.position.0.into()),
            "delivery" => marked(&self.delivery),
            "plugin" => marked(&self.plugin),
            CORRELATION => marked(&self.correlation),
            REPLAYED_AS => marked(&self.replayed_as),
            name => self.object().remove(name),
        }
    }

    fn object(&self) -> Map<String, Value> {
        match serde_json::to_value(self.members()) {
            Ok(Value::Object(object)) => object,
            other => unreachable!("{other:?} is a struct with named members"),
        }
    }

    fn members(&self) -> Members<'_> {
        let AttributedChange { change, who } = &*self.told;
        Members {
            actor: who.actor.as_deref(),
            assurance: who.assurance,
            changed: changed_attributes(change),
            correlation: self.correlation.as_deref(),
            delivery: self.delivery.as_deref(),
            id: &change.event_id,
            keys: Plain(&change.keys),
            ledger: &self.ledger,
            new: change.new.as_ref().map(Plain),
            old: change.old.as_ref().map(Plain),
            operation: change.operation,
            plugin: self.plugin.as_deref(),
            position: self.position,
            replayed_as: self.replayed_as.as_deref(),
            sequence: &change.sequence,
            shard: &self.shard,
            table: &change.table,
        }
    }
}

/// In order of name, as those of an object are.
#[derive(Serialize)]
struct Members<'a> {
    actor: Option<&'a str>,
    assurance: Assurance,
    changed: Vec<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    correlation: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    delivery: Option<&'a str>,
    id: &'a EventId,
    keys: Plain<'a, Item>,
    ledger: &'a LedgerName,
    new: Option<Plain<'a, Item>>,
    old: Option<Plain<'a, Item>>,
    operation: Operation,
    #[serde(skip_serializing_if = "Option::is_none")]
    plugin: Option<&'a str>,
    position: Position,
    #[serde(skip_serializing_if = "Option::is_none")]
    replayed_as: Option<&'a str>,
    sequence: &'a SequenceNumber,
    shard: &'a ShardId,
    table: &'a str,
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::Change;
    use crate::example::{attributed, context, item, ledger, order_change, shard};

    fn detail(marks: [Option<&str>; 4]) -> Detail {
        let change = Change {
            // An image is there or is null, and its values are of every kind that is written in an order.
            old: None,
            new: Some(item(
                r#"{"z":{"NULL":true},"b":{"BS":["AQ==","AA=="]},"n":{"NS":["2","10"]},"m":{"M":{"l":{"L":[{"N":"1.50"},{"BOOL":true}]}}}}"#,
            )),
            ..order_change()
        };
        let mut detail = Detail::of_change(Arc::new(attributed(change)), context(&ledger(), &shard()));
        let all = [Mark::Correlation, Mark::Delivery, Mark::Plugin, Mark::ReplayedAs];
        for (mark, text) in all.into_iter().zip(marks) {
            if let Some(text) = text {
                detail.mark(mark, text.to_owned());
            }
        }
        detail
    }

    proptest! {
        #[test]
        fn nobody_can_tell_a_change_from_the_object_that_it_is(marks in prop::array::uniform4(prop::option::of(Just("text")))) {
            let change = detail(marks);
            let object = Detail::from(change.object().into_owned());
            prop_assert_eq!(serde_json::to_string(&change).unwrap(), serde_json::to_string(&object).unwrap());
            for name in object.object().keys().map(String::as_str).chain(["none"]) {
                prop_assert_eq!(change.get(name), object.get(name), "{}", name);
            }
            prop_assert_eq!(&change, &object);
        }
    }

    #[test]
    fn what_is_marked_in_either_form_says_the_same() {
        let (mut change, mut object) = (detail([None; 4]), Detail::from(detail([None; 4]).into_object()));
        for mark in [Mark::Correlation, Mark::Delivery, Mark::Plugin, Mark::ReplayedAs] {
            change.mark(mark, mark.name().to_owned());
            object.mark(mark, mark.name().to_owned());
            assert_eq!(change, object);
            assert_eq!(change.get(mark.name()).as_deref(), Some(&mark.name().into()));
        }
    }
}
