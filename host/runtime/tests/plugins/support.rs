//! Components, changes and answers, as the tests write them.

use std::error::Error;
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use weir_model::{Assurance, AttributedChange, Change, EventId, Item, Operation, SequenceNumber, Who};
use weir_runtime::{Batch, Decision, Fault, Limits, Manifest, Plugin, Runtime};

/// Answers of one batch, in order.
pub(crate) type Answers = Vec<Result<Decision, Fault>>;

/// Small enough that a plugin gets to them soon, large enough that each kind of failure is reached before another one.
/// The clock is out of the way: a test machine may stand still.
pub(crate) const SMALL: Limits = Limits {
    memory_bytes_max: 16 << 20,
    fuel_max: 20_000_000,
    read_bytes_max: 64 << 20,
    answer_bytes_max: 16 << 20,
    search_calls_max: 100,
    call_timeout: Duration::from_secs(300),
    log_lines_max: 10,
    log_line_bytes_max: 20,
};

/// A plugin that describes itself, with a configuration.
pub(crate) struct Loaded {
    pub(crate) plugin: Plugin,
    pub(crate) config: String,
    pub(crate) manifest: Arc<Manifest>,
}

impl Loaded {
    pub(crate) async fn new(component: Vec<u8>, config: &str, limits: Limits) -> Self {
        let plugin = load(component, limits).await;
        let manifest = Arc::new(plugin.describe(config).await.unwrap());
        Self {
            plugin,
            config: config.to_owned(),
            manifest,
        }
    }

    pub(crate) async fn route(&self, changes: &[AttributedChange]) -> Answers {
        self.plugin
            .route(Batch::new(changes.to_vec()), &self.config, &self.manifest)
            .await
            .unwrap()
    }
}

pub(crate) async fn load(component: Vec<u8>, limits: Limits) -> Plugin {
    match Runtime::start(limits).unwrap().load(component).await {
        Ok(plugin) => plugin,
        Err(error) => panic!("{}", chain(&error)),
    }
}

/// A component that `plugins/build` made: it lies beside the folder of the build that this test is of.
pub(crate) fn built(name: &str) -> Vec<u8> {
    let test = std::env::current_exe().unwrap();
    let file = test
        .ancestors()
        .map(|folder| folder.join("plugins").join(format!("{name}.wasm")))
        .find(|file| file.is_file())
        .unwrap_or_else(|| panic!("there is no plugins/{name}.wasm in the target folder: run `make plugins`"));
    std::fs::read(file).unwrap()
}

/// Change number `number`: its new image is `new`, in DynamoDB-JSON.
pub(crate) fn insert(number: usize, new: Value) -> AttributedChange {
    change(number, Operation::Insert, None, Some(new))
}

pub(crate) fn change(number: usize, operation: Operation, old: Option<Value>, new: Option<Value>) -> AttributedChange {
    let item = |value: Value| -> Item { serde_json::from_value(value).unwrap() };
    AttributedChange {
        change: Change {
            sequence: SequenceNumber::parse(format!("{:021}", number + 1)).unwrap(),
            event_id: EventId::parse(format!("event-{number}")).unwrap(),
            table: "shop-orders".to_owned(),
            operation,
            created_at: "2026-03-01T12:00:00Z".parse().unwrap(),
            keys: item(json!({"order_id": {"S": format!("o{number}")}})),
            old: old.map(item),
            new: new.map(item),
            service: None,
        },
        who: Who {
            actor: Some("maria".to_owned()),
            assurance: Assurance::Claimed,
        },
    }
}

/// One line for each answer: `keep`, `keep + order-shipped`, `drop`, `plugin-trap: why`.
pub(crate) fn show(answers: &Answers) -> String {
    let lines: Vec<String> = answers.iter().map(show_one).collect();
    lines.join("\n")
}

fn show_one(answer: &Result<Decision, Fault>) -> String {
    match answer {
        Ok(decision) => {
            let outputs = decision.outputs.iter().map(|output| {
                let detail = Value::Object(output.detail.clone());
                match &output.sink {
                    Some(sink) => format!("{} to {sink} {detail}", output.detail_type),
                    None => format!("{} {detail}", output.detail_type),
                }
            });
            let kept = decision.keep.then(|| "keep".to_owned());
            let parts: Vec<String> = kept.into_iter().chain(outputs).collect();
            if parts.is_empty() {
                "drop".to_owned()
            } else {
                parts.join(" + ")
            }
        }
        Err(fault) => format!("{}: {}", fault.code.as_str(), fault.message),
    }
}

/// An error and its sources in one line, as the edge prints it.
pub(crate) fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        text = format!("{text}: {error}");
        source = error.source();
    }
    text
}
