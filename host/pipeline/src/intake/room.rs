//! Room in memory for the pages of all shards: a thousand of them that have much to tell do not tell it at once.
//!
//! ```text
//! shard ── expects a page of so many bytes ──▶ room for it? ──▶ read ──▶ decode ──▶ seal ──▶ append ──▶ room is free
//!                                              no: it waits, in turn
//! ```
//!
//! Nobody knows how large a page is before it came. The last page of a shard tells most: an idle one has nothing, and a shard
//! that is behind has one full page after the other.
//!
//! # Invariants
//!
//! - A page keeps its room until it is in the ledger, or given up.
//! - Whoever has room never waits for more of it.

use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Encoded bytes of all pages in memory, in KiB. Decoded, sealed and on their way to Postgres they take several times that.
const ROOM_KIB: u32 = 16 * 1024;

/// The least that a page is expected to take: an answer without records, and one with a few.
const PAGE_KIB_MIN: u32 = 8;

/// The most: the service gives no more at a time (streams.md 16).
const PAGE_KIB_MAX: u32 = 1024;

/// What is expected of a shard that was not read before, or was not for a while.
const PAGE_KIB_UNKNOWN: u32 = 256;

/// Room for pages, of all shards of a process.
#[derive(Clone, Debug)]
pub(super) struct PageRoom {
    kib: Arc<Semaphore>,
}

/// Room for one page, until it is dropped.
pub(super) type Taken = Option<OwnedSemaphorePermit>;

/// What the next page of a shard is expected to take.
#[derive(Debug)]
pub(super) struct ExpectedPage {
    kib: u32,
}

impl Default for PageRoom {
    fn default() -> Self {
        Self {
            kib: Arc::new(Semaphore::new(ROOM_KIB as usize)),
        }
    }
}

impl PageRoom {
    /// Waits until there is room.
    pub(super) async fn take(&self, expected: &ExpectedPage) -> Taken {
        // It fails when it is closed, which it never is.
        Arc::clone(&self.kib).acquire_many_owned(expected.kib).await.ok()
    }
}

impl Default for ExpectedPage {
    fn default() -> Self {
        Self { kib: PAGE_KIB_UNKNOWN }
    }
}

impl ExpectedPage {
    /// A page of so many bytes came; the next one is like it.
    pub(super) fn came(&mut self, bytes: usize) {
        let kib = u32::try_from(bytes / 1024).unwrap_or(u32::MAX);
        self.kib = kib.saturating_add(1).clamp(PAGE_KIB_MIN, PAGE_KIB_MAX);
    }

    /// None came, and something may gather.
    pub(super) fn failed(&mut self) {
        self.kib = self.kib.max(PAGE_KIB_UNKNOWN);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn expecting(bytes: usize) -> ExpectedPage {
        let mut expected = ExpectedPage::default();
        expected.came(bytes);
        expected
    }

    /// Pages that have room at the same time.
    async fn together(expected: &ExpectedPage) -> usize {
        let room = PageRoom::default();
        let mut taken = Vec::new();
        while room.kib.available_permits() >= expected.kib as usize {
            taken.push(room.take(expected).await);
        }
        taken.len()
    }

    #[tokio::test]
    async fn idle_shards_are_read_together_and_full_ones_a_few_at_a_time() {
        assert_eq!(together(&expecting(0)).await, 2048);
        assert_eq!(together(&expecting(100 << 10)).await, 162);
        assert_eq!(together(&expecting(1 << 20)).await, 16);
        // One that is larger than any may be is read too.
        assert_eq!(together(&expecting(usize::MAX)).await, 16);
        assert_eq!(together(&ExpectedPage::default()).await, 64);
    }

    #[tokio::test]
    async fn after_a_failure_more_is_expected_than_of_an_idle_shard() {
        let mut idle = expecting(0);
        idle.failed();
        assert_eq!(together(&idle).await, 64);
        let mut full = expecting(1 << 20);
        full.failed();
        assert_eq!(together(&full).await, 16);
    }

    #[tokio::test]
    async fn room_is_free_again_when_its_page_is_gone() {
        let room = PageRoom::default();
        let all = ROOM_KIB as usize;
        let taken = room.take(&expecting(1 << 20)).await;
        assert_eq!(room.kib.available_permits(), all - 1024);
        drop(taken);
        assert_eq!(room.kib.available_permits(), all);
    }
}
