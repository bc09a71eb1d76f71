//! The trait of a plugin at intake, and the way from it to what the component exports. As in `router`, one function reads the
//! configuration, and after `init` the instance does not change.

use std::cell::OnceCell;
use std::marker::PhantomData;

use crate::error::{refused, with_sources};
use crate::intake_bindings::exports::weir::plugin::{annotating, lifecycle};
use crate::intake_bindings::weir::plugin::types;
use crate::{Annotations, Batch, ConfigProblem, Error, Field, Manifest, Part};

/// A plugin at intake: before a change is recorded it says who made it and why, tags it, and takes out what is not to be
/// kept.
///
/// It answers from the change, its configuration and lookup tables alone, as a [`Router`](crate::Router) does.
pub trait Annotator: Sized + 'static {
    /// Reads the configuration, UTF-8 JSON text; `{}` if the operator gave none.
    ///
    /// # Errors
    ///
    /// Everything that is wrong with the configuration, each problem with its place.
    fn configure(config: &str) -> Result<Self, Vec<ConfigProblem>>;

    /// What the plugin asks for under this configuration. Reading anything else traps; what is redacted need not be read.
    fn manifest(&self) -> Manifest;

    /// Annotates the changes of one batch. What is not annotated is recorded as it is.
    ///
    /// # Errors
    ///
    /// Fails the whole batch. The host halves it until the changes that cannot be annotated stand alone. Those are withheld:
    /// recorded for nobody to see until they were annotated again.
    fn annotate(&self, batch: &Batch, annotations: &mut Annotations) -> Result<(), Error>;
}

/// Makes a type that implements [`Annotator`] the plugin of this package. Once in a package.
#[macro_export]
macro_rules! export_annotator {
    ($annotator:ty) => {
        // For Wasm only: the names of a component's exports are none to a native linker.
        #[cfg(target_family = "wasm")]
        const _: () = {
            type Exported = $crate::ExportedAnnotator<$annotator>;
            $crate::intake_bindings::export! { Exported with_types_in $crate::intake_bindings }
        };

        // Elsewhere the type is checked all the same, and counts as used.
        #[cfg(not(target_family = "wasm"))]
        const _: $crate::ExportedAnnotator<$annotator> = $crate::ExportedAnnotator::new();
    };
}

/// The exports of an annotator's component. Only [`export_annotator!`](crate::export_annotator) names it.
#[doc(hidden)]
pub struct ExportedAnnotator<Plugin>(PhantomData<Plugin>);

impl<Plugin: Annotator> ExportedAnnotator<Plugin> {
    #[expect(clippy::new_without_default, reason = "called by a macro, in a constant")]
    #[must_use]
    pub const fn new() -> Self {
        Self(PhantomData)
    }
}

/// [`Annotator`] without its type: a static cannot be generic.
trait Instance {
    fn annotate(&self, batch: &Batch, annotations: &mut Annotations) -> Result<(), Error>;
}

impl<Plugin: Annotator> Instance for Plugin {
    fn annotate(&self, batch: &Batch, annotations: &mut Annotations) -> Result<(), Error> {
        Annotator::annotate(self, batch, annotations)
    }
}

thread_local! {
    static INSTANCE: OnceCell<Box<dyn Instance>> = const { OnceCell::new() };
}

impl<Plugin: Annotator> lifecycle::Guest for ExportedAnnotator<Plugin> {
    fn describe(config: String) -> Result<types::Manifest, Vec<types::ConfigProblem>> {
        match Plugin::configure(&config) {
            Ok(plugin) => Ok(plugin.manifest().into()),
            Err(problems) => Err(problems.into_iter().map(Into::into).collect()),
        }
    }

    fn init(config: String) -> Result<(), String> {
        let plugin = Plugin::configure(&config).map_err(refused)?;
        INSTANCE
            .with(|instance| instance.set(Box::new(plugin)))
            .map_err(|_| "init was called twice".to_owned())
    }
}

impl<Plugin: Annotator> annotating::Guest for ExportedAnnotator<Plugin> {
    fn annotate(count: u32) -> Result<Vec<annotating::Annotation>, String> {
        INSTANCE.with(|instance| {
            let instance = instance.get().ok_or("annotate was called before init")?;
            let mut annotations = Annotations::new(count);
            instance
                .annotate(&Batch::new(count), &mut annotations)
                .map_err(|error| with_sources(error.as_ref()))?;
            Ok(annotations.into_contract())
        })
    }
}

impl From<Manifest> for types::Manifest {
    fn from(manifest: Manifest) -> Self {
        Self {
            name: manifest.name,
            version: manifest.version,
            summary: manifest.summary,
            reads: manifest.reads.into_iter().map(Into::into).collect(),
            reads_actor: manifest.reads_actor,
            sinks: manifest.sinks,
            lookups: manifest.lookups,
        }
    }
}

impl From<Field> for types::Field {
    fn from(field: Field) -> Self {
        Self {
            part: match field.part {
                Part::Keys => types::Part::Keys,
                Part::Old => types::Part::Old,
                Part::New => types::Part::New,
            },
            path: field.path,
        }
    }
}

impl From<ConfigProblem> for types::ConfigProblem {
    fn from(problem: ConfigProblem) -> Self {
        Self {
            path: problem.path,
            message: problem.message,
        }
    }
}
