//! What is going on, for those who watch: `weir dev` prints it.
//!
//! Watching costs nothing where nobody does, and never slows down what is watched: who cannot keep up misses some.

use tokio::sync::broadcast;
use weir_evidence::Hash;
use weir_model::{Assurance, Operation, Position};

/// Activities that a slow watcher can lag behind before it misses some.
const LAG_MAX: usize = 4096;

/// One thing that happened.
#[derive(Clone, Debug)]
pub enum Activity {
    /// A change was committed to the ledger.
    Recorded {
        /// Where.
        position: Position,
        /// What happened to the item.
        operation: Operation,
        /// Its table.
        table: String,
        /// Its key, as plain JSON.
        key: serde_json::Value,
        /// Who did it.
        actor: Option<String>,
        /// What that name is worth.
        assurance: Assurance,
    },
    /// A change was recorded for nobody to see: the plugin at intake failed on it, or on an earlier one of its item.
    Withheld {
        /// Where.
        position: Position,
        /// What happened to the item.
        operation: Operation,
        /// Its table.
        table: String,
        /// Why.
        code: String,
    },
    /// The ledger grew.
    Head {
        /// Number of entries.
        size: u64,
        /// Root over them.
        root: Hash,
    },
    /// A route decided about a change.
    Decided {
        /// The change.
        position: Position,
        /// The route.
        route: String,
        /// What: `kept`, `dropped`, `kept, and order-shipped`.
        decision: String,
    },
    /// A sink took an event.
    Delivered {
        /// The change.
        position: Position,
        /// The sink.
        sink: String,
        /// The event's type.
        detail_type: String,
    },
    /// A delivery fails: its item is parked, and the route goes on.
    Parked {
        /// The change.
        position: Position,
        /// The sink.
        sink: String,
        /// Why.
        reason: String,
    },
    /// A delivery was given up.
    GaveUp {
        /// The change.
        position: Position,
        /// Why.
        reason: String,
    },
    /// A route stands still before a change that its plugin fails on.
    Halted {
        /// The change.
        position: Position,
        /// The route.
        route: String,
        /// What happened.
        code: String,
    },
    /// A route works by another version from a position on.
    Version {
        /// The route.
        route: String,
        /// Its version.
        version: u32,
        /// The first position.
        from: Position,
    },
}

/// Tells activities to whoever watches. Clones tell the same watchers.
#[derive(Clone)]
pub struct Activities {
    watchers: broadcast::Sender<Activity>,
}

impl Activities {
    /// Nobody watches yet.
    #[must_use]
    pub fn new() -> Self {
        Self {
            watchers: broadcast::Sender::new(LAG_MAX),
        }
    }

    /// Watches from now on.
    #[must_use]
    pub fn watch(&self) -> broadcast::Receiver<Activity> {
        self.watchers.subscribe()
    }

    /// Tells what happened elsewhere.
    pub fn announce(&self, activity: Activity) {
        self.tell(|| activity);
    }

    /// Tells what happened, if anybody watches.
    pub(crate) fn tell(&self, activity: impl FnOnce() -> Activity) {
        self.tell_any(|| Some(activity()));
    }

    /// Tells what happened, if anything did and anybody watches.
    pub(crate) fn tell_any(&self, activity: impl FnOnce() -> Option<Activity>) {
        if self.watchers.receiver_count() > 0
            && let Some(activity) = activity()
        {
            // The last watcher may just have left.
            let _ = self.watchers.send(activity);
        }
    }
}

impl Default for Activities {
    fn default() -> Self {
        Self::new()
    }
}
