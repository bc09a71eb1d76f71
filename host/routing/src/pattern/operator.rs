//! From JSON to a rule: literals and operators, with what each operator takes.

use std::ops::Bound;

use super::error::PatternProblem;
use super::network::Network;
use super::rule::Rule;
use super::syntax::{Entry, Kind, Node, Refusal};
use super::text::{Text, Wildcard};

const ANYTHING_BUT: &str = "anything-but";
const CIDR: &str = "cidr";
const EQUALS_IGNORE_CASE: &str = "equals-ignore-case";
const EXISTS: &str = "exists";
const NUMERIC: &str = "numeric";
const PREFIX: &str = "prefix";
const SUFFIX: &str = "suffix";
const WILDCARD: &str = "wildcard";

/// All operators that stand in a leaf.
pub(super) const OPERATORS: [&str; 8] = [
    ANYTHING_BUT,
    CIDR,
    EQUALS_IGNORE_CASE,
    EXISTS,
    NUMERIC,
    PREFIX,
    SUFFIX,
    WILDCARD,
];

/// Largest magnitude that `numeric` takes, as the EventBridge user guide has it.
const NUMERIC_MAGNITUDE_MAX: f64 = 5e9;

const ANYTHING_BUT_OPERAND: &str = "a string, a number, an array of strings or of numbers, or one of `prefix`, \
                                    `suffix`, `equals-ignore-case` and `wildcard` with a string or an array of strings";
const AFFIX_OPERAND: &str = r#"a string, or {"equals-ignore-case": a string}"#;

/// Reads one element of a leaf.
pub(super) fn rule<'t>(node: &Node<'t>) -> Result<Rule, Refusal<'t>> {
    match &node.kind {
        Kind::Null => Ok(Rule::Null),
        Kind::Bool(value) => Ok(Rule::Bool(*value)),
        Kind::Number => exact_number(node.text).map(Rule::Number).ok_or_else(|| {
            Refusal::new(
                node.text,
                PatternProblem::InexactNumber {
                    text: node.text.to_owned(),
                },
            )
        }),
        Kind::String(value) => Ok(Rule::Text(Text::Equal(value.as_str().into()))),
        Kind::Array(_) => Err(Refusal::new(node.text, PatternProblem::NestedArray)),
        Kind::Object(entries) => match entries.as_slice() {
            [entry] => operator(entry),
            _ => Err(Refusal::new(node.text, PatternProblem::OperatorKeys)),
        },
    }
}

/// Reads a number that events can carry as a number, or says that this is none.
fn exact_number(text: &str) -> Option<f64> {
    // Events come by the same rule, so a number that fails here is a string there.
    weir_model::Number::parse(text).ok()?.to_json().as_f64()
}

fn operator<'t>(entry: &Entry<'t>) -> Result<Rule, Refusal<'t>> {
    let operand = &entry.value;
    match entry.key.as_str() {
        ANYTHING_BUT => anything_but(operand),
        CIDR => {
            let network = Network::parse(string(operand, CIDR, "a string such as \"10.0.0.0/8\"")?);
            network
                .map(Rule::Network)
                .ok_or_else(|| Refusal::new(operand.text, PatternProblem::NotNetwork))
        }
        EQUALS_IGNORE_CASE => {
            let text = string(operand, EQUALS_IGNORE_CASE, "a string")?;
            Ok(Rule::Text(Text::EqualIgnoringCase(text.into())))
        }
        EXISTS => match operand.kind {
            Kind::Bool(true) => Ok(Rule::Exists),
            Kind::Bool(false) => Ok(Rule::Missing),
            _ => Err(refuse_operand(operand, EXISTS, "true or false")),
        },
        NUMERIC => numeric(operand),
        PREFIX => affix(operand, PREFIX, Text::Prefix, Text::PrefixIgnoringCase),
        SUFFIX => affix(operand, SUFFIX, Text::Suffix, Text::SuffixIgnoringCase),
        WILDCARD => wildcard(operand),
        name => Err(Refusal::new(
            entry.key_text,
            PatternProblem::UnknownOperator { name: name.to_owned() },
        )),
    }
}

fn affix<'t>(
    operand: &Node<'t>,
    operator: &'static str,
    exact: fn(Box<str>) -> Text,
    ignoring_case: fn(Box<str>) -> Text,
) -> Result<Rule, Refusal<'t>> {
    if let Kind::Object(entries) = &operand.kind
        && let [entry] = entries.as_slice()
        && entry.key == EQUALS_IGNORE_CASE
    {
        let text = string(&entry.value, EQUALS_IGNORE_CASE, "a string")?;
        return Ok(Rule::Text(ignoring_case(text.into())));
    }
    let text = string(operand, operator, AFFIX_OPERAND)?;
    Ok(Rule::Text(exact(text.into())))
}

fn wildcard<'t>(operand: &Node<'t>) -> Result<Rule, Refusal<'t>> {
    let wildcard = Wildcard::parse(string(operand, WILDCARD, "a string")?);
    wildcard
        .map(|wildcard| Rule::Text(Text::Wildcard(wildcard)))
        .map_err(|problem| Refusal::new(operand.text, problem))
}

fn numeric<'t>(operand: &Node<'t>) -> Result<Rule, Refusal<'t>> {
    let Kind::Array(elements) = &operand.kind else {
        return Err(Refusal::new(operand.text, PatternProblem::NumericForm));
    };
    let refuse_form = |node: &Node<'t>| Refusal::new(node.text, PatternProblem::NumericForm);
    match elements.as_slice() {
        [operator, value] => {
            let value = numeric_bound(value)?;
            let range = match comparison(operator)? {
                "=" => (Bound::Included(value), Bound::Included(value)),
                "<" => (Bound::Unbounded, Bound::Excluded(value)),
                "<=" => (Bound::Unbounded, Bound::Included(value)),
                ">" => (Bound::Excluded(value), Bound::Unbounded),
                _ => (Bound::Included(value), Bound::Unbounded),
            };
            Ok(Rule::Numeric(range))
        }
        [low_operator, low, high_operator, high] => {
            let (low, high) = (numeric_bound(low)?, numeric_bound(high)?);
            let low_bound = match comparison(low_operator)? {
                ">" => Bound::Excluded(low),
                ">=" => Bound::Included(low),
                _ => return Err(refuse_form(low_operator)),
            };
            let high_bound = match comparison(high_operator)? {
                "<" => Bound::Excluded(high),
                "<=" => Bound::Included(high),
                _ => return Err(refuse_form(high_operator)),
            };
            if low >= high {
                return Err(Refusal::new(operand.text, PatternProblem::NumericRangeEmpty));
            }
            Ok(Rule::Numeric((low_bound, high_bound)))
        }
        _ => Err(refuse_form(operand)),
    }
}

fn comparison<'n, 't>(node: &'n Node<'t>) -> Result<&'n str, Refusal<'t>> {
    match &node.kind {
        Kind::String(name) if matches!(name.as_str(), "=" | "<" | "<=" | ">" | ">=") => Ok(name),
        Kind::String(name) => Err(Refusal::new(
            node.text,
            PatternProblem::NumericOperator { operator: name.clone() },
        )),
        _ => Err(Refusal::new(node.text, PatternProblem::NumericForm)),
    }
}

fn numeric_bound<'t>(node: &Node<'t>) -> Result<f64, Refusal<'t>> {
    if !matches!(node.kind, Kind::Number) {
        return Err(Refusal::new(node.text, PatternProblem::NumericForm));
    }
    match exact_number(node.text) {
        Some(value) if value.abs() <= NUMERIC_MAGNITUDE_MAX => Ok(value),
        Some(_) => Err(Refusal::new(node.text, PatternProblem::NumericBound)),
        None => Err(Refusal::new(
            node.text,
            PatternProblem::InexactBound {
                text: node.text.to_owned(),
            },
        )),
    }
}

fn anything_but<'t>(operand: &Node<'t>) -> Result<Rule, Refusal<'t>> {
    let excluded = match &operand.kind {
        Kind::Object(entries) => match entries.as_slice() {
            [entry] => excluded_forms(entry)?,
            _ => return Err(refuse_operand(operand, ANYTHING_BUT, ANYTHING_BUT_OPERAND)),
        },
        _ => excluded_values(operand)?,
    };
    Ok(Rule::AnythingBut(excluded.into()))
}

/// The operand of `anything-but`: values.
fn excluded_values<'t>(operand: &Node<'t>) -> Result<Vec<Rule>, Refusal<'t>> {
    let values = one_or_more(operand);
    let is_scalar = |node: &&Node<'t>| matches!(node.kind, Kind::String(_) | Kind::Number);
    if let Some(other) = values.iter().find(|node| !is_scalar(node)) {
        return Err(refuse_operand(other, ANYTHING_BUT, ANYTHING_BUT_OPERAND));
    }
    let Some(first) = values.first() else {
        return Err(refuse_operand(operand, ANYTHING_BUT, ANYTHING_BUT_OPERAND));
    };
    let is_string = |node: &Node<'t>| matches!(node.kind, Kind::String(_));
    if let Some(other) = values.iter().find(|node| is_string(node) != is_string(first)) {
        return Err(Refusal::new(other.text, PatternProblem::MixedExclusion));
    }
    values.iter().map(rule).collect()
}

/// The operand of `anything-but`: an operator with one or more strings.
fn excluded_forms<'t>(entry: &Entry<'t>) -> Result<Vec<Rule>, Refusal<'t>> {
    let read: for<'x> fn(&Node<'x>) -> Result<Rule, Refusal<'x>> = match entry.key.as_str() {
        PREFIX => |node| excluded_affix(node, PREFIX, Text::Prefix),
        SUFFIX => |node| excluded_affix(node, SUFFIX, Text::Suffix),
        EQUALS_IGNORE_CASE => |node| {
            let text = string(node, EQUALS_IGNORE_CASE, "a string or an array of strings")?;
            Ok(Rule::Text(Text::EqualIgnoringCase(text.into())))
        },
        WILDCARD => wildcard,
        _ => {
            let problem = PatternProblem::Operand {
                operator: ANYTHING_BUT,
                expected: ANYTHING_BUT_OPERAND,
            };
            return Err(Refusal::new(entry.key_text, problem));
        }
    };
    let texts = one_or_more(&entry.value);
    if texts.is_empty() {
        return Err(refuse_operand(&entry.value, ANYTHING_BUT, ANYTHING_BUT_OPERAND));
    }
    texts.iter().map(read).collect()
}

fn excluded_affix<'t>(
    operand: &Node<'t>,
    operator: &'static str,
    exact: fn(Box<str>) -> Text,
) -> Result<Rule, Refusal<'t>> {
    let text = string(operand, operator, "a string or an array of strings here")?;
    if text.is_empty() {
        return Err(Refusal::new(operand.text, PatternProblem::EmptyExclusion { operator }));
    }
    Ok(Rule::Text(exact(text.into())))
}

/// The elements of an array, or the value alone.
fn one_or_more<'n, 't>(node: &'n Node<'t>) -> &'n [Node<'t>] {
    match &node.kind {
        Kind::Array(elements) => elements,
        _ => std::slice::from_ref(node),
    }
}

fn string<'n, 't>(node: &'n Node<'t>, operator: &'static str, expected: &'static str) -> Result<&'n str, Refusal<'t>> {
    match &node.kind {
        Kind::String(text) => Ok(text),
        _ => Err(refuse_operand(node, operator, expected)),
    }
}

fn refuse_operand<'t>(node: &Node<'t>, operator: &'static str, expected: &'static str) -> Refusal<'t> {
    Refusal::new(node.text, PatternProblem::Operand { operator, expected })
}
