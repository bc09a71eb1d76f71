//! A Weir that is configured: a folder and a database of its own, commands in it, and what its API says.

use std::path::PathBuf;

use tempfile::TempDir;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::process::Command;
use weir_dev::LocalDynamoDb;
use weir_evidence::LedgerSecret;
use weir_ledger::{Database, Ledger, RecordedEntry};
use weir_model::{LedgerName, Position};
use weir_simulator::Simulator;

use crate::process::{answer, free_address};
use crate::{Answer, Bus, TestDatabase, WeirProcess, binary, component, eventually};

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
        let mut command = self.prepare(&["run", "--migrate"]);
        command.envs(environment.iter().copied());
        WeirProcess::start(command, self.path("log"))
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
        WeirProcess::start(self.prepare_with(&["run"], &file), self.path(&format!("log-{name}")))
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
        let request = format!("GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n");
        asked(host, &request).await
    }

    /// What the API answers at a path to an operator: the status and the body.
    ///
    /// # Panics
    ///
    /// Nobody listens.
    pub async fn get_as_operator(&self, path: &str) -> (u16, String) {
        self.operator_asks("GET", path, "").await
    }

    /// What the API answers to what an operator posts there: the status and the body.
    ///
    /// # Panics
    ///
    /// Nobody listens.
    pub async fn post(&self, path: &str, body: &serde_json::Value) -> (u16, String) {
        self.operator_asks("POST", path, &body.to_string()).await
    }

    async fn operator_asks(&self, method: &str, path: &str, body: &str) -> (u16, String) {
        let host = self.api.trim_start_matches("http://");
        let token = std::fs::read_to_string(self.path("weir.token")).expect("the first start writes it");
        let request = format!(
            "{method} {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\nAuthorization: Bearer {}\r\n\
             Content-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
            token.trim(),
            body.len()
        );
        asked(host, &request).await.expect("somebody answers")
    }

    /// Waits until `/readyz` answers with this status, and returns what it says.
    pub async fn ready_is(&self, status: u16) -> String {
        eventually(&format!("readiness is {status}"), async || {
            let (is, body) = self.get("/readyz").await?;
            (is == status).then_some(body)
        })
        .await
    }

    /// A command, not yet run.
    ///
    /// # Panics
    ///
    /// The binary is not there.
    #[must_use]
    pub fn prepare(&self, arguments: &[&str]) -> Command {
        self.prepare_with(arguments, "weir.toml")
    }

    fn prepare_with(&self, arguments: &[&str], config: &str) -> Command {
        let mut command = binary(self.folder.path(), arguments);
        command.args(["--config", config]).env("WEIR_LOG", "info");
        command
    }
}

/// The status and the body that a host answers.
async fn asked(host: &str, request: &str) -> Option<(u16, String)> {
    let mut stream = TcpStream::connect(host).await.ok()?;
    stream.write_all(request.as_bytes()).await.ok()?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.ok()?;
    let (head, body) = answer.split_once("\r\n\r\n")?;
    let status = head.split(' ').nth(1)?.parse().ok()?;
    Some((status, body.to_owned()))
}
