//! Tables and the changes of their items. Each change goes into the truth, and as a record into the stream that is on.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::world::item::{self, Item};
use crate::world::shard::{ShardRecord, as_text};
use crate::world::truth::{TrueChange, TrueRecord};
use crate::world::{World, WorldError};

/// The version that records have today (API reference, `Record`).
const EVENT_VERSION: &str = "1.1";

/// Part of the random writes that delete.
const DELETE_PROBABILITY: f64 = 0.15;

/// A table: items by key, and how often each was changed.
#[derive(Clone, Debug, Default)]
pub(crate) struct Table {
    pub(crate) items: BTreeMap<String, Item>,
    pub(crate) changes_of: BTreeMap<String, u64>,
    /// Shards that a stream of this table begins with.
    pub(crate) shards: usize,
}

/// One write to a table.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Write {
    /// Puts an item in the place of what was there.
    Put(Item),
    /// Deletes the item of this key.
    Delete(String),
    /// The database deletes the item of this key, for its time to live is over.
    Expire(String),
    /// The stream tells of the item of this key in words that nobody knows. The item stays.
    Odd {
        /// The key.
        id: String,
        /// The name of the event.
        event_name: String,
        /// The version of the event, if that is a new one too.
        #[serde(default)]
        event_version: Option<String>,
    },
}

impl Write {
    fn id(&self) -> Result<String, WorldError> {
        match self {
            Self::Put(item) => item::check(item),
            Self::Delete(id) | Self::Expire(id) | Self::Odd { id, .. } => Ok(id.clone()),
        }
    }
}

impl World {
    /// Writes, and returns the number of the change; none if nothing changed, for then the stream says nothing either.
    pub(crate) fn write(&mut self, table: &str, write: &Write) -> Result<Option<u64>, WorldError> {
        self.write_in(table, write, None)
    }

    /// Writes a transaction. Its records come in any order, with those of `others` in between; others keep their order.
    pub(crate) fn transact(&mut self, table: &str, writes: &[Write], others: &[Write]) -> Result<Vec<u64>, WorldError> {
        for write in writes.iter().chain(others) {
            write.id()?;
        }
        self.transactions += 1;
        let transaction = self.transactions;
        let mut writes: Vec<&Write> = writes.iter().collect();
        self.random.shuffle(&mut writes);
        let mut others = others.iter();
        let mut numbers = Vec::new();
        while !writes.is_empty() || !others.as_slice().is_empty() {
            let left = writes.len() + others.as_slice().len();
            let number = if self.random.index(left) < writes.len() {
                let write = writes.pop().expect("it was counted");
                self.write_in(table, write, Some(transaction))?
            } else {
                let write = others.next().expect("it was counted");
                self.write_in(table, write, None)?
            };
            numbers.extend(number);
        }
        Ok(numbers)
    }

    /// Changes items chosen by chance, of `items` in all, so many times: mostly puts, some deletes.
    pub(crate) fn change_some(&mut self, table: &str, items: u64, changes: usize) -> Result<Vec<u64>, WorldError> {
        self.table_mut(table)?;
        let mut numbers = Vec::new();
        for _ in 0..changes {
            let write = self.random_write(items);
            numbers.extend(self.write(table, &write)?);
        }
        Ok(numbers)
    }

    pub(crate) fn random_write(&mut self, items: u64) -> Write {
        let id = format!("item-{}", self.random.below(items.max(1)));
        if self.random.chance(DELETE_PROBABILITY) {
            Write::Delete(id)
        } else {
            Write::Put(item::random(&id, &mut self.random))
        }
    }

    fn write_in(&mut self, name: &str, write: &Write, transaction: Option<u64>) -> Result<Option<u64>, WorldError> {
        let id = write.id()?;
        let table = self.table_mut(name)?;
        let old = table.items.get(&id).cloned();
        let new = match write {
            Write::Put(item) => Some(item.clone()),
            Write::Delete(_) | Write::Expire(_) => None,
            Write::Odd { .. } => old.clone(),
        };
        let operation = match (write, &old, &new) {
            (Write::Odd { event_name, .. }, _, _) => event_name.clone(),
            (_, old, new) if old == new => return Ok(None),
            (_, None, _) => "INSERT".to_owned(),
            (_, Some(_), Some(_)) => "MODIFY".to_owned(),
            (_, Some(_), None) => "REMOVE".to_owned(),
        };
        match &new {
            Some(item) => table.items.insert(id.clone(), item.clone()),
            None => table.items.remove(&id),
        };
        let changes = table.changes_of.entry(id.clone()).or_default();
        let item_order = *changes;
        *changes += 1;
        let number = self.truth.changes.len() as u64;
        let mut change = TrueChange {
            number,
            table: name.to_owned(),
            item: id,
            item_order,
            operation,
            at: self.clock.now(),
            old,
            new,
            by_ttl: matches!(write, Write::Expire(_)),
            transaction,
            record: None,
            repeats: Vec::new(),
            read_at: None,
            trimmed_at: None,
        };
        let version = match write {
            Write::Odd { event_version, .. } => event_version.as_deref(),
            _ => None,
        };
        change.record = self.append(&change, version.unwrap_or(EVENT_VERSION));
        if change.record.is_none()
            && let Some(period) = self.truth.off.iter_mut().rfind(|period| period.table == name)
        {
            period.changes += 1;
        }
        self.truth.changes.push(change);
        self.copies.push(1);
        Ok(Some(number))
    }

    /// Puts the record of a change into the stream that is on.
    fn append(&mut self, change: &TrueChange, event_version: &str) -> Option<TrueRecord> {
        let stream = self
            .streams
            .iter_mut()
            .find(|stream| stream.table == change.table && stream.is_on())?;
        let place = stream.shard_of(&change.item)?;
        let shard = &mut stream.shards[place];
        let record = TrueRecord {
            stream: stream.arn.clone(),
            shard: shard.id.clone(),
            sequence: shard.counter.next(&mut self.random),
            event_id: self.random.hex(32),
        };
        let mut body = json!({
            // Whole seconds, as the service has it.
            "ApproximateCreationDateTime": change.at.as_second(),
            "Keys": item::keys(&change.item),
            "SequenceNumber": record.sequence.as_str(),
            "StreamViewType": stream.view.as_str(),
        });
        if let Some(new) = change.new.as_ref().filter(|_| stream.view.has_new()) {
            body["NewImage"] = Value::Object(new.clone());
        }
        if let Some(old) = change.old.as_ref().filter(|_| stream.view.has_old()) {
            body["OldImage"] = Value::Object(old.clone());
        }
        body["SizeBytes"] = body.to_string().len().into();
        let mut wire = json!({
            "awsRegion": self.region,
            "dynamodb": body,
            "eventID": record.event_id,
            "eventName": change.operation,
            "eventSource": "aws:dynamodb",
            "eventVersion": event_version,
        });
        if change.by_ttl {
            wire["userIdentity"] = json!({ "Type": "Service", "PrincipalId": "dynamodb.amazonaws.com" });
        }
        shard.records.push(ShardRecord {
            change: usize::try_from(change.number).expect("it is the length of a list"),
            item: change.item.clone(),
            event_id: record.event_id.clone(),
            sequence: record.sequence.clone(),
            at: change.at,
            wire: as_text(&wire),
        });
        Some(record)
    }
}
