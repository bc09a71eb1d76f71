//! Makes machine code of a component: in a process of its own, with limits of its own, where there is a program for that.
//!
//! ```text
//! parent: counts ── component ──▶ child: validates, compiles ── fingerprint of its engine, machine code ──▶ parent
//!                         (limits on processor time and memory; the first that the machine kills when it is short of memory)
//! ```
//!
//! # Invariants
//!
//! - However dear a component is to compile, the parent loses nothing but the time that it waits, and that has a limit.
//! - What a child answers is used only if it has the same engine.

use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::io::{self, Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::process::Command;
use wasmtime::Engine;

use super::{LoadError, structure};
use crate::engine;
use crate::{Limits, Runtime};

/// Processor time of one compilation. A build of Weir that is not optimised takes 29 s for a guest in Python, and 37 s for one in
/// JavaScript.
const CPU_S_MAX: u64 = 120;

/// Memory of one compilation. Guests in Python and JavaScript take 540 MiB.
const MEMORY_BYTES_MAX: u64 = 3 << 30;

/// How long is waited for one compilation, on a machine that does other things too.
const TIMEOUT: Duration = Duration::from_secs(150);

/// Exit code of a child that says what is wrong with the component.
const REFUSED: u8 = 3;

/// Longest message of a child.
const MESSAGE_BYTES_MAX: u64 = 16 << 10;

/// Where components are compiled.
#[derive(Clone)]
pub(crate) enum Compiler {
    /// On a thread for guest code.
    Here,
    /// By this program, called with these arguments: it calls [`compile_for_parent`].
    Child(PathBuf, Vec<String>),
}

/// What the machine code is for: the engine's settings, and the processor.
pub(super) fn fingerprint(engine: &Engine) -> u64 {
    // SipHash with the same keys everywhere: not against forgery, the MAC is.
    let mut hasher = DefaultHasher::new();
    engine.precompile_compatibility_hash().hash(&mut hasher);
    hasher.finish()
}

pub(super) async fn compile(runtime: &Runtime, component: Vec<u8>) -> Result<Vec<u8>, LoadError> {
    let count = move || structure::check(&component).map(|()| component);
    let component = runtime.threads.run(count).await.map_err(|_| LoadError::Ended)??;
    match &runtime.compiler {
        Compiler::Here => {
            let engine = runtime.engine.clone();
            let compile = move || engine.precompile_component(&component);
            let compiled = runtime.threads.run(compile).await.map_err(|_| LoadError::Ended)?;
            compiled.map_err(LoadError::Invalid)
        }
        Compiler::Child(program, arguments) => {
            let compiling = compile_in_child(program, arguments, &component, fingerprint(&runtime.engine));
            tokio::time::timeout(TIMEOUT, compiling)
                .await
                .unwrap_or(Err(LoadError::TooDear))
        }
    }
}

async fn compile_in_child(
    program: &Path,
    arguments: &[String],
    component: &[u8],
    fingerprint: u64,
) -> Result<Vec<u8>, LoadError> {
    let mut child = Command::new(program)
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .map_err(LoadError::Child)?;
    let (stdin, stdout, stderr) = (child.stdin.take(), child.stdout.take(), child.stderr.take());
    let (mut stdin, mut stdout) = (stdin.expect("it is piped"), stdout.expect("it is piped"));
    let mut stderr = stderr.expect("it is piped").take(MESSAGE_BYTES_MAX);
    let (mut answer, mut message) = (Vec::new(), String::new());
    // A child that ends early reads no more; what it said is what counts.
    let feed = async {
        let _ = stdin.write_all(component).await;
        drop(stdin);
    };
    let (_, read, said, ended) = tokio::join!(
        feed,
        stdout.read_to_end(&mut answer),
        stderr.read_to_string(&mut message),
        child.wait()
    );
    let ended = ended.map_err(LoadError::Child)?;
    read.and(said).map_err(LoadError::Child)?;
    if ended.success() {
        return match answer.split_at_checked(8) {
            Some((of, _)) if of == fingerprint.to_be_bytes() => Ok(answer.split_off(8)),
            _ => Err(LoadError::OtherEngine),
        };
    }
    if ended.code() == Some(REFUSED.into()) {
        return Err(LoadError::Invalid(wasmtime::Error::msg(message)));
    }
    tracing::warn!(status = %ended, message, "compiling a plugin ended early");
    Err(LoadError::TooDear)
}

/// What the child does: takes a component from standard input and gives its machine code to standard output. Its limits are
/// its own, so nothing else may run in this process.
///
/// # Errors
///
/// The pipes broke, or the engine cannot start. What is wrong with the component is the process's exit code and message.
pub fn compile_for_parent() -> io::Result<std::process::ExitCode> {
    limit(Resource::Cpu, CPU_S_MAX)?;
    limit(Resource::Data, MEMORY_BYTES_MAX)?;
    limit(Resource::Core, 0)?;
    // Where the machine runs out of memory in spite of that, this process goes first (proc_pid_oom_score_adj(5)).
    let _ = std::fs::write("/proc/self/oom_score_adj", "1000");
    let mut component = Vec::new();
    io::stdin().lock().read_to_end(&mut component)?;
    let engine = Engine::new(&engine::config(Limits::default(), 1)).map_err(io::Error::other)?;
    match engine.precompile_component(&component) {
        Ok(code) => {
            let mut stdout = io::stdout().lock();
            stdout.write_all(&fingerprint(&engine).to_be_bytes())?;
            stdout.write_all(&code)?;
            stdout.flush()?;
            Ok(std::process::ExitCode::SUCCESS)
        }
        Err(error) => {
            io::stderr().lock().write_all(format!("{error:#}").as_bytes())?;
            Ok(std::process::ExitCode::from(REFUSED))
        }
    }
}

/// Sets a limit, unless there is a lower one already.
fn limit(resource: Resource, most: u64) -> io::Result<()> {
    let most = getrlimit(resource).maximum.map_or(most, |maximum| maximum.min(most));
    let limit = Rlimit {
        current: Some(most),
        maximum: Some(most),
    };
    Ok(setrlimit(resource, limit)?)
}
