//! A template of a JSON object, with places in it: what a route makes of `detail`.
//!
//! A place that is a value by itself is what the event has there, of whatever type; null where it has nothing. One inside of a
//! text is text. `{"order": <$.detail.keys.id>, "say": "order <$.detail.keys.id> was changed"}`

use serde_json::{Map, Value};

use super::{Step, Template, TemplateError, check_length, find, parse_place};

/// A template of an object that was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DetailTemplate {
    members: Vec<(String, Node)>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Node {
    Place(Vec<Step>),
    Text(Template),
    Array(Vec<Self>),
    Object(Vec<(String, Self)>),
    Literal(Value),
}

/// Marks a place that is a value by itself, in the JSON text that the template is without its places. A template has it nowhere
/// else.
const MARK: char = '\u{f8ff}';

/// The mark, as JSON may write it.
const ESCAPED_MARK: &str = "\\uf8ff";

impl DetailTemplate {
    /// Reads a template.
    ///
    /// # Errors
    ///
    /// It is no object of JSON with places in it.
    pub fn parse(text: &str) -> Result<Self, TemplateError> {
        check_length(text)?;
        if let Some(at) = text.find(MARK).or_else(|| text.to_ascii_lowercase().find(ESCAPED_MARK)) {
            return Err(TemplateError {
                at,
                problem: "U+F8FF cannot stand in a template",
            });
        }
        let (json, places) = without_places(text)?;
        let no_object = |at| TemplateError {
            at,
            problem: "the template is an object of JSON, with places as values or inside of texts",
        };
        let value: Value = serde_json::from_str(&json).map_err(|_| no_object(0))?;
        let Value::Object(members) = value else {
            return Err(no_object(0));
        };
        Ok(Self {
            members: nodes(members, &places)?,
        })
    }

    /// The object, with what the event says.
    #[must_use]
    pub fn render(&self, event: &Value) -> Map<String, Value> {
        object(&self.members, event)
    }

    /// Names of the members of the object.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.members.iter().map(|(name, _)| name.as_str())
    }
}

impl Node {
    fn of(value: Value, places: &[Vec<Step>]) -> Result<Self, TemplateError> {
        Ok(match value {
            Value::String(text) => match text.strip_prefix(MARK).and_then(|number| number.parse::<usize>().ok()) {
                Some(number) => Self::Place(places.get(number).cloned().unwrap_or_default()),
                None => Self::Text(Template::parse(&text)?),
            },
            Value::Array(elements) => {
                let nodes = elements.into_iter().map(|element| Self::of(element, places));
                Self::Array(nodes.collect::<Result<_, _>>()?)
            }
            Value::Object(members) => Self::Object(nodes(members, places)?),
            literal => Self::Literal(literal),
        })
    }

    fn render(&self, event: &Value) -> Value {
        match self {
            Self::Place(steps) => find(event, steps).cloned().unwrap_or_default(),
            Self::Text(template) => Value::String(template.render(event, str::to_owned)),
            Self::Array(elements) => elements.iter().map(|element| element.render(event)).collect(),
            Self::Object(members) => Value::Object(object(members, event)),
            Self::Literal(value) => value.clone(),
        }
    }
}

fn nodes(members: Map<String, Value>, places: &[Vec<Step>]) -> Result<Vec<(String, Node)>, TemplateError> {
    let nodes = members.into_iter().map(|(name, value)| {
        if name.contains(MARK) {
            return Err(TemplateError {
                at: 0,
                problem: "a place cannot be the name of a member",
            });
        }
        Ok((name, Node::of(value, places)?))
    });
    nodes.collect()
}

fn object(members: &[(String, Node)], event: &Value) -> Map<String, Value> {
    let rendered = members.iter().map(|(name, node)| (name.clone(), node.render(event)));
    rendered.collect()
}

/// The template with a text in place of each place that is a value by itself, and those places.
fn without_places(text: &str) -> Result<(String, Vec<Vec<Step>>), TemplateError> {
    let (mut json, mut places) = (String::with_capacity(text.len()), Vec::new());
    let (mut in_text, mut at) = (false, 0);
    while let Some(character) = text[at..].chars().next() {
        if text[at..].starts_with("<$") {
            let (steps, end) = parse_place(text, at)?;
            if in_text {
                json.push_str(&text[at..end]);
            } else {
                json.push_str(&format!("\"{MARK}{}\"", places.len()));
                places.push(steps);
            }
            at = end;
            continue;
        }
        json.push(character);
        at += character.len_utf8();
        match character {
            '"' => in_text = !in_text,
            // What is escaped ends no text.
            '\\' if in_text => {
                let escaped = text[at..].chars().next();
                json.extend(escaped);
                at += escaped.map_or(0, char::len_utf8);
            }
            _ => {}
        }
    }
    Ok((json, places))
}

#[cfg(test)]
mod tests {
    use expect_test::{Expect, expect};
    use serde_json::json;

    use super::*;

    #[track_caller]
    fn check(template: &str, expect: Expect) {
        let event = json!({"detail": {"keys": {"id": "o\"1"}, "new": {"total": 19.99, "lines": [{"sku": "a"}]}}});
        let rendered = match DetailTemplate::parse(template) {
            Ok(template) => Value::Object(template.render(&event)).to_string(),
            Err(error) => error.to_string(),
        };
        expect.assert_eq(&rendered);
    }

    #[test]
    fn a_place_is_a_value_by_itself_and_text_inside_of_text() {
        check(
            r#"{"id": <$.detail.keys.id>, "total": <$.detail.new.total>, "say": "\"<$.detail.keys.id>\" is <$.detail.new.total>"}"#,
            expect![[r#"{"id":"o\"1","say":"\"o\"1\" is 19.99","total":19.99}"#]],
        );
        check(
            r#"{"nested": {"lines": [<$.detail.new.lines[0].sku>, 7, null]}, "all": <$.detail.new.lines>}"#,
            expect![[r#"{"all":[{"sku":"a"}],"nested":{"lines":["a",7,null]}}"#]],
        );
    }

    #[test]
    fn what_the_event_does_not_have_is_null_or_no_text() {
        check(
            r#"{"gone": <$.detail.old.total>, "say": "[<$.detail.old.total>]"}"#,
            expect![[r#"{"gone":null,"say":"[]"}"#]],
        );
    }

    #[test]
    fn what_is_no_object_or_has_no_path_is_refused() {
        let no_object = expect![
            "byte 0 of the template: the template is an object of JSON, with places as values or inside of texts"
        ];
        check("[1]", no_object);
        check(
            r#"{"a": <$.detail.keys.id}"#,
            expect!["byte 24 of the template: a path goes on with `.name`, `['name']` or `[0]`, and ends with `>`"],
        );
        check(
            r#"{<$.a>: 1}"#,
            expect!["byte 0 of the template: a place cannot be the name of a member"],
        );
        check(
            r#"{"a": "\uF8FF9"}"#,
            expect!["byte 7 of the template: U+F8FF cannot stand in a template"],
        );
        check(
            r#"{"a": "order <$x>"}"#,
            expect!["byte 15 of the template: a path goes on with `.name`, `['name']` or `[0]`, and ends with `>`"],
        );
    }
}
