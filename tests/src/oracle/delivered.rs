//! Holds what a sink received against what stands in the ledger.
//!
//! # What has to hold
//!
//! - Each change arrived, or is a dead letter, or is said to be erased.
//! - The changes of an item arrived for the first time in the order in which they stand in the ledger, but for those that
//!   the sink refused once: they are given up and sent again, or that they were given up was forgotten by a kill.
//! - No delivery's id ever carried two payloads.
//!
//! What was replayed as new stands for nothing that had to come anyway.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use serde_json::Value;
use weir_evidence::EntryKind;
use weir_ledger::{DeadLetter, RecordedEntry};

/// Everything that is wrong with the events that a sink took, of which these are the details; one line each. Empty is well.
///
/// # Panics
///
/// A detail has no position or no id of a delivery.
#[must_use]
pub fn delivered(
    entries: &[RecordedEntry],
    taken: &[&Value],
    dead: &[DeadLetter],
    refused: &BTreeSet<u64>,
) -> Vec<String> {
    let mut findings = Vec::new();
    let mut first_at: BTreeMap<u64, usize> = BTreeMap::new();
    let mut payloads: HashMap<&str, &Value> = HashMap::new();
    for (index, detail) in taken.iter().copied().enumerate() {
        let position = detail["position"].as_u64().expect("an event has a position");
        if detail.get("replayed_as").is_none() {
            first_at.entry(position).or_insert(index);
        }
        let id = detail["delivery"].as_str().expect("an event has a delivery");
        if payloads.insert(id, detail).is_some_and(|before| before != detail) {
            findings.push(format!("{id} carries two payloads"));
        }
    }
    let dead: BTreeSet<u64> = dead.iter().map(|letter| letter.position.0).collect();
    let mut last: HashMap<[u8; 16], (u64, usize)> = HashMap::new();
    for entry in entries {
        let EntryKind::Change { item, .. } = &entry.entry.kind else {
            continue;
        };
        let position = entry.position.0;
        let Some(index) = first_at.get(&position).copied() else {
            if !dead.contains(&position) && !entry.is_erased {
                findings.push(format!("position {position} did not arrive"));
            }
            continue;
        };
        if refused.contains(&position) {
            continue;
        }
        if let Some((earlier, at)) = last.insert(item.token, (position, index))
            && at > index
        {
            findings.push(format!("position {position} arrived before {earlier} of the same item"));
        }
    }
    findings
}
