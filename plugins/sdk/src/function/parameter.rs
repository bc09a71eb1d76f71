//! What the parameters of a function may be, and how each is read of a batch.
//!
//! # Invariants
//!
//! - What every change needs is read once for the batch; what only some need, when it is asked for.

use serde::de::DeserializeOwned;
use serde_json::value::RawValue;

use crate::{Batch, ChangeMeta, Field, Level, Operation, TextColumn, Value};

/// A field of the change that is read when it is asked for: for what few changes need.
#[derive(Clone, Copy, Debug)]
pub struct OnDemand<'batch> {
    batch: &'batch Batch,
    field: &'batch Field,
    index: usize,
}

impl OnDemand<'_> {
    /// The value. None where the field is absent.
    #[must_use]
    pub fn value(&self) -> Option<Value> {
        self.batch.get(self.index, self.field)
    }

    /// The value as plain JSON, as an event shows it. It goes into the detail of an output as it is.
    #[must_use]
    pub fn json(&self) -> Option<Box<RawValue>> {
        self.batch.json(self.index, self.field)
    }
}

/// A table that the operator uploaded: JSON values by key. A version of a route has one content of it for good.
#[derive(Clone, Copy, Debug)]
pub struct Lookup<'batch> {
    batch: &'batch Batch,
    table: &'static str,
}

impl<'batch> Lookup<'batch> {
    #[doc(hidden)]
    #[must_use]
    pub fn __of(batch: &'batch Batch, table: &'static str) -> Self {
        Self { batch, table }
    }

    /// The value of a key, as JSON. It goes into the detail of an output as it is. None where the table has no such key.
    #[must_use]
    pub fn json(&self, key: &str) -> Option<Box<RawValue>> {
        let value = self.batch.lookup(self.table, key)?;
        RawValue::from_string(value).ok()
    }

    /// The value of a key, read. None where the table has no such key, or the value is no `T`.
    #[must_use]
    pub fn get<T: DeserializeOwned>(&self, key: &str) -> Option<T> {
        serde_json::from_str(&self.batch.lookup(self.table, key)?).ok()
    }
}

/// Facts of the change beside its images.
#[derive(Clone, Copy, Debug)]
pub struct Facts<'batch> {
    batch: &'batch Batch,
    index: usize,
}

impl Facts<'_> {
    /// Event id, table, sequence number, time.
    #[must_use]
    pub fn meta(&self) -> ChangeMeta {
        self.batch.meta(self.index)
    }

    /// Declared paths that differ between the old and the new image, sorted.
    #[must_use]
    pub fn changed(&self) -> Vec<String> {
        self.batch.changed(self.index)
    }

    /// The time of the change, in milliseconds since 1970-01-01T00:00:00Z: the only clock there is.
    #[must_use]
    pub fn now_ms(&self) -> u64 {
        self.batch.now_ms(self.index)
    }

    /// The only randomness there is: comes from the change's event id.
    #[must_use]
    pub fn seed(&self) -> u64 {
        self.batch.seed(self.index)
    }

    /// Leaves a line with the plugin's log, tied to the change.
    pub fn log(&self, level: Level, message: &str) {
        self.batch.log(level, self.index, message);
    }
}

/// A type that a field of the change may have as a parameter. Only [`router`](macro@crate::router) names it.
#[doc(hidden)]
pub trait FromField<'batch> {
    type Column;

    fn column(batch: &Batch, field: &Field) -> Self::Column;

    fn at(batch: &'batch Batch, column: &'batch Self::Column, field: &'batch Field, index: usize) -> Self;
}

impl<'batch> FromField<'batch> for Option<&'batch str> {
    type Column = TextColumn;

    fn column(batch: &Batch, field: &Field) -> Self::Column {
        batch.text_column(field)
    }

    fn at(_: &'batch Batch, column: &'batch Self::Column, _: &'batch Field, index: usize) -> Self {
        column.get(index)
    }
}

impl<'batch> FromField<'batch> for Option<f64> {
    type Column = Vec<Option<f64>>;

    fn column(batch: &Batch, field: &Field) -> Self::Column {
        batch.numbers(field)
    }

    fn at(_: &'batch Batch, column: &'batch Self::Column, _: &'batch Field, index: usize) -> Self {
        column[index]
    }
}

impl<'batch> FromField<'batch> for Option<&'batch Value> {
    type Column = Vec<Option<Value>>;

    fn column(batch: &Batch, field: &Field) -> Self::Column {
        batch.column(field)
    }

    fn at(_: &'batch Batch, column: &'batch Self::Column, _: &'batch Field, index: usize) -> Self {
        column[index].as_ref()
    }
}

impl<'batch> FromField<'batch> for OnDemand<'batch> {
    type Column = ();

    fn column(_: &Batch, _: &Field) -> Self::Column {}

    fn at(batch: &'batch Batch, (): &'batch Self::Column, field: &'batch Field, index: usize) -> Self {
        OnDemand { batch, field, index }
    }
}

/// A type that says by itself what of the change it is. Only [`router`](macro@crate::router) names it.
#[doc(hidden)]
pub trait FromChange<'batch> {
    type Column;

    fn column(batch: &Batch) -> Self::Column;

    fn at(batch: &'batch Batch, column: &'batch Self::Column, index: usize) -> Self;
}

impl<'batch> FromChange<'batch> for Operation {
    type Column = Vec<Operation>;

    fn column(batch: &Batch) -> Self::Column {
        batch.operations()
    }

    fn at(_: &'batch Batch, column: &'batch Self::Column, index: usize) -> Self {
        column[index]
    }
}

impl<'batch> FromChange<'batch> for Facts<'batch> {
    type Column = ();

    fn column(_: &Batch) -> Self::Column {}

    fn at(batch: &'batch Batch, (): &'batch Self::Column, index: usize) -> Self {
        Facts { batch, index }
    }
}
