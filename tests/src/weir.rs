//! The binary, in a folder of its own.

use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};

use tempfile::TempDir;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::process::{Child, Command};
use weir_dev::LocalDynamoDb;
use weir_evidence::LedgerSecret;
use weir_ledger::{Database, Ledger, RecordedEntry};
use weir_model::{LedgerName, Position};
use weir_simulator::Simulator;

use crate::{Bus, TestDatabase, eventually};

/// The secret of every test ledger.
const SECRET: &str = "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff";

/// The seed of every test's signing key.
pub const SIGNING_KEY: &str = "11112222333344445555666677778888aaaabbbbccccddddeeeeffff00001111";

/// The origin of every test's checkpoints.
pub const ORIGIN: &str = "audit.example.com/main";

/// A Weir that is configured: its folder, its database. It may run or not.
pub struct Weir {
    folder: TempDir,
    /// Its database.
    pub database: TestDatabase,
    /// Address of its API.
    pub api: String,
}

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

impl Weir {
    /// Configures a Weir. `more` is TOML: sources, sinks, routes.
    ///
    /// # Panics
    ///
    /// The folder cannot be written.
    #[must_use]
    pub fn configure(more: &str) -> Self {
        let listen = free_address();
        let weir = Self {
            folder: tempfile::tempdir().expect("a temporary folder"),
            database: TestDatabase::create(),
            api: format!("http://{listen}"),
        };
        let base = format!(
            "[postgres]\nurl = \"{}\"\n[ledger]\nname = \"main\"\nkey_file = \"ledger.key\"\norigin = \"{ORIGIN}\"\n\
             [api]\nlisten = \"{listen}\"\n",
            weir.database.url()
        );
        weir.write("weir.toml", &format!("{base}{more}"));
        weir.write("ledger.key", SECRET);
        weir.write("signing.key", SIGNING_KEY);
        weir
    }

    /// Configures a Weir that sends every change of a local table through a plugin to a bus.
    ///
    /// # Panics
    ///
    /// The plugin was not built.
    #[must_use]
    pub fn with_plugin(dynamodb: &LocalDynamoDb, table: &str, plugin: &str, bus: &Bus) -> Self {
        Self::configure(&format!(
            "{}[source.shop]\ntable = \"{table}\"\nendpoint = \"{}\"\ntest_credentials = true\n\
             [route.all]\nsource = \"shop\"\nplugin = \"{}\"\nsinks = [\"bus\"]\n",
            bus.sink(),
            dynamodb.endpoint(),
            component(plugin).display(),
        ))
    }

    /// Configures a Weir that records a table of a simulator, as source `shop`.
    ///
    /// # Panics
    ///
    /// The folder cannot be written.
    #[must_use]
    pub fn of_simulator(simulator: &Simulator, table: &str) -> Self {
        Self::configure(&format!(
            "[source.shop]\ntable = \"{table}\"\nendpoint = \"{}\"\ntest_credentials = true\n",
            simulator.endpoint(),
        ))
    }

    /// A file in the folder.
    #[must_use]
    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Writes a file in the folder.
    ///
    /// # Panics
    ///
    /// It cannot be written.
    pub fn write(&self, name: &str, text: &str) {
        std::fs::write(self.path(name), text).expect("the folder can be written");
    }

    /// Runs a command to its end.
    ///
    /// # Panics
    ///
    /// The binary is not there.
    pub async fn command(&self, arguments: &[&str]) -> Answer {
        answer(self.prepare(arguments)).await
    }

    /// Starts `weir run --migrate`, with a fault if one is given (`after-append:3`).
    ///
    /// # Panics
    ///
    /// The binary is not there.
    #[must_use]
    pub fn run(&self, fault: Option<&str>) -> WeirProcess {
        let fault = fault.map(|fault| ("WEIR_FAULT", fault));
        self.run_with(fault.as_slice())
    }

    /// Starts `weir run --migrate` with these variables in its environment.
    ///
    /// # Panics
    ///
    /// The binary is not there.
    #[must_use]
    pub fn run_with(&self, environment: &[(&str, &str)]) -> WeirProcess {
        let log = self.path("log");
        let log_file = std::fs::OpenOptions::new()
            .create(true)
            .append(true)
            .open(&log)
            .expect("the log can be written");
        let mut command = self.prepare(&["run", "--migrate"]);
        command.stdout(Stdio::null()).stderr(log_file).kill_on_drop(true);
        command.envs(environment.iter().copied());
        WeirProcess {
            child: command.spawn().expect("the binary runs"),
            log,
        }
    }

    /// Starts another one on the same ledger, which answers on an address of its own.
    ///
    /// # Panics
    ///
    /// The binary is not there.
    #[must_use]
    pub fn run_beside(&self, name: &str) -> WeirProcess {
        let config = std::fs::read_to_string(self.path("weir.toml")).expect("we wrote it");
        let ours = self.api.trim_start_matches("http://");
        let file = format!("weir-{name}.toml");
        let config = config.replace(ours, &free_address().to_string());
        // As if it were on another machine: what it compiled is its own.
        self.write(&file, &config.replace("compiled/main", &format!("compiled/{name}")));
        let log = self.path(&format!("log-{name}"));
        let log_file = std::fs::File::create(&log).expect("the log can be written");
        let mut command = self.prepare_with(&["run"], &file);
        command.stdout(Stdio::null()).stderr(log_file).kill_on_drop(true);
        WeirProcess {
            child: command.spawn().expect("the binary runs"),
            log,
        }
    }

    /// The ledger, read beside the running Weir.
    ///
    /// # Panics
    ///
    /// It cannot be opened.
    pub async fn ledger(&self) -> Ledger {
        let database = Database::connect(self.database.url(), weir_ledger::Role::Writer)
            .await
            .expect("Postgres answers");
        database.migrate().await.expect("the schema can be made");
        let name = LedgerName::parse("main").expect("a name");
        let secret = LedgerSecret::parse(SECRET).expect("a secret");
        database.open_or_create(&name, secret).await.expect("the ledger opens")
    }

    /// Every entry, in order.
    ///
    /// # Panics
    ///
    /// The ledger cannot be read.
    pub async fn entries(&self) -> Vec<RecordedEntry> {
        let ledger = self.ledger().await;
        let mut entries = Vec::new();
        loop {
            let page = ledger
                .read_from(Position(entries.len() as u64), 1000)
                .await
                .expect("the ledger is whole");
            if page.is_empty() {
                return entries;
            }
            entries.extend(page);
        }
    }

    /// Every entry that a record of the source became, in order.
    ///
    /// # Panics
    ///
    /// The ledger cannot be read.
    pub async fn records(&self) -> Vec<RecordedEntry> {
        let mut entries = self.entries().await;
        entries.retain(|entry| entry.entry.sequence().is_some());
        entries
    }

    /// Waits until at least `count` records of the source are in the ledger.
    pub async fn recorded(&self, count: u64) {
        let _ = self.ledger().await;
        eventually(&format!("{count} records in the ledger"), async || {
            let found = self.database.psql("select count(*) from entry where body is not null");
            found.parse().ok().filter(|found: &u64| *found >= count)
        })
        .await;
    }

    /// Waits until the API answers.
    pub async fn answers(&self) {
        eventually("the API answers", async || {
            let answer = self.command(&["ledger", "show"]).await;
            (answer.code == Some(0)).then_some(())
        })
        .await;
    }

    /// What the API says of the head.
    ///
    /// # Panics
    ///
    /// It says nothing.
    pub async fn head(&self) -> serde_json::Value {
        let answer = self.command(&["ledger", "show", "--json"]).await;
        serde_json::from_str(&answer.stdout).unwrap_or_else(|_| panic!("{answer:?}"))
    }

    /// What the API answers at a path to whoever asks: the status and the body. Nothing, while nobody listens.
    pub async fn get(&self, path: &str) -> Option<(u16, String)> {
        let host = self.api.trim_start_matches("http://");
        let mut stream = TcpStream::connect(host).await.ok()?;
        let request = format!("GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).await.ok()?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.ok()?;
        let (head, body) = answer.split_once("\r\n\r\n")?;
        let status = head.split(' ').nth(1)?.parse().ok()?;
        Some((status, body.to_owned()))
    }

    /// Waits until `/readyz` answers with this status, and returns what it says.
    pub async fn ready_is(&self, status: u16) -> String {
        eventually(&format!("readiness is {status}"), async || {
            let (is, body) = self.get("/readyz").await?;
            (is == status).then_some(body)
        })
        .await
    }

    fn prepare(&self, arguments: &[&str]) -> Command {
        self.prepare_with(arguments, "weir.toml")
    }

    fn prepare_with(&self, arguments: &[&str], config: &str) -> Command {
        let mut command = binary(self.folder.path(), arguments);
        command.args(["--config", config]).env("WEIR_LOG", "info");
        command
    }
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

async fn answer(mut command: Command) -> Answer {
    let output = command.output().await.expect("the binary runs");
    Answer {
        code: output.status.code(),
        stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
        stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
    }
}

impl WeirProcess {
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
fn free_address() -> std::net::SocketAddr {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port is free");
    listener.local_addr().expect("a listener has an address")
}
