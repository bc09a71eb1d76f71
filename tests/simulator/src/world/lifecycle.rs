//! What happens to tables, streams and shards: made, rotated, split, switched off and on, trimmed, gone.
//!
//! # Invariants
//!
//! - A table that has a stream again has one of another ARN.
//! - A record is trimmed only when all before it in its shard are.

use std::collections::HashSet;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

use crate::world::clock::later;
use crate::world::sequence::SequenceNumber;
use crate::world::shard::HashRange;
use crate::world::stream::{Resharding, Stream, StreamName};
use crate::world::table::Table;
use crate::world::truth::{OffPeriod, TrueRecord};
use crate::world::view::ViewType;
use crate::world::{World, WorldError};

impl World {
    /// Lets time pass. What is older than the retention is trimmed.
    pub(crate) fn step(&mut self, by: Duration) {
        self.clock.step(by);
        let now = self.clock.now();
        let Some(horizon) = SignedDuration::try_from(self.retention)
            .ok()
            .and_then(|retention| now.checked_sub(retention).ok())
        else {
            return;
        };
        for stream in 0..self.streams.len() {
            for shard in 0..self.streams[stream].shards.len() {
                let records = &self.streams[stream].shards[shard].records;
                let old = records.partition_point(|record| record.at <= horizon);
                self.trim_to(stream, shard, old);
                let shard = &mut self.streams[stream].shards[shard];
                shard.gone |= shard.closed_at.is_some_and(|closed| closed <= horizon);
            }
            let stream = &mut self.streams[stream];
            stream.gone |= stream.disabled_at.is_some_and(|disabled| disabled <= horizon);
        }
    }

    pub(crate) fn create_table(&mut self, name: &str, view: ViewType, shards: usize) -> Result<String, WorldError> {
        if self.tables.contains_key(name) {
            return Err(WorldError::TableExists { table: name.to_owned() });
        }
        let table = Table {
            shards: shards.max(1),
            ..Table::default()
        };
        self.tables.insert(name.to_owned(), table);
        self.enable(name, Some(view))
    }

    /// Deletes a table and makes it again: empty, with a new stream. No record tells of the items that are gone.
    pub(crate) fn recreate_table(&mut self, name: &str) -> Result<String, WorldError> {
        self.table_mut(name)?.items.clear();
        if self.stream_of(name).is_ok_and(|stream| self.streams[stream].is_on()) {
            self.disable(name)?;
        }
        self.enable(name, None)
    }

    /// Switches the stream of a table off: all its shards close, and stay readable for the retention.
    pub(crate) fn disable(&mut self, table: &str) -> Result<(), WorldError> {
        let now = self.clock.now();
        let stream = self.stream_of(table)?;
        let stream = &mut self.streams[stream];
        if !stream.is_on() {
            return Err(WorldError::NoStream {
                table: table.to_owned(),
            });
        }
        stream.end(now);
        self.truth.off.push(OffPeriod {
            table: table.to_owned(),
            from: now,
            until: None,
            changes: 0,
        });
        Ok(())
    }

    /// Switches a new stream on, and returns its ARN.
    pub(crate) fn enable(&mut self, name: &str, view: Option<ViewType>) -> Result<String, WorldError> {
        let now = self.clock.now();
        let last = self.stream_of(name).ok().map(|stream| &self.streams[stream]);
        if last.is_some_and(Stream::is_on) {
            return Err(WorldError::StreamIsOn { table: name.to_owned() });
        }
        let view = view.or(last.map(|stream| stream.view)).unwrap_or_default();
        let shards = self.table_mut(name)?.shards;
        let stream_name = self.new_stream_name(name, now);
        let arn = stream_name.arn.clone();
        let stream = Stream::begin(stream_name, view, shards, now, &mut self.random);
        self.streams.push(stream);
        if let Some(period) = self.truth.off.iter_mut().rfind(|period| period.table == name) {
            period.until.get_or_insert(now);
        }
        Ok(arn)
    }

    fn new_stream_name(&self, table: &str, now: Timestamp) -> StreamName {
        // Two streams of one instant would share a label; the service's are never made that fast.
        let mut time = now;
        loop {
            let label = time.strftime("%Y-%m-%dT%H:%M:%S%.3f").to_string();
            let arn = format!(
                "arn:aws:dynamodb:{}:{}:table/{table}/stream/{label}",
                self.region, self.account
            );
            if self.streams.iter().all(|stream| stream.arn != arn) {
                return StreamName {
                    arn,
                    label,
                    table: table.to_owned(),
                };
            }
            time = later(time, Duration::from_millis(1));
        }
    }

    /// Closes a shard (the first open one, if none is named) and opens one child. Returns the child.
    pub(crate) fn rotate(&mut self, table: &str, shard: Option<&str>, how: &Resharding) -> Result<String, WorldError> {
        let mut children = self.reshard(table, shard, how, |range| vec![range])?;
        Ok(children.remove(0))
    }

    /// Closes a shard (the first open one, if none is named) and opens two children.
    pub(crate) fn split(
        &mut self,
        table: &str,
        shard: Option<&str>,
        how: &Resharding,
    ) -> Result<Vec<String>, WorldError> {
        self.reshard(table, shard, how, |range| range.split().to_vec())
    }

    fn reshard(
        &mut self,
        table: &str,
        shard: Option<&str>,
        how: &Resharding,
        ranges: impl Fn(HashRange) -> Vec<HashRange>,
    ) -> Result<Vec<String>, WorldError> {
        let now = self.clock.now();
        let stream = self.stream_with(table, shard)?;
        let stream = &mut self.streams[stream];
        let parent = stream.find(shard)?;
        let ranges = ranges(stream.shards[parent].range);
        let children = stream.reshard(parent, &ranges, how, now, &mut self.random)?;
        let mut ids = Vec::new();
        for child in children {
            let child = &stream.shards[child];
            for record in &child.records {
                let change = &mut self.truth.changes[record.change];
                self.copies[record.change] += 1;
                change.repeats.push(TrueRecord {
                    stream: stream.arn.clone(),
                    shard: child.id.clone(),
                    sequence: record.sequence.clone(),
                    event_id: record.event_id.clone(),
                });
            }
            ids.push(child.id.clone());
        }
        Ok(ids)
    }

    /// Trims a shard up to a record, that record with it; all its records, if none is named. Returns how many went.
    pub(crate) fn trim(
        &mut self,
        table: &str,
        shard: Option<&str>,
        up_to: Option<&SequenceNumber>,
    ) -> Result<usize, WorldError> {
        let stream = self.stream_with(table, shard)?;
        let place = self.streams[stream].find(shard)?;
        let shard = &self.streams[stream].shards[place];
        let end = up_to.map_or(shard.records.len(), |sequence| shard.place_after(sequence));
        Ok(self.trim_to(stream, place, end))
    }

    /// Trims a shard up to a record, and what its children have of that at their beginning: the service trims by age, and a
    /// record that is repeated is as old in one shard as in the other.
    pub(crate) fn trim_everywhere(
        &mut self,
        table: &str,
        shard: &str,
        up_to: &SequenceNumber,
    ) -> Result<(), WorldError> {
        let stream = self.stream_with(table, Some(shard))?;
        let place = self.streams[stream].find(Some(shard))?;
        let shard = &self.streams[stream].shards[place];
        let trimmed: HashSet<usize> = shard.records[..shard.place_after(up_to)]
            .iter()
            .map(|record| record.change)
            .collect();
        for place in 0..self.streams[stream].shards.len() {
            let records = &self.streams[stream].shards[place].records;
            let end = records
                .iter()
                .take_while(|record| trimmed.contains(&record.change))
                .count();
            self.trim_to(stream, place, end);
        }
        Ok(())
    }

    /// Takes a shard away, with all that nobody read. An open one has a child first, for its items live on.
    pub(crate) fn vanish(&mut self, table: &str, shard: &str) -> Result<(), WorldError> {
        let stream = self.stream_with(table, Some(shard))?;
        let place = self.streams[stream].find(Some(shard))?;
        if self.streams[stream].shards[place].is_open() {
            self.rotate(table, Some(shard), &Resharding::default())?;
        }
        self.trim_to(stream, place, usize::MAX);
        self.streams[stream].shards[place].gone = true;
        Ok(())
    }

    /// Answers the next so many reads of a shard without records.
    pub(crate) fn empty_pages(&mut self, table: &str, shard: Option<&str>, pages: u32) -> Result<(), WorldError> {
        let stream = self.stream_with(table, shard)?;
        let place = self.streams[stream].find(shard)?;
        self.streams[stream].shards[place].empty_pages = pages;
        Ok(())
    }

    /// Lists what was late, shows what is closed, gives what was held back, and switches on what is off.
    pub(crate) fn calm(&mut self) {
        let now = self.clock.now();
        for shard in self.streams.iter_mut().flat_map(|stream| &mut stream.shards) {
            shard.listed_from = shard.listed_from.min(now);
            shard.looks_open_until = None;
            shard.empty_pages = 0;
        }
        let tables: Vec<String> = self.tables.keys().cloned().collect();
        for table in tables {
            // The only other outcome is that it is on.
            let _ = self.enable(&table, None);
        }
    }

    fn trim_to(&mut self, stream: usize, shard: usize, end: usize) -> usize {
        let now = self.clock.now();
        let shard = &mut self.streams[stream].shards[shard];
        let end = end.min(shard.records.len()).max(shard.trimmed);
        let trimmed = shard.trimmed..end;
        for record in &shard.records[trimmed.clone()] {
            self.copies[record.change] -= 1;
            if self.copies[record.change] == 0 {
                self.truth.changes[record.change].trimmed_at = Some(now);
            }
        }
        shard.trimmed = end;
        trimmed.len()
    }
}
