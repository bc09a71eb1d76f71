//! The key of an item as a person writes it, into the keys that it may mean.
//!
//! | written | means |
//! | --- | --- |
//! | `["order-1"]` | the partition key alone, or partition and sort key in order |
//! | `{"order_id": "order-1"}` | key attributes by name |
//! | `{"order_id": {"S": "order-1"}}` | the same in DynamoDB-JSON, with its type |
//!
//! Text without a type may be a text or a number in the database, so both are looked for.

use serde_json::Value;
use weir_model::{AttributeValue, Item, Number};

/// Why a key cannot be one of this table.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum KeyError {
    #[error("the key must be a JSON array of values or a JSON object of attributes")]
    Shape,
    #[error("the key of this table is {expected}: give {count}", count = if *.many { "a value for each" } else { "one value" })]
    Attributes { expected: String, many: bool },
    #[error(
        "the key of this table is {expected}, and has no {given:?}: give a value that has a `=` in it by name, `{example}=...`"
    )]
    OtherName {
        expected: String,
        given: String,
        example: String,
    },
    #[error("the key attributes of this table are not known: give each by name, `name=value`")]
    Unknown,
    #[error("a key attribute is a text, a number or a binary, not {0}")]
    Value(String),
}

/// Every key that `text` may mean in a table with these key attributes.
pub(crate) fn read_key(text: &str, key_names: &[String]) -> Result<Vec<Item>, KeyError> {
    let wrong_attributes = || KeyError::Attributes {
        expected: key_names.join(" and "),
        many: key_names.len() > 1,
    };
    let named: Vec<(String, Value)> = match serde_json::from_str(text).map_err(|_| KeyError::Shape)? {
        Value::Object(object) => object.into_iter().collect(),
        Value::Array(values) if values.len() == key_names.len() => key_names.iter().cloned().zip(values).collect(),
        Value::Array(_) if key_names.is_empty() => return Err(KeyError::Unknown),
        Value::Array(_) => return Err(wrong_attributes()),
        _ => return Err(KeyError::Shape),
    };
    if let Some(example) = key_names.first() {
        if let Some((other, _)) = named.iter().find(|(name, _)| !key_names.contains(name)) {
            return Err(KeyError::OtherName {
                expected: key_names.join(" and "),
                given: other.clone(),
                example: example.clone(),
            });
        }
        if named.len() != key_names.len() {
            return Err(wrong_attributes());
        }
    }
    let mut keys = vec![Item::new()];
    for (name, value) in named {
        let meanings = meanings(value)?;
        let mut extended = Vec::with_capacity(keys.len() * meanings.len());
        for key in &keys {
            for meaning in &meanings {
                let mut key = key.clone();
                key.insert(name.clone(), meaning.clone());
                extended.push(key);
            }
        }
        keys = extended;
    }
    Ok(keys)
}

fn meanings(value: Value) -> Result<Vec<AttributeValue>, KeyError> {
    match value {
        Value::String(text) => {
            let number = Number::parse(text.as_str()).ok().map(AttributeValue::N);
            Ok([Some(AttributeValue::S(text)), number].into_iter().flatten().collect())
        }
        Value::Number(number) => {
            let number = Number::parse(number.to_string()).map_err(|error| KeyError::Value(error.text))?;
            Ok(vec![AttributeValue::N(number)])
        }
        value => match serde_json::from_value(value.clone()) {
            Ok(typed @ (AttributeValue::S(_) | AttributeValue::N(_) | AttributeValue::B(_))) => Ok(vec![typed]),
            _ => Err(KeyError::Value(value.to_string())),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, key_names: &[&str], expected: &str) {
        let names: Vec<String> = key_names.iter().map(|name| (*name).to_owned()).collect();
        let answer = match read_key(text, &names) {
            Ok(keys) => serde_json::to_string(&keys).unwrap(),
            Err(error) => error.to_string(),
        };
        assert_eq!(answer, expected);
    }

    #[test]
    fn a_value_without_a_type_is_looked_for_as_text_and_as_number() {
        check(r#"["o-1"]"#, &["id"], r#"[{"id":{"S":"o-1"}}]"#);
        check(r#"["17"]"#, &["id"], r#"[{"id":{"S":"17"}},{"id":{"N":"17"}}]"#);
        check("[17]", &["id"], r#"[{"id":{"N":"17"}}]"#);
    }

    #[test]
    fn a_typed_key_means_itself() {
        check(r#"{"id":{"B":"AAE="}}"#, &["id"], r#"[{"id":{"B":"AAE="}}]"#);
        check(
            r#"{"b":"x","a":{"N":"1"}}"#,
            &["a", "b"],
            r#"[{"a":{"N":"1"},"b":{"S":"x"}}]"#,
        );
    }

    #[test]
    fn a_key_that_does_not_fit_the_table_says_what_does() {
        check(
            "o-1",
            &["id"],
            "the key must be a JSON array of values or a JSON object of attributes",
        );
        check(
            r#"["o-1"]"#,
            &["a", "b"],
            "the key of this table is a and b: give a value for each",
        );
        check(
            r#"{"x":"o-1"}"#,
            &["id"],
            r#"the key of this table is id, and has no "x": give a value that has a `=` in it by name, `id=...`"#,
        );
        check(
            r#"{"a":"o-1"}"#,
            &["a", "b"],
            "the key of this table is a and b: give a value for each",
        );
        check(
            r#"["o-1"]"#,
            &[],
            "the key attributes of this table are not known: give each by name, `name=value`",
        );
        check(
            r#"[{"BOOL":true}]"#,
            &["id"],
            r#"a key attribute is a text, a number or a binary, not {"BOOL":true}"#,
        );
    }
}
