//! Plugins that mean harm: each of `corpus.toml` is contained and named, and what comes after it is served.
//!
//! All of them run in one process under the default limits, whose memory has a bound: whatever a guest does, it is the guest's.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

#[path = "../../host/runtime/tests/plugins/guest.rs"]
mod guest;

use std::sync::Arc;

use serde::Deserialize;
use weir_model::{AttributedChange, Change, EventId, Operation, SequenceNumber, Who};
use weir_pipeline::error_chain;
use weir_runtime::{Answers, Batch, Hook, HostError, Limits, Runtime};
use weir_tests::Footprint;

use guest::Guest;

/// What a host has resident at most while it meets all of the corpus: two guest threads with 64 MiB each, an answer of 16 MiB
/// that is read from a guest, a component and its machine code, and the test itself.
const HOST_BYTES_MAX: u64 = 256 << 20;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Corpus {
    guest: Vec<Hostile>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Hostile {
    name: String,
    bytes: Option<String>,
    component: Option<String>,
    replace: Option<(String, String)>,
    #[serde(default)]
    repeat: Vec<(String, usize)>,
    module: Option<String>,
    describe: Option<String>,
    init: Option<String>,
    route: Option<String>,
    annotate: Option<String>,
    changes: Option<usize>,
    verdict: String,
}

impl Hostile {
    fn build(&self) -> Vec<u8> {
        let repeated: String = self.repeat.iter().map(|(text, times)| text.repeat(*times)).collect();
        let filled = |text: &str| text.replace("REPEAT", &repeated);
        if let Some(bytes) = &self.bytes {
            return bytes.clone().into_bytes();
        }
        if let Some(component) = &self.component {
            return wat::parse_str(filled(component)).unwrap();
        }
        let text = |own: Option<&String>, default: &'static str| match own {
            Some(own) => Box::leak(filled(own).into_boxed_str()),
            None => default,
        };
        let default = Guest::default();
        let guest = Guest {
            module: text(self.module.as_ref(), default.module),
            describe: text(self.describe.as_ref(), default.describe),
            init: text(self.init.as_ref(), default.init),
            route: text(self.annotate.as_ref().or(self.route.as_ref()), default.route),
            world: if self.annotate.is_some() {
                "weir:plugin/annotator"
            } else {
                default.world
            },
        };
        let mut core = guest.core();
        if self.annotate.is_some() {
            core = core.replace(
                "weir:plugin/routing@0.1.0#route",
                "weir:plugin/annotating@0.1.0#annotate",
            );
        }
        if let Some((from, to)) = &self.replace {
            assert!(core.contains(from), "{from:?} is not in the guest");
            core = core.replacen(from, to, 1);
        }
        guest::component(wat::parse_str(core).unwrap(), guest.world, "")
    }
}

/// How often a call is tried again that the machine had no time for.
const TRIES_MAX: usize = 5;

/// What becomes of a component and of so many changes.
async fn verdict(runtime: &Runtime, component: Vec<u8>, count: usize) -> String {
    let plugin = match runtime.load(component).await {
        Ok(plugin) => plugin,
        Err(error) => return format!("refused: {}", error_chain(&error)),
    };
    let manifest = match plugin.describe("{}").await {
        Ok(manifest) => Arc::new(manifest),
        Err(error) => return format!("undescribed: {}", error_chain(&error)),
    };
    // Where a machine has no time for a call, whoever calls tries again.
    let mut tries = 0..TRIES_MAX;
    loop {
        let answered = match plugin.hook() {
            Hook::Route => (plugin.route(batch(count), "{}", &manifest).await)
                .map(|answers| shown(&answers, |decision| if decision.keep { "keep" } else { "drop" })),
            Hook::Intake => {
                (plugin.annotate(batch(count), "{}", &manifest).await).map(|answers| shown(&answers, |_| "annotated"))
            }
        };
        match answered {
            Ok(shown) => return shown,
            Err(HostError::TooMuchPoison) => return "too much poison".to_owned(),
            Err(error) => assert!(tries.next().is_some(), "the host was at fault: {error}"),
        }
    }
}

fn batch(count: usize) -> Batch {
    let change = |number: usize| AttributedChange {
        change: Change {
            sequence: SequenceNumber::parse(format!("{:021}", number + 1)).unwrap(),
            event_id: EventId::parse(format!("event-{number}")).unwrap(),
            table: "orders".to_owned(),
            operation: Operation::Insert,
            created_at: "2026-03-01T12:00:00Z".parse().unwrap(),
            keys: weir_model::Item::new(),
            old: None,
            new: Some(serde_json::from_str(r#"{"value": {"S": "a"}}"#).unwrap()),
            service: None,
        },
        who: Who {
            actor: None,
            assurance: weir_model::Assurance::Unknown,
        },
    };
    Batch::new((0..count).map(change))
}

fn shown<Answer>(answers: &Answers<Answer>, verdict: impl Fn(&Answer) -> &'static str) -> String {
    let shown = answers.iter().map(|answer| match answer {
        Ok(answer) => verdict(answer).to_owned(),
        Err(fault) => format!("{}: {}", fault.code.as_str(), fault.message),
    });
    shown.collect::<Vec<_>>().join("\n")
}

#[tokio::test(flavor = "multi_thread")]
async fn each_of_the_corpus_is_contained_and_named_and_what_comes_after_it_is_served() {
    let corpus: Corpus = toml::from_str(include_str!("corpus.toml")).unwrap();
    assert!(corpus.guest.len() >= 40);
    let runtime = Runtime::start(Limits::default()).unwrap();
    let well_behaved = Guest::default().build();
    let mut wrong = Vec::new();
    for hostile in &corpus.guest {
        let came = verdict(&runtime, hostile.build(), hostile.changes.unwrap_or(1)).await;
        if !came.starts_with(&hostile.verdict) {
            wrong.push(format!(
                "{}\n  expected {}\n  came     {came}",
                hostile.name, hostile.verdict
            ));
        }
        let after = verdict(&runtime, well_behaved.clone(), 2).await;
        assert_eq!(after, "keep\nkeep", "after {}", hostile.name);
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    let resident = Footprint::of(std::process::id()).resident_bytes_max;
    eprintln!(
        "{} hostile plugins, at most {} MiB resident",
        corpus.guest.len(),
        resident >> 20
    );
    assert!(resident < HOST_BYTES_MAX, "{} MiB", resident >> 20);
}
