//! Attribute values as DynamoDB has them, exact, and their two JSON forms.
//!
//! - *DynamoDB-JSON* (`{"N": "1.50"}`) keeps every type. It is what serde reads and writes here, and what gets hashed.
//! - *Plain JSON* (`1.5`) is what people and receivers read. It loses types, never values.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::{Item, Number};

/// One attribute value.
///
/// Sets have no order in the database. A source sorts them, so that equal sets are equal values.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum AttributeValue {
    /// Text; may be empty.
    S(String),
    /// A number.
    N(Number),
    /// Binary; may be empty.
    B(Bytes),
    /// A set of texts.
    #[serde(rename = "SS")]
    Ss(Vec<String>),
    /// A set of numbers.
    #[serde(rename = "NS")]
    Ns(Vec<Number>),
    /// A set of binaries.
    #[serde(rename = "BS")]
    Bs(Vec<Bytes>),
    /// A map.
    M(Item),
    /// A list.
    L(Vec<AttributeValue>),
    /// A boolean.
    #[serde(rename = "BOOL")]
    Bool(bool),
    /// Null. The database always writes `true` inside.
    #[serde(rename = "NULL")]
    Null(bool),
}

/// Binary, base64 (RFC 4648, with padding) in both JSON forms.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Bytes(pub Vec<u8>);

impl Bytes {
    /// The bytes as base64.
    #[must_use]
    pub fn to_base64(&self) -> String {
        BASE64.encode(&self.0)
    }
}

impl Serialize for Bytes {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.to_base64())
    }
}

impl<'de> Deserialize<'de> for Bytes {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        BASE64.decode(&text).map(Bytes).map_err(serde::de::Error::custom)
    }
}

impl AttributeValue {
    /// A text value.
    #[must_use]
    pub fn text(text: impl Into<String>) -> Self {
        Self::S(text.into())
    }

    /// The text, if it is a text.
    #[must_use]
    pub fn as_text(&self) -> Option<&str> {
        match self {
            Self::S(text) => Some(text),
            _ => None,
        }
    }

    /// Plain JSON: numbers as [`Number::to_json`] has them, binary as base64, sets as arrays in canonical order, null
    /// as `null`.
    #[must_use]
    pub fn to_plain_json(&self) -> serde_json::Value {
        serde_json::to_value(Plain(self)).expect("plain JSON is JSON")
    }
}

/// An item as a plain JSON object.
#[must_use]
pub fn plain_json(item: &Item) -> serde_json::Value {
    serde_json::to_value(Plain(item)).expect("plain JSON is JSON")
}

/// Writes an item or a value as plain JSON.
pub(crate) struct Plain<'a, T>(pub(crate) &'a T);

impl Serialize for Plain<'_, Item> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.iter().map(|(name, value)| (name, Plain(value))))
    }
}

impl Serialize for Plain<'_, AttributeValue> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.0 {
            AttributeValue::S(text) => serializer.serialize_str(text),
            AttributeValue::N(number) => number.to_json().serialize(serializer),
            AttributeValue::B(bytes) => bytes.serialize(serializer),
            AttributeValue::Ss(texts) => serializer.collect_seq(sorted(texts)),
            AttributeValue::Ns(numbers) => serializer.collect_seq(sorted(numbers).into_iter().map(Number::to_json)),
            AttributeValue::Bs(binaries) => serializer.collect_seq(sorted(binaries)),
            AttributeValue::M(map) => Plain(map).serialize(serializer),
            AttributeValue::L(list) => serializer.collect_seq(list.iter().map(Plain)),
            AttributeValue::Bool(truth) => serializer.serialize_bool(*truth),
            AttributeValue::Null(_) => serializer.serialize_unit(),
        }
    }
}

/// Set elements in canonical order: that of their stored form (text by code point, numbers by text, binary by byte).
pub(crate) fn sorted<T: Ord>(elements: &[T]) -> Vec<&T> {
    let mut elements: Vec<&T> = elements.iter().collect();
    elements.sort();
    elements
}

#[cfg(test)]
mod tests {
    use super::*;

    fn item(text: &str) -> Item {
        serde_json::from_str(text).unwrap()
    }

    #[test]
    fn every_type_survives_its_own_json() {
        let text = r#"{"b":{"B":"AAEC"},"bs":{"BS":["AA==",""]},"e":{"S":""},"f":{"BOOL":false},"l":{"L":[{"N":"1.50"},{"NULL":true}]},"m":{"M":{"ü":{"NS":["2","10"]}}},"ss":{"SS":["b","a"]}}"#;
        assert_eq!(serde_json::to_string(&item(text)).unwrap(), text);
    }

    #[test]
    fn plain_json_sorts_sets_and_keeps_long_numbers_as_text() {
        let plain = plain_json(&item(
            r#"{"ss":{"SS":["b","a"]},"n":{"N":"12345678901234567890123456789012345678"},"x":{"NULL":true},"b":{"B":""}}"#,
        ));
        assert_eq!(
            plain.to_string(),
            r#"{"b":"","n":"12345678901234567890123456789012345678","ss":["a","b"],"x":null}"#
        );
    }

    #[test]
    fn an_unknown_type_is_an_error_not_a_guess() {
        assert!(serde_json::from_str::<Item>(r#"{"a":{"X":"1"}}"#).is_err());
        assert!(serde_json::from_str::<Item>(r#"{"a":{"N":"NaN"}}"#).is_err());
    }
}
