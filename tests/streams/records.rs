//! Transactions, times, and what is not in a stream.

use std::path::Path;

use weir_simulator::{Write, item};

use crate::site;

/// streams.md 25: they come in any order, with others between them, and each is a change like any other.
#[tokio::test(flavor = "multi_thread")]
async fn each_write_of_a_transaction_is_recorded_once_in_the_order_of_its_item() {
    let mut site = site(2).await;
    let put = |id: &str| Write::Put(item(id, &[]));
    for _ in 0..3 {
        let writes = ["a", "b", "c", "d"].map(put);
        site.simulator
            .transact("orders", &writes, &["x", "y"].map(put))
            .unwrap();
        site.simulator.change_some("orders", 4, 10).unwrap();
    }
    site.add_worker().await;
    site.arrives().await;
    site.is_true().await;
}

/// streams.md 27: their times are the same, whole seconds; their sequence numbers are not.
#[tokio::test(flavor = "multi_thread")]
async fn changes_of_one_second_keep_their_order() {
    let mut site = site(1).await;
    let ids: Vec<String> = (0..20).map(|number| format!("o{number:02}")).collect();
    // Each in the same moment: the clock stands still.
    ids.iter().for_each(|id| site.put(id));
    site.add_worker().await;
    site.arrives().await;
    assert_eq!(site.shown().await, ids.join(" "));
    site.is_true().await;
}

/// streams.md 31: in its place among the others.
#[tokio::test(flavor = "multi_thread")]
async fn an_event_that_nobody_knows_is_recorded_in_its_place() {
    let mut site = site(1).await;
    site.put("o1");
    let odd = Write::Odd {
        id: "o1".to_owned(),
        event_name: "ARCHIVE".to_owned(),
        event_version: None,
    };
    site.simulator.write("orders", &odd).unwrap();
    site.put("o2");
    site.add_worker().await;
    site.arrives().await;
    assert_eq!(site.shown().await, "o1 unknown o2");
    site.is_true().await;
}

/// streams.md 46: no code can do anything about it, so it is said where people look first.
#[test]
fn the_readme_says_what_is_not_in_a_stream() {
    let readme = Path::new(env!("CARGO_MANIFEST_DIR")).join("../README.md");
    let readme = std::fs::read_to_string(readme).unwrap();
    for said in [
        "Changes made in one transaction arrive as separate events.",
        "Changes of a global secondary index are not in the stream.",
    ] {
        assert!(readme.contains(said), "{said}");
    }
}
