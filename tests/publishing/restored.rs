//! After a back-up was restored: what had been signed is missed, and what had been erased is gone again.

use crate::shop::{Shop, TABLE, key};

#[tokio::test(flavor = "multi_thread")]
async fn an_older_back_up_that_grew_past_the_signed_size_is_noticed_and_goes_on_only_under_a_new_origin() {
    let mut shop = Shop::open("").await;
    let running = shop.run(5).await;
    running.stop().await;
    shop.weir.database.back_up();
    let running = shop.run(5).await;
    running.stop().await;
    let guarded = std::fs::read_to_string(shop.weir.path("weir.guard")).unwrap();

    shop.weir.database.restore();
    // The stream still has everything. Recorded in the same way it would be the same history; this is another one.
    shop.record_otherwise();
    shop.write(20).await;
    let running = shop.weir.run(None);
    shop.weir.recorded(shop.written).await;
    let why = shop.not_signed().await;
    assert!(why.contains("did not grow out of it"), "{why}");
    assert_eq!(std::fs::read_to_string(shop.weir.path("weir.guard")).unwrap(), guarded);

    let continued = shop
        .weir
        .command(&["ledger", "continue", "--reason", "the disk broke"])
        .await;
    assert_eq!(
        (continued.code, continued.stdout.contains("/1")),
        (Some(0), true),
        "{continued:?}"
    );
    let head = shop.signed().await;
    assert!(key(&head).starts_with(&format!("{}/1+", weir_tests::ORIGIN)), "{head}");
    running.stop().await;
    let quoted = shop
        .weir
        .entries()
        .await
        .into_iter()
        .find_map(|entry| match entry.entry.kind {
            weir_evidence::EntryKind::Lifecycle { what, detail, .. } if what == "continued" => Some(detail),
            _ => None,
        });
    let quoted = quoted.unwrap();
    assert!(
        quoted.starts_with("the disk broke") && quoted.contains(&guarded),
        "{quoted}"
    );
    assert_eq!(shop.weir.command(&["verify"]).await.code, Some(0));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_erased_is_gone_and_destroyed_again_after_a_restore() {
    let mut shop = Shop::open("").await;
    let running = shop.run(5).await;
    running.stop().await;
    shop.weir.database.back_up();
    let running = shop.run(1).await;
    let erased = shop
        .weir
        .command(&[
            "erasure",
            "order",
            TABLE,
            "order-2",
            "--basis",
            "GDPR 17",
            "--approver",
            "ann",
        ])
        .await;
    assert_eq!(
        (erased.code, erased.stdout.contains("1 bodies  done")),
        (Some(0), true),
        "{erased:?}"
    );
    let history = shop.weir.command(&["history", TABLE, "order-2"]).await;
    assert!(history.stdout.contains("no change of this item"), "{history:?}");
    shop.signed().await;
    running.stop().await;
    assert_eq!(shop.weir.command(&["verify"]).await.code, Some(0));
    assert_eq!(shop.weir.command(&["doctor", "--after-restore"]).await.code, Some(0));

    shop.weir.database.restore();
    let doctor = shop.weir.command(&["doctor", "--after-restore"]).await;
    assert_eq!(
        (doctor.code, doctor.stdout.contains("are here again")),
        (Some(1), true),
        "{doctor:?}"
    );
    let running = shop.weir.run(None);
    shop.not_signed().await;
    let continued = shop.weir.command(&["ledger", "continue", "--reason", "restored"]).await;
    assert_eq!(continued.code, Some(0), "{continued:?}");
    // The key of the new order's body is no number that was destroyed, and the ledger says why a body is gone.
    shop.signed().await;
    let history = shop.weir.command(&["history", TABLE, "order-2"]).await;
    assert!(history.stdout.contains("no change of this item"), "{history:?}");
    let ordered = shop.weir.command(&["erasure", "ls"]).await;
    assert!(ordered.stdout.contains("1 bodies  done"), "{ordered:?}");
    running.stop().await;
    let doctor = shop.weir.command(&["doctor", "--after-restore"]).await;
    assert_eq!(
        (doctor.code, doctor.stdout.contains("none of the 1 keys")),
        (Some(0), true),
        "{doctor:?}"
    );
    assert_eq!(shop.weir.command(&["verify"]).await.code, Some(0));
}
