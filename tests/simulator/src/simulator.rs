//! The handle: what a test holds to move the world, and to ask what is true.

mod answers;
mod world;

use std::io;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use jiff::Timestamp;
use serde_json::Value;
use tokio::net::TcpListener;
use tokio::sync::Notify;
use tokio::task::AbortHandle;

use crate::command::{Command, CommandError};
use crate::connection::CuttingListener;
use crate::server;
use crate::setup::Setup;
use crate::state::State;
use crate::world::truth::Truth;

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

    /// When the first answer with the record of a change was sent whole, by the wall clock; `read_at` in the truth is the same by
    /// the virtual one.
    #[must_use]
    pub fn sent_at(&self, change: u64) -> Option<Instant> {
        let change = usize::try_from(change).ok()?;
        self.state().service.sent_at.get(&change).copied()
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
