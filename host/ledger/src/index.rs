//! The index: which entries are about an item. A consumer of the ledger; it can be dropped and built anew.

use weir_evidence::ItemToken;
use weir_model::Position;

use crate::{Consumer, ConsumerError, Ledger, ReadError, RecordedEntry, from_stored, in_time};

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
    /// read for it.
    ///
    /// # Errors
    ///
    /// The index was taken over, an entry is not what was recorded, or Postgres failed.
    pub async fn index(&self, consumer: &mut Consumer, count_max: u16) -> Result<usize, ConsumerError> {
        let entries = self.bare_entries_from(consumer.next, count_max).await?;
        let Some((last, _)) = entries.last() else { return Ok(0) };
        let next = Position(last.0 + 1);
        let items = entries.iter().filter_map(|(position, entry)| {
            let item = entry.changed_item()?;
            Some((item.token.to_vec(), crate::to_stored(*position)))
        });
        let (tokens, positions): (Vec<Vec<u8>>, Vec<i64>) = items.unzip();
        in_time(async {
            let mut tx = self.begin().await?;
            sqlx::query!(
                "
            insert into item_index (ledger_id, token, position)
            select $1, found.token, found.position from unnest($2::bytea[], $3::bigint[]) as found (token, position)
            on conflict do nothing
            ",
                self.shared.id,
                &tokens,
                &positions,
            )
            .execute(&mut *tx)
            .await?;
            self.move_consumer(&mut tx, consumer, next).await?;
            Ok::<_, ConsumerError>(tx.commit().await?)
        })
        .await?;
        consumer.next = next;
        Ok(entries.len())
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
