//! Tells of orders in which segment their customers are: a plugin that filters, and enriches from a lookup table.
//!
//! The table `customers` has an object for each customer, `{"c-1": {"segment": "vip"}}`. It is uploaded with
//! `weir lookup push customers customers.json`; a version of a route goes on with the one that it began with.
//!
//! ```text
//! a customer who is not in the table ──▶ drop
//! everyone else ───────────────────────▶ order-of-segment, in the place of the change
//! ```

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use weir_plugin_sdk::{Decision, Lookup, OnDemand, router};

/// A row of the table.
#[derive(Deserialize)]
struct Customer {
    segment: String,
}

/// The detail of `order-of-segment`.
#[derive(Serialize)]
struct Order<'a> {
    customer: &'a str,
    segment: &'a str,
    total: Option<Box<RawValue>>,
}

/// Sends orders of known customers, with the segment that they are in.
#[router(name = "segments")]
fn segments(
    #[new("/customer")] customer: Option<&str>,
    #[new("/total")] total: OnDemand<'_>,
    #[lookup("customers")] customers: Lookup<'_>,
) -> Decision {
    let known = customer.and_then(|customer| Some((customer, customers.get::<Customer>(customer)?)));
    let Some((customer, Customer { segment })) = known else {
        return Decision::drop();
    };
    let order = Order {
        customer,
        segment: &segment,
        total: total.json(),
    };
    Decision::replace().emit("order-of-segment", &order)
}
