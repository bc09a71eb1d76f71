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
//! - A removed order is never rejected: it has no total any more, and receivers must learn that it went.

mod decision;
mod settings;

use serde::Serialize;
use serde_json::value::RawValue;
use weir_plugin_sdk::{Decision, OnDemand, Operation, router};

use decision::{OrderChange, Verdict};
use settings::Settings;

/// The detail of `order-shipped` and `large-order`, each value as it stands in the events of kept changes.
#[derive(Serialize)]
struct OrderDetail {
    order_id: Option<Box<RawValue>>,
    customer: Option<Box<RawValue>>,
    total: Option<Box<RawValue>>,
}

/// Sends orders whose status or total changed, and announces shipped and large ones.
#[router(name = "shop")]
#[expect(clippy::too_many_arguments, reason = "a parameter for each field that it reads")]
fn shop(
    #[config] settings: &Settings,
    operation: Operation,
    #[old("/status")] status_before: Option<&str>,
    #[new("/status")] status_after: Option<&str>,
    #[old("/total")] total_before: Option<&str>,
    #[new("/total")] total_after: Option<&str>,
    #[new("/total")] amount: Option<f64>,
    #[new("/total")] total: OnDemand<'_>,
    #[key("/order_id")] order_id: OnDemand<'_>,
    #[new("/customer")] customer: OnDemand<'_>,
) -> Decision {
    let change = OrderChange {
        operation,
        status_before,
        status_after,
        total_before,
        total_after,
        amount,
    };
    match change.decide(settings) {
        Verdict::Drop => Decision::drop(),
        Verdict::RejectTotalMissing => Decision::reject("total-missing", "the order has no total that is a number"),
        Verdict::Keep { announce } => announce.into_iter().fold(Decision::keep(), |decision, detail_type| {
            let detail = OrderDetail {
                order_id: order_id.json(),
                customer: customer.json(),
                total: total.json(),
            };
            decision.emit(detail_type, &detail)
        }),
    }
}
