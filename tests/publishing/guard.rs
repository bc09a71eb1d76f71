//! What was cut off or rewritten is noticed, by the guard or by a witness, and nothing more is signed.

use weir_tests::{TestWitness, eventually};

use crate::shop::{Shop, key};

#[tokio::test(flavor = "multi_thread")]
async fn a_tail_that_was_cut_off_with_head_and_shard_is_noticed_and_nothing_more_is_signed() {
    let mut shop = Shop::open("").await;
    let running = shop.run(10).await;
    running.stop().await;
    let signed = shop.newest_checkpoint();
    // The administrator keeps what stood after five entries, recomputed consistently.
    let entries = shop.weir.entries().await;
    let mut frontier = weir_evidence::Frontier::default();
    entries[..5].iter().for_each(|entry| frontier.push(entry.leaf));
    let sequence = entries[4].entry.sequence().unwrap().to_string();
    let _ = shop.weir.database.psql(&format!(
        "set session_replication_role = replica; delete from entry where position >= 5; delete from checkpoint where size > 5;
         update ledger_head set size = 5, root = '\\x{}', frontier = '\\x{}';
         update shard set position = '{sequence}', batch_last = null, batch_first = null, batch_after = null, batch_config = null,
            batch_epoch = null, batch_opened_at = null, batch_read = 0, batch_recorded = 0",
        hex(&frontier.root()),
        hex(&frontier.to_bytes()),
    ));
    let running = shop.weir.run(None);
    let why = shop.not_signed().await;
    assert!(why.contains("did not grow out of it"), "{why}");
    // Recording goes on, past the size that was signed, and still nothing is signed.
    shop.write(10).await;
    shop.weir.recorded(shop.written).await;
    assert!(shop.not_signed().await.contains("did not grow out of it"));
    assert_eq!(shop.weir.command(&["export", "--out", "b"]).await.code, Some(1));
    assert!(signed.parse::<u64>().unwrap() > 5);
    running.stop().await;
    assert_eq!(shop.weir.command(&["doctor"]).await.code, Some(1));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_missing_guard_is_an_error_that_only_adopting_clears() {
    let mut shop = Shop::open("").await;
    let running = shop.run(5).await;
    running.stop().await;
    std::fs::remove_file(shop.weir.path("weir.guard")).unwrap();
    let running = shop.weir.run(None);
    assert!(shop.not_signed().await.contains("weir ledger adopt"));
    assert_eq!(shop.weir.command(&["ledger", "adopt"]).await.code, Some(0));
    shop.signed().await;
    let again = shop.weir.command(&["ledger", "adopt"]).await;
    assert_eq!(
        (again.code, again.stderr.contains("nothing to adopt")),
        (Some(1), true),
        "{again:?}"
    );
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_witness_cosigns_and_catches_what_was_rewritten_together_with_the_guard() {
    let witness = TestWitness::start().await;
    let mut shop = Shop::open(&witness.config()).await;
    let running = shop.run(5).await;
    let head = shop.signed().await;
    let size = head["published"]["size"].as_u64().unwrap();
    eventually("the witness cosigned", async || (witness.size() >= size).then_some(())).await;
    let policy = format!("log {}\n{}\nquorum w\n", key(&head), witness.policy_line());
    shop.weir.write("policy", &policy);
    let answer = eventually("the cosignature is in the export", async || {
        let exported = shop.weir.command(&["export", "--out", "b"]).await;
        assert_eq!(exported.code, Some(0), "{exported:?}");
        let answer = shop.weir.command(&["verify", "b", "--policy", "policy"]).await;
        (answer.code == Some(0)).then_some(answer)
    })
    .await;
    assert!(answer.stdout.contains("proved"));
    running.stop().await;

    // Another history, with a guard that agrees with it.
    shop.weir.database.back_up();
    let running = shop.run(5).await;
    eventually("the witness saw more", async || (witness.size() > size).then_some(())).await;
    running.stop().await;
    shop.weir.database.restore();
    std::fs::remove_file(shop.weir.path("weir.guard")).unwrap();
    shop.record_otherwise();
    shop.write(10).await;
    let running = shop.weir.run(None);
    shop.weir.recorded(shop.written).await;
    assert_eq!(shop.weir.command(&["ledger", "adopt"]).await.code, Some(0));
    let why = eventually("the witness disagrees", async || {
        let why = shop.not_signed().await;
        why.contains("holds another tree").then_some(why)
    })
    .await;
    assert!(why.contains("witness.example.com/w"), "{why}");
    running.stop().await;
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
