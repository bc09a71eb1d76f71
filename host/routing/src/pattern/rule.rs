//! One rule of a leaf: which single values of an event it takes.

use std::ops::{Bound, RangeBounds};

use serde_json::{Number, Value};

use super::network::Network;
use super::text::Text;

/// One of the rules of a leaf.
#[derive(Debug, PartialEq)]
pub(super) enum Rule {
    Null,
    Bool(bool),

    /// A number by value. Binary64 holds it exactly, else the pattern was refused.
    Number(f64),

    /// Some form of string.
    Text(Text),

    Numeric((Bound<f64>, Bound<f64>)),
    Network(Network),
    Exists,
    Missing,

    /// Everything that is there and that none of these takes, of whatever type.
    AnythingBut(Box<[Rule]>),
}

impl Rule {
    /// Whether this rule takes `scalar`, a value that is neither array nor object.
    pub(super) fn matches(&self, scalar: &Value) -> bool {
        match self {
            Self::Null => scalar.is_null(),
            Self::Bool(expected) => scalar.as_bool() == Some(*expected),
            Self::Number(expected) => scalar.as_number().is_some_and(|number| equals(number, *expected)),
            Self::Text(text) => scalar.as_str().is_some_and(|found| text.matches(found)),
            Self::Numeric(range) => scalar.as_f64().is_some_and(|number| range.contains(&number)),
            Self::Network(network) => scalar.as_str().is_some_and(|found| network.contains(found)),
            Self::Exists => true,
            Self::Missing => false,
            Self::AnythingBut(rules) => !rules.iter().any(|rule| rule.matches(scalar)),
        }
    }

    /// Whether this rule is content with there being no value.
    pub(super) fn matches_nothing(&self) -> bool {
        matches!(self, Self::Missing)
    }
}

/// Compares by value.
fn equals(number: &Number, expected: f64) -> bool {
    exact(number) == Some(expected)
}

/// The value of a number that binary64 holds exactly. An integer that it would round equals no number that it holds.
pub(super) fn exact(number: &Number) -> Option<f64> {
    number.as_f64().filter(|_| !is_rounded(number))
}

/// Whether `number` is an integer with more significant bits than the 53 of binary64.
fn is_rounded(number: &Number) -> bool {
    let magnitude = number.as_u64().or_else(|| number.as_i64().map(i64::unsigned_abs));
    magnitude.is_some_and(|bits| {
        bits != 0 && u64::BITS - bits.leading_zeros() - bits.trailing_zeros() > f64::MANTISSA_DIGITS
    })
}
