//! The engine: how guest code is compiled, and what it cannot do.

use std::sync::Arc;
use std::time::Duration;

use sha2::{Digest as _, Sha256};
use wasmtime::component::{Component, HasSelf, Linker};
use wasmtime::{Config, Engine, InstanceAllocationStrategy, PoolingAllocationConfig};

use crate::bindings::{Router, RouterPre};
use crate::host::Host;
use crate::threads::Threads;
use crate::{Limits, Plugin};

/// How often the engine looks at the clock.
pub(crate) const EPOCH_TICK: Duration = Duration::from_millis(5);

/// Largest component that is taken. A Python guest has 18 MB.
pub const COMPONENT_BYTES_MAX: usize = 64 << 20;

/// Linear memories of one component.
const MEMORIES_PER_COMPONENT_MAX: u32 = 8;

/// Runs plugins. Clones share engine and threads.
#[derive(Clone)]
pub struct Runtime {
    pub(crate) engine: Engine,
    pub(crate) threads: Threads,
    pub(crate) limits: Limits,
}

/// Why the runtime could not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// This machine cannot run the engine: not enough address space, or an unknown processor.
    #[error("the Wasm engine cannot start here")]
    Engine(#[source] wasmtime::Error),
    /// No threads.
    #[error("no thread for guest code")]
    Thread(#[from] std::io::Error),
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
    /// It does not fit the world `weir:plugin/router`: an import that there is not, or an export that is missing.
    #[error("this component does not fit the world `weir:plugin/router@0.1.0`")]
    WrongWorld(#[source] wasmtime::Error),
    /// The compiling thread ended.
    #[error("the component could not be compiled")]
    Ended,
}

impl Runtime {
    /// Starts the engine, its threads and its clock.
    ///
    /// # Errors
    ///
    /// The machine cannot run it.
    pub fn start(limits: Limits) -> Result<Self, StartError> {
        let calls_max = std::thread::available_parallelism().map_or(2, usize::from);
        let engine = Engine::new(&config(limits, calls_max)).map_err(StartError::Engine)?;
        let weak = engine.weak();
        std::thread::Builder::new()
            .name("guest-clock".to_owned())
            .spawn(move || {
                while let Some(engine) = weak.upgrade() {
                    engine.increment_epoch();
                    drop(engine);
                    std::thread::sleep(EPOCH_TICK);
                }
            })?;
        Ok(Self {
            engine,
            threads: Threads::start(calls_max)?,
            limits,
        })
    }

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
        let digest = Sha256::digest(&component).into();
        let engine = self.engine.clone();
        let router = self
            .threads
            .run(move || compile(&engine, &component))
            .await
            .map_err(|_| LoadError::Ended)??;
        Ok(Plugin::new(self.clone(), Arc::new(router), digest))
    }
}

fn compile(engine: &Engine, component: &[u8]) -> Result<RouterPre<Host>, LoadError> {
    let component = Component::from_binary(engine, component).map_err(LoadError::Invalid)?;
    let mut linker = Linker::<Host>::new(engine);
    Router::add_to_linker::<_, HasSelf<_>>(&mut linker, |host| host).map_err(LoadError::WrongWorld)?;
    let instance = linker.instantiate_pre(&component).map_err(LoadError::WrongWorld)?;
    RouterPre::new(instance).map_err(LoadError::WrongWorld)
}

fn config(limits: Limits, calls_max: usize) -> Config {
    let instances_max = u32::try_from(calls_max).unwrap_or(u32::MAX);
    let mut pool = PoolingAllocationConfig::new();
    pool.total_component_instances(instances_max)
        .total_core_instances(instances_max * 16)
        .total_memories(instances_max * MEMORIES_PER_COMPONENT_MAX)
        .total_tables(instances_max * 16)
        .max_core_instances_per_component(16)
        .max_memories_per_component(MEMORIES_PER_COMPONENT_MAX)
        .max_tables_per_component(16)
        .max_memory_size(limits.memory_bytes_max);
    let mut config = Config::new();
    config
        .allocation_strategy(InstanceAllocationStrategy::Pooling(pool))
        .consume_fuel(true)
        .epoch_interruption(true)
        .cranelift_nan_canonicalization(true)
        .wasm_relaxed_simd(false)
        .concurrency_support(false);
    config
}
