//! The index: which entries are about an item. A consumer of the ledger; it can be dropped and built anew.

use weir_evidence::ItemToken;
use weir_model::Position;

use crate::tail::{Next, Weighed};
use crate::{
    Consumer, ConsumerError, DatabaseError, Ledger, ReadError, RecordedEntry, TokenBytes, from_stored, in_time,
    to_stored,
};

/// Entries of some items, newest first.
#[derive(Clone, Debug)]
pub struct Indexed {
    /// The entries, each checked against what is stored.
    pub entries: Vec<RecordedEntry>,
    /// There may be older ones.
    pub has_more: bool,
    /// The index covers everything below. What was recorded after it is not found yet.
    pub indexed_to: Position,
}

/// Name of the index among the consumers.
const CONSUMER: &str = "index";

/// Bytes of the items that wait for the index, at most.
pub(crate) const ITEMS_BYTES_MAX: usize = 2 << 20;

/// What an entry that waits for the index is about.
impl Weighed for Option<TokenBytes> {
    fn bytes(&self) -> usize {
        // With its position and its time.
        48
    }
}

impl Ledger {
    /// Takes the index over.
    ///
    /// # Errors
    ///
    /// Postgres failed.
    pub async fn claim_index(&self) -> sqlx::Result<Consumer> {
        self.claim_consumer(CONSUMER, Position(0)).await
    }

    /// Enters at most `count_max` entries that follow the cursor, and moves it past them. Says how many there were. Bodies are not
    /// read for it, and entries only where this process did not just append them.
    ///
    /// # Errors
    ///
    /// The index was taken over, an entry is not what was recorded, or Postgres failed.
    pub async fn index(&self, consumer: &mut Consumer, count_max: u16) -> Result<usize, ConsumerError> {
        let items = self.items_from(consumer.next, count_max).await?;
        if items.is_empty() {
            return Ok(0);
        }
        let next = Position(consumer.next.0 + items.len() as u64);
        let placed = (consumer.next.0..).map(Position).zip(&items);
        let placed = placed.filter_map(|(position, item)| Some((item.as_ref()?, to_stored(position))));
        let mut placed: Vec<(&TokenBytes, i64)> = placed.collect();
        // In the order of the tree that they enter.
        placed.sort_unstable();
        let (tokens, positions): (Vec<&[u8]>, Vec<i64>) =
            placed.into_iter().map(|(token, at)| (token.as_slice(), at)).unzip();
        let entered = self.enter_items(consumer, next, &tokens, &positions, false).await;
        match entered {
            // The cursor was set back, or somebody else wrote there. Postgres notes it in its log, once for each page.
            Err(ConsumerError::Database(DatabaseError::Database(refused))) if refused.is_unique_violation() => {
                self.enter_items(consumer, next, &tokens, &positions, true).await?;
            }
            entered => entered?,
        }
        consumer.next = next;
        Ok(items.len())
    }

    /// Enters items and moves the cursor, in one transaction. Asking for each whether it is there takes longer than entering it.
    async fn enter_items(
        &self,
        consumer: &Consumer,
        next: Position,
        tokens: &[&[u8]],
        positions: &[i64],
        may_be_there: bool,
    ) -> Result<(), ConsumerError> {
        in_time(async {
            let mut tx = self.begin().await?;
            if may_be_there {
                sqlx::query!(
                    "
                    insert into item_index (ledger_id, token, position)
                    select $1, * from unnest($2::bytea[], $3::bigint[])
                    on conflict do nothing
                    ",
                    self.shared.id,
                    tokens as &[&[u8]],
                    positions,
                )
                .execute(&mut *tx)
                .await?;
            } else {
                sqlx::query!(
                    "
                    insert into item_index (ledger_id, token, position)
                    select $1, * from unnest($2::bytea[], $3::bigint[])
                    ",
                    self.shared.id,
                    tokens as &[&[u8]],
                    positions,
                )
                .execute(&mut *tx)
                .await?;
            }
            self.move_consumer(&mut tx, consumer, next).await?;
            Ok(tx.commit().await?)
        })
        .await
    }

    /// What the entries from a position on are about.
    async fn items_from(&self, from: Position, count_max: u16) -> Result<Vec<Option<TokenBytes>>, ReadError> {
        let mut items = Vec::new();
        loop {
            match self.shared.items.next(from, items.len(), count_max, usize::MAX) {
                Next::Take { rows, .. } => items.extend(rows),
                Next::Read(count) => {
                    let at = Position(from.0 + items.len() as u64);
                    let entries = self.bare_entries_from(at, count).await?;
                    items.extend(entries.iter().map(|(_, entry)| Some(entry.changed_item()?.token)));
                    if entries.len() < usize::from(count) {
                        return Ok(items);
                    }
                }
                Next::Nothing => return Ok(items),
            }
        }
    }

    /// Finds the newest entries of items that have one of these tokens, below position `before` if it is given.
    ///
    /// # Errors
    ///
    /// Postgres failed, or an entry is not what was recorded.
    pub async fn find_entries(
        &self,
        tokens: &[ItemToken],
        before: Option<Position>,
        count_max: u16,
    ) -> Result<Indexed, ReadError> {
        let tokens: Vec<Vec<u8>> = tokens.iter().map(|token| token.token.to_vec()).collect();
        let indexed_to = sqlx::query_scalar!(
            "select next_position from consumer where ledger_id = $1 and name = $2",
            self.shared.id,
            CONSUMER,
        )
        .fetch_optional(&self.shared.pool)
        .await?;
        let positions = sqlx::query_scalar!(
            "
            select position
            from item_index
            where ledger_id = $1 and token = any($2) and position < coalesce($3, 9223372036854775807)
            order by position desc
            limit $4
            ",
            self.shared.id,
            &tokens,
            before.map(crate::to_stored),
            i64::from(count_max),
        )
        .fetch_all(&self.shared.pool)
        .await?;
        let entries = self.read_at(&positions).await?;
        let has_more = positions.len() == usize::from(count_max) || entries.len() < positions.len();
        for recorded in &entries {
            let item = recorded.entry.changed_item();
            if !item.is_some_and(|item| tokens.contains(&item.token.to_vec())) {
                let found = "the index says that this entry is about an item that it is not about".to_owned();
                return Err(ReadError::Tampered {
                    position: recorded.position,
                    found,
                });
            }
        }
        Ok(Indexed {
            entries,
            has_more,
            indexed_to: from_stored(indexed_to.unwrap_or(0)),
        })
    }
}
