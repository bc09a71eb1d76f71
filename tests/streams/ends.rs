//! The end of a shard, of a stream, and the stream that comes next.

use weir_simulator::{Fault, FaultRule, Resharding};

use crate::{put_into_each, site};

/// streams.md 11: one emulator shows such a number on every shard.
#[tokio::test(flavor = "multi_thread")]
async fn an_open_shard_that_shows_an_ending_number_is_read_on() {
    let mut site = site(1).await;
    site.simulator
        .discovery(|discovery| discovery.ending_on_open_shards = true);
    site.add_worker().await;
    for id in ["o1", "o2"] {
        site.put(id);
        site.arrives().await;
        site.asked("GetRecords", 3).await;
    }
    site.is_true().await;
}

/// streams.md 12: and where the last page has none.
#[tokio::test(flavor = "multi_thread")]
async fn the_records_of_a_shard_s_last_page_are_recorded() {
    for ends_after_empty_page in [false, true] {
        let mut site = site(1).await;
        let shard = site.simulator.open_shards("orders").unwrap().remove(0);
        site.simulator
            .reading(|reading| reading.ends_after_empty_page = ends_after_empty_page);
        site.simulator.change_some("orders", 5, 20).unwrap();
        site.simulator.rotate("orders", None, &Resharding::default()).unwrap();
        site.put("child");
        site.add_worker().await;
        site.arrives().await;
        site.finishes(&shard).await;
        site.is_true().await;
    }
}

/// streams.md 13.
#[tokio::test(flavor = "multi_thread")]
async fn the_end_of_a_shard_that_postgres_does_not_take_is_recorded_when_it_does() {
    let mut site = site(1).await;
    let shard = site.simulator.open_shards("orders").unwrap().remove(0);
    site.add_worker().await;
    site.put("o1");
    site.arrives().await;
    site.tamper(
        "create sequence refused;
         grant usage on sequence refused to public;
         create function refuse() returns trigger language plpgsql as $$
         begin
             -- A sequence counts on when the transaction fails.
             if nextval('refused') <= 3 then raise exception 'not now' using errcode = '57014'; end if;
             return new;
         end $$;
         create trigger refuse before update on shard
             for each row when (new.finished_at is not null) execute function refuse()",
    );
    site.simulator.rotate("orders", None, &Resharding::default()).unwrap();
    site.put("o2");
    site.arrives().await;
    site.finishes(&shard).await;
    assert_eq!(site.shown().await, "o1 o2");
    site.is_true().await;
}

/// streams.md 14: its leaves never get children, and are not waited for.
#[tokio::test(flavor = "multi_thread")]
async fn a_stream_that_was_switched_off_is_read_to_its_end_and_is_done() {
    let mut site = site(2).await;
    site.add_worker().await;
    let keys = put_into_each(&site);
    site.simulator.disable("orders").unwrap();
    for (shard, _) in &keys {
        site.finishes(shard).await;
    }
    weir_tests::eventually("the stream is drained", async || {
        site.simulator.step(std::time::Duration::from_secs(5));
        site.ledger.streams().await.unwrap()[0].is_drained.then_some(())
    })
    .await;
    site.arrives().await;
    assert_eq!(site.stuck(), Vec::<String>::new());
    site.is_true().await;
}

/// streams.md 14 and 15: as long as a shard of it cannot be read, the next stream waits.
#[tokio::test(flavor = "multi_thread")]
async fn the_next_stream_of_a_table_begins_when_the_one_before_was_read_to_its_end() {
    let mut site = site(1).await;
    site.add_worker().await;
    site.asked("GetRecords", 1).await;
    site.simulator
        .queue_fault(FaultRule::next("GetRecords", Fault::LimitExceeded).times(u32::MAX));
    site.put("old");
    site.simulator.recreate_table("orders").unwrap();
    site.put("new");
    for _ in 0..20 {
        site.simulator.step(std::time::Duration::from_secs(30));
        site.asked("DescribeStream", 1).await;
    }
    assert_eq!(site.ledger.streams().await.unwrap().len(), 1);
    site.simulator.clear_faults();
    site.arrives_in_time().await;
    assert_eq!(site.shown().await, "old gap(stream-replaced possible) new");
    site.is_true().await;
}

/// streams.md 15: what was written while the stream was off is lost, so a gap stands before what came then.
#[tokio::test(flavor = "multi_thread")]
async fn a_table_that_was_made_again_goes_on_with_its_new_stream_behind_a_gap() {
    let mut site = site(1).await;
    site.add_worker().await;
    site.put("o1");
    site.arrives().await;
    site.simulator.disable("orders").unwrap();
    site.put("lost");
    site.simulator.step(std::time::Duration::from_secs(60));
    site.simulator.enable("orders", None).unwrap();
    site.put("o2");
    site.arrives_in_time().await;
    assert_eq!(site.shown().await, "o1 gap(stream-replaced possible) o2");
    site.is_true().await;
}
