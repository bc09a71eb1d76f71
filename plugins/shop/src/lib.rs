//! Routes the orders of a small shop: the plugin that `weir dev` starts with, and one to learn from.
//!
//! The table `shop-orders` has the key `order_id` and the attributes `customer`, `status` (placed, paid, packed,
//! shipped, delivered, cancelled), `total` (decimal), `items`, `note`, `updated_by` and `updated_at`.
//!
//! ```text
//! an edit that leaves status and total alone ──▶ drop      a note is nobody's business
//! an order without a total ────────────────────▶ reject    total-missing
//! everything else ─────────────────────────────▶ keep      and, besides:
//!     it became shipped ───────────────────────────▶ order-shipped
//!     a new order of at least `large_order` ───────▶ large-order
//! ```
//!
//! The configuration is `{"large_order": 500}`; without the number there are no large orders.
//!
//! # Invariants
//!
//! - The manifest declares the fields of `fields` and nothing else is read.
//! - A removed order is never rejected: it has no total any more, and receivers must learn that it went.

mod decision;
mod settings;

use serde::Serialize;
use serde_json::value::RawValue;
use weir_plugin_sdk::{Batch, ConfigProblem, Decisions, Error, Field, Manifest, Router, export_router};

use decision::{Decision, OrderChange};
use settings::Settings;

struct Shop {
    settings: Settings,
}

/// The detail of `order-shipped` and `large-order`, each value as it stands in the events of kept changes.
#[derive(Serialize)]
struct OrderDetail {
    order_id: Option<Box<RawValue>>,
    customer: Option<Box<RawValue>>,
    total: Option<Box<RawValue>>,
}

/// Everything that this plugin reads. One list for declaring and for reading, so that the two cannot part.
fn fields() -> [Field; 6] {
    [
        Field::old_image("/status"),
        Field::new_image("/status"),
        Field::old_image("/total"),
        Field::new_image("/total"),
        Field::keys("/order_id"),
        Field::new_image("/customer"),
    ]
}

impl Router for Shop {
    fn configure(config: &str) -> Result<Self, Vec<ConfigProblem>> {
        Ok(Self {
            settings: Settings::parse(config)?,
        })
    }

    fn manifest(&self) -> Manifest {
        let summary = "Sends orders whose status or total changed, and announces shipped and large ones.";
        Manifest::new("shop", env!("CARGO_PKG_VERSION"), summary).reads(fields())
    }

    fn route(&self, batch: &Batch, decisions: &mut Decisions) -> Result<(), Error> {
        let [
            status_before,
            status_after,
            total_before,
            total_after,
            order_id,
            customer,
        ] = fields();

        let operations = batch.operations();
        let statuses_before = batch.texts(&status_before);
        let statuses_after = batch.texts(&status_after);
        let totals_before = batch.texts(&total_before);
        let totals_after = batch.texts(&total_after);
        let amounts = batch.numbers(&total_after);

        for index in batch.indexes() {
            let change = OrderChange {
                operation: operations[index],
                status_before: statuses_before[index].as_deref(),
                status_after: statuses_after[index].as_deref(),
                total_before: totals_before[index].as_deref(),
                total_after: totals_after[index].as_deref(),
                amount: amounts[index],
            };
            match change.decide(&self.settings) {
                Decision::Drop => decisions.drop(index),
                Decision::RejectTotalMissing => {
                    decisions.reject(index, "total-missing", "the order has no total that is a number");
                }
                Decision::Keep { announce } => {
                    for detail_type in announce {
                        let detail = OrderDetail {
                            order_id: batch.json(index, &order_id),
                            customer: batch.json(index, &customer),
                            total: batch.json(index, &total_after),
                        };
                        decisions.emit(index, detail_type, &detail)?;
                    }
                }
            }
        }
        Ok(())
    }
}

export_router!(Shop);
