//! The table of faults that `make mutations` tries still fits the code: each can be put in, and its test is there and cites
//! its line. Whether the tests turn red, only that command shows; it takes too long for every day.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

/// Lines of `streams.md` that have a fault, at least.
const LINES_MIN: usize = 30;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// What is wrong with an entry.
fn findings(fault: &toml::Table) -> Vec<String> {
    let text = |key: &str| fault[key].as_str().unwrap();
    let line = fault["line"].as_integer().unwrap();
    let mut findings = Vec::new();
    let file = std::fs::read_to_string(root().join(text("file"))).unwrap_or_default();
    let times = file.matches(text("replace")).count();
    if times != 1 || text("replace") == text("by") {
        findings.push(format!("what it replaces stands {times} times in {}", text("file")));
    }
    let test = text("test").rsplit("::").next().unwrap();
    let folder = root().join(text("package"));
    match sources(&folder).iter().find_map(|source| doc_of(source, test)) {
        None => findings.push(format!("no test {test} in {}", text("package"))),
        Some(doc) => {
            let mut words = doc.split(|character: char| !character.is_ascii_digit());
            if !doc.contains("streams.md") || !words.any(|word| word == line.to_string()) {
                findings.push(format!("{test} does not cite the line"));
            }
        }
    }
    let what = text("what");
    findings
        .iter()
        .map(|finding| format!("line {line}, {what}: {finding}"))
        .collect()
}

/// What stands right above a function.
fn doc_of(source: &str, function: &str) -> Option<String> {
    let lines: Vec<&str> = source.lines().map(str::trim).collect();
    let place = lines
        .iter()
        .position(|line| line.contains(&format!("fn {function}(")))?;
    let above = lines[..place].iter().rev();
    let above = above.take_while(|line| line.starts_with("///") || line.starts_with("#["));
    Some(above.copied().collect::<Vec<_>>().join("\n"))
}

/// The Rust files of a package.
fn sources(folder: &Path) -> Vec<String> {
    let mut sources = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            sources.extend(self::sources(&path));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            sources.push(std::fs::read_to_string(path).unwrap());
        }
    }
    sources
}

#[test]
fn every_fault_of_the_table_can_be_put_in_and_names_a_test_that_cites_its_line() {
    let table = std::fs::read_to_string(root().join("tests/mutations/table.toml")).unwrap();
    let table: toml::Table = table.parse().unwrap();
    let faults = table["fault"].as_array().unwrap();
    let faults = faults.iter().map(|fault| fault.as_table().unwrap());
    let lines: BTreeSet<i64> = faults
        .clone()
        .map(|fault| fault["line"].as_integer().unwrap())
        .collect();
    assert!(lines.len() >= LINES_MIN, "{lines:?}");
    assert_eq!(faults.flat_map(findings).collect::<Vec<_>>(), Vec::<String>::new());
}
