//! The table of conformance: what the public documentation of EventBridge says of each operator, with events that match and
//! events that do not, and what it refuses.
//!
//! One file per idea in `conformance`, each with the pages that it comes from. It was written from those pages, by somebody
//! who had not seen this matcher. Where page and practice disagree, or nothing says what holds, the table is silent.

use std::fs;
use std::path::Path;

use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;
use weir_routing::{Explanation, Pattern, PatternSet};

#[derive(Deserialize)]
struct Table {
    cases: Vec<Case>,
    refusals: Vec<Refused>,
}

#[derive(Deserialize)]
struct Case {
    says: String,
    pattern: Box<RawValue>,
    matches: Vec<Value>,
    misses: Vec<Value>,
}

#[derive(Deserialize)]
struct Refused {
    says: String,
    pattern: String,
}

#[track_caller]
fn holds(name: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/pattern/conformance")
        .join(name)
        .with_extension("json");
    let text = fs::read_to_string(&path).expect("every idea has its file");
    let table: Table = serde_json::from_str(&text).expect("a table is JSON of this shape");
    let mut wrong = Vec::new();
    for case in &table.cases {
        let pattern = match Pattern::parse(case.pattern.get()) {
            Ok(pattern) => pattern,
            Err(error) => {
                wrong.push(format!("{}: is refused: {error}", case.says));
                continue;
            }
        };
        let set = PatternSet::new([pattern.clone()]);
        let decided = |event: &Value| {
            let matches = pattern.matches(event);
            assert_eq!(set.matching(event) == [0], matches, "{}: {event}", case.says);
            assert_eq!(
                pattern.explain(event) == Explanation::Matched,
                matches,
                "{}: {event}",
                case.says
            );
            matches
        };
        let missed = case.matches.iter().filter(|event| !decided(event));
        wrong.extend(missed.map(|event| format!("{}: misses {event}", case.says)));
        let taken = case.misses.iter().filter(|event| decided(event));
        wrong.extend(taken.map(|event| format!("{}: takes {event}", case.says)));
    }
    let taken = table
        .refusals
        .iter()
        .filter(|refused| Pattern::parse(&refused.pattern).is_ok());
    wrong.extend(taken.map(|refused| format!("{}: is not refused: {}", refused.says, refused.pattern)));
    assert!(
        wrong.is_empty(),
        "{} of {name} do not hold:\n{}",
        wrong.len(),
        wrong.join("\n")
    );
}

/// One test per file; and a file without a test is a mistake.
macro_rules! ideas {
    ($($test:ident: $name:literal,)*) => {
        $(#[test]
        fn $test() {
            holds($name);
        })*

        #[test]
        fn every_file_of_the_table_is_held_to() {
            let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/pattern/conformance");
            let mut files: Vec<String> = fs::read_dir(folder)
                .expect("the table is a folder")
                .map(|file| file.expect("the table can be listed").path())
                .map(|path| path.file_stem().expect("a file has a name").to_string_lossy().into_owned())
                .collect();
            files.sort();
            let mut named = vec![$($name),*];
            named.sort_unstable();
            assert_eq!(files, named);
        }
    };
}

ideas! {
    values_are_taken_as_documented: "values",
    prefixes_are_taken_as_documented: "prefix",
    suffixes_are_taken_as_documented: "suffix",
    case_is_ignored_as_documented: "equals-ignore-case",
    wildcards_are_taken_as_documented: "wildcard",
    ranges_are_taken_as_documented: "numeric",
    networks_are_taken_as_documented: "cidr",
    presence_is_decided_as_documented: "exists",
    exclusions_are_decided_as_documented: "anything-but",
    alternatives_are_decided_as_documented: "or",
    arrays_are_seen_through_as_documented: "arrays",
    objects_are_followed_as_documented: "structure",
    records_of_a_stream_are_filtered_as_documented: "records",
}
