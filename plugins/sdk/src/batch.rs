//! The batch in hand, as the host offers it: by column for what every change needs, one by one for the rest.
//!
//! A column crosses into the host once for the whole batch, a single read once for each change. So read by column what
//! decides, and one by one what only a few changes need.
//!
//! # Invariants
//!
//! - A `Batch` holds no data: the host keeps it, and every method asks the host.
//! - Every column has as many values as the batch has changes, in their order.

use std::ops::Range;

use serde_json::value::RawValue;

use crate::bindings::weir::plugin::{call_context, changes, logging, lookup};
use crate::{ChangeMeta, Field, Level, Operation, Value};

/// The changes of one call of [`Router::route`](crate::Router::route).
///
/// Reading a field that the manifest does not declare traps, and the batch fails. An index is a place in this batch and
/// means nothing outside it; one past the end panics.
#[derive(Debug)]
pub struct Batch {
    count: u32,
}

impl Batch {
    pub(crate) fn new(count: u32) -> Self {
        Self { count }
    }

    #[must_use]
    pub fn len(&self) -> usize {
        self.count as usize
    }

    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// The index of every change, in order.
    #[must_use]
    pub fn indexes(&self) -> Range<usize> {
        0..self.len()
    }

    #[must_use]
    pub fn operations(&self) -> Vec<Operation> {
        changes::operations()
    }

    /// Who made each change, as far as it is known before this plugin. Needs `reads_actor` in the manifest.
    #[must_use]
    pub fn actors(&self) -> Vec<Option<String>> {
        changes::actors()
    }

    /// Texts, and numbers as their decimal text. None where the field is absent or anything else.
    #[must_use]
    pub fn texts(&self, field: &Field) -> Vec<Option<String>> {
        changes::texts(field)
    }

    /// What [`texts`](Self::texts) has, in one piece: the fastest way to read.
    #[must_use]
    pub fn text_column(&self, field: &Field) -> TextColumn {
        TextColumn(changes::pack_texts(field))
    }

    /// Numbers as the nearest binary64. None where the field is absent or not a number.
    ///
    /// Two numbers of the database may be one here: compare [`texts`](Self::texts) to learn whether one changed.
    #[must_use]
    pub fn numbers(&self, field: &Field) -> Vec<Option<f64>> {
        changes::numbers(field)
    }

    /// Values of any type. None where the field is absent.
    #[must_use]
    pub fn column(&self, field: &Field) -> Vec<Option<Value>> {
        changes::column(field)
    }

    #[must_use]
    pub fn meta(&self, index: usize) -> ChangeMeta {
        changes::meta(self.place(index))
    }

    /// The value of one change. None where the field is absent.
    #[must_use]
    pub fn get(&self, index: usize, field: &Field) -> Option<Value> {
        changes::get(self.place(index), field)
    }

    /// The value of one change as plain JSON, as an event shows it. It goes into the detail of an output as it is.
    #[must_use]
    pub fn json(&self, index: usize, field: &Field) -> Option<Box<RawValue>> {
        changes::json(self.place(index), field)
            .map(|text| RawValue::from_string(text).expect("the contract promises JSON text"))
    }

    /// Declared paths that differ between the old and the new image, sorted.
    #[must_use]
    pub fn changed(&self, index: usize) -> Vec<String> {
        changes::changed(self.place(index))
    }

    /// The time of the change, in milliseconds since 1970-01-01T00:00:00Z: the only clock there is, and the same at
    /// every re-run.
    #[must_use]
    pub fn now_ms(&self, index: usize) -> u64 {
        call_context::now_ms(self.place(index))
    }

    /// The only randomness there is: comes from the change's event id, and is the same at every re-run.
    #[must_use]
    pub fn seed(&self, index: usize) -> u64 {
        call_context::seed(self.place(index))
    }

    /// The JSON text under `key` in a table that the operator uploaded. The manifest declares the table.
    #[must_use]
    pub fn lookup(&self, table: &str, key: &str) -> Option<String> {
        lookup::get(table, key)
    }

    /// Leaves a line with the plugin's log, tied to one change or, with `None`, to the batch.
    ///
    /// Lines over the budget are counted and dropped.
    pub fn log(&self, level: Level, index: impl Into<Option<usize>>, message: &str) {
        logging::log(level, index.into().map(|index| self.place(index)), message);
    }

    fn place(&self, index: usize) -> u32 {
        match u32::try_from(index) {
            Ok(place) if place < self.count => place,
            _ => panic!("there is no change {index} in a batch of {}", self.count),
        }
    }
}

/// Texts of a column, one for each change of the batch.
#[derive(Debug)]
pub struct TextColumn(changes::PackedTexts);

impl TextColumn {
    /// The text of one change. None where the field is absent, or no text and no number.
    ///
    /// # Panics
    ///
    /// An index past the end of the batch.
    #[must_use]
    pub fn get(&self, index: usize) -> Option<&str> {
        /// Set in an end where the change has no text.
        const NO_TEXT: u32 = 1 << 31;
        let end = self.0.ends[index];
        if end & NO_TEXT != 0 {
            return None;
        }
        let begin = index.checked_sub(1).map_or(0, |before| self.0.ends[before] & !NO_TEXT);
        self.0.text.get(begin as usize..end as usize)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_change_has_its_own_text_or_none() {
        let column = TextColumn(changes::PackedTexts {
            text: "paidü".to_owned(),
            ends: vec![4, 4 | 1 << 31, 4, 6, 6 | 1 << 31],
        });
        let texts: Vec<Option<&str>> = (0..5).map(|index| column.get(index)).collect();
        assert_eq!(texts, [Some("paid"), None, Some(""), Some("ü"), None]);
    }
}
