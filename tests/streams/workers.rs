//! Shards that are handed over.

use weir_simulator::Resharding;
use weir_tests::{Site, eventually};

use crate::{put_into_each, site};

/// Waits until the shards are shared so, the smallest share first.
async fn shared_as(site: &Site, wanted: &[usize]) {
    eventually(&format!("shards are shared as {wanted:?}"), async || {
        let states = site.ledger.shard_states().await.unwrap();
        let workers = site.ledger.live_workers().await.unwrap();
        let read_by = |id| {
            states
                .iter()
                .filter(move |state| state.worker.as_ref().is_some_and(|(worker, _)| *worker == id))
        };
        let mut shares: Vec<usize> = workers.iter().map(|worker| read_by(worker.id).count()).collect();
        shares.sort_unstable();
        (shares == wanted).then_some(())
    })
    .await;
}

/// streams.md 39: whoever lost a shard records nothing more of it. Cut off in the middle, its work is done by others.
#[tokio::test(flavor = "multi_thread")]
async fn a_worker_that_is_cut_off_leaves_nothing_twice_and_nothing_out() {
    let mut site = site(4).await;
    for _ in 0..3 {
        site.add_worker().await;
    }
    for index in [2, 1] {
        site.simulator.change_some("orders", 20, 100).unwrap();
        site.kill_worker(index);
        site.simulator.split("orders", None, &Resharding::default()).unwrap();
        site.simulator.change_some("orders", 20, 100).unwrap();
        site.arrives().await;
    }
    site.is_true().await;
}

/// streams.md 41: each gets its share while records come, and what is handed over is recorded once.
#[tokio::test(flavor = "multi_thread")]
async fn workers_that_come_and_go_share_the_shards_and_record_everything_once() {
    let mut site = site(6).await;
    site.add_worker().await;
    shared_as(&site, &[6]).await;
    put_into_each(&site);
    site.add_worker().await;
    shared_as(&site, &[3, 3]).await;
    put_into_each(&site);
    site.add_worker().await;
    shared_as(&site, &[2, 2, 2]).await;
    put_into_each(&site);
    site.dismiss_worker(0);
    shared_as(&site, &[3, 3]).await;
    put_into_each(&site);
    site.arrives().await;
    site.is_true().await;
}
