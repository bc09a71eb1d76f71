//! Processes that share a route: each has some of its partitions, which move from one to another when processes come and go, and
//! make way for others when the route gets another number of them.

use std::ops::Range;
use std::time::Duration;

use weir_tests::eventually;

use crate::sink::Fate;
use crate::stage::{Stage, id};

/// Nobody is believed to be gone who only waits for a busy machine.
const LONG_LEASE: Duration = Duration::from_secs(6);

/// Changes 100 items in turn.
fn change(stage: &Stage, numbers: Range<usize>) {
    for number in numbers {
        stage.put(&format!("item-{}", number % 100), number);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn processes_that_come_and_go_share_a_route_and_send_everything_once() {
    let mut stage = Stage::with_lease(LONG_LEASE).await;
    stage.partitioned(8).await;
    stage.start();
    change(&stage, 0..500);
    stage.shared_as(&[8]).await;
    stage.start();
    change(&stage, 500..1000);
    stage.shared_as(&[4, 4]).await;
    stage.start();
    change(&stage, 1000..1500);
    stage.shared_as(&[2, 3, 3]).await;
    stage.dismiss(0).await;
    change(&stage, 1500..2000);
    stage.shared_as(&[4, 4]).await;
    stage.site.arrives().await;
    stage.all_done().await;
    assert_eq!(stage.findings().await, [""; 0]);
    // What is handed over is settled: nothing is sent by the one and by the other.
    assert_eq!((stage.sink.count(), stage.sink.attempts()), (2000, 2000));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_killed_process_had_is_routed_by_another_and_what_it_parked_comes_in_order() {
    let mut stage = Stage::begin().await;
    stage.partitioned(8).await;
    stage.sink.does(|event| {
        if id(event).ends_with('3') {
            Fate::Fails
        } else {
            Fate::Taken
        }
    });
    stage.start();
    stage.start();
    stage.shared_as(&[4, 4]).await;
    change(&stage, 0..1000);
    stage.site.arrives().await;
    eventually("the items that fail are parked", async || {
        stage.step(Duration::from_millis(500));
        (stage.parked().await == 100).then_some(())
    })
    .await;
    stage.kill(0);
    change(&stage, 1000..2000);
    stage.shared_as(&[8]).await;
    stage.site.arrives().await;
    eventually("the others are delivered", async || {
        stage.step(Duration::from_millis(500));
        (stage.parked().await == 200).then_some(())
    })
    .await;
    stage.sink.does(|_| Fate::Taken);
    stage.all_done().await;
    assert_eq!(stage.sink.distinct(), 2000);
    assert_eq!(stage.findings().await, [""; 0]);
}

/// Whoever cannot tell whether it is believed to be alive sends nothing: another one may be sending the same.
#[tokio::test(flavor = "multi_thread")]
async fn a_process_that_is_silent_sends_nothing_more() {
    let mut stage = Stage::with_lease(LONG_LEASE).await;
    stage.shared_by_two().await;
    change(&stage, 0..100);
    stage.site.arrives().await;
    stage.all_done().await;
    stage.silence(0);
    stage.shared_as(&[8]).await;
    let before = (stage.sink.count(), stage.sink.attempts());
    assert_eq!(before, (100, 100));
    change(&stage, 100..1100);
    stage.site.arrives().await;
    stage.all_done().await;
    assert_eq!((stage.sink.count(), stage.sink.attempts()), (1100, 1100));
    assert_eq!(stage.findings().await, [""; 0]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_route_gets_another_number_of_partitions_under_load_and_nothing_is_lost_or_out_of_order() {
    let mut stage = Stage::begin().await;
    stage.sink.does(|event| {
        if id(event).ends_with('3') {
            Fate::Fails
        } else {
            Fate::Taken
        }
    });
    stage.start();
    stage.start();
    let mut begun = 0;
    for (partitions, shares) in [
        (4, vec![2, 2]),
        (8, vec![4, 4]),
        (3, vec![1, 2]),
        (1, vec![1]),
        (2, vec![1, 1]),
    ] {
        change(&stage, begun..begun + 200);
        stage.partitioned(partitions).await;
        change(&stage, begun + 200..begun + 400);
        begun += 400;
        eventually("it is shared anew", async || {
            // What fails is parked after some time, and keeps no cursor back.
            stage.step(Duration::from_millis(500));
            let of_now = stage.site.ledger.partitions().await.unwrap();
            (of_now.len() == usize::from(partitions)).then_some(())
        })
        .await;
        stage.shared_as(&shares).await;
    }
    stage.site.arrives().await;
    stage.sink.does(|_| Fate::Taken);
    stage.all_done().await;
    assert_eq!(stage.sink.distinct(), 2000);
    assert_eq!(stage.findings().await, [""; 0]);
}

/// A beat that comes late does not make a process sure again of what it had: others have that.
#[tokio::test(flavor = "multi_thread")]
async fn a_process_whose_heart_stops_for_a_while_goes_on_with_what_it_takes_anew_and_sends_nothing_of_before() {
    let mut stage = Stage::with_lease(LONG_LEASE).await;
    stage.shared_by_two().await;
    let hold = stage.hold_heart_of("process 0", LONG_LEASE * 2);
    stage.shared_as(&[8]).await;
    change(&stage, 0..500);
    stage.site.arrives().await;
    hold.await.unwrap();
    stage.shared_as(&[4, 4]).await;
    change(&stage, 500..1000);
    stage.site.arrives().await;
    stage.all_done().await;
    assert_eq!((stage.sink.count(), stage.sink.attempts()), (1000, 1000));
    assert_eq!(stage.findings().await, [""; 0]);
}

/// The order of the changes of an item holds also where it is in another partition than before.
#[tokio::test(flavor = "multi_thread")]
async fn a_cursor_that_waits_keeps_the_partitions_that_come_after_it_waiting() {
    let mut stage = Stage::begin().await;
    stage.partitioned(4).await;
    stage.start();
    stage.shared_as(&[4]).await;
    stage.sink.does(|_| Fate::Away);
    change(&stage, 0..200);
    stage.site.arrives().await;
    stage.partitioned(2).await;
    change(&stage, 200..400);
    stage.site.arrives().await;
    let attempts = stage.sink.attempts();
    eventually("it is asked a few times more", async || {
        stage.step(Duration::from_secs(60));
        (stage.sink.attempts() > attempts + 10).then_some(())
    })
    .await;
    stage.shared_as(&[4]).await;
    stage.sink.does(|_| Fate::Taken);
    stage.all_done().await;
    stage.shared_as(&[2]).await;
    assert_eq!(stage.sink.distinct(), 400);
    assert_eq!(stage.findings().await, [""; 0]);
}

/// Each partition gets through its part, and together they send all of it once.
#[tokio::test(flavor = "multi_thread")]
async fn a_replay_runs_in_all_partitions_and_goes_on_in_those_that_come_after_them() {
    let mut stage = Stage::with_lease(LONG_LEASE).await;
    stage.partitioned(4).await;
    stage.start();
    stage.start();
    change(&stage, 0..400);
    stage.site.arrives().await;
    stage.all_done().await;
    stage.replay_all().await;
    stage.all_done().await;
    assert_eq!(stage.sink.attempts(), 800);
    // What is under way when the number changes is sent on by the new ones; some of it once more.
    stage.replay_all().await;
    stage.partitioned(3).await;
    stage.all_done().await;
    assert!(stage.sink.attempts() >= 1200, "{}", stage.sink.attempts());
    assert_eq!(stage.sink.distinct(), 400);
    assert_eq!(stage.findings().await, [""; 0]);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_processes_send_together_is_no_more_than_a_sink_is_meant_to_get() {
    let mut stage = Stage::begin().await;
    stage.messages_per_second = std::num::NonZeroU32::new(40);
    stage.shared_by_two().await;
    let begun = std::time::Instant::now();
    change(&stage, 0..100);
    eventually("all are delivered", async || {
        stage.step(Duration::from_millis(50));
        (stage.sink.count() >= 100).then_some(())
    })
    .await;
    // A burst of a second's worth, and as much in each second after it. Each alone may send 40, both together the same.
    assert!(begun.elapsed() >= Duration::from_millis(1350), "{:?}", begun.elapsed());
}
