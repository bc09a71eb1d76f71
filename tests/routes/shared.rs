//! Several routes of one process: what one read serves, each takes by its own pattern and in its own time.

use std::collections::BTreeMap;
use std::num::NonZeroUsize;
use std::sync::Arc;

use futures_util::FutureExt as _;
use jiff::Timestamp;
use tokio_util::sync::CancellationToken;
use weir_ledger::{ConfiguredRoute, Work};
use weir_pipeline::{Activities, Clock, Feed, Gates, RouteSettings, Routes, SinkSetup};
use weir_routing::RetrySchedule;
use weir_runtime::{Limits, Runtime};
use weir_tests::eventually;

use crate::sink::TestSink;
use crate::stage::{Stage, configured, id};

/// A route's name, which is its sink's, too, and its pattern.
const ROUTES: [(&str, Option<&str>); 5] = [
    ("everything", None),
    ("threes", Some(r#"{"detail": {"keys": {"id": [{"suffix": "3"}]}}}"#)),
    (
        "records",
        Some(r#"{"dynamodb": {"NewImage": {"id": {"S": ["item-7"]}}}}"#),
    ),
    ("inserts", Some(r#"{"detail-type": [{"suffix": ".insert"}]}"#)),
    ("nothing", Some(r#"{"detail": {"table": ["customers"]}}"#)),
];

/// The routes at work on one feed, each with a sink of its own.
struct AtWork {
    feed: Arc<Feed>,
    sinks: BTreeMap<&'static str, TestSink>,
    stop: CancellationToken,
    tasks: Vec<tokio::task::JoinHandle<()>>,
}

impl AtWork {
    /// Versions begin where they are entered, so this comes before the changes.
    async fn enter(stage: &Stage) {
        for (name, pattern) in ROUTES {
            enter(stage, name, pattern).await;
        }
    }

    fn start(stage: &Stage) -> Self {
        let sinks: BTreeMap<&str, TestSink> = ROUTES.iter().map(|(name, _)| (*name, TestSink::new())).collect();
        let setups = sinks.iter().map(|(name, sink)| {
            let setup = SinkSetup {
                sink: Arc::new(sink.clone()),
                messages_per_second: None,
            };
            ((*name).to_owned(), setup)
        });
        let gates = Arc::new(Gates::new(setups.collect(), Clock::system()));
        let feed = Arc::new(Feed::new(stage.site.ledger.clone()));
        let runtime = Runtime::start(Limits::default()).unwrap();
        let stop = CancellationToken::new();
        let settings = ROUTES.map(|(name, _)| RouteSettings {
            name: name.to_owned(),
            retry: RetrySchedule::default(),
            parked_max: NonZeroUsize::new(100).unwrap(),
        });
        let works_at = ROUTES.map(|(name, _)| Work::Route(name.to_owned()));
        let heart = stage.site.heart("routes".to_owned(), works_at.to_vec());
        let routes = Routes::new(
            settings,
            heart.member(),
            Arc::clone(&feed),
            &runtime,
            gates,
            Activities::new(),
        );
        let tasks = vec![
            tokio::spawn(heart.beat(stop.clone())),
            tokio::spawn(routes.run(stop.clone()).map(Result::unwrap)),
        ];
        Self {
            feed,
            sinks,
            stop,
            tasks,
        }
    }

    /// Until all cursors stand at the ledger's end.
    async fn done(&self, stage: &Stage) {
        eventually("all routes are done", async || {
            let end = stage.site.ledger.head().await.unwrap().size;
            let partitions = stage.site.ledger.partitions().await.unwrap();
            let done = partitions.iter().filter(|state| state.next.0 == end).count();
            (done == ROUTES.len()).then_some(())
        })
        .await;
    }

    /// Items of what the sink of a route took, in order.
    fn taken(&self, route: &str) -> Vec<String> {
        let events = self.sinks[route].taken();
        events.iter().map(|event| id(event).to_owned()).collect()
    }

    async fn stop(self) {
        self.stop.cancel();
        for task in self.tasks {
            task.await.unwrap();
        }
    }
}

async fn enter(stage: &Stage, route: &str, pattern: Option<&str>) {
    let mut configured: ConfiguredRoute = configured(route);
    configured.definition.pattern = pattern.map(str::to_owned);
    configured.planned = configured.definition.clone();
    let entered = stage
        .site
        .ledger
        .enter_route_version(route, &configured, Timestamp::now());
    entered.await.unwrap().unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn routes_that_share_what_is_read_take_each_what_its_pattern_says() {
    let mut stage = Stage::begin().await;
    AtWork::enter(&stage).await;
    for number in 0..3000 {
        stage.put(&format!("item-{}", number % 1000), number);
    }
    stage.site.arrives().await;
    let routes = AtWork::start(&stage);
    routes.done(&stage).await;
    assert_eq!(routes.taken("everything").len(), 3000);
    let threes = routes.taken("threes");
    assert_eq!(threes.len(), 300);
    assert!(threes.iter().all(|id| id.ends_with('3')));
    assert_eq!(routes.taken("records"), ["item-7"; 3]);
    assert_eq!(routes.taken("inserts").len(), 1000);
    assert_eq!(routes.taken("nothing"), [""; 0]);
    // Four pages, and some again where it takes long. Each for itself, the five would have read twenty.
    let reads = routes.feed.reads();
    assert!((4..15).contains(&reads), "the ledger was read {reads} times");
    routes.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_process_records_it_routes_without_reading_it() {
    let mut stage = Stage::begin().await;
    AtWork::enter(&stage).await;
    let routes = AtWork::start(&stage);
    for round in 0..20 {
        for number in 0..50 {
            stage.put(&format!("item-{number}"), round * 50 + number);
        }
        stage.site.arrives().await;
        routes.done(&stage).await;
    }
    assert_eq!(routes.taken("everything").len(), 1000);
    assert_eq!(routes.taken("records"), ["item-7"; 20]);
    // On a busy machine some of it is older than what is handed over.
    let handed_over = routes.feed.handed_over();
    assert!(handed_over >= 500, "{handed_over} of 1000 were handed over");
    routes.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_version_of_one_route_changes_what_that_one_takes_and_no_other() {
    let mut stage = Stage::begin().await;
    AtWork::enter(&stage).await;
    let routes = AtWork::start(&stage);
    for number in 0..20 {
        stage.put(&format!("item-{number}"), number);
    }
    stage.site.arrives().await;
    routes.done(&stage).await;
    enter(&stage, "records", Some(r#"{"detail": {"keys": {"id": ["item-8"]}}}"#)).await;
    for number in 0..20 {
        stage.put(&format!("item-{number}"), 100 + number);
    }
    stage.site.arrives().await;
    routes.done(&stage).await;
    assert_eq!(routes.taken("records"), ["item-7", "item-8"]);
    assert_eq!(routes.taken("threes").len(), 4);
    assert_eq!(routes.taken("everything").len(), 40);
    routes.stop().await;
}
