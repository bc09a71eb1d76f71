//! `weir verify`: recomputes the ledger from its stored bytes.
//!
//! | exit code | means |
//! | --- | --- |
//! | 0 | proved: something was checked, and all of it is what was recorded |
//! | 1 | tampered: the findings name the positions |
//! | 2 | cannot tell: nothing to check, or no access to it |

use std::process::ExitCode;

use serde_json::json;
use weir_ledger::Verification;

use crate::compose::connect;
use crate::config::ConfigPath;
use crate::output::{print_error, print_json};
use crate::say;

const PROVED: u8 = 0;
const TAMPERED: u8 = 1;
const CANNOT_TELL: u8 = 2;

pub(crate) async fn verify(config: &ConfigPath, json: bool) -> ExitCode {
    match recompute(config).await {
        Ok(verification) => ExitCode::from(report(&verification, json)),
        Err(error) => {
            print_error(&error.context("cannot tell"));
            ExitCode::from(CANNOT_TELL)
        }
    }
}

async fn recompute(config: &ConfigPath) -> anyhow::Result<Verification> {
    let loaded = config.load()?;
    let database = connect(&loaded).await?;
    let ledger = database.open(&loaded.config.ledger.name, loaded.secret()?).await?;
    let log_progress = |done: u64, size: u64| tracing::debug!(done, size, "verifying");
    Ok(ledger.verify(log_progress).await?)
}

fn report(verification: &Verification, json: bool) -> u8 {
    let (verdict, code) = match (verification.findings.is_empty(), verification.checked) {
        (false, _) => ("tampered", TAMPERED),
        (true, 0) => ("cannot tell", CANNOT_TELL),
        (true, _) => ("proved", PROVED),
    };
    let root = hex::encode(verification.head.root);
    if json {
        let findings: Vec<String> = verification.findings.iter().map(ToString::to_string).collect();
        let answer = json!({
            "verdict": verdict,
            "size": verification.head.size,
            "root": root,
            "checked": verification.checked,
            "findings": findings,
        });
        return print_json(&answer).map_or(CANNOT_TELL, |()| code);
    }
    for finding in &verification.findings {
        say!("tampered: {finding}");
    }
    match code {
        PROVED => say!(
            "proved: {} entries are what was recorded, root {root}",
            verification.checked
        ),
        CANNOT_TELL => say!("cannot tell: the ledger is empty, there is nothing to check"),
        _ => say!(
            "{} of {} entries were checked",
            verification.checked,
            verification.head.size
        ),
    }
    code
}
