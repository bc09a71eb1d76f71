//! A storm: a world driven by chance, tick by tick.
//!
//! ```text
//! tick ──▶ time ──▶ switch off, on, make again ──▶ reshard ──▶ trim ──▶ mislead ──▶ faults ──▶ write
//! ```
//!
//! # Invariants
//!
//! - One seed, one profile and the same ticks give the same world. Readers change nothing about it.
//! - After [`calm`](State::calm) everything that is still there can be found and read, and nothing fails any more.

pub(crate) mod profile;

use std::time::Duration;

use jiff::Timestamp;

use crate::command::CommandError;
use crate::fault::{Fault, FaultRule};
use crate::random::Random;
use crate::service::{ChildFilter, Discovery};
use crate::state::State;
use crate::storm::profile::Settings;
use crate::world::WorldError;
use crate::world::clock::later;
use crate::world::sequence::SequenceNumber;
use crate::world::stream::Resharding;
use crate::world::table::Write;

pub use profile::Profile;

/// Operations that faults strike.
const OPERATIONS: [&str; 7] = [
    "ListStreams",
    "DescribeStream",
    "GetShardIterator",
    "GetRecords",
    "PutEvents",
    "PublishBatch",
    "SendMessageBatch",
];

/// Faults that wait for their call at most: a consumer that is away is not met by all of them at once.
const FAULTS_WAITING_MAX: usize = 10;

/// Writes of a transaction, and others between them.
const TRANSACTION_WRITES: usize = 5;

/// A storm on a table.
#[derive(Debug)]
pub(crate) struct Storm {
    table: String,
    settings: Settings,
    random: Random,
    /// Ticks until the stream, which is off, is switched on.
    off_ticks: u64,
    /// Until when listings mislead in the way that they do now.
    misleads_until: Timestamp,
}

impl State {
    /// Begins a storm, in the place of one that may be under way.
    pub(crate) fn begin_storm(&mut self, table: &str, profile: Profile) -> Result<(), CommandError> {
        self.service.world.table_mut(table)?;
        let settings = profile.settings();
        self.sinks.settings.entry_failure_probability = settings.entry_failure;
        self.storm = Some(Storm {
            table: table.to_owned(),
            settings,
            random: Random::new(self.service.world.random.bits()),
            off_ticks: 0,
            misleads_until: Timestamp::MAX,
        });
        Ok(())
    }

    /// Lets the storm go on by one tick.
    pub(crate) fn tick(&mut self) -> Result<(), CommandError> {
        let mut storm = self.storm.take().ok_or(CommandError::NoStorm)?;
        let outcome = storm.tick(self);
        self.storm = Some(storm);
        Ok(outcome?)
    }

    /// How long a tick of the storm is; nothing if there is no storm.
    pub(crate) fn tick_length(&self) -> Option<Duration> {
        let storm = self.storm.as_ref();
        storm.map(|storm| Duration::from_millis(storm.settings.tick_ms.max(1)))
    }

    /// Ends the storm and all that misleads.
    pub(crate) fn calm(&mut self) {
        self.storm = None;
        self.faults.clear();
        self.sinks.calm();
        self.list_honestly();
        self.service.world.calm();
    }

    fn list_honestly(&mut self) {
        let page_shards_max = self.service.discovery.page_shards_max;
        self.service.discovery = Discovery {
            page_shards_max,
            ..Discovery::default()
        };
    }
}

impl Storm {
    fn tick(&mut self, state: &mut State) -> Result<(), WorldError> {
        let settings = self.settings.clone();
        let leap = self.random.chance(settings.leap);
        let step_ms = if leap { settings.leap_ms } else { settings.tick_ms };
        state.service.world.step(Duration::from_millis(step_ms));
        if state.service.world.clock.now() >= self.misleads_until {
            state.list_honestly();
            self.misleads_until = Timestamp::MAX;
        }
        self.switch(state)?;
        self.reshard(state)?;
        self.trim(state)?;
        self.mislead(state)?;
        self.fault(state);
        self.write(state)
    }

    /// Switches the stream off, later on, or makes the table again.
    fn switch(&mut self, state: &mut State) -> Result<(), WorldError> {
        let world = &mut state.service.world;
        let (disable, recreate) = (self.settings.disable, self.settings.recreate);
        let is_on = world
            .stream_of(&self.table)
            .is_ok_and(|stream| world.streams[stream].is_on());
        if !is_on {
            self.off_ticks = self.off_ticks.saturating_sub(1);
            if self.off_ticks == 0 {
                world.enable(&self.table, None)?;
            }
        } else if self.random.chance(disable) {
            self.off_ticks = 1 + self.random.below(self.settings.off_ticks_max);
            world.disable(&self.table)?;
        } else if self.random.chance(recreate) {
            world.recreate_table(&self.table)?;
        }
        Ok(())
    }

    fn reshard(&mut self, state: &mut State) -> Result<(), WorldError> {
        let world = &mut state.service.world;
        let settings = &self.settings;
        let splits = self.random.chance(settings.split);
        let rotates = self.random.chance(settings.rotate);
        let how = Resharding {
            repeats: if self.random.chance(settings.repeat) {
                1 + self.random.index(settings.repeats_max.max(1))
            } else {
                0
            },
            renumbered: self.random.chance(settings.renumber),
            late_ms: if self.random.chance(settings.late) {
                self.random.below(settings.late_ms_max)
            } else {
                0
            },
            parent_looks_open_ms: if self.random.chance(settings.late) {
                self.random.below(settings.late_ms_max)
            } else {
                0
            },
            opaque_ids: self.random.chance(settings.opaque),
        };
        let open = world.open_shards(&self.table)?;
        let Some(shard) = self.random.pick(&open) else {
            return Ok(());
        };
        if splits && open.len() < settings.shards_max {
            world.split(&self.table, Some(shard), &how)?;
        } else if rotates {
            world.rotate(&self.table, Some(shard), &how)?;
        }
        Ok(())
    }

    /// Trims a shard of the newest stream somewhere, or takes a closed one away, with all that it came from.
    fn trim(&mut self, state: &mut State) -> Result<(), WorldError> {
        let world = &mut state.service.world;
        let trims = self.random.chance(self.settings.trim);
        let vanishes = self.random.chance(self.settings.vanish);
        let stream = &world.streams[world.stream_of(&self.table)?];
        let there: Vec<_> = stream.shards.iter().filter(|shard| !shard.gone).collect();
        let Some(shard) = self.random.pick(&there) else {
            return Ok(());
        };
        let id = shard.id.clone();
        let is_open = shard.is_open();
        let up_to = self.random.pick(&shard.records[shard.trimmed..]);
        let up_to: Option<SequenceNumber> = up_to.map(|record| record.sequence.clone());
        if let Some(up_to) = up_to.filter(|_| trims) {
            world.trim_everywhere(&self.table, &id, &up_to)?;
        }
        if vanishes && !is_open {
            // A shard goes a day after it was closed, so its ancestors went before it.
            let mut line = vec![id];
            let shards = &world.streams[world.stream_of(&self.table)?].shards;
            while let Some(shard) = shards.iter().find(|shard| Some(&shard.id) == line.last()) {
                let Some(parent) = &shard.parent else { break };
                line.push(parent.clone());
            }
            let is_there = |id: &String| shards.iter().any(|shard| shard.id == *id && !shard.gone);
            line.retain(is_there);
            for shard in line.iter().rev() {
                world.vanish(&self.table, shard)?;
            }
        }
        Ok(())
    }

    /// Tells shards in ways that mislead, and holds records back for some pages.
    fn mislead(&mut self, state: &mut State) -> Result<(), WorldError> {
        let settings = &self.settings;
        let open = state.service.world.open_shards(&self.table)?;
        if self.random.chance(settings.empty_pages) {
            let pages = self.random.below(20);
            if let Some(shard) = self.random.pick(&open) {
                let pages = u32::try_from(pages).unwrap_or_default();
                state.service.world.empty_pages(&self.table, Some(shard), pages)?;
            }
        }
        if !self.random.chance(settings.mislead) {
            return Ok(());
        }
        let filters = [ChildFilter::Works, ChildFilter::Ignored, ChildFilter::AnswersParent];
        let world = &state.service.world;
        let stream = &world.streams[world.stream_of(&self.table)?];
        // A shard is left out only while it is young: whoever waits for as long as that has seen it, however often listings
        // misled meanwhile.
        let now = world.clock.now();
        let young = Duration::from_millis(settings.mislead_age_ms_max);
        let shards = stream.shards.iter().filter(|shard| now < later(shard.opened_at, young));
        let shards: Vec<(String, Timestamp)> = shards
            .map(|shard| (shard.id.clone(), later(shard.opened_at, young)))
            .collect();
        let missing = self.random.pick(&shards).cloned();
        let hides = self.random.chance(0.5);
        self.misleads_until = missing.as_ref().map_or(later(now, young), |(_, until)| *until);
        let missing = missing.map(|(shard, _)| shard);
        state.service.discovery = Discovery {
            page_shards_max: 1 + self.random.index(10),
            shuffled: true,
            ending_on_open_shards: self.random.chance(0.5),
            empty_answers: u32::from(self.random.chance(0.3)),
            missing: missing.filter(|_| hides).into_iter().collect(),
            child_filter: self.random.pick(&filters).copied().unwrap_or_default(),
            child_filter_empty_answers: u32::from(self.random.chance(0.5)),
        };
        Ok(())
    }

    fn fault(&mut self, state: &mut State) {
        let strikes = self.random.chance(self.settings.fault);
        let after_effect = self.random.chance(0.5);
        let operation = self.random.pick(&OPERATIONS).map_or("", |operation| operation);
        let fault = match self.random.below(if self.settings.hangs { 8 } else { 7 }) {
            0 => Fault::InternalServerError,
            1 => Fault::LimitExceeded,
            2 => Fault::Throttling,
            3 => Fault::Bare { status: 503 },
            4 => Fault::Reset,
            5 => Fault::Truncated,
            6 => Fault::Delay { milliseconds: 20 },
            _ => Fault::Hang,
        };
        // What waits depends on who called. So it decides nothing that chance decides, it only drops.
        if strikes && state.faults.waiting().len() < FAULTS_WAITING_MAX {
            let mut rule = FaultRule::next(operation, fault);
            rule.after_effect = after_effect;
            state.faults.add(rule);
        }
    }

    fn write(&mut self, state: &mut State) -> Result<(), WorldError> {
        let world = &mut state.service.world;
        let items = self.settings.items;
        for _ in 0..self.random.below(self.settings.changes_max + 1) {
            let mut write = world.random_write(items);
            if let Write::Delete(id) = &write
                && self.random.chance(self.settings.expire)
            {
                write = Write::Expire(id.clone());
            }
            if self.random.chance(self.settings.odd) {
                write = Write::Odd {
                    id: format!("item-{}", self.random.below(items)),
                    event_name: "ARCHIVE".to_owned(),
                    event_version: None,
                };
            }
            world.write(&self.table, &write)?;
        }
        if self.random.chance(self.settings.transaction) {
            let mut draw = || (0..TRANSACTION_WRITES).map(|_| world.random_write(items)).collect();
            let (writes, others): (Vec<Write>, Vec<Write>) = (draw(), draw());
            world.transact(&self.table, &writes, &others)?;
        }
        Ok(())
    }
}
