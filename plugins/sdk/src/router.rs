//! The trait that a plugin implements, and the way from it to what the component exports.
//!
//! ```text
//! host: describe(config) ──▶ configure ──▶ manifest
//! host: init(config) ──────▶ configure ──▶ kept in the instance
//! host: route(count) ──────────────────────▶ route
//! ```
//!
//! # Invariants
//!
//! - One function reads the configuration, so an instance is never made from one that `describe` would refuse.
//! - After `init` the instance does not change: `route` sees the plugin by shared reference.

use std::cell::OnceCell;
use std::marker::PhantomData;

use crate::bindings::exports::weir::plugin::{lifecycle, routing};
use crate::error::{refused, with_sources};
use crate::{Batch, ConfigProblem, Decisions, Error, Manifest};

/// A plugin on a route: for every change it keeps, replaces, drops or rejects, and it may emit events of its own.
///
/// It answers from the change, its configuration and lookup tables alone: never from other changes in the batch or from
/// earlier calls. The host cuts batches as it likes, repeats them, and refuses a plugin whose answers then differ.
pub trait Router: Sized + 'static {
    /// Reads the configuration, UTF-8 JSON text; `{}` if the operator gave none.
    ///
    /// Runs at upload and whenever an instance is made. It has nothing but the text.
    ///
    /// # Errors
    ///
    /// Everything that is wrong with the configuration, each problem with its place.
    fn configure(config: &str) -> Result<Self, Vec<ConfigProblem>>;

    /// What the plugin asks for under this configuration. Reading anything else traps.
    fn manifest(&self) -> Manifest;

    /// Decides the changes of one batch.
    ///
    /// # Errors
    ///
    /// Fails the whole batch. The host halves it until the changes that cannot be decided stand alone, and sets those
    /// aside. A change that is known to be wrong is better [rejected](Decisions::reject).
    fn route(&self, batch: &Batch, decisions: &mut Decisions) -> Result<(), Error>;
}

/// Makes a type that implements [`Router`] the plugin of this package. Once in a package.
#[macro_export]
macro_rules! export_router {
    ($router:ty) => {
        // For Wasm only: the names of a component's exports are none to a native linker.
        #[cfg(target_family = "wasm")]
        const _: () = {
            type Exported = $crate::Exported<$router>;
            $crate::bindings::export! { Exported with_types_in $crate::bindings }
        };

        // Elsewhere the type is checked all the same, and counts as used.
        #[cfg(not(target_family = "wasm"))]
        const _: $crate::Exported<$router> = $crate::Exported::new();
    };
}

/// The exports of a plugin's component. Only [`export_router!`](crate::export_router) names it.
#[doc(hidden)]
pub struct Exported<Plugin>(PhantomData<Plugin>);

impl<Plugin: Router> Exported<Plugin> {
    #[expect(clippy::new_without_default, reason = "called by a macro, in a constant")]
    #[must_use]
    pub const fn new() -> Self {
        Self(PhantomData)
    }
}

/// [`Router`] without its type: a static cannot be generic, and the exports of a component have no `self`.
trait Instance {
    fn route(&self, batch: &Batch, decisions: &mut Decisions) -> Result<(), Error>;
}

impl<Plugin: Router> Instance for Plugin {
    fn route(&self, batch: &Batch, decisions: &mut Decisions) -> Result<(), Error> {
        Router::route(self, batch, decisions)
    }
}

thread_local! {
    static INSTANCE: OnceCell<Box<dyn Instance>> = const { OnceCell::new() };
}

impl<Plugin: Router> lifecycle::Guest for Exported<Plugin> {
    fn describe(config: String) -> Result<Manifest, Vec<ConfigProblem>> {
        Ok(Plugin::configure(&config)?.manifest())
    }

    fn init(config: String) -> Result<(), String> {
        let plugin = Plugin::configure(&config).map_err(refused)?;
        INSTANCE
            .with(|instance| instance.set(Box::new(plugin)))
            .map_err(|_| "init was called twice".to_owned())
    }
}

impl<Plugin: Router> routing::Guest for Exported<Plugin> {
    fn route(count: u32) -> Result<routing::Decisions, String> {
        INSTANCE.with(|instance| {
            let instance = instance.get().ok_or("route was called before init")?;
            let mut decisions = Decisions::new(count);
            instance
                .route(&Batch::new(count), &mut decisions)
                .map_err(|error| with_sources(error.as_ref()))?;
            Ok(decisions.into_contract())
        })
    }
}
