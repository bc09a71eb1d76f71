//! `weir verify`: recomputes the ledger from its stored bytes, or checks a bundle or a proof without any database.
//!
//! | exit code | means |
//! | --- | --- |
//! | 0 | proved: something was checked, and all of it is what was recorded |
//! | 1 | tampered: the findings name where |
//! | 2 | cannot tell: nothing to check, or no access to it, or nobody to trust |

use std::path::Path;
use std::process::ExitCode;

use anyhow::{Context as _, Result, bail};
use serde_json::json;
use weir_evidence::{Policy, Report, VerifierKey, verify_bundle_with_progress, verify_tlog_proof};
use weir_ledger::{Role, Verification};

use crate::args::VerifyArgs;
use crate::compose::connect;
use crate::config::ConfigPath;
use crate::output::{print_error, print_json, printable, progress_bar};
use crate::say;

const PROVED: u8 = 0;
const TAMPERED: u8 = 1;
const CANNOT_TELL: u8 = 2;

/// What every proof of a single entry begins with (C2SP `tlog-proof`), whatever its version.
const PROOF_BEGIN: &[u8] = b"c2sp.org/tlog-proof@";

pub(crate) async fn verify(config: &ConfigPath, args: VerifyArgs, json: bool) -> ExitCode {
    let outcome = match &args.file {
        Some(file) => check_file(file, &args).map(|report| report_file(file, &report, json)),
        None => recompute(config).await.map(|verification| report(&verification, json)),
    };
    match outcome {
        Ok(code) => ExitCode::from(code),
        Err(error) => {
            print_error(&error.context("cannot tell"));
            ExitCode::from(CANNOT_TELL)
        }
    }
}

fn check_file(file: &Path, args: &VerifyArgs) -> Result<Report> {
    let bytes = std::fs::read(file).with_context(|| format!("{} cannot be read", file.display()))?;
    let policy = policy(args)?;
    let since = args
        .since
        .as_ref()
        .map(|since| std::fs::read(since).with_context(|| format!("{} cannot be read", since.display())))
        .transpose()?;
    if bytes.starts_with(PROOF_BEGIN) {
        if since.is_some() {
            bail!("a proof of one entry cannot be held against an earlier checkpoint");
        }
        return Ok(verify_tlog_proof(&bytes, &policy));
    }
    let progress = progress_bar(0, "entries");
    let report = verify_bundle_with_progress(&bytes, &policy, since.as_deref(), &mut |done, of| {
        progress.set_length(of);
        progress.set_position(done);
    });
    progress.finish_and_clear();
    Ok(report)
}

fn policy(args: &VerifyArgs) -> Result<Policy> {
    match (&args.key, &args.policy) {
        (Some(key), None) => {
            let key = VerifierKey::parse(key.trim()).context("the key cannot be read")?;
            Ok(Policy::from_key(key)?)
        }
        (None, Some(policy)) => {
            let bytes = std::fs::read(policy).with_context(|| format!("{} cannot be read", policy.display()))?;
            Policy::parse(&bytes).with_context(|| format!("the policy {} cannot be read", policy.display()))
        }
        _ => bail!("say whom to trust: --key with the ledger's public key, or --policy with a file (C2SP tlog-policy)"),
    }
}

fn report_file(file: &Path, report: &Report, json: bool) -> u8 {
    let code = report.verdict().exit_code();
    let verdict = match code {
        PROVED => "proved",
        TAMPERED => "tampered",
        _ => "cannot tell",
    };
    if json {
        let answer = json!({
            "verdict": verdict,
            "entries": report.entries(),
            "from": report.from(),
            "checkpoint": report.checkpoint().map(ToString::to_string),
            "findings": report.findings().iter().map(ToString::to_string).collect::<Vec<_>>(),
            "doubts": report.doubts().iter().map(ToString::to_string).collect::<Vec<_>>(),
            "remarks": report.remarks().iter().map(ToString::to_string).collect::<Vec<_>>(),
        });
        return print_json(&answer).map_or(CANNOT_TELL, |()| code);
    }
    for finding in report.findings() {
        say!("tampered: {}", printable(&finding.to_string()));
    }
    for doubt in report.doubts() {
        say!("cannot tell: {}", printable(&doubt.to_string()));
    }
    for remark in report.remarks() {
        say!("note: {}", printable(&remark.to_string()));
    }
    if code == PROVED {
        let of = report.checkpoint().map_or(0, |checkpoint| checkpoint.size);
        say!(
            "proved: {} of {of} entries in {} are what was recorded",
            report.entries(),
            file.display()
        );
    }
    code
}

async fn recompute(config: &ConfigPath) -> Result<Verification> {
    let loaded = config.load()?;
    let database = connect(&loaded, Role::Reader).await?;
    let ledger = database.open(&loaded.config.ledger.name, loaded.secret()?).await?;
    let bar = progress_bar(0, "entries");
    let verification = ledger
        .verify(|done, size| {
            bar.set_length(size);
            bar.set_position(done);
        })
        .await;
    bar.finish_and_clear();
    Ok(verification?)
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
            "checkpoints": verification.checkpoints,
            "erased": verification.erased,
            "findings": findings,
        });
        return print_json(&answer).map_or(CANNOT_TELL, |()| code);
    }
    for finding in &verification.findings {
        say!("tampered: {}", printable(&finding.to_string()));
    }
    let erased = match verification.erased {
        0 => String::new(),
        erased => format!(", {erased} of them with bodies erased by order"),
    };
    match code {
        PROVED => say!(
            "proved: {} entries are what was recorded{erased}, {} checkpoints are of this tree, root {root}",
            verification.checked,
            verification.checkpoints
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
