//! A loaded plugin, and the calls into it.
//!
//! # Invariants
//!
//! - Each call has a store and an instance of its own, which are gone before the next call of the same batch begins.
//! - What a call failed with is either about its changes, a `Fault`, or about the host, a [`HostError`]: never a guess.

mod annotate;
mod describe;
mod route;

use std::sync::Arc;

use wasmtime::{PoolConcurrencyLimitError, Store, Trap};

use crate::engine::EPOCH_TICK;
use crate::host::{Call, Host};
use crate::load::{Compiled, Exports};
use crate::search::{self, Used};
use crate::{Answers, Batch, Fault, FaultCode, Manifest, Runtime};
use weir_model::AttributedChange;

pub use self::describe::DescribeError;

/// A compiled plugin. Clones share it.
#[derive(Clone)]
pub struct Plugin {
    runtime: Runtime,
    compiled: Compiled,
    digest: [u8; 32],
}

/// Where a plugin is called: what it exports decides.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hook {
    /// On a route: it filters, enriches and emits.
    Route,
    /// At intake: it says who and why, tags and redacts, before anything is recorded.
    Intake,
}

/// One change by itself: what the plugin answered, and what that took.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Measured<Answer> {
    /// What it answered.
    pub answer: Result<Answer, Fault>,
    /// Everything that it logged, a line each.
    pub log: String,
    /// Fuel that the call used, making the instance ready included ([`Limits::fuel_max`](crate::Limits::fuel_max)).
    pub fuel: u64,
    /// Linear memory that the instance had at its end, in bytes: it never shrinks.
    pub memory_bytes: usize,
}

/// What a plugin answers, and whether that depends on more than the change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Probed<Answer> {
    /// One answer per change, in order.
    pub answers: Answers<Answer>,
    /// Place of the first change about which it answered otherwise in another batch.
    pub unsteady: Option<usize>,
}

/// Why a call says nothing about the changes. Calling again is safe.
#[derive(Debug, thiserror::Error)]
pub enum HostError {
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
    /// It was called where it has no export.
    #[error("{}", .0.instead())]
    OtherHook(Hook),
}

impl Hook {
    /// What is said of a plugin that belongs elsewhere.
    #[must_use]
    pub fn instead(self) -> &'static str {
        match self {
            Self::Route => "this plugin belongs on a route (it exports `routing`): name it as `plugin` of a route",
            Self::Intake => {
                "this plugin belongs at intake (it exports `annotating`): name it as `annotator` of a source"
            }
        }
    }
}

/// What a failed call tells: about its changes, or about the host.
pub(crate) enum CallError {
    Fault(Fault),
    Host(HostError),
}

/// A call that answers about each change of the store's batch.
type CallForAnswers<Answer> =
    fn(&Plugin, &mut Store<Host>, usize, &str, &Manifest) -> Result<Answers<Answer>, CallError>;

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

    /// Where it is called.
    #[must_use]
    pub fn hook(&self) -> Hook {
        match &self.compiled.exports {
            Exports::Router(_) => Hook::Route,
            Exports::Annotator(_) => Hook::Intake,
        }
    }

    /// Makes an instance and drops it, so many times, one after the other: for whoever measures what that takes.
    ///
    /// # Errors
    ///
    /// The host could not make one.
    pub async fn make_instances(&self, count: usize) -> Result<(), HostError> {
        let plugin = self.clone();
        let make = move || {
            for _ in 0..count {
                let mut store = plugin.store(Call::Describe);
                let made = match &plugin.compiled.exports {
                    Exports::Router(router) => router.instantiate(&mut store).map(drop),
                    Exports::Annotator(annotator) => annotator.instantiate(&mut store).map(drop),
                };
                // A plugin that cannot begin is told so when it describes itself; here it takes what it takes.
                if let Err(CallError::Host(error)) = made.map_err(|error| read_trap(&error, store.data())) {
                    return Err(error);
                }
            }
            Ok(())
        };
        self.on_thread(make).await
    }

    /// Asks about a batch: one answer per change, in order. A call that fails is cut in halves and made again, until the
    /// changes that fail alone are found.
    async fn answers<Answer: Send + 'static>(
        &self,
        batch: Batch,
        config: &str,
        manifest: &Arc<Manifest>,
        call: CallForAnswers<Answer>,
    ) -> Result<Answers<Answer>, HostError> {
        let is_of_one_change = self.compiled.is_of_one_change;
        self.ask(batch, is_of_one_change, config, manifest, call).await
    }

    /// The same, on request with a call for each change by itself.
    async fn ask<Answer: Send + 'static>(
        &self,
        batch: Batch,
        each_alone: bool,
        config: &str,
        manifest: &Arc<Manifest>,
        call: CallForAnswers<Answer>,
    ) -> Result<Answers<Answer>, HostError> {
        let (plugin, config, manifest) = (self.clone(), config.to_owned(), Arc::clone(manifest));
        let limits = self.runtime.limits;
        let ask = move || {
            let call = |part: &Batch| {
                let mut store = plugin.store_with(part, &manifest);
                let answers = call(&plugin, &mut store, part.len(), &config, &manifest);
                (answers, plugin.used(&store))
            };
            if !each_alone {
                return search::answers(&batch, limits, call);
            }
            let mut answers = Vec::with_capacity(batch.len());
            for one in batch.ones() {
                answers.extend(search::answers(&one, limits, call)?);
            }
            Ok(answers)
        };
        self.on_thread(ask).await
    }

    /// Asks about a batch whole, cut in two, backwards, and about each change by itself.
    async fn probe_with<Answer: PartialEq + Send + 'static>(
        &self,
        batch: &Batch,
        config: &str,
        manifest: &Arc<Manifest>,
        call: CallForAnswers<Answer>,
    ) -> Result<Probed<Answer>, HostError> {
        let (first, second) = batch.halves();
        let answers = self.answers(batch.clone(), config, manifest, call).await?;
        let mut split = self.answers(first, config, manifest, call).await?;
        split.extend(self.answers(second, config, manifest, call).await?);
        let mut backwards = self.answers(batch.reversed(), config, manifest, call).await?;
        backwards.reverse();
        let alone = self.ask(batch.clone(), true, config, manifest, call).await?;
        let unsteady = (0..answers.len()).find(|index| {
            let same = |others: &Answers<Answer>| is_same(&answers[*index], &others[*index]);
            !same(&split) || !same(&backwards) || !same(&alone)
        });
        Ok(Probed { answers, unsteady })
    }

    /// Asks about one change by itself, and tells what that took.
    async fn measure_with<Answer: Send + 'static>(
        &self,
        change: AttributedChange,
        config: &str,
        manifest: &Arc<Manifest>,
        call: CallForAnswers<Answer>,
    ) -> Result<Measured<Answer>, HostError> {
        let (plugin, config, manifest) = (self.clone(), config.to_owned(), Arc::clone(manifest));
        let measure = move || {
            let mut store = plugin.store_with(&Batch::new(vec![change]), &manifest);
            let answer = match call(&plugin, &mut store, 1, &config, &manifest) {
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
        self.on_thread(measure).await
    }

    async fn on_thread<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> Result<T, HostError> + Send + 'static,
    ) -> Result<T, HostError> {
        self.runtime
            .threads
            .run(work)
            .await
            .map_err(|_| HostError::ThreadEnded)?
    }

    fn store_with(&self, batch: &Batch, manifest: &Arc<Manifest>) -> Store<Host> {
        self.store(Call::Changes {
            batch: batch.clone(),
            manifest: Arc::clone(manifest),
        })
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

    fn used(&self, store: &Store<Host>) -> Used {
        Used {
            fuel: self.runtime.limits.fuel_max - store.get_fuel().expect("fuel is switched on"),
            read_bytes: store.data().read_bytes(),
        }
    }
}

/// What a call answered, if it did and `read` makes sense of it.
fn read_called<Called, Answer>(
    called: wasmtime::Result<Result<Called, String>>,
    host: &Host,
    read: impl FnOnce(Called) -> Result<Answers<Answer>, String>,
) -> Result<Answers<Answer>, CallError> {
    let fault = |code, message| {
        CallError::Fault(Fault {
            code,
            message,
            log: host.log_text(),
        })
    };
    match called {
        Ok(Ok(called)) => {
            let mut answers = read(called).map_err(|message| fault(FaultCode::Invalid, message))?;
            for (index, answer) in (0..).zip(&mut answers) {
                if let Err(rejected) = answer {
                    rejected.log = host.log_of(index);
                }
            }
            Ok(answers)
        }
        Ok(Err(message)) => Err(fault(FaultCode::Error, message)),
        Err(error) => Err(read_trap(&error, host)),
    }
}

/// Whether two answers are the same. The log of a failed call is that of its batch.
fn is_same<Answer: PartialEq>(one: &Result<Answer, Fault>, other: &Result<Answer, Fault>) -> bool {
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
        return CallError::Host(HostError::NoPlace);
    }
    match error.downcast_ref::<Trap>() {
        Some(Trap::Interrupt) => CallError::Host(HostError::TooSlow),
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
