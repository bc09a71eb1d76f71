//! Erasure: bodies, or attributes of them, are made unreadable for good; entries and proofs stay.
//!
//! ```text
//! order ──▶ intent entry (what, on what basis, by whom) ──▶ chunk by chunk: bodies emptied or rewritten, their keys
//!                                                           destroyed, copies removed ──▶ key table rewritten ──▶ done entry
//! ```
//!
//! # Invariants
//!
//! - Nothing is erased before its order is in the ledger, and an order that was begun is carried out after any crash.
//! - What is held is not erased: holds and erasures take the same lock.
//! - The head is locked for the two entries only, never while bodies are erased.

mod carry_out;
mod destroy;
mod hold;
mod scope;

use jiff::Timestamp;
use sqlx::{Postgres, Transaction};
use weir_evidence::{Body, Entry, EntryKind, ErasurePlan, ErasureScope, ErasureStage, ItemToken, Order};
use weir_model::{AttributeValue, Item, Position};

use crate::append::OwnRecord;
use crate::{BodyKeyError, Ledger, ReadError, from_stored, in_time};

pub use self::hold::{Hold, HoldError, NewHold};

/// What an erasure or a hold is about.
#[derive(Clone, Debug, PartialEq)]
pub enum Selector {
    /// One item.
    Item {
        /// Its table.
        table: String,
        /// Its key.
        keys: Item,
    },
    /// Everything whose item, before or after the change, has this value in this attribute.
    Subject {
        /// Name of the attribute.
        attribute: String,
        /// Its value.
        value: AttributeValue,
    },
    /// Changes and unknown records that were made before this time. For erasures only.
    OlderThan(Timestamp),
}

/// An order to erase.
#[derive(Clone, Debug, PartialEq)]
pub struct NewErasure {
    /// What.
    pub selector: Selector,
    /// Names of attributes, where not all of the bodies is to be erased. They go from keys and images.
    pub attributes: Vec<String>,
    /// The legal basis, or whatever reason there is. Recorded.
    pub basis: String,
    /// Who approved it. Recorded.
    pub approver: String,
}

/// An order to erase, as it stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Erasure {
    /// Its id.
    pub id: String,
    /// `attribute`, `item`, `subject` or `retention`.
    pub scope: String,
    /// Where the order stands in the ledger.
    pub intent: Position,
    /// Bodies that were emptied or changed so far.
    pub bodies: u64,
    /// When it was done.
    pub done_at: Option<Timestamp>,
}

/// Why an order was not taken or not carried out.
#[derive(Debug, thiserror::Error)]
pub enum ErasureError {
    /// Something of it is held. An order that was taken goes on when the hold is released.
    #[error("hold {hold} keeps position {position} from being erased; release it first")]
    Held {
        /// The hold.
        hold: String,
        /// A position that it covers.
        position: Position,
    },
    /// Nothing in the ledger is like that. Nothing was written.
    #[error("nothing is recorded of that, so there is nothing to erase")]
    Nothing,
    /// A body cannot be read. Nothing of its chunk was erased.
    #[error("could not read what is to be erased")]
    Read(#[from] ReadError),
    /// Keys cannot be read or made.
    #[error("could not read or make keys of bodies")]
    BodyKey(#[from] BodyKeyError),
    /// What has to be noted outside the database could not be. Nothing of its chunk was erased.
    #[error("the erasure could not be noted beside the guard")]
    Journal(#[source] std::io::Error),
    /// Postgres failed. Carrying out goes on where it stood.
    #[error("could not erase")]
    Database(#[from] sqlx::Error),
}

impl Ledger {
    /// Takes an order: finds what it is about, and enters it. It is not carried out yet.
    ///
    /// # Errors
    ///
    /// Nothing is like that, something of it is held, or the ledger cannot be read.
    pub async fn order_erasure(&self, new: &NewErasure, now: Timestamp) -> Result<Erasure, ErasureError> {
        let positions = self.positions_of(&new.selector).await?;
        if positions.is_empty() {
            return Err(ErasureError::Nothing);
        }
        let (tx, holds) = self.lock_holds().await?;
        let positions = match new.selector {
            Selector::OlderThan(_) => self.not_held(&holds, positions).await?,
            _ => {
                self.check_holds(&holds, &positions).await?;
                positions
            }
        };
        let scope = match &new.selector {
            Selector::OlderThan(_) => ErasureScope::Retention,
            _ if !new.attributes.is_empty() => ErasureScope::Attribute,
            Selector::Item { .. } => ErasureScope::Item,
            Selector::Subject { .. } => ErasureScope::Subject,
        };
        let plan = ErasurePlan {
            selector: new.selector.to_string(),
            paths: paths_of(&new.attributes),
            positions,
        };
        let body = Body {
            actor: Some(new.approver.clone()),
            reason: Some(new.basis.clone()),
            raw: Some(plan.to_json()),
            ..Body::default()
        };
        let id = new_id()?;
        let record = self.order_record(
            &body,
            &id,
            scope,
            ErasureStage::Intent,
            self.token_of(&new.selector),
            None,
            now,
        );
        let mut intent = Position(0);
        self.append_own(&record.await?, async |conn, position| {
            intent = position;
            sqlx::query!(
                "insert into erasure (ledger_id, erasure_id, scope, intent_position) values ($1, $2, $3, $4)",
                self.shared.id,
                id,
                scope.as_str(),
                crate::to_stored(position),
            )
            .execute(conn)
            .await?;
            Ok(())
        })
        .await?;
        tx.commit().await?;
        Ok(Erasure {
            id,
            scope: scope.as_str().to_owned(),
            intent,
            bodies: 0,
            done_at: None,
        })
    }

    /// Every order, oldest first.
    ///
    /// # Errors
    ///
    /// Postgres failed.
    pub async fn erasures(&self) -> sqlx::Result<Vec<Erasure>> {
        let rows = sqlx::query!(
            r#"
            select erasure_id, scope, intent_position, bodies, done_at as "done_at: jiff_sqlx::Timestamp"
            from erasure
            where ledger_id = $1
            order by intent_position
            "#,
            self.shared.id,
        )
        .fetch_all(&self.shared.pool);
        let rows = in_time(rows).await?;
        Ok(rows
            .into_iter()
            .map(|row| Erasure {
                id: row.erasure_id,
                scope: row.scope,
                intent: from_stored(row.intent_position),
                bodies: row.bodies.cast_unsigned(),
                done_at: row.done_at.map(jiff_sqlx::Timestamp::to_jiff),
            })
            .collect())
    }

    /// What an order is about, as its intent says it.
    pub(crate) async fn plan_of(&self, intent: Position) -> Result<ErasurePlan, ReadError> {
        let unreadable = || ReadError::Tampered {
            position: intent,
            found: "what this erasure is about cannot be read".to_owned(),
        };
        let recorded = Box::pin(self.read_at(&[crate::to_stored(intent)])).await?;
        let raw = recorded.first().and_then(|recorded| recorded.body.raw.as_deref());
        raw.and_then(ErasurePlan::parse).ok_or_else(unreadable)
    }

    /// Whether an order covers a position whose body is gone.
    pub(crate) async fn is_erased_by_order(&self, position: Position) -> Result<bool, ReadError> {
        for erasure in self.erasures().await? {
            if self.plan_of(erasure.intent).await?.positions.contains(position.0) {
                return Ok(true);
            }
        }
        Ok(false)
    }

    #[expect(clippy::too_many_arguments, reason = "the parts of one entry")]
    async fn order_record(
        &self,
        body: &Body,
        id: &str,
        scope: ErasureScope,
        stage: ErasureStage,
        item: Option<ItemToken>,
        bodies: Option<u64>,
        time: Timestamp,
    ) -> Result<OwnRecord, BodyKeyError> {
        let key = self.take_own_key().await?;
        Ok(OwnRecord::sealed(&key, body, |commitment| Entry {
            ledger: self.shared.name.clone(),
            kind: EntryKind::Erasure(Order {
                commitment,
                id: id.to_owned(),
                scope,
                stage,
                item,
                bodies,
                time,
            }),
        }))
    }

    /// Begins a transaction that keeps holds from being placed or released, and reads them.
    async fn lock_holds(&self) -> sqlx::Result<(Transaction<'static, Postgres>, Vec<Hold>)> {
        let mut tx = self.shared.pool.begin().await?;
        lock_erasures(&mut tx, self.shared.id).await?;
        let holds = self.holds_in(&mut tx).await?;
        Ok((tx, holds))
    }

    pub(crate) fn token_of(&self, selector: &Selector) -> Option<ItemToken> {
        match selector {
            Selector::Item { table, keys } => Some(self.shared.secret.item_token(table, keys)),
            Selector::Subject { .. } | Selector::OlderThan(_) => None,
        }
    }
}

/// Holds and erasures of one ledger go one after the other.
async fn lock_erasures(conn: &mut sqlx::PgConnection, ledger_id: i32) -> sqlx::Result<()> {
    sqlx::query!("select pg_advisory_xact_lock(hashtext('weir/erasure'), $1)", ledger_id)
        .fetch_one(conn)
        .await?;
    Ok(())
}

fn new_id() -> Result<String, BodyKeyError> {
    let mut id = [0; 8];
    getrandom::fill(&mut id).map_err(BodyKeyError::Randomness)?;
    Ok(hex::encode(id))
}

/// The paths of attributes of these names, wherever an item has them.
fn paths_of(names: &[String]) -> Vec<String> {
    let of_part = |part| names.iter().map(move |name| format!("/{part}/{}", escaped(name)));
    ["keys", "new", "old"].into_iter().flat_map(of_part).collect()
}

/// A name as a part of a path.
fn escaped(name: &str) -> String {
    name.replace('~', "~0").replace('/', "~1")
}

impl std::fmt::Display for Selector {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Item { table, keys } => write!(formatter, "item {} of table {table}", json(keys)),
            Self::Subject { attribute, value } => write!(formatter, "items whose {attribute} is {}", json(value)),
            Self::OlderThan(time) => write!(formatter, "changes before {time}"),
        }
    }
}

fn json(value: &impl serde::Serialize) -> String {
    serde_json::to_string(value).expect("values are JSON")
}
