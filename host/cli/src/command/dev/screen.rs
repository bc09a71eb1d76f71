//! What `weir dev` shows: changes as they are recorded, what the plugin decided, what was delivered, the growing ledger.

use std::path::Path;
use std::time::Duration;

use tokio::sync::broadcast::Receiver;
use tokio::sync::broadcast::error::RecvError;
use tokio_util::sync::CancellationToken;
use weir_ledger::Verification;
use weir_model::Assurance;
use weir_pipeline::Activity;

use super::folder::DevFolder;
use crate::args::DevArgs;
use crate::output::printable;
use crate::say;

/// Hexadecimal digits of a root that are shown.
const ROOT_DIGITS: usize = 16;

/// Prints activities, one line each.
pub(super) struct Screen {
    activities: Receiver<Activity>,
}

impl Screen {
    pub(super) fn new(activities: Receiver<Activity>) -> Self {
        Self { activities }
    }

    pub(super) fn starting(what: &str) {
        say!("starting {what} ...");
    }

    /// What runs, and commands to paste.
    pub(super) fn welcome(&self, args: &DevArgs, folder: &DevFolder, dynamodb: &str, plugin: &Path) {
        let weir = std::env::args().next().unwrap_or_else(|| "weir".to_owned());
        let config = if args.data == Path::new(".weir") {
            String::new()
        } else {
            format!(" --config {}", folder.config().display())
        };
        let item = r#"{"order_id":{"S":"order-1"},"customer":{"S":"you"},"status":{"S":"shipped"},"total":{"N":"19.99"},"updated_by":{"S":"you"},"updated_at":{"S":"'$(date -u +%FT%TZ)'"}}"#;
        say!("\nWeir runs. Plugin: {}\n", plugin.display());
        say!("  change an order   AWS_ACCESS_KEY_ID=local AWS_SECRET_ACCESS_KEY=local aws dynamodb put-item \\");
        say!(
            "                      --endpoint-url {dynamodb} --region us-east-1 --table-name {} \\",
            weir_dev::shop::TABLE
        );
        say!("                      --item '{item}'");
        say!(
            "  who changed it    {weir} history{config} {} order-1",
            weir_dev::shop::TABLE
        );
        say!("  prove the log     {weir} verify{config}");
        say!("  watch the events  tail -f {}", folder.events().display());
        say!("  dead letters      {weir} dlq{config} ls");
        say!("  stop              Ctrl-C\n");
    }

    /// Prints until `stop` is cancelled.
    pub(super) async fn run(mut self, stop: CancellationToken) {
        loop {
            match stop.run_until_cancelled(self.activities.recv()).await {
                Some(Ok(activity)) => print(&activity),
                Some(Err(RecvError::Lagged(count))) => say!("{:10} {count} lines", "(skipped)"),
                Some(Err(RecvError::Closed)) | None => return,
            }
        }
    }

    /// Tells that the ledger was recomputed.
    pub(super) fn proof(verification: &Verification, elapsed: Duration) {
        if verification.findings.is_empty() {
            say!(
                "{:10} {:>6}  entries are what was recorded, root {} (recomputed in {} ms)",
                "proved",
                verification.checked,
                short(&verification.head.root),
                elapsed.as_millis()
            );
        }
        for finding in &verification.findings {
            say!("{:10} {finding}", "TAMPERED");
        }
    }

    pub(super) fn plugin_refused(error: &anyhow::Error) {
        say!("{:10} {error:#}; the one before goes on", "plugin");
    }
}

fn print(activity: &Activity) {
    match activity {
        Activity::Recorded {
            position,
            operation,
            table,
            key,
            actor,
            assurance,
        } => {
            let who = match (actor, assurance) {
                (None, _) => "nobody knows who".to_owned(),
                (Some(actor), Assurance::LastWriter) => format!("last written by {}", printable(actor)),
                (Some(actor), assurance) => format!("by {} ({})", printable(actor), assurance.as_str()),
            };
            say!(
                "{:10} {position:>6}  {} {table} {key} {who}",
                "recorded",
                operation.as_str()
            );
        }
        Activity::Withheld {
            position,
            operation,
            table,
            code,
        } => say!(
            "{:10} {position:>6}  {} {table} ({})",
            "withheld",
            operation.as_str(),
            printable(code)
        ),
        Activity::Head { size, root } => say!("{:10} {size:>6}  entries, root {}", "ledger", short(root)),
        Activity::Decided {
            position,
            route,
            decision,
        } => {
            say!(
                "{:10} {position:>6}  {} (route {route})",
                "decided",
                printable(decision)
            );
        }
        Activity::Delivered {
            position,
            sink,
            detail_type,
        } => {
            say!("{:10} {position:>6}  {} to {sink}", "delivered", printable(detail_type));
        }
        Activity::Parked { position, sink, reason } => say!(
            "{:10} {position:>6}  {} (sink {sink}; only its item waits)",
            "parked",
            printable(reason)
        ),
        Activity::GaveUp { position, reason } => say!("{:10} {position:>6}  {}", "gave up", printable(reason)),
        Activity::Halted { position, route, code } => say!(
            "{:10} {position:>6}  {} (route {route} goes on there with its next version)",
            "halted",
            printable(code)
        ),
        Activity::Version { route, version, from } => {
            say!(
                "{:10} {from:>6}  from here on version {version} of route {route}",
                "plugin"
            );
        }
    }
}

fn short(root: &[u8]) -> String {
    hex::encode(root).chars().take(ROOT_DIGITS).chain(['…']).collect()
}
