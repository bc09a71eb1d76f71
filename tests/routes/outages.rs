//! Sinks that are down, slow, throttle, take and do not tell, or fail parts of requests, while the route is killed again and
//! again: nothing is lost, repeats come under the same id, the changes of an item come in order.
//!
//! A seed that fails prints itself; `WEIR_ROUTE_SEED=<seed>` runs it alone.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use weir_simulator::Random;
use weir_tests::eventually;

use crate::sink::Fate;
use crate::stage::{SaidInPanic, Stage, TABLE, id};

const FIRST_SEED: u64 = 5000;
const SEEDS: u64 = 4;

/// What is done to a route, one after the other.
const TICKS: usize = 120;

#[tokio::test(flavor = "multi_thread")]
async fn a_sink_that_is_down_gets_one_request_at_a_time_and_nothing_is_parked_or_lost() {
    let mut stage = Stage::begin().await;
    stage.sink.does(|_| Fate::Away);
    for number in 0..3000 {
        stage.put(&format!("item-{}", number % 700), number);
    }
    stage.site.arrives().await;
    let first = stage.first_change().await;
    stage.start();
    let mut before = 0;
    for _ in 0..60 {
        before = eventually("it is asked once more", async || {
            stage.step(Duration::from_secs(60));
            let attempts = stage.sink.attempts();
            (attempts > before).then_some(attempts)
        })
        .await;
    }
    // Four requests of ten were under way when it was found to be away.
    assert!(before <= 40 + 120, "{before} were sent");
    assert_eq!(stage.parked().await, 0);
    assert!(stage.cursor().await <= first, "the cursor waits");
    assert!(stage.dead_letters().await.is_empty());
    stage.sink.does(|_| Fate::Taken);
    stage.all_done().await;
    assert_eq!(stage.sink.count(), 3000);
    assert_eq!(stage.findings().await, [""; 0]);
}

/// A burst of a second's worth, and no more than that in each second after it.
#[tokio::test(flavor = "multi_thread")]
async fn a_sink_gets_no_more_events_in_a_second_than_it_is_meant_to() {
    let mut stage = Stage::begin().await;
    stage.messages_per_second = std::num::NonZeroU32::new(20);
    for number in 0..60 {
        stage.put(&format!("item-{number}"), number);
    }
    stage.site.arrives().await;
    let begun = std::time::Instant::now();
    stage.start();
    eventually("all are delivered", async || {
        stage.step(Duration::from_millis(50));
        (stage.sink.count() == 60).then_some(())
    })
    .await;
    assert!(begun.elapsed() >= Duration::from_millis(1900), "{:?}", begun.elapsed());
}

/// Others come until so many are parked: with nothing else to send, nobody can tell whether the sink is there. Says how many came.
async fn others_come_until_parked(stage: &Stage, parked: usize) -> usize {
    let mut more = 0;
    eventually(&format!("{parked} are parked"), async || {
        stage.put("well", more);
        more += 1;
        stage.step(Duration::from_secs(1));
        (stage.parked().await == parked).then_some(())
    })
    .await;
    more
}

/// An endpoint that hangs on one item, and on nothing else, is there.
#[tokio::test(flavor = "multi_thread")]
async fn a_sink_that_is_away_for_one_item_only_keeps_that_one_waiting_and_no_other() {
    let mut stage = Stage::begin().await;
    stage
        .sink
        .does(|event| if id(event) == "item-0" { Fate::Away } else { Fate::Taken });
    for number in 0..100 {
        stage.put(&format!("item-{}", number % 10), number);
    }
    stage.site.arrives().await;
    stage.start();
    let more = others_come_until_parked(&stage, 10).await;
    eventually("the others are delivered", async || {
        stage.step(Duration::from_millis(100));
        (stage.sink.count() == 90 + more).then_some(())
    })
    .await;
    stage.sink.does(|_| Fate::Taken);
    stage.all_done().await;
    assert_eq!(stage.sink.count(), 100 + more);
    assert_eq!(stage.findings().await, [""; 0]);
}

/// An endpoint that limits each customer for itself asks to be left alone, and means one of them.
#[tokio::test(flavor = "multi_thread")]
async fn a_sink_that_asks_to_be_left_alone_with_one_item_has_all_others_without_a_pause() {
    let mut stage = Stage::begin().await;
    stage.sink.does(|event| {
        if id(event) == "item-0" {
            Fate::AwayForAWhile
        } else {
            Fate::Taken
        }
    });
    stage.retry = serde_json::from_str(r#"{"age_max": "10m"}"#).unwrap();
    for number in 0..20 {
        stage.put(&format!("item-{}", number % 2), number);
    }
    stage.site.arrives().await;
    stage.start();
    let mut more = others_come_until_parked(&stage, 10).await;
    // It is asked again and again, and no time passes for the others.
    for _ in 0..20 {
        stage.step(Duration::from_secs(2));
        let before = stage.sink.count();
        for _ in 0..5 {
            stage.put("well", more);
            more += 1;
        }
        eventually("the others are taken", async || {
            (stage.sink.count() >= before + 5).then_some(())
        })
        .await;
    }
    eventually("its first is given up for its age", async || {
        stage.step(Duration::from_secs(60));
        stage.put("well", more);
        more += 1;
        (!stage.dead_letters().await.is_empty()).then_some(())
    })
    .await;
    stage.sink.does(|_| Fate::Taken);
    stage.all_done().await;
    assert!(
        stage
            .dead_letters()
            .await
            .iter()
            .all(|letter| letter.code == "attempts-exhausted")
    );
    assert_eq!(stage.findings().await, [""; 0]);
}

/// Whoever asks to be left alone with the one delivery that shows whether it is back, is back.
#[tokio::test(flavor = "multi_thread")]
async fn a_sink_that_asks_to_be_left_alone_with_the_only_delivery_there_is_gets_the_next_one_soon() {
    let mut stage = Stage::begin().await;
    stage.sink.does(|event| {
        if id(event) == "limited" {
            Fate::AwayForAWhile
        } else {
            Fate::Taken
        }
    });
    stage.put("limited", 0);
    stage.put("beside", 0);
    stage.site.arrives().await;
    stage.start();
    eventually("the other is taken", async || (stage.sink.count() == 1).then_some(())).await;
    eventually("the one is tried alone", async || {
        stage.step(Duration::from_millis(100));
        (stage.sink.attempts() >= 3).then_some(())
    })
    .await;
    stage.put("next", 0);
    let mut steps = 0;
    eventually("the next is taken", async || {
        stage.step(Duration::from_millis(100));
        steps += 1;
        (stage.sink.count() == 2).then_some(())
    })
    .await;
    assert!(steps < 600, "it took {} s", steps / 10);
    stage.sink.does(|_| Fate::Taken);
    stage.all_done().await;
    assert_eq!(stage.findings().await, [""; 0]);
}

/// A sink that is away now and then, and says how long it wants to be left alone, fails on nothing.
#[tokio::test(flavor = "multi_thread")]
async fn a_sink_that_goes_away_again_and_again_parks_nothing_that_it_takes_later() {
    let mut stage = Stage::begin().await;
    let mut seen = std::collections::HashMap::<String, u32>::new();
    stage.sink.does(move |event| {
        let times = seen.entry(event["detail"]["delivery"].to_string()).or_default();
        *times += 1;
        if *times < 4 { Fate::AwayForAWhile } else { Fate::Taken }
    });
    stage.retry = serde_json::from_str(r#"{"attempts_max": 2}"#).unwrap();
    for number in 0..200 {
        stage.put(&format!("item-{}", number % 50), number);
    }
    stage.site.arrives().await;
    stage.start();
    stage.all_done().await;
    assert!(stage.dead_letters().await.is_empty());
    assert_eq!(stage.sink.count(), 200);
    assert_eq!(stage.findings().await, [""; 0]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sink_that_refuses_everything_is_not_sent_everything() {
    let mut stage = Stage::begin().await;
    stage.sink.does(|_| Fate::Refused);
    for number in 0..3000 {
        stage.put(&format!("item-{number}"), number);
    }
    stage.site.arrives().await;
    stage.start();
    eventually("the first are refused", async || {
        (stage.sink.attempts() >= 50).then_some(())
    })
    .await;
    for _ in 0..20 {
        let before = stage.sink.attempts();
        eventually("it is asked once more", async || {
            stage.step(Duration::from_millis(100));
            (stage.sink.attempts() > before).then_some(())
        })
        .await;
    }
    assert!(stage.sink.attempts() < 200, "{} were sent", stage.sink.attempts());
    stage.sink.does(|_| Fate::Taken);
    stage.all_done().await;
    assert_eq!(stage.findings().await, [""; 0]);
    assert!(stage.sink.count() > 2800);
}

#[tokio::test(flavor = "multi_thread")]
async fn whatever_a_sink_does_and_whenever_the_route_is_killed_nothing_is_lost_or_out_of_order() {
    storms(async |storm| storm.of_one_process()).await;
}

/// Also while it gets other numbers of partitions, and these move between processes that come, go, die and fall silent.
#[tokio::test(flavor = "multi_thread")]
async fn whatever_becomes_of_the_processes_that_share_a_route_nothing_is_lost_or_out_of_order() {
    storms(async |storm| storm.of_several_processes().await).await;
}

async fn storms(mut tick: impl AsyncFnMut(&mut Storm)) {
    let one = std::env::var("WEIR_ROUTE_SEED").ok().map(|seed| seed.parse().unwrap());
    let seeds: Vec<u64> = one.map_or_else(|| (FIRST_SEED..FIRST_SEED + SEEDS).collect(), |seed| vec![seed]);
    for seed in seeds {
        let _said = SaidInPanic::of(format!("WEIR_ROUTE_SEED={seed}"));
        let findings = storm(seed, &mut tick).await;
        assert!(findings.is_empty(), "WEIR_ROUTE_SEED={seed}: {findings:#?}");
    }
}

/// How a sink is, for a while.
#[derive(Clone, Copy)]
enum Mood {
    Well,
    Away,
    Throttling,
    Silent,
    SomeItemsFail,
    NothingWorks,
    RefusesSome,
}

const MOODS: [Mood; 7] = [
    Mood::Well,
    Mood::Away,
    Mood::Throttling,
    Mood::Silent,
    Mood::SomeItemsFail,
    Mood::NothingWorks,
    Mood::RefusesSome,
];

/// A route in trouble.
struct Storm {
    stage: Stage,
    random: Random,
    mood: Arc<Mutex<Mood>>,
}

impl Storm {
    async fn begin(seed: u64) -> Self {
        let mut stage = Stage::begin().await;
        stage.parked_max = 40;
        let mood = Arc::new(Mutex::new(Mood::Well));
        let current = Arc::clone(&mood);
        let mut dice = Random::new(seed.rotate_left(32));
        stage.sink.does(move |event| match *current.lock().unwrap() {
            Mood::Well => Fate::Taken,
            Mood::Away => Fate::Away,
            Mood::Throttling if dice.chance(0.5) => Fate::Fails,
            Mood::Silent if dice.chance(0.3) => Fate::TakenAndSilent,
            Mood::SomeItemsFail if id(event).ends_with('3') => Fate::Fails,
            Mood::NothingWorks => Fate::Fails,
            Mood::RefusesSome if dice.chance(0.1) => Fate::Refused,
            _ => Fate::Taken,
        });
        Self {
            stage,
            random: Random::new(seed),
            mood,
        }
    }

    fn is(&self, mood: Mood) {
        *self.mood.lock().unwrap() = mood;
    }

    /// What happens to the sink, and what operators order.
    async fn tick(&mut self) {
        let Self { stage, random, .. } = self;
        stage.site.simulator.change_some(TABLE, 30, 10).unwrap();
        if random.chance(0.2) {
            *self.mood.lock().unwrap() = MOODS[random.index(MOODS.len())];
        }
        if random.chance(0.1) {
            stage.sink.takes_so_long(Duration::from_millis(random.below(40)));
        }
        stage.step(Duration::from_millis(random.below(4000)));
        tokio::time::sleep(Duration::from_millis(random.below(30))).await;
        if random.chance(0.1) {
            stage.redrive_all().await;
        }
        if random.chance(0.02) {
            let as_new = random.chance(0.5).then(|| format!("replay-{}", random.below(3)));
            stage.replay(|replay| replay.as_new = as_new).await;
        }
    }

    /// What happens to a process that is alone, or followed by another one.
    fn of_one_process(&mut self) {
        if self.random.chance(0.1) {
            self.stage.restart();
        } else if self.random.chance(0.05) {
            self.stage.start();
            self.stage.kill(0);
        }
    }

    /// What happens to processes that share the route.
    async fn of_several_processes(&mut self) {
        let Self { stage, random, .. } = self;
        let processes = stage.processes();
        if random.chance(0.06) {
            let partitions = u8::try_from(1 + random.below(6)).unwrap();
            stage.partitioned(partitions).await;
        }
        if random.chance(0.05) {
            stage.restart();
        } else if processes < 3 && random.chance(0.1) {
            stage.start();
        } else if processes > 1 && random.chance(0.1) {
            let index = random.index(processes);
            match random.below(3) {
                0 => stage.kill(index),
                1 => stage.dismiss(index).await,
                _ => stage.silence(index),
            }
        }
    }
}

/// What is wrong after it.
async fn storm(seed: u64, tick: &mut impl AsyncFnMut(&mut Storm)) -> Vec<String> {
    let mut storm = Storm::begin(seed).await;
    let mut findings = Vec::new();
    let mut most = 0;
    storm.stage.start();
    storm.is(Mood::SomeItemsFail);
    storm.stage.put("item-3", 0);
    eventually("something is parked", async || {
        storm.stage.step(Duration::from_secs(1));
        (storm.stage.parked().await > 0).then_some(())
    })
    .await;
    for _ in 0..TICKS {
        storm.tick().await;
        most = most.max(storm.stage.parked().await);
        tick(&mut storm).await;
    }
    storm.is(Mood::Well);
    let Storm { mut stage, .. } = storm;
    // Half as much again may be of a replay; and what one position makes is parked whole, in each partition.
    if most > stage.parked_max + stage.parked_max / 2 + 6 {
        findings.push(format!("{most} were parked"));
    }
    stage.sink.takes_so_long(Duration::ZERO);
    // The others may all have fallen silent.
    stage.start();
    stage.site.arrives().await;
    if !stage.is_running() {
        findings.push("the route ended by itself".to_owned());
    }
    stage.all_done().await;
    stage.redrive_all().await;
    stage.all_done().await;
    if !stage.dead_letters().await.is_empty() {
        findings.push("what was sent again is still a dead letter".to_owned());
    }
    findings.extend(stage.findings().await);
    findings
}
