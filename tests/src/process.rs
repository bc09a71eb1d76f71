//! The binary: its commands, and the process that it is while it runs.

use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};

use tokio::process::{Child, Command};

/// `weir run`, running.
pub struct WeirProcess {
    child: Child,
    log: PathBuf,
}

/// What a command answered.
#[derive(Debug)]
pub struct Answer {
    /// Its exit code.
    pub code: Option<i32>,
    /// Standard output.
    pub stdout: String,
    /// Standard error.
    pub stderr: String,
}

/// Runs a command that needs no configuration to its end, in a folder.
///
/// # Panics
///
/// The binary is not there.
pub async fn weir(folder: &Path, arguments: &[&str]) -> Answer {
    answer(binary(folder, arguments)).await
}

/// The command, in a folder, not yet run.
///
/// # Panics
///
/// The binary is not there.
#[must_use]
pub fn binary(folder: &Path, arguments: &[&str]) -> Command {
    let binary = profile_folder().join("weir");
    assert!(binary.exists(), "{} is not there: run `make test`", binary.display());
    let mut command = Command::new(binary);
    command.args(arguments).current_dir(folder);
    command
}

pub(crate) async fn answer(mut command: Command) -> Answer {
    let output = command.output().await.expect("the binary runs");
    Answer {
        code: output.status.code(),
        stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
        stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
    }
}

impl WeirProcess {
    /// Starts it. What it says goes to a file, behind what stands there.
    pub(crate) fn start(mut command: Command, log: PathBuf) -> Self {
        let log_file = std::fs::OpenOptions::new().create(true).append(true).open(&log);
        let log_file = log_file.expect("the log can be written");
        command.stdout(Stdio::null()).stderr(log_file).kill_on_drop(true);
        Self {
            child: command.spawn().expect("the binary runs"),
            log,
        }
    }

    /// Kills it as a power cut would.
    ///
    /// # Panics
    ///
    /// It cannot be killed.
    pub async fn kill(mut self) {
        self.child.kill().await.expect("our own child can be killed");
    }

    /// Waits for it to end by itself.
    ///
    /// # Panics
    ///
    /// It did not within two minutes.
    pub async fn ended(&mut self) -> ExitStatus {
        let wait = tokio::time::timeout(crate::PATIENCE, self.child.wait()).await;
        wait.unwrap_or_else(|_| panic!("it runs on: {}", self.log()))
            .expect("our own child can be waited for")
    }

    /// Asks it to stop, and waits until it did, in good order.
    ///
    /// # Panics
    ///
    /// It did not stop in good order.
    pub async fn stop(mut self) {
        ask(self.child.id().expect("it runs"), "TERM").await;
        let status = self.ended().await;
        assert!(status.success(), "{status}: {}", self.log());
    }

    /// Its number, for signals.
    ///
    /// # Panics
    ///
    /// It has ended.
    #[must_use]
    pub fn process_id(&self) -> u32 {
        self.child.id().expect("it runs")
    }

    /// Whether it still runs.
    ///
    /// # Panics
    ///
    /// That cannot be found out.
    pub fn is_running(&mut self) -> bool {
        self.child.try_wait().expect("our own child can be asked").is_none()
    }

    /// What it and those before it logged.
    #[must_use]
    pub fn log(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap_or_default()
    }
}

/// Sends a process a signal, by the shell: `kill` as a program of its own is not on every machine.
///
/// # Panics
///
/// The process is gone.
pub async fn ask(process: u32, signal: &str) {
    let kill = format!("kill -{signal} {process}");
    let status = Command::new("sh")
        .args(["-c", &kill])
        .status()
        .await
        .expect("a shell is everywhere");
    assert!(status.success(), "{kill}: {status}");
}

/// The folder that cargo builds into.
///
/// # Panics
///
/// This is no test that cargo built.
#[must_use]
pub fn target_folder() -> PathBuf {
    let profile = profile_folder();
    profile
        .parent()
        .map(Path::to_owned)
        .expect("tests are in <target>/<profile>/deps")
}

/// The folder of binaries that were built as this test was: an optimised test runs an optimised Weir.
fn profile_folder() -> PathBuf {
    let test = std::env::current_exe().expect("a test knows its path");
    let folder = test.ancestors().nth(2);
    folder
        .map(Path::to_owned)
        .expect("tests are in <target>/<profile>/deps")
}

/// A plugin of this repository.
///
/// # Panics
///
/// It was not built.
#[must_use]
pub fn component(name: &str) -> PathBuf {
    let path = target_folder().join("plugins").join(format!("{name}.wasm"));
    assert!(path.exists(), "{} is not there: run `make plugins`", path.display());
    path
}

/// An address on the loopback that nobody uses now.
pub(crate) fn free_address() -> std::net::SocketAddr {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port is free");
    listener.local_addr().expect("a listener has an address")
}
