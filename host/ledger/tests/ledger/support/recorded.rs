//! The truth about a ledger, from its stored bytes alone: none of the code under test is asked.

use std::collections::BTreeMap;

use sha2::{Digest as _, Sha256};
use sqlx::PgConnection;
use weir_evidence::{Entry, EntryKind};

/// Tells what every shard recorded, in order of position: `a: 1 2 3, at 3`. A record that was not understood is `2?`.
///
/// # Panics
///
/// Positions are not 0, 1, 2, ..., or the head is not the RFC 6962 tree over the stored bytes.
pub(crate) async fn recorded(conn: &mut PgConnection, ledger: &str) -> String {
    let rows: Vec<(i64, Vec<u8>)> = sqlx::query_as(
        "select position, entry from entry join ledger using (ledger_id) where name = $1 order by position",
    )
    .bind(ledger)
    .fetch_all(&mut *conn)
    .await
    .unwrap();
    let (size, root): (i64, Vec<u8>) =
        sqlx::query_as("select size, root from ledger_head join ledger using (ledger_id) where name = $1")
            .bind(ledger)
            .fetch_one(&mut *conn)
            .await
            .unwrap();
    let shards: Vec<(String, Option<String>, bool)> = sqlx::query_as(
        "select shard, position, finished_at is not null from shard join stream using (stream_id)
         join ledger using (ledger_id) where ledger.name = $1 order by shard",
    )
    .bind(ledger)
    .fetch_all(conn)
    .await
    .unwrap();

    let positions: Vec<i64> = rows.iter().map(|(position, _)| *position).collect();
    assert_eq!(
        positions,
        (0..size).collect::<Vec<_>>(),
        "gapless from 0, as many as the head says"
    );
    let entries: Vec<&[u8]> = rows.iter().map(|(_, entry)| entry.as_slice()).collect();
    assert_eq!(root, tree(&entries), "the head's root is that of the stored bytes");

    let mut sequences = BTreeMap::<String, String>::new();
    for entry in entries {
        let entry = Entry::decode(entry).unwrap();
        let (origin, record) = match entry.kind {
            EntryKind::Change { origin, sequence, .. } => (origin, sequence.to_string()),
            EntryKind::Unknown { origin, sequence, .. } => (origin, format!("{sequence}?")),
            EntryKind::Gap(gap) => (gap.origin, "gap".to_owned()),
            _ => continue,
        };
        let told = sequences.entry(origin.shard.to_string()).or_default();
        told.push(' ');
        told.push_str(&record);
    }
    let tell = |(shard, position, finished): (String, Option<String>, bool)| {
        let sequences = sequences.remove(&shard).unwrap_or_default();
        let position = position.unwrap_or_else(|| "begin".to_owned());
        let end = if finished { ", finished" } else { "" };
        format!("{shard}:{sequences}, at {position}{end}\n")
    };
    shards.into_iter().map(tell).collect()
}

/// The Merkle tree hash as RFC 6962, section 2.1, defines it.
fn tree(entries: &[&[u8]]) -> Vec<u8> {
    match entries {
        [] => Sha256::digest([]).to_vec(),
        [entry] => Sha256::new_with_prefix([0]).chain_update(entry).finalize().to_vec(),
        _ => {
            let (left, right) = entries.split_at(entries.len().next_power_of_two() / 2);
            let hash = Sha256::new_with_prefix([1]).chain_update(tree(left));
            hash.chain_update(tree(right)).finalize().to_vec()
        }
    }
}
