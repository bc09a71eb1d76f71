//! A process that begins anew with what was applied, while something goes wrong.

use weir_tests::eventually;

use crate::shop::Shop;

const SECRET: &str = "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD";

/// A shop in which another sink, `other`, is applied while the receiver is silent about an item: the process that begins anew waits
/// for it some seconds. What happens in them, the tests say.
async fn renewed_behind_a_silent_receiver() -> Shop {
    let shop = Shop::open("").await;
    shop.receiver.keeps_silent_about("held");
    shop.put("held", "a");
    eventually("it is sent", async || shop.receiver.hooks().pop()).await;

    let config = std::fs::read_to_string(shop.weir.path("weir.toml")).unwrap();
    let config = config.replace("sinks = [\"hook\"]", "sinks = [\"hook\", \"other\"]");
    shop.weir.write("weir.toml", &config);
    shop.weir.write("other.secret", SECRET);
    let url = shop.receiver.endpoint();
    shop.configure(&format!(
        "[sink.other]\ntype = \"webhook\"\nurl = \"{url}/other\"\nallow_networks = [\"127.0.0.0/8\"]\n"
    ));
    tokio::select! {
        applied = shop.weir.command(&["apply"]) => panic!("it waits until it is done: {applied:?}"),
        () = shop.logs("this process begins anew with it") => {}
    }
    shop
}

impl Shop {
    async fn logs(&self, text: &str) {
        eventually(text, async || self.running.log().contains(text).then_some(())).await;
    }

    /// Until all that there is of an item came to both sinks.
    async fn both_took(&self, id: &str) {
        eventually(&format!("both take {id}"), async || {
            let hooks = self.receiver.hooks().into_iter();
            let taken = hooks.filter(|hook| hook.status == 204 && hook.event()["data"]["keys"]["id"] == id);
            let sinks: std::collections::BTreeSet<String> = taken.map(|hook| hook.delivery().to_owned()).collect();
            (sinks.len() == 2).then_some(())
        })
        .await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_sink_holds_for_long_is_broken_off_and_sent_once_more_under_the_same_id() {
    let shop = renewed_behind_a_silent_receiver().await;
    shop.logs("some work did not end in time").await;
    shop.receiver.speaks_about("held");
    assert_eq!(shop.took("held", 1).await, ["a"]);
    let hooks = shop.receiver.hooks();
    assert_eq!(hooks[0].status, 0);
    assert!(
        hooks[1..]
            .iter()
            .any(|hook| hook.delivery() == hooks[0].delivery() && hook.body == hooks[0].body)
    );
    shop.put("after", "b");
    shop.both_took("after").await;
    shop.running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_checked_and_still_cannot_be_begun_leaves_what_was_before_it_and_is_tried_again() {
    let shop = renewed_behind_a_silent_receiver().await;
    std::fs::remove_file(shop.weir.path("other.secret")).unwrap();
    shop.shows(&["leases", "ls"], "CANNOT DO configuration 1: [sink.other]")
        .await;
    shop.receiver.speaks_about("held");
    assert_eq!(shop.took("held", 1).await, ["a"]);

    shop.weir.write("other.secret", SECRET);
    shop.shows(&["leases", "ls"], "configuration 1\n").await;
    shop.put("after", "b");
    shop.both_took("after").await;
    let letters = shop.weir.command(&["dlq", "ls"]).await.stdout;
    assert!(letters.contains("no dead letters"), "{letters}");
    shop.running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn where_postgres_is_away_just_then_the_process_waits_and_begins_with_what_was_applied() {
    let shop = renewed_behind_a_silent_receiver().await;
    shop.weir.database.close();
    shop.logs("Postgres does not answer; this process begins anew when it does")
        .await;
    shop.weir.database.open();
    shop.receiver.speaks_about("held");
    assert_eq!(shop.took("held", 1).await, ["a"]);
    shop.put("after", "b");
    shop.both_took("after").await;
    shop.running.stop().await;
}
