use expect_test::expect;

use super::*;

fn origin() -> Origin {
    Origin {
        stream: StreamArn::parse("arn:aws:dynamodb:us-east-1:0:table/orders/stream/1").unwrap(),
        shard: ShardId::parse("shardId-1").unwrap(),
    }
}

pub(crate) fn entry(kind: EntryKind) -> Entry {
    Entry {
        ledger: LedgerName::parse("main").unwrap(),
        kind,
    }
}

fn sequence(digits: &str) -> SequenceNumber {
    SequenceNumber::parse(digits).unwrap()
}

fn item() -> ItemToken {
    ItemToken {
        key_id: "a1b2c3d4".to_owned(),
        token: [7; 16],
    }
}

fn change() -> EntryKind {
    EntryKind::Change {
        is_amendment: false,
        origin: origin(),
        commitment: Commitment([0xab; 32]),
        sequence: sequence("100000000000000000001"),
        event: EventId::parse("e1").unwrap(),
        operation: Operation::Modify,
        table: "orders \"2\"".to_owned(),
        item: item(),
        time: Timestamp::from_millisecond(1_772_366_400_000).unwrap(),
        assurance: Assurance::LastWriter,
        config: ConfigurationDigest([1; 16]),
    }
}

fn batch(after: BatchAfter, range: Option<(&str, &str)>, closed: Closed) -> EntryKind {
    EntryKind::Batch(Batch {
        origin: origin(),
        after,
        range: range.map(|(first, last)| (sequence(first), sequence(last))),
        read: 3,
        recorded: 2,
        redacted: 0,
        config: ConfigurationDigest([1; 16]),
        closed,
    })
}

pub(crate) fn every_kind() -> Vec<EntryKind> {
    let gap = Gap {
        origin: origin(),
        commitment: None,
        after: Some(sequence("5")),
        next: Some(sequence("9")),
        since: Some(Timestamp::UNIX_EPOCH),
        until: Some(Timestamp::UNIX_EPOCH),
        cause: GapCause::Trimmed,
        loss: Loss::Possible,
    };
    let bare_gap = Gap {
        commitment: Some(Commitment([2; 32])),
        after: None,
        next: None,
        since: None,
        until: None,
        cause: GapCause::ShardExpired,
        loss: Loss::Certain,
        ..gap.clone()
    };
    let mut amendment = change();
    if let EntryKind::Change { is_amendment, .. } = &mut amendment {
        *is_amendment = true;
    }
    vec![
        change(),
        amendment,
        EntryKind::Withheld {
            origin: origin(),
            commitment: Commitment([3; 32]),
            sequence: sequence("7"),
            event: EventId::parse("e7").unwrap(),
            operation: Operation::Insert,
            table: "orders".to_owned(),
            item: item(),
            time: Timestamp::UNIX_EPOCH,
            config: ConfigurationDigest([1; 16]),
        },
        EntryKind::Unknown {
            origin: origin(),
            commitment: Commitment([1; 32]),
            sequence: sequence("5"),
            time: Timestamp::UNIX_EPOCH,
        },
        EntryKind::Gap(gap),
        EntryKind::Gap(bare_gap),
        batch(BatchAfter::Start, Some(("1", "3")), Closed::Interval),
        batch(BatchAfter::Gap, None, Closed::End),
        batch(BatchAfter::Record(sequence("3")), Some(("4", "9")), Closed::HandOver),
        EntryKind::Lifecycle {
            time: Timestamp::UNIX_EPOCH,
            what: "continued".to_owned(),
            detail: "a\nb \u{7f} \u{1f600}".to_owned(),
        },
        EntryKind::Erasure(Order {
            commitment: Commitment([1; 32]),
            id: "7".to_owned(),
            scope: ErasureScope::Subject,
            stage: ErasureStage::Done,
            item: None,
            bodies: Some(3),
            time: Timestamp::UNIX_EPOCH,
        }),
        EntryKind::Hold(Order {
            commitment: Commitment([1; 32]),
            id: "8".to_owned(),
            scope: HoldScope::Item,
            stage: HoldStage::Placed,
            item: Some(item()),
            bodies: None,
            time: Timestamp::UNIX_EPOCH,
        }),
    ]
}

#[test]
fn the_encoding_of_a_change_is_fixed() {
    expect![[r#"{"assurance":"last-writer","commitment":"abababababababababababababababababababababababababababababababab","config":"01010101010101010101010101010101","event":"e1","item":"a1b2c3d4:07070707070707070707070707070707","kind":"change","ledger":"main","operation":"modify","sequence":"100000000000000000001","shard":"shardId-1","stream":"arn:aws:dynamodb:us-east-1:0:table/orders/stream/1","table":"orders \"2\"","time":1772366400000,"v":1}"#]]
        .assert_eq(&String::from_utf8(entry(change()).encode().unwrap()).unwrap());
}

#[test]
fn every_kind_reads_back_as_it_was_written() {
    for kind in every_kind() {
        let entry = entry(kind);
        assert_eq!(Entry::decode(&entry.encode().unwrap()).unwrap(), entry);
    }
}

#[test]
fn only_one_encoding_of_an_entry_is_an_entry() {
    let text = String::from_utf8(entry(change()).encode().unwrap()).unwrap();
    for (from, to) in [
        ("\"v\":1", "\"v\": 1"),
        ("\"v\":1", "\"v\":1.0"),
        ("\"v\":1", "\"v\":01"),
        ("\"v\":1}", "\"v\":1} "),
        ("{\"assurance\"", " {\"assurance\""),
        ("orders \\\"2\\\"", "orders \\u00222\\\""),
        ("orders \\\"2\\\"", "orders \\/2"),
        ("\"shardId-1\"", "\"shardId\\u002d1\""),
        (
            "\"kind\":\"change\",\"ledger\":\"main\"",
            "\"ledger\":\"main\",\"kind\":\"change\"",
        ),
        ("\"v\":1", "\"more\":1,\"v\":1"),
        ("\"v\":1", "\"v\":1,\"v\":1"),
        ("abab", "ABAB"),
        ("abab", "abxx"),
        ("\"time\":1772366400000", "\"time\":-1"),
        ("\"time\":1772366400000", "\"time\":253402207200001"),
        ("\"sequence\":\"1", "\"sequence\":\"x1"),
        (":07", ":7"),
        ("\"operation\":\"modify\"", "\"operation\":\"Modify\""),
    ] {
        let changed = text.replacen(from, to, 1);
        let error = Entry::decode(changed.as_bytes());
        assert!(
            text.contains(from) && matches!(error, Err(EntryError::Malformed(_) | EntryError::Member { .. })),
            "{to}: {error:?}"
        );
    }
}

#[test]
fn an_entry_of_another_version_is_told_from_bytes_that_are_no_entry() {
    let text = String::from_utf8(entry(change()).encode().unwrap()).unwrap();
    for (from, to) in [
        ("\"v\":1", "\"v\":2"),
        ("\"kind\":\"change\"", "\"kind\":\"wish\""),
        (
            "\"time\":1772366400000,\"v\":1",
            "\"time\":{\"since\":[1,true,null]},\"v\":2",
        ),
    ] {
        assert_eq!(
            Entry::decode(text.replacen(from, to, 1).as_bytes()),
            Err(EntryError::OtherVersion),
            "{to}"
        );
    }
    assert!(matches!(Entry::decode(b"{\"v\": 2}"), Err(EntryError::Malformed(_))));
}

#[test]
fn an_entry_over_the_limit_is_refused_before_it_is_stored() {
    let mut entry = entry(change());
    if let EntryKind::Change { table, .. } = &mut entry.kind {
        *table = "t".repeat(ENTRY_BYTES_MAX);
    }
    assert!(matches!(entry.encode(), Err(EntryError::TooLarge { .. })));
}

#[test]
fn a_hold_erases_no_bodies() {
    let hold = every_kind().into_iter().find(|kind| matches!(kind, EntryKind::Hold(_)));
    let Some(EntryKind::Hold(mut order)) = hold else {
        panic!("every kind has a hold")
    };
    let encoded = entry(EntryKind::Hold(order.clone())).encode().unwrap();
    let with_bodies = String::from_utf8(encoded).unwrap().replacen('{', "{\"bodies\":1,", 1);
    assert!(matches!(
        Entry::decode(with_bodies.as_bytes()),
        Err(EntryError::Malformed(_))
    ));
    order.bodies = Some(1);
    assert_eq!(
        entry(EntryKind::Hold(order)).encode(),
        Err(EntryError::Member { member: "bodies" })
    );
}
