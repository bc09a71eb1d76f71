//! From bytes to a plugin: everything that has to hold before a component runs.
//!
//! ```text
//! size ──▶ a component at all ──▶ structure ──▶ valid, and compiled ──▶ imports, by name ──▶ the world
//!                                    └─ or the machine code that was kept ─┘
//! ```
//!
//! # Invariants
//!
//! - What is refused is refused with what to do about it.
//! - Nothing is compiled that was not counted before, and one component at a time: others wait, and find what it made.

mod artefact;
mod compile;
mod imports;
mod structure;

use std::sync::Arc;

use sha2::{Digest as _, Sha256};
use wasmtime::Engine;
use wasmtime::component::{Component, Linker};

pub(crate) use self::artefact::Artefacts;
pub(crate) use self::compile::Compiler;
pub use self::compile::compile_for_parent;
use self::compile::fingerprint;
use self::imports::imports_for;
pub(crate) use self::imports::linker;
use crate::bindings::RouterPre;
use crate::bindings::intake::AnnotatorPre;
use crate::host::Host;
use crate::{Plugin, Runtime};

/// Largest component that is taken. A Python guest has 18 MB.
pub const COMPONENT_BYTES_MAX: usize = 64 << 20;

/// A component that fits.
#[derive(Clone)]
pub(crate) struct Compiled {
    pub(crate) exports: Exports,
    /// It gets one change at a time: it asks for the time or for random numbers, which are facts of the change.
    pub(crate) is_of_one_change: bool,
}

/// What it can be called for.
#[derive(Clone)]
pub(crate) enum Exports {
    Router(Arc<RouterPre<Host>>),
    Annotator(Arc<AnnotatorPre<Host>>),
}

/// Why a component is no plugin that can run here.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// Over the size limit.
    #[error("the component has {bytes} bytes, at most {COMPONENT_BYTES_MAX} are taken")]
    TooLarge {
        /// Its size.
        bytes: usize,
    },
    /// It is something else.
    #[error(
        "this is no WebAssembly: a component begins with the bytes 00 61 73 6d. `weir plugin build` makes one of a package"
    )]
    NotWasm,
    /// It is a core module, not a component.
    #[error("this is a core Wasm module, not a component: `weir plugin build` makes one of a package")]
    CoreModule,
    /// It is not valid WebAssembly, or uses features that are switched off.
    #[error("this is not a component that can run here")]
    Invalid(#[source] wasmtime::Error),
    /// It has more of something than is taken.
    #[error("the component has {count} {what}, at most {max} are taken")]
    TooComplex {
        /// How many it has, as far as they were counted.
        count: usize,
        /// Of what.
        what: &'static str,
        /// How many are taken.
        max: usize,
    },
    /// It asks for what no plugin gets.
    #[error(
        "the component imports {}, which no plugin gets: it has no network and nothing of this machine. Build it without \
         (`--stub-wasi` of componentize-py, `--disable http` of componentize-js)",
        .imports.join(", ")
    )]
    Forbidden {
        /// The imports, by their names.
        imports: Vec<String>,
    },
    /// It does not fit a world of the contract: an import that there is not, or an export that is missing.
    #[error("this component does not fit the world `weir:plugin/{world}@0.1.0`")]
    WrongWorld {
        /// Which one it comes nearest to.
        world: &'static str,
        /// What does not fit.
        #[source]
        source: wasmtime::Error,
    },
    /// It exports two hooks.
    #[error("this component exports both `routing` and `annotating`: a plugin has one hook, make two of it")]
    TwoHooks,
    /// Compiling it was given up.
    #[error(
        "compiling the component takes more time or memory than it may have, or the machine is short of both: make it \
         smaller, or try again when less is going on"
    )]
    TooDear,
    /// The program that compiles cannot be run.
    #[error("the program that compiles plugins cannot be run")]
    Child(#[source] std::io::Error),
    /// The program that compiles is another version of this one.
    #[error("the program that compiles plugins is another version: start Weir again")]
    OtherEngine,
    /// The compiling thread ended.
    #[error("the component could not be compiled")]
    Ended,
}

impl Runtime {
    /// Compiles a component and checks that it fits the world.
    ///
    /// # Errors
    ///
    /// It cannot run here; the message says why.
    pub async fn load(&self, component: Vec<u8>) -> Result<Plugin, LoadError> {
        if component.len() > COMPONENT_BYTES_MAX {
            return Err(LoadError::TooLarge { bytes: component.len() });
        }
        if !component.starts_with(b"\0asm") {
            return Err(LoadError::NotWasm);
        }
        // Layer 0 in the preamble is a core module (component model, Binary.md).
        if component.get(..8) == Some(b"\0asm\x01\0\0\0") {
            return Err(LoadError::CoreModule);
        }
        let runtime = self.clone();
        let find = move || {
            let digest = Sha256::digest(&component).into();
            let kept = runtime.link_kept(&digest)?;
            Ok((digest, kept, component))
        };
        let (digest, kept, component) = self.on_thread(find).await?;
        let compiled = match kept {
            Some(compiled) => compiled,
            None => self.compile(digest, component).await?,
        };
        Ok(Plugin::new(self.clone(), compiled, digest))
    }

    /// Compiles a component, and keeps what was made of it.
    async fn compile(&self, digest: [u8; 32], component: Vec<u8>) -> Result<Compiled, LoadError> {
        let _turn = self.compiling.acquire().await.expect("it is never closed");
        // Whoever had the turn before may have compiled the same.
        let runtime = self.clone();
        if let Some(compiled) = self.on_thread(move || runtime.link_kept(&digest)).await? {
            return Ok(compiled);
        }
        let code = compile::compile(self, component).await?;
        let runtime = self.clone();
        let keep = move || {
            if let Some(artefacts) = &runtime.artefacts {
                artefacts.keep(&digest, fingerprint(&runtime.engine), &code);
            }
            link(&runtime.engine, &runtime.linker, &code)
        };
        self.on_thread(keep).await
    }

    /// Links the machine code that was kept of a component, if there is any.
    fn link_kept(&self, digest: &[u8; 32]) -> Result<Option<Compiled>, LoadError> {
        let Some(artefacts) = &self.artefacts else {
            return Ok(None);
        };
        let kept = artefacts.find(digest, fingerprint(&self.engine));
        kept.map(|kept| link(&self.engine, &self.linker, kept.code()))
            .transpose()
    }

    async fn on_thread<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> Result<T, LoadError> + Send + 'static,
    ) -> Result<T, LoadError> {
        self.threads.run(work).await.map_err(|_| LoadError::Ended)?
    }
}

/// Gives machine code what it imports.
#[expect(
    unsafe_code,
    reason = "Wasmtime cannot check machine code; where it comes from is checked"
)]
fn link(engine: &Engine, linker: &Arc<Linker<Host>>, code: &[u8]) -> Result<Compiled, LoadError> {
    // SAFETY: the bytes are what `precompile_component` returned, in this process, or in a child that is this program, or
    // earlier, and then they carry a MAC under a key that only this installation has.
    let component = unsafe { Component::deserialize(engine, code) }.map_err(LoadError::Invalid)?;
    let world = world_of(engine, &component)?;
    let wrong_world = |source| LoadError::WrongWorld { world, source };
    let imports = imports_for(engine, linker, &component, world)?;
    let instance = imports.linker.instantiate_pre(&component).map_err(wrong_world)?;
    Ok(Compiled {
        exports: match world {
            ANNOTATOR => Exports::Annotator(Arc::new(AnnotatorPre::new(instance).map_err(wrong_world)?)),
            _ => Exports::Router(Arc::new(RouterPre::new(instance).map_err(wrong_world)?)),
        },
        is_of_one_change: imports.is_of_one_change,
    })
}

/// The world of plugins on routes.
const ROUTER: &str = "router";

/// The world of plugins at intake.
const ANNOTATOR: &str = "annotator";

/// The world that a component is for: what exports no hook at all is taken for a router that lacks it.
fn world_of(engine: &Engine, component: &Component) -> Result<&'static str, LoadError> {
    let component_type = component.component_type();
    let exports = |interface: &str| {
        let mut names = component_type.exports(engine).map(|(name, _)| name);
        names.any(|name| {
            name.strip_prefix("weir:plugin/")
                .is_some_and(|name| name.starts_with(interface))
        })
    };
    match (exports("routing@"), exports("annotating@")) {
        (true, true) => Err(LoadError::TwoHooks),
        (false, true) => Ok(ANNOTATOR),
        (_, false) => Ok(ROUTER),
    }
}
