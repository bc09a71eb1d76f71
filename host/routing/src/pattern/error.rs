//! Why a text is not an event pattern, where, and what to write instead.

use std::fmt;

use super::operator::OPERATORS;
use super::subject::Subject;
use super::syntax::{DEPTH_MAX, TEXT_BYTES_MAX};
use super::tree::ALTERNATIVES_MAX;

/// What is wrong with an event pattern, and where.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub struct PatternError {
    /// Line of the text, counted from 1.
    pub line: usize,

    /// Column in that line, counted in characters from 1.
    pub column: usize,

    /// Fields that lead there, joined by dots; empty for the pattern as a whole.
    pub path: String,

    /// What is wrong and what to do.
    pub problem: PatternProblem,
}

/// What can be wrong with an event pattern.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PatternProblem {
    #[error("the text is {bytes} bytes, limit is {TEXT_BYTES_MAX}; split the pattern into several routes")]
    TooLong { bytes: usize },

    #[error("this is not JSON: {reason}")]
    NotJson { reason: String },

    #[error("objects and arrays are nested deeper than {DEPTH_MAX}; no event is, so nothing can match")]
    TooDeep,

    #[error(r#"an event pattern is a JSON object, such as {{"detail": {{"operation": ["insert"]}}}}"#)]
    PatternNotObject,

    #[error("an empty object asks for nothing; name a field in it, or remove it")]
    EmptyObject,

    #[error(
        "this key stands here twice (first in line {line}, column {column}); JSON keeps one of them, so make the two one"
    )]
    DuplicateKey { line: usize, column: usize },

    #[error("a field is an array of rules, or an object of fields; write [{value}]")]
    BareValue { value: String },

    #[error(r#"an empty array matches nothing; put a rule into it, such as {{"exists": true}}, or remove the field"#)]
    EmptyArray,

    #[error("a rule is a string, a number, true, false, null or an operator; take the inner array's values out of it")]
    NestedArray,

    #[error("{text} is more than a JSON number holds exactly, so events carry it as a string; write \"{text}\"")]
    InexactNumber { text: String },

    #[error("no operator is called `{name}`; there are {}", OperatorList)]
    UnknownOperator { name: String },

    #[error("an operator is an object with exactly one key; write several as several rules of the array")]
    OperatorKeys,

    #[error("`{operator}` takes {expected}")]
    Operand {
        operator: &'static str,
        expected: &'static str,
    },

    #[error("`{operator}` of an empty string is every string, so this matches none; write more of the string")]
    EmptyExclusion { operator: &'static str },

    #[error("`anything-but` takes only strings or only numbers; leave out those of the type that the field never has")]
    MixedExclusion,

    #[error(
        "`{operator}` is no comparison here; write one of =, <, <=, >, >= and a number, or > or >=, a number, < or <=, \
         a number"
    )]
    NumericOperator { operator: String },

    #[error(
        "`numeric` takes a comparison and a number, such as [\">\", 0], or a lower and an upper bound, such as [\">\", \
         0, \"<=\", 5]"
    )]
    NumericForm,

    #[error("`numeric` compares numbers from -5e9 to 5e9; for one value write the number itself as the rule")]
    NumericBound,

    #[error("{text} is more than a comparison holds exactly; write fewer digits")]
    InexactBound { text: String },

    #[error("no number lies between these bounds; write the lower bound first")]
    NumericRangeEmpty,

    #[error("`**` says no more than `*`; write one, or `\\\\*` for the character itself")]
    WildcardTwice,

    #[error("in a wildcard a backslash stands before `*` or a backslash; write `\\\\\\\\` for one backslash")]
    WildcardEscape,

    #[error("this is no network; write an address and the length of its prefix, such as 10.0.0.0/8 or 2001:db8::/32")]
    NotNetwork,

    #[error("`$or` is an array of two or more objects; with a single one, write its fields without `$or`")]
    OrForm,

    #[error("inside `$or` no field may be called `{name}`, because that is an operator; did you leave out its field?")]
    OrOperator { name: String },

    #[error("`{path}` has rules on both sides of `$or`; keep one of the two")]
    FieldTwice { path: String },

    #[error(
        "this is a field of {}, and `{field}` is one of {}; a pattern is about one of the two",
        subjects(.field).1, subjects(.field).0
    )]
    OtherSubject { field: String },

    #[error("the ledger does not keep this of a record, so nothing could match")]
    NotKept,

    #[error("`$or` makes more than {ALTERNATIVES_MAX} combinations; split the pattern into several routes")]
    TooManyAlternatives,
}

impl fmt::Display for PatternError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}, column {}", self.line, self.column)?;
        if !self.path.is_empty() {
            write!(f, ", `{}`", self.path)?;
        }
        write!(f, ": {}", self.problem)
    }
}

/// What a field is of, and what it is not of.
fn subjects(field: &str) -> (&'static str, &'static str) {
    const EVENT: &str = "Weir's event";
    const RECORD: &str = "a stream's record";
    match Subject::of_field(field) {
        Some(Subject::Record) => (RECORD, EVENT),
        _ => (EVENT, RECORD),
    }
}

/// The operators' names, for a message.
struct OperatorList;

impl fmt::Display for OperatorList {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&OPERATORS.map(|name| format!("`{name}`")).join(", "))
    }
}
