//! Everything that a call may look at or change, under one lock.

use crate::fault::{FaultTable, Strike};
use crate::random::Random;
use crate::service::Service;
use crate::setup::Setup;

/// Everything that a call may look at or change.
#[derive(Debug)]
pub(crate) struct State {
    pub(crate) service: Service,
    pub(crate) faults: FaultTable,
    /// Chance in faults. The world has a generator of its own, so that callers do not change its course.
    random: Random,
}

impl State {
    pub(crate) fn new(setup: &Setup) -> Self {
        Self {
            service: Service::new(setup),
            faults: FaultTable::default(),
            random: Random::new(!setup.seed),
        }
    }

    /// What goes wrong with this call.
    pub(crate) fn strike(&mut self, operation: &str, shard: Option<&str>) -> Option<Strike> {
        self.faults.strike(operation, shard, &mut self.random)
    }
}
