//! The handle on the world: its tables and items, its streams and shards.

use crate::simulator::Simulator;
use crate::world::WorldError;
use crate::world::item::Item;
use crate::world::sequence::SequenceNumber;
use crate::world::stream::Resharding;
use crate::world::table::Write;
use crate::world::view::ViewType;

/// Tables and their items.
impl Simulator {
    /// Makes a table, its stream on. Returns the stream's ARN.
    ///
    /// # Errors
    ///
    /// The table is there.
    pub fn create_table(&self, table: &str, view: ViewType, shards: usize) -> Result<String, WorldError> {
        self.state().service.world.create_table(table, view, shards)
    }

    /// Deletes a table and makes it again, empty, with a new stream. Returns the stream's ARN.
    ///
    /// # Errors
    ///
    /// The table is not there.
    pub fn recreate_table(&self, table: &str) -> Result<String, WorldError> {
        self.state().service.world.recreate_table(table)
    }

    /// Puts an item. Returns the number of the change, see [`Truth::changes`](crate::Truth::changes); none if the item was the same before.
    ///
    /// # Errors
    ///
    /// The table is not there, or the item is none.
    pub fn put(&self, table: &str, item: Item) -> Result<Option<u64>, WorldError> {
        self.write(table, &Write::Put(item))
    }

    /// Deletes an item. Returns the number of the change; none if there was no item.
    ///
    /// # Errors
    ///
    /// The table is not there.
    pub fn delete(&self, table: &str, id: &str) -> Result<Option<u64>, WorldError> {
        self.write(table, &Write::Delete(id.to_owned()))
    }

    /// Deletes an item as the database does when its time to live is over.
    ///
    /// # Errors
    ///
    /// The table is not there.
    pub fn expire(&self, table: &str, id: &str) -> Result<Option<u64>, WorldError> {
        self.write(table, &Write::Expire(id.to_owned()))
    }

    /// Writes anything. Returns the number of the change; none if nothing changed.
    ///
    /// # Errors
    ///
    /// The table is not there, or the item is none.
    pub fn write(&self, table: &str, write: &Write) -> Result<Option<u64>, WorldError> {
        self.state().service.world.write(table, write)
    }

    /// Writes a transaction. Its records come in any order, with those of `others` between them; others keep theirs.
    ///
    /// # Errors
    ///
    /// The table is not there, or an item is none. Nothing was written.
    pub fn transact(&self, table: &str, writes: &[Write], others: &[Write]) -> Result<Vec<u64>, WorldError> {
        self.state().service.world.transact(table, writes, others)
    }

    /// Changes items chosen by chance, of `items` in all, so many times. Returns the numbers of the changes.
    ///
    /// # Errors
    ///
    /// The table is not there.
    pub fn change_some(&self, table: &str, items: u64, changes: usize) -> Result<Vec<u64>, WorldError> {
        self.state().service.world.change_some(table, items, changes)
    }
}

/// Streams and their shards.
impl Simulator {
    /// The ARN of the newest stream of a table, on or off.
    ///
    /// # Errors
    ///
    /// It never had one.
    pub fn stream_arn(&self, table: &str) -> Result<String, WorldError> {
        let state = self.state();
        let world = &state.service.world;
        world.stream_of(table).map(|stream| world.streams[stream].arn.clone())
    }

    /// The open shards of a table's newest stream.
    ///
    /// # Errors
    ///
    /// It never had one.
    pub fn open_shards(&self, table: &str) -> Result<Vec<String>, WorldError> {
        self.state().service.world.open_shards(table)
    }

    /// Closes a shard (the first open one, if none is named) and opens one child. Returns the child.
    ///
    /// # Errors
    ///
    /// There is no such shard, or it is closed.
    pub fn rotate(&self, table: &str, shard: Option<&str>, how: &Resharding) -> Result<String, WorldError> {
        self.state().service.world.rotate(table, shard, how)
    }

    /// Closes a shard (the first open one, if none is named) and opens two children. Returns these.
    ///
    /// # Errors
    ///
    /// There is no such shard, or it is closed.
    pub fn split(&self, table: &str, shard: Option<&str>, how: &Resharding) -> Result<Vec<String>, WorldError> {
        self.state().service.world.split(table, shard, how)
    }

    /// Trims a shard (the first open one, if none is named) up to a record, that record with it, or all its records.
    /// Returns how many went.
    ///
    /// # Errors
    ///
    /// There is no such shard.
    pub fn trim(&self, table: &str, shard: Option<&str>, up_to: Option<&SequenceNumber>) -> Result<usize, WorldError> {
        self.moving(|state| state.service.world.trim(table, shard, up_to))
    }

    /// Takes a shard away, with all that it holds.
    ///
    /// # Errors
    ///
    /// There is no such shard.
    pub fn vanish(&self, table: &str, shard: &str) -> Result<(), WorldError> {
        self.moving(|state| state.service.world.vanish(table, shard))
    }

    /// Switches the stream of a table off.
    ///
    /// # Errors
    ///
    /// It is off.
    pub fn disable(&self, table: &str) -> Result<(), WorldError> {
        self.state().service.world.disable(table)
    }

    /// Switches a new stream on, as the last one unless another view is named. Returns its ARN.
    ///
    /// # Errors
    ///
    /// There is no such table, or its stream is on.
    pub fn enable(&self, table: &str, view: Option<ViewType>) -> Result<String, WorldError> {
        self.state().service.world.enable(table, view)
    }

    /// Answers the next so many `GetRecords` for a shard without records.
    ///
    /// # Errors
    ///
    /// There is no such shard.
    pub fn empty_pages(&self, table: &str, shard: Option<&str>, pages: u32) -> Result<(), WorldError> {
        self.state().service.world.empty_pages(table, shard, pages)
    }
}
