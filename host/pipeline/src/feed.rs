//! What is read of the ledger, once for all routes of a process.
//!
//! ```text
//! a route ──"from 4711 on"──▶ a page in memory that has it ─────────────────────▶ a stretch of it: changes, and which
//!                        ├──▶ else what this process just appended ─┐               ▲  route takes which
//!                        └──▶ else one read of the ledger, opened ──┴── made events, matched once
//! ```
//!
//! Routes that are up to date, or lag together, want the same entries. Reading them, opening their bodies and making events of
//! them is most of what routing costs, so it is done once; and all patterns of a source are matched in one pass.
//!
//! # Invariants
//!
//! - A page holds every position from its first to its last, so whoever reads on from anywhere in it misses nothing.
//! - What is in memory is bounded, in pages and in bytes, and goes after two seconds there. A page says as of when it is: routes
//!   send nothing for longer than three seconds after that without a look for what is to be erased.
//! - Where reading takes long, less is read at a time: whoever waited for a page finds it, and gets on.
//! - One read is under way at a time, and who waits for it finds its page. Nobody waits for long: a read that hangs is the
//!   trouble of one route.

mod change;
mod patterns;

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU16, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;
use weir_ledger::{Ledger, Partition, ReadError, RecordedEntry, Stream};
use weir_model::Position;

pub(crate) use self::change::RecordedChange;
pub(crate) use self::patterns::Subscription;
use self::patterns::{Matched, Patterns};

/// Entries of a page, at most. A plugin batch has at most as many (design, "Plugins").
pub(crate) const PAGE_ENTRIES_MAX: u16 = 1000;

/// Pages in memory, at most.
const PAGES_MAX: usize = 64;

/// Bytes of the bodies in them as text, at most; one page still stands if it alone has more. In memory they take about four times as
/// much: lists of a few attributes each. As many as the partitions of a route are apart: who falls out of it reads again.
const BYTES_MAX: usize = 3 << 20;

/// How long a page is handed out.
const PAGE_AGE_MAX: Duration = Duration::from_secs(2);

/// A read that takes longer, or fails, is followed by one of half as many entries, so that routes get on where the machine is overloaded.
const READ_TIME_MAX: Duration = Duration::from_secs(1);

/// How long a route waits for another one that reads.
const WAIT_MAX: Duration = Duration::from_secs(5);

/// How long it is believed that there is nothing behind a position, where this process does not know better.
const NOTHING_AGE_MAX: Duration = Duration::from_millis(500);

/// Reads a ledger for all routes of this process.
pub struct Feed {
    ledger: Ledger,
    patterns: Patterns,
    kept: Mutex<Kept>,
    reads: AtomicU64,
    handed_over: AtomicU64,
    /// It looks on while others route, and takes nothing that is handed over to them.
    is_aside: bool,
    /// Entries of the next page, and of any.
    page_entries: AtomicU16,
    entries_max: u16,
    /// Who has it reads.
    reading: tokio::sync::Mutex<()>,
    /// The streams that are known.
    streams: Mutex<Arc<[Stream]>>,
}

#[derive(Default)]
struct Kept {
    /// Oldest first.
    pages: VecDeque<Arc<Page>>,
    /// Where nothing was, and when that was looked at.
    end: Option<(Position, Instant)>,
}

/// Entries that follow each other, read at one time.
struct Page {
    first: Position,
    /// Behind the last.
    until: Position,
    /// The changes among them that can be routed.
    changes: Vec<Arc<RecordedChange>>,
    matched: Matched,
    bytes: usize,
    read_at: Instant,
    /// Since then it is in memory.
    kept_at: Instant,
}

/// A part of what was read.
pub(crate) struct Stretch {
    page: Arc<Page>,
    from: Position,
    until: Position,
}

impl Feed {
    /// Of this ledger. Nothing is read before somebody asks.
    #[must_use]
    pub fn new(ledger: Ledger) -> Self {
        Self {
            ledger,
            patterns: Patterns::default(),
            kept: Mutex::default(),
            reads: AtomicU64::new(0),
            handed_over: AtomicU64::new(0),
            is_aside: false,
            page_entries: AtomicU16::new(PAGE_ENTRIES_MAX),
            entries_max: PAGE_ENTRIES_MAX,
            reading: tokio::sync::Mutex::default(),
            streams: Mutex::new(Arc::new([])),
        }
    }

    /// For whoever looks on beside those who route, at so many entries at a time.
    pub(crate) fn aside(ledger: Ledger, page_entries: u16) -> Self {
        Self {
            is_aside: true,
            page_entries: AtomicU16::new(page_entries),
            entries_max: page_entries,
            ..Self::new(ledger)
        }
    }

    /// How often it read entries of the ledger for routes that read on. The fewer, the more they share.
    #[must_use]
    pub fn reads(&self) -> u64 {
        self.reads.load(Ordering::Relaxed)
    }

    /// How many entries it had without reading them, because this process recorded them itself.
    #[must_use]
    pub fn handed_over(&self) -> u64 {
        self.handed_over.load(Ordering::Relaxed)
    }

    /// The ledger that it reads.
    pub(crate) fn ledger(&self) -> &Ledger {
        &self.ledger
    }

    /// What is read from now on is matched for this one, too; for the newest version of a route only.
    pub(crate) fn subscribe(&self, subscription: Subscription) {
        self.patterns.subscribe(subscription);
    }

    /// The entries from `from` on, at most `count_max`. `None` if there are none.
    pub(crate) async fn stretch(&self, from: Position, count_max: u16) -> Result<Option<Stretch>, ReadError> {
        if let Some(known) = self.known(from, count_max) {
            return Ok(known);
        }
        let turn = tokio::time::timeout(WAIT_MAX, self.reading.lock()).await;
        // Somebody may have read it meanwhile.
        if let Some(known) = self.known(from, count_max) {
            return Ok(known);
        }
        let (entries, read_at) = self.entries_from(from).await?;
        let Some(last) = entries.last() else {
            self.kept().end = Some((from, read_at));
            return Ok(None);
        };
        let until = Position(last.position.0 + 1);
        let streams = self.knowing(&entries).await?;
        let page = Arc::new(self.page(from, until, entries, &streams, read_at));
        self.keep(Arc::clone(&page));
        // Who waited finds it.
        drop(turn);
        Ok(Some(Stretch::of(page, from, count_max)))
    }

    /// The entries of a page from `from` on, and when they were true: those that this process itself just appended, or else what
    /// the ledger has.
    async fn entries_from(&self, from: Position) -> Result<(Vec<RecordedEntry>, Instant), ReadError> {
        let asked_at = Instant::now();
        let wanted = self.page_entries.load(Ordering::Relaxed);
        let read = if self.is_aside {
            self.ledger.read_now(from, wanted).await
        } else {
            self.ledger.read_on(from, wanted).await
        };
        let took_long = read.is_err() || asked_at.elapsed() > READ_TIME_MAX;
        let next = if took_long {
            wanted / 2
        } else {
            wanted.saturating_mul(2)
        };
        self.page_entries
            .store(next.clamp(1, self.entries_max), Ordering::Relaxed);
        let read = read?;
        self.handed_over.fetch_add(read.handed_over as u64, Ordering::Relaxed);
        self.reads
            .fetch_add(u64::from(read.handed_over < read.entries.len()), Ordering::Relaxed);
        Ok((read.entries, read.as_of))
    }

    /// The changes among the entries at these positions, lowest first, and how many bytes the bodies have.
    pub(crate) async fn changes_at(&self, positions: &[i64]) -> Result<(Vec<Arc<RecordedChange>>, usize), ReadError> {
        let entries = self.ledger.read_all_at(positions).await?;
        let bytes = entries.iter().map(|entry| entry.body_bytes).sum();
        let streams = self.knowing(&entries).await?;
        let changes = entries
            .into_iter()
            .filter_map(|entry| RecordedChange::of(entry, self.ledger.name(), &streams));
        Ok((changes.map(Arc::new).collect(), bytes))
    }

    fn page(
        &self,
        first: Position,
        until: Position,
        entries: Vec<RecordedEntry>,
        streams: &[Stream],
        read_at: Instant,
    ) -> Page {
        let bytes = entries.iter().map(|entry| entry.body_bytes).sum();
        let changes: Vec<RecordedChange> = entries
            .into_iter()
            .filter_map(|entry| RecordedChange::of(entry, self.ledger.name(), streams))
            .collect();
        let matched = self.patterns.match_all(&changes);
        Page {
            first,
            until,
            changes: changes.into_iter().map(Arc::new).collect(),
            matched,
            bytes,
            read_at,
            kept_at: Instant::now(),
        }
    }

    /// What is in memory from a position on, or that there is nothing; `None` if that is not known.
    #[expect(clippy::option_option, reason = "known to be nothing is not the same as not known")]
    fn known(&self, from: Position, count_max: u16) -> Option<Option<Stretch>> {
        let mut kept = self.kept();
        kept.pages.retain(|page| page.kept_at.elapsed() < PAGE_AGE_MAX);
        let has_it = |page: &&Arc<Page>| page.first <= from && from < page.until;
        if let Some(page) = kept.pages.iter().rev().find(has_it) {
            return Some(Some(Stretch::of(Arc::clone(page), from, count_max)));
        }
        let (end, seen_at) = kept.end?;
        let may_have_grown = *self.ledger.watch_size().borrow() > from.0 || seen_at.elapsed() >= NOTHING_AGE_MAX;
        (from >= end && !may_have_grown).then_some(None)
    }

    fn keep(&self, page: Arc<Page>) {
        let mut kept = self.kept();
        // What stands in the new page is of no use in an older one.
        kept.pages
            .retain(|older| older.first < page.first || page.until < older.until);
        kept.pages.push_back(page);
        let mut bytes: usize = kept.pages.iter().map(|page| page.bytes).sum();
        while kept.pages.len() > 1 && (kept.pages.len() > PAGES_MAX || bytes > BYTES_MAX) {
            bytes -= kept.pages.pop_front().map_or(0, |page| page.bytes);
        }
    }

    fn kept(&self) -> std::sync::MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The streams, those of these entries among them.
    async fn knowing(&self, entries: &[RecordedEntry]) -> Result<Arc<[Stream]>, ReadError> {
        let known = || self.streams.lock().unwrap_or_else(PoisonError::into_inner);
        let streams = Arc::clone(&known());
        let is_known = |entry: &RecordedEntry| {
            let origin = entry.entry.origin();
            origin.is_none_or(|origin| streams.iter().any(|stream| stream.arn == origin.stream))
        };
        if entries.iter().all(is_known) {
            return Ok(streams);
        }
        let streams: Arc<[Stream]> = self.ledger.streams().await?.into();
        *known() = Arc::clone(&streams);
        Ok(streams)
    }
}

impl Stretch {
    fn of(page: Arc<Page>, from: Position, count_max: u16) -> Self {
        let until = page.until.min(Position(from.0 + u64::from(count_max)));
        Self { page, from, until }
    }

    /// Leaves out what stands at `until` or behind it.
    pub(crate) fn cut(&mut self, until: Position) {
        self.until = self.until.min(until);
    }

    /// Behind its last position.
    pub(crate) fn until(&self) -> Position {
        self.until
    }

    /// When it was read.
    pub(crate) fn read_at(&self) -> Instant {
        self.page.read_at
    }

    /// The changes of it.
    pub(crate) fn changes(&self) -> &[Arc<RecordedChange>] {
        &self.page.changes[self.places()]
    }

    /// The changes that this one takes, of the items of a partition.
    pub(crate) fn taken_by(&self, subscription: &Subscription, partition: &Partition) -> Vec<Arc<RecordedChange>> {
        let matched = &self.page.matched;
        let mut taken = matched.taken_by(subscription, &self.page.changes, self.places());
        taken.retain(|change| partition.holds(change.lane));
        taken
    }

    fn places(&self) -> std::ops::Range<usize> {
        let place = |position| self.page.changes.partition_point(|change| change.position < position);
        place(self.from)..place(self.until)
    }
}
