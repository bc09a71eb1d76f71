//! The handle on what is answered: faults, misleading listings, limits, sinks, and storms of all of these.

use std::collections::BTreeMap;

use crate::calls::CallCount;
use crate::command::CommandError;
use crate::fault::FaultRule;
use crate::service::{Discovery, Limits, Reading};
use crate::simulator::Simulator;
use crate::sinks::{EntryFailure, Received, SinkSettings};
use crate::state::State;
use crate::storm::Profile;

/// How calls are answered.
impl Simulator {
    /// Changes how shards are told.
    pub fn discovery(&self, change: impl FnOnce(&mut Discovery)) {
        change(&mut self.state().service.discovery);
    }

    /// Changes how pages are cut.
    pub fn reading(&self, change: impl FnOnce(&mut Reading)) {
        change(&mut self.state().service.reading);
    }

    /// Sets how often may be asked.
    pub fn set_limits(&self, limits: Limits) {
        self.state().service.limits = limits;
    }

    /// Adds a fault to those that are waiting for their call.
    pub fn queue_fault(&self, rule: FaultRule) {
        self.state().faults.add(rule);
    }

    /// Takes all faults away.
    pub fn clear_faults(&self) {
        self.state().faults.clear();
    }

    /// The faults that still wait for their call.
    #[must_use]
    pub fn waiting_faults(&self) -> Vec<FaultRule> {
        self.state().faults.waiting()
    }

    /// How often each operation was called so far, whatever was answered.
    #[must_use]
    pub fn calls(&self) -> BTreeMap<String, CallCount> {
        self.state().calls.told()
    }
}

/// Sinks.
impl Simulator {
    /// All entries that were answered as accepted, in order.
    #[must_use]
    pub fn received(&self) -> Vec<Received> {
        self.state().sinks.received.clone()
    }

    /// Lets entries of the next batch of `PutEvents`, `PublishBatch` or `SendMessageBatch` fail, or of the one after those
    /// that were asked for before.
    pub fn fail_entries(&self, operation: &str, failures: Vec<EntryFailure>) {
        self.state().sinks.fail_entries(operation, failures);
    }

    /// Changes how sinks behave.
    pub fn sinks(&self, change: impl FnOnce(&mut SinkSettings)) {
        change(&mut self.state().sinks.settings);
    }
}

/// Storms.
impl Simulator {
    /// Begins a storm on a table. It goes on with each [`tick`](Self::tick).
    ///
    /// # Errors
    ///
    /// There is no such table.
    pub fn storm(&self, table: &str, profile: Profile) -> Result<(), CommandError> {
        self.state().begin_storm(table, profile)
    }

    /// Lets the storm go on: time passes, and what chance decides happens.
    ///
    /// # Errors
    ///
    /// There is no storm.
    pub fn tick(&self) -> Result<(), CommandError> {
        self.moving(State::tick)
    }

    /// Ends the storm and all that misleads: faults, late children, a stream that is off. The world stays as it is.
    pub fn calm(&self) {
        self.state().calm();
    }
}
