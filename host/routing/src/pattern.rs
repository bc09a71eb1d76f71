//! Event patterns: which events a route takes. Syntax and semantics are those of Amazon EventBridge.
//!
//! ```text
//! text ──▶ syntax ──▶ compile ──▶ Pattern = any of: tree of fields, leaves with rules ──▶ matches, explain
//!          positions,   operators,
//!          duplicates   $or multiplied out           PatternSet = many of them, in one pass
//! ```
//!
//! ```json
//! {
//!   "source": ["weir.shop"],
//!   "detail": {
//!     "operation": ["insert", "modify"],
//!     "new": { "status": ["paid"], "total": [{ "numeric": [">", 100] }], "note": [{ "exists": false }] }
//!   }
//! }
//! ```
//!
//! A pattern is a JSON object with the shape of the events that it takes. Every field must match; a leaf is an array of
//! rules, of which one must match. The rules are those of the EventBridge user guide ("Comparison operators for use in
//! event patterns"), and where the guide is silent those of the open-source matcher behind it (`aws/event-ruler`,
//! July 2026):
//!
//! | rule | matches a leaf that is |
//! | --- | --- |
//! | `"text"`, `12.5`, `true`, `false`, `null` | this value; numbers are compared by value: 300, 300.0 and 3.0e2 are one |
//! | `{"prefix": "a"}`, `{"suffix": "a"}` | a string that begins or ends so |
//! | `{"equals-ignore-case": "a"}`, also as the operand of `prefix` and `suffix` | the same without regard to case |
//! | `{"wildcard": "a*b"}` | a string of this form; `\*` and `\\` stand for the characters |
//! | `{"numeric": [">", 0, "<=", 5]}` | a number in the range; one of `=`, `<`, `<=`, `>`, `>=`, or a lower then an upper bound |
//! | `{"cidr": "10.0.0.0/8"}` | a string that is an address in this network |
//! | `{"exists": true}`, `{"exists": false}` | there, whatever it is (`null` too), or not there |
//! | `{"anything-but": X}` | there, and not X: a string, a number, a list of either, or `prefix`, `suffix`, `equals-ignore-case`, `wildcard` of a string or a list |
//! | `"$or": [{...}, {...}]` in place of a field | an alternative: one of the objects matches |
//!
//! # Records
//!
//! A pattern that asks for `eventName`, `dynamodb` or another field of a stream's record is about the record of a change, in
//! the shape in which AWS Lambda and EventBridge Pipes have it; so filters of event source mappings and pipes run unchanged.
//! Every other pattern is about the event that the change becomes. One about both is refused, and one that asks a record for
//! what no ledger keeps.
//!
//! # Arrays in the event
//!
//! A leaf that is an array matches if one of its elements does; so `anything-but` takes `["a", "b"]` when one of the two
//! is something else. A nested object matches an array of objects if *one element* matches all of it: fields of
//! different elements never add up to a match. Arrays in arrays are seen through. An empty array or object holds no
//! leaf, so `exists` finds nothing in it, and an object is not a leaf of its own name.
//!
//! A field that only has to be absent must be absent from every element, unless the same object also asks for something
//! that is there: then it must be absent from the element where that was found.
//!
//! # Where this differs from EventBridge
//!
//! A pattern that EventBridge takes is either refused here, with the reason, or takes the same events, but for the last
//! four points.
//!
//! - A key that stands twice in an object, and a field with rules both inside and beside an `$or`, are refused.
//!   EventBridge lets one of the two win.
//! - A number that binary64 does not hold exactly is refused: Weir's events carry such numbers as strings.
//! - `numeric` takes operands from -5e9 to 5e9, as the guide has it, but compares numbers of any size with them.
//! - A dot in a field's name is part of the name. In EventBridge `{"a.b": [1]}` and `{"a": {"b": [1]}}` are the same.
//! - A string that is an IP address is only a string; to EventBridge `"::1"` and `"0:0:0:0:0:0:0:1"` are the same.
//! - In arrays, whether something may be absent does not depend on how the fields' names are sorted.
//!
//! # What a match costs
//!
//! No more than reading the event's fields that the pattern names, once for every rule on them. A wildcard reads a string once,
//! however many `*` it has: no way to fill a gap is tried twice, so none is refused as too complex, as EventBridge does.
//!
//! # Invariants
//!
//! - Matching reads the event and nothing else, allocates nothing, and takes the same decision every time.
//! - No rule is ignored: what is not understood, or stands there twice, is an error with its place in the text.
//! - `explain` says `matched` exactly if `matches` says yes.

mod compile;
mod error;
mod explain;
mod network;
mod operator;
mod rule;
mod set;
mod subject;
mod syntax;
mod text;
mod tree;

use serde_json::Value;

pub use error::{PatternError, PatternProblem};
pub use explain::{Explanation, Miss};
pub use set::PatternSet;
pub use subject::Subject;

use tree::{Fields, Verdict};

/// A parsed event pattern.
#[derive(Clone, Debug)]
pub struct Pattern {
    /// The pattern with every `$or` multiplied out: it matches if one of these does. Never empty.
    ///
    /// Multiplied out, all that a pattern asks of one array stands in one tree, so "in one element" needs no
    /// bookkeeping while matching.
    alternatives: Box<[Fields]>,

    subject: Subject,
}

impl Pattern {
    /// Reads an event pattern from JSON text.
    ///
    /// # Errors
    ///
    /// The first thing in the text that is not an event pattern, with its line, column and path.
    pub fn parse(text: &str) -> Result<Self, PatternError> {
        let (alternatives, subject) = compile::compile(text)?;
        Ok(Self { alternatives, subject })
    }

    /// What it is to be matched against: a pattern that names a field of a stream's record is about the record.
    #[must_use]
    pub fn subject(&self) -> Subject {
        self.subject
    }

    /// Whether a route with this pattern takes `event`. An event that is not an object matches nothing.
    #[must_use]
    pub fn matches(&self, event: &Value) -> bool {
        event.is_object()
            && self
                .alternatives
                .iter()
                .any(|fields| fields.verdict(Some(event)) != Verdict::No)
    }

    /// Says why [`matches`](Self::matches) decides as it does, in the words of the pattern.
    ///
    /// The answer quotes values from the event: it is for the user who asked, never for a log.
    #[must_use]
    pub fn explain(&self, event: &Value) -> Explanation {
        if self.matches(event) {
            return Explanation::Matched;
        }
        let mut misses = Vec::new();
        for fields in &self.alternatives {
            let miss = fields.miss(event);
            if !misses.contains(&miss) {
                misses.push(miss);
            }
        }
        Explanation::Missed(misses)
    }
}
