//! The changes of one call, as the host keeps them. The guest asks for columns of the whole batch.

use std::ops::Range;
use std::sync::Arc;

use weir_model::{AttributeValue, AttributedChange, Change, Item, Path, changed_attributes};

use crate::bindings::weir::plugin::changes::PackedTexts;
use crate::bindings::weir::plugin::types::{ChangeMeta, Field, Operation, Part, Value};

/// Set in an end of packed texts where the change has none.
const NO_TEXT: u32 = 1 << 31;

/// Changes that are routed together. Clones share them, and so may batches.
#[derive(Clone, Debug)]
pub struct Batch {
    changes: Arc<[Arc<AttributedChange>]>,
    range: Range<usize>,
}

impl Batch {
    /// Takes changes in order.
    #[must_use]
    pub fn new(changes: impl IntoIterator<Item = impl Into<Arc<AttributedChange>>>) -> Self {
        let changes: Arc<[Arc<AttributedChange>]> = changes.into_iter().map(Into::into).collect();
        Self {
            range: 0..changes.len(),
            changes,
        }
    }

    /// Number of changes.
    #[must_use]
    pub fn len(&self) -> usize {
        self.range.len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.range.is_empty()
    }

    /// The batch's first and second half.
    pub(crate) fn halves(&self) -> (Self, Self) {
        let middle = self.range.start + self.range.len() / 2;
        (self.part(self.range.start..middle), self.part(middle..self.range.end))
    }

    /// Each change as a batch of its own.
    pub(crate) fn ones(&self) -> impl Iterator<Item = Self> {
        self.range.clone().map(|place| self.part(place..place + 1))
    }

    fn part(&self, range: Range<usize>) -> Self {
        Self {
            changes: self.changes.clone(),
            range,
        }
    }

    /// The same changes, the last one first.
    pub(crate) fn reversed(&self) -> Self {
        Self::new(self.changes().iter().rev().cloned())
    }

    pub(crate) fn changes(&self) -> &[Arc<AttributedChange>] {
        &self.changes[self.range.clone()]
    }

    pub(crate) fn get(&self, index: u32) -> Option<&AttributedChange> {
        self.changes().get(index as usize).map(|change| &**change)
    }
}

/// A change as guests ask for it.
pub(crate) trait Asked {
    fn meta(&self) -> ChangeMeta;

    fn operation(&self) -> Operation;

    fn created_at_ms(&self) -> u64;

    fn value(&self, part: Part, path: &Path) -> Option<&AttributeValue>;

    /// A part or a subtree of it as plain JSON text.
    fn json(&self, part: Part, path: &Path) -> Option<String>;

    /// Which of the declared paths differ between the images.
    fn changed(&self, declared: &[Field]) -> Vec<String>;
}

impl Asked for AttributedChange {
    fn meta(&self) -> ChangeMeta {
        let change = &self.change;
        ChangeMeta {
            event_id: change.event_id.as_str().to_owned(),
            operation: self.operation(),
            table: change.table.clone(),
            sequence_number: change.sequence.as_str().to_owned(),
            created_at_ms: self.created_at_ms(),
        }
    }

    fn operation(&self) -> Operation {
        match self.change.operation {
            weir_model::Operation::Insert => Operation::Insert,
            weir_model::Operation::Modify => Operation::Modify,
            weir_model::Operation::Remove => Operation::Remove,
        }
    }

    fn created_at_ms(&self) -> u64 {
        u64::try_from(self.change.created_at.as_millisecond()).unwrap_or(0)
    }

    fn value(&self, part: Part, path: &Path) -> Option<&AttributeValue> {
        path.find(image(&self.change, part)?)
    }

    fn json(&self, part: Part, path: &Path) -> Option<String> {
        let image = image(&self.change, part)?;
        let json = if *path == Path::ALL {
            weir_model::plain_json(image)
        } else {
            path.find(image)?.to_plain_json()
        };
        Some(json.to_string())
    }

    fn changed(&self, declared: &[Field]) -> Vec<String> {
        let empty = Item::new();
        let (old, new) = (
            self.change.old.as_ref().unwrap_or(&empty),
            self.change.new.as_ref().unwrap_or(&empty),
        );
        let differs = |path: &str| {
            if path.is_empty() {
                !changed_attributes(&self.change).is_empty()
            } else {
                Path::parse(path).is_some_and(|path| path.find(old) != path.find(new))
            }
        };
        let images = declared.iter().filter(|field| field.part != Part::Keys);
        let mut paths: Vec<String> = images
            .map(|field| field.path.clone())
            .filter(|path| differs(path))
            .collect();
        paths.sort_unstable();
        paths.dedup();
        paths
    }
}

fn image(change: &Change, part: Part) -> Option<&Item> {
    match part {
        Part::Keys => Some(&change.keys),
        Part::Old => change.old.as_ref(),
        Part::New => change.new.as_ref(),
    }
}

/// A value as the guest receives it.
pub(crate) fn to_guest(value: &AttributeValue) -> Value {
    match value {
        AttributeValue::S(text) => Value::Text(text.clone()),
        AttributeValue::N(number) => Value::Number(number.as_str().to_owned()),
        AttributeValue::B(bytes) => Value::Binary(bytes.0.clone()),
        AttributeValue::Ss(texts) => Value::TextSet(texts.clone()),
        AttributeValue::Ns(numbers) => {
            Value::NumberSet(numbers.iter().map(|number| number.as_str().to_owned()).collect())
        }
        AttributeValue::Bs(binaries) => Value::BinarySet(binaries.iter().map(|bytes| bytes.0.clone()).collect()),
        AttributeValue::M(_) | AttributeValue::L(_) => Value::Document(value.to_plain_json().to_string()),
        AttributeValue::Bool(truth) => Value::Boolean(*truth),
        AttributeValue::Null(_) => Value::Null,
    }
}

/// Text as it is, numbers as their decimal text.
pub(crate) fn as_text(value: &AttributeValue) -> Option<&str> {
    match value {
        AttributeValue::S(text) => Some(text),
        AttributeValue::N(number) => Some(number.as_str()),
        _ => None,
    }
}

/// Texts, one for each change, in one piece. `None` if they are too long together.
pub(crate) fn pack<'a>(texts: impl ExactSizeIterator<Item = Option<&'a str>>) -> Option<PackedTexts> {
    let mut packed = PackedTexts {
        text: String::with_capacity(texts.len() * 16),
        ends: Vec::with_capacity(texts.len()),
    };
    for text in texts {
        packed.text.push_str(text.unwrap_or_default());
        let end = u32::try_from(packed.text.len()).ok().filter(|end| *end < NO_TEXT)?;
        packed.ends.push(if text.is_some() { end } else { end | NO_TEXT });
    }
    Some(packed)
}

pub(crate) fn to_number(value: &AttributeValue) -> Option<f64> {
    match value {
        AttributeValue::N(number) => Some(number.to_f64()),
        _ => None,
    }
}
