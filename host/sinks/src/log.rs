//! A sink for people: appends each event as one line of JSON to a file.

use std::io;
use std::path::{Path, PathBuf};

use futures_util::future::BoxFuture;
use tokio::fs::{File, OpenOptions};
use tokio::io::AsyncWriteExt as _;
use tokio::sync::Mutex;
use weir_model::Event;

use crate::{Outcome, Sink};

/// Events written at a time.
const EVENTS_MAX: usize = 100;

/// Writes events to a file, one line each. What was accepted is in the file, but not forced to the disk.
pub struct Log {
    path: PathBuf,
    file: Mutex<File>,
}

impl Log {
    /// Opens the file, or makes it.
    ///
    /// # Errors
    ///
    /// It cannot be written.
    pub async fn open(path: &Path) -> io::Result<Self> {
        let file = OpenOptions::new().create(true).append(true).open(path).await?;
        Ok(Self {
            path: path.to_owned(),
            file: Mutex::new(file),
        })
    }

    async fn write(&self, lines: &[u8]) -> io::Result<()> {
        let mut file = self.file.lock().await;
        file.write_all(lines).await?;
        file.flush().await
    }
}

impl Sink for Log {
    fn events_max(&self) -> usize {
        EVENTS_MAX
    }

    fn bytes_max(&self) -> usize {
        usize::MAX
    }

    fn size(&self, _event: &Event) -> usize {
        0
    }

    fn send<'a>(&'a self, events: &'a [Event]) -> BoxFuture<'a, Vec<Outcome>> {
        Box::pin(async move {
            let mut lines = Vec::new();
            for event in events {
                serde_json::to_writer(&mut lines, event).expect("an event is JSON and a vector takes it");
                lines.push(b'\n');
            }
            let outcome = match self.write(&lines).await {
                Ok(()) => Outcome::Accepted,
                Err(error) => Outcome::Unavailable {
                    reason: format!("{}: {error}", self.path.display()),
                },
            };
            vec![outcome; events.len()]
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn events_become_lines_in_order_and_a_second_opening_goes_on() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("events.jsonl");
        let event = |name: &str| Event {
            source: "weir.shop".to_owned(),
            detail_type: name.to_owned(),
            time: jiff::Timestamp::UNIX_EPOCH,
            detail: serde_json::Map::new(),
        };
        let outcomes = Log::open(&path).await.unwrap().send(&[event("a"), event("b")]).await;
        assert_eq!(outcomes, [Outcome::Accepted, Outcome::Accepted]);
        Log::open(&path).await.unwrap().send(&[event("c")]).await;

        let text = std::fs::read_to_string(&path).unwrap();
        let types: Vec<String> = text
            .lines()
            .map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap()["detail-type"].to_string())
            .collect();
        assert_eq!(types, ["\"a\"", "\"b\"", "\"c\""]);
    }
}
