//! Holds: what must not be erased, for as long as they hold.

use jiff::Timestamp;
use sqlx::PgConnection;
use weir_evidence::{Body, Entry, EntryKind, HoldScope, HoldStage, Order, Positions};
use weir_model::{AttributeValue, Position};

use super::scope::has_value;
use super::{ErasureError, Selector, json, new_id};
use crate::append::OwnRecord;
use crate::{BodyKeyError, Ledger, ReadError, from_stored, in_time};

/// Entries read at a time.
const PAGE_ENTRIES: usize = 1000;

/// An order to hold.
#[derive(Clone, Debug, PartialEq)]
pub struct NewHold {
    /// What: an item or a subject.
    pub selector: Selector,
    /// Why. Recorded.
    pub reason: String,
    /// Who ordered it. Recorded.
    pub approver: String,
}

/// A hold that holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hold {
    /// Its id.
    pub id: String,
    /// `item` or `subject`.
    pub scope: String,
    /// Where it was placed.
    pub placed: Position,
    token: Option<Vec<u8>>,
}

/// Why a hold was not placed or released. Nothing has changed.
#[derive(Debug, thiserror::Error)]
pub enum HoldError {
    /// It is about an age: only an item or a subject can be held.
    #[error("an item or a subject can be held, not an age")]
    Age,
    /// There is no such hold, or it was released.
    #[error("no hold {0} is in force")]
    Unknown(String),
    /// Keys cannot be made.
    #[error("could not make a key")]
    BodyKey(#[from] BodyKeyError),
    /// What it is about cannot be read.
    #[error("could not read the hold")]
    Read(#[from] ReadError),
    /// Postgres failed.
    #[error("could not place or release the hold")]
    Database(#[from] sqlx::Error),
}

impl Ledger {
    /// Places a hold. From its return on, nothing that it covers is erased.
    ///
    /// # Errors
    ///
    /// Nothing was placed.
    pub async fn place_hold(&self, new: &NewHold, now: Timestamp) -> Result<Hold, HoldError> {
        let (scope, raw) = match &new.selector {
            Selector::Item { .. } => (HoldScope::Item, new.selector.to_string()),
            Selector::Subject { attribute, value } => (HoldScope::Subject, json(&(attribute, value))),
            Selector::OlderThan(_) | Selector::BodyKeys(_) | Selector::Amended(_) => return Err(HoldError::Age),
        };
        let token = self.token_of(&new.selector);
        let body = Body {
            actor: Some(new.approver.clone()),
            reason: Some(new.reason.clone()),
            raw: Some(raw),
            ..Body::default()
        };
        let (id, key) = (new_id()?, self.take_own_key().await?);
        let record = OwnRecord::sealed(&key, &body, |commitment| Entry {
            ledger: self.shared.name.clone(),
            kind: EntryKind::Hold(Order {
                commitment,
                id: id.clone(),
                scope,
                stage: HoldStage::Placed,
                item: token.clone(),
                bodies: None,
                time: now,
            }),
        });
        let token = token.map(|token| token.token.to_vec());
        let mut placed = Position(0);
        // Before the head, as erasures do.
        let (tx, _) = self.lock_holds().await?;
        self.append_own(&record, async |conn, position| {
            placed = position;
            sqlx::query!(
                "insert into hold (ledger_id, hold_id, scope, item_token, placed_position) values ($1, $2, $3, $4, $5)",
                self.shared.id,
                id,
                scope.as_str(),
                token,
                crate::to_stored(position),
            )
            .execute(conn)
            .await?;
            Ok(())
        })
        .await?;
        tx.commit().await?;
        Ok(Hold {
            id,
            scope: scope.as_str().to_owned(),
            placed,
            token,
        })
    }

    /// Releases a hold. Erasures that waited for it may go on.
    ///
    /// # Errors
    ///
    /// There is no such hold.
    pub async fn release_hold(&self, id: &str, reason: &str, approver: &str, now: Timestamp) -> Result<(), HoldError> {
        let holds = self.holds().await?;
        let hold = holds.into_iter().find(|hold| hold.id == id);
        let hold = hold.ok_or_else(|| HoldError::Unknown(id.to_owned()))?;
        let body = Body {
            actor: Some(approver.to_owned()),
            reason: Some(reason.to_owned()),
            ..Body::default()
        };
        let key = self.take_own_key().await?;
        let record = OwnRecord::sealed(&key, &body, |commitment| Entry {
            ledger: self.shared.name.clone(),
            kind: EntryKind::Hold(Order {
                commitment,
                id: hold.id.clone(),
                scope: HoldScope::from_name(&hold.scope).unwrap_or(HoldScope::Item),
                stage: HoldStage::Released,
                item: None,
                bodies: None,
                time: now,
            }),
        });
        let (tx, _) = self.lock_holds().await?;
        self.append_own(&record, async |conn, _| {
            sqlx::query!(
                "update hold set released_at = clock_timestamp() where ledger_id = $1 and hold_id = $2",
                self.shared.id,
                hold.id,
            )
            .execute(conn)
            .await?;
            Ok(())
        })
        .await?;
        tx.commit().await?;
        Ok(())
    }

    /// Holds that are in force, oldest first.
    ///
    /// # Errors
    ///
    /// Postgres failed.
    pub async fn holds(&self) -> sqlx::Result<Vec<Hold>> {
        in_time(async { self.holds_in(&mut *self.shared.pool.acquire().await?).await }).await
    }

    pub(super) async fn holds_in(&self, conn: &mut PgConnection) -> sqlx::Result<Vec<Hold>> {
        let rows = sqlx::query!(
            "
            select hold_id, scope, placed_position, item_token
            from hold
            where ledger_id = $1 and released_at is null
            order by placed_position
            ",
            self.shared.id,
        )
        .fetch_all(conn)
        .await?;
        Ok(rows
            .into_iter()
            .map(|row| Hold {
                id: row.hold_id,
                scope: row.scope,
                placed: from_stored(row.placed_position),
                token: row.item_token,
            })
            .collect())
    }

    /// Refuses positions of which one is held.
    pub(super) async fn check_holds(&self, holds: &[Hold], positions: &Positions) -> Result<(), ErasureError> {
        match self.held(holds, positions).await?.first() {
            Some((position, hold)) => Err(ErasureError::Held {
                hold: hold.clone(),
                position: Position(*position),
            }),
            None => Ok(()),
        }
    }

    /// Those of the positions that are held, and by what.
    pub(super) async fn held(&self, holds: &[Hold], positions: &Positions) -> Result<Vec<(u64, String)>, ErasureError> {
        if holds.is_empty() {
            return Ok(Vec::new());
        }
        let mut subjects = Vec::new();
        for hold in holds.iter().filter(|hold| hold.token.is_none()) {
            subjects.push((hold, self.subject_of(hold).await?));
        }
        let stored: Vec<i64> = positions.iter().map(u64::cast_signed).collect();
        let mut held = Vec::new();
        for page in stored.chunks(PAGE_ENTRIES) {
            for recorded in self.read_all_at(page).await? {
                let by_item = holds
                    .iter()
                    .find(|hold| match (&hold.token, recorded.entry.changed_item()) {
                        (Some(token), Some(item)) => token[..] == item.token,
                        _ => false,
                    });
                let by_subject = || {
                    let covers = |(_, (attribute, value)): &&(&Hold, (String, AttributeValue))| {
                        has_value(&recorded.body, attribute, value)
                    };
                    subjects.iter().find(covers).map(|(hold, _)| *hold)
                };
                if let Some(hold) = by_item.or_else(by_subject) {
                    held.push((recorded.position.0, hold.id.clone()));
                }
            }
        }
        Ok(held)
    }

    /// The attribute and value that a hold on a subject is about.
    async fn subject_of(&self, hold: &Hold) -> Result<(String, AttributeValue), ErasureError> {
        let recorded = self.read_at(&[crate::to_stored(hold.placed)]).await?;
        let raw = recorded.first().and_then(|recorded| recorded.body.raw.as_deref());
        let subject = raw.and_then(|raw| serde_json::from_str(raw).ok());
        subject.ok_or_else(|| {
            let found = "what this hold is about cannot be read".to_owned();
            ErasureError::Read(ReadError::Tampered {
                position: hold.placed,
                found,
            })
        })
    }
}
