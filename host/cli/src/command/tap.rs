//! `weir tap`: looks on while changes are recorded.

use std::fs::{File, OpenOptions};
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context as _, Result};
use serde_json::{Map, Value, json};
use tokio_util::sync::CancellationToken;
use weir_api::{TapRequest, Tapped, TappedCase, TappedChange, TappedEvent};

use super::stop_on_signal;
use crate::args::TapArgs;
use crate::client::{Client, Refused};
use crate::config::{ConfigPath, ExpectedDelivery, RouteCase};
use crate::output::{nobody_reads, printable};
use crate::say;

/// Between attempts while Weir does not answer.
const RETRY_INTERVAL: Duration = Duration::from_secs(1);

pub(crate) async fn tap(config: &ConfigPath, args: TapArgs, json: bool) -> Result<ExitCode> {
    let client = Client::new(&config.load()?)?;
    let pattern = match &args.pattern {
        Some(path) => {
            let text = std::fs::read_to_string(path);
            Some(text.with_context(|| format!("{} cannot be read", path.display()))?)
        }
        None => None,
    };
    let mut request = TapRequest {
        from: args.from,
        route: args.route,
        pattern,
        show: if args.values { vec![String::new()] } else { args.show },
        cases: args.record.is_some(),
    };
    let mut cases = args.record.as_deref().map(Cases::open).transpose()?;
    let stop = stop_on_signal()?;
    let mut left = args.count.unwrap_or(u64::MAX);
    let mut has_begun = false;
    while left > 0 {
        let Some(tapped) = ask(&client, &request, has_begun, &stop).await? else {
            break;
        };
        has_begun = true;
        for change in tapped.changes {
            if left == 0 {
                break;
            }
            left -= 1;
            if json {
                // For ever is no document: each change is a line.
                say!("{}", serde_json::to_string(&change)?);
            } else {
                print(&change);
            }
            if let (Some(cases), Some(case), Some(route)) = (&mut cases, change.case, &request.route) {
                let detail_type = change.event["detail-type"].as_str().unwrap_or_default();
                cases.add(route, &format!("position {}, {detail_type}", change.position), case)?;
            }
        }
        request.from = Some(tapped.next);
        if nobody_reads() {
            break;
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// Asks once more, as long as it takes once Weir has answered; `None` if it was told to stop.
async fn ask(
    client: &Client,
    request: &TapRequest,
    has_begun: bool,
    stop: &CancellationToken,
) -> Result<Option<Tapped>> {
    let mut is_told = false;
    loop {
        let asked = stop.run_until_cancelled(client.post(&["v1", "tap"], request));
        match asked.await {
            None => return Ok(None),
            Some(Ok(tapped)) => return Ok(Some(tapped)),
            Some(Err(error)) if !has_begun || !may_change(&error) => return Err(error),
            Some(Err(error)) => {
                if !std::mem::replace(&mut is_told, true) {
                    tracing::warn!(problem = format!("{error:#}"), "looking on waits");
                }
                if stop
                    .run_until_cancelled(tokio::time::sleep(RETRY_INTERVAL))
                    .await
                    .is_none()
                {
                    return Ok(None);
                }
            }
        }
    }
}

/// Whether Weir may answer otherwise in a while: it starts again, or waits for something itself.
fn may_change(error: &anyhow::Error) -> bool {
    let refused = error.downcast_ref::<Refused>();
    refused.is_none_or(|refused| refused.is_for_now)
}

fn print(change: &TappedChange) {
    let detail = &change.event["detail"];
    let text = |value: &Value| printable(value.as_str().unwrap_or("nobody known"));
    say!(
        "position {}  {}  by {} ({})",
        change.position,
        text(&change.event["detail-type"]),
        text(&detail["actor"]),
        text(&detail["assurance"])
    );
    for name in ["keys", "old", "new"] {
        if !detail[name].is_null() {
            say!("    {name:<5} {}", printable(&detail[name].to_string()));
        }
    }
    for TappedEvent { sink, event } in &change.sent {
        let own = own_detail(event, &change.event);
        let own = own.map_or_else(String::new, |own| format!("  {}", printable(&own.to_string())));
        say!("    sent to {}  {}{own}", printable(sink), text(&event["detail-type"]));
    }
    for code in &change.dead_letters {
        say!("    dead letter  {}", printable(code));
    }
}

/// What an event says that its change does not, if plugin or template made another one of it.
fn own_detail(event: &Value, of_change: &Value) -> Option<Value> {
    let (detail, of_change) = (event["detail"].as_object()?, of_change["detail"].as_object()?);
    let is_as_it_is = of_change.iter().all(|(name, value)| detail.get(name) == Some(value));
    let own = detail
        .iter()
        .filter(|(name, value)| !weir_model::is_reserved(name) && of_change.get(*name) != Some(value));
    let own: Map<String, Value> = own.map(|(name, value)| (name.clone(), value.clone())).collect();
    (!is_as_it_is).then_some(Value::Object(own))
}

/// A file of cases, as they stand in the configuration.
struct Cases {
    file: File,
}

impl Cases {
    /// What is in it already stays.
    fn open(path: &Path) -> Result<Self> {
        let opened = OpenOptions::new().append(true).create(true).mode(0o600).open(path);
        let file = opened.with_context(|| format!("{} cannot be written", path.display()))?;
        Ok(Self { file })
    }

    fn add(&mut self, route: &str, name: &str, case: TappedCase) -> Result<()> {
        if !case.is_as_recorded {
            tracing::warn!(
                case = name,
                "the case comes out otherwise than the change did: that depends on a value that a stand-in took the place of; --show it"
            );
        }
        let expect = case.expect.into_iter().map(serde_json::from_value::<ExpectedDelivery>);
        let case = RouteCase {
            name: name.to_owned(),
            change: case.change,
            expect: expect.collect::<Result<_, _>>()?,
        };
        let text = toml::to_string(&json!({ "route": { route: { "case": [case] } } }))?;
        Ok(writeln!(self.file, "{text}")?)
    }
}
