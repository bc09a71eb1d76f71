//! What is recorded, and what a route makes of it, for whoever looks on while it happens.
//!
//! ```text
//! ledger ── from a position on ──▶ what the route or the pattern takes ──▶ decided about, not sent ──▶ covered ──▶ shown
//! ```
//!
//! It reads the ledger beside the route, whichever process that runs in, and keeps nothing from it.
//!
//! # Invariants
//!
//! - No value of a change is shown that was not asked for by its path. Names of attributes are, also inside maps, and so are the
//!   types that a plugin gives its events, and the codes that it rejects changes with.
//! - What is shown is what the route's version at that position decides, though it may not have come there yet.

mod cover;
mod stand_in;

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use weir_ledger::{Erasing, Ledger, Partition};
use weir_model::{AttributedChange, Position};
use weir_routing::Pattern;
use weir_runtime::{HostError, Runtime};

use self::cover::Cover;
use super::decide::{self, Decided};
use super::explain::ExplainError;
use super::rehearsal;
use super::version::{LoadedVersion, Versions};
use crate::Activities;
use crate::feed::{Feed, RecordedChange};

/// Positions of one look, at most.
const PAGE_ENTRIES: u16 = 100;

/// What somebody looks at.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TapRequest {
    /// From this position on. Without it, what is recorded from now on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<u64>,
    /// Only what this route takes, and what it makes of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub route: Option<String>,
    /// Only what this event pattern takes: JSON text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pattern: Option<String>,
    /// Paths into `detail` whose values are shown, as JSON pointers: `/new/status`, `/actor`. An empty one shows everything.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub show: Vec<String>,
    /// With a case for `weir test` of each change. Wants a route.
    #[serde(default)]
    pub cases: bool,
}

/// What was recorded.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Tapped {
    /// Everything below this was looked at. Ask again from here.
    pub next: u64,
    /// What was taken, in order.
    pub changes: Vec<TappedChange>,
}

/// A change that was taken.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TappedChange {
    /// Its position.
    pub position: u64,
    /// Its event, as patterns see it; covered.
    pub event: Value,
    /// What the route sends, in order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub sent: Vec<TappedEvent>,
    /// Why something is set aside: `plugin-trap`, ..., or the code that the plugin rejects it with.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub dead_letters: Vec<String>,
    /// The change as a case, if that was asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub case: Option<TappedCase>,
}

/// An event for a sink.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TappedEvent {
    /// The sink.
    pub sink: String,
    /// What it gets; covered.
    pub event: Value,
}

/// A change with stand-ins for what is covered, and what the route makes of that.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TappedCase {
    /// As a stream has it, with `actor`.
    pub change: Value,
    /// What comes of it: `sink` and `type`, or `dead_letter`, or `halts`.
    pub expect: Vec<Value>,
    /// The same came of the change itself. Where not, it depends on a value that is covered.
    pub is_as_recorded: bool,
}

/// Why nothing can be looked at.
#[derive(Debug, thiserror::Error)]
pub enum TapError {
    /// The pattern is none.
    #[error("the pattern cannot be read: {0}")]
    Pattern(String),
    /// A path is none.
    #[error("{0:?} is no path into `detail`: write it like /new/status")]
    Path(String),
    /// Cases are of a route.
    #[error("a case is of a route: name one")]
    CaseOfNoRoute,
    /// The route cannot be asked.
    #[error(transparent)]
    Route(#[from] ExplainError),
}

/// Somebody who looks on.
pub struct Tap {
    feed: Arc<Feed>,
    cover: Cover,
    pattern: Option<Pattern>,
    route: Option<(String, Versions)>,
    cases: bool,
    next: Position,
    /// Positions of the next look. Fewer where a plugin fails on many changes, for finding them has its limit.
    entries: u16,
}

impl Tap {
    /// Begins to look.
    ///
    /// # Errors
    ///
    /// What is asked for cannot be read, or the ledger cannot.
    pub async fn open(ledger: &Ledger, runtime: &Runtime, request: TapRequest) -> Result<Self, TapError> {
        let feed = Arc::new(Feed::aside(ledger.clone(), PAGE_ENTRIES));
        if request.cases && request.route.is_none() {
            return Err(TapError::CaseOfNoRoute);
        }
        let pattern = request.pattern.as_deref().map(Pattern::parse).transpose();
        let route = request.route.map(|route| {
            let versions = Versions::new(route.clone(), Arc::clone(&feed), runtime.clone());
            (route, versions)
        });
        if let Some((route, versions)) = &route
            && versions.newest().await.map_err(ExplainError::from)?.is_none()
        {
            return Err(ExplainError::NoRoute(route.clone()).into());
        }
        let next = match request.from {
            Some(from) => from,
            None => ledger.head().await.map_err(ExplainError::from)?.size,
        };
        Ok(Self {
            cover: Cover::but_for(request.show).map_err(TapError::Path)?,
            pattern: pattern.map_err(|error| TapError::Pattern(error.to_string()))?,
            feed,
            route,
            cases: request.cases,
            next: Position(next),
            entries: PAGE_ENTRIES,
        })
    }

    /// Everything below this was looked at.
    #[must_use]
    pub fn next(&self) -> Position {
        self.next
    }

    /// What was recorded since the last look: at most 100 positions.
    ///
    /// # Errors
    ///
    /// The ledger cannot be read, or the route's version cannot be run.
    pub async fn look(&mut self) -> Result<Tapped, TapError> {
        loop {
            match self.look_at(self.entries).await {
                Err(ExplainError::Plugin(HostError::TooMuchPoison)) if self.entries > 1 => self.entries /= 2,
                looked => return Ok(looked?),
            }
        }
    }

    async fn look_at(&mut self, entries: u16) -> Result<Tapped, ExplainError> {
        let nothing = Tapped {
            next: self.next.0,
            changes: Vec::new(),
        };
        let Some(mut stretch) = self.feed.stretch(self.next, entries).await? else {
            return Ok(nothing);
        };
        let version = match &self.route {
            Some((route, versions)) => {
                let (version, until) = versions.at(self.next).await?.unzip();
                if let Some(until) = until.flatten() {
                    stretch.cut(until);
                }
                if version.is_none() {
                    let all = self.feed.ledger().route_versions(route).await?;
                    // Up to where the route begins, none takes anything.
                    if let Some(begins) = all.iter().map(|version| version.from_position).min() {
                        stretch.cut(begins);
                    }
                }
                version
            }
            None => None,
        };
        let mut taken = match (&self.route, &version) {
            (None, _) => stretch.changes().to_vec(),
            (Some((route, _)), Some(version)) => stretch.taken_by(&version.subscription, &Partition::whole(route)),
            // The route was not there yet.
            (Some(_), None) => Vec::new(),
        };
        if let Some(pattern) = &self.pattern {
            taken.retain(|change| change.is_taken_by(pattern));
        }
        let positions = taken.iter().map(|change| change.position);
        let erasing: BTreeMap<Position, Erasing> = self.feed.ledger().erasing(positions).await?;
        taken.retain(|change| match erasing.get(&change.position) {
            None => true,
            // What is left of it.
            Some(Erasing::Done { body_key }) => change.body_key == *body_key,
            Some(Erasing::Whole | Erasing::Pending) => false,
        });
        let mut changes: Vec<TappedChange> = taken.iter().map(|change| self.shown(change)).collect();
        if let (Some((route, _)), Some(version)) = (&self.route, version) {
            self.show_outcomes(route, &version, &taken, &mut changes).await?;
        }
        self.next = stretch.until();
        Ok(Tapped {
            next: self.next.0,
            changes,
        })
    }

    fn shown(&self, change: &RecordedChange) -> TappedChange {
        let event = change.event();
        TappedChange {
            position: change.position.0,
            event: self.cover.event(&event, &event),
            sent: Vec::new(),
            dead_letters: Vec::new(),
            case: None,
        }
    }

    /// Adds what a route's version makes of changes.
    async fn show_outcomes(
        &self,
        route: &str,
        version: &Arc<LoadedVersion>,
        taken: &[Arc<RecordedChange>],
        shown: &mut [TappedChange],
    ) -> Result<(), HostError> {
        let decided = decide::decide_past_halts(route, version, taken.to_vec()).await?;
        for (change, shown) in taken.iter().zip(shown.iter_mut()) {
            let of_change = decided
                .deliveries
                .iter()
                .filter(|delivery| delivery.position == change.position);
            shown.sent = of_change
                .map(|delivery| TappedEvent {
                    sink: delivery.sink.clone(),
                    event: self.cover.event(&delivery.event, &change.event()),
                })
                .collect();
            let letters = decided
                .dead_letters
                .iter()
                .filter(|letter| letter.position == change.position);
            shown.dead_letters = letters.map(|letter| letter.code.clone()).collect();
        }
        if self.cases {
            for (change, shown) in taken.iter().zip(shown) {
                shown.case = Some(self.case(route, version, change).await?);
            }
        }
        Ok(())
    }

    /// A change as a case, and what the route makes of that.
    async fn case(
        &self,
        route: &str,
        version: &Arc<LoadedVersion>,
        change: &Arc<RecordedChange>,
    ) -> Result<TappedCase, HostError> {
        let covered = Arc::new(RecordedChange {
            // Whoever tries the case has no other.
            stream: rehearsal::stream(),
            ..self.cover.stand_in(change)
        });
        let pattern = version.subscription.pattern.as_ref();
        let of_covered = if pattern.is_none_or(|pattern| covered.is_taken_by(pattern)) {
            vec![Arc::clone(&covered)]
        } else {
            Vec::new()
        };
        let expect = expected(&decide::decide(route, version, of_covered, &Activities::new()).await?);
        let of_itself = vec![Arc::clone(change)];
        let came = expected(&decide::decide(route, version, of_itself, &Activities::new()).await?);
        Ok(TappedCase {
            change: as_case(change, &covered),
            is_as_recorded: expect == came,
            expect,
        })
    }
}

/// What came of a change, as a case expects it.
fn expected(decided: &Decided) -> Vec<Value> {
    let sent = decided.deliveries.iter();
    let sent = sent.map(|delivery| json!({ "sink": delivery.sink, "type": delivery.event.detail_type }));
    let letters = decided
        .dead_letters
        .iter()
        .map(|letter| json!({ "dead_letter": letter.code }));
    let halts = decided.halt.iter().map(|(_, code)| json!({ "halts": code }));
    sent.chain(letters).chain(halts).collect()
}

/// The change as a stream has it, with what a stream does not say.
fn as_case(recorded: &RecordedChange, covered: &RecordedChange) -> Value {
    let AttributedChange { change, who } = &*covered.change;
    let mut case = change.to_stream_record(&recorded.stream);
    if let Some(actor) = &who.actor {
        case["actor"] = json!(actor);
    }
    case["assurance"] = json!(who.assurance);
    case
}
