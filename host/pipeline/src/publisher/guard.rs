//! The guard: the last head that was signed, kept where a restored database does not reach it.
//!
//! A file, on storage that outlives the host and is not part of the database's back-ups. Beside it stands the list of keys
//! of bodies that were destroyed: a database that was restored still has them.
//!
//! # Invariants
//!
//! - The guard moves from what was read to what follows, or not at all: two publishers never both move it.
//! - What it was moved to is on the disk when the move returns.

use std::collections::BTreeSet;
use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use weir_evidence::SignedCheckpoint;

/// How long another publisher may hold the guard.
const LOCK_TIMEOUT: Duration = Duration::from_secs(10);

/// How often is looked whether it still does.
const LOCK_INTERVAL: Duration = Duration::from_millis(10);

/// A guard in a file.
#[derive(Clone, Debug)]
pub struct Guard {
    path: PathBuf,
}

/// Why the guard was not read or moved.
#[derive(Debug, thiserror::Error)]
pub enum GuardError {
    /// Another publisher moved it. Nothing was moved.
    #[error("another publisher moved the guard {0}")]
    Moved(PathBuf),
    /// It is not a signed checkpoint. Nothing was moved.
    #[error(
        "the guard {0} is damaged: it is not a signed checkpoint. Restore it, or remove it and run `weir ledger adopt`"
    )]
    Damaged(PathBuf),
    /// The file cannot be read or written. It may or may not have been moved.
    #[error("the guard {path} cannot be read or written")]
    File {
        /// The file.
        path: PathBuf,
        /// What happened.
        source: io::Error,
    },
}

impl Guard {
    /// In this file.
    #[must_use]
    pub fn in_file(path: PathBuf) -> Self {
        Self { path }
    }

    /// Where it is, for people.
    #[must_use]
    pub fn place(&self) -> String {
        self.path.display().to_string()
    }

    /// What was signed last; `None` if there is no guard.
    ///
    /// # Errors
    ///
    /// It is damaged or cannot be read.
    pub async fn read(&self) -> Result<Option<SignedCheckpoint>, GuardError> {
        let guard = self.clone();
        blocking(move || guard.read_now()).await
    }

    /// Moves it from what it was read to be to what follows.
    ///
    /// # Errors
    ///
    /// It is not what it was read to be, or cannot be written.
    pub async fn advance(&self, from: Option<SignedCheckpoint>, to: SignedCheckpoint) -> Result<(), GuardError> {
        let guard = self.clone();
        blocking(move || guard.advance_now(from.as_ref(), &to)).await
    }

    /// Adds numbers of keys that are about to be destroyed. They are on the disk on return.
    ///
    /// # Errors
    ///
    /// The file cannot be written.
    pub fn note_destroyed(&self, keys: &[i64]) -> io::Result<()> {
        // A line counts with its full stop only: what a crash cuts off is no other number. The first begins a new line,
        // because the last one may be such a piece.
        let mut text = String::from("\n");
        for key in keys {
            text.push_str(&format!("{key}.\n"));
        }
        let mut file = OpenOptions::new()
            .create(true)
            .append(true)
            .open(self.beside("erased"))?;
        file.write_all(text.as_bytes())?;
        file.sync_all()
    }

    /// Every key that was noted, lowest first.
    ///
    /// # Errors
    ///
    /// The file cannot be read. A line that was cut off by a crash is skipped: its key was not destroyed.
    pub async fn destroyed(&self) -> Result<Vec<i64>, GuardError> {
        let path = self.beside("erased");
        blocking(move || match fs::read_to_string(&path) {
            Ok(text) => {
                let noted = text.lines().filter_map(|line| line.strip_suffix('.')?.parse().ok());
                // After a restore, the same key may be destroyed a second time.
                Ok(noted.collect::<BTreeSet<i64>>().into_iter().collect())
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
            Err(source) => Err(GuardError::File { path, source }),
        })
        .await
    }

    fn read_now(&self) -> Result<Option<SignedCheckpoint>, GuardError> {
        match fs::read(&self.path) {
            Ok(bytes) => match SignedCheckpoint::parse(&bytes) {
                Ok(signed) => Ok(Some(signed)),
                Err(_) => Err(GuardError::Damaged(self.path.clone())),
            },
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(source) => Err(self.failed(source)),
        }
    }

    fn advance_now(&self, from: Option<&SignedCheckpoint>, to: &SignedCheckpoint) -> Result<(), GuardError> {
        let lock = OpenOptions::new().create(true).append(true).open(self.beside("lock"));
        let lock = lock.map_err(|source| self.failed(source))?;
        self.take(&lock).map_err(|source| self.failed(source))?;
        let stands = self.read_now()?;
        if stands.as_ref().map(ToString::to_string) != from.map(ToString::to_string) {
            return Err(GuardError::Moved(self.path.clone()));
        }
        self.write(to.to_string().as_bytes())
            .map_err(|source| self.failed(source))
    }

    /// Waits for whoever else moves it, but not for long: it may be frozen, on another machine.
    fn take(&self, lock: &File) -> io::Result<()> {
        let waiting_since = Instant::now();
        loop {
            match lock.try_lock() {
                Ok(()) => return Ok(()),
                Err(TryLockError::Error(error)) => return Err(error),
                Err(TryLockError::WouldBlock) if waiting_since.elapsed() > LOCK_TIMEOUT => {
                    let message = format!("another process holds {}", self.beside("lock").display());
                    return Err(io::Error::new(io::ErrorKind::TimedOut, message));
                }
                Err(TryLockError::WouldBlock) => std::thread::sleep(LOCK_INTERVAL),
            }
        }
    }

    /// Whole or not at all, and on the disk.
    fn write(&self, bytes: &[u8]) -> io::Result<()> {
        let beside = self.beside("new");
        let mut file = File::create(&beside)?;
        file.write_all(bytes)?;
        file.sync_all()?;
        fs::rename(&beside, &self.path)?;
        let folder = self.path.parent().filter(|folder| !folder.as_os_str().is_empty());
        File::open(folder.unwrap_or(Path::new(".")))?.sync_all()
    }

    fn beside(&self, what: &str) -> PathBuf {
        let mut name = self.path.as_os_str().to_owned();
        name.push(".");
        name.push(what);
        PathBuf::from(name)
    }

    fn failed(&self, source: io::Error) -> GuardError {
        GuardError::File {
            path: self.path.clone(),
            source,
        }
    }
}

async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    tokio::task::spawn_blocking(work)
        .await
        .expect("reading and writing a file does not panic")
}

#[cfg(test)]
mod tests {
    use super::*;
    use weir_evidence::{Checkpoint, SigningKey};

    fn signed(size: u64) -> SignedCheckpoint {
        let checkpoint = Checkpoint {
            origin: "weir/main".to_owned(),
            size,
            root: [7; 32],
        };
        let key = SigningKey::new("weir/main".to_owned(), &[1; 32]).unwrap();
        checkpoint.sign(&[key]).unwrap()
    }

    #[tokio::test]
    async fn a_guard_moves_only_from_where_it_was_read_to_stand() {
        let folder = tempfile::tempdir().unwrap();
        let guard = Guard::in_file(folder.path().join("guard"));
        assert!(guard.read().await.unwrap().is_none());
        guard.advance(None, signed(1)).await.unwrap();
        assert!(matches!(
            guard.advance(None, signed(2)).await,
            Err(GuardError::Moved(_))
        ));
        guard.advance(Some(signed(1)), signed(3)).await.unwrap();
        assert!(matches!(
            guard.advance(Some(signed(1)), signed(4)).await,
            Err(GuardError::Moved(_))
        ));
        assert_eq!(guard.read().await.unwrap().unwrap().checkpoint().size, 3);
    }

    #[tokio::test]
    async fn a_damaged_guard_is_an_error_and_not_a_missing_one() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("guard");
        fs::write(&path, "weir/main\n").unwrap();
        assert!(matches!(Guard::in_file(path).read().await, Err(GuardError::Damaged(_))));
    }

    #[tokio::test]
    async fn destroyed_keys_are_remembered_and_a_line_that_was_cut_off_is_not_one() {
        let folder = tempfile::tempdir().unwrap();
        let guard = Guard::in_file(folder.path().join("guard"));
        assert!(guard.destroyed().await.unwrap().is_empty());
        guard.note_destroyed(&[3, 70_000]).unwrap();
        let path = folder.path().join("guard.erased");
        let whole = fs::read(&path).unwrap();
        for kept in 0..=whole.len() {
            fs::write(&path, &whole[..kept]).unwrap();
            guard.note_destroyed(&[4]).unwrap();
            let noted = guard.destroyed().await.unwrap();
            assert!(
                [vec![4], vec![3, 4], vec![3, 4, 70_000]].contains(&noted),
                "{kept}: {noted:?}"
            );
        }
    }
}
