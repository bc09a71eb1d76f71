//! What must not be erased, and who said so.

use crate::shop::{Shop, TABLE};

#[tokio::test(flavor = "multi_thread")]
async fn what_is_held_is_listed_with_who_and_why_and_erased_only_once_it_is_released() {
    let mut shop = Shop::open("").await;
    let running = shop.run(2).await;
    let (item, subject) = ([TABLE, "order-1"], ["--subject", "total=1"]);
    for (about, reason) in [(item, "case 12"), (subject, "case 13")] {
        let who = ["--reason", reason, "--approver", "ann"];
        let placed = shop
            .weir
            .command(&[&["hold", "place"], &about[..], &who[..]].concat())
            .await;
        assert!(placed.stdout.contains(&format!("{reason}, by ann")), "{placed:?}");
    }
    let listed = shop.weir.command(&["hold", "ls"]).await.stdout;
    let lines: Vec<&str> = listed.lines().collect();
    assert_eq!(lines.len(), 4, "{listed}");
    assert!(
        lines[0].contains("  item  position ") && lines[1].ends_with(": case 12, by ann"),
        "{listed}"
    );
    assert!(lines[1].contains(TABLE) && lines[1].contains("order-1"), "{listed}");
    assert!(
        lines[2].contains("  subject  position ") && lines[3].contains("total"),
        "{listed}"
    );

    let why = ["--basis", "GDPR 17", "--approver", "ann"];
    let order = [&["erasure", "order", TABLE, "order-1"], &why[..]].concat();
    let held = shop.weir.command(&order).await;
    assert!(held.code == Some(1) && held.stderr.contains("hold"), "{held:?}");
    let ids: Vec<&str> = [lines[0], lines[2]]
        .iter()
        .map(|line| line.split(' ').next().unwrap())
        .collect();
    for id in ids {
        let release = ["hold", "release", id, "--reason", "it is over", "--approver", "ann"];
        let released = shop.weir.command(&release).await;
        assert_eq!(released.code, Some(0), "{released:?}");
    }
    let erased = shop.weir.command(&order).await;
    assert!(erased.stdout.contains("1 bodies  done"), "{erased:?}");
    running.stop().await;
}
