//! All that can be done to a simulator, as JSON: the steps of a script, and the bodies of the control endpoint.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::fault::FaultRule;
use crate::service::{Discovery, Limits, Reading};
use crate::sinks::{EntryFailure, SinkSettings};
use crate::state::State;
use crate::storm::Profile;
use crate::world::WorldError;
use crate::world::item::Item;
use crate::world::sequence::SequenceNumber;
use crate::world::stream::Resharding;
use crate::world::table::Write;
use crate::world::view::ViewType;

/// Something to do to a simulator. In JSON, `do` names it: `{"do": "step", "seconds": 60}`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "do", rename_all = "snake_case", deny_unknown_fields)]
pub enum Command {
    /// Lets time pass.
    Step {
        /// Whole seconds.
        #[serde(default)]
        seconds: u64,
        /// And milliseconds.
        #[serde(default)]
        milliseconds: u64,
    },
    /// Makes a table, its stream on.
    CreateTable {
        /// Its name.
        table: String,
        /// What its records carry.
        #[serde(default)]
        view: ViewType,
        /// Shards that its stream begins with.
        #[serde(default = "one")]
        shards: usize,
    },
    /// Deletes a table and makes it again.
    RecreateTable {
        /// Its name.
        table: String,
    },
    /// Puts an item.
    Put {
        /// The table.
        table: String,
        /// The item, as DynamoDB writes it.
        item: Item,
    },
    /// Deletes an item.
    Delete {
        /// The table.
        table: String,
        /// The item's key.
        id: String,
    },
    /// Writes several, one by one. Each is `{"put": {...}}`, `{"delete": "o1"}`, `{"expire": "o1"}` or
    /// `{"odd": {"id": "o1", "event_name": "ARCHIVE"}}`.
    Write {
        /// The table.
        table: String,
        /// What to write.
        writes: Vec<Write>,
    },
    /// Writes a transaction, others between.
    Transact {
        /// The table.
        table: String,
        /// The transaction.
        writes: Vec<Write>,
        /// What is not part of it.
        #[serde(default)]
        others: Vec<Write>,
    },
    /// Changes items chosen by chance.
    ChangeSome {
        /// The table.
        table: String,
        /// Of so many items in all.
        items: u64,
        /// So many times.
        changes: usize,
    },
    /// Closes a shard and opens one child.
    Rotate {
        /// The table.
        table: String,
        /// The first open one, if none is named.
        shard: Option<String>,
        /// How.
        #[serde(default)]
        how: Resharding,
    },
    /// Closes a shard and opens two children.
    Split {
        /// The table.
        table: String,
        /// The first open one, if none is named.
        shard: Option<String>,
        /// How.
        #[serde(default)]
        how: Resharding,
    },
    /// Trims a shard.
    Trim {
        /// The table.
        table: String,
        /// The first open one, if none is named.
        shard: Option<String>,
        /// The last record to go; all go, if none is named.
        up_to: Option<SequenceNumber>,
    },
    /// Takes a shard away.
    Vanish {
        /// The table.
        table: String,
        /// The shard.
        shard: String,
    },
    /// Switches the stream of a table off.
    Disable {
        /// The table.
        table: String,
    },
    /// Switches a new stream on.
    Enable {
        /// The table.
        table: String,
        /// As the last one, if none is named.
        view: Option<ViewType>,
    },
    /// Answers the next reads of a shard without records.
    EmptyPages {
        /// The table.
        table: String,
        /// The first open one, if none is named.
        shard: Option<String>,
        /// So many.
        pages: u32,
    },
    /// Sets how shards are told. What is left out is as at first.
    Discovery(Discovery),
    /// Sets how pages are cut. What is left out is as at first.
    Reading(Reading),
    /// Sets how often may be asked. What is left out has no limit.
    Limits(Limits),
    /// Sets how sinks behave. What is left out is as at first.
    Sinks(SinkSettings),
    /// Adds a fault.
    Fault(FaultRule),
    /// Takes all faults away.
    ClearFaults {},
    /// Lets entries of the next batch of a sink fail.
    FailEntries {
        /// `PutEvents`, `PublishBatch` or `SendMessageBatch`.
        operation: String,
        /// Which.
        failures: Vec<EntryFailure>,
    },
    /// Begins a storm on a table.
    Storm {
        /// The table.
        table: String,
        /// How rough: a name, or the probabilities themselves.
        profile: Profile,
    },
    /// Lets the storm go on.
    Tick {
        /// By so many ticks.
        #[serde(default = "one")]
        times: usize,
    },
    /// Ends the storm and all that misleads: faults, late children, a stream that is off. The world stays as it is.
    Calm {},
}

fn one() -> usize {
    1
}

/// Why a command was not done.
#[derive(Debug, thiserror::Error)]
pub enum CommandError {
    /// The world cannot be changed like that.
    #[error(transparent)]
    World(#[from] WorldError),
    /// There is no storm that could go on.
    #[error("there is no storm")]
    NoStorm,
}

impl State {
    /// Does a command, and tells what came of it.
    pub(crate) fn apply(&mut self, command: Command) -> Result<Value, CommandError> {
        let world = &mut self.service.world;
        Ok(match command {
            Command::Step { seconds, milliseconds } => {
                world.step(Duration::from_secs(seconds) + Duration::from_millis(milliseconds));
                json!({ "now": world.clock.now() })
            }
            Command::CreateTable { table, view, shards } => {
                json!({ "stream": world.create_table(&table, view, shards)? })
            }
            Command::RecreateTable { table } => json!({ "stream": world.recreate_table(&table)? }),
            Command::Put { table, item } => json!({ "change": world.write(&table, &Write::Put(item))? }),
            Command::Delete { table, id } => json!({ "change": world.write(&table, &Write::Delete(id))? }),
            Command::Write { table, writes } => {
                let changes = writes.iter().map(|write| world.write(&table, write));
                json!({ "changes": changes.collect::<Result<Vec<Option<u64>>, WorldError>>()? })
            }
            Command::Transact { table, writes, others } => {
                json!({ "changes": world.transact(&table, &writes, &others)? })
            }
            Command::ChangeSome { table, items, changes } => {
                json!({ "changes": world.change_some(&table, items, changes)? })
            }
            Command::Rotate { table, shard, how } => {
                json!({ "children": [world.rotate(&table, shard.as_deref(), &how)?] })
            }
            Command::Split { table, shard, how } => {
                json!({ "children": world.split(&table, shard.as_deref(), &how)? })
            }
            Command::Trim { table, shard, up_to } => {
                json!({ "trimmed": world.trim(&table, shard.as_deref(), up_to.as_ref())? })
            }
            Command::Vanish { table, shard } => {
                world.vanish(&table, &shard)?;
                done()
            }
            Command::Disable { table } => {
                world.disable(&table)?;
                done()
            }
            Command::Enable { table, view } => json!({ "stream": world.enable(&table, view)? }),
            Command::EmptyPages { table, shard, pages } => {
                world.empty_pages(&table, shard.as_deref(), pages)?;
                done()
            }
            Command::Discovery(discovery) => {
                self.service.discovery = discovery;
                done()
            }
            Command::Reading(reading) => {
                self.service.reading = reading;
                done()
            }
            Command::Limits(limits) => {
                self.service.limits = limits;
                done()
            }
            Command::Sinks(settings) => {
                self.sinks.settings = settings;
                done()
            }
            Command::Fault(rule) => {
                self.faults.add(rule);
                done()
            }
            Command::ClearFaults {} => {
                self.faults.clear();
                done()
            }
            Command::FailEntries { operation, failures } => {
                self.sinks.fail_entries(&operation, failures);
                done()
            }
            Command::Storm { table, profile } => {
                self.begin_storm(&table, profile)?;
                done()
            }
            Command::Tick { times } => {
                for _ in 0..times {
                    self.tick()?;
                }
                json!({ "now": self.service.world.clock.now() })
            }
            Command::Calm {} => {
                self.calm();
                done()
            }
        })
    }
}

/// The answer of a command that has nothing to tell.
fn done() -> Value {
    json!({})
}
