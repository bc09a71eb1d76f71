//! For every check a change that it alone finds: whoever made it could sign, and made every hash again.

use weir_evidence::{Checkpoint, Disclosure, DisclosureError, Doubt, Member, Note, Tampering, Verdict};

use crate::fixture::*;

/// Verifies to exactly one finding.
#[track_caller]
fn finds(archive: &Archive, is_it: impl Fn(&Tampering) -> bool) {
    let report = verify(&archive.to_bytes());
    let [finding] = report.findings() else {
        panic!("{:#?}", report.findings())
    };
    assert!(is_it(finding), "{finding:?}");
    assert!(!finding.to_string().is_empty());
    assert_eq!(report.verdict().exit_code(), 1);
}

/// Verifies to no finding, and one reason why it cannot tell.
#[track_caller]
fn doubts(bundle: &[u8], is_it: impl Fn(&Doubt) -> bool) {
    let report = verify(bundle);
    assert_eq!(report.findings(), []);
    let [doubt] = report.doubts() else {
        panic!("{:#?}", report.doubts())
    };
    assert!(is_it(doubt), "{doubt:?}");
    assert_eq!(report.verdict(), Verdict::CannotTell);
}

#[test]
fn what_is_no_bundle_of_this_version_cannot_be_told_and_what_should_be_one_is_tampered() {
    let bundle = Draft::of_history().seal().to_bytes();
    doubts(b"", |doubt| *doubt == Doubt::Empty);
    let mut other = bundle.clone();
    other[..26].copy_from_slice(b"weir-bundle-v2/bundle.json");
    let sum = u32::from_str_radix(std::str::from_utf8(&bundle[148..154]).unwrap(), 8).unwrap();
    other[148..154].copy_from_slice(format!("{:06o}", sum + 1).as_bytes());
    doubts(
        &other,
        |doubt| matches!(doubt, Doubt::OtherArchive { name } if name == "weir-bundle-v2/bundle.json"),
    );
    for wrong in [
        &bundle[1..],
        &bundle[..bundle.len() - 1],
        &bundle[..512],
        &bundle[..100],
        b"x",
    ] {
        assert_eq!(verify(wrong).verdict(), Verdict::Tampered);
    }
}

#[test]
fn bundle_json_says_exactly_what_it_has_to() {
    let archive = Draft::of_history().seal();
    for (from, to) in [
        ("\"to\":16", "\"to\":16,\"when\":1"),
        ("\"to\":16", "\"to\": 16"),
        ("\"from\":0", "\"from\":17"),
        ("\"name\":\"proof.json\"", "\"name\":\"prove.json\""),
    ] {
        finds(&archive.clone().edit(BUNDLE, from, to), |finding| {
            *finding == Tampering::Manifest
        });
    }
}

#[test]
fn sizes_and_hashes_of_the_members_are_compared() {
    let archive = Draft::of_history().seal();
    let size = archive.contents[PROOF].len();
    let other_size = archive.clone().edit(
        BUNDLE,
        &format!("\"bytes\":{size},\"name\":\"proof"),
        "\"bytes\":7,\"name\":\"proof",
    );
    finds(&other_size, |finding| {
        matches!(
            finding,
            Tampering::MemberSize {
                member: Member::Proof,
                expected: 7,
                ..
            }
        )
    });
    // A second signature, of nobody known, changes nothing but the hash.
    let mut signed_more = archive.clone();
    signed_more.contents[CHECKPOINT].extend_from_slice("— nobody AAAAAAAA\n".as_bytes());
    let size = |archive: &Archive| format!("\"bytes\":{},\"name\":\"checkpoint", archive.contents[CHECKPOINT].len());
    let other_hash = signed_more.clone().edit(BUNDLE, &size(&archive), &size(&signed_more));
    finds(&other_hash, |finding| {
        *finding
            == Tampering::MemberHash {
                member: Member::Checkpoint,
            }
    });
    signed_more.rehash();
    assert_eq!(code(&signed_more.to_bytes()), 0);
}

#[test]
fn the_checkpoint_is_one_and_its_signatures_are_good() {
    let draft = Draft::of_history();
    let is_checkpoint = |finding: &Tampering| matches!(finding, Tampering::Checkpoint(_));
    let signed = |text: &str| {
        let mut archive = draft.seal();
        archive.contents[CHECKPOINT] = Note::sign(text.to_owned(), &[key()]).unwrap().to_string().into_bytes();
        archive.rehash();
        archive
    };
    finds(&signed("log.example/main\n016\nAAAA\n"), is_checkpoint);
    finds(&draft.seal().edit(CHECKPOINT, "\n16\n", "\n17\n"), is_checkpoint);
    finds(&draft.seal().edit(CHECKPOINT, "\n— ", "\n- "), is_checkpoint);
}

#[test]
fn a_checkpoint_of_somebody_else_cannot_be_told() {
    let mut draft = Draft::of_history();
    let head = checkpoint(&draft.leaves()).checkpoint().clone();
    let mut archive = draft.seal();
    for other in [
        Checkpoint {
            origin: "log.example/other".to_owned(),
            ..head.clone()
        }
        .sign(&[key()]),
        head.sign(&[weir_evidence::SigningKey::new("log.example/main".to_owned(), &[2; 32]).unwrap()]),
    ] {
        archive.contents[CHECKPOINT] = other.unwrap().to_string().into_bytes();
        archive.rehash();
        doubts(&archive.to_bytes(), |doubt| matches!(doubt, Doubt::Untrusted(_)));
    }
    // What is wrong inside is found all the same.
    draft.disclosures[4] = "{\"attributes\":[]}".to_owned();
    let mut tampered = draft.seal();
    tampered.contents[CHECKPOINT] = archive.contents[CHECKPOINT].clone();
    tampered.rehash();
    assert_eq!(verify(&tampered.to_bytes()).verdict(), Verdict::Tampered);
}

#[test]
fn the_range_ends_within_the_ledger() {
    let history = history();
    let draft = Draft::of(&history, 3..16);
    let mut archive = draft.seal();
    archive.contents[CHECKPOINT] = checkpoint(&draft.leaves()[..12]).to_string().into_bytes();
    archive.rehash();
    let report = verify(&archive.to_bytes());
    assert_eq!(
        report.findings(),
        [Tampering::Beyond { size: 12, to: 16 }, Tampering::Root]
    );
}

#[test]
fn every_position_has_its_line() {
    let mut draft = Draft::of_history();
    draft.disclosures.push("{}".to_owned());
    finds(&draft.seal(), |finding| {
        matches!(
            finding,
            Tampering::Lines {
                member: Member::Disclosures,
                actual: 17,
                expected: 16
            }
        )
    });
    let archive = Draft::of_history().seal().edit(BUNDLE, "\"to\":16", "\"to\":15");
    let report = verify(&archive.to_bytes());
    assert!(matches!(
        report.findings(),
        [Tampering::Lines { .. }, Tampering::Lines { .. }]
    ));
    let mut unfinished = Draft::of_history().seal();
    unfinished.contents[ENTRIES].pop();
    unfinished.rehash();
    finds(&unfinished, |finding| {
        matches!(
            finding,
            Tampering::Lines {
                member: Member::Entries,
                actual: 15,
                ..
            }
        )
    });
    let huge = Draft::of_history()
        .seal()
        .edit(BUNDLE, "\"to\":16", "\"to\":9007199254740991");
    assert_eq!(verify(&huge.to_bytes()).verdict(), Verdict::Tampered);
}

#[test]
fn every_entry_can_be_read_and_is_of_the_ledger() {
    let draft = Draft::of_history();
    let unreadable = draft
        .clone()
        .edit(1, "\"assurance\":\"claimed\"", "\"assurance\":\"certain\"");
    finds(&unreadable.seal(), |finding| {
        matches!(finding, Tampering::Entry { position: 1, .. })
    });
    let not_canonical = draft.clone().edit(0, "\"v\":1", "\"v\": 1");
    finds(&not_canonical.seal(), |finding| {
        matches!(finding, Tampering::Entry { position: 0, .. })
    });
    let elsewhere = draft.edit(2, "\"ledger\":\"main\"", "\"ledger\":\"other\"");
    finds(
        &elsewhere.seal(),
        |finding| matches!(finding, Tampering::Ledger { position: 2, ledger } if ledger == "other"),
    );
}

#[test]
fn an_entry_of_another_version_cannot_be_told_and_hides_nothing_else() {
    let newer = Draft::of_history().edit(0, "\"v\":1", "\"v\":2");
    doubts(&newer.seal().to_bytes(), |doubt| {
        *doubt
            == Doubt::OtherVersion {
                position: 0,
                entries: 1,
            }
    });
    let unknown_kind = Draft::of_history().edit(0, "\"kind\":\"lifecycle\"", "\"kind\":\"tidings\"");
    doubts(&unknown_kind.seal().to_bytes(), |doubt| {
        matches!(doubt, Doubt::OtherVersion { .. })
    });
    // Accounts and rows are not looked at any more, disclosures are.
    let newer = newer.edit(4, "\"read\":2", "\"read\":1");
    doubts(&newer.seal().to_bytes(), |doubt| {
        matches!(doubt, Doubt::OtherVersion { .. })
    });
    let mut tampered = newer;
    tampered.disclosures[4] = "{\"attributes\":[]}".to_owned();
    finds(&tampered.seal(), |finding| {
        matches!(finding, Tampering::Disclosure { position: 4, .. })
    });
}

#[test]
fn the_proof_has_its_form_and_makes_the_root() {
    let archive = Draft::of(&history(), 3..9).seal();
    finds(
        &archive.clone().edit(PROOF, "\"hashes\":[", "\"hashes\": ["),
        |finding| *finding == Tampering::Proof,
    );
    finds(
        &archive
            .clone()
            .edit(PROOF, "}", ",\"until\":{\"hashes\":[],\"size\":1}}"),
        |finding| *finding == Tampering::Proof,
    );
    let hash = "00".repeat(32);
    finds(
        &archive.clone().edit(PROOF, "[\"", &format!("[\"{hash}\",\"")),
        |finding| *finding == Tampering::Root,
    );
    finds(
        &archive.clone().edit(PROOF, "\"]", &format!("\",\"{hash}\"]")),
        |finding| *finding == Tampering::Root,
    );
    finds(
        &archive
            .clone()
            .edit(PROOF, "\",\"", "\"],\"since\":{\"hashes\":[\"")
            .edit(PROOF, "\"]}", "\"],\"size\":1}}"),
        |finding| *finding == Tampering::Root,
    );
    // The same entries at other positions.
    let moved = archive
        .edit(BUNDLE, "\"from\":3", "\"from\":2")
        .edit(BUNDLE, "\"to\":9", "\"to\":8");
    finds(&moved, |finding| *finding == Tampering::Root);
}

#[test]
fn entries_that_were_never_signed_are_found() {
    let draft = Draft::of_history();
    let signed = draft.seal().contents[CHECKPOINT].clone();
    let mut swapped = draft.clone();
    swapped.entries.swap(12, 13);
    for other in [swapped, draft.edit(0, "ledger\\n", "ledger")] {
        let mut archive = other.seal();
        archive.contents[CHECKPOINT] = signed.clone();
        archive.rehash();
        finds(&archive, |finding| *finding == Tampering::Root);
    }
}

#[test]
fn disclosures_are_what_the_entries_commit_to() {
    use DisclosureError::{Commitment, Malformed, NoBody, Path, PathOrder, Value};
    let draft = Draft::of_history();
    let shown_twice = {
        let first = draft.disclosures[1].find("{\"path\":\"/keys").unwrap();
        let end = draft.disclosures[1].find(",{\"path\":\"/new").unwrap();
        let twice = draft.disclosures[1][first..end].to_owned();
        draft.disclosures[1].replacen(&twice, &format!("{twice},{twice}"), 1)
    };
    for (position, disclosure, expected) in [
        (1, draft.disclosures[1].replace("maria", "jonas"), Commitment),
        (1, draft.disclosures[9].clone(), Commitment),
        (
            1,
            draft.disclosures[1].replace("/new/status", "/old/status"),
            Commitment,
        ),
        (
            1,
            draft.disclosures[1].replace("/new/status", "/now/status"),
            Path { number: 5 },
        ),
        (
            1,
            draft.disclosures[1].replace("/new/status", "/new/a"),
            PathOrder { number: 5 },
        ),
        (1, shown_twice, PathOrder { number: 3 }),
        (
            1,
            draft.disclosures[1].replace("\\\"maria\\\"", "maria"),
            Value { number: 1 },
        ),
        (
            1,
            draft.disclosures[1].replace("\\\"S\\\":\\\"1\\\"", "\\\"S\\\": \\\"1\\\""),
            Value { number: 2 },
        ),
        (1, draft.disclosures[1].replace(":[", ": ["), Malformed),
        (1, String::new(), Malformed),
        (7, "{\"attributes\":[]}".to_owned(), Commitment),
        (4, "{\"attributes\":[]}".to_owned(), NoBody),
        (8, draft.disclosures[9].clone(), NoBody),
    ] {
        let mut tampered = draft.clone();
        tampered.disclosures[position] = disclosure;
        let position = position as u64;
        finds(&tampered.seal(), |finding| {
            *finding
                == Tampering::Disclosure {
                    position,
                    error: expected,
                }
        });
    }
}

#[test]
fn a_body_of_another_entry_is_not_shown_as_this_ones() {
    let mut draft = Draft::of_history();
    draft.disclosures.swap(1, 2);
    let report = verify(&draft.seal().to_bytes());
    let at = |position| Tampering::Disclosure {
        position,
        error: DisclosureError::Commitment,
    };
    assert_eq!(report.findings(), [at(1), at(2)]);
}

#[test]
fn rows_say_what_the_entries_say() {
    let archive = Draft::of_history().seal();
    for (member, edited, from, to, position) in [
        (Member::RowsJson, ROWS_JSON, "maria", "jonas", 1),
        (Member::RowsJson, ROWS_JSON, "\"position\":15", "\"position\":16", 15),
        (Member::RowsJson, ROWS_JSON, "{\"assurance\"", " {\"assurance\"", 7),
        (Member::RowsCsv, ROWS_CSV, "maria", "jonas", 1),
        (Member::RowsCsv, ROWS_CSV, "\"position\"", "\"place\"", 0),
        (Member::RowsCsv, ROWS_CSV, "\r\n", "\n", 0),
    ] {
        finds(&archive.clone().edit(edited, from, to), |finding| {
            *finding == Tampering::Rows { member, position }
        });
    }
    for (member, edited) in [(Member::RowsJson, ROWS_JSON), (Member::RowsCsv, ROWS_CSV)] {
        let mut more = archive.clone();
        more.contents[edited].extend_from_slice(b"\n");
        more.rehash();
        finds(&more, |finding| *finding == Tampering::RowsBesides { member });
        let mut less = archive.clone();
        less.contents[edited].pop();
        less.rehash();
        finds(&less, |finding| *finding == Tampering::Rows { member, position: 15 });
    }
}

#[test]
fn records_that_a_batch_counts_are_there() {
    let unaccounted = |position| move |finding: &Tampering| matches!(finding, Tampering::Unaccounted(what) if what.position == position);
    let draft = Draft::of_history();
    let recounted = draft
        .clone()
        .edit(4, "\"recorded\":2", "\"recorded\":1")
        .with_its_rows();
    finds(&recounted.seal(), unaccounted(4));
    let rechained = draft
        .clone()
        .edit(11, "\"after\":\"101\"", "\"after\":\"100\"")
        .with_its_rows();
    finds(&rechained.seal(), unaccounted(11));
    // A change that was left out, and everything signed again.
    let mut without = draft.clone();
    for lines in [&mut without.entries, &mut without.disclosures] {
        lines.remove(7);
    }
    finds(&without.with_its_rows().seal(), unaccounted(10));
    // A batch that was left out.
    let mut without = draft;
    for lines in [&mut without.entries, &mut without.disclosures] {
        lines.remove(4);
    }
    let report = verify(&without.with_its_rows().seal().to_bytes());
    assert!(
        report
            .findings()
            .iter()
            .all(|finding| matches!(finding, Tampering::Unaccounted(_)))
    );
    assert_eq!(report.verdict(), Verdict::Tampered);
}

#[test]
fn findings_name_where_they_are() {
    let draft = Draft::of_history()
        .edit(11, "\"after\":\"101\"", "\"after\":\"100\"")
        .with_its_rows();
    let report = verify(&draft.seal().to_bytes());
    assert_eq!(
        report.findings()[0].to_string(),
        "position 11, shard a of stream arn:aws:dynamodb:us-east-1:0:table/orders/stream/1: the batch begins behind 100, \
         but the shard goes on behind 101 (batch at position 4): what lies between is missing"
    );
    assert!(Disclosure::parse(&draft.disclosures[1]).is_ok());
}
