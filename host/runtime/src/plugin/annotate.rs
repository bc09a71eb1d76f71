//! The hook at intake.

use std::sync::Arc;

use wasmtime::Store;

use super::{CallError, Hook, HostError, Measured, Plugin, Probed, read_called};
use crate::annotations::read_annotations;
use crate::host::Host;
use crate::load::Exports;
use crate::{Annotation, Answers, Batch, Manifest};
use weir_model::AttributedChange;

impl Plugin {
    /// Annotates a batch: one answer per change, in order. As for [`Plugin::route`], a call that fails is cut in halves until
    /// the changes that fail alone are found.
    ///
    /// # Errors
    ///
    /// As for [`Plugin::route`]: nothing is known about any change.
    pub async fn annotate(
        &self,
        batch: Batch,
        config: &str,
        manifest: &Arc<Manifest>,
    ) -> Result<Answers<Annotation>, HostError> {
        self.answers(batch, config, manifest, Self::call_annotate).await
    }

    /// Annotates a batch whole, cut in two, backwards, and each change by itself, and tells whether that made a difference.
    ///
    /// # Errors
    ///
    /// As for [`Plugin::annotate`].
    pub async fn probe_annotations(
        &self,
        batch: &Batch,
        config: &str,
        manifest: &Arc<Manifest>,
    ) -> Result<Probed<Annotation>, HostError> {
        self.probe_with(batch, config, manifest, Self::call_annotate).await
    }

    /// Annotates one change by itself, and tells what that took: for whoever writes a plugin.
    ///
    /// # Errors
    ///
    /// The host could not run the call.
    pub async fn measure_annotation(
        &self,
        change: AttributedChange,
        config: &str,
        manifest: &Arc<Manifest>,
    ) -> Result<Measured<Annotation>, HostError> {
        self.measure_with(change, config, manifest, Self::call_annotate).await
    }

    /// Makes an instance in the store and has it annotate the store's batch.
    fn call_annotate(
        &self,
        store: &mut Store<Host>,
        count: usize,
        config: &str,
        _manifest: &Manifest,
    ) -> Result<Answers<Annotation>, CallError> {
        let Exports::Annotator(annotator) = &self.compiled.exports else {
            return Err(CallError::Host(HostError::OtherHook(Hook::Route)));
        };
        let changes = u32::try_from(count).expect("a batch is small");
        let called = annotator.instantiate(&mut *store).and_then(|annotator| {
            if let Err(message) = annotator.weir_plugin_lifecycle().call_init(&mut *store, config)? {
                return Ok(Err(message));
            }
            annotator.weir_plugin_annotating().call_annotate(&mut *store, changes)
        });
        read_called(called, store.data(), |annotations| read_annotations(annotations, count))
    }
}
