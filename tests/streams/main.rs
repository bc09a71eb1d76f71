//! What DynamoDB Streams is known to do, done to the intake by a simulated source, one behaviour at a time. A test cites the
//! line of `streams.md` that it is about; `make mutations` shows for each that it turns red when that behaviour is forgotten.
//!
//! ```text
//! lineage    parents and children, listings that mislead, children that come late
//! ends       the end of a shard, of a stream, and the stream that comes next
//! gaps       what was lost before it was read, and what only looks so
//! reading    where reading begins and goes on, throttles, records that come again
//! records    transactions, times, and what is not in a stream
//! workers    shards that are handed over
//! ```

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod ends;
mod gaps;
mod lineage;
mod reading;
mod records;
mod workers;

use weir_simulator::{Setup, TableSetup};
use weir_tests::Site;

/// A site whose stream begins with so many shards.
async fn site(shards: usize) -> Site {
    let table = TableSetup {
        shards,
        ..TableSetup::new("orders")
    };
    Site::begin(Setup {
        tables: vec![table],
        ..Setup::default()
    })
    .await
}

/// Writes items until each open shard has one more, and gives a key of each, by shard.
fn put_into_each(site: &Site) -> Vec<(String, String)> {
    let open = site.simulator.open_shards(&site.table).unwrap();
    let mut keys = Vec::new();
    for shard in open {
        let key = (0..).map(|number| format!("{shard}-{number}"));
        let mut key = key.filter(|key| {
            site.put(key);
            let truth = site.simulator.truth();
            truth.changes.last().unwrap().record.as_ref().unwrap().shard == shard
        });
        keys.push((shard.clone(), key.next().unwrap()));
    }
    keys
}
