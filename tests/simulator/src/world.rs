//! The world: tables, their streams, the clock, and the truth about all of it.
//!
//! ```text
//! write ──▶ table ──▶ truth
//!             └─────▶ stream ──▶ shard ──▶ record
//!                        ▲
//! step, rotate, split, trim, disable, enable
//! ```
//!
//! # Invariants
//!
//! - Nothing here waits, and nothing knows the wall clock.
//! - What the world does depends on its seed and on what was done to it in which order, never on who reads it: chance in
//!   answers comes from a generator of its own.

pub(crate) mod clock;
pub(crate) mod item;
pub(crate) mod lifecycle;
pub(crate) mod sequence;
pub(crate) mod shard;
pub(crate) mod stream;
pub(crate) mod table;
pub(crate) mod truth;
pub(crate) mod view;

use std::collections::BTreeMap;
use std::time::Duration;

use crate::random::Random;
use crate::setup::Setup;
use crate::world::clock::Clock;
use crate::world::stream::Stream;
use crate::world::table::Table;
use crate::world::truth::{TrueShard, TrueStream, Truth};

/// Why the world cannot be changed like that. Nothing was changed.
#[derive(Debug, thiserror::Error)]
pub enum WorldError {
    /// There is no such table.
    #[error("there is no table {table}")]
    Table {
        /// Its name.
        table: String,
    },
    /// There is such a table.
    #[error("there is a table {table} already")]
    TableExists {
        /// Its name.
        table: String,
    },
    /// The table has no stream that is on.
    #[error("the stream of table {table} is off")]
    NoStream {
        /// The table.
        table: String,
    },
    /// The table has a stream.
    #[error("the stream of table {table} is on already")]
    StreamIsOn {
        /// The table.
        table: String,
    },
    /// There is no such shard.
    #[error("there is no shard {shard}")]
    Shard {
        /// Its id.
        shard: String,
    },
    /// The shard has given way already.
    #[error("shard {shard} is closed")]
    Closed {
        /// Its id.
        shard: String,
    },
    /// An attribute is not as DynamoDB writes it, or the key `id` is not a string with something in it.
    #[error("attribute {name} of the item is not as DynamoDB writes it in JSON")]
    Item {
        /// The attribute.
        name: String,
    },
}

/// The world.
#[derive(Debug)]
pub(crate) struct World {
    pub(crate) clock: Clock,
    pub(crate) random: Random,
    pub(crate) region: String,
    pub(crate) account: String,
    pub(crate) retention: Duration,
    pub(crate) tables: BTreeMap<String, Table>,
    pub(crate) streams: Vec<Stream>,
    pub(crate) transactions: u64,
    /// Everything but its streams, which are written down when somebody asks.
    pub(crate) truth: Truth,
    /// How many shards still hold a record of each change.
    pub(crate) copies: Vec<u32>,
}

impl World {
    pub(crate) fn new(setup: &Setup) -> Self {
        let mut world = Self {
            clock: Clock::new(setup.start),
            random: Random::new(setup.seed),
            region: setup.region.clone(),
            account: setup.account.clone(),
            retention: setup.retention,
            tables: BTreeMap::new(),
            streams: Vec::new(),
            transactions: 0,
            truth: Truth::default(),
            copies: Vec::new(),
        };
        for table in &setup.tables {
            // A table that is named twice is the same table.
            let _ = world.create_table(&table.name, table.view, table.shards);
        }
        world
    }

    /// The truth so far.
    pub(crate) fn truth(&self) -> Truth {
        let mut truth = self.truth.clone();
        truth.streams = self.streams.iter().map(true_stream).collect();
        truth
    }

    /// Whether every record that was not trimmed has been read.
    pub(crate) fn is_all_read(&self) -> bool {
        self.truth
            .recorded()
            .all(|change| change.read_at.is_some() || change.trimmed_at.is_some())
    }

    /// The open shards of the newest stream of a table.
    pub(crate) fn open_shards(&self, table: &str) -> Result<Vec<String>, WorldError> {
        let stream = &self.streams[self.stream_of(table)?];
        let open = stream.shards.iter().filter(|shard| shard.is_open());
        Ok(open.map(|shard| shard.id.clone()).collect())
    }

    pub(crate) fn table_mut(&mut self, name: &str) -> Result<&mut Table, WorldError> {
        let table = self.tables.get_mut(name);
        table.ok_or_else(|| WorldError::Table { table: name.to_owned() })
    }

    /// The newest stream of a table.
    pub(crate) fn stream_of(&self, table: &str) -> Result<usize, WorldError> {
        let stream = self.streams.iter().rposition(|stream| stream.table == table);
        stream.ok_or_else(|| WorldError::NoStream {
            table: table.to_owned(),
        })
    }

    /// The stream of a table that has this shard, which may be one that was switched off; the newest, if none is named.
    pub(crate) fn stream_with(&self, table: &str, shard: Option<&str>) -> Result<usize, WorldError> {
        let Some(shard) = shard else {
            return self.stream_of(table);
        };
        let stream = self
            .streams
            .iter()
            .rposition(|stream| stream.table == table && stream.shard(shard).is_some());
        stream.ok_or_else(|| WorldError::Shard {
            shard: shard.to_owned(),
        })
    }
}

fn true_stream(stream: &Stream) -> TrueStream {
    TrueStream {
        arn: stream.arn.clone(),
        table: stream.table.clone(),
        from: stream.enabled_at,
        until: stream.disabled_at,
        shards: stream
            .shards
            .iter()
            .map(|shard| TrueShard {
                shard: shard.id.clone(),
                parent: shard.parent.clone(),
                opened_at: shard.opened_at,
                closed_at: shard.closed_at,
                records: shard.records.len() as u64,
                trimmed: shard.trimmed as u64,
                gone: shard.gone,
            })
            .collect(),
    }
}
