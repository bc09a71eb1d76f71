//! Deliveries that were not accepted.

use weir_ledger::{DeadLetter, Parked};
use weir_model::Position;

/// A delivery that waits.
pub(crate) fn parked(position: Position) -> Parked {
    Parked {
        delivery: format!("delivery-{position}"),
        route: "mail".to_owned(),
        version: 1,
        position,
        output: 0,
        sink: "postbox".to_owned(),
        token: [7; 16],
        tried: None,
        as_new: None,
    }
}

/// A delivery that was refused.
pub(crate) fn dead_letter(position: Position) -> DeadLetter {
    DeadLetter {
        delivery: format!("delivery-{position}"),
        route: "mail".to_owned(),
        version: 1,
        position,
        sink: Some("postbox".to_owned()),
        code: "refused".to_owned(),
        reason: "no such address".to_owned(),
        attempts: 3,
        plugin_digest: None,
        plugin_log: None,
        payload: Some("{}".to_owned()),
        created_at: None,
        is_redriven: false,
        as_new: None,
    }
}
