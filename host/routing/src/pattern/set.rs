//! Many patterns, matched against an event in one pass.
//!
//! ```text
//!              access: path of fields ──▶ value, prefix or suffix ──▶ alternatives that ask for it
//! event ──walk─▶ a scalar there ────────────────hash──────────────▶ the few that may match ──▶ asked one by one
//! ```
//!
//! Of every alternative one leaf is its *access predicate*: an event that does not have it there cannot match, so the
//! alternative is not even looked at. It is the leaf that the fewest others share. (The idea is that of publish/subscribe
//! matching by access predicates: Fabret and others, "Filtering algorithms and implementation for very fast
//! publish/subscribe systems", SIGMOD 2001.) Alternatives without a leaf that can be looked up, because they ask only for
//! ranges, networks, exclusions or absence, are asked each time.
//!
//! # Invariants
//!
//! - The set says of a pattern what the pattern says itself: an access predicate only leaves out what would say no, and
//!   what it finds is asked, unless the predicate is all that there is to ask.
//! - What is not looked up costs nothing: a pass reads the fields that some pattern has its access in, and no others.

use std::collections::HashMap;
use std::sync::Arc;

use serde_json::Value;

use super::Pattern;
use super::rule::{self, Rule};
use super::text::Text;
use super::tree::{Fields, Leaf, Node, Verdict};

/// Patterns that are matched together.
#[derive(Debug, Default)]
pub struct PatternSet {
    patterns: Box<[Pattern]>,
    access: PathNode,
    /// Alternatives that have nothing to be looked up by.
    always: Vec<Alternative>,
}

/// One alternative of one pattern, by their numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Alternative {
    pattern: usize,
    alternative: usize,
    /// It asks for nothing but its access predicate.
    is_settled: bool,
}

/// A field that leads to access predicates, or the event as a whole.
#[derive(Debug, Default)]
struct PathNode {
    children: Vec<(Arc<str>, Self)>,
    predicates: Option<Box<Predicates>>,
}

/// Access predicates on one field.
#[derive(Debug, Default)]
struct Predicates {
    texts: HashMap<Box<str>, Vec<Alternative>>,
    prefixes: Affixes,
    suffixes: Affixes,
    /// By the bits of the number, zero being the positive one.
    numbers: HashMap<u64, Vec<Alternative>>,
    null: Vec<Alternative>,
    bools: [Vec<Alternative>; 2],
}

/// Beginnings or ends of strings.
#[derive(Debug, Default)]
struct Affixes {
    /// In bytes, ascending, each once.
    lengths: Vec<usize>,
    by_text: HashMap<Box<str>, Vec<Alternative>>,
}

/// A condition that can be looked up.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Key<'p> {
    Text(&'p str),
    Prefix(&'p str),
    Suffix(&'p str),
    Number(u64),
    Null,
    Bool(bool),
}

impl PatternSet {
    /// Puts patterns together. They are known by their place, from 0.
    #[must_use]
    pub fn new(patterns: impl IntoIterator<Item = Pattern>) -> Self {
        let patterns: Box<[Pattern]> = patterns.into_iter().collect();
        let (access, always) = {
            let leaves: Vec<Vec<Lookup<'_>>> = alternatives(&patterns).map(|(_, fields)| lookups(fields)).collect();
            build(&patterns, &leaves)
        };
        Self {
            patterns,
            access,
            always,
        }
    }

    /// The patterns, in their places.
    #[must_use]
    pub fn patterns(&self) -> &[Pattern] {
        &self.patterns
    }

    /// The places of the patterns that take `event`, ascending: those of which [`Pattern::matches`] says yes.
    #[must_use]
    pub fn matching(&self, event: &Value) -> Vec<usize> {
        if !event.is_object() {
            return Vec::new();
        }
        let mut found = Vec::new();
        self.access
            .walk(event, &mut |alternatives| gather(&mut found, alternatives));
        gather(&mut found, &self.always);
        // An array may have what leads to one of them very many times. It is asked once.
        settle(&mut found);
        let mut matched: Vec<usize> = found
            .into_iter()
            .filter(|alternative| alternative.is_settled || self.asked(*alternative, event))
            .map(|alternative| alternative.pattern)
            .collect();
        matched.dedup();
        matched
    }

    fn asked(&self, alternative: Alternative, event: &Value) -> bool {
        let fields = &self.patterns[alternative.pattern].alternatives[alternative.alternative];
        fields.verdict(Some(event)) != Verdict::No
    }
}

/// Alternatives that are kept before those that came twice are left out.
const FOUND_MAX: usize = 1024;

/// Adds alternatives to those that were found. What is kept stays within twice what there is.
fn gather(found: &mut Vec<Alternative>, more: &[Alternative]) {
    if found.len() + more.len() > FOUND_MAX.max(found.capacity()) {
        settle(found);
        // Or the next few would have it sorted again.
        found.reserve(found.len().max(more.len()));
    }
    found.extend_from_slice(more);
}

/// In order, each once.
fn settle(found: &mut Vec<Alternative>) {
    found.sort_unstable();
    found.dedup();
}

/// A leaf that an alternative can be looked up by: where it stands and what it has there, one of these.
struct Lookup<'p> {
    path: Vec<&'p Arc<str>>,
    keys: Vec<Key<'p>>,
    /// Nothing else is asked, here or elsewhere.
    is_all: bool,
}

/// All alternatives of all patterns, numbered.
fn alternatives(patterns: &[Pattern]) -> impl Iterator<Item = (Alternative, &Fields)> {
    patterns.iter().enumerate().flat_map(|(pattern, of)| {
        of.alternatives.iter().enumerate().map(move |(alternative, fields)| {
            let number = Alternative {
                pattern,
                alternative,
                is_settled: false,
            };
            (number, fields)
        })
    })
}

fn build(patterns: &[Pattern], leaves: &[Vec<Lookup<'_>>]) -> (PathNode, Vec<Alternative>) {
    let mut shared: HashMap<(&[&Arc<str>], Key<'_>), usize> = HashMap::new();
    for lookup in leaves.iter().flatten() {
        for key in &lookup.keys {
            *shared.entry((&lookup.path, *key)).or_default() += 1;
        }
    }
    let others = |lookup: &&Lookup<'_>| -> usize {
        let of = |key: &Key<'_>| shared[&(lookup.path.as_slice(), *key)];
        lookup.keys.iter().map(of).sum()
    };
    let (mut access, mut always) = (PathNode::default(), Vec::new());
    for ((alternative, _), leaves) in alternatives(patterns).zip(leaves) {
        let Some(lookup) = leaves.iter().min_by_key(others) else {
            always.push(alternative);
            continue;
        };
        let predicates = access.at(&lookup.path);
        for key in &lookup.keys {
            predicates.insert(
                *key,
                Alternative {
                    is_settled: lookup.is_all,
                    ..alternative
                },
            );
        }
    }
    (access, always)
}

/// The leaves that an alternative can be looked up by.
fn lookups(fields: &Fields) -> Vec<Lookup<'_>> {
    let (mut found, mut leaves) = (Vec::new(), 0_usize);
    collect(fields, &mut Vec::new(), &mut leaves, &mut found);
    for lookup in &mut found {
        lookup.is_all &= leaves == 1;
    }
    found
}

fn collect<'p>(fields: &'p Fields, path: &mut Vec<&'p Arc<str>>, leaves: &mut usize, found: &mut Vec<Lookup<'p>>) {
    for (key, node) in &fields.0 {
        path.push(key);
        match node {
            Node::Fields(fields) => collect(fields, path, leaves, found),
            Node::Leaf(leaf) => {
                *leaves += 1;
                found.extend(lookup(leaf, path));
            }
        }
        path.pop();
    }
}

/// What a leaf is looked up by, if every rule of it can be.
fn lookup<'p>(leaf: &'p Leaf, path: &[&'p Arc<str>]) -> Option<Lookup<'p>> {
    let keys: Vec<(Key<'p>, bool)> = leaf.rules.iter().map(key).collect::<Option<_>>()?;
    Some(Lookup {
        path: path.to_vec(),
        is_all: keys.iter().all(|(_, is_all)| *is_all),
        keys: keys.into_iter().map(|(key, _)| key).collect(),
    })
}

/// What a value must have for this rule, and whether that is all.
fn key(rule: &Rule) -> Option<(Key<'_>, bool)> {
    match rule {
        Rule::Null => Some((Key::Null, true)),
        Rule::Bool(value) => Some((Key::Bool(*value), true)),
        Rule::Number(value) => Some((Key::Number(bits(*value)), true)),
        Rule::Text(Text::Equal(text)) => Some((Key::Text(text), true)),
        Rule::Text(Text::Prefix(text)) if !text.is_empty() => Some((Key::Prefix(text), true)),
        Rule::Text(Text::Suffix(text)) if !text.is_empty() => Some((Key::Suffix(text), true)),
        Rule::Text(Text::Wildcard(wildcard)) => match wildcard.ends() {
            ("", "") => None,
            ("", suffix) => Some((Key::Suffix(suffix), false)),
            (prefix, _) => Some((Key::Prefix(prefix), false)),
        },
        _ => None,
    }
}

/// The same for numbers that are equal.
fn bits(number: f64) -> u64 {
    (number + 0.0).to_bits()
}

impl PathNode {
    /// The predicates at a path.
    fn at(&mut self, path: &[&Arc<str>]) -> &mut Predicates {
        let Some((field, rest)) = path.split_first() else {
            return self.predicates.get_or_insert_default();
        };
        let known = self.children.iter().position(|(name, _)| name == *field);
        let index = known.unwrap_or_else(|| {
            self.children.push((Arc::clone(field), Self::default()));
            self.children.len() - 1
        });
        self.children[index].1.at(rest)
    }

    /// Hands over what some scalar at some path of `value` leads to. Arrays are seen through.
    fn walk(&self, value: &Value, found: &mut impl FnMut(&[Alternative])) {
        match value {
            Value::Array(elements) => elements.iter().for_each(|element| self.walk(element, found)),
            Value::Object(object) => {
                for (field, child) in &self.children {
                    if let Some(value) = object.get(&**field) {
                        child.walk(value, found);
                    }
                }
            }
            scalar => {
                if let Some(predicates) = &self.predicates {
                    predicates.look_up(scalar, found);
                }
            }
        }
    }
}

impl Predicates {
    fn insert(&mut self, key: Key<'_>, alternative: Alternative) {
        let found = match key {
            Key::Text(text) => self.texts.entry(text.into()).or_default(),
            Key::Prefix(text) => self.prefixes.entry(text),
            Key::Suffix(text) => self.suffixes.entry(text),
            Key::Number(bits) => self.numbers.entry(bits).or_default(),
            Key::Null => &mut self.null,
            Key::Bool(value) => &mut self.bools[usize::from(value)],
        };
        found.push(alternative);
    }

    fn look_up(&self, scalar: &Value, found: &mut impl FnMut(&[Alternative])) {
        match scalar {
            Value::Null => found(&self.null),
            Value::Bool(value) => found(&self.bools[usize::from(*value)]),
            Value::Number(number) => {
                if let Some(value) = rule::exact(number)
                    && let Some(alternatives) = self.numbers.get(&bits(value))
                {
                    found(alternatives);
                }
            }
            Value::String(text) => {
                if let Some(alternatives) = self.texts.get(text.as_str()) {
                    found(alternatives);
                }
                self.prefixes.look_up(|length| text.get(..length), found);
                let end = |length| text.get(text.len().checked_sub(length)?..);
                self.suffixes.look_up(end, found);
            }
            Value::Array(_) | Value::Object(_) => {}
        }
    }
}

impl Affixes {
    fn entry(&mut self, text: &str) -> &mut Vec<Alternative> {
        if let Err(place) = self.lengths.binary_search(&text.len()) {
            self.lengths.insert(place, text.len());
        }
        self.by_text.entry(text.into()).or_default()
    }

    /// `of_length` gives the part of a string that is so long, if it has one.
    fn look_up<'s>(&self, of_length: impl Fn(usize) -> Option<&'s str>, found: &mut impl FnMut(&[Alternative])) {
        for length in &self.lengths {
            // A length within a character is no end of one; a longer one may still be.
            if let Some(alternatives) = of_length(*length).and_then(|part| self.by_text.get(part)) {
                found(alternatives);
            }
        }
    }
}
