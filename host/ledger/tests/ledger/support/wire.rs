//! The line between a process and Postgres, and what can happen to it.
//!
//! ```text
//! process ──▶ socket of the wire ──▶ Postgres      a request: a message that Postgres acts on
//!         ◀──                    ◀──               (a query, a Sync, data or the end of a COPY)
//! ```
//!
//! Once armed, the wire strikes one request, once, with one [`Fault`]. Then it is calm again, also for new lines.

use std::io;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use sqlx::ConnectOptions as _;
use sqlx::postgres::{PgConnectOptions, PgSslMode};
use tempfile::TempDir;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::{TcpStream, UnixListener, UnixStream};
use tokio::sync::{Notify, watch};
use tokio::task::AbortHandle;

/// How a request fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Fault {
    /// The line is cut before Postgres has it.
    Before,
    /// The line is cut when Postgres has it, and nobody knows what came of it.
    During,
    /// Postgres did it, and the line is cut before the process hears of it.
    After,
    /// The process freezes before it sends it, until the wire is thawed.
    Frozen,
}

impl Fault {
    pub(crate) const CUTS: [Self; 3] = [Self::Before, Self::During, Self::After];
}

/// Which request is struck.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Strike {
    /// The one that so many others precede.
    After(usize),
    /// The first rows of a COPY.
    CopyData,
    /// The end of a transaction.
    Commit,
}

pub(crate) struct Wire {
    options: PgConnectOptions,
    _folder: TempDir,
    plan: Arc<Plan>,
    listener: AbortHandle,
}

#[derive(Default)]
struct Plan {
    armed: Mutex<Option<(Strike, Fault)>>,
    struck: watch::Sender<bool>,
    thaw: Notify,
}

impl Wire {
    pub(crate) fn to(options: &PgConnectOptions) -> Self {
        let folder = TempDir::new().unwrap();
        // A line is named by its port, as Postgres names its sockets.
        let listener = UnixListener::bind(folder.path().join(".s.PGSQL.5432")).unwrap();
        let plan = Arc::<Plan>::default();
        let postgres = options.clone();
        let lines = Arc::clone(&plan);
        let listener = tokio::spawn(async move {
            while let Ok((process, _)) = listener.accept().await {
                let (postgres, plan) = (postgres.clone(), Arc::clone(&lines));
                // However a line ends, both of its ends are dropped.
                tokio::spawn(async move { serve(process, &postgres, &plan).await });
            }
        });
        Self {
            options: options
                .clone()
                .ssl_mode(PgSslMode::Disable)
                .socket(folder.path())
                .port(5432),
            _folder: folder,
            plan,
            listener: listener.abort_handle(),
        }
    }

    pub(crate) fn url(&self) -> String {
        self.options.to_url_lossy().to_string()
    }

    pub(crate) fn arm(&self, strike: Strike, fault: Fault) {
        self.plan.struck.send_replace(false);
        *self.plan.armed.lock().unwrap() = Some((strike, fault));
    }

    /// Ends the danger; says whether it struck.
    pub(crate) fn calm(&self) -> bool {
        *self.plan.armed.lock().unwrap() = None;
        *self.plan.struck.borrow()
    }

    /// Waits until it struck.
    pub(crate) async fn struck(&self) {
        self.plan.struck.subscribe().wait_for(|struck| *struck).await.unwrap();
    }

    pub(crate) fn thaw(&self) {
        self.plan.thaw.notify_one();
    }
}

impl Drop for Wire {
    fn drop(&mut self) {
        self.listener.abort();
    }
}

impl Plan {
    /// What happens to a message.
    fn fault(&self, message: &[u8]) -> Option<Fault> {
        if !matches!(message[0], b'Q' | b'S' | b'd' | b'c') {
            return None;
        }
        let mut armed = self.armed.lock().unwrap();
        let (strike, fault) = armed.as_mut()?;
        let hit = match strike {
            Strike::After(0) => true,
            Strike::After(others) => {
                *others -= 1;
                false
            }
            Strike::CopyData => message[0] == b'd',
            Strike::Commit => message[0] == b'Q' && message[5..].eq_ignore_ascii_case(b"commit\0"),
        };
        let fault = hit.then_some(*fault)?;
        *armed = None;
        self.struck.send_replace(true);
        Some(fault)
    }
}

async fn serve(process: UnixStream, postgres: &PgConnectOptions, plan: &Plan) -> io::Result<()> {
    let (from_process, to_process) = process.into_split();
    match postgres.get_socket() {
        Some(folder) => {
            let socket = folder.join(format!(".s.PGSQL.{}", postgres.get_port()));
            let (from_postgres, to_postgres) = UnixStream::connect(socket).await?.into_split();
            join(from_process, to_process, from_postgres, to_postgres, plan).await
        }
        None => {
            let address = (postgres.get_host(), postgres.get_port());
            let (from_postgres, to_postgres) = TcpStream::connect(address).await?.into_split();
            join(from_process, to_process, from_postgres, to_postgres, plan).await
        }
    }
}

async fn join(
    mut from_process: impl AsyncRead + Unpin,
    mut to_process: impl AsyncWrite + Unpin,
    mut from_postgres: impl AsyncRead + Unpin,
    mut to_postgres: impl AsyncWrite + Unpin,
    plan: &Plan,
) -> io::Result<()> {
    let swallow = AtomicBool::new(false);
    let done = Notify::new();
    // What Postgres has yet to be done with. A process may send more before it hears that; the first is its start-up.
    let unfinished = AtomicUsize::new(1);
    let requests = async {
        // The first message has no kind (Postgres manual, "Message Formats", StartupMessage).
        let start_up = read_message(&mut from_process, None).await?;
        to_postgres.write_all(&start_up).await?;
        loop {
            let kind = from_process.read_u8().await?;
            let message = read_message(&mut from_process, Some(kind)).await?;
            let fault = plan.fault(&message);
            if matches!(kind, b'Q' | b'S') {
                unfinished.fetch_add(1, Ordering::SeqCst);
            }
            match fault {
                Some(Fault::Before) => return Ok(()),
                Some(Fault::After) => swallow.store(true, Ordering::SeqCst),
                Some(Fault::Frozen) => plan.thaw.notified().await,
                Some(Fault::During) | None => {}
            }
            to_postgres.write_all(&message).await?;
            match fault {
                // Postgres answers nothing to the rows of a COPY.
                Some(Fault::After) if kind != b'd' => {
                    done.notified().await;
                    return Ok(());
                }
                Some(Fault::During | Fault::After) => return Ok(()),
                _ => {}
            }
        }
    };
    let replies = async {
        loop {
            let kind = from_postgres.read_u8().await?;
            let message = read_message(&mut from_postgres, Some(kind)).await?;
            // ReadyForQuery ends a request; CopyInResponse asks for the rows before that.
            let finished = match kind {
                b'Z' => unfinished.fetch_sub(1, Ordering::SeqCst) == 1,
                b'G' => true,
                _ => false,
            };
            if !swallow.load(Ordering::SeqCst) {
                to_process.write_all(&message).await?;
            } else if finished {
                done.notify_one();
            }
        }
    };
    tokio::select! {
        ended = requests => ended,
        ended = replies => ended,
    }
}

/// Reads a message, of which the kind was read.
async fn read_message(from: &mut (impl AsyncRead + Unpin), kind: Option<u8>) -> io::Result<Vec<u8>> {
    let length = from.read_u32().await?;
    let mut message = Vec::from_iter(kind);
    message.extend(length.to_be_bytes());
    let payload = u64::from(length).saturating_sub(4);
    from.take(payload).read_to_end(&mut message).await?;
    Ok(message)
}
