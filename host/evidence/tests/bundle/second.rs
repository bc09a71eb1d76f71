//! The second verifier, `tests/verifier/verify.py`, which knows the pages and not this crate: both give the same exit
//! code to thousands of files that somebody changed.
//!
//! ```text
//! seed ──▶ mutants.rs ──▶ a folder per policy ──▶ verify.py --batch ──▶ code ┐
//!              └────────────────────────────────▶ weir_evidence ─────▶ code ┴─▶ the same, file by file
//! ```
//!
//! Where they disagree, one of them or the page is wrong. The folder is kept then.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use weir_evidence::{Doubt, Policy, Report, VerifierKey, verify_bundle, verify_tlog_proof};

use crate::mutants::{self, Run, Trust};

/// Changed files that are compared at least.
const FILES_MIN: usize = 2000;

#[test]
fn both_verifiers_give_every_changed_file_the_same_exit_code() {
    let seed = seed();
    let runs = mutants::runs(seed);
    let files: usize = runs.iter().map(|run| run.files.len()).sum();
    assert!(files >= FILES_MIN, "{files} files");

    let folder = std::env::temp_dir().join(format!("weir-verifiers-{}", std::process::id()));
    let (mut disagreements, mut codes) = (String::new(), BTreeMap::new());
    for run in &runs {
        let second = second_opinions(run, &folder.join(&run.name));
        for (name, bytes) in &run.files {
            let (ours, report) = first_opinion(run, bytes);
            let (theirs, why) = &second[name];
            *codes.entry(ours).or_insert(0) += 1;
            if ours != *theirs {
                let file = folder.join(&run.name).join("files").join(name);
                let _ = writeln!(
                    disagreements,
                    "{}: Weir says {ours} ({report}), verify.py says {theirs} ({why})",
                    file.display()
                );
            }
        }
    }
    assert!(disagreements.is_empty(), "seed {seed}:\n{disagreements}");
    // Files of which the verdict is always the same would compare nothing.
    assert!(codes.len() == 3 && codes.values().all(|files| *files > 50), "{codes:?}");
    std::fs::remove_dir_all(&folder).unwrap();
}

#[test]
fn the_tests_of_the_second_verifier_pass() {
    let tests = Command::new(interpreter())
        .arg(verifier("test_verify.py"))
        .output()
        .unwrap();
    assert!(tests.status.success(), "{}", String::from_utf8_lossy(&tests.stderr));
}

/// What this crate says of a file, as `weir verify` would.
fn first_opinion(run: &Run, file: &[u8]) -> (u8, String) {
    let policy = match &run.trust {
        Trust::Key(key) => VerifierKey::parse(key)
            .map_err(|_| ())
            .and_then(|key| Policy::from_key(key).map_err(|_| ())),
        Trust::Policy(text) => Policy::parse(text).map_err(|_| ()),
    };
    let Ok(policy) = policy else {
        return (2, "the policy cannot be read".to_owned());
    };
    if !file.starts_with(b"c2sp.org/tlog-proof@") {
        let report = verify_bundle(file, &policy, run.since.as_deref());
        return (report.verdict().exit_code(), shown(&report));
    }
    let report = verify_tlog_proof(file, &policy);
    match report.verdict().exit_code() {
        0 if run.since.is_some() => (2, "a proof is not held against an earlier checkpoint".to_owned()),
        code => (code, shown(&report)),
    }
}

fn shown(report: &Report) -> String {
    let findings = report.findings().iter().map(ToString::to_string);
    let doubts = report.doubts().iter().map(Doubt::to_string);
    findings.chain(doubts).next().unwrap_or_default()
}

/// What `verify.py` says of every file of a run: its exit code and first reason.
fn second_opinions(run: &Run, folder: &Path) -> BTreeMap<String, (u8, String)> {
    let files = folder.join("files");
    std::fs::create_dir_all(&files).unwrap();
    for (name, bytes) in &run.files {
        std::fs::write(files.join(name), bytes).unwrap();
    }
    let mut command = Command::new(interpreter());
    command.arg(verifier("verify.py")).arg("--batch").arg(&files);
    match &run.trust {
        Trust::Key(key) => command.arg("--key").arg(key),
        Trust::Policy(text) => {
            std::fs::write(folder.join("policy"), text).unwrap();
            command.arg("--policy").arg(folder.join("policy"))
        }
    };
    if let Some(since) = &run.since {
        std::fs::write(folder.join("since"), since).unwrap();
        command.arg("--since").arg(folder.join("since"));
    }
    let output = command.output().unwrap();
    assert!(
        output.status.success(),
        "verify.py did not go through {}: {}",
        files.display(),
        String::from_utf8_lossy(&output.stderr)
    );
    let lines = String::from_utf8(output.stdout).unwrap();
    let opinions: BTreeMap<_, _> = lines
        .lines()
        .map(|line| {
            let parts: Vec<&str> = line.split('\t').collect();
            (parts[0].to_owned(), (parts[1].parse().unwrap(), parts[2].to_owned()))
        })
        .collect();
    assert_eq!(opinions.len(), run.files.len(), "every file has a line");
    opinions
}

fn verifier(file: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../../tests/verifier")
        .join(file)
}

/// A Python that has what `verify.py` needs.
fn interpreter() -> PathBuf {
    let set = |name| {
        std::env::var_os(name)
            .filter(|value| !value.is_empty())
            .map(PathBuf::from)
    };
    let python = set("WEIR_VERIFIER_PYTHON").unwrap_or_else(|| {
        let cache = set("WEIR_CACHE").unwrap_or_else(|| {
            let caches = set("XDG_CACHE_HOME").or_else(|| Some(set("HOME")?.join(".cache")));
            caches.expect("HOME is set").join("weir")
        });
        cache.join("verifier/bin/python")
    });
    let is_there = Command::new(&python)
        .args(["-c", "import cryptography"])
        .output()
        .is_ok_and(|output| output.status.success());
    assert!(
        is_there,
        "{} cannot run the second verifier: `tests/setup tests` makes it, WEIR_VERIFIER_PYTHON names another",
        python.display()
    );
    python
}

/// Printed where a test fails; `WEIR_TEST_SEED` sets it.
#[expect(clippy::print_stdout, reason = "whoever looks into a failure needs it")]
fn seed() -> u64 {
    let set = std::env::var("WEIR_TEST_SEED").ok();
    let seed = set.map_or_else(fresh, |seed| seed.parse().expect("WEIR_TEST_SEED is a number"));
    println!("WEIR_TEST_SEED={seed}");
    seed
}

fn fresh() -> u64 {
    use std::hash::{BuildHasher as _, Hasher as _};
    std::collections::hash_map::RandomState::new().build_hasher().finish()
}
