//! A scripted AWS: DynamoDB Streams and the sinks, on the wire, seeded, on a virtual clock, with the truth to compare with.
//!
//! ```text
//! test, script, storm, curl ──▶ world ──▶ truth        what happened
//!                                 │
//! consumer with an AWS SDK ◀── service ◀── faults       what the consumer is told
//!            └────────────────▶ sinks                   what the consumer sends on
//! ```
//!
//! # Invariants
//!
//! - The clock stands still until it is stepped, unless real time was asked for.
//! - One seed and the same steps give the same world, whoever reads it and however often.
//! - The simulator answers as the service may, never as the service cannot: what misleads a consumer here can happen there.

mod calls;
mod command;
mod connection;
mod control;
mod fault;
mod random;
mod real_time;
mod request;
mod script;
mod server;
mod service;
mod setup;
mod simulator;
mod sinks;
mod state;
mod storm;
mod world;

pub use calls::CallCount;
pub use command::{Command, CommandError};
pub use fault::{Fault, FaultRule};
pub use random::Random;
pub use script::{Script, ScriptError};
pub use service::{ChildFilter, Discovery, Limits, Reading, ThrottleCode};
pub use setup::{Setup, TableSetup};
pub use simulator::Simulator;
pub use sinks::{EntryFailure, Fate, Received, SinkSettings};
pub use storm::Profile;
pub use storm::profile::Settings as StormSettings;
pub use world::WorldError;
pub use world::item::{Item, KEY, item, keys};
pub use world::sequence::SequenceNumber;
pub use world::stream::Resharding;
pub use world::table::Write;
pub use world::truth::{OffPeriod, TrueChange, TrueRecord, TrueShard, TrueStream, Truth};
pub use world::view::ViewType;
