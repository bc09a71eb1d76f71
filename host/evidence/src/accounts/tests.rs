//! Entries are written as words: `c5` a change, `w5` a withheld one, `a5` its amendment, `u5` an unknown record, `gap` or `gap:5` a gap (behind 5), and
//! `b:AFTER:FIRST-LAST:READ/RECORDED/REDACTED` a batch, with `!` for the last of its shard.

use jiff::Timestamp;
use weir_model::{Assurance, EventId, LedgerName, Operation, ShardId, StreamArn};

use super::*;
use crate::{Commitment, ConfigurationDigest, GapCause, ItemToken, Loss};

fn sequence(digits: &str) -> SequenceNumber {
    SequenceNumber::parse(digits).unwrap()
}

fn origin(shard: &str) -> Origin {
    Origin {
        stream: StreamArn::parse("arn").unwrap(),
        shard: ShardId::parse(shard).unwrap(),
    }
}

fn batch(shard: &str, text: &str) -> EntryKind {
    let parts: Vec<&str> = text.trim_end_matches('!').split(':').collect();
    let [after, range, counts] = parts[..] else {
        panic!("{text}")
    };
    let counts: Vec<u64> = counts.split('/').map(|count| count.parse().unwrap()).collect();
    EntryKind::Batch(Batch {
        origin: origin(shard),
        after: match after {
            "start" => BatchAfter::Start,
            "gap" => BatchAfter::Gap,
            digits => BatchAfter::Record(sequence(digits)),
        },
        range: range
            .split_once('-')
            .map(|(first, last)| (sequence(first), sequence(last))),
        read: counts[0],
        recorded: counts[1],
        redacted: counts[2],
        config: ConfigurationDigest([0; 16]),
        closed: if text.ends_with('!') {
            Closed::End
        } else {
            Closed::Interval
        },
    })
}

/// `c5` is about the shard `s`, `other/c5` about another.
fn entry(word: &str) -> Entry {
    let (shard, word) = word
        .split_once('/')
        .filter(|(shard, _)| !shard.contains(':'))
        .unwrap_or(("s", word));
    let (origin, commitment, time) = (origin(shard), Commitment([0; 32]), Timestamp::UNIX_EPOCH);
    let kind = match (&word[..1], &word[1..]) {
        (first @ ("c" | "a"), digits) => EntryKind::Change {
            is_amendment: first == "a",
            origin,
            commitment,
            sequence: sequence(digits),
            event: EventId::parse("e").unwrap(),
            operation: Operation::Insert,
            table: String::new(),
            item: ItemToken {
                key_id: "00000000".to_owned(),
                token: [0; 16],
            },
            time,
            assurance: Assurance::Unknown,
            config: ConfigurationDigest([0; 16]),
        },
        ("w", digits) => EntryKind::Withheld {
            origin,
            commitment,
            sequence: sequence(digits),
            event: EventId::parse("e").unwrap(),
            operation: Operation::Insert,
            table: String::new(),
            item: ItemToken {
                key_id: "00000000".to_owned(),
                token: [0; 16],
            },
            time,
            config: ConfigurationDigest([0; 16]),
        },
        ("u", digits) => EntryKind::Unknown {
            origin,
            commitment,
            sequence: sequence(digits),
            time,
        },
        ("g", after) => EntryKind::Gap(Gap {
            origin,
            commitment: None,
            after: after.strip_prefix("ap:").map(sequence),
            next: None,
            since: None,
            until: None,
            cause: GapCause::Trimmed,
            loss: Loss::Possible,
        }),
        ("b", text) => batch(shard, &text[1..]),
        ("l", _) => EntryKind::Lifecycle {
            time,
            what: String::new(),
            detail: String::new(),
        },
        _ => panic!("{word}"),
    };
    Entry {
        ledger: LedgerName::parse("main").unwrap(),
        kind,
    }
}

fn taken(begins_at_zero: bool, words: &str) -> (Accounts, Vec<Unaccounted>) {
    let mut accounts = Accounts::new(begins_at_zero);
    let findings = (0..)
        .zip(words.split_whitespace())
        .flat_map(|(position, word)| accounts.take(position, &entry(word)))
        .collect();
    (accounts, findings)
}

#[track_caller]
fn fits(begins_at_zero: bool, words: &str) {
    assert_eq!(taken(begins_at_zero, words).1, [], "{words}");
}

/// Exactly one finding, at that position, with this in its message.
#[track_caller]
fn breaks(begins_at_zero: bool, words: &str, position: u64, message: &str) {
    let (_, findings) = taken(begins_at_zero, words);
    let [finding] = &findings[..] else {
        panic!("{words}: {findings:?}")
    };
    let text = finding.to_string();
    assert!(
        finding.position == position && text.contains(message),
        "{words}: {text}"
    );
}

#[test]
fn a_shard_that_was_read_from_start_to_end_fits() {
    fits(
        true,
        "c1 u2 b:start:1-2:2/2/1 c5 b:2:3-5:3/1/0 l b:5:6-7:2/0/0 b:7::0/0/0 c9 b:7:9-9:1/1/0!",
    );
    fits(true, "c1 other/c1 b:start:1-1:1/1/0 other/b:start:1-1:1/1/0 c2");
    fits(true, "b:start::0/0/0 b:start::0/0/0 c1 b:start:1-1:1/1/0");
}

#[test]
fn a_shard_with_gaps_fits_where_the_gaps_are_told() {
    fits(true, "gap c5 b:gap:5-5:1/1/0 gap:5 c9 b:gap:9-9:1/1/0 b:9::0/0/0!");
    fits(true, "gap b:gap::0/0/0 b:gap::0/0/0 c1 b:gap:1-1:1/1/0");
    fits(true, "c1 b:start:1-3:3/1/0 gap:3 gap:3 c9 b:gap:9-9:1/1/0");
    fits(true, "c1 b:start:1-1:1/1/0 c2 gap:2 c9 b:gap:2-9:3/2/0");
    fits(false, "gap:4 c9");
    fits(false, "b:4::0/0/0 gap:4");
}

#[test]
fn a_range_that_begins_in_the_middle_fits() {
    fits(false, "c3 b:1:2-3:2/2/0 c4 b:3:4-4:1/1/0");
    fits(false, "c3 b:gap:2-3:9/9/9");
    fits(false, "gap c3 b:1:2-3:2/2/0");
    fits(false, "c3 c4");
    breaks(false, "c2 c3 b:1:2-3:2/1/0", 2, "1 records were recorded, but 2");
    breaks(
        false,
        "c3 b:1:2-3:2/2/0 c4 b:3:4-4:2/2/0",
        3,
        "2 records were recorded, but 1",
    );
}

#[test]
fn numbers_compare_as_numbers_and_only_within_their_shard() {
    fits(true, "c9 c10 other/c3 b:start:09-0010:2/2/0 c11 b:10:11-11:1/1/0");
    breaks(true, "c10 c9", 1, "9 is not above 10");
    breaks(true, "c10 u010", 1, "010 is not above 10");
    breaks(true, "c10 c10", 1, "10 is not above 10");
    breaks(true, "c9 b:start:9-9:1/1/0 gap:9 c8", 3, "8 is not above 9");
}

#[test]
fn a_gap_begins_where_the_records_end() {
    breaks(true, "c1 c2 gap:1", 2, "behind 1, but the shard was recorded up to 2");
    breaks(true, "c1 gap:2", 1, "up to 1");
    breaks(true, "c1 b:start:1-5:2/1/0 gap:1", 2, "up to 5");
    breaks(false, "b:4::0/0/0 gap:5", 1, "up to 4");
    fits(true, "c1 b:start:1-5:2/1/0 c6 gap:6");
    fits(true, "c1 gap");
    fits(true, "gap:7");
}

#[test]
fn the_first_batch_of_a_ledger_begins_at_the_start_or_behind_a_gap() {
    breaks(
        true,
        "c2 b:1:2-2:1/1/0",
        1,
        "begins behind 1, but the shard goes on at the shard's start",
    );
    breaks(true, "c2 b:gap:2-2:1/1/0", 1, "begins behind a gap");
    breaks(true, "gap c2 b:start:2-2:1/1/0", 2, "goes on behind a gap");
    breaks(true, "other/gap c2 b:gap:2-2:1/1/0", 2, "begins behind a gap");
}

#[test]
fn a_batch_continues_the_one_before_it() {
    let missing = "the batch begins behind 5, but the shard goes on behind 2 (batch at position 1): what lies between";
    breaks(true, "c1 b:start:1-2:2/1/0 c6 b:5:6-6:1/1/0", 3, missing);
    breaks(
        true,
        "c1 b:start:1-1:1/1/0 c2 b:start:2-2:1/1/0",
        3,
        "begins at the shard's start",
    );
    breaks(
        true,
        "c1 b:start:1-1:1/1/0 c2 b:gap:2-2:1/1/0",
        3,
        "begins behind a gap",
    );
    breaks(
        true,
        "c1 b:start:1-1:1/1/0 gap:1 c3 b:1:3-3:1/1/0",
        4,
        "goes on behind a gap",
    );
    breaks(
        true,
        "c1 b:start:1-1:1/1/0 gap:1 b:gap::0/0/0 c3 b:1:3-3:1/1/0",
        5,
        "goes on behind a gap",
    );
    breaks(false, "b:1:2-2:1/1/0 b:3::0/0/0", 1, "goes on behind 2");
}

#[test]
fn a_batch_counts_what_stands_before_it() {
    breaks(
        true,
        "c1 b:start:1-2:2/2/0",
        1,
        "2 records were recorded, but 1 entries",
    );
    breaks(
        true,
        "c1 c2 b:start:1-2:2/1/0",
        2,
        "1 records were recorded, but 2 entries",
    );
    breaks(true, "b:start:1-2:2/1/0", 0, "1 records were recorded, but 0 entries");
    breaks(true, "c1 c2 b:start:1-2:1/2/0", 2, "of 1 records 2");
    breaks(true, "c1 b:start:1-1:1/1/2", 1, "2 of those redacted");
}

#[test]
fn the_range_of_a_batch_holds_its_entries_and_lies_behind_the_one_before_it() {
    breaks(true, "b:start::3/0/0", 0, "3 records came");
    breaks(true, "b:start:5-4:1/0/0", 0, "from 5 to 4");
    breaks(true, "c1 b:start:1-3:3/1/0 b:3:3-4:1/0/0", 2, "behind 3 and with 3");
    breaks(true, "c1 c3 b:start:2-3:2/2/0", 2, "from position 0 on, from 1 to 3");
    breaks(true, "c1 c3 b:start:1-2:2/2/0", 2, "from 1 to 3");
    breaks(false, "b:7:7-9:2/0/0", 0, "behind 7 and with 7");
}

#[test]
fn nothing_of_a_shard_stands_behind_its_end() {
    for word in ["c2", "u2", "gap", "b:1::0/0/0"] {
        breaks(true, &format!("c1 b:start:1-1:1/1/0! {word}"), 2, "had ended");
    }
    fits(true, "c1 b:start:1-1:1/1/0! other/c1 l");
}

#[test]
fn it_tells_where_a_shard_stands() {
    let (accounts, _) = taken(true, "c1 b:start:1-5:3/1/0 c6 gap:6 other/c1 other/b:start:1-1:1/1/0!");
    let shard = accounts.shard(&origin("s")).unwrap();
    assert_eq!(shard.last_sequence(), Some(&sequence("6")));
    assert_eq!(shard.last_batch_end(), Some(&BatchAfter::Record(sequence("5"))));
    assert!(shard.has_gap_since() && !shard.has_ended());
    assert_eq!((shard.waiting(), accounts.waiting()), (1, 1));
    assert!(accounts.shard(&origin("other")).unwrap().has_ended());
    assert_eq!(accounts.shards().count(), 2);
    let (accounts, _) = taken(true, "c1 b:start:1-5:3/1/0");
    assert_eq!(
        accounts.shard(&origin("s")).unwrap().last_sequence(),
        Some(&sequence("5"))
    );
}

#[test]
fn what_was_withheld_is_accounted_for_then_and_told_once_however_late() {
    fits(true, "c1 w2 c3 b:start:1-3:3/3/0! a2");
    fits(true, "w2 a2 b:start:2-2:1/1/0");
    fits(false, "a2 b:9:10-10:1/0/0");
    breaks(
        true,
        "c1 a1 b:start:1-1:1/1/0",
        1,
        "the amendment is of 1, which was not withheld",
    );
    breaks(
        true,
        "w1 b:start:1-1:1/1/0 a1 a1",
        3,
        "the amendment is of 1, which was not withheld",
    );
    breaks(true, "w1 b:start:1-1:1/0/0", 1, "0 records were recorded");
}
