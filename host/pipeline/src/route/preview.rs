//! What a replay would send, or a plugin that is not promoted yet, and how that differs from what the route makes of the same
//! changes: nothing is sent.
//!
//! ```text
//! changes of a page ──┬──▶ the version that routed each ───────────────┬──▶ by position, sink and type: same, other, more, less
//!                     └──▶ the version, or the plugin, that is to decide ─┘
//! ```
//!
//! # Invariants
//!
//! - A page is bounded, and says where the next one begins.
//! - What differs is what receivers would see of it: which plugin and which delivery it was is left out of the comparison.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use weir_ledger::{Erasing, Ledger, Partition, Replay, RouteDefinition, RouteVersion, TokenBytes};
use weir_model::Position;
use weir_runtime::{HostError, Manifest, Plugin, Runtime};

use super::decide::{self, Delivery, event_text};
use super::explain::ExplainError;
use super::version::{LoadedVersion, Versions};
use crate::Feed;
use crate::feed::{PAGE_ENTRIES_MAX, RecordedChange};

/// Differences that are told of a page, at most.
const DIFFERENCES_MAX: usize = 100;

/// Fields that are told of a difference, at most.
const FIELDS_MAX: usize = 10;

/// Characters of a value that are told.
const VALUE_CHARS_MAX: usize = 200;

/// What would come of a page of changes.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Preview {
    /// The first position that was looked at.
    pub from: u64,
    /// The first position that was not looked at: the next page begins there, unless it is the end.
    pub next: u64,
    /// The first position that is not meant any more.
    pub until: u64,
    /// Changes that are meant.
    pub changes: u64,
    /// Changes that are left out, for a part of them was erased.
    pub left_out: u64,
    /// Events for a sink that would be sent.
    pub sent: u64,
    /// Of these, those that say what the version says that routed the change.
    pub same: u64,
    /// Those that say something else.
    pub other: u64,
    /// Those that the version that routed the change does not make.
    pub more: u64,
    /// Events for a sink that the version that routed the change makes, and that would not be sent.
    pub less: u64,
    /// Changes that the plugin fails on or rejects: these are dead letters, or left out where the route halts.
    pub failed: u64,
    /// The first 100 that differ.
    pub differences: Vec<EventDifference>,
}

/// An event that would be sent otherwise than by the version that routed its change.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct EventDifference {
    /// The change.
    pub position: u64,
    /// The sink.
    pub sink: String,
    /// Type of the event.
    pub detail_type: String,
    /// What differs.
    pub kind: EventDifferenceKind,
    /// The first ten fields that differ, for what says something else.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub fields: Vec<FieldDifference>,
}

/// How an event differs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum EventDifferenceKind {
    /// It says something else.
    Other,
    /// It comes, and did not before.
    More,
    /// It does not come any more.
    Less,
}

/// A field that says something else.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FieldDifference {
    /// JSON pointer (RFC 6901) into the event.
    pub path: String,
    /// As the version makes it that routed the change, as JSON text, which may be cut; absent if it has no such field.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub before: Option<String>,
    /// As it would be sent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<String>,
}

/// What a route would run.
pub struct Candidate {
    /// What it would be.
    pub definition: RouteDefinition,
    /// The plugin that the definition names, with its tables.
    pub plugin: Plugin,
    /// What the plugin asks for.
    pub manifest: Arc<Manifest>,
}

/// The changes that are looked at, and who decides about them.
struct Question<'a> {
    route: &'a str,
    range: Range<Position>,
    /// Tokens of the items that are meant; none for all.
    tokens: &'a [TokenBytes],
    decides: Decides,
}

enum Decides {
    /// Whatever routed them.
    Before,
    /// The version of this number.
    Version(u32),
    Candidate(Arc<LoadedVersion>),
}

impl Preview {
    /// Looks at the first page of a replay: at most 1,000 positions, all routed by one version; fewer where a plugin fails on many
    /// changes, for finding them has its limit.
    ///
    /// # Errors
    ///
    /// The ledger cannot be read, or a version cannot be run.
    pub async fn of(ledger: &Ledger, runtime: &Runtime, replay: &Replay) -> Result<Self, ExplainError> {
        let question = Question {
            route: &replay.route,
            range: replay.next..replay.until,
            tokens: &replay.tokens,
            decides: replay.version.map_or(Decides::Before, Decides::Version),
        };
        Self::first_page(ledger, runtime, question).await
    }

    /// Looks at the first page of what a plugin would make of this range if it ran on the route, as [`of`](Self::of) does. The
    /// range may be empty: then there is nothing to tell.
    ///
    /// # Errors
    ///
    /// The ledger cannot be read, or the plugin or a version cannot be run.
    pub async fn of_candidate(
        ledger: &Ledger,
        runtime: &Runtime,
        route: &str,
        range: Range<Position>,
        candidate: Candidate,
    ) -> Result<Self, ExplainError> {
        if range.is_empty() {
            return Ok(Self {
                from: range.start.0,
                next: range.end.0,
                until: range.end.0,
                ..Self::default()
            });
        }
        let Candidate {
            definition,
            plugin,
            manifest,
        } = candidate;
        let stored = RouteVersion {
            // None that there is, so that nobody takes its pattern for another's.
            version: u32::MAX,
            from_position: range.start,
            plugin: Some(*plugin.digest()),
            definition,
        };
        let question = Question {
            route,
            range,
            tokens: &[],
            decides: Decides::Candidate(Arc::new(LoadedVersion::new(route, stored, Some((plugin, manifest)))?)),
        };
        Self::first_page(ledger, runtime, question).await
    }

    async fn first_page(ledger: &Ledger, runtime: &Runtime, question: Question<'_>) -> Result<Self, ExplainError> {
        let feed = Arc::new(Feed::aside(ledger.clone(), PAGE_ENTRIES_MAX));
        let versions = Versions::new(question.route.to_owned(), Arc::clone(&feed), runtime.clone());
        let mut entries = PAGE_ENTRIES_MAX;
        loop {
            match Self::page(&feed, &versions, &question, entries).await {
                Err(ExplainError::Plugin(HostError::TooMuchPoison)) if entries > 1 => entries /= 2,
                page => return page,
            }
        }
    }

    async fn page(
        feed: &Feed,
        versions: &Versions,
        question: &Question<'_>,
        entries: u16,
    ) -> Result<Self, ExplainError> {
        let (next, end, ledger) = (question.range.start, question.range.end, feed.ledger());
        let no_entry = || ExplainError::NoEntry {
            position: next,
            size: next.0,
        };
        let mut stretch = feed.stretch(next, entries).await?.ok_or_else(no_entry)?;
        stretch.cut(end);
        let (routed_by, until) = versions.at(next).await?.unzip();
        if let Some(until) = until.flatten() {
            stretch.cut(until);
        }
        let decides = match &question.decides {
            Decides::Before => routed_by.clone(),
            Decides::Version(number) => versions.numbered(*number).await?,
            Decides::Candidate(candidate) => Some(Arc::clone(candidate)),
        };
        let decides = decides.ok_or_else(|| ExplainError::NoRoute(question.route.to_owned()))?;
        let whole = Partition::whole(question.route);
        let meant = |version: &LoadedVersion| {
            let mut taken = stretch.taken_by(&version.subscription, &whole);
            taken.retain(|change| question.tokens.is_empty() || question.tokens.contains(&change.item.token));
            taken
        };
        let (mut taken, mut before) = (meant(&decides), routed_by.as_deref().map(meant).unwrap_or_default());
        let positions = taken.iter().chain(&before).map(|change| change.position);
        let erasing: BTreeMap<Position, Erasing> = ledger.erasing(positions).await?;
        let of_all = taken.len();
        for changes in [&mut taken, &mut before] {
            changes.retain(|change| !erasing.contains_key(&change.position));
        }
        let mut preview = Self {
            from: next.0,
            next: stretch.until().0,
            until: end.0,
            changes: taken.len() as u64,
            left_out: (of_all - taken.len()) as u64,
            ..Self::default()
        };
        let (sent, failed) = made(question.route, &decides, taken).await?;
        preview.failed = failed;
        preview.sent = sent.values().map(|events| events.len() as u64).sum();
        let before = match &routed_by {
            Some(routed_by) => made(question.route, routed_by, before).await?.0,
            None => Made::new(),
        };
        preview.compare(before, sent);
        Ok(preview)
    }

    fn compare(&mut self, mut before: Made, sent: Made) {
        for (place, after) in sent {
            let earlier = before.remove(&place).unwrap_or_default();
            for index in 0..after.len().max(earlier.len()) {
                match (earlier.get(index), after.get(index)) {
                    (Some(earlier), Some(after)) if earlier == after => self.same += 1,
                    (Some(earlier), Some(after)) => {
                        self.other += 1;
                        let mut fields = Vec::new();
                        differing(earlier, after, String::new(), &mut fields);
                        self.tell(&place, EventDifferenceKind::Other, fields);
                    }
                    (None, _) => {
                        self.more += 1;
                        self.tell(&place, EventDifferenceKind::More, Vec::new());
                    }
                    (_, None) => {
                        self.less += 1;
                        self.tell(&place, EventDifferenceKind::Less, Vec::new());
                    }
                }
            }
        }
        for (place, earlier) in before {
            for _ in earlier {
                self.less += 1;
                self.tell(&place, EventDifferenceKind::Less, Vec::new());
            }
        }
        self.differences.sort_by_key(|difference| difference.position);
    }

    fn tell(&mut self, (position, sink, detail_type): &Place, kind: EventDifferenceKind, fields: Vec<FieldDifference>) {
        if self.differences.len() < DIFFERENCES_MAX {
            self.differences.push(EventDifference {
                position: position.0,
                sink: sink.clone(),
                detail_type: detail_type.clone(),
                kind,
                fields,
            });
        }
    }
}

/// Position, sink and type of events.
type Place = (Position, String, String);

/// Events as receivers see them, in order of their place.
type Made = BTreeMap<Place, Vec<Value>>;

/// What a version makes of changes, and how many it fails on.
async fn made(
    route: &str,
    version: &Arc<LoadedVersion>,
    changes: Vec<Arc<RecordedChange>>,
) -> Result<(Made, u64), HostError> {
    // What a route halts at, a replay leaves out.
    let decided = decide::decide_past_halts(route, version, changes).await?;
    let mut made = Made::new();
    for delivery in &decided.deliveries {
        let place = (
            delivery.position,
            delivery.sink.clone(),
            delivery.event.detail_type.clone(),
        );
        made.entry(place).or_default().push(seen(delivery));
    }
    Ok((made, decided.dead_letters.len() as u64))
}

/// The event without what names the delivery and the plugin.
fn seen(delivery: &Delivery) -> Value {
    let mut event: Value = serde_json::from_str(&event_text(&delivery.event)).unwrap_or_default();
    if let Some(detail) = event.get_mut("detail").and_then(Value::as_object_mut) {
        detail.remove("delivery");
        detail.remove("plugin");
    }
    event
}

fn differing(before: &Value, after: &Value, path: String, fields: &mut Vec<FieldDifference>) {
    if before == after || fields.len() >= FIELDS_MAX {
        return;
    }
    let (Value::Object(left), Value::Object(right)) = (before, after) else {
        fields.push(FieldDifference {
            path,
            before: Some(short(before)),
            after: Some(short(after)),
        });
        return;
    };
    let names: std::collections::BTreeSet<&String> = left.keys().chain(right.keys()).collect();
    for name in names {
        let path = format!("{path}/{}", name.replace('~', "~0").replace('/', "~1"));
        match (left.get(name), right.get(name)) {
            (Some(before), Some(after)) => differing(before, after, path, fields),
            (before, after) if fields.len() < FIELDS_MAX => fields.push(FieldDifference {
                path,
                before: before.map(short),
                after: after.map(short),
            }),
            _ => {}
        }
    }
}

/// Its JSON text, and three dots where that is cut.
fn short(value: &Value) -> String {
    let text = value.to_string();
    match text.char_indices().nth(VALUE_CHARS_MAX) {
        Some((end, _)) => format!("{}...", &text[..end]),
        None => text,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn fields_that_differ_are_named_by_where_they_stand() {
        let mut fields = Vec::new();
        let before = json!({"detail": {"total": 20, "a/b": 1, "same": [1], "gone": true}});
        let after = json!({"detail": {"total": 25, "a/b": 2, "same": [1], "new": null}});
        differing(&before, &after, String::new(), &mut fields);
        let told = fields
            .iter()
            .map(|field| (field.path.as_str(), field.before.as_deref(), field.after.as_deref()));
        let told: Vec<_> = told.collect();
        assert_eq!(
            told,
            [
                ("/detail/a~1b", Some("1"), Some("2")),
                ("/detail/gone", Some("true"), None),
                ("/detail/new", None, Some("null")),
                ("/detail/total", Some("20"), Some("25")),
            ]
        );
    }

    #[test]
    fn no_more_fields_are_told_than_anybody_reads() {
        let many = |value: usize| {
            (0..50)
                .map(|name| (name.to_string(), json!(value)))
                .collect::<serde_json::Map<_, _>>()
        };
        let mut fields = Vec::new();
        differing(
            &Value::Object(many(1)),
            &Value::Object(many(2)),
            String::new(),
            &mut fields,
        );
        assert_eq!(fields.len(), FIELDS_MAX);
    }

    #[test]
    fn long_values_are_cut_between_characters() {
        assert_eq!(short(&json!("short")), "\"short\"");
        let long = short(&json!("ü".repeat(1000)));
        assert_eq!(
            (long.chars().count(), long.ends_with("ü...")),
            (VALUE_CHARS_MAX + 3, true)
        );
    }
}
