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
mod covered;
mod destroy;
mod hold;
mod order;
mod scope;

use jiff::Timestamp;
use sqlx::{Postgres, Transaction};
use weir_evidence::ItemToken;
use weir_model::{AttributeValue, Item, Position};

use crate::transaction::begin;
use crate::{BodyKeyError, Ledger, ReadError, from_stored, in_time};

pub use self::carry_out::CarriedOut;
pub(crate) use self::covered::Covered;
pub use self::covered::Erasing;
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
    /// Bodies that are sealed with the keys of these numbers: they were destroyed, and a restored database has them again.
    /// For erasures only.
    BodyKeys(Vec<i64>),
    /// What was withheld at these positions, and is told by amendments. For erasures only.
    Amended(Vec<Position>),
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
    /// What is withheld cannot be searched for a subject. Nothing was written.
    #[error(
        "{0} changes are withheld, and what they say cannot be searched: annotate them first (`weir withheld annotate`), or \
         erase their items"
    )]
    Withheld(u64),
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

    /// Begins a transaction that keeps holds from being placed or released, and reads them.
    async fn lock_holds(&self) -> sqlx::Result<(Transaction<'static, Postgres>, Vec<Hold>)> {
        let mut tx = begin(&self.shared.pool).await?;
        // What is checked and entered meanwhile is read and written on other connections.
        sqlx::query!("select set_config('idle_in_transaction_session_timeout', '0', true)")
            .fetch_one(&mut *tx)
            .await?;
        lock_erasures(&mut tx, self.shared.id).await?;
        let holds = self.holds_in(&mut tx).await?;
        Ok((tx, holds))
    }

    pub(crate) fn token_of(&self, selector: &Selector) -> Option<ItemToken> {
        match selector {
            Selector::Item { table, keys } => Some(self.shared.secret.item_token(table, keys)),
            Selector::Subject { .. } | Selector::OlderThan(_) | Selector::BodyKeys(_) | Selector::Amended(_) => None,
        }
    }
}

/// Holds and erasures of one ledger go one after the other.
pub(crate) async fn lock_erasures(conn: &mut sqlx::PgConnection, ledger_id: i32) -> sqlx::Result<()> {
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
            Self::BodyKeys(keys) => write!(
                formatter,
                "bodies of {} keys that were destroyed before the database was restored",
                keys.len()
            ),
            Self::Amended(positions) => write!(formatter, "{} withheld changes that were amended", positions.len()),
        }
    }
}

fn json(value: &impl serde::Serialize) -> String {
    serde_json::to_string(value).expect("values are JSON")
}
