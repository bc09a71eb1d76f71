//! Who made a change, and how far that can be trusted.
//!
//! DynamoDB tells who only when a service made the change. Everything else is a claim that the application wrote into
//! the item, and two traps make claims lie:
//!
//! - On a delete, the old image names the *previous* writer.
//! - On an edit by hand, `updated_by` stays as it was: *stale*, the name of someone who did nothing.
//!
//! So a claim counts only if a second attribute, the *freshness*, moved in the same change.

use std::cmp::Ordering;

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use crate::{AttributeValue, Change, Item, Number, Operation, Path, ServiceIdentity};

/// How far a freshness time may lie from the change (design, "Who").
const FRESHNESS_WINDOW: SignedDuration = SignedDuration::from_mins(5);

/// How long before a delete its tombstone may have been set (design, "Who").
const TOMBSTONE_WINDOW: SignedDuration = SignedDuration::from_secs(60);

/// Source times are whole seconds: a tombstone of the same second may seem to lie after the delete.
const SOURCE_TIME_RESOLUTION: SignedDuration = SignedDuration::from_secs(1);

/// How a stream calls a service that made a change.
const SERVICE: &str = "Service";

/// How far a statement of who can be trusted, from least to most.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Assurance {
    /// Nobody is named, or the name is stale.
    Unknown,
    /// A service of the database: a TTL delete.
    System,
    /// Someone who wrote the item at some time; not known to have made this change.
    LastWriter,
    /// The writer said so, in this change.
    Claimed,
    /// The writer proved it with a signature.
    Signed,
    /// A second, independent source says the same.
    Corroborated,
}

impl Assurance {
    /// `unknown`, `system`, `last-writer`, `claimed`, `signed` or `corroborated`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Unknown => "unknown",
            Self::System => "system",
            Self::LastWriter => "last-writer",
            Self::Claimed => "claimed",
            Self::Signed => "signed",
            Self::Corroborated => "corroborated",
        }
    }
}

/// Who made a change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Who {
    /// The name, if there is one.
    pub actor: Option<String>,
    /// What the name is worth.
    pub assurance: Assurance,
}

/// Where a table's items say who wrote them.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ActorRule {
    /// JSON pointer or plain name of the attribute that names the writer, a text: `updated_by`.
    pub attribute: String,

    /// Attribute that every honest write moves: `updated_at`.
    ///
    /// A number moves when it grows; text moves when it changes, and text that is an RFC 3339 time or a `UUIDv7` when
    /// its time grows. Times (also numbers that are seconds or milliseconds since 1970) must lie within 5 minutes of
    /// the change. Without this attribute no claim can be told from a stale one, and the most is `last-writer`.
    #[serde(default)]
    pub freshness: Option<String>,

    /// Attribute that is set on an item just before it is deleted: `deleted_at`, a time. A delete within 60 seconds
    /// of it was made by the one whom `attribute` names; every other delete has no known actor.
    #[serde(default)]
    pub tombstone: Option<String>,
}

impl ActorRule {
    /// Says who made `change`.
    #[must_use]
    pub fn resolve(&self, change: &Change) -> Who {
        if let Some(who) = Who::of_service(change) {
            return who;
        }
        match change.operation {
            Operation::Insert => self.resolve_write(change.new.as_ref(), None, change),
            Operation::Modify => match (&change.old, &change.new) {
                (Some(old), new) => self.resolve_write(new.as_ref(), Some(old), change),
                (None, new) => Who::last_writer(new.as_ref().and_then(|new| self.claim(new))),
            },
            Operation::Remove => self.resolve_remove(change),
        }
    }

    fn resolve_write(&self, new: Option<&Item>, old: Option<&Item>, change: &Change) -> Who {
        let Some((new, claim)) = new.and_then(|new| Some((new, self.claim(new)?))) else {
            return Who::UNKNOWN;
        };
        let Some(freshness) = &self.freshness else {
            return Who::last_writer(Some(claim));
        };
        let before = old.and_then(|old| find_named(old, freshness));
        match find_named(new, freshness) {
            Some(after) if moved_forward(before, after) && near(after, change.created_at) => Who {
                actor: Some(claim.to_owned()),
                assurance: Assurance::Claimed,
            },
            _ => Who::UNKNOWN,
        }
    }

    fn resolve_remove(&self, change: &Change) -> Who {
        let Some((old, claim)) = change.old.as_ref().and_then(|old| Some((old, self.claim(old)?))) else {
            return Who::UNKNOWN;
        };
        let tombstone = self
            .tombstone
            .as_ref()
            .and_then(|path| find_named(old, path))
            .and_then(time_of);
        match tombstone {
            Some(set_at) if within_tombstone_window(set_at, change.created_at) => Who {
                actor: Some(claim.to_owned()),
                assurance: Assurance::Claimed,
            },
            _ => Who::last_writer(Some(claim)),
        }
    }

    fn claim<'item>(&self, image: &'item Item) -> Option<&'item str> {
        find_named(image, &self.attribute)?
            .as_text()
            .filter(|name| !name.is_empty())
    }
}

impl Who {
    const UNKNOWN: Self = Self {
        actor: None,
        assurance: Assurance::Unknown,
    };

    /// Says who made `change` where no rule is configured: a service, or nobody known.
    #[must_use]
    pub fn without_rule(change: &Change) -> Self {
        Self::of_service(change).unwrap_or(Self::UNKNOWN)
    }

    /// The service that made the change, if one did.
    #[must_use]
    pub fn service(&self) -> Option<ServiceIdentity> {
        let principal = self.actor.clone().filter(|_| self.assurance == Assurance::System)?;
        Some(ServiceIdentity {
            kind: SERVICE.to_owned(),
            principal,
        })
    }

    fn of_service(change: &Change) -> Option<Self> {
        let service = change.service.as_ref().filter(|service| service.kind == SERVICE)?;
        Some(Self {
            actor: Some(service.principal.clone()),
            assurance: Assurance::System,
        })
    }

    fn last_writer(claim: Option<&str>) -> Self {
        claim.map_or(Self::UNKNOWN, |name| Self {
            actor: Some(name.to_owned()),
            assurance: Assurance::LastWriter,
        })
    }
}

/// Finds by JSON pointer, or by plain attribute name.
fn find_named<'item>(item: &'item Item, name: &str) -> Option<&'item AttributeValue> {
    match Path::parse(name) {
        Some(path) => path.find(item),
        None => item.get(name),
    }
}

fn moved_forward(before: Option<&AttributeValue>, after: &AttributeValue) -> bool {
    let Some(before) = before else { return true };
    match (before, after) {
        (AttributeValue::N(before), AttributeValue::N(after)) => after.cmp_value(before) == Ordering::Greater,
        (AttributeValue::S(before_text), AttributeValue::S(after_text)) => {
            match (text_time(before_text), text_time(after_text)) {
                // UUIDv7 has milliseconds: two of the same millisecond are two claims.
                (Some(before), Some(after)) => {
                    after > before || (after == before && is_uuid_pair(before_text, after_text))
                }
                _ => before_text != after_text,
            }
        }
        _ => before != after,
    }
}

fn is_uuid_pair(before: &str, after: &str) -> bool {
    before != after && uuid::Uuid::try_parse(before).is_ok() && uuid::Uuid::try_parse(after).is_ok()
}

/// Whether `freshness` lies near the change, as far as it is a time at all.
fn near(freshness: &AttributeValue, created_at: Timestamp) -> bool {
    time_of(freshness).is_none_or(|time| time.duration_since(created_at).abs() <= FRESHNESS_WINDOW)
}

fn within_tombstone_window(set_at: Timestamp, deleted_at: Timestamp) -> bool {
    let age = deleted_at.duration_since(set_at);
    (-SOURCE_TIME_RESOLUTION..=TOMBSTONE_WINDOW).contains(&age)
}

fn time_of(value: &AttributeValue) -> Option<Timestamp> {
    match value {
        AttributeValue::S(text) => text_time(text),
        AttributeValue::N(number) => number_time(number),
        _ => None,
    }
}

fn text_time(text: &str) -> Option<Timestamp> {
    if let Ok(time) = text.parse() {
        return Some(time);
    }
    let id = uuid::Uuid::try_parse(text)
        .ok()
        .filter(|id| id.get_version_num() == 7)?;
    let (seconds, nanoseconds) = id.get_timestamp()?.to_unix();
    Timestamp::new(i64::try_from(seconds).ok()?, i32::try_from(nanoseconds).ok()?).ok()
}

/// Seconds since 1970 for values of the years 2001 to 2286, milliseconds for the same span. A version number stays far
/// below both.
fn number_time(number: &Number) -> Option<Timestamp> {
    let value = number.to_f64();
    #[expect(clippy::cast_possible_truncation, reason = "bounded by the ranges")]
    match value {
        1e9..1e10 => Timestamp::from_millisecond((value * 1e3) as i64).ok(),
        1e12..1e13 => Timestamp::from_millisecond(value as i64).ok(),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{EventId, SequenceNumber, ServiceIdentity};

    const CHANGED_AT: &str = "2026-03-01T12:00:00Z";

    /// `old` and `new` are DynamoDB-JSON; the answer reads `maria claimed`.
    #[track_caller]
    fn check(operation: Operation, old: Option<&str>, new: Option<&str>, expected: &str) {
        let who = rule().resolve(&change(operation, old, new));
        let text = format!("{} {}", who.actor.as_deref().unwrap_or("-"), who.assurance.as_str());
        assert_eq!(text, expected);
    }

    fn rule() -> ActorRule {
        ActorRule {
            attribute: "updated_by".to_owned(),
            freshness: Some("updated_at".to_owned()),
            tombstone: Some("deleted_at".to_owned()),
        }
    }

    fn change(operation: Operation, old: Option<&str>, new: Option<&str>) -> Change {
        let item = |text: &str| serde_json::from_str::<Item>(text).unwrap();
        Change {
            sequence: SequenceNumber::parse("1").unwrap(),
            event_id: EventId::parse("e").unwrap(),
            table: "orders".to_owned(),
            operation,
            created_at: CHANGED_AT.parse().unwrap(),
            keys: Item::new(),
            old: old.map(item),
            new: new.map(item),
            service: None,
        }
    }

    fn image(actor: &str, freshness: &str) -> String {
        format!(r#"{{"updated_by":{{"S":"{actor}"}},"updated_at":{freshness}}}"#)
    }

    #[test]
    fn a_claim_counts_when_the_freshness_moved_in_the_same_change() {
        let old = image("jonas", r#"{"S":"2026-03-01T11:00:00Z"}"#);
        let new = image("maria", r#"{"S":"2026-03-01T12:00:00.250Z"}"#);
        check(Operation::Modify, Some(&old), Some(&new), "maria claimed");
        check(Operation::Insert, None, Some(&new), "maria claimed");
    }

    #[test]
    fn an_edit_by_hand_that_left_the_freshness_alone_has_no_actor() {
        let stale = image("maria", r#"{"S":"2026-03-01T11:59:00Z"}"#);
        check(Operation::Modify, Some(&stale), Some(&stale), "- unknown");
    }

    #[test]
    fn a_freshness_that_went_back_or_lies_far_from_the_change_is_no_claim() {
        let old = image("jonas", r#"{"S":"2026-03-01T11:59:00Z"}"#);
        check(
            Operation::Modify,
            Some(&old),
            Some(&image("maria", r#"{"S":"2026-03-01T11:58:59Z"}"#)),
            "- unknown",
        );
        check(
            Operation::Modify,
            Some(&old),
            Some(&image("maria", r#"{"S":"2026-03-01T12:05:01Z"}"#)),
            "- unknown",
        );
        check(
            Operation::Insert,
            None,
            Some(&image("maria", r#"{"S":"2025-03-01T12:00:00Z"}"#)),
            "- unknown",
        );
    }

    #[test]
    fn a_version_must_grow_and_is_not_taken_for_a_time() {
        let old = image("jonas", r#"{"N":"7"}"#);
        check(
            Operation::Modify,
            Some(&old),
            Some(&image("maria", r#"{"N":"8"}"#)),
            "maria claimed",
        );
        check(
            Operation::Modify,
            Some(&old),
            Some(&image("maria", r#"{"N":"7.0"}"#)),
            "- unknown",
        );
    }

    #[test]
    fn a_claim_id_must_change_and_a_uuidv7_must_be_of_now() {
        let old = image("jonas", r#"{"S":"claim-1"}"#);
        check(
            Operation::Modify,
            Some(&old),
            Some(&image("maria", r#"{"S":"claim-2"}"#)),
            "maria claimed",
        );
        check(
            Operation::Modify,
            Some(&old),
            Some(&image("maria", r#"{"S":"claim-1"}"#)),
            "- unknown",
        );
        // 017f22e2-79b0 is 2022-02-22T19:22:22Z (RFC 9562, appendix A.6).
        let rfc_example = image("maria", r#"{"S":"017f22e2-79b0-7cc3-98c4-dc0c0c07398f"}"#);
        check(Operation::Insert, None, Some(&rfc_example), "- unknown");
    }

    #[test]
    fn without_an_old_image_the_most_is_the_last_writer() {
        let new = image("maria", r#"{"S":"2026-03-01T12:00:00Z"}"#);
        check(Operation::Modify, None, Some(&new), "maria last-writer");
    }

    #[test]
    fn a_delete_names_the_last_writer_unless_a_tombstone_was_just_set() {
        let plain = image("maria", r#"{"S":"2026-03-01T11:00:00Z"}"#);
        check(Operation::Remove, Some(&plain), None, "maria last-writer");
        let with_tombstone = |time: &str| format!(r#"{{"updated_by":{{"S":"maria"}},"deleted_at":{{"S":"{time}"}}}}"#);
        check(
            Operation::Remove,
            Some(&with_tombstone("2026-03-01T11:59:01Z")),
            None,
            "maria claimed",
        );
        check(
            Operation::Remove,
            Some(&with_tombstone("2026-03-01T12:00:00.900Z")),
            None,
            "maria claimed",
        );
        check(
            Operation::Remove,
            Some(&with_tombstone("2026-03-01T11:58:59Z")),
            None,
            "maria last-writer",
        );
        check(Operation::Remove, None, None, "- unknown");
    }

    /// streams.md 30: a TTL delete names the service.
    #[test]
    fn a_ttl_delete_was_made_by_the_service() {
        let mut change = change(Operation::Remove, Some(&image("maria", r#"{"N":"1"}"#)), None);
        change.service = Some(ServiceIdentity {
            kind: "Service".to_owned(),
            principal: "dynamodb.amazonaws.com".to_owned(),
        });
        let who = rule().resolve(&change);
        assert_eq!(
            (who.actor.as_deref(), who.assurance),
            (Some("dynamodb.amazonaws.com"), Assurance::System)
        );
    }
}
