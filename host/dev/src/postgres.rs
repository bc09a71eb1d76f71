//! A Postgres of one's own in a folder: made at the first start, gone on with at the next.
//!
//! ```text
//! <folder>/           belongs to the account the server runs as, closed to all others
//!   postgres.lock     held while a process uses the folder; the kernel lets go of it however that process ends
//!   password          of the role `weir`, for the TCP port; the socket needs none
//!   data/             the cluster; appears in one rename, complete, with the database `weir` in it
//!   data.new/         a cluster that is being made; thrown away by the next start if it never got complete
//!   socket/           the Unix socket, or under the temp folder where this path is too long for one
//!   server.log        what the server said since its last start
//! ```
//!
//! Three things keep a server from outliving its process, because no single one covers every death:
//! [`PrivatePostgres::stop`] shuts it down in order; a [`Leash`] shuts it down when our process is gone,
//! `kill -9` included; and if the leash was killed as well, the next start finds the server that was left behind and
//! stops it, which it may because it holds the lock.
//!
//! # Invariants
//!
//! - No process is signalled on the word of a pid file alone: a process id may have been given to another process
//!   since. A server left behind is known by its socket, whose other end names the process.
//! - The server never sees the terminal's Ctrl-C. It ends when we say so, after what needs it has ended.
//! - Nothing but the folder, and for a long path one folder under the temp folder, is written to. A folder with
//!   anything else in it is refused, not taken over.
//! - The server listens on no TCP port unless asked to, then on the loopback only, and for a password.

mod account;
mod home;
mod installation;
mod launch;
mod leash;
mod left_behind;

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::ExitStatus;
use std::time::Duration;

use tokio::process::Child;
use tokio_util::sync::CancellationToken;
use tracing::info;

pub use account::CommandError;
use home::Home;
use installation::Installation;
use leash::Leash;

/// The role that owns everything, and the database it owns.
const NAME: &str = "weir";

/// The port that names the socket file where no TCP port was asked for: Postgres' own default.
const SOCKET_PORT: u16 = 5432;

/// Up to here a shutdown may write its checkpoint; after it the server is killed and its next start recovers.
const STOP_TIMEOUT: Duration = Duration::from_secs(30);

/// What a private Postgres may differ in. The default is durable and listens on its socket only.
#[derive(Clone, Debug, Default)]
pub struct PostgresOptions {
    /// A port of the loopback to listen on as well, with the password of [`PrivatePostgres::tcp_url`].
    pub tcp_port: Option<u16>,

    /// Trades durability for speed (`fsync` and `full_page_writes` off): what was committed outlives a crash of the
    /// server, but after a power cut the data may be beyond repair. For tests.
    pub throw_away: bool,

    /// The folder of `postgres` and `initdb`. Looked for when `None`: in `WEIR_POSTGRES_BIN`, by `pg_config`, on the
    /// `PATH`, and where Debian, Red Hat, Homebrew and Postgres' own installer put it.
    pub binaries: Option<PathBuf>,
}

/// A running Postgres that nobody else uses.
///
/// To be stopped with [`stop`](Self::stop) or [`run`](Self::run), which wait for the end. Dropping it shuts the server
/// down too, but does not wait.
#[derive(Debug)]
pub struct PrivatePostgres {
    home: Home,
    server: Child,
    leash: Leash,
    socket_folder: PathBuf,
    port: u16,
    tcp_password: Option<String>,
}

impl PrivatePostgres {
    /// Starts the server in `folder`, which is made if it is not there, and waits until it takes connections.
    ///
    /// A server that an earlier process left behind in `folder` is stopped first. May be called again after any
    /// failure; a cluster is never half made.
    ///
    /// # Errors
    ///
    /// Nothing runs after an error. Each variant says what to do about it.
    pub async fn start(folder: &Path, options: PostgresOptions) -> Result<PrivatePostgres, StartError> {
        let home = Home::prepare(folder).await?;
        let installation = Installation::find(options.binaries.as_deref(), &home).await?;
        left_behind::stop(&home, &installation).await?;
        home.initialise(&installation, options.throw_away).await?;

        let port = options.tcp_port.unwrap_or(SOCKET_PORT);
        let tcp_password = match options.tcp_port {
            Some(_) => Some(fs::read_to_string(home.password_file()).map_err(|source| home.failed(source))?),
            None => None,
        };
        let socket_folder = home.socket_folder(port)?;
        let (server, leash) = launch::start(&home, &installation, &socket_folder, &options).await?;

        info!(folder = %home.folder.display(), postgres.version = installation.major, "private Postgres started");
        Ok(PrivatePostgres {
            home,
            server,
            leash,
            socket_folder,
            port,
            tcp_password,
        })
    }

    /// The URL of the database on the Unix socket, as sqlx, `psql` and every libpq client take it.
    pub fn url(&self) -> String {
        // The host of the URL is there for parsers that want one; `host` in the query overrides it. TLS has no
        // meaning on a Unix socket.
        let (port, folder) = (self.port, percent_encoded(&self.socket_folder));
        format!("postgres://{NAME}@localhost:{port}/{NAME}?host={folder}&sslmode=disable")
    }

    /// The URL of the database on the loopback with its password, if a TCP port was asked for.
    pub fn tcp_url(&self) -> Option<String> {
        let (port, password) = (self.port, self.tcp_password.as_ref()?);
        Some(format!(
            "postgres://{NAME}:{password}@127.0.0.1:{port}/{NAME}?sslmode=disable"
        ))
    }

    /// Watches over the server until `stop` is cancelled, then stops it.
    ///
    /// `stop` must be cancelled only after everything that uses the database has ended.
    ///
    /// # Errors
    ///
    /// [`RunError::Ended`] as soon as the server ended by itself; else what [`stop`](Self::stop) says.
    pub async fn run(mut self, stop: CancellationToken) -> Result<(), RunError> {
        match stop.run_until_cancelled(self.server.wait()).await {
            None => Ok(self.stop().await?),
            Some(status) => {
                self.leash.release().await;
                Err(RunError::Ended {
                    status: status.ok(),
                    log: self.home.log_tail(),
                })
            }
        }
    }

    /// Shuts the server down: ends its sessions, writes a checkpoint, and waits for the process to be gone.
    ///
    /// # Errors
    ///
    /// The server is gone or about to go after an error too, and what it committed is kept.
    pub async fn stop(mut self) -> Result<(), StopError> {
        if let Some(process) = self.server.id() {
            // "Fast" in the words of `pg_ctl`: does not wait for clients to leave.
            self.home.account.signal("INT", process).await?;
        }
        let ended = tokio::time::timeout(STOP_TIMEOUT, self.server.wait()).await;
        if ended.is_err() {
            self.server.kill().await.map_err(StopError::Wait)?;
        }
        self.leash.release().await;
        if !self.socket_folder.starts_with(&self.home.folder) {
            // Empty now, and made again by the next start. If it stays, that only looks untidy.
            let _ = fs::remove_dir(&self.socket_folder);
        }
        match ended {
            Ok(Ok(_)) => Ok(()),
            Ok(Err(source)) => Err(StopError::Wait(source)),
            Err(_) => Err(StopError::Killed),
        }
    }
}

/// The path as the value of a URL's query: all but unreserved characters and slashes as `%XX` (RFC 3986, 2.1).
fn percent_encoded(path: &Path) -> String {
    path.as_os_str()
        .as_encoded_bytes()
        .iter()
        .fold(String::new(), |mut text, byte| {
            match byte {
                b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' | b'/' => {
                    text.push(char::from(*byte))
                }
                _ => text.push_str(&format!("%{byte:02X}")),
            }
            text
        })
}

/// Why a private Postgres did not start. Nothing of it runs.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// No place that we know has a Postgres. The folder was made, and has nothing but the lock in it.
    #[error(
        "no Postgres is installed: install it, for example with `apt-get install postgresql` or \
         `brew install postgresql`, or set WEIR_POSTGRES_BIN to the folder of its programs `postgres` and `initdb`"
    )]
    NotInstalled,

    /// The folder that was named for the programs has none. No other place was tried, because one was named.
    #[error("{} has no `postgres` and `initdb`: correct or unset WEIR_POSTGRES_BIN", folder.display())]
    NoPrograms { folder: PathBuf },

    /// The data is of a major version that no installed Postgres reads. It was not touched.
    #[error(
        "the data in {} is of Postgres {data}, and Postgres {installed} is installed: install version {data}, or \
         choose another --data folder",
        folder.display()
    )]
    OtherVersion { folder: PathBuf, data: u32, installed: u32 },

    /// Another process that is alive uses the folder. Its server was not touched.
    #[error("another process uses {}: stop it, or choose another --data folder", folder.display())]
    InUse { folder: PathBuf },

    /// The folder has things in it that we did not put there. They were not touched.
    #[error("{} is not empty and not a folder of ours: choose another --data folder", folder.display())]
    NotOurs { folder: PathBuf },

    /// We are root, which Postgres refuses to run as, and there is no other account to run it as.
    #[error(
        "Postgres does not run as root, and there is neither an account `postgres` nor `nobody`: create one, or start \
         weir as another user"
    )]
    NoAccount,

    /// The server's account cannot get to the folder.
    #[error(
        "Postgres does not run as root but as {account}, which may not enter {}: choose another --data folder, for \
         example one under /var/lib, or allow it with `chmod a+x {}`",
        closed.display(), closed.display()
    )]
    Closed {
        account: String,
        closed: PathBuf,
        folder: PathBuf,
    },

    /// The folder's path is too long for a socket, and the short folder that takes its place is not ours.
    #[error("{} belongs to somebody else: remove it, or choose a shorter --data folder", folder.display())]
    SocketFolder { folder: PathBuf },

    /// Something else listens on the port.
    #[error("port {port} of the loopback is taken: stop what listens there, or choose another port")]
    PortTaken { port: u16 },

    /// The folder could not be read or written.
    #[error("could not prepare {}", folder.display())]
    Folder { folder: PathBuf, source: io::Error },

    /// A program of Postgres or of the system failed.
    #[error(transparent)]
    Command(#[from] CommandError),

    /// The server ended before it took connections.
    #[error("Postgres did not start; the end of its log {}:\n{log}", log_file.display())]
    Ended { log_file: PathBuf, log: String },

    /// The server ran, but took no connections in time. It was killed; its data is safe.
    #[error("Postgres took no connections within {} s; the end of its log {}:\n{log}", waited.as_secs(), log_file.display())]
    NotReady {
        waited: Duration,
        log_file: PathBuf,
        log: String,
    },
}

/// How a shutdown went wrong. The server ends all the same, and what it committed is kept.
#[derive(Debug, thiserror::Error)]
pub enum StopError {
    /// The server was killed. Its next start takes longer, because it recovers.
    #[error("Postgres did not shut down within {} s and was killed; its next start recovers", STOP_TIMEOUT.as_secs())]
    Killed,

    /// The system did not say how the server ended.
    #[error("could not wait for Postgres to end")]
    Wait(#[source] io::Error),

    /// The server could not be told to stop. It ends now, because its leash was dropped.
    #[error("could not tell Postgres to stop")]
    Signal(#[from] CommandError),
}

/// Why [`PrivatePostgres::run`] came back.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// The server ended though nobody had asked it to. What it committed is kept; a new start recovers it.
    #[error("Postgres ended by itself ({}); the end of its log:\n{log}", status.map_or("no status".to_owned(), |status| status.to_string()))]
    Ended { status: Option<ExitStatus>, log: String },

    /// It was asked to stop, and that went wrong.
    #[error(transparent)]
    Stop(#[from] StopError),
}
