//! Routes that are ahead of this process: they lead to sinks which it does not know, for its configuration is older than theirs.
//!
//! While processes are configured anew one after the other, each meets versions that others entered. What it does not know is not
//! gone: dead letters would be made of what others can send.
//!
//! # Invariants
//!
//! - A route of whose newest version a process does not know a sink is left to others.
//! - A process that is known to be behind leaves them also what has still to be sent to such a sink, whatever the newest version says.
//!   To any other, a sink that the newest version does not name is gone.

use std::collections::BTreeMap;

use weir_ledger::{DatabaseError, Ledger};
use weir_model::Position;

use crate::gate::Gates;

/// Those routes, each with a sink that is not known.
pub(super) async fn ahead_of(gates: &Gates, ledger: &Ledger) -> Result<BTreeMap<String, String>, DatabaseError> {
    let is_unknown = |sink: &String| gates.get(sink).is_none();
    let mut ahead = BTreeMap::new();
    for (route, newest) in ledger.routes().await? {
        if let Some(sink) = newest.definition.sinks.into_iter().find(is_unknown) {
            ahead.insert(route, sink);
        }
    }
    if !gates.is_behind() {
        return Ok(ahead);
    }
    let parked = ledger.parked_at_sinks().await?.into_iter();
    let parked = parked.filter(|parked| is_unknown(&parked.sink));
    ahead.extend(parked.map(|parked| (parked.route, parked.sink)));
    for (route, lowest) in cursors(ledger).await? {
        let versions = ledger.route_versions(&route).await?;
        let first = versions.iter().rposition(|version| version.from_position <= lowest);
        let left = versions.into_iter().skip(first.unwrap_or_default());
        let mut sinks = left.flat_map(|version| version.definition.sinks);
        if let Some(sink) = sinks.find(is_unknown) {
            ahead.insert(route, sink);
        }
    }
    Ok(ahead)
}

/// The lowest cursor of each route.
async fn cursors(ledger: &Ledger) -> Result<BTreeMap<String, Position>, DatabaseError> {
    let mut cursors = BTreeMap::new();
    for state in ledger.partitions().await? {
        let lowest = cursors.entry(state.partition.route).or_insert(state.next);
        *lowest = state.next.min(*lowest);
    }
    Ok(cursors)
}
