//! A sink for people: appends each event as one line of JSON to a file.

use std::fs::Metadata;
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use futures_util::future::BoxFuture;
use tokio::fs::{File, OpenOptions};
use tokio::io::{AsyncReadExt as _, AsyncSeekExt as _, AsyncWriteExt as _};
use tokio::sync::Mutex;
use weir_model::Event;

use crate::{Limits, Message, Outcome, Sink};

/// Messages written at a time.
const MESSAGES_MAX: usize = 100;

/// Writes events to a file, one line each. What was accepted is in the file, but not forced to the disk. Where the file was moved
/// or removed, a new one is begun: it may be rotated at any time.
pub struct Log {
    path: PathBuf,
    file: Mutex<LogFile>,
}

struct LogFile {
    file: File,
    /// Device and number of it.
    identity: (u64, u64),
    /// The file may end in the middle of a line: a write was cut short.
    is_torn: bool,
}

impl Log {
    /// Opens the file, or makes it.
    ///
    /// # Errors
    ///
    /// It cannot be written.
    pub async fn open(path: &Path) -> io::Result<Self> {
        Ok(Self {
            path: path.to_owned(),
            file: Mutex::new(LogFile::open(path).await?),
        })
    }

    async fn write(&self, lines: &[u8]) -> io::Result<()> {
        let mut log = self.file.lock().await;
        if !log.is_at(&self.path).await? {
            *log = LogFile::open(&self.path).await?;
        }
        if log.is_torn {
            log.file.write_all(b"\n").await?;
        }
        // Until all of it is written, whatever happens leaves a torn line.
        log.is_torn = true;
        log.file.write_all(lines).await?;
        log.file.flush().await?;
        log.is_torn = false;
        Ok(())
    }
}

impl LogFile {
    async fn open(path: &Path) -> io::Result<Self> {
        let file = OpenOptions::new().create(true).append(true).open(path).await?;
        Ok(Self {
            identity: identity(&file.metadata().await?),
            is_torn: ends_in_a_line(path).await?,
            file,
        })
    }

    /// Whether it is the file that has this name now.
    async fn is_at(&self, path: &Path) -> io::Result<bool> {
        match tokio::fs::metadata(path).await {
            Ok(found) => Ok(identity(&found) == self.identity),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
            Err(error) => Err(error),
        }
    }
}

fn identity(metadata: &Metadata) -> (u64, u64) {
    (metadata.dev(), metadata.ino())
}

/// Whether something stands after the last end of a line.
async fn ends_in_a_line(path: &Path) -> io::Result<bool> {
    let mut file = File::open(path).await?;
    if file.metadata().await?.len() == 0 {
        return Ok(false);
    }
    file.seek(io::SeekFrom::End(-1)).await?;
    Ok(file.read_u8().await? != b'\n')
}

impl Sink for Log {
    fn limits(&self) -> Limits {
        Limits {
            messages_max: MESSAGES_MAX,
            bytes_max: usize::MAX,
            requests_max: 1,
        }
    }

    fn body(&self, event: &Event) -> String {
        serde_json::to_string(event).expect("an event is JSON")
    }

    fn size(&self, message: &Message) -> usize {
        message.body.len()
    }

    fn send<'a>(&'a self, messages: &'a [Arc<Message>]) -> BoxFuture<'a, Vec<Outcome>> {
        Box::pin(async move {
            let mut lines = String::new();
            for message in messages {
                lines.push_str(&message.body);
                lines.push('\n');
            }
            let outcome = match self.write(lines.as_bytes()).await {
                Ok(()) => Outcome::Accepted,
                Err(error) => Outcome::unavailable(format!("{}: {error}", self.path.display())),
            };
            vec![outcome; messages.len()]
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn where_the_file_was_moved_or_removed_a_new_one_is_begun() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("events.jsonl");
        let log = Log::open(&path).await.unwrap();
        log.write(b"1\n").await.unwrap();
        std::fs::rename(&path, folder.path().join("events.1")).unwrap();
        log.write(b"2\n").await.unwrap();
        log.write(b"3\n").await.unwrap();
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "2\n3\n");
        assert_eq!(std::fs::read_to_string(folder.path().join("events.1")).unwrap(), "1\n");
        std::fs::remove_file(&path).unwrap();
        log.write(b"4\n").await.unwrap();
        // As `copytruncate` does it.
        std::fs::write(&path, "").unwrap();
        log.write(b"5\n").await.unwrap();
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "5\n");
    }

    #[tokio::test]
    async fn a_line_that_was_cut_short_does_not_spoil_the_next() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("events.jsonl");
        std::fs::write(&path, "{\"half\":").unwrap();
        Log::open(&path).await.unwrap().write(b"{}\n").await.unwrap();
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "{\"half\":\n{}\n");
    }
}
