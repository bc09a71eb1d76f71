//! `weir replay`: a route runs through a range of the ledger once more.

use std::process::ExitCode;

use anyhow::Result;
use weir_api::{
    EventDifference, EventDifferenceKind, Preview, ReasonRequest, ReplayCancelled, ReplayRequest, ReplayState,
};

use super::history::key_text;
use crate::args::ReplayArgs;
use crate::client::Client;
use crate::config::ConfigPath;
use crate::output::{print_json, printable};
use crate::say;

/// Differences that are shown, at most.
const DIFFERENCES_SHOWN: usize = 100;

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

/// Goes through all pages of what would be sent, and sends nothing.
async fn preview(client: &Client, route: &str, mut request: ReplayRequest, json: bool) -> Result<ExitCode> {
    let mut all: Option<Preview> = None;
    loop {
        let page: Preview = client
            .post(&["v1", "routes", route, "replay", "preview"], &request)
            .await?;
        let (next, until) = (page.next, page.until);
        all = Some(match all {
            None => page,
            Some(all) => joined(all, page),
        });
        if next >= until {
            break;
        }
        // What the route passes meanwhile is not meant.
        request.from = Some(next);
        request.to = Some(until - 1);
    }
    let all = all.unwrap_or_default();
    if json {
        print_json(&all)?;
        return Ok(ExitCode::SUCCESS);
    }
    say!(
        "{} changes, {} events for a sink: {} as they were, {} otherwise, {} more, and {} less. Nothing was sent",
        all.changes,
        all.sent,
        all.same,
        all.other,
        all.more,
        all.less
    );
    if all.failed > 0 {
        say!("    the plugin fails on {} of them or rejects them", all.failed);
    }
    if all.left_out > 0 {
        say!(
            "    {} changes are left out, for a part of them was erased",
            all.left_out
        );
    }
    all.differences.iter().for_each(print_difference);
    let told = all.differences.len() as u64;
    let differ = all.other + all.more + all.less;
    if differ > told {
        say!("and {} more that differ", differ - told);
    }
    Ok(ExitCode::SUCCESS)
}

/// Two pages, one behind the other.
fn joined(mut all: Preview, page: Preview) -> Preview {
    let room = DIFFERENCES_SHOWN.saturating_sub(all.differences.len());
    all.differences.extend(page.differences.into_iter().take(room));
    Preview {
        next: page.next,
        until: page.until,
        changes: all.changes + page.changes,
        left_out: all.left_out + page.left_out,
        sent: all.sent + page.sent,
        same: all.same + page.same,
        other: all.other + page.other,
        more: all.more + page.more,
        less: all.less + page.less,
        failed: all.failed + page.failed,
        differences: all.differences,
    }
}

fn print_difference(difference: &EventDifference) {
    let kind = match difference.kind {
        EventDifferenceKind::Other => "says something else",
        EventDifferenceKind::More => "comes, and did not before",
        EventDifferenceKind::Less => "does not come any more",
    };
    say!(
        "position {}  {} to {}: {kind}",
        difference.position,
        printable(&difference.detail_type),
        printable(&difference.sink)
    );
    for field in &difference.fields {
        let shown = |value: Option<&str>| printable(value.unwrap_or("nothing"));
        say!(
            "    {}  {} before, {} now",
            printable(&field.path),
            shown(field.before.as_deref()),
            shown(field.after.as_deref())
        );
    }
}
