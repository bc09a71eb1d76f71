//! Everything that a call may look at or change, under one lock.

use crate::calls::Calls;
use crate::fault::{FaultTable, Strike};
use crate::random::Random;
use crate::service::Service;
use crate::setup::Setup;
use crate::sinks::Sinks;
use crate::storm::Storm;

/// Everything that a call may look at or change.
#[derive(Debug)]
pub(crate) struct State {
    pub(crate) service: Service,
    pub(crate) sinks: Sinks,
    pub(crate) faults: FaultTable,
    pub(crate) calls: Calls,
    pub(crate) storm: Option<Storm>,
    /// Chance in faults. The world has a generator of its own, so that callers do not change its course.
    random: Random,
}

impl State {
    pub(crate) fn new(setup: &Setup) -> Self {
        Self {
            service: Service::new(setup),
            sinks: Sinks::new(setup.seed.rotate_left(32)),
            faults: FaultTable::default(),
            calls: Calls::default(),
            storm: None,
            random: Random::new(!setup.seed),
        }
    }

    /// Counts a call that arrives, and says what goes wrong with it.
    pub(crate) fn arrive(&mut self, operation: &str, shard: Option<&str>) -> Option<Strike> {
        self.calls.count(operation, shard, self.service.world.clock.now());
        self.faults.strike(operation, shard, &mut self.random)
    }
}
