//! Who routes, where several processes share a route.

use std::collections::HashSet;

use expect_test::expect;
use weir_tests::{Hook, Weir, eventually};

use crate::shop::Shop;

/// Until `weir route ls` says that the partitions are shared so, the smallest share first.
async fn shared_as(shop: &Shop, wanted: &[usize]) {
    eventually(&format!("the route is shared as {wanted:?}"), async || {
        let told = shop.weir.command(&["route", "ls"]).await.stdout;
        let shares = told
            .lines()
            .find_map(|line| line.trim().strip_prefix("8 partitions: "))?;
        let shares = shares.split(", ").map(|share| share.split_once(" at ")?.0.parse().ok());
        let mut shares: Vec<usize> = shares.collect::<Option<_>>()?;
        shares.sort_unstable();
        (shares == wanted).then_some(())
    })
    .await;
}

/// Until so many deliveries arrived, repeats left out: one that is killed has not written down all that it sent.
async fn delivered(shop: &Shop, count: usize) {
    eventually(&format!("{count} are delivered"), async || {
        let hooks = shop.receiver.hooks();
        let deliveries: HashSet<&str> = hooks.iter().map(Hook::delivery).collect();
        (deliveries.len() == count).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn processes_that_share_a_route_are_named_with_their_shares_and_a_killed_one_leaves_its_own_to_the_others() {
    let shop = Shop::open("partitions = 8").await;
    shared_as(&shop, &[8]).await;
    let other = shop.weir.run_beside("other");
    shared_as(&shop, &[4, 4]).await;
    for number in 0..40 {
        shop.put(&format!("o{number}"), "before");
    }
    delivered(&shop, 40).await;
    other.kill().await;
    shared_as(&shop, &[8]).await;
    for number in 0..40 {
        shop.put(&format!("o{number}"), "after");
    }
    delivered(&shop, 80).await;
    shop.running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_route_that_nobody_works_at_is_shown_as_that() {
    let shop = Shop::open("").await;
    let shop = shop
        .restarted(|config| config.replace("[route.all]", "[route.some]"))
        .await;
    let told = eventually("the other is worked at", async || {
        let told = shop.weir.command(&["route", "ls"]).await.stdout;
        (told.matches("NOBODY").count() == 1).then_some(told)
    })
    .await;
    let told: Vec<&str> = told.lines().collect();
    expect!["    NOBODY routes it now"].assert_eq(told[1]);
    assert!(told[0].starts_with("all  version 1"), "{told:?}");
    shop.running.stop().await;
}

#[tokio::test]
async fn a_route_that_halts_or_has_very_many_partitions_is_refused() {
    let said = async |route: &str| {
        let weir = Weir::configure(&format!(
            "[source.shop]\ntable = \"orders\"\n[sink.out]\ntype = \"log\"\nfile = \"events\"\n\
             [route.all]\nsource = \"shop\"\nsinks = [\"out\"]\n{route}\n"
        ));
        let refused = weir.command(&["run"]).await;
        assert_eq!(refused.code, Some(1), "{refused:?}");
        refused.stderr.replace(&weir.path("").display().to_string(), "")
    };
    expect![[r#"
        weir: the configuration weir.toml cannot be used: [route.all] halts where its plugin fails, and has 4 `partitions`: the others would go on. Give it 1, or another `failure`
    "#]].assert_eq(&said("partitions = 4\nfailure = \"halt\"").await);
    expect![[r#"
        weir: the configuration weir.toml cannot be used: [route.all] has 65 `partitions`, at most 64 are taken
    "#]]
    .assert_eq(&said("partitions = 65").await);
    expect![[r#"
        weir: weir.toml: TOML parse error at line 17, column 14
           |
        17 | partitions = 0
           |              ^
        invalid value: integer `0`, expected a nonzero u8
    "#]]
    .assert_eq(&said("partitions = 0").await);
}
