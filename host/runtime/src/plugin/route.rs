//! The hook on a route.

use std::sync::Arc;

use wasmtime::Store;

use super::{CallError, Hook, HostError, Measured, Plugin, Probed, read_called};
use crate::decisions::read_decisions;
use crate::host::Host;
use crate::load::Exports;
use crate::{Answers, Batch, Decision, Manifest};
use weir_model::AttributedChange;

impl Plugin {
    /// Routes a batch: one answer per change, in order. `manifest` has been given the tables that it asks for
    /// ([`Manifest::with_tables`]).
    ///
    /// A call that fails is cut in halves and made again, until the changes that fail alone are found. The answers do
    /// not depend on how that goes.
    ///
    /// # Errors
    ///
    /// The host could not run the calls, or finding the changes that fail took more than it may. Nothing is known about any
    /// change; routing the batch again is safe, and a batch of one change always has an answer.
    pub async fn route(
        &self,
        batch: Batch,
        config: &str,
        manifest: &Arc<Manifest>,
    ) -> Result<Answers<Decision>, HostError> {
        self.answers(batch, config, manifest, Self::call_route).await
    }

    /// Routes a batch whole, cut in two, backwards, and each change by itself, and tells whether that made a difference: a plugin is
    /// a function of each change, or what it decides cannot be repeated.
    ///
    /// # Errors
    ///
    /// As for [`Plugin::route`].
    pub async fn probe(
        &self,
        batch: &Batch,
        config: &str,
        manifest: &Arc<Manifest>,
    ) -> Result<Probed<Decision>, HostError> {
        self.probe_with(batch, config, manifest, Self::call_route).await
    }

    /// Routes one change by itself, and tells what that took: for whoever writes a plugin.
    ///
    /// # Errors
    ///
    /// The host could not run the call.
    pub async fn measure(
        &self,
        change: AttributedChange,
        config: &str,
        manifest: &Arc<Manifest>,
    ) -> Result<Measured<Decision>, HostError> {
        self.measure_with(change, config, manifest, Self::call_route).await
    }

    /// Makes an instance in the store and has it route the store's batch.
    fn call_route(
        &self,
        store: &mut Store<Host>,
        count: usize,
        config: &str,
        manifest: &Manifest,
    ) -> Result<Answers<Decision>, CallError> {
        let Exports::Router(router) = &self.compiled.exports else {
            return Err(CallError::Host(HostError::OtherHook(Hook::Intake)));
        };
        let changes = u32::try_from(count).expect("a batch is small");
        let called = router.instantiate(&mut *store).and_then(|router| {
            if let Err(message) = router.weir_plugin_lifecycle().call_init(&mut *store, config)? {
                return Ok(Err(message));
            }
            router.weir_plugin_routing().call_route(&mut *store, changes)
        });
        read_called(called, store.data(), |decisions| {
            read_decisions(decisions, count, manifest)
        })
    }
}
