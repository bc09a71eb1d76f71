//! Templates: text with places for what an event says, as EventBridge Pipes write them.
//!
//! `Order <$.detail.keys.id> is <$.detail.new.status>` ([EventBridge User Guide, "Input transformation"][guide]). A place is
//! `<$`, a path, `>`; a path is made of `.name`, `['any name']` and `[0]`. Everything else stands for itself, `<` too.
//!
//! [guide]: https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-pipes-input-transformation.html

mod detail;

use std::borrow::Cow;

use serde_json::Value;

pub use self::detail::DetailTemplate;

/// Longest template, in bytes.
const BYTES_MAX: usize = 64 << 10;

/// Places of one template. Each may be a whole event.
const PLACES_MAX: usize = 100;

/// A template that was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Template {
    parts: Vec<Part>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Part {
    Text(String),
    Place(Vec<Step>),
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Step {
    Name(String),
    Index(usize),
}

/// Why a text is no template.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("byte {at} of the template: {problem}")]
pub struct TemplateError {
    /// Offset in bytes.
    pub at: usize,
    /// What is wrong there, and what to do.
    pub problem: &'static str,
}

impl Template {
    /// Reads a template.
    ///
    /// # Errors
    ///
    /// A place is not closed, or its path is none.
    pub fn parse(text: &str) -> Result<Self, TemplateError> {
        check_length(text)?;
        let mut parts = Vec::new();
        let mut at = 0;
        while let Some(found) = text[at..].find("<$") {
            let begin = at + found;
            if begin > at {
                parts.push(Part::Text(text[at..begin].to_owned()));
            }
            let (steps, end) = parse_place(text, begin)?;
            parts.push(Part::Place(steps));
            at = end;
        }
        if at < text.len() {
            parts.push(Part::Text(text[at..].to_owned()));
        }
        Ok(Self { parts })
    }

    /// Puts in what the event says: text as it is, everything else as JSON, nothing where the event has nothing or null.
    /// `encode` makes it fit what stands around it.
    #[must_use]
    pub fn render(&self, event: &Value, encode: impl Fn(&str) -> String) -> String {
        let mut rendered = String::new();
        for part in &self.parts {
            match part {
                Part::Text(text) => rendered.push_str(text),
                Part::Place(steps) => rendered.push_str(&encode(&said(event, steps))),
            }
        }
        rendered
    }
}

fn check_length(text: &str) -> Result<(), TemplateError> {
    let (at, problem) = if text.len() > BYTES_MAX {
        (BYTES_MAX, "it is longer than 64 KiB")
    } else if let Some((at, _)) = text.match_indices("<$").nth(PLACES_MAX) {
        (at, "it has more than 100 places")
    } else {
        return Ok(());
    };
    Err(TemplateError { at, problem })
}

fn find<'event>(event: &'event Value, steps: &[Step]) -> Option<&'event Value> {
    steps.iter().try_fold(event, |value, step| match step {
        Step::Name(name) => value.get(name),
        Step::Index(index) => value.get(index),
    })
}

/// What an event says at a path, as text.
fn said<'event>(event: &'event Value, steps: &[Step]) -> Cow<'event, str> {
    match find(event, steps) {
        None | Some(Value::Null) => Cow::Borrowed(""),
        Some(Value::String(text)) => Cow::Borrowed(text),
        Some(value) => Cow::Owned(value.to_string()),
    }
}

/// The place that begins at `begin` with `<$`, and where it ends.
fn parse_place(text: &str, begin: usize) -> Result<(Vec<Step>, usize), TemplateError> {
    let error = |at, problem| Err(TemplateError { at, problem });
    let mut steps = Vec::new();
    let mut at = begin + 2;
    loop {
        let rest = &text[at..];
        if let Some(rest) = rest.strip_prefix('.') {
            let length = rest.find(['.', '[', '>', '<', ' ', '\n']).unwrap_or(rest.len());
            if length == 0 {
                return error(at, "a name follows `.`; one with other characters is written ['so']");
            }
            steps.push(Step::Name(rest[..length].to_owned()));
            at += 1 + length;
        } else if let Some(rest) = rest.strip_prefix("['") {
            let Some(length) = rest.find("']") else {
                return error(at, "the name is not closed by ']");
            };
            steps.push(Step::Name(rest[..length].to_owned()));
            at += 2 + length + 2;
        } else if let Some(rest) = rest.strip_prefix('[') {
            let index = rest
                .split_once(']')
                .and_then(|(digits, _)| Some((digits.parse().ok()?, digits.len())));
            let Some((index, length)) = index else {
                return error(at, "a number and `]` follow `[`, or a name in quotes: ['name']");
            };
            steps.push(Step::Index(index));
            at += 1 + length + 1;
        } else if rest.starts_with('>') {
            return Ok((steps, at + 1));
        } else {
            return error(
                at,
                "a path goes on with `.name`, `['name']` or `[0]`, and ends with `>`",
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use expect_test::{Expect, expect};
    use serde_json::json;

    use super::*;

    #[track_caller]
    fn check(template: &str, expect: Expect) {
        let event = json!({
            "detail-type": "shop-orders.modify",
            "detail": {"keys": {"id": "o-1"}, "new": {"total": 19.99, "lines": [{"n": 1}, {"n": 2}], "odd name": true, "nil": null}},
        });
        let rendered = match Template::parse(template) {
            Ok(template) => template.render(&event, str::to_owned),
            Err(error) => error.to_string(),
        };
        expect.assert_eq(&rendered);
    }

    #[test]
    fn places_say_what_the_event_says() {
        check(
            "Order <$.detail.keys.id>: <$.detail-type>, <$.detail.new.total>",
            expect!["Order o-1: shop-orders.modify, 19.99"],
        );
        check(
            "<$.detail.new.lines[1].n> <$.detail.new['odd name']>",
            expect!["2 true"],
        );
        check("<$.detail.new.lines>", expect![[r#"[{"n":1},{"n":2}]"#]]);
    }

    #[test]
    fn what_is_not_there_is_nothing_and_other_text_is_itself() {
        check(
            "[<$.detail.new.nil><$.detail.old.total><$.detail.new.lines[7]>]",
            expect!["[]"],
        );
        check("a < b <p> $.x <", expect!["a < b <p> $.x <"]);
        check("", expect![""]);
    }

    #[test]
    fn what_cannot_be_read_is_said_with_its_place() {
        check(
            "Order <$.detail.keys.id",
            expect!["byte 23 of the template: a path goes on with `.name`, `['name']` or `[0]`, and ends with `>`"],
        );
        check(
            "<$detail>",
            expect!["byte 2 of the template: a path goes on with `.name`, `['name']` or `[0]`, and ends with `>`"],
        );
        check(
            "<$..id>",
            expect!["byte 2 of the template: a name follows `.`; one with other characters is written ['so']"],
        );
        check(
            "<$.a['b>",
            expect!["byte 4 of the template: the name is not closed by ']"],
        );
        check(
            "<$.a[b]>",
            expect!["byte 4 of the template: a number and `]` follow `[`, or a name in quotes: ['name']"],
        );
    }

    #[test]
    fn what_is_put_in_is_encoded_and_the_template_is_not() {
        let template = Template::parse("<b><$.x></b>").unwrap();
        let rendered = template.render(&json!({"x": "<i>"}), |text| text.replace('<', "&lt;"));
        assert_eq!(rendered, "<b>&lt;i></b>");
    }
}
