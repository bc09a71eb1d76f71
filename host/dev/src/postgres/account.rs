//! Whom the programs of Postgres run as, and running them.
//!
//! Postgres refuses to run as root. So if we are root, its programs run as the owner of the folder, and for a new
//! folder as `postgres` or else `nobody`; if we are not, they run as we do.
//!
//! # Invariants
//!
//! - No program runs without an end: [`Account::output`] takes the time it may need, and kills it after that.
//! - No variable `PG...` of our environment reaches a program: they would send it to another server.
//! - Messages are in English, whatever the locale, because two of them are read by us.

use std::ffi::OsStr;
use std::fs::{self, Permissions};
use std::io;
use std::os::unix::ffi::OsStringExt as _;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, lchown};
use std::path::{Path, PathBuf};
use std::process::{Output, Stdio};
use std::time::Duration;

use tokio::io::AsyncWriteExt as _;
use tokio::process::Command;

use super::StartError;

/// Small programs of the system and of Postgres answer within milliseconds.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(10);

/// Who may run the server when we are root, in the order we ask for them.
const SERVER_ACCOUNTS: [&str; 2] = ["postgres", "nobody"];

/// Another user and group than ours, or none: run as we do.
#[derive(Clone, Copy, Debug)]
pub(super) struct Account {
    other: Option<(u32, u32)>,
}

impl Account {
    /// Our own account. Good enough to ask a program for its version.
    pub(super) const OURS: Account = Account { other: None };

    /// The account for a server whose home is `folder`.
    pub(super) async fn for_folder(folder: &Path) -> Result<Account, StartError> {
        if id("-u", None).await? != Some(0) {
            return Ok(Account::OURS);
        }
        let metadata = fs::metadata(folder).map_err(|source| StartError::Folder {
            folder: folder.to_owned(),
            source,
        })?;
        if metadata.uid() != 0 {
            return Ok(Account {
                other: Some((metadata.uid(), metadata.gid())),
            });
        }
        for name in SERVER_ACCOUNTS {
            if let (Some(user), Some(group)) = (id("-u", Some(name)).await?, id("-g", Some(name)).await?) {
                return Ok(Account {
                    other: Some((user, group)),
                });
            }
        }
        Err(StartError::NoAccount)
    }

    /// The account in an error message.
    pub(super) fn name(self) -> String {
        self.other
            .map_or("ourselves".to_owned(), |(user, _)| format!("user {user}"))
    }

    /// Gives `folder` to the account and closes it to all others.
    pub(super) fn take(self, folder: &Path) -> io::Result<()> {
        fs::set_permissions(folder, Permissions::from_mode(0o700))?;
        self.own(folder)
    }

    /// Gives `path` to the account; if it is a link, the link.
    pub(super) fn own(self, path: &Path) -> io::Result<()> {
        match self.other {
            Some((user, group)) => lchown(path, Some(user), Some(group)),
            None => Ok(()),
        }
    }

    /// The outermost folder on the way to `folder` that the account may not enter.
    pub(super) async fn first_closed(self, folder: &Path) -> Result<Option<PathBuf>, CommandError> {
        // Asked of the system as that account, because access lists and mounts have a say that mode bits do not show.
        const PRINT_FIRST_CLOSED: &str = r#"for folder do test -x "$folder" || { printf %s "$folder"; exit; }; done"#;
        let mut outermost_first: Vec<&Path> = folder.ancestors().collect();
        outermost_first.reverse();

        let mut shell = self.command("/bin/sh");
        shell.args(["-c", PRINT_FIRST_CLOSED, "sh"]).args(outermost_first);
        let closed = self.output(shell, "", ANSWER_TIMEOUT).await?.stdout;
        Ok((!closed.is_empty()).then(|| PathBuf::from(std::ffi::OsString::from_vec(closed))))
    }

    /// Sends `signal` (`INT`, without `SIG`) to a process of the account.
    pub(super) async fn signal(self, signal: &str, process: u32) -> Result<(), CommandError> {
        let mut shell = self.command("/bin/sh");
        shell.args(["-c", r#"kill -s "$1" "$2""#, "sh", signal, &process.to_string()]);
        self.output(shell, "", ANSWER_TIMEOUT).await.map(drop)
    }

    /// A program that will run as the account, out of the terminal's reach.
    pub(super) fn command(self, program: impl AsRef<OsStr>) -> Command {
        let mut command = Command::new(program);
        command
            // Ours may be closed to the account.
            .current_dir("/")
            // The terminal sends Ctrl-C to its foreground process group, so not to this one.
            .process_group(0)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        for (variable, _) in std::env::vars_os() {
            if variable.as_encoded_bytes().starts_with(b"PG") {
                command.env_remove(variable);
            }
        }
        command.env("LC_ALL", "C");
        if let Some((user, group)) = self.other {
            command.uid(user).gid(group);
        }
        command
    }

    /// Runs a program to its end with `input`, and returns what it printed. It must end well, within `timeout`.
    pub(super) async fn output(
        self,
        mut command: Command,
        input: &str,
        timeout: Duration,
    ) -> Result<Output, CommandError> {
        let program = command.as_std().get_program().to_string_lossy().into_owned();
        let started = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn();
        let finished = tokio::time::timeout(timeout, async {
            let mut child = started?;
            if let Some(mut stdin) = child.stdin.take() {
                match stdin.write_all(input.as_bytes()).await {
                    // It ended without reading: its status says why.
                    Err(error) if error.kind() == io::ErrorKind::BrokenPipe => {}
                    written => written?,
                }
            }
            child.wait_with_output().await
        });
        match finished.await {
            Ok(Ok(output)) if output.status.success() => Ok(output),
            Ok(Ok(output)) => {
                let said = String::from_utf8_lossy(&output.stderr).trim().to_owned();
                Err(CommandError::Failed {
                    program,
                    status: output.status.to_string(),
                    said,
                })
            }
            Ok(Err(source)) => Err(CommandError::NotRun { program, source }),
            Err(_) => Err(CommandError::TimedOut { program, timeout }),
        }
    }

    /// Runs a small program that only answers a question.
    pub(super) async fn answer(self, command: Command) -> Result<String, CommandError> {
        let output = self.output(command, "", ANSWER_TIMEOUT).await?;
        Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
    }
}

/// The user (`-u`) or group (`-g`) number of an account, our own for `None`. `None` if there is no such account.
async fn id(which: &str, account: Option<&str>) -> Result<Option<u32>, CommandError> {
    let mut command = Account::OURS.command("id");
    command.arg(which).args(account);
    match Account::OURS.answer(command).await {
        Ok(number) => Ok(number.parse().ok()),
        Err(CommandError::Failed { .. }) => Ok(None),
        Err(error) => Err(error),
    }
}

/// Why a program gave no answer. It does not run any more.
#[derive(Debug, thiserror::Error)]
pub enum CommandError {
    /// The program did not start, or the system lost it.
    #[error("could not run `{program}`")]
    NotRun { program: String, source: io::Error },

    /// The program ended and said that it had failed.
    #[error("`{program}` failed ({status}): {said}")]
    Failed {
        program: String,
        status: String,
        said: String,
    },

    /// The program was killed, because it took too long.
    #[error("`{program}` did not end within {} s and was killed", timeout.as_secs())]
    TimedOut { program: String, timeout: Duration },
}
