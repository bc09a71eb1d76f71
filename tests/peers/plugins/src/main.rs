//! The same filter on the same records, by Weir and by its peers, in one run: how long a record takes.
//!
//! The records are changes of orders as a stream has them (old and new image, about 900 bytes of DynamoDB-JSON), 1,000 to a
//! batch. The filter keeps what changed its status or its total: four fields. What each of them is given is what it takes:
//!
//! | who | is given | does |
//! | --- | --- | --- |
//! | weir | decoded changes | to a guest thread, a fresh instance, four columns, a verdict each, back; fuel is metered |
//! | fluvio-smartengine | records as JSON text | one instance for all batches, the guest parses; fuel is metered |
//! | extism | the batch as lines of JSON text, in one call | one instance for all batches, the guest parses; nothing is metered |
//! | vrl | decoded values, as plain JSON | a compiled expression for each record; no sandbox |
//! | serde_json | records as JSON text | parsing alone |
//!
//! Passes of all of them take turns, and medians are compared: machines are noisy. A pass is a few batches one after the other,
//! as under load: of one batch, most would be caches that the others' passes left cold, and the waking of a thread.

#[path = "../../../../host/runtime/benches/orders/mod.rs"]
mod orders;

use std::hint::black_box;
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant};

use fluvio_smartengine::{SmartEngine, SmartModuleChainBuilder, SmartModuleConfig};
use fluvio_smartmodule::Record;
use fluvio_smartmodule::dataplane::smartmodule::SmartModuleInput;
use serde_json::{Value, json};
use vrl::compiler::state::RuntimeState;
use vrl::compiler::{Context, TargetValueRef, TimeZone};
use vrl::value::{Secrets, Value as VrlValue};
use weir_model::{AttributedChange, Item, plain_json};
use weir_runtime::{Batch, Limits, Runtime};

use orders::{as_text, order_change};

/// Records of a batch.
const BATCH: usize = 1000;

/// Batches of a pass.
const BATCHES: usize = 10;

/// Passes of each of them, if it is not said how many.
const PASSES: usize = 50;

/// Of the records, those that the filter keeps: of ten, seven.
const KEPT: usize = BATCH / 10 * 7;

const FILTER: &str = ".old.status != .new.status || .old.total != .new.total";

/// One of those who are measured: does a batch, and says how many it kept.
struct Contender {
    name: &'static str,
    batch: Box<dyn FnMut() -> usize>,
    took: Vec<Duration>,
}

fn main() -> ExitCode {
    let mut arguments = std::env::args().skip(1);
    let Some(guests) = arguments.next() else {
        eprintln!("give the folder of the guests, as tests/peers/plugins/run does");
        return ExitCode::FAILURE;
    };
    let passes = arguments
        .next()
        .and_then(|passes| passes.parse().ok())
        .unwrap_or(PASSES);
    let guest = |name: &str| {
        let file = Path::new(&guests).join(format!("filter_{name}.wasm"));
        std::fs::read(&file).unwrap_or_else(|error| panic!("{}: {error}", file.display()))
    };
    let changes: Vec<AttributedChange> = (0..BATCH as u64).map(order_change).collect();
    let texts: Vec<String> = changes.iter().map(as_text).collect();
    let bytes = texts.iter().map(String::len).sum::<usize>() / BATCH;

    let mut contenders = [
        weir(guest("weir"), changes.clone()),
        fluvio(guest("fluvio"), &texts),
        extism(guest("extism"), &texts),
        vrl(&changes),
        serde(&texts),
    ];
    for pass in 0..=passes {
        for contender in &mut contenders {
            let began = Instant::now();
            let kept: usize = (0..BATCHES).map(|_| black_box((contender.batch)())).sum();
            let took = began.elapsed();
            assert_eq!(kept, KEPT * BATCHES, "{} keeps others", contender.name);
            // The first one warms up.
            if pass > 0 {
                contender.took.push(took);
            }
        }
    }
    println!(
        "{passes} passes of {BATCHES} batches of {BATCH} records of {bytes} bytes, in turns; microseconds a record, median:"
    );
    let ours = median(&mut contenders[0].took);
    for contender in &mut contenders {
        let took = median(&mut contender.took);
        println!("{:24} {:7.3}   {:6.2} times weir", contender.name, took, took / ours);
    }
    ExitCode::SUCCESS
}

fn median(took: &mut [Duration]) -> f64 {
    took.sort_unstable();
    took[took.len() / 2].as_secs_f64() * 1e6 / (BATCH * BATCHES) as f64
}

fn contender(name: &'static str, batch: impl FnMut() -> usize + 'static) -> Contender {
    Contender {
        name,
        batch: Box::new(batch),
        took: Vec::new(),
    }
}

fn weir(component: Vec<u8>, changes: Vec<AttributedChange>) -> Contender {
    let host = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let runtime = Runtime::start(Limits::default()).unwrap();
    let plugin = host.block_on(runtime.load(component)).unwrap();
    let manifest = Arc::new(host.block_on(plugin.describe("{}")).unwrap());
    let batch = Batch::new(changes);
    contender("weir", move || {
        let answers = host.block_on(plugin.route(batch.clone(), "{}", &manifest)).unwrap();
        answers.iter().filter(|answer| answer.as_ref().unwrap().keep).count()
    })
}

fn fluvio(module: Vec<u8>, texts: &[String]) -> Contender {
    let config = SmartModuleConfig::builder()
        .smartmodule_names(vec!["filter".to_owned()])
        .build()
        .unwrap();
    let mut chain = SmartModuleChainBuilder::from((config, module))
        .initialize(&SmartEngine::new())
        .unwrap();
    let records: Vec<Record> = texts.iter().map(|text| Record::new(text.as_bytes().to_vec())).collect();
    contender("fluvio-smartengine", move || {
        let input = SmartModuleInput::try_from_records(records.clone(), 22).unwrap();
        let output = chain.process(input).unwrap();
        assert!(output.error.is_none(), "{:?}", output.error);
        output.successes.len()
    })
}

fn extism(module: Vec<u8>, texts: &[String]) -> Contender {
    let mut plugin = extism::Plugin::new(module, [], false).unwrap();
    let lines = texts.join("\n");
    contender("extism", move || {
        let answers: Vec<u8> = plugin.call("filter", lines.as_bytes()).unwrap();
        answers.iter().filter(|answer| **answer == 1).count()
    })
}

fn vrl(changes: &[AttributedChange]) -> Contender {
    let program = vrl::compiler::compile(FILTER, &vrl::stdlib::all()).unwrap().program;
    let image = |image: &Option<Item>| image.as_ref().map(plain_json);
    let records = changes.iter().map(|AttributedChange { change, .. }| {
        let record = json!({"keys": plain_json(&change.keys), "old": image(&change.old), "new": image(&change.new)});
        VrlValue::from(record)
    });
    let mut records: Vec<VrlValue> = records.collect();
    let timezone = TimeZone::default();
    contender("vrl", move || {
        let mut kept = 0;
        for value in &mut records {
            let mut metadata = VrlValue::Object(Default::default());
            let mut secrets = Secrets::new();
            let mut target = TargetValueRef {
                value,
                metadata: &mut metadata,
                secrets: &mut secrets,
            };
            let mut state = RuntimeState::default();
            let mut context = Context::new(&mut target, &mut state, &timezone);
            kept += usize::from(program.resolve(&mut context).unwrap() == VrlValue::Boolean(true));
        }
        kept
    })
}

fn serde(texts: &[String]) -> Contender {
    let texts = texts.to_vec();
    contender("serde_json", move || {
        for text in &texts {
            black_box(serde_json::from_str::<Value>(text).unwrap());
        }
        KEPT
    })
}
