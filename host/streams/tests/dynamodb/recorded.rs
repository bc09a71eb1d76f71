//! Recorded pages in the place of the service.

use std::io::Write as _;
use std::path::Path;

use expect_test::{Expect, expect};
use weir_model::{Record, SequenceNumber, ShardId};
use weir_streams::{DynamoDbStreams, ReadError, ShardReader, ViewType};

use crate::support::ARN;

/// A recording of a shard with two pages, and of its child with one.
fn recording() -> String {
    let stream = format!(r#"{{"stream": {{"arn": "{ARN}", "table": "orders", "view": "KEYS_ONLY", "keys": ["id"]}}}}"#);
    let record = |number: u32| {
        format!(
            r#"{{"eventID": "e{number}", "eventName": "INSERT", "eventVersion": "1.1", "dynamodb": {{
                "ApproximateCreationDateTime": 1772366400, "Keys": {{"id": {{"S": "o{number}"}}}},
                "SequenceNumber": "{number}00000000000000000000"}}}}"#
        )
        .replace('\n', " ")
    };
    let pages = [
        format!(
            r#"{{"shard": "parent", "page": {{"Records": [{}, {}]}}}}"#,
            record(1),
            record(2)
        ),
        format!(
            r#"{{"shard": "child", "parent": "parent", "page": {{"Records": [{}]}}}}"#,
            record(4)
        ),
        format!(r#"{{"shard": "parent", "page": {{"Records": [{}]}}}}"#, record(3)),
    ];
    format!("{stream}\n{}\n", pages.join("\n"))
}

fn file(text: &str) -> tempfile::NamedTempFile {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(text.as_bytes()).unwrap();
    file
}

/// Reads on to the end of the shard: the sequence numbers' first digits, page by page.
async fn read(mut reader: ShardReader) -> Vec<String> {
    let mut pages = Vec::new();
    loop {
        let page = reader.next_page().await.unwrap();
        let digits = page
            .records
            .iter()
            .map(|record: &Record| &record.sequence().as_str()[..1]);
        pages.push(digits.collect());
        if page.is_last {
            return pages;
        }
    }
}

#[tokio::test]
async fn a_recording_is_a_stream_whose_shards_are_read_to_their_end() {
    let file = file(&recording());
    let (streams, arn) = DynamoDbStreams::recorded(file.path()).unwrap();
    let described = streams.describe(&arn).await.unwrap();
    assert_eq!(
        (described.table.as_str(), described.view),
        ("orders", ViewType::KeysOnly)
    );
    assert_eq!(described.key_names, ["id"]);
    let shards: Vec<_> = described
        .shards
        .iter()
        .map(|found| (found.shard.as_str(), found.parent.as_ref().map(ShardId::as_str)))
        .collect();
    assert_eq!(shards, [("parent", None), ("child", Some("parent"))]);
    let shard = |id: &str| ShardId::parse(id).unwrap();
    let children = streams.children(&arn, &shard("parent")).await.unwrap();
    assert_eq!(children.len(), 1);

    let from = |id: &str, after: Option<&str>| {
        let after = after.map(|after| SequenceNumber::parse(after).unwrap());
        streams.read(&arn, "orders", &shard(id), after)
    };
    assert_eq!(read(from("parent", None)).await, ["12", "3"]);
    assert_eq!(read(from("child", None)).await, ["4"]);
    // From behind a record: its page comes whole, and what was recorded of it is known by whoever reads.
    assert_eq!(read(from("parent", Some("100000000000000000000"))).await, ["12", "3"]);
    assert_eq!(read(from("parent", Some("200000000000000000000"))).await, ["3"]);
    assert_eq!(read(from("parent", Some("300000000000000000000"))).await, [""]);
    let gone = from("another", None).next_page().await;
    assert!(matches!(gone, Err(ReadError::Gone)), "{gone:?}");
}

#[test]
fn a_file_that_is_no_recording_is_refused_with_the_line_and_what_is_wanted() {
    #[track_caller]
    fn check(text: &str, expected: Expect) {
        let file = file(text);
        let error = DynamoDbStreams::recorded(file.path()).unwrap_err();
        let name = file.path().display().to_string();
        expected.assert_eq(&error.to_string().replace(&name, "pages.jsonl"));
    }
    let first = recording().lines().next().unwrap().to_owned();
    check("", expect!["pages.jsonl, line 1: the file is empty"]);
    check(
        "{}",
        expect![[
            r#"pages.jsonl, line 1: missing field `stream` at line 1 column 2; the first line is {"stream": {"arn": ..., "table": ..., "view": ..., "keys": [...]}}"#
        ]],
    );
    check(
        &format!("{first}\n\n{{\"shard\": \"a\"}}"),
        expect![[
            r#"pages.jsonl, line 3: missing field `page` at line 1 column 14; a page is {"shard": ..., "page": {"Records": [...]}}"#
        ]],
    );
    let twice = format!("{}\n{}", recording(), recording().lines().nth(1).unwrap());
    check(
        &twice,
        expect!["pages.jsonl, line 6: the sequence numbers of a shard have to rise"],
    );
    let missing = DynamoDbStreams::recorded(Path::new("/not/here")).unwrap_err();
    assert_eq!(missing.to_string(), "/not/here cannot be read");
}
