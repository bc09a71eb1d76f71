//! The handle: what a test holds to move the world, and to ask what is true.

use std::io;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use jiff::Timestamp;
use serde_json::Value;
use tokio::net::TcpListener;
use tokio::sync::Notify;
use tokio::task::AbortHandle;

use crate::command::{Command, CommandError};
use crate::connection::CuttingListener;
use crate::fault::FaultRule;
use crate::server;
use crate::service::{Discovery, Limits, Reading};
use crate::setup::Setup;
use crate::sinks::{EntryFailure, Received, SinkSettings};
use crate::state::State;
use crate::storm::Profile;
use crate::world::WorldError;
use crate::world::item::Item;
use crate::world::sequence::SequenceNumber;
use crate::world::stream::Resharding;
use crate::world::table::Write;
use crate::world::truth::Truth;
use crate::world::view::ViewType;

/// A running simulator. Clones are handles on the same one; it stops listening when the last of them is dropped.
#[derive(Clone, Debug)]
pub struct Simulator {
    shared: Arc<Shared>,
    /// The server itself has none, or it would keep itself alive.
    _server: Option<Arc<RunningServer>>,
}

#[derive(Debug)]
struct Shared {
    address: SocketAddr,
    requests: AtomicU64,
    /// Told whenever records may have been read or trimmed.
    moved: Notify,
    state: Mutex<State>,
}

#[derive(Debug)]
struct RunningServer(AbortHandle);

impl Drop for RunningServer {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl Simulator {
    /// Starts to listen. The clock stands.
    ///
    /// # Errors
    ///
    /// The address cannot be listened at.
    pub async fn start(setup: Setup) -> io::Result<Self> {
        let listener = TcpListener::bind(setup.listen).await?;
        let shared = Arc::new(Shared {
            address: listener.local_addr()?,
            requests: AtomicU64::new(0),
            moved: Notify::new(),
            state: Mutex::new(State::new(&setup)),
        });
        let inner = Self {
            shared: Arc::clone(&shared),
            _server: None,
        };
        let task = tokio::spawn(server::serve(CuttingListener(listener), inner));
        Ok(Self {
            shared,
            _server: Some(Arc::new(RunningServer(task.abort_handle()))),
        })
    }

    /// Where it listens, as an SDK wants it: `http://127.0.0.1:4567`.
    #[must_use]
    pub fn endpoint(&self) -> String {
        format!("http://{}", self.shared.address)
    }

    /// The time that its clock stands at.
    #[must_use]
    pub fn now(&self) -> Timestamp {
        self.state().service.world.clock.now()
    }

    /// Does anything that can be said in JSON, and tells what came of it.
    ///
    /// # Errors
    ///
    /// It cannot be done; see the method that is named as the command.
    pub fn apply(&self, command: Command) -> Result<Value, CommandError> {
        self.moving(|state| state.apply(command))
    }

    /// Lets time pass. What is older than the retention is trimmed, what was late is listed.
    pub fn step(&self, by: Duration) {
        self.moving(|state| state.service.world.step(by));
    }

    /// All that ever happened.
    #[must_use]
    pub fn truth(&self) -> Truth {
        self.state().service.world.truth()
    }

    /// Waits until all records that were not trimmed have been read by somebody.
    ///
    /// What is written meanwhile is waited for too.
    pub async fn all_read(&self) {
        loop {
            let moved = self.shared.moved.notified();
            if self.state().service.world.is_all_read() {
                return;
            }
            moved.await;
        }
    }

    /// Notes that records reached a reader.
    pub(crate) fn mark_read(&self, changes: &[usize]) {
        if !changes.is_empty() {
            self.moving(|state| state.service.mark_read(changes));
        }
    }

    /// Does what may let [`all_read`](Self::all_read) go on.
    fn moving<Outcome>(&self, action: impl FnOnce(&mut State) -> Outcome) -> Outcome {
        let outcome = action(&mut self.state());
        self.shared.moved.notify_waiters();
        outcome
    }

    pub(crate) fn state(&self) -> MutexGuard<'_, State> {
        // A test that failed while it held the state has told what is wrong already.
        self.shared.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// As unlike any other as the service's are, but not drawn by chance: calls come in no certain order.
    pub(crate) fn next_request_id(&self) -> String {
        let number = self.shared.requests.fetch_add(1, Ordering::Relaxed);
        format!("00000000-0000-4000-8000-{number:012x}")
    }
}

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

    /// Puts an item. Returns the number of the change, see [`Truth::changes`]; none if the item was the same before.
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

/// How calls are answered.
impl Simulator {
    /// Changes how shards are told.
    pub fn discovery(&self, change: impl FnOnce(&mut Discovery)) {
        change(&mut self.state().service.discovery);
    }

    /// Changes how pages are cut.
    pub fn reading(&self, change: impl FnOnce(&mut Reading)) {
        change(&mut self.state().service.reading);
    }

    /// Sets how often may be asked.
    pub fn set_limits(&self, limits: Limits) {
        self.state().service.limits = limits;
    }

    /// Adds a fault to those that are waiting for their call.
    pub fn queue_fault(&self, rule: FaultRule) {
        self.state().faults.add(rule);
    }

    /// Takes all faults away.
    pub fn clear_faults(&self) {
        self.state().faults.clear();
    }

    /// The faults that still wait for their call.
    #[must_use]
    pub fn waiting_faults(&self) -> Vec<FaultRule> {
        self.state().faults.waiting()
    }
}

/// Sinks.
impl Simulator {
    /// All entries that were answered as accepted, in order.
    #[must_use]
    pub fn received(&self) -> Vec<Received> {
        self.state().sinks.received.clone()
    }

    /// Lets entries of the next batch of `PutEvents`, `PublishBatch` or `SendMessageBatch` fail, or of the one after those
    /// that were asked for before.
    pub fn fail_entries(&self, operation: &str, failures: Vec<EntryFailure>) {
        self.state().sinks.fail_entries(operation, failures);
    }

    /// Changes how sinks behave.
    pub fn sinks(&self, change: impl FnOnce(&mut SinkSettings)) {
        change(&mut self.state().sinks.settings);
    }
}

/// Storms.
impl Simulator {
    /// Begins a storm on a table. It goes on with each [`tick`](Self::tick).
    ///
    /// # Errors
    ///
    /// There is no such table.
    pub fn storm(&self, table: &str, profile: Profile) -> Result<(), CommandError> {
        self.state().begin_storm(table, profile)
    }

    /// Lets the storm go on: time passes, and what chance decides happens.
    ///
    /// # Errors
    ///
    /// There is no storm.
    pub fn tick(&self) -> Result<(), CommandError> {
        self.moving(State::tick)
    }

    /// Ends the storm and all that misleads: faults, late children, a stream that is off. The world stays as it is.
    pub fn calm(&self) {
        self.state().calm();
    }
}
