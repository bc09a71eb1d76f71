//! Traffic: a small shop, in which a few people and a job at night place orders and change them.
//!
//! ```text
//! placed ──▶ paid ──▶ packed ──▶ shipped ──▶ delivered ──▶ (removed)
//!    └────────┴─────▶ cancelled ──▶ (removed)
//! ```
//!
//! It shows an audit log all it must cope with: inserts, updates, whole items put again, transactions, deletes, people
//! who say who they are and when (`updated_by`, `updated_at`), and, rarely, somebody who changes a total by hand
//! and says neither.
//!
//! The table is the only state. Each step reads it first, so the shop goes on after a restart with what is there, and
//! edits from outside are welcome: it works with what it finds, keeps attributes that it does not know, and leaves
//! orders alone whose id is not like its own.
//!
//! # Invariants
//!
//! - Every write changes something, so every record in the stream has a difference to show.
//! - `updated_at` is the moment of the write and goes up with every write of one shop, in milliseconds.
//! - An order is deleted only after an update that says who deletes it and when (`deleted_at`), right before.
//! - The newest order is never deleted, so no order number is given twice.
//! - No write undoes what somebody else changed between our reading and our writing.

mod order;
mod plan;

use std::collections::HashMap;
use std::time::Duration;

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::types::{AttributeValue, TransactWriteItem, Update};
use jiff::{Timestamp, ToSpan as _};
use tokio_util::sync::CancellationToken;
use tracing::{debug, warn};

use order::{Order, Status};
use plan::{SplitMix64, Step};

/// The table the shop works in. The caller makes it, with [`KEY`] as its hash key.
pub const TABLE: &str = "shop-orders";

/// The hash key of [`TABLE`]: a string such as `order-1001`.
pub const KEY: &str = "order_id";

/// Failures in a row after which the shop gives up. With the client's own retries this is an outage, not a hiccup.
const FAILURES_MAX: u32 = 10;

/// How the shop behaves.
#[derive(Clone, Debug)]
pub struct ShopOptions {
    /// The mean time between two steps. A step is one write, but for a removal, which is two.
    pub pace: Duration,

    /// The same seed over the same table takes the same decisions. Times still differ.
    pub seed: u64,

    /// How many orders may be there at once; no new one is placed beyond it. At least 1.
    pub orders_max: usize,
}

impl Default for ShopOptions {
    fn default() -> Self {
        ShopOptions {
            pace: Duration::from_secs(1),
            seed: 1,
            orders_max: 40,
        }
    }
}

/// The task that is the shop.
#[derive(Debug)]
pub struct Shop {
    client: Client,
    options: ShopOptions,
    random: SplitMix64,
    last_moment: Timestamp,
}

impl Shop {
    /// A shop that works through `client`, whose time-outs hold for every call.
    pub fn new(client: Client, options: ShopOptions) -> Shop {
        Shop {
            client,
            random: SplitMix64::new(options.seed),
            options,
            last_moment: Timestamp::MIN,
        }
    }

    /// Changes orders until `stop` is cancelled.
    ///
    /// Stopping waits for the step in hand, so no order is left marked as deleted but not deleted.
    ///
    /// # Errors
    ///
    /// When the table is not there, or ten steps in a row failed.
    pub async fn run(mut self, stop: CancellationToken) -> Result<(), ShopError> {
        let mut failures = 0;
        while !stop.is_cancelled() {
            // In a box, because the SDK's calls make large futures.
            match Box::pin(self.take_step()).await {
                Ok(()) => failures = 0,
                Err(error) if matches!(*error, aws_sdk_dynamodb::Error::ResourceNotFoundException(_)) => {
                    return Err(ShopError::NoTable(error));
                }
                Err(error) => {
                    failures += 1;
                    if failures == FAILURES_MAX {
                        return Err(ShopError::Failing(error));
                    }
                    warn!(
                        error = &*error as &dyn std::error::Error,
                        failures, "the shop could not change an order"
                    );
                }
            }
            // Between half and one and a half times the pace: people are no metronomes.
            let percent = 50 + self.random.below(101);
            let pause = self
                .options
                .pace
                .mul_f64(f64::from(u32::try_from(percent).unwrap_or(100)) / 100.0);
            stop.run_until_cancelled(tokio::time::sleep(pause)).await;
        }
        Ok(())
    }

    async fn take_step(&mut self) -> Result<(), WriteError> {
        // One page is enough: it holds 1 MB, which is more orders than the shop ever places.
        let page = self
            .client
            .scan()
            .table_name(TABLE)
            .consistent_read(true)
            .send()
            .await
            .map_err(boxed)?;
        let mut orders: Vec<Order> = page
            .items
            .unwrap_or_default()
            .into_iter()
            .filter_map(Order::from_item)
            .collect();
        // A scan has no order, and the same seed shall decide the same.
        orders.sort_by_key(Order::number);

        let step = plan::next_step(&orders, self.options.orders_max, &mut self.random);
        let moment = self.next_moment();
        match self.write(step, &moment).await {
            Err(error) if was_overtaken(&error) => {
                debug!("somebody else changed the order first");
                Ok(())
            }
            written => written,
        }
    }

    async fn write(&self, step: Step, moment: &str) -> Result<(), WriteError> {
        match step {
            Step::Place { order, by } => {
                let put = self
                    .client
                    .put_item()
                    .table_name(TABLE)
                    .set_item(Some(order.signed(by, moment)));
                put.condition_expression("attribute_not_exists(order_id)")
                    .send()
                    .await
                    .map_err(boxed)?;
            }
            Step::Move { order_id, from, to, by } => {
                self.edit(Edit::of_status(&order_id, from, to, by, moment)).await?
            }
            Step::MoveTogether {
                order_ids,
                from,
                to,
                by,
            } => {
                let mut transaction = self.client.transact_write_items();
                for order_id in &order_ids {
                    transaction =
                        transaction.transact_items(Edit::of_status(order_id, from, to, by, moment).in_transaction());
                }
                transaction.send().await.map_err(boxed)?;
            }
            Step::Replace { order, to, by } => {
                let (condition, names, values) = order.unchanged();
                self.client
                    .put_item()
                    .table_name(TABLE)
                    .set_item(Some(order.with_status(to).signed(by, moment)))
                    .condition_expression(condition)
                    .set_expression_attribute_names(Some(names))
                    .set_expression_attribute_values(Some(values))
                    .send()
                    .await
                    .map_err(boxed)?;
            }
            Step::Annotate { order_id, note, by } => {
                let set = "set note = :note, updated_by = :by, updated_at = :moment";
                self.edit(
                    Edit::new(&order_id, set)
                        .text(":note", note)
                        .text(":by", by)
                        .text(":moment", moment),
                )
                .await?;
            }
            Step::CorrectByHand { order_id, total } => {
                self.edit(
                    Edit::new(&order_id, "set #total = :total")
                        .reserved("#total", "total")
                        .number(":total", total),
                )
                .await?;
            }
            Step::Remove { order_id, by } => {
                let set = "set deleted_at = :moment, updated_by = :by, updated_at = :moment";
                self.edit(Edit::new(&order_id, set).text(":by", by).text(":moment", moment))
                    .await?;
                self.client
                    .delete_item()
                    .table_name(TABLE)
                    .key(KEY, AttributeValue::S(order_id))
                    // Whoever changed it since wants to keep it.
                    .condition_expression("updated_at = :moment")
                    .expression_attribute_values(":moment", AttributeValue::S(moment.to_owned()))
                    .send()
                    .await
                    .map_err(boxed)?;
            }
        }
        Ok(())
    }

    async fn edit(&self, edit: Edit) -> Result<(), WriteError> {
        self.client
            .update_item()
            .table_name(TABLE)
            .key(KEY, edit.order_id)
            .update_expression(edit.set)
            .condition_expression(edit.only_if)
            .set_expression_attribute_names(edit.names)
            .set_expression_attribute_values(Some(edit.values))
            .send()
            .await
            .map_err(boxed)?;
        Ok(())
    }

    /// Now, as `updated_at` has it: RFC 3339 in UTC, with milliseconds; later than the one before.
    fn next_moment(&mut self) -> String {
        self.last_moment = Timestamp::now().max(
            self.last_moment
                .saturating_add(1.millisecond())
                .unwrap_or(Timestamp::MAX),
        );
        format!("{:.3}", self.last_moment)
    }
}

/// An update of one order, alone or in a transaction.
struct Edit {
    order_id: AttributeValue,
    set: &'static str,
    only_if: &'static str,
    names: Option<HashMap<String, String>>,
    values: HashMap<String, AttributeValue>,
}

impl Edit {
    fn new(order_id: &str, set: &'static str) -> Edit {
        Edit {
            order_id: AttributeValue::S(order_id.to_owned()),
            set,
            // Or the update would make an order of nothing but this.
            only_if: "attribute_exists(order_id)",
            names: None,
            values: HashMap::new(),
        }
    }

    fn of_status(order_id: &str, from: Status, to: Status, by: &str, moment: &str) -> Edit {
        let mut edit = Edit::new(order_id, "set #status = :to, updated_by = :by, updated_at = :moment");
        edit.only_if = "#status = :from";
        edit.reserved("#status", "status")
            .text(":from", from.as_str())
            .text(":to", to.as_str())
            .text(":by", by)
            .text(":moment", moment)
    }

    /// A placeholder for an attribute whose name is a reserved word of DynamoDB's expressions.
    fn reserved(mut self, placeholder: &str, name: &str) -> Edit {
        self.names
            .get_or_insert_default()
            .insert(placeholder.to_owned(), name.to_owned());
        self
    }

    fn text(mut self, placeholder: &str, value: impl Into<String>) -> Edit {
        self.values
            .insert(placeholder.to_owned(), AttributeValue::S(value.into()));
        self
    }

    fn number(mut self, placeholder: &str, value: String) -> Edit {
        self.values.insert(placeholder.to_owned(), AttributeValue::N(value));
        self
    }

    fn in_transaction(self) -> TransactWriteItem {
        let update = Update::builder()
            .table_name(TABLE)
            .key(KEY, self.order_id)
            .update_expression(self.set)
            .condition_expression(self.only_if)
            .set_expression_attribute_names(self.names)
            .set_expression_attribute_values(Some(self.values))
            .build()
            .expect("all that is required was set above");
        TransactWriteItem::builder().update(update).build()
    }
}

/// Why a step failed. In a box, because the SDK's error is large.
type WriteError = Box<aws_sdk_dynamodb::Error>;

fn boxed(error: impl Into<aws_sdk_dynamodb::Error>) -> WriteError {
    Box::new(error.into())
}

/// Whether a condition failed: somebody else wrote between our reading and our writing. No failure of ours.
fn was_overtaken(error: &aws_sdk_dynamodb::Error) -> bool {
    use aws_sdk_dynamodb::Error;
    matches!(
        error,
        Error::ConditionalCheckFailedException(_)
            | Error::TransactionCanceledException(_)
            | Error::TransactionConflictException(_)
    )
}

/// Why the shop closed. What it wrote before stays.
#[derive(Debug, thiserror::Error)]
pub enum ShopError {
    /// There is no table to work in.
    #[error("table {TABLE} is not there: create it with the hash key {KEY}")]
    NoTable(#[source] Box<aws_sdk_dynamodb::Error>),

    /// The last step that failed, of many in a row. It may have taken effect.
    #[error("the shop failed to change an order {FAILURES_MAX} times in a row")]
    Failing(#[source] Box<aws_sdk_dynamodb::Error>),
}
