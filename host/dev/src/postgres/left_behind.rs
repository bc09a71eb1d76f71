//! A server that an earlier process left behind, and the pid file of one that is long gone.
//!
//! We hold the folder's lock, so the process that started it is gone, and nobody else relies on it. It is stopped
//! rather than used: it may have other settings, and a server that is not our child cannot be watched.
//!
//! The pid file alone proves nothing. Process ids are used again, in containers soon and often, and Postgres itself
//! refuses to start beside a live process of that number. So a server is known by its socket: the system says which
//! process listens there. A pid file whose process is something else entirely is removed.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio::net::UnixStream;
use tracing::{info, warn};

use super::StartError;
use super::account::CommandError;
use super::home::{Home, socket_path};
use super::installation::Installation;

/// A live server takes a connection at once, whatever it is doing.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// As long as a shutdown in order may take.
const STOP_TIMEOUT: Duration = Duration::from_secs(45);

/// Makes sure that no server of an earlier process runs in `home`.
pub(super) async fn stop(home: &Home, installation: &Installation) -> Result<(), StartError> {
    let Some(pid_file) = PidFile::read(&home.data()) else {
        return Ok(());
    };

    if pid_file.is_a_live_server().await {
        info!(
            process = pid_file.process,
            "stopping the Postgres that an earlier process left behind"
        );
        for mode in ["fast", "immediate"] {
            let mut pg_ctl = home.account.command(installation.program("pg_ctl"));
            pg_ctl
                .args([
                    "stop",
                    "--silent",
                    "--wait",
                    "--timeout",
                    "30",
                    "--mode",
                    mode,
                    "--pgdata",
                ])
                .arg(home.data());
            match home.account.output(pg_ctl, "", STOP_TIMEOUT).await {
                // It took too long, or was gone already. Either way the start will tell.
                Err(CommandError::Failed { said, .. }) => {
                    warn!(said, "could not stop the Postgres that was left behind")
                }
                stopped => return Ok(stopped.map(drop)?),
            }
        }
    } else if pid_file.is_of_another_program() {
        warn!(
            process = pid_file.process,
            "removing the pid file of a Postgres that is gone; the number is taken again"
        );
        fs::remove_file(home.data().join(PidFile::NAME)).map_err(|source| home.failed(source))?;
    }
    Ok(())
}

/// `postmaster.pid`, which the server writes into its data folder. Its lines are listed in `utils/pidfile.h`.
pub(super) struct PidFile {
    pub(super) process: u32,
    socket: Option<PathBuf>,
    status: Option<String>,
}

impl PidFile {
    pub(super) const NAME: &str = "postmaster.pid";

    /// Reads the file; `None` if there is none, or only the beginning of one.
    pub(super) fn read(data: &Path) -> Option<PidFile> {
        let text = fs::read_to_string(data.join(Self::NAME)).ok()?;
        let lines: Vec<&str> = text.lines().map(str::trim).collect();
        // 1 process, 2 data folder, 3 start time, 4 port, 5 socket folder, 6 address, 7 shared memory, 8 status
        let socket = match (lines.get(3).and_then(|port| port.parse().ok()), lines.get(4)) {
            (Some(port), Some(folder)) if !folder.is_empty() => Some(socket_path(Path::new(folder), port)),
            _ => None,
        };
        Some(PidFile {
            process: lines.first()?.parse().ok()?,
            socket,
            status: lines.get(7).map(|status| (*status).to_owned()),
        })
    }

    /// Whether the server takes connections. This is what `pg_ctl --wait` goes by.
    pub(super) fn says_ready(&self) -> bool {
        self.status.as_deref() == Some("ready")
    }

    /// Whether the process of that number is the one that listens on the socket of this server.
    async fn is_a_live_server(&self) -> bool {
        let Some(socket) = &self.socket else { return false };
        let Ok(Ok(stream)) = tokio::time::timeout(CONNECT_TIMEOUT, UnixStream::connect(socket)).await else {
            return false;
        };
        let listener = stream
            .peer_cred()
            .ok()
            .and_then(|peer| peer.pid())
            .and_then(|process| u32::try_from(process).ok());
        listener == Some(self.process)
    }

    /// Whether the number belongs to a process now that is no Postgres. Only Linux tells so easily; elsewhere the
    /// answer is no, and a start that fails over it says in its log which file to remove.
    fn is_of_another_program(&self) -> bool {
        fs::read_to_string(format!("/proc/{}/comm", self.process)).is_ok_and(|program| program.trim() != "postgres")
    }
}

#[cfg(test)]
mod tests {
    use super::PidFile;

    #[test]
    fn a_pid_file_that_is_still_being_written_is_not_ready() {
        let data = tempfile::tempdir().unwrap();
        let read = |text: &str| {
            std::fs::write(data.path().join(PidFile::NAME), text).unwrap();
            PidFile::read(data.path())
        };
        let complete = "41\n/data\n1763848000\n5432\n/data/socket\n\n  5 6\nready   \n";

        assert!(read("").is_none());
        let first_lines = read("41\n/data\n1763848000\n5432\n").unwrap();
        assert!(first_lines.process == 41 && first_lines.socket.is_none() && !first_lines.says_ready());
        assert!(!read(&complete.replace("ready   ", "starting")).unwrap().says_ready());
        let ready = read(complete).unwrap();
        assert!(ready.says_ready());
        assert_eq!(
            ready.socket.unwrap(),
            std::path::Path::new("/data/socket/.s.PGSQL.5432")
        );
    }
}
