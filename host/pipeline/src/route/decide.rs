//! What a route's version makes of a window of entries: deliveries, and dead letters for poison.

use std::sync::Arc;

use jiff::Timestamp;
use weir_evidence::ItemToken;
use weir_ledger::{DeadLetter, FailurePolicy};
use weir_model::{DeliveryId, Event, Position};
use weir_routing::DetailTemplate;
use weir_runtime::{Batch, Decision, Fault, FaultCode, HostError, Output};

use super::version::LoadedVersion;
use crate::feed::RecordedChange;
use crate::{Activities, Activity};

/// What was decided.
pub(super) struct Decided {
    /// In order of position and output number.
    pub(super) deliveries: Vec<Delivery>,
    /// Changes that the plugin failed on or rejected, and outputs that make no event.
    pub(super) dead_letters: Vec<DeadLetter>,
    /// Changes that the plugin failed on and that are sent as they are, and how.
    pub(super) passed: Vec<(Position, FaultCode)>,
    /// The change before which the route halts, and what happened there. Nothing of it, or behind it, was decided.
    pub(super) halt: Option<(Position, String)>,
}

/// One event for one sink.
pub(super) struct Delivery {
    pub(super) id: DeliveryId,
    pub(super) version: Arc<LoadedVersion>,
    pub(super) position: Position,
    /// Number of the output; 0 is the change as it is.
    pub(super) output: u32,
    pub(super) item: ItemToken,
    /// Number of the key that sealed the body that it was made of.
    pub(super) body_key: Option<i64>,
    pub(super) sink: String,
    /// The replay that it belongs to, by the time at which that was ordered.
    pub(super) replay: Option<Timestamp>,
    /// Name of the replay that sends it as new.
    pub(super) as_new: Option<String>,
    pub(super) event: Event,
}

/// What a version makes of changes that it takes.
pub(super) async fn decide(
    route: &str,
    version: &Arc<LoadedVersion>,
    changes: Vec<Arc<RecordedChange>>,
    activities: &Activities,
) -> Result<Decided, HostError> {
    let failure = version.stored.definition.failure;
    decide_with(failure, route, version, changes, activities).await
}

impl Decided {
    /// The same under the ids of a replay that sends as new, by its name; as it is, if it is of none.
    pub(super) fn anew(mut self, name: Option<&str>) -> Self {
        let Some(name) = name else { return self };
        let deliveries = self.deliveries.into_iter().map(|delivery| {
            let id = DeliveryId::anew(delivery.id.as_str(), name);
            Delivery {
                event: delivery.event.delivered_as(&id).replayed_as(name),
                as_new: Some(name.to_owned()),
                id,
                ..delivery
            }
        });
        self.deliveries = deliveries.collect();
        for letter in &mut self.dead_letters {
            letter.delivery = DeliveryId::anew(&letter.delivery, name).to_string();
            letter.as_new = Some(name.to_owned());
        }
        self
    }

    /// Says in the log what is sent although the plugin failed on it.
    pub(super) fn tell_passed(&self, route: &str) {
        for (position, code) in &self.passed {
            let code = code.as_str();
            tracing::warn!(route, %position, code, "the plugin fails on a change; it is sent as it is");
        }
    }
}

/// What it makes of them for whoever looks on: what the route would halt at is set aside, and nobody is told.
pub(super) async fn decide_past_halts(
    route: &str,
    version: &Arc<LoadedVersion>,
    changes: Vec<Arc<RecordedChange>>,
) -> Result<Decided, HostError> {
    let failure = match version.stored.definition.failure {
        FailurePolicy::Halt => FailurePolicy::DeadLetter,
        other => other,
    };
    decide_with(failure, route, version, changes, &Activities::new()).await
}

async fn decide_with(
    failure: FailurePolicy,
    route: &str,
    version: &Arc<LoadedVersion>,
    changes: Vec<Arc<RecordedChange>>,
    activities: &Activities,
) -> Result<Decided, HostError> {
    let answers = match &version.plugin {
        Some((plugin, manifest)) => {
            let batch = Batch::new(changes.iter().map(|change| Arc::clone(&change.change)));
            plugin
                .route(batch, &version.stored.definition.plugin_config, manifest)
                .await?
        }
        None => vec![
            Ok(Decision {
                keep: true,
                outputs: Vec::new()
            });
            changes.len()
        ],
    };
    let mut decided = Decided {
        deliveries: Vec::new(),
        dead_letters: Vec::new(),
        passed: Vec::new(),
        halt: None,
    };
    for (change, answer) in changes.into_iter().zip(answers) {
        let position = change.position;
        activities.tell(|| Activity::Decided {
            position,
            route: route.to_owned(),
            decision: describe(&answer),
        });
        let plan = Plan {
            route,
            version,
            change: &change,
        };
        match (answer, failure) {
            (Ok(decision), _) => plan.carry_out(decision, &mut decided),
            (Err(fault), FailurePolicy::DeadLetter) => decided.dead_letters.push(plan.poison(fault)),
            // What a plugin rejects, it did not fail on.
            (Err(fault), _) if matches!(fault.code, FaultCode::Rejected(_)) => {
                decided.dead_letters.push(plan.poison(fault));
            }
            (Err(fault), FailurePolicy::Pass) => {
                decided.passed.push((position, fault.code));
                let kept = Decision {
                    keep: true,
                    outputs: Vec::new(),
                };
                plan.carry_out(kept, &mut decided);
            }
            (Err(fault), FailurePolicy::Halt) => {
                decided.halt = Some((position, fault.code.as_str().to_owned()));
                return Ok(decided);
            }
        }
    }
    Ok(decided)
}

/// One change on its way from decision to deliveries.
struct Plan<'a> {
    route: &'a str,
    version: &'a Arc<LoadedVersion>,
    change: &'a RecordedChange,
}

impl Plan<'_> {
    fn carry_out(&self, decision: Decision, decided: &mut Decided) {
        if decision.keep {
            self.deliver(0, None, self.templated(self.event()), decided);
        }
        for (number, output) in (1..).zip(decision.outputs) {
            match self.output_event(&output).map(|event| self.templated(event)) {
                Ok(event) => self.deliver(number, output.sink.as_deref(), event, decided),
                Err(reason) => decided.dead_letters.push(self.invalid_output(number, &output, reason)),
            }
        }
    }

    /// The change's event, which says which plugin it went through, and what it belongs to.
    fn event(&self) -> Event {
        let definition = &self.version.stored.definition;
        let mut event = self.change.event();
        if let Some(attribute) = &definition.correlation_attribute {
            event = event.correlated_by(attribute, &self.change.change.change);
        }
        match &definition.plugin {
            Some(plugin) => event.routed_by(plugin),
            None => event,
        }
    }

    fn deliver(&self, output: u32, only_sink: Option<&str>, event: Event, decided: &mut Decided) {
        let sinks = self.version.stored.definition.sinks.iter();
        let mut sinks = sinks
            .filter(|sink| only_sink.is_none_or(|only| only == *sink))
            .peekable();
        let mut event = Some(event);
        while let Some(sink) = sinks.next() {
            // The last one needs no copy.
            let event = if sinks.peek().is_some() {
                event.clone()
            } else {
                event.take()
            };
            let id = self.delivery_id(output, sink);
            decided.deliveries.push(Delivery {
                version: Arc::clone(self.version),
                position: self.change.position,
                output,
                item: self.change.item.clone(),
                body_key: self.change.body_key,
                sink: sink.clone(),
                replay: None,
                as_new: None,
                event: event.expect("it is taken for the last sink only").delivered_as(&id),
                id,
            });
        }
    }

    /// The event as the route's template has it, or its projection if that is too large.
    fn templated(&self, event: Event) -> Event {
        let event = match &self.version.template {
            Some(template) => rendered(event, template),
            None => event,
        };
        match &self.version.projection {
            Some((above_bytes, projection)) if event_text(&event).len() > *above_bytes => rendered(event, projection),
            _ => event,
        }
    }

    fn output_event(&self, output: &Output) -> Result<Event, String> {
        if let Some(sink) = output
            .sink
            .as_ref()
            .filter(|sink| !self.version.stored.definition.sinks.contains(sink))
        {
            return Err(format!("the route has no sink {sink:?}"));
        }
        self.event()
            .with_output(output.detail_type.clone(), output.detail.clone())
            .map_err(|name| format!("the detail of an output may not set {name:?}: Weir sets it"))
    }

    fn poison(&self, fault: Fault) -> DeadLetter {
        DeadLetter {
            code: fault.code.as_str().to_owned(),
            reason: fault.message,
            plugin_log: Some(fault.log).filter(|log| !log.is_empty()),
            payload: Some(event_text(&self.event())),
            ..self.dead_letter(self.delivery_id(0, ""))
        }
    }

    fn invalid_output(&self, number: u32, output: &Output, reason: String) -> DeadLetter {
        DeadLetter {
            code: "plugin-invalid".to_owned(),
            reason,
            sink: output.sink.clone(),
            payload: Some(serde_json::to_string(&output.detail).expect("an object is JSON")),
            ..self.dead_letter(self.delivery_id(number, ""))
        }
    }

    fn dead_letter(&self, delivery: DeliveryId) -> DeadLetter {
        DeadLetter {
            delivery: delivery.to_string(),
            route: self.route.to_owned(),
            version: self.version.stored.version,
            position: self.change.position,
            sink: None,
            code: String::new(),
            reason: String::new(),
            attempts: 0,
            plugin_digest: self.version.stored.plugin.map(hex::encode),
            plugin_log: None,
            payload: None,
            created_at: None,
            is_redriven: false,
            as_new: None,
        }
    }

    fn delivery_id(&self, output: u32, sink: &str) -> DeliveryId {
        let RecordedChange {
            stream,
            shard,
            sequence,
            ..
        } = self.change;
        DeliveryId::derive(
            stream,
            shard,
            sequence,
            self.route,
            self.version.stored.version,
            output,
            sink,
        )
    }
}

fn rendered(event: Event, template: &DetailTemplate) -> Event {
    let detail = template.render(&event.to_json());
    let rendered = event.with_output(event.detail_type.clone(), detail);
    rendered.expect("a version whose template sets what only Weir sets is not loaded")
}

pub(super) fn event_text(event: &Event) -> String {
    serde_json::to_string(event).expect("an event is JSON")
}

fn describe(answer: &Result<Decision, Fault>) -> String {
    match answer {
        Ok(Decision { keep, outputs }) => {
            let mut parts: Vec<&str> = outputs.iter().map(|output| output.detail_type.as_str()).collect();
            if *keep {
                parts.insert(0, "kept");
            }
            if parts.is_empty() {
                "dropped".to_owned()
            } else {
                parts.join(" and ")
            }
        }
        Err(fault) => format!("dead letter, {}", fault.code.as_str()),
    }
}
