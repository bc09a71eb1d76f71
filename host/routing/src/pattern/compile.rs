//! From JSON to the alternatives that a pattern consists of.
//!
//! A pattern is a boolean formula: fields are joined by *and*, `$or` and the rules of a leaf by *or*. It is brought into
//! a form with one *or* on the outside by multiplying out, as EventBridge does; leaves are shared, not copied.
//! Only `$or` multiplies, so a pattern without it is one alternative.

use std::sync::Arc;

use super::error::{PatternError, PatternProblem};
use super::explain::push_field;
use super::operator::{self, OPERATORS};
use super::subject::{Subject, is_not_kept};
use super::syntax::{self, Entry, Kind, Node as SyntaxNode, Refusal};
use super::tree::{ALTERNATIVES_MAX, Fields, Leaf, Node};

const OR: &str = "$or";

/// Compiles the text of a pattern.
pub(super) fn compile(text: &str) -> Result<(Box<[Fields]>, Subject), PatternError> {
    let mut compiler = Compiler {
        text,
        path: String::new(),
        inside_or: false,
        subject: None,
    };
    match compiler.pattern() {
        Ok(alternatives) => {
            let subject = compiler.subject.map(|(subject, _)| subject);
            Ok((alternatives.into(), subject.unwrap_or_default()))
        }
        Err(Refusal { text: slice, problem }) => {
            let (line, column) = syntax::place(text, slice);
            Err(PatternError {
                line,
                column,
                path: compiler.path,
                problem,
            })
        }
    }
}

struct Compiler<'t> {
    text: &'t str,

    /// The field in hand. After a refusal, the one that was refused.
    path: String,

    /// Whether an `$or` is around the field in hand.
    inside_or: bool,

    /// What the pattern is about, and the field that says so.
    subject: Option<(Subject, String)>,
}

impl<'t> Compiler<'t> {
    fn pattern(&mut self) -> Result<Vec<Fields>, Refusal<'t>> {
        let node = syntax::parse(self.text)?;
        match &node.kind {
            Kind::Object(entries) => self.fields(&node, entries),
            _ => Err(Refusal::new(node.text, PatternProblem::PatternNotObject)),
        }
    }

    /// All alternatives of an object of fields.
    fn fields(&mut self, node: &SyntaxNode<'t>, entries: &[Entry<'t>]) -> Result<Vec<Fields>, Refusal<'t>> {
        if entries.is_empty() {
            return Err(Refusal::new(node.text, PatternProblem::EmptyObject));
        }
        let mut alternatives = vec![Fields::default()];
        for (index, entry) in entries.iter().enumerate() {
            let path_bytes = self.path.len();
            push_field(&mut self.path, &entry.key);
            if let Some(first) = entries[..index].iter().find(|earlier| earlier.key == entry.key) {
                let (line, column) = syntax::place(self.text, first.key_text);
                return Err(Refusal::new(
                    entry.key_text,
                    PatternProblem::DuplicateKey { line, column },
                ));
            }
            let factor = if entry.key == OR {
                // `$or` is no field: what stands in it belongs to the object around it.
                self.path.truncate(path_bytes);
                self.or(&entry.value)?
            } else {
                self.check_subject(path_bytes, entry)?;
                self.field(entry)?
            };
            self.path.truncate(path_bytes);
            alternatives = self.multiply(&alternatives, &factor, entry)?;
        }
        Ok(alternatives)
    }

    /// A pattern is about an event or about a record, in every part of it.
    fn check_subject(&mut self, path_bytes: usize, entry: &Entry<'t>) -> Result<(), Refusal<'t>> {
        let parent = &self.path[..path_bytes];
        if is_not_kept(parent, &entry.key) {
            return Err(Refusal::new(entry.key_text, PatternProblem::NotKept));
        }
        let (true, Some(subject)) = (parent.is_empty(), Subject::of_field(&entry.key)) else {
            return Ok(());
        };
        match &self.subject {
            Some((other, field)) if *other != subject => Err(Refusal::new(
                entry.key_text,
                PatternProblem::OtherSubject { field: field.clone() },
            )),
            Some(_) => Ok(()),
            None => {
                self.subject = Some((subject, entry.key.clone()));
                Ok(())
            }
        }
    }

    /// The alternatives of one field, each of them an object with this field only.
    fn field(&mut self, entry: &Entry<'t>) -> Result<Vec<Fields>, Refusal<'t>> {
        if self.inside_or && OPERATORS.contains(&entry.key.as_str()) {
            return Err(Refusal::new(
                entry.key_text,
                PatternProblem::OrOperator {
                    name: entry.key.clone(),
                },
            ));
        }
        let key: Arc<str> = entry.key.as_str().into();
        let with_key = |node| Fields(vec![(Arc::clone(&key), node)]);
        let value = &entry.value;
        match &value.kind {
            Kind::Array(rules) => Ok(vec![with_key(Node::Leaf(Arc::new(leaf(value, rules)?)))]),
            Kind::Object(entries) => Ok(self
                .fields(value, entries)?
                .into_iter()
                .map(|fields| with_key(Node::Fields(fields)))
                .collect()),
            _ => Err(Refusal::new(
                value.text,
                PatternProblem::BareValue {
                    value: value.text.to_owned(),
                },
            )),
        }
    }

    /// The alternatives of an `$or`: those of all its objects.
    fn or(&mut self, node: &SyntaxNode<'t>) -> Result<Vec<Fields>, Refusal<'t>> {
        let Kind::Array(elements) = &node.kind else {
            return Err(Refusal::new(node.text, PatternProblem::OrForm));
        };
        if elements.len() < 2 {
            return Err(Refusal::new(node.text, PatternProblem::OrForm));
        }
        let was_inside_or = std::mem::replace(&mut self.inside_or, true);
        let mut alternatives = Vec::new();
        for element in elements {
            let Kind::Object(entries) = &element.kind else {
                return Err(Refusal::new(element.text, PatternProblem::OrForm));
            };
            alternatives.extend(self.fields(element, entries)?);
            if alternatives.len() > ALTERNATIVES_MAX {
                return Err(Refusal::new(element.text, PatternProblem::TooManyAlternatives));
            }
        }
        self.inside_or = was_inside_or;
        Ok(alternatives)
    }

    /// Joins every alternative of the fields so far with every one of the next, which `entry` gave.
    fn multiply(&self, left: &[Fields], right: &[Fields], entry: &Entry<'t>) -> Result<Vec<Fields>, Refusal<'t>> {
        if left.len() * right.len() > ALTERNATIVES_MAX {
            return Err(Refusal::new(entry.key_text, PatternProblem::TooManyAlternatives));
        }
        let mut product = Vec::with_capacity(left.len() * right.len());
        for left in left {
            for right in right {
                let mut joined = left.clone();
                let mut path = self.path.clone();
                if join(&mut joined, right, &mut path).is_err() {
                    return Err(Refusal::new(entry.key_text, PatternProblem::FieldTwice { path }));
                }
                product.push(joined);
            }
        }
        Ok(product)
    }
}

/// Two rules for one field, at the path that was handed in. What stands in the tree is then of no use.
struct FieldTwice;

/// Adds `right` to `left`. Objects on both sides become one, so that one element of an array has to match both.
fn join(left: &mut Fields, right: &Fields, path: &mut String) -> Result<(), FieldTwice> {
    for (key, node) in &right.0 {
        let Some((_, present)) = left.0.iter_mut().find(|(present, _)| present == key) else {
            left.0.push((Arc::clone(key), node.clone()));
            continue;
        };
        let path_bytes = path.len();
        push_field(path, key);
        match (present, node) {
            (Node::Fields(left), Node::Fields(right)) => join(left, right, path)?,
            _ => return Err(FieldTwice),
        }
        path.truncate(path_bytes);
    }
    Ok(())
}

fn leaf<'t>(node: &SyntaxNode<'t>, rules: &[SyntaxNode<'t>]) -> Result<Leaf, Refusal<'t>> {
    if rules.is_empty() {
        return Err(Refusal::new(node.text, PatternProblem::EmptyArray));
    }
    let rules = rules.iter().map(operator::rule).collect::<Result<_, _>>()?;
    // No JSON string holds a line break, so joining lines changes no value.
    let lines: Vec<&str> = node.text.lines().map(str::trim).collect();
    Ok(Leaf {
        rules,
        text: lines.join(" ").into(),
    })
}
