//! Transactions, times, and what is not in a stream.

use std::path::Path;

use sha2::{Digest as _, Sha256};
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

/// Tries to record one change where Postgres refuses so many attempts; what the entry in its place says.
async fn raw_after_refusals(refusals: u32) -> String {
    let mut site = site(1).await;
    site.add_worker().await;
    site.arrives().await;
    site.tamper(&format!(
        "create sequence refused;
         grant usage on sequence refused to public;
         create function refuse() returns trigger language plpgsql as $$
         begin
             -- A sequence counts on when the transaction fails.
             if nextval('refused') <= {refusals} then raise exception 'not this one' using errcode = 'P0001'; end if;
             return new;
         end $$;
         create trigger refuse before insert on entry for each row
             when (convert_from(new.entry, 'UTF8') ~ '\"kind\":\"(change|unknown)\"') execute function refuse()"
    ));
    site.put("o1");
    site.arrives().await;
    let entries = site.entries().await;
    let raw = entries.iter().find_map(|entry| entry.body.raw.clone());
    raw.unwrap()
}

/// A batch is tried in its group and alone before it counts as refused.
#[tokio::test(flavor = "multi_thread")]
async fn a_record_that_postgres_refuses_is_recorded_with_what_it_says_or_else_with_the_digest_of_that() {
    let content = raw_after_refusals(2).await;
    for part in [
        r#""table":"orders""#,
        r#""operation":"insert""#,
        r#""event":""#,
        r#"{"S":"o1"}"#,
    ] {
        assert!(content.contains(part), "{part} is missing in {content}");
    }
    let digest = format!("sha256:{}", hex::encode(Sha256::digest(&content)));
    for refusals in [4, 6] {
        assert_eq!(raw_after_refusals(refusals).await, digest);
    }
}
