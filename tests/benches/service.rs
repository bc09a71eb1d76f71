//! The whole service beside a consumer that a team would write itself, in Node (`tests/peers/service`): from recorded pages to
//! acknowledged webhooks and queue messages.
//!
//! ```text
//! simulator ──▶ consumer ── filter, Postgres, then ──┬──▶ webhook, one event a request, signed
//!  GetRecords                                        └──▶ SQS, ten messages a request
//! ```
//!
//! Half of the changes are edits that the filter drops: Weir's is a plugin (`plugins/shop`). All are in the stream before the
//! consumer starts. Measured are the records of the stream a second up to the last acknowledgement, from when the first record was
//! sent to the consumer and, starting included, from when its process was started; the processor time of its process for each of
//! them, starting included; and the most memory that it had resident. The source, the receivers and Postgres run on the same
//! machine, for the one as for the other; their time is not in the consumer's.
//!
//! `tests/peers/service/run [CHANGES]` runs it.

use std::collections::HashSet;
use std::io::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse as _, Response};
use axum::{Json, Router, routing};
use md5::{Digest as _, Md5};
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::process::{Child, Command};
use weir_simulator::{Setup, Simulator, TableSetup, item};
use weir_tests::{Footprint, TestDatabase, Weir, component};

/// Source and receivers share the machine with whom they measure: what they take is kept low.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const TABLE: &str = "shop-orders";
const SHARDS: usize = 8;
const ORDERS: usize = 1000;
const CHANGES: usize = 60_000;
const ROUNDS: usize = 3;

/// How often it is looked whether everything arrived.
const LOOK_INTERVAL: Duration = Duration::from_millis(5);

/// How long it is waited for what should not come.
const AFTERWARDS: Duration = Duration::from_millis(500);

/// How long a consumer may take.
const PATIENCE: Duration = Duration::from_secs(300);

const SECRET: &str = "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD";

/// Who is measured.
#[derive(Clone, Copy)]
enum Peer {
    Weir { partitions: u8 },
    Node,
}

/// What was measured of it.
struct Measured {
    /// From when the first record was sent to it.
    records_per_s: f64,
    /// From when it was started.
    started_records_per_s: f64,
    processor_us: f64,
    resident_mib: f64,
}

#[tokio::main]
async fn main() -> ExitCode {
    let Some(consumer) = std::env::var_os("WEIR_CONSUMER").map(PathBuf::from) else {
        tell("the whole service is measured by tests/peers/service/run");
        return ExitCode::SUCCESS;
    };
    let given = std::env::args().find_map(|argument| argument.parse().ok());
    let changes = given.unwrap_or(CHANGES).next_multiple_of(ORDERS);
    let peers = [Peer::Weir { partitions: 1 }, Peer::Weir { partitions: 8 }, Peer::Node];
    let mut rounds: Vec<Vec<Measured>> = peers.iter().map(|_| Vec::new()).collect();
    for _ in 0..ROUNDS {
        for (peer, measured) in peers.iter().zip(&mut rounds) {
            measured.push(measure(*peer, changes, &consumer).await);
        }
    }
    let medians: Vec<Measured> = rounds.iter().map(|rounds| median(rounds)).collect();
    let node = medians.last().expect("there are three");
    for (peer, measured) in peers.iter().zip(&medians) {
        let name = match peer {
            Peer::Weir { partitions: 1 } => "Weir, a route of 1 partition".to_owned(),
            Peer::Weir { partitions } => format!("Weir, a route of {partitions} partitions"),
            Peer::Node => "the consumer in Node".to_owned(),
        };
        tell(&format!(
            "service/{name}: {:.0} records a second ({:.1} times Node's; {:.0} and {:.1} times with its start), {:.0} µs of processor \
             time a record ({:.1} times less), {:.0} MiB",
            measured.records_per_s,
            measured.records_per_s / node.records_per_s,
            measured.started_records_per_s,
            measured.started_records_per_s / node.started_records_per_s,
            measured.processor_us,
            node.processor_us / measured.processor_us,
            measured.resident_mib,
        ));
    }
    ExitCode::SUCCESS
}

fn tell(text: &str) {
    writeln!(std::io::stdout(), "{text}").expect("somebody reads this");
}

fn median(rounds: &[Measured]) -> Measured {
    let middle = |of: fn(&Measured) -> f64| {
        let mut all: Vec<f64> = rounds.iter().map(of).collect();
        all.sort_by(f64::total_cmp);
        all[all.len() / 2]
    };
    Measured {
        records_per_s: middle(|measured| measured.records_per_s),
        started_records_per_s: middle(|measured| measured.started_records_per_s),
        processor_us: middle(|measured| measured.processor_us),
        resident_mib: middle(|measured| measured.resident_mib),
    }
}

async fn measure(peer: Peer, changes: usize, consumer: &std::path::Path) -> Measured {
    let source = filled(changes).await;
    let receiver = Receiver::start().await;
    // Every order once, and every second round of edits: `filled` says why.
    let expected = ORDERS * (1 + changes / ORDERS / 2);
    match peer {
        Peer::Weir { partitions } => {
            let weir = weir(&source, &receiver, partitions);
            let running = weir.run(None);
            let measured = receiver.watch(running.process_id(), &source, changes, expected).await;
            running.stop().await;
            measured
        }
        Peer::Node => {
            let database = TestDatabase::create();
            let mut running = node(consumer, &source, &receiver, &database);
            let process = running.id().expect("it runs");
            let measured = receiver.watch(process, &source, changes, expected).await;
            running.kill().await.expect("our own child can be killed");
            measured
        }
    }
}

/// A table whose every order was inserted, and edited again and again: in turns its status, which the filter keeps, and its note,
/// which it drops. Images have about 700 bytes.
async fn filled(changes: usize) -> Simulator {
    let table = TableSetup {
        shards: SHARDS,
        ..TableSetup::new(TABLE)
    };
    let setup = Setup {
        tables: vec![table],
        ..Setup::default()
    };
    let simulator = Simulator::start(setup).await.expect("a port is free");
    for number in 0..changes {
        let round = number / ORDERS;
        let id = format!("order-{:05}", number % ORDERS);
        let status = ["placed", "paid", "packed", "delivered"][round.div_ceil(2) % 4];
        let order = json!({
            "customer": { "S": format!("customer-{:05}", number % 377) },
            "status": { "S": status },
            "total": { "N": "129.95" },
            "note": { "S": format!("round {}, {}", round / 2, "please ring twice and leave it at the door. ".repeat(6)) },
            "updated_by": { "S": "maria" },
            "items": { "L": (0..4).map(|line| json!({ "M": { "sku": { "S": format!("sku-{line}") }, "count": { "N": "2" } } })).collect::<Vec<_>>() },
        });
        let order = order.as_object().expect("an object").iter();
        let attributes: Vec<(&str, Value)> = order.map(|(name, value)| (name.as_str(), value.clone())).collect();
        simulator
            .put(TABLE, item(&id, &attributes))
            .expect("the table is there");
    }
    simulator
}

fn weir(source: &Simulator, receiver: &Receiver, partitions: u8) -> Weir {
    let weir = Weir::configure(&format!(
        "[source.shop]\ntable = \"{TABLE}\"\nendpoint = \"{}\"\ntest_credentials = true\nreads_per_second = 10\n\
         [sink.hook]\ntype = \"webhook\"\nurl = \"{1}/orders\"\nallow_networks = [\"127.0.0.0/8\"]\n\
         [sink.queue]\ntype = \"sqs\"\nqueue = \"{1}/000000000000/orders\"\nendpoint = \"{1}\"\ntest_credentials = true\n\
         [route.all]\nsource = \"shop\"\nplugin = \"{2}\"\nsinks = [\"hook\", \"queue\"]\npartitions = {partitions}\n",
        source.endpoint(),
        receiver.endpoint,
        component("shop").display(),
    ));
    weir.write("hook.secret", &format!("{SECRET}\n"));
    weir
}

fn node(consumer: &std::path::Path, source: &Simulator, receiver: &Receiver, database: &TestDatabase) -> Child {
    Command::new("node")
        .arg(consumer)
        .env("STREAMS_ENDPOINT", source.endpoint())
        .env("TABLE", TABLE)
        .env("WEBHOOK_URL", format!("{}/orders", receiver.endpoint))
        .env("WEBHOOK_SECRET", SECRET)
        .env("QUEUE_ENDPOINT", &receiver.endpoint)
        .env("QUEUE_URL", format!("{}/000000000000/orders", receiver.endpoint))
        .env("POSTGRES_URL", database.url())
        .kill_on_drop(true)
        .spawn()
        .expect("Node is there")
}

/// A webhook and a queue that count what they acknowledge; of webhooks, repeats are left out.
#[derive(Clone)]
struct Receiver {
    endpoint: String,
    taken: Arc<Mutex<Taken>>,
}

#[derive(Default)]
struct Taken {
    hooks: HashSet<String>,
    messages: usize,
}

impl Receiver {
    async fn start() -> Self {
        let taken: Arc<Mutex<Taken>> = Arc::default();
        let app = Router::new()
            .route("/orders", routing::post(take_hook))
            .fallback(routing::post(take_messages))
            .with_state(Arc::clone(&taken));
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0")
            .await
            .expect("a port is free");
        let address = listener.local_addr().expect("a listener has an address");
        tokio::spawn(async move { axum::serve(listener, app).await });
        Self {
            endpoint: format!("http://{address}"),
            taken,
        }
    }

    fn counts(&self) -> (usize, usize) {
        let taken = self.taken.lock().unwrap_or_else(PoisonError::into_inner);
        (taken.hooks.len(), taken.messages)
    }

    /// Waits until everything that is expected was acknowledged, of so many changes.
    async fn watch(&self, process: u32, source: &Simulator, changes: usize, expected: usize) -> Measured {
        let begun = Instant::now();
        while self.counts().0 < expected || self.counts().1 < expected {
            assert!(begun.elapsed() < PATIENCE, "{:?} of {expected} arrived", self.counts());
            tokio::time::sleep(LOOK_INTERVAL).await;
        }
        let (ended, last) = (Instant::now(), Footprint::of(process));
        let sent = (0..changes as u64).filter_map(|change| source.sent_at(change));
        let first_sent = sent.min().expect("all records were sent");
        // More would be other work than the peer's.
        tokio::time::sleep(AFTERWARDS).await;
        assert_eq!(self.counts(), (expected, expected));
        #[expect(clippy::cast_precision_loss, reason = "there are few")]
        let changes = changes as f64;
        #[expect(clippy::cast_precision_loss, reason = "there are few")]
        let resident = last.resident_bytes_max as f64;
        Measured {
            records_per_s: changes / ended.duration_since(first_sent).as_secs_f64(),
            started_records_per_s: changes / ended.duration_since(begun).as_secs_f64(),
            processor_us: last.processor.as_secs_f64() * 1e6 / changes,
            resident_mib: resident / f64::from(1 << 20),
        }
    }
}

/// Body of `SendMessageBatch`, as far as it is looked at.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Messages {
    entries: Vec<QueueMessage>,
}

#[derive(Deserialize)]
struct QueueMessage {
    #[serde(rename = "Id")]
    id: String,
    #[serde(rename = "MessageBody")]
    body: String,
}

async fn take_hook(State(taken): State<Arc<Mutex<Taken>>>, headers: HeaderMap, _body: Bytes) -> StatusCode {
    let id = headers
        .get("webhook-id")
        .and_then(|id| id.to_str().ok())
        .unwrap_or_default();
    let mut taken = taken.lock().unwrap_or_else(PoisonError::into_inner);
    taken.hooks.insert(id.to_owned());
    StatusCode::NO_CONTENT
}

async fn take_messages(State(taken): State<Arc<Mutex<Taken>>>, body: Bytes) -> Response {
    let request: Messages = serde_json::from_slice(&body).expect("the client sends JSON");
    let successful: Vec<Value> = request
        .entries
        .iter()
        .map(|entry| {
            let digest = Md5::digest(&entry.body);
            json!({ "Id": entry.id, "MessageId": entry.id, "MD5OfMessageBody": hex::encode(digest) })
        })
        .collect();
    taken.lock().unwrap_or_else(PoisonError::into_inner).messages += successful.len();
    Json(json!({ "Successful": successful, "Failed": [] })).into_response()
}
