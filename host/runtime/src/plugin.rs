//! A loaded plugin, and the calls into it.
//!
//! # Invariants
//!
//! - Each call has a store and an instance of its own, which are gone before the next call of the same batch begins.
//! - What a call failed with is either about its changes, a `Fault`, or about the host, a [`RouteError`]: never a guess.

use std::sync::Arc;

use wasmtime::{PoolConcurrencyLimitError, Store, Trap};

use crate::bindings::Router;
use crate::decisions::read_decisions;
use crate::engine::EPOCH_TICK;
use crate::host::{Call, Host};
use crate::load::Compiled;
use crate::manifest::listed;
use crate::search::{self, Used};
use crate::{Answers, Batch, BatchChange, ConfigProblem, Decision, Fault, FaultCode, Manifest, Runtime};

/// A compiled plugin. Clones share it.
#[derive(Clone)]
pub struct Plugin {
    runtime: Runtime,
    compiled: Compiled,
    digest: [u8; 32],
}

/// One change by itself: what the plugin decided, and what that took.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Measured {
    /// What it decided.
    pub answer: Result<Decision, Fault>,
    /// Everything that it logged, a line each.
    pub log: String,
    /// Fuel that the call used, making the instance ready included ([`Limits::fuel_max`](crate::Limits::fuel_max)).
    pub fuel: u64,
    /// Linear memory that the instance had at its end, in bytes: it never shrinks.
    pub memory_bytes: usize,
}

/// What a plugin decides, and whether that depends on more than the change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Probed {
    /// One answer per change, in order.
    pub answers: Answers,
    /// Place of the first change about which it decided otherwise in another batch.
    pub unsteady: Option<usize>,
}

/// Why a plugin did not describe itself.
#[derive(Debug, thiserror::Error)]
pub enum DescribeError {
    /// It does not accept its configuration.
    #[error("the plugin does not accept its configuration: {}", listed(.0))]
    Config(Vec<ConfigProblem>),
    /// What it says of itself cannot be shown, granted and recorded.
    #[error("the plugin describes itself badly: {0}")]
    Manifest(String),
    /// It said two things about the same configuration.
    #[error("the plugin described itself in two ways for one configuration")]
    Unstable,
    /// It failed.
    #[error("the plugin failed to describe itself: {}", .0.message)]
    Fault(Fault),
    /// The host was at fault.
    #[error(transparent)]
    Host(#[from] RouteError),
}

/// Why a call says nothing about the changes. Calling again is safe.
#[derive(Debug, thiserror::Error)]
pub enum RouteError {
    /// The wall clock ran out before the fuel did: the machine is overloaded.
    #[error("a plugin call took longer than its time limit without using up its fuel")]
    TooSlow,
    /// Finding the changes that it fails on took more than it may. Fewer changes at once take less.
    #[error(
        "the plugin fails on so much of the batch that finding the changes took more than it may; fewer at once take less"
    )]
    TooMuchPoison,
    /// More instances at once than the host has places for.
    #[error("there is no place for another plugin instance")]
    NoPlace,
    /// The thread that ran the call ended.
    #[error("the thread of a plugin call ended before it answered")]
    ThreadEnded,
}

/// What a failed call tells: about its changes, or about the host.
pub(crate) enum CallError {
    Fault(Fault),
    Host(RouteError),
}

impl Plugin {
    pub(crate) fn new(runtime: Runtime, compiled: Compiled, digest: [u8; 32]) -> Self {
        Self {
            runtime,
            compiled,
            digest,
        }
    }

    /// SHA-256 of the component.
    #[must_use]
    pub fn digest(&self) -> &[u8; 32] {
        &self.digest
    }

    /// Asks the plugin, twice, what it wants under `config` (JSON text).
    ///
    /// # Errors
    ///
    /// It does not accept the configuration, or cannot be trusted to describe itself.
    pub async fn describe(&self, config: &str) -> Result<Manifest, DescribeError> {
        let (plugin, config) = (self.clone(), config.to_owned());
        let both = move || -> Result<_, DescribeError> {
            Ok((plugin.call_describe(&config)?, plugin.call_describe(&config)?))
        };
        let (first, second) = self
            .runtime
            .threads
            .run(both)
            .await
            .map_err(|_| RouteError::ThreadEnded)??;
        if first != second {
            return Err(DescribeError::Unstable);
        }
        if let Some(problem) = first.problem() {
            return Err(DescribeError::Manifest(problem));
        }
        Ok(first)
    }

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
    pub async fn route(&self, batch: Batch, config: &str, manifest: &Arc<Manifest>) -> Result<Answers, RouteError> {
        let (plugin, config, manifest) = (self.clone(), config.to_owned(), Arc::clone(manifest));
        let limits = self.runtime.limits;
        let route = move || {
            let call = |part: &Batch| {
                let mut store = plugin.store_to_route(part, &manifest);
                let answers = plugin.call_route(&mut store, part.len(), &config, &manifest);
                (answers, plugin.used(&store))
            };
            if plugin.compiled.is_of_one_change {
                let ones = batch.ones().map(|one| search::answers(&one, limits, call));
                return ones.collect::<Result<Vec<_>, _>>().map(|answers| answers.concat());
            }
            search::answers(&batch, limits, call)
        };
        self.runtime
            .threads
            .run(route)
            .await
            .map_err(|_| RouteError::ThreadEnded)?
    }

    /// Routes a batch whole, cut in two, and backwards, and tells whether that made a difference: a plugin is a function of each
    /// change, or what it decides cannot be repeated.
    ///
    /// # Errors
    ///
    /// As for [`Plugin::route`].
    pub async fn probe(&self, batch: &Batch, config: &str, manifest: &Arc<Manifest>) -> Result<Probed, RouteError> {
        let (first, second) = batch.halves();
        let answers = self.route(batch.clone(), config, manifest).await?;
        let mut split = self.route(first, config, manifest).await?;
        split.extend(self.route(second, config, manifest).await?);
        let mut backwards = self.route(batch.reversed(), config, manifest).await?;
        backwards.reverse();
        let unsteady = (0..answers.len()).find(|index| {
            let same = |others: &Answers| is_same(&answers[*index], &others[*index]);
            !same(&split) || !same(&backwards)
        });
        Ok(Probed { answers, unsteady })
    }

    /// Routes one change by itself, and tells what that took: for whoever writes a plugin.
    ///
    /// # Errors
    ///
    /// The host could not run the call.
    pub async fn measure(
        &self,
        change: BatchChange,
        config: &str,
        manifest: &Arc<Manifest>,
    ) -> Result<Measured, RouteError> {
        let (plugin, config, manifest) = (self.clone(), config.to_owned(), Arc::clone(manifest));
        let measure = move || {
            let mut store = plugin.store_to_route(&Batch::new(vec![change]), &manifest);
            let answer = match plugin.call_route(&mut store, 1, &config, &manifest) {
                Ok(answers) => answers.into_iter().next().expect("one for each change"),
                Err(CallError::Fault(fault)) => Err(fault),
                Err(CallError::Host(error)) => return Err(error),
            };
            Ok(Measured {
                answer,
                log: store.data().log_text(),
                fuel: plugin.used(&store).fuel,
                memory_bytes: store.data().memory_bytes(),
            })
        };
        self.runtime
            .threads
            .run(measure)
            .await
            .map_err(|_| RouteError::ThreadEnded)?
    }

    fn store_to_route(&self, batch: &Batch, manifest: &Arc<Manifest>) -> Store<Host> {
        self.store(Call::Route {
            batch: batch.clone(),
            manifest: Arc::clone(manifest),
        })
    }

    fn used(&self, store: &Store<Host>) -> Used {
        Used {
            fuel: self.runtime.limits.fuel_max - store.get_fuel().expect("fuel is switched on"),
            read_bytes: store.data().read_bytes(),
        }
    }

    /// Makes an instance in the store and has it route the store's batch.
    fn call_route(
        &self,
        store: &mut Store<Host>,
        count: usize,
        config: &str,
        manifest: &Manifest,
    ) -> Result<Answers, CallError> {
        let changes = u32::try_from(count).expect("a batch is small");
        let called = self
            .compiled
            .router
            .instantiate(&mut *store)
            .and_then(|router: Router| {
                if let Err(message) = router.weir_plugin_lifecycle().call_init(&mut *store, config)? {
                    return Ok(Err(message));
                }
                router.weir_plugin_routing().call_route(&mut *store, changes)
            });
        let host = store.data();
        let fault = |code, message| {
            CallError::Fault(Fault {
                code,
                message,
                log: host.log_text(),
            })
        };
        match called {
            Ok(Ok(decisions)) => read_decisions(decisions, count, manifest)
                .map(|mut answers| {
                    for (index, answer) in (0..).zip(&mut answers) {
                        if let Err(rejected) = answer {
                            rejected.log = host.log_of(index);
                        }
                    }
                    answers
                })
                .map_err(|message| fault(FaultCode::Invalid, message)),
            Ok(Err(message)) => Err(fault(FaultCode::Error, message)),
            Err(error) => Err(read_trap(&error, host)),
        }
    }

    fn call_describe(&self, config: &str) -> Result<Manifest, DescribeError> {
        let mut store = self.store(Call::Describe);
        let called = self
            .compiled
            .router
            .instantiate(&mut store)
            .and_then(|router| router.weir_plugin_lifecycle().call_describe(&mut store, config));
        match called {
            Ok(Ok(manifest)) => Ok(manifest.into()),
            Ok(Err(problems)) => Err(DescribeError::Config(problems.into_iter().map(Into::into).collect())),
            Err(error) => Err(match read_trap(&error, store.data()) {
                CallError::Fault(fault) => DescribeError::Fault(fault),
                CallError::Host(error) => DescribeError::Host(error),
            }),
        }
    }

    fn store(&self, call: Call) -> Store<Host> {
        let limits = self.runtime.limits;
        let mut store = Store::new(&self.runtime.engine, Host::new(limits, call));
        store.limiter(|host| host);
        store.set_hostcall_fuel(limits.answer_bytes_max);
        store.set_fuel(limits.fuel_max).expect("fuel is switched on");
        let ticks = limits.call_timeout.as_millis().div_ceil(EPOCH_TICK.as_millis());
        store.set_epoch_deadline(u64::try_from(ticks).unwrap_or(u64::MAX));
        store
    }
}

/// Whether two answers are the same decision. The log of a failed call is that of its batch.
fn is_same(one: &Result<Decision, Fault>, other: &Result<Decision, Fault>) -> bool {
    match (one, other) {
        (Err(one), Err(other)) => (&one.code, &one.message) == (&other.code, &other.message),
        (one, other) => one == other,
    }
}

fn read_trap(error: &wasmtime::Error, host: &Host) -> CallError {
    let fault = |code, message: String| {
        CallError::Fault(Fault {
            code,
            message,
            log: host.log_text(),
        })
    };
    if error.downcast_ref::<PoolConcurrencyLimitError>().is_some() {
        return CallError::Host(RouteError::NoPlace);
    }
    match error.downcast_ref::<Trap>() {
        Some(Trap::Interrupt) => CallError::Host(RouteError::TooSlow),
        _ if host.reads_exhausted => fault(
            FaultCode::Fuel,
            "the plugin read more from its host than it may".to_owned(),
        ),
        Some(Trap::OutOfFuel) => fault(FaultCode::Fuel, "the plugin used up its fuel".to_owned()),
        _ if host.memory_refused => fault(
            FaultCode::Memory,
            "the plugin asked for more memory than it may have".to_owned(),
        ),
        Some(trap) => fault(FaultCode::Trap, trap.to_string()),
        None => fault(FaultCode::Trap, format!("{:#}", error.root_cause())),
    }
}
