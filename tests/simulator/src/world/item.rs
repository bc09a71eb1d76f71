//! Items, as DynamoDB writes them in JSON: `{"id": {"S": "o1"}, "n": {"N": "3.50"}}`.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value, json};

use crate::random::Random;
use crate::world::WorldError;

/// An item. Every table's key is the string attribute [`KEY`].
pub type Item = Map<String, Value>;

/// The partition key of every table.
pub const KEY: &str = "id";

/// Most digits of a number (DynamoDB Developer Guide, "Naming rules and data types").
const NUMBER_DIGITS_MAX: usize = 38;

/// Makes an item of its key and what else it holds.
#[must_use]
pub fn item(id: &str, attributes: &[(&str, Value)]) -> Item {
    let mut item = keys(id);
    for (name, value) in attributes {
        item.insert((*name).to_owned(), value.clone());
    }
    item
}

/// The key of an item, as an item.
#[must_use]
pub fn keys(id: &str) -> Item {
    Item::from_iter([(KEY.to_owned(), json!({ "S": id }))])
}

/// The key of an item that is well formed.
pub(crate) fn check(item: &Item) -> Result<String, WorldError> {
    let bad = |name: &str| WorldError::Item { name: name.to_owned() };
    for (name, value) in item {
        if !is_value(value) {
            return Err(bad(name));
        }
    }
    let id = item.get(KEY).and_then(|key| key.get("S")).and_then(Value::as_str);
    match id {
        Some(id) if !id.is_empty() => Ok(id.to_owned()),
        _ => Err(bad(KEY)),
    }
}

fn is_value(value: &Value) -> bool {
    let Some(typed) = value.as_object().filter(|typed| typed.len() == 1) else {
        return false;
    };
    typed.iter().all(|(kind, value)| match kind.as_str() {
        "S" => value.is_string(),
        "N" => is_number(value),
        "B" => is_binary(value),
        "BOOL" | "NULL" => value.is_boolean(),
        "SS" => is_set(value, Value::is_string),
        "NS" => is_set(value, is_number),
        "BS" => is_set(value, is_binary),
        "L" => value.as_array().is_some_and(|list| list.iter().all(is_value)),
        "M" => value.as_object().is_some_and(|map| map.values().all(is_value)),
        _ => false,
    })
}

fn is_set(value: &Value, is_element: impl Fn(&Value) -> bool) -> bool {
    let set = value.as_array();
    set.is_some_and(|set| !set.is_empty() && set.iter().all(is_element))
}

fn is_number(value: &Value) -> bool {
    value.as_str().is_some_and(|text| text.parse::<f64>().is_ok())
}

fn is_binary(value: &Value) -> bool {
    value.as_str().is_some_and(|text| STANDARD.decode(text).is_ok())
}

/// An item with some attributes of any type, the awkward values among them.
pub(crate) fn random(id: &str, random: &mut Random) -> Item {
    let mut item = keys(id);
    let attributes = 1 + random.below(4);
    for number in 0..attributes {
        item.insert(format!("a{number}"), random_value(random, 2));
    }
    item
}

fn random_value(random: &mut Random, depth: u32) -> Value {
    let kinds = if depth == 0 { 9 } else { 11 };
    match random.below(kinds) {
        0 => json!({ "S": random_text(random) }),
        1 | 2 => json!({ "N": random_number(random) }),
        3 => json!({ "B": STANDARD.encode(random.hex(3)) }),
        4 => json!({ "BOOL": random.chance(0.5) }),
        5 => json!({ "NULL": true }),
        6 => json!({ "SS": shuffled(["x", "y", "ä"].map(str::to_owned), random) }),
        7 => json!({ "NS": shuffled(["1", "-2.50", "3e10"].map(str::to_owned), random) }),
        8 => json!({ "BS": shuffled(["YQ==", "", "Yg=="].map(str::to_owned), random) }),
        9 => json!({ "L": [random_value(random, depth - 1), random_value(random, depth - 1)] }),
        _ => json!({ "M": { "m": random_value(random, depth - 1) } }),
    }
}

fn random_text(random: &mut Random) -> String {
    let texts = ["", "paid", "Grüße 🚚", "line\nbreak", "\u{0000}\"\\", "null"];
    match random.pick(&texts) {
        Some(text) if random.chance(0.5) => (*text).to_owned(),
        _ => random.hex(12),
    }
}

fn random_number(random: &mut Random) -> String {
    let digits = 1 + random.index(NUMBER_DIGITS_MAX);
    let text: String = (0..digits)
        .map(|_| char::from(b'1' + u8::try_from(random.below(9)).expect("a digit is below ten")))
        .collect();
    if random.chance(0.3) { format!("-0.{text}") } else { text }
}

/// A set has no order in the database, and may come in another one each time.
fn shuffled(mut set: [String; 3], random: &mut Random) -> Vec<String> {
    random.shuffle(&mut set);
    set.to_vec()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn items_drawn_at_random_are_well_formed() {
        let mut generator = Random::new(1);
        for _ in 0..500 {
            let item = random("o1", &mut generator);
            assert_eq!(check(&item).unwrap(), "o1", "{item:?}");
        }
    }

    #[test]
    fn an_item_without_a_string_key_or_with_a_value_of_no_type_is_refused() {
        for text in [
            r#"{"id": {"N": "1"}}"#,
            r#"{"id": {"S": "o"}, "a": 1}"#,
            r#"{"id": {"S": ""}}"#,
        ] {
            assert!(check(&serde_json::from_str(text).unwrap()).is_err(), "{text}");
        }
    }
}
