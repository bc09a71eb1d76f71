//! The folder of a private Postgres: taking it, filling it the first time, and what is where in it.
//!
//! # Invariants
//!
//! - While a [`Home`] lives, no other process has one of the same folder.
//! - `data` is complete or not there.
//! - A folder that has other things in it is not touched, not even its owner and mode.

use std::fs::{self, DirBuilder, File, OpenOptions, TryLockError};
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use tracing::info;

use super::account::Account;
use super::installation::Installation;
use super::{NAME, StartError};

/// `initdb` writes about 40 MB and waits for the disk: 1 to 3 s, here with room for a slow one.
const INITIALISE_TIMEOUT: Duration = Duration::from_secs(120);

/// The longest path that names a Unix socket on every system we know, in bytes: macOS has 104 with the final zero,
/// Linux 108 (`sun_path` in `sys/un.h`).
const SOCKET_PATH_BYTES_MAX: usize = 103;

/// The folder, locked, and the account whose it is.
#[derive(Debug)]
pub(super) struct Home {
    pub(super) folder: PathBuf,
    pub(super) account: Account,
    _lock: FolderLock,
}

impl Home {
    pub(super) async fn prepare(asked: &Path) -> Result<Home, StartError> {
        let failed = |source| StartError::Folder {
            folder: asked.to_owned(),
            source,
        };

        fs::create_dir_all(asked).map_err(failed)?;
        // Absolute, because the server has another working folder; without links, because the checks below go by
        // the folders that are really passed.
        let folder = asked.canonicalize().map_err(failed)?;

        let lock_file = folder.join("postgres.lock");
        if !lock_file.exists() && fs::read_dir(&folder).map_err(failed)?.next().is_some() {
            return Err(StartError::NotOurs { folder });
        }
        let lock = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(false)
            .open(&lock_file)
            .map_err(failed)?;
        let lock = match lock.try_lock() {
            Ok(()) => FolderLock(lock),
            Err(TryLockError::WouldBlock) => return Err(StartError::InUse { folder }),
            Err(TryLockError::Error(source)) => return Err(failed(source)),
        };

        let account = Account::for_folder(&folder).await?;
        account.take(&folder).map_err(failed)?;
        if let Some(closed) = account.first_closed(&folder).await? {
            return Err(StartError::Closed {
                account: account.name(),
                closed,
                folder,
            });
        }
        Ok(Home {
            folder,
            account,
            _lock: lock,
        })
    }

    /// Makes the cluster, unless it is there.
    ///
    /// It is made under another name and renamed when it is complete and on disk, so a start that was interrupted
    /// anywhere leaves either nothing or all of it.
    pub(super) async fn initialise(&self, installation: &Installation, throw_away: bool) -> Result<(), StartError> {
        if self.data().exists() {
            return Ok(());
        }
        let fresh = self.folder.join("data.new");
        if fresh.exists() {
            fs::remove_dir_all(&fresh).map_err(|source| self.failed(source))?;
        }
        self.write_password().map_err(|source| self.failed(source))?;

        let mut initdb = self.account.command(installation.program("initdb"));
        initdb
            .args([
                "--username",
                NAME,
                "--encoding",
                "UTF8",
                "--locale",
                "C",
                "--data-checksums",
            ])
            .args(["--auth-local", "trust", "--auth-host", "scram-sha-256"])
            .arg("--pwfile")
            .arg(self.password_file())
            .arg("--pgdata")
            .arg(&fresh);
        if throw_away {
            initdb.arg("--no-sync");
        }
        self.account.output(initdb, "", INITIALISE_TIMEOUT).await?;

        // A server for one session on its standard input, as `initdb` itself makes the first databases: needs no
        // socket and no waiting.
        let mut single = self.account.command(installation.program("postgres"));
        single
            .arg("--single")
            .arg("-D")
            .arg(&fresh)
            .args(["-c", "exit_on_error=true"]);
        if throw_away {
            single.args(["-c", "fsync=off"]);
        }
        single.arg("postgres");
        self.account
            .output(single, &format!("create database {NAME}\n"), INITIALISE_TIMEOUT)
            .await?;

        fs::rename(&fresh, self.data())
            .and_then(|()| File::open(&self.folder)?.sync_all())
            .map_err(|source| self.failed(source))?;
        info!(folder = %self.folder.display(), "made a Postgres cluster");
        Ok(())
    }

    fn write_password(&self) -> io::Result<()> {
        let mut secret = [0; 16];
        getrandom::fill(&mut secret).map_err(|error| io::Error::other(error.to_string()))?;
        let mut file = self.new_file(&self.password_file())?;
        file.write_all(hex::encode(secret).as_bytes())?;
        file.sync_all()?;
        self.account.own(&self.password_file())
    }

    /// A new and empty file for us alone, in place of the one of that name.
    ///
    /// New rather than emptied: we may be root and the folder is another account's, which must not make us write
    /// through a link of its making.
    pub(super) fn new_file(&self, path: &Path) -> io::Result<File> {
        match fs::remove_file(path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => OpenOptions::new().write(true).create_new(true).mode(0o600).open(path),
        }
    }

    /// The folder of the socket, made if it is not there.
    pub(super) fn socket_folder(&self, port: u16) -> Result<PathBuf, StartError> {
        let beside = self.folder.join("socket");
        if socket_path(&beside, port).as_os_str().len() <= SOCKET_PATH_BYTES_MAX {
            self.make_private(&beside).map_err(|source| self.failed(source))?;
            return Ok(beside);
        }

        // The same name at every start, so that nothing piles up. Others can guess it, so what is there already is
        // used only if it belongs to our server's account and is closed to all others.
        let name = format!(
            "weir-postgres-{:016x}",
            fingerprint(self.folder.as_os_str().as_encoded_bytes())
        );
        let short = std::env::temp_dir().join(name);
        self.make_private(&short).map_err(|source| self.failed(source))?;
        let there = fs::symlink_metadata(&short).map_err(|source| self.failed(source))?;
        let ours = fs::metadata(&self.folder).map_err(|source| self.failed(source))?.uid();
        let private = there.is_dir() && there.uid() == ours && there.permissions().mode() & 0o077 == 0;
        if private {
            Ok(short)
        } else {
            Err(StartError::SocketFolder { folder: short })
        }
    }

    fn make_private(&self, folder: &Path) -> io::Result<()> {
        match DirBuilder::new().mode(0o700).create(folder) {
            Ok(()) => self.account.own(folder),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// The last lines of the server's log, or a word on why there are none.
    pub(super) fn log_tail(&self) -> String {
        const LINES_MAX: usize = 12;
        match fs::read(self.log_file()) {
            Ok(bytes) => {
                let text = String::from_utf8_lossy(&bytes);
                let lines: Vec<&str> = text.lines().collect();
                lines[lines.len().saturating_sub(LINES_MAX)..].join("\n")
            }
            Err(error) => format!("({}: {error})", self.log_file().display()),
        }
    }

    pub(super) fn data(&self) -> PathBuf {
        self.folder.join("data")
    }

    pub(super) fn password_file(&self) -> PathBuf {
        self.folder.join("password")
    }

    pub(super) fn log_file(&self) -> PathBuf {
        self.folder.join("server.log")
    }

    pub(super) fn failed(&self, source: io::Error) -> StartError {
        StartError::Folder {
            folder: self.folder.clone(),
            source,
        }
    }
}

/// A lock on a file, for as long as this lives. The kernel ends it with the process.
#[derive(Debug)]
struct FolderLock(File);

impl Drop for FolderLock {
    fn drop(&mut self) {
        // Closing the file is not enough: a child that was forked and has not become its program yet has it open too.
        let _ = self.0.unlock();
    }
}

/// Where Postgres puts the socket of `port`.
pub(super) fn socket_path(folder: &Path, port: u16) -> PathBuf {
    folder.join(format!(".s.PGSQL.{port}"))
}

/// FNV-1a, 64 bits: a short name for a path, the same in every release, which the standard hasher is not.
fn fingerprint(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3)
    })
}
