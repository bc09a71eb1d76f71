//! `[[route.<name>.case]]`: a change, and what the route has to send of it. `weir test` tries them.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// A change, and what a route has to send of it.
///
/// ```toml
/// [[route.orders.case]]
/// name = "a paid order is announced on the bus"
/// change = { old = { status = "placed" }, new = { status = "paid", total = 700 }, key = { order_id = "o1" } }
/// expect = [{ sink = "bus", type = "order-paid", detail = { order = "o1" } }]
///
/// [[route.orders.case]]
/// name = "a note is nobody's business"
/// change = { old = { note = "a" }, new = { note = "b" } }
/// expect = []
/// ```
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct RouteCase {
    /// What it shows.
    pub(crate) name: String,

    /// The change: `old`, `new` and `key` in plain JSON, and `actor`, `operation`, `table`, `time` where they matter; or as a stream
    /// has it, with `dynamodb`.
    pub(crate) change: Value,

    /// What is sent, in order; an empty list where nothing is.
    pub(crate) expect: Vec<ExpectedDelivery>,
}

/// What has to be sent, or set aside. What is not said is not looked at.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ExpectedDelivery {
    /// The sink that it goes to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) sink: Option<String>,

    /// The event's `detail-type`.
    #[serde(default, rename = "type", skip_serializing_if = "Option::is_none")]
    pub(crate) detail_type: Option<String>,

    /// Members that the event's `detail` has, whatever else it has.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) detail: Option<Map<String, Value>>,

    /// Nothing is sent, and this is why: `plugin-trap`, ..., or the code that the plugin rejects it with.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) dead_letter: Option<String>,

    /// The route halts before the change, and this is why.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) halts: Option<String>,
}
