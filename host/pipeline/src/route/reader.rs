//! From the ledger to deliveries: what stands behind the cursor, and once more what is parked.

mod ordered;

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use tokio::time::Instant;
use weir_ledger::{DatabaseError, DeadLetter, Erasing, Ledger, Parked, Partition, ReadError, TokenBytes};
use weir_model::Position;
use weir_runtime::HostError;

pub(super) use self::ordered::Resent;
use super::ahead::ahead_of;
use super::decide::{self, Decided, Delivery};
use super::share::Turns;
use super::version::{LoadedVersion, VersionError, Versions};
use crate::feed::{Feed, PAGE_ENTRIES_MAX, RecordedChange, Subscription};
use crate::gate::Gates;
use crate::{Activities, fault};

/// Parked deliveries of one item that are made again at a time, at most.
pub(super) const PARKED_OF_ITEM_MAX: u16 = 20;

/// Parked deliveries that are made again at a time, at most, and bytes of bodies beyond which the others are left for later.
const AGAIN_AT_ONCE: usize = 25;
const AGAIN_BYTES_MAX: usize = 8 << 20;

/// What cannot be made again as it was.
const NOT_REPEATABLE: (&str, &str) = (
    "not-repeatable",
    "the route's version does not make this delivery of the change any more",
);
const ERASED_IN_PART: (&str, &str) = (
    "erased-in-part",
    "an order to erase a part of the change was carried out since it was sent: what is left may be another payload under the same id",
);

/// Reads and decides. What it decides about a change depends on the change and the route's version at its position, on nothing
/// else.
pub(super) struct Reader {
    route: String,
    partition: Partition,
    /// How many there are.
    parts: usize,
    ledger: Ledger,
    feed: Arc<Feed>,
    versions: Versions,
    turns: Turns,
    gates: Arc<Gates>,
    activities: Activities,
    /// The change before which it stands still, and the version whose plugin failed on it.
    halted: Option<(Position, u32)>,
    /// Entries routed at a time: fewer where a plugin fails on many changes, for finding them has its limit.
    window_entries: u16,
}

/// What is next for a partition.
pub(super) enum Next {
    Window(Window),
    /// There is nothing yet, or the route halts there.
    Nothing,
    /// From there on the route has another number of partitions.
    Over,
}

/// What was decided about the entries from the cursor on.
pub(super) struct Window {
    /// Everything below was looked at.
    pub(super) next: Position,
    /// When these entries were read.
    pub(super) read_at: Instant,
    pub(super) deliveries: Vec<Delivery>,
    pub(super) dead_letters: Vec<DeadLetter>,
    /// The route stands still at `next`.
    pub(super) halt: Option<Halt>,
}

/// A change that the plugin failed on, of a route that halts then.
pub(super) struct Halt {
    pub(super) position: Position,
    pub(super) version: u32,
    pub(super) code: String,
}

/// A parked delivery, and what it is.
pub(super) struct MadeAgain {
    pub(super) parked: Parked,
    pub(super) remade: Remade,
}

/// What becomes of a parked delivery when it is made again.
pub(super) enum Remade {
    /// It can be sent.
    Delivery(Box<Delivery>),
    /// What was erased is routed no more.
    Erased,
    /// A part of it is ordered to be erased, and is there still.
    NotYet,
    /// There were too many before it: it is asked for again.
    Left,
    /// It cannot be made as it was: code and reason.
    Lost((&'static str, &'static str)),
}

/// What keeps a route from reading on for now. Its cursor stays where it is.
#[derive(Debug, thiserror::Error)]
pub(super) enum Hindrance {
    #[error("the ledger cannot be read")]
    Read(#[from] ReadError),
    #[error("the version for position {0} is not there")]
    NoVersion(Position),
    #[error("the ledger ends before position {0}")]
    NoEntry(Position),
    #[error("this process has no sink {0:?}: its configuration is older than the route's; others go on")]
    NoSink(String),
    #[error("its version cannot be loaded")]
    Version(#[from] VersionError),
    #[error("the plugin cannot be run")]
    Plugin(#[from] HostError),
}

impl From<DatabaseError> for Hindrance {
    fn from(error: DatabaseError) -> Self {
        Self::Read(error.into())
    }
}

impl Reader {
    pub(super) fn new(
        partition: Partition,
        parts: usize,
        feed: Arc<Feed>,
        versions: Versions,
        turns: Turns,
        gates: Arc<Gates>,
        activities: Activities,
    ) -> Self {
        Self {
            versions,
            turns,
            gates,
            route: partition.route.clone(),
            partition,
            parts,
            ledger: feed.ledger().clone(),
            feed,
            activities,
            halted: None,
            window_entries: PAGE_ENTRIES_MAX,
        }
    }

    /// Decides about the entries from `next` on, up to the route's next version.
    pub(super) async fn window(&mut self, next: Position) -> Result<Next, Hindrance> {
        loop {
            match self.try_window(next).await {
                Err(Hindrance::Plugin(HostError::TooMuchPoison)) if self.window_entries > 1 => {
                    self.window_entries /= 2;
                    tracing::warn!(
                        route = %self.route,
                        position = %next,
                        entries = self.window_entries,
                        "the plugin fails on many changes; they are routed fewer at a time"
                    );
                }
                Ok(Next::Window(window)) => {
                    self.window_entries = self.window_entries.saturating_mul(2).min(PAGE_ENTRIES_MAX);
                    return Ok(Next::Window(window));
                }
                outcome => return outcome,
            }
        }
    }

    async fn try_window(&mut self, next: Position) -> Result<Next, Hindrance> {
        let Some(mut stretch) = self.feed.stretch(next, self.window_entries).await? else {
            return Ok(Next::Nothing);
        };
        // Versions are entered under the head's lock: those read now are all there are for these positions.
        let (version, until) = self.versions.at(next).await?.ok_or(Hindrance::NoVersion(next))?;
        if usize::from(version.stored.definition.partitions.get()) != self.parts {
            return Ok(Next::Over);
        }
        if let Some(until) = until {
            stretch.cut(until);
        }
        let mut sinks = version.stored.definition.sinks.iter();
        if sinks.any(|sink| self.gates.get(sink).is_none())
            && let Some(sink) = ahead_of(&self.gates, &self.ledger).await?.remove(&self.route)
        {
            return Err(Hindrance::NoSink(sink));
        }
        if self.halted == Some((next, version.stored.version)) {
            // Until there is another version.
            return Ok(Next::Nothing);
        }
        let taken = stretch.taken_by(&version.subscription, &self.partition);
        let decided = decide::decide(&self.route, &version, taken, &self.activities).await?;
        decided.tell_passed(&self.route);
        fault::point("before-send");
        let halt = decided.halt.map(|(position, code)| Halt {
            position,
            version: version.stored.version,
            code,
        });
        self.halted = halt.as_ref().map(|halt| (halt.position, halt.version));
        Ok(Next::Window(Window {
            next: halt.as_ref().map_or(stretch.until(), |halt| halt.position),
            read_at: stretch.read_at(),
            deliveries: decided.deliveries,
            dead_letters: decided.dead_letters,
            halt,
        }))
    }

    /// Makes the first deliveries that are parked of these items at a sink again, in order for each item.
    pub(super) async fn parked(&mut self, sink: &str, items: &[TokenBytes]) -> Result<Vec<MadeAgain>, Hindrance> {
        let parked = {
            let _turn = self.turns.to_read.acquire().await;
            let parked = self.ledger.parked_of(&self.route, sink, items, PARKED_OF_ITEM_MAX);
            parked.await?
        };
        let (mut made, mut bytes, mut looked_at) = (HashMap::new(), 0, 0);
        for some in parked.chunks(AGAIN_AT_ONCE) {
            if bytes >= AGAIN_BYTES_MAX {
                break;
            }
            bytes += self.make_again(some, &mut made).await?;
            looked_at += some.len();
        }
        let positions = parked[..looked_at].iter().map(|parked| parked.position);
        let erasing = self.ledger.erasing(positions).await?;
        let remade = parked.into_iter().enumerate().map(|(index, parked)| {
            if index >= looked_at {
                let remade = Remade::Left;
                return MadeAgain { parked, remade };
            }
            let was_sent = parked.tried.is_some_and(|tried| tried.attempts > 0);
            let remade = match (erasing.get(&parked.position), made.remove(&parked.delivery)) {
                (Some(Erasing::Whole), _) => Remade::Erased,
                (Some(Erasing::Pending), _) => Remade::NotYet,
                (Some(Erasing::Done { .. }), _) if was_sent => Remade::Lost(ERASED_IN_PART),
                (_, Some(delivery)) => Remade::Delivery(Box::new(delivery)),
                (_, None) => Remade::Lost(NOT_REPEATABLE),
            };
            MadeAgain { parked, remade }
        });
        Ok(remade.collect())
    }

    /// Makes some parked deliveries again, by id. Says how many bytes the bodies of their changes have.
    async fn make_again(
        &mut self,
        parked: &[Parked],
        made: &mut HashMap<String, Delivery>,
    ) -> Result<usize, Hindrance> {
        let mut by_version: BTreeMap<(u32, Option<&str>), Vec<i64>> = BTreeMap::new();
        for delivery in parked {
            let of_version = by_version.entry((delivery.version, delivery.as_new.as_deref()));
            of_version.or_default().push(delivery.position.0.cast_signed());
        }
        let mut bytes = 0;
        for ((number, as_new), mut positions) in by_version {
            let Some(version) = self.versions.numbered(number).await? else {
                continue;
            };
            positions.sort_unstable();
            positions.dedup();
            for (decided, of_bodies) in self.decide_again(&version, positions).await? {
                bytes += of_bodies;
                let deliveries = decided.anew(as_new).deliveries;
                made.extend(deliveries.into_iter().map(|made| (made.id.to_string(), made)));
            }
        }
        Ok(bytes)
    }

    /// What a version makes of these positions, and how many bytes their bodies have: where the plugin fails on too many of them, of
    /// the halves.
    async fn decide_again(
        &mut self,
        version: &Arc<LoadedVersion>,
        positions: Vec<i64>,
    ) -> Result<Vec<(Decided, usize)>, Hindrance> {
        let mut parts = vec![positions];
        let mut made = Vec::new();
        while let Some(mut part) = parts.pop() {
            let (changes, bytes) = self.feed.changes_at(&part).await?;
            // Whoever watches was told when it was decided first.
            match self.decide(version, &changes, &Activities::new()).await {
                Ok(decided) => made.push((decided, bytes)),
                Err(HostError::TooMuchPoison) if part.len() > 1 => {
                    let half = part.split_off(part.len() / 2);
                    parts.extend([part, half]);
                }
                Err(error) => return Err(error.into()),
            }
        }
        Ok(made)
    }

    /// What a version makes of those that it takes.
    async fn decide(
        &self,
        version: &Arc<LoadedVersion>,
        changes: &[Arc<RecordedChange>],
        activities: &Activities,
    ) -> Result<Decided, HostError> {
        let Subscription { source, pattern, .. } = &version.subscription;
        let is_taken = |change: &RecordedChange| {
            change.source == *source && pattern.as_ref().is_none_or(|pattern| change.is_taken_by(pattern))
        };
        let taken = changes.iter().filter(|change| is_taken(change)).cloned().collect();
        decide::decide(&self.route, version, taken, activities).await
    }
}
