//! Finds the positions that a selector is about. Entries are searched, not the index: an index can be incomplete.

use jiff::Timestamp;
use weir_evidence::{Body, EntryKind, Positions};
use weir_model::{AttributeValue, Position};

use super::{ErasureError, Selector};
use crate::{Ledger, RecordedEntry, in_time};

/// Entries read at a time.
const PAGE_ENTRIES: u16 = 1000;

impl Ledger {
    pub(super) async fn positions_of(&self, selector: &Selector) -> Result<Positions, ErasureError> {
        match selector {
            Selector::Item { table, keys } => {
                let token = self.shared.secret.item_token(table, keys);
                let text = format!("\"item\":\"{}:{}\"", token.key_id, hex::encode(token.token));
                let found = sqlx::query_scalar!(
                    "select position from entry where ledger_id = $1 and body is not null and position($2 in entry) > 0",
                    self.shared.id,
                    text.as_bytes(),
                )
                .fetch_all(&self.shared.pool);
                let found = in_time::<_, sqlx::Error>(found).await?;
                let mut positions = Positions::default();
                // Orders and holds about an item carry its token too; only changes are erased.
                let mut sorted = found;
                sorted.sort_unstable();
                for page in sorted.chunks(usize::from(PAGE_ENTRIES)) {
                    let mut read = self.read_all_at(page).await?;
                    read.retain(|recorded| matches!(recorded.entry.kind, EntryKind::Change { .. }));
                    read.iter().for_each(|recorded| positions.push(recorded.position.0));
                }
                Ok(positions)
            }
            Selector::Subject { attribute, value } => {
                self.scan(|recorded| Some(has_value(&recorded.body, attribute, value)))
                    .await
            }
            Selector::OlderThan(time) => self.scan(|recorded| is_older(recorded, *time)).await,
        }
    }

    /// Changes and unknown records that `wanted` picks, up to where it gives `None`.
    async fn scan(&self, wanted: impl Fn(&RecordedEntry) -> Option<bool>) -> Result<Positions, ErasureError> {
        let (mut positions, mut next) = (Positions::default(), 0);
        loop {
            let page = self.read_from(Position(next), PAGE_ENTRIES).await?;
            let Some(last) = page.last() else { return Ok(positions) };
            next = last.position.0 + 1;
            for recorded in page
                .iter()
                .filter(|recorded| is_of_the_source(recorded) && !recorded.is_erased)
            {
                match wanted(recorded) {
                    None => return Ok(positions),
                    Some(true) => positions.push(recorded.position.0),
                    Some(false) => {}
                }
            }
        }
    }

    /// Reads all of these, lowest first.
    pub(super) async fn read_all_at(&self, positions: &[i64]) -> Result<Vec<RecordedEntry>, ErasureError> {
        let mut read = Vec::with_capacity(positions.len());
        let mut left = positions.to_vec();
        while !left.is_empty() {
            let page = self.read_at(&left).await?;
            let lowest = page.last().map(|recorded| crate::to_stored(recorded.position));
            left.retain(|position| Some(*position) < lowest);
            read.extend(page);
        }
        read.sort_by_key(|recorded| recorded.position);
        Ok(read)
    }
}

/// Whether an item of this body, before or after the change, has this value in this attribute.
pub(super) fn has_value(body: &Body, attribute: &str, value: &AttributeValue) -> bool {
    [&body.keys, &body.old, &body.new]
        .into_iter()
        .flatten()
        .any(|item| item.get(attribute) == Some(value))
}

fn is_of_the_source(recorded: &RecordedEntry) -> bool {
    matches!(
        recorded.entry.kind,
        EntryKind::Change { .. } | EntryKind::Unknown { .. }
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
