//! How rough a storm is.

use serde::{Deserialize, Serialize};

/// How rough a storm is: one of those that have a name, or settings of one's own.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Profile {
    /// Writes, and a rotation now and then. Nothing fails, nothing misleads, nothing is lost.
    Everyday,
    /// Much resharding, misleading listings, repeats and faults. Nothing is lost.
    Rough,
    /// And records are trimmed unread, shards vanish, the stream is switched off.
    Hurricane,
    /// Settings of one's own.
    Custom(Box<Settings>),
}

/// What happens in a tick, each with its probability (0 to 1).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// Time of a tick.
    pub tick_ms: u64,
    /// Items that are written to.
    pub items: u64,
    /// Changes at most.
    pub changes_max: u64,
    /// There is a transaction too.
    pub transaction: f64,
    /// A delete is one by the database.
    pub expire: f64,
    /// A change is told under a name that nobody knows.
    pub odd: f64,
    /// A shard rotates.
    pub rotate: f64,
    /// A shard splits.
    pub split: f64,
    /// Open shards at most.
    pub shards_max: usize,
    /// Children begin with the last records of their parent.
    pub repeat: f64,
    /// With so many of them at most.
    pub repeats_max: usize,
    /// Under new sequence numbers.
    pub renumber: f64,
    /// Children are listed late, or their parent looks open for longer.
    pub late: f64,
    /// By so much at most.
    pub late_ms_max: u64,
    /// Shard ids carry no time.
    pub opaque: f64,
    /// A shard is trimmed up to any of its records, read or not.
    pub trim: f64,
    /// A closed shard is taken away, read or not, and its ancestors with it.
    pub vanish: f64,
    /// The stream is switched off.
    pub disable: f64,
    /// For so many ticks at most.
    pub off_ticks_max: u64,
    /// The table is made again.
    pub recreate: f64,
    /// Time leaps.
    pub leap: f64,
    /// By so much.
    pub leap_ms: u64,
    /// A shard answers without records for a while.
    pub empty_pages: f64,
    /// Listings begin to mislead in another way.
    pub mislead: f64,
    /// They leave out a shard that is no older than this: every shard is listed from then on.
    pub mislead_age_ms_max: u64,
    /// A fault is queued.
    pub fault: f64,
    /// Calls that hang are among the faults.
    pub hangs: bool,
    /// An entry of a batch fails at a sink.
    pub entry_failure: f64,
}

impl Default for Settings {
    /// As [`Profile::Everyday`].
    fn default() -> Self {
        Self {
            tick_ms: 1_000,
            items: 50,
            changes_max: 10,
            transaction: 0.05,
            expire: 0.1,
            odd: 0.0,
            rotate: 0.02,
            split: 0.005,
            shards_max: 8,
            repeat: 0.0,
            repeats_max: 5,
            renumber: 0.0,
            late: 0.0,
            late_ms_max: 30_000,
            opaque: 0.0,
            trim: 0.0,
            vanish: 0.0,
            disable: 0.0,
            off_ticks_max: 5,
            recreate: 0.0,
            leap: 0.0,
            // An iterator expires.
            leap_ms: 16 * 60 * 1_000,
            empty_pages: 0.0,
            mislead: 0.0,
            mislead_age_ms_max: 45_000,
            fault: 0.0,
            hangs: false,
            entry_failure: 0.0,
        }
    }
}

impl Profile {
    /// One that has a name.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        serde_json::from_value(name.into()).ok()
    }

    /// What it is made of.
    #[must_use]
    pub fn settings(&self) -> Settings {
        let everyday = Settings::default();
        let rough = Settings {
            odd: 0.005,
            rotate: 0.15,
            split: 0.05,
            repeat: 0.5,
            renumber: 0.3,
            late: 0.3,
            opaque: 0.2,
            leap: 0.01,
            empty_pages: 0.1,
            mislead: 0.1,
            fault: 0.3,
            entry_failure: 0.05,
            ..Settings::default()
        };
        match self {
            Self::Everyday => everyday,
            Self::Rough => rough,
            Self::Hurricane => Settings {
                trim: 0.02,
                vanish: 0.01,
                disable: 0.01,
                recreate: 0.003,
                ..rough
            },
            Self::Custom(settings) => (**settings).clone(),
        }
    }
}
