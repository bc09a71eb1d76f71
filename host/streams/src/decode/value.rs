//! Items and their attribute values, from JSON as the service writes it, in one pass.

use std::fmt;

use serde::de::{Deserialize, Deserializer, Error, IgnoredAny, MapAccess, Visitor};
use weir_model::{AttributeList, AttributeValue, Bytes, Item, Number};

/// Reads an item that may be missing.
pub(super) fn item<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Item>, D::Error> {
    Ok(Option::<WireItem>::deserialize(deserializer)?.map(|item| item.0))
}

struct WireItem(Item);

impl<'de> Deserialize<'de> for WireItem {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(ItemVisitor)
    }
}

struct ItemVisitor;

impl<'de> Visitor<'de> for ItemVisitor {
    type Value = WireItem;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("attributes by name")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<WireItem, A::Error> {
        let mut attributes = AttributeList::new();
        while let Some((name, WireValue(value))) = map.next_entry()? {
            attributes.push((name, value));
        }
        // Built at once, which is quicker than one by one. Of two with one name the later one counts.
        Ok(WireItem(Item::from_iter(attributes)))
    }
}

/// The member of a value that says its type.
#[derive(serde::Deserialize)]
#[serde(field_identifier, rename_all = "UPPERCASE")]
enum Kind {
    S,
    N,
    B,
    Ss,
    Ns,
    Bs,
    M,
    L,
    Bool,
    Null,
    /// Something of the protocol's, not the database's.
    #[serde(rename = "__type")]
    Protocol,
    New(String),
}

struct WireValue(AttributeValue);

impl<'de> Deserialize<'de> for WireValue {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(ValueVisitor)
    }
}

struct ValueVisitor;

impl<'de> Visitor<'de> for ValueVisitor {
    type Value = WireValue;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a value under its type")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<WireValue, A::Error> {
        let mut only = None;
        while let Some(kind) = map.next_key()? {
            let value = read_value(kind, &mut map)?;
            if value.is_some() && std::mem::replace(&mut only, value).is_some() {
                return Err(A::Error::custom("an attribute has two values"));
            }
        }
        only.map(WireValue)
            .ok_or_else(|| A::Error::custom("an attribute has no value"))
    }
}

/// The value of a type. A null, which is not `NULL`, is as good as a member that is not there: the protocol's rule.
fn read_value<'de, A: MapAccess<'de>>(kind: Kind, map: &mut A) -> Result<Option<AttributeValue>, A::Error> {
    Ok(match kind {
        Kind::S => map.next_value::<Option<String>>()?.map(AttributeValue::S),
        Kind::N => map.next_value::<Option<Number>>()?.map(AttributeValue::N),
        Kind::B => map.next_value::<Option<Bytes>>()?.map(AttributeValue::B),
        Kind::Ss => map
            .next_value::<Option<Vec<String>>>()?
            .map(|set| AttributeValue::Ss(sorted(set))),
        Kind::Ns => map
            .next_value::<Option<Vec<Number>>>()?
            .map(|set| AttributeValue::Ns(sorted(set))),
        Kind::Bs => map
            .next_value::<Option<Vec<Bytes>>>()?
            .map(|set| AttributeValue::Bs(sorted(set))),
        Kind::M => map
            .next_value::<Option<WireItem>>()?
            .map(|item| AttributeValue::M(item.0)),
        Kind::L => map
            .next_value::<Option<Vec<WireValue>>>()?
            .map(|list| AttributeValue::L(list.into_iter().map(|value| value.0).collect())),
        Kind::Bool => map.next_value::<Option<bool>>()?.map(AttributeValue::Bool),
        Kind::Null => map.next_value::<Option<bool>>()?.map(AttributeValue::Null),
        Kind::Protocol => {
            map.next_value::<IgnoredAny>()?;
            None
        }
        Kind::New(name) => match map.next_value::<Option<IgnoredAny>>()? {
            Some(_) => return Err(A::Error::custom(format_args!("the attribute type {name:?} is new"))),
            None => None,
        },
    })
}

/// A set has no order in the database, and may arrive in another one each time. Here it has one, so that a set that did
/// not change is equal to itself.
fn sorted<T: Ord>(mut elements: Vec<T>) -> Vec<T> {
    elements.sort_unstable();
    elements
}
