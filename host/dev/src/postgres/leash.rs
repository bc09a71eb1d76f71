//! What ends the server when our process ends without a word.
//!
//! A child process that waits for the end of a pipe whose other end only we hold. Whatever ends us, the kernel closes
//! our end, and then the leash tells the server to shut down. It is a shell of three words, so it works wherever
//! Postgres does, needs no unsafe code, and no file that could be stale.
//!
//! # Invariants
//!
//! - While the leash is held, the server is our child and we have not taken its exit status, so its process id
//!   belongs to no other process.
//! - A server that has ended is never signalled: who learns that it ended calls [`Leash::release`].

use std::process::Stdio;
use std::time::Duration;

use tokio::io::AsyncWriteExt as _;
use tokio::process::{Child, ChildStdin};

use super::account::{Account, CommandError};

/// `read` fails at the end of the pipe, and succeeds when a line came: the release. SIGINT is a "fast" shutdown.
const SHUT_DOWN_AT_END_OF_PIPE: &str = r#"read -r line || kill -s INT "$1""#;

/// The shell only has to leave.
const RELEASE_TIMEOUT: Duration = Duration::from_secs(5);

/// Tied to one server. Dropping it shuts that server down.
#[derive(Debug)]
pub(super) struct Leash {
    shell: Child,
    pipe: ChildStdin,
}

impl Leash {
    /// Ties the server with that process id to our life.
    pub(super) fn tie(account: Account, server: u32) -> Result<Leash, CommandError> {
        let mut command = account.command("/bin/sh");
        command
            .args(["-c", SHUT_DOWN_AT_END_OF_PIPE, "sh", &server.to_string()])
            .stdin(Stdio::piped());
        let mut shell = command.spawn().map_err(|source| CommandError::NotRun {
            program: "/bin/sh".to_owned(),
            source,
        })?;
        let pipe = shell
            .stdin
            .take()
            .expect("standard input was made a pipe two lines above");
        Ok(Leash { shell, pipe })
    }

    /// Lets go of a server that has ended.
    pub(super) async fn release(mut self) {
        // If the leash is gone already, that is all we wanted.
        let released = self.pipe.write_all(b"released\n").await;
        if released.is_ok() {
            let _ = tokio::time::timeout(RELEASE_TIMEOUT, self.shell.wait()).await;
        }
    }
}
