//! The engine: which WebAssembly is understood, how it is compiled, and what it cannot do.
//!
//! # Invariants
//!
//! - Every feature of WebAssembly that is on is named here. What a later Wasmtime switches on by itself stays off.
//! - Nothing that a guest computes depends on the processor: NaNs are canonical, relaxed SIMD is off.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Semaphore;
use wasmtime::component::Linker;
use wasmtime::{Config, Enabled, Engine, InstanceAllocationStrategy, PoolingAllocationConfig, WasmFeatures};

use crate::Limits;
use crate::host::Host;
use crate::load::{Artefacts, Compiler, linker};
use crate::threads::Threads;

/// How often the engine looks at the clock.
pub(crate) const EPOCH_TICK: Duration = Duration::from_millis(5);

/// Linear memories of one component.
const MEMORIES_MAX: u32 = 8;

/// Core instances of one component. A Python guest has 38.
const CORE_INSTANCES_MAX: u32 = 64;

/// Tables of one component.
const TABLES_MAX: u32 = 16;

/// Of each memory, in bytes, what is wiped and kept for the next instance: the stack and the first data of a small guest. What
/// lies above goes back to the kernel, which costs more than wiping it, again when the next instance touches it. Each thread of
/// the pool can keep as much for each of `MEMORIES_MAX`. Where Linux tells which pages were written (6.7 and later), only these
/// are wiped.
const MEMORY_KEPT_BYTES: usize = 1 << 20;

/// The same of each table.
const TABLE_KEPT_BYTES: usize = 64 << 10;

/// What guests may use: what compilers emit today without being asked to, several memories, tail calls.
const FEATURES: WasmFeatures = WasmFeatures::MUTABLE_GLOBAL
    .union(WasmFeatures::SATURATING_FLOAT_TO_INT)
    .union(WasmFeatures::SIGN_EXTENSION)
    .union(WasmFeatures::MULTI_VALUE)
    .union(WasmFeatures::BULK_MEMORY)
    .union(WasmFeatures::REFERENCE_TYPES)
    .union(WasmFeatures::CALL_INDIRECT_OVERLONG)
    .union(WasmFeatures::BULK_MEMORY_OPT)
    .union(WasmFeatures::FLOATS)
    .union(WasmFeatures::SIMD)
    .union(WasmFeatures::EXTENDED_CONST)
    .union(WasmFeatures::MULTI_MEMORY)
    .union(WasmFeatures::TAIL_CALL)
    .union(WasmFeatures::COMPONENT_MODEL);

/// Runs plugins. Clones share engine and threads.
#[derive(Clone)]
pub struct Runtime {
    pub(crate) engine: Engine,
    pub(crate) linker: Arc<Linker<Host>>,
    pub(crate) threads: Threads,
    pub(crate) limits: Limits,
    pub(crate) compiler: Compiler,
    pub(crate) artefacts: Option<Arc<Artefacts>>,
    pub(crate) compiling: Arc<Semaphore>,
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
            linker: Arc::new(linker(&engine).map_err(StartError::Engine)?),
            engine,
            threads: Threads::start(calls_max)?,
            limits,
            compiler: Compiler::Here,
            artefacts: None,
            compiling: Arc::new(Semaphore::new(1)),
        })
    }

    /// Compiles in a process of its own: `program`, called with `arguments`, has to call
    /// [`compile_for_parent`](crate::compile_for_parent).
    #[must_use]
    pub fn compiling_by(self, program: PathBuf, arguments: &[&str]) -> Self {
        let arguments = arguments.iter().map(|argument| (*argument).to_owned()).collect();
        Self {
            compiler: Compiler::Child(program, arguments),
            ..self
        }
    }

    /// Keeps what was compiled in this folder, and runs only what carries a MAC under this key.
    #[must_use]
    pub fn keeping_artefacts(self, folder: PathBuf, key: [u8; 32]) -> Self {
        Self {
            artefacts: Some(Arc::new(Artefacts::new(folder, key))),
            ..self
        }
    }
}

pub(crate) fn config(limits: Limits, calls_max: usize) -> Config {
    let instances_max = u32::try_from(calls_max).unwrap_or(u32::MAX);
    let mut pool = PoolingAllocationConfig::new();
    pool.total_component_instances(instances_max)
        .total_core_instances(instances_max * CORE_INSTANCES_MAX)
        .total_memories(instances_max * MEMORIES_MAX)
        .total_tables(instances_max * TABLES_MAX)
        .max_core_instances_per_component(CORE_INSTANCES_MAX)
        .max_memories_per_component(MEMORIES_MAX)
        .max_tables_per_component(TABLES_MAX)
        .max_memories_per_module(MEMORIES_MAX)
        .max_tables_per_module(TABLES_MAX)
        .max_memory_size(limits.memory_bytes_max)
        .linear_memory_keep_resident(MEMORY_KEPT_BYTES)
        .table_keep_resident(TABLE_KEPT_BYTES)
        .pagemap_scan(Enabled::Auto);
    let mut config = Config::new();
    config
        .allocation_strategy(InstanceAllocationStrategy::Pooling(pool))
        .consume_fuel(true)
        .epoch_interruption(true)
        .cranelift_nan_canonicalization(true)
        .wasm_features(WasmFeatures::all().difference(FEATURES), false)
        .wasm_features(FEATURES, true)
        .concurrency_support(false);
    config
}
