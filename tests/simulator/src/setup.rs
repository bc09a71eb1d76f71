//! What a simulator begins with.

use std::net::SocketAddr;
use std::time::Duration;

use jiff::Timestamp;

use crate::service::{Discovery, Limits, Reading};
use crate::world::view::ViewType;

/// How long a stream keeps its records (DynamoDB Developer Guide, "Data retention limit for DynamoDB Streams").
const RETENTION: Duration = Duration::from_hours(24);

/// What a simulator begins with.
#[derive(Clone, Debug)]
pub struct Setup {
    /// Decides all that is left to chance.
    pub seed: u64,
    /// Where to listen. Port 0 takes any that is free.
    pub listen: SocketAddr,
    /// The time that the clock stands at first.
    pub start: Timestamp,
    /// In ARNs and records.
    pub region: String,
    /// In ARNs, 12 digits.
    pub account: String,
    /// How long records are kept.
    pub retention: Duration,
    /// Tables that are there from the start.
    pub tables: Vec<TableSetup>,
    /// How shards are told.
    pub discovery: Discovery,
    /// How pages are cut.
    pub reading: Reading,
    /// How often may be asked.
    pub limits: Limits,
}

/// A table that is there from the start, its stream on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TableSetup {
    /// Its name.
    pub name: String,
    /// What its records carry.
    pub view: ViewType,
    /// Shards that its stream begins with.
    pub shards: usize,
}

impl Default for Setup {
    /// A table `orders` with both images and one shard, at the beginning of 2026, without limits.
    fn default() -> Self {
        Self {
            seed: 0,
            listen: SocketAddr::from(([127, 0, 0, 1], 0)),
            start: Timestamp::from_second(1_767_225_600).expect("2026 is a time"),
            region: "us-east-1".to_owned(),
            account: "000000000000".to_owned(),
            retention: RETENTION,
            tables: vec![TableSetup::new("orders")],
            discovery: Discovery::default(),
            reading: Reading::default(),
            limits: Limits::default(),
        }
    }
}

impl TableSetup {
    /// A table with both images and one shard.
    #[must_use]
    pub fn new(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            view: ViewType::default(),
            shards: 1,
        }
    }
}
