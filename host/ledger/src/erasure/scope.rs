//! Finds the positions that a selector is about. Entries are searched, not the index: an index can be incomplete.

use std::sync::atomic::Ordering;

use jiff::Timestamp;
use weir_evidence::{Body, EntryKind, Positions};
use weir_model::{AttributeValue, Position};

use super::{ErasureError, Selector};
use crate::{Ledger, RecordedEntry, in_time, to_stored};

/// Entries read at a time.
const PAGE_ENTRIES: u16 = 1000;

/// Entries that one statement searches: a second's work or two.
const SEARCH_ENTRIES: i64 = 200_000;

/// What a selector is about.
#[derive(Default)]
pub(super) struct Found {
    /// Bodies that are to be erased.
    pub(super) positions: Positions,
    /// Of a search for what is old: nothing below has a body that is left.
    pub(super) erased_to: Option<u64>,
}

impl Ledger {
    /// Bodies that a selector is about, and that have one of these attributes, if there are any names.
    pub(super) async fn positions_of(&self, selector: &Selector, names: &[String]) -> Result<Found, ErasureError> {
        let has_name = |body: &Body| names.is_empty() || names.iter().any(|name| has_attribute(body, name));
        let found = match selector {
            Selector::Item { table, keys } => {
                let token = self.shared.secret.item_token(table, keys);
                let text = format!("\"item\":\"{}:{}\"", token.key_id, hex::encode(token.token));
                let mut like = Vec::new();
                for (from, to) in self.search_parts().await? {
                    like.extend(in_time(self.with_text(text.as_bytes(), from, to)).await?);
                }
                // Orders and holds about an item carry its token too; only changes are erased.
                self.those_of(like, |recorded| {
                    recorded.entry.changed_item().is_some() && has_name(&recorded.body)
                })
                .await?
            }
            Selector::Amended(positions) => {
                let stored: Vec<i64> = positions.iter().copied().map(to_stored).collect();
                let left = self.stored_at(&stored).await?.into_iter().rev();
                let left = left.filter(|row| row.body.is_some());
                left.map(|row| row.position.cast_unsigned()).collect()
            }
            Selector::BodyKeys(keys) => {
                let mut sealed = Positions::default();
                for (from, to) in self.search_parts().await? {
                    let found = in_time(self.sealed_with(keys, from, to)).await?;
                    found
                        .into_iter()
                        .map(i64::cast_unsigned)
                        .for_each(|position| sealed.push(position));
                }
                sealed
            }
            Selector::Subject { attribute, value } => {
                let withheld = self.withheld_count().await?;
                if withheld > 0 {
                    return Err(ErasureError::Withheld(withheld));
                }
                let is_wanted = |recorded: &RecordedEntry| {
                    Some(has_value(&recorded.body, attribute, value) && has_name(&recorded.body))
                };
                self.scan(0, is_wanted).await?.positions
            }
            Selector::OlderThan(time) => {
                let from = self.shared.erased_to.load(Ordering::Relaxed);
                return self.scan(from, |recorded| is_older(recorded, *time)).await;
            }
        };
        Ok(Found {
            positions: found,
            erased_to: None,
        })
    }

    /// The whole ledger in parts, each from a position up to but not including another.
    async fn search_parts(&self) -> sqlx::Result<impl Iterator<Item = (i64, i64)>> {
        let size = to_stored(Position(self.head().await?.size));
        let begins = std::iter::successors(Some(0), |from| Some(from + SEARCH_ENTRIES));
        Ok(begins
            .take_while(move |from| *from < size)
            .map(|from| (from, from + SEARCH_ENTRIES)))
    }

    async fn with_text(&self, text: &[u8], from: i64, to: i64) -> sqlx::Result<Vec<i64>> {
        sqlx::query_scalar!(
            "
            select position
            from entry
            where ledger_id = $1 and position >= $2 and position < $3 and body is not null and position($4 in entry) > 0
            order by position
            ",
            self.shared.id,
            from,
            to,
            text,
        )
        .fetch_all(&self.shared.pool)
        .await
    }

    async fn sealed_with(&self, keys: &[i64], from: i64, to: i64) -> sqlx::Result<Vec<i64>> {
        sqlx::query_scalar!(
            "
            select position
            from entry
            where ledger_id = $1 and position >= $2 and position < $3 and body is not null and body_key = any($4)
            order by position
            ",
            self.shared.id,
            from,
            to,
            keys,
        )
        .fetch_all(&self.shared.pool)
        .await
    }

    async fn those_of(
        &self,
        positions: Vec<i64>,
        wanted: impl Fn(&RecordedEntry) -> bool,
    ) -> Result<Positions, ErasureError> {
        let mut those = Positions::default();
        for page in positions.chunks(usize::from(PAGE_ENTRIES)) {
            for recorded in self.read_all_at(page).await? {
                if wanted(&recorded) {
                    those.push(recorded.position.0);
                }
            }
        }
        Ok(those)
    }

    /// Changes and unknown records from `next` on that `wanted` picks, up to where it gives `None`.
    async fn scan(
        &self,
        mut next: u64,
        wanted: impl Fn(&RecordedEntry) -> Option<bool>,
    ) -> Result<Found, ErasureError> {
        let mut found = Found::default();
        loop {
            let page = self.read_from(Position(next), PAGE_ENTRIES).await?;
            let Some(last) = page.last() else {
                found.erased_to.get_or_insert(next);
                return Ok(found);
            };
            next = last.position.0 + 1;
            for recorded in page
                .iter()
                .filter(|recorded| is_of_the_source(recorded) && !recorded.is_erased)
            {
                let position = recorded.position.0;
                found.erased_to.get_or_insert(position);
                match wanted(recorded) {
                    None => return Ok(found),
                    Some(true) => found.positions.push(position),
                    Some(false) => {}
                }
            }
        }
    }
}

/// Whether an item of this body, before or after the change, has this value in this attribute.
pub(super) fn has_value(body: &Body, attribute: &str, value: &AttributeValue) -> bool {
    [&body.keys, &body.old, &body.new]
        .into_iter()
        .flatten()
        .any(|item| item.get(attribute) == Some(value))
}

fn has_attribute(body: &Body, attribute: &str) -> bool {
    [&body.keys, &body.old, &body.new]
        .into_iter()
        .flatten()
        .any(|item| item.contains_key(attribute))
}

fn is_of_the_source(recorded: &RecordedEntry) -> bool {
    matches!(
        recorded.entry.kind,
        EntryKind::Change { .. } | EntryKind::Withheld { .. } | EntryKind::Unknown { .. }
    )
}

/// Shards are recorded beside each other, but none is more than a day behind the others: the service keeps no more.
fn is_older(recorded: &RecordedEntry, time: Timestamp) -> Option<bool> {
    let day = jiff::SignedDuration::from_hours(24);
    let made = recorded.entry.time()?;
    match time.checked_add(day) {
        Ok(end) if made > end => None,
        _ => Some(made < time),
    }
}
