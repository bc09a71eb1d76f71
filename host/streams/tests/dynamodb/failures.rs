//! Iterators that expire, records that are trimmed, throttles, and a service that does not answer.

use weir_model::SequenceNumber;
use weir_streams::ReadError;

use crate::support::http::Reply;
use crate::support::{Scripted, error, iterator, page, record, sequences};

fn expired() -> Reply {
    error("ExpiredIteratorException")
}

fn trimmed() -> Reply {
    error("TrimmedDataAccessException")
}

/// Reads until there are records, however many empty pages come before, and says which.
async fn next_records(reader: &mut weir_streams::ShardReader) -> Vec<String> {
    loop {
        let page = reader.next_page().await.unwrap();
        if !page.records.is_empty() {
            return sequences(&page.records).into_iter().map(str::to_owned).collect();
        }
        assert!(!page.is_last, "the shard ended before there were records");
    }
}

/// streams.md 18.
#[tokio::test]
async fn an_iterator_that_expires_before_the_first_record_starts_over() {
    let service = Scripted::start([
        iterator("i1"),
        page([], Some("i2")),
        expired(),
        iterator("i3"),
        page([record("1")], Some("i4")),
    ])
    .await;
    let mut reader = service.reader(None).await;
    assert_eq!(next_records(&mut reader).await, ["1"]);
    assert_eq!(service.steps(), ["TRIM_HORIZON", "i1", "i2", "TRIM_HORIZON", "i3"]);
}

/// streams.md 18: "the original start", where that was a position.
#[tokio::test]
async fn an_iterator_that_expires_before_the_first_record_after_a_position_starts_at_the_position() {
    let service = Scripted::start([
        iterator("i1"),
        expired(),
        iterator("i2"),
        page([record("6")], Some("i3")),
    ])
    .await;
    let mut reader = service.reader(Some("5")).await;
    assert_eq!(next_records(&mut reader).await, ["6"]);
    assert_eq!(
        service.steps(),
        ["AFTER_SEQUENCE_NUMBER 5", "i1", "AFTER_SEQUENCE_NUMBER 5", "i2"]
    );
}

/// streams.md 18: "of the last record *read*", also if we did not understand it, and over empty pages.
#[tokio::test]
async fn an_iterator_that_expires_later_starts_behind_the_last_record_read() {
    let mut new_kind = record("2");
    new_kind["eventName"] = "ARCHIVE".into();
    let service = Scripted::start([
        iterator("i1"),
        page([record("1"), new_kind], Some("i2")),
        page([], Some("i3")),
        expired(),
        iterator("i4"),
        expired(),
        iterator("i5"),
        page([record("3")], None),
    ])
    .await;
    let mut reader = service.reader(None).await;
    assert_eq!(next_records(&mut reader).await, ["1", "2"]);
    assert_eq!(next_records(&mut reader).await, ["3"]);
    assert_eq!(
        service.steps(),
        [
            "TRIM_HORIZON",
            "i1",
            "i2",
            "i3",
            "AFTER_SEQUENCE_NUMBER 2",
            "i4",
            "AFTER_SEQUENCE_NUMBER 2",
            "i5"
        ]
    );
}

/// streams.md 19: both calls can say it. After the gap, reading goes on at what is left.
#[tokio::test]
async fn trimmed_records_are_never_skipped_in_silence() {
    let cases = [
        ("GetShardIterator", vec![trimmed()], vec!["AFTER_SEQUENCE_NUMBER 5"]),
        (
            "GetRecords",
            vec![iterator("i1"), trimmed()],
            vec!["AFTER_SEQUENCE_NUMBER 5", "i1"],
        ),
    ];
    for (operation, script, before) in cases {
        let after = [iterator("h1"), page([record("90")], Some("h2")), page([], Some("h3"))];
        let service = Scripted::start(script.into_iter().chain(after)).await;
        let mut reader = service.reader(Some("5")).await;
        let error = reader.next_page().await.unwrap_err();
        let five = SequenceNumber::parse("5").unwrap();
        assert!(
            matches!(&error, ReadError::Trimmed { after } if *after == Some(five)),
            "{operation}: {error}"
        );
        assert!(error.to_string().contains('5'), "{operation}: {error}");

        reader.skip_to_horizon();
        assert_eq!(next_records(&mut reader).await, ["90"], "{operation}");
        reader.next_page().await.unwrap();
        let steps = [before, vec!["TRIM_HORIZON", "h1", "h2"]].concat();
        assert_eq!(service.steps(), steps, "{operation}");
    }
}

/// streams.md 19: without leave to skip, the answer stays the same.
#[tokio::test]
async fn a_gap_stays_until_it_is_given_up() {
    let service = Scripted::start_with(|operation, body| match operation {
        "GetShardIterator" if body["ShardIteratorType"] == "TRIM_HORIZON" => iterator("h1"),
        "GetShardIterator" => trimmed(),
        _ => page([record("90")], None),
    })
    .await;
    let mut reader = service.reader(Some("5")).await;
    for _ in 0..3 {
        let error = reader.next_page().await.unwrap_err();
        assert!(matches!(error, ReadError::Trimmed { .. }), "{error}");
    }
    reader.skip_to_horizon();
    assert_eq!(next_records(&mut reader).await, ["90"]);
}

/// streams.md 18 and 19: a position that was given up must not come back.
#[tokio::test]
async fn an_iterator_that_expires_at_the_horizon_starts_at_the_horizon() {
    let service = Scripted::start([
        iterator("i1"),
        trimmed(),
        iterator("h1"),
        page([], Some("h2")),
        expired(),
        iterator("h3"),
        page([record("90")], None),
    ])
    .await;
    let mut reader = service.reader(Some("5")).await;
    reader.next_page().await.unwrap_err();
    reader.skip_to_horizon();
    assert_eq!(next_records(&mut reader).await, ["90"]);
    assert_eq!(service.steps()[4..], ["h2", "TRIM_HORIZON", "h3"]);
}

/// streams.md 20.
#[tokio::test]
async fn a_shard_that_is_gone_says_so_and_is_not_asked_for_again() {
    for script in [
        vec![error("ResourceNotFoundException")],
        vec![iterator("i1"), error("ResourceNotFoundException")],
    ] {
        let asked = script.len();
        let service = Scripted::start(script).await;
        let error = service.reader(None).await.next_page().await.unwrap_err();
        assert!(matches!(error, ReadError::Gone), "{error}");
        assert_eq!(service.calls().len(), asked);
    }
}

/// streams.md 21, and 18 for what a long throttle does to an iterator. All at once: some are waited for.
#[tokio::test]
async fn a_throttle_says_so_and_loses_no_place() {
    let codes = [
        "LimitExceededException",
        "ThrottlingException",
        "ProvisionedThroughputExceededException",
    ];
    let runs = codes.map(|code| async move {
        // The client library tries five times by itself.
        let throttles = std::iter::repeat_with(|| error(code)).take(5);
        let script = [iterator("i1"), page([record("1")], Some("i2"))]
            .into_iter()
            .chain(throttles)
            .chain([page([record("2")], Some("i3"))]);
        let service = Scripted::start(script).await;
        let mut reader = service.reader(None).await;
        assert_eq!(next_records(&mut reader).await, ["1"], "{code}");
        let error = reader.next_page().await.unwrap_err();
        assert!(matches!(error, ReadError::Throttled), "{code}: {error}");
        assert_eq!(next_records(&mut reader).await, ["2"], "{code}");

        let service = Scripted::start_with(move |_, _| crate::support::error(code)).await;
        let error = service.reader(None).await.next_page().await.unwrap_err();
        assert!(matches!(error, ReadError::Throttled), "{code} for an iterator: {error}");
    });
    futures_util::future::join_all(runs).await;
}

/// streams.md 23: what passes is not seen.
#[tokio::test]
async fn a_failure_that_passes_is_read_over() {
    let failures = [
        Reply::Reset,
        error("ThrottlingException"),
        Reply::Text(503, "Service Unavailable"),
    ];
    let runs = failures.map(|failure| async move {
        let service = Scripted::start([
            failure.clone(),
            iterator("i1"),
            failure.clone(),
            page([record("1")], None),
        ])
        .await;
        let page = service.reader(None).await.next_page().await.unwrap();
        assert_eq!(
            (sequences(&page.records), page.is_last),
            (vec!["1"], true),
            "{failure:?}"
        );
        assert_eq!(
            service.steps(),
            ["TRIM_HORIZON", "TRIM_HORIZON", "i1", "i1"],
            "{failure:?}"
        );
    });
    futures_util::future::join_all(runs).await;
}

/// streams.md 23: 500s, resets, truncated bodies. The page that was not read is the next to be read.
#[tokio::test]
async fn a_failure_that_stays_is_an_error_and_the_same_page_is_read_again() {
    let half = || match page([record("1")], Some("i2")) {
        Reply::Json(status, body) => Reply::HalfOf(status, body),
        other => other,
    };
    let failures = [
        Reply::Reset,
        Reply::Text(500, "oops"),
        half(),
        Reply::Text(200, "<html>"),
        error("AccessDeniedException"),
        error("SomethingNewException"),
    ];
    let runs = failures.map(|failure| async move {
        let mended = std::sync::Arc::new(std::sync::atomic::AtomicBool::new(false));
        let is_mended = mended.clone();
        let script_failure = failure.clone();
        let service = Scripted::start_with(move |operation, _| match operation {
            "GetShardIterator" => iterator("i1"),
            _ if is_mended.load(std::sync::atomic::Ordering::SeqCst) => page([record("1")], None),
            _ => script_failure.clone(),
        })
        .await;
        let mut reader = service.reader(None).await;
        let error = reader.next_page().await.unwrap_err();
        assert!(
            matches!(&error, ReadError::Service(why) if !why.is_empty()),
            "{failure:?}: {error}"
        );
        assert!(
            !error.to_string().contains("o1"),
            "what was read is not for logs: {error}"
        );

        mended.store(true, std::sync::atomic::Ordering::SeqCst);
        assert_eq!(next_records(&mut reader).await, ["1"], "{failure:?}");
    });
    futures_util::future::join_all(runs).await;
}

#[tokio::test]
async fn an_answer_without_an_iterator_is_not_the_end_of_the_shard() {
    let service = Scripted::start([Reply::Json(200, serde_json::json!({}))]).await;
    let error = service.reader(None).await.next_page().await.unwrap_err();
    assert!(matches!(error, ReadError::Service(_)), "{error}");
}
