//! `weir replay`: a route runs through a range of the ledger once more.

use std::process::ExitCode;

use anyhow::Result;
use weir_api::{ReasonRequest, ReplayCancelled, ReplayRequest, ReplayState};

use super::history::key_text;
use super::preview;
use crate::args::ReplayArgs;
use crate::client::Client;
use crate::config::ConfigPath;
use crate::output::{print_json, printable};
use crate::say;

pub(crate) async fn replay(config: &ConfigPath, args: ReplayArgs, json: bool) -> Result<ExitCode> {
    let client = Client::new(&config.load()?)?;
    let route = args.route;
    let reason = args.reason.unwrap_or_default();
    if args.cancel {
        let cancelled: ReplayCancelled = client
            .post(&["v1", "routes", &route, "replay", "cancel"], &ReasonRequest { reason })
            .await?;
        if json {
            print_json(&cancelled)?;
        } else if cancelled.cancelled {
            say!("the replay of {} is cancelled; what it sent is sent", printable(&route));
        } else {
            say!("{} replays nothing", printable(&route));
        }
        return Ok(if cancelled.cancelled {
            ExitCode::SUCCESS
        } else {
            ExitCode::FAILURE
        });
    }
    let request = ReplayRequest {
        from: args.from,
        to: args.to,
        version: args.by_version,
        as_new: args.as_new,
        key: args.table.as_ref().map(|_| key_text(&args.key)),
        table: args.table,
        reason,
    };
    if args.dry_run {
        return preview(&client, &route, request, json).await;
    }
    let state: ReplayState = client.post(&["v1", "routes", &route, "replay"], &request).await?;
    if json {
        print_json(&state)?;
        return Ok(ExitCode::SUCCESS);
    }
    let ids = match (state.version, &state.as_new) {
        (None, None) => "under the ids that it had".to_owned(),
        (Some(version), None) => format!("as version {version} makes it"),
        (None, Some(name)) => format!("as new: under the ids of {}", printable(name)),
        (Some(version), Some(name)) => {
            format!(
                "as version {version} makes it, as new: under the ids of {}",
                printable(name)
            )
        }
    };
    let (route, last) = (printable(&route), state.until - 1);
    say!(
        "{route} sends positions {} to {last} again, {ids}; `weir route ls` says how far it is",
        state.next
    );
    Ok(ExitCode::SUCCESS)
}

/// Shows what would be sent, and sends nothing.
async fn preview(client: &Client, route: &str, request: ReplayRequest, json: bool) -> Result<ExitCode> {
    let path = ["v1", "routes", route, "replay", "preview"];
    let all = preview::whole(request.from, request.to, async |from, to| {
        let page = ReplayRequest {
            from,
            to,
            ..request.clone()
        };
        client.post(&path, &page).await
    });
    let all = all.await?;
    if json {
        print_json(&all)?;
    } else {
        preview::print(&all);
    }
    Ok(ExitCode::SUCCESS)
}
