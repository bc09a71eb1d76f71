//! The numbered checks of `formats/bundle.md`, "To verify", each with a change that no other check notices: none of them
//! can be left out. `tampered.rs` has more of them, check by check.

use std::collections::BTreeSet;

use weir_evidence::{Doubt, Note, SigningKey, Tampering, verify_bundle};

use crate::fixture::*;

/// The number of the check that has this finding.
fn number(finding: &Tampering) -> u8 {
    match finding {
        Tampering::Form { .. } => 1,
        Tampering::Manifest => 2,
        Tampering::MemberSize { .. } | Tampering::MemberHash { .. } => 3,
        Tampering::Checkpoint(_) => 4,
        Tampering::Beyond { .. } => 6,
        Tampering::Lines { .. } | Tampering::Entry { .. } | Tampering::Ledger { .. } => 7,
        Tampering::Proof | Tampering::Root => 8,
        Tampering::Disclosure { .. } => 9,
        Tampering::Rows { .. } | Tampering::RowsBesides { .. } => 10,
        Tampering::Unaccounted(_) => 11,
        Tampering::Since(_) | Tampering::Shrunk { .. } | Tampering::Rewritten { .. } => 12,
        Tampering::TlogProof { .. } => panic!("a bundle is no proof"),
    }
}

/// Somebody's change: of the file, and perhaps of the checkpoint that the auditor held.
type Change = (&'static str, Vec<u8>, Option<Vec<u8>>);

fn edited(member: usize, from: &str, to: &str) -> Vec<u8> {
    Draft::of_history().seal().edit(member, from, to).to_bytes()
}

/// The change, and the numbers of the checks that notice it.
fn table() -> Vec<(&'static [u8], Change)> {
    let draft = Draft::of_history();
    let archive = draft.seal();
    let good = archive.to_bytes();
    let changed = |change: &dyn Fn(&mut Draft)| {
        let mut draft = Draft::of_history();
        change(&mut draft);
        draft
    };
    let without_rehash = {
        let mut archive = archive.clone();
        archive.contents[CHECKPOINT].extend_from_slice("— nobody AAAAAAAA\n".as_bytes());
        archive.to_bytes()
    };
    let signed_by_another = {
        let mut archive = archive.clone();
        let text = checkpoint(&draft.leaves()).note().text().to_owned();
        let key = SigningKey::new("log.example/main".to_owned(), &[2; 32]).unwrap();
        archive.contents[CHECKPOINT] = Note::sign(text, &[key]).unwrap().to_string().into_bytes();
        archive.rehash();
        archive.to_bytes()
    };
    let too_small = {
        let mut archive = archive.clone();
        archive.contents[CHECKPOINT] = checkpoint(&draft.leaves()[..9]).to_string().into_bytes();
        archive.rehash();
        archive.to_bytes()
    };
    let swapped = {
        let mut archive = changed(&|draft| draft.entries.swap(12, 13)).seal();
        archive.contents[CHECKPOINT] = checkpoint(&draft.leaves()).to_string().into_bytes();
        archive.rehash();
        archive.to_bytes()
    };
    let since = |leaves: &[[u8; 32]]| Some(checkpoint(leaves).to_string().into_bytes());
    let unaccounted = |index, from, to| {
        Draft::of_history()
            .edit(index, from, to)
            .with_its_rows()
            .seal()
            .to_bytes()
    };
    vec![
        (&[1], ("a byte behind the end", [&good[..], &[0]].concat(), None)),
        (
            &[2],
            (
                "a member too many",
                edited(BUNDLE, "\"to\":16", "\"to\":16,\"when\":1"),
                None,
            ),
        ),
        (&[3], ("a signature added, hashes as before", without_rehash, None)),
        (
            &[4],
            (
                "another size, signed for before",
                edited(CHECKPOINT, "\n16\n", "\n17\n"),
                None,
            ),
        ),
        (&[5], ("the key of somebody else", signed_by_another, None)),
        // Never alone: a tree that is too small has no root over the range either. It says better what is wrong.
        (&[6, 8], ("a checkpoint of before the range", too_small, None)),
        (
            &[7],
            (
                "an assurance that there is not",
                draft.clone().edit(1, "\"claimed\"", "\"certain\"").seal().to_bytes(),
                None,
            ),
        ),
        (
            &[7],
            (
                "a line too few",
                changed(&|draft| drop(draft.disclosures.pop())).seal().to_bytes(),
                None,
            ),
        ),
        (
            &[7],
            (
                "an entry of another ledger",
                draft
                    .clone()
                    .edit(2, "\"ledger\":\"main\"", "\"ledger\":\"other\"")
                    .seal()
                    .to_bytes(),
                None,
            ),
        ),
        (
            &[8],
            ("two entries exchanged that were signed otherwise", swapped, None),
        ),
        (
            &[8],
            (
                "a proof in another form",
                edited(PROOF, "\"hashes\":[", "\"hashes\": ["),
                None,
            ),
        ),
        (
            &[9],
            (
                "another actor shown",
                changed(&|draft| draft.disclosures[1] = draft.disclosures[1].replace("maria", "jonas"))
                    .seal()
                    .to_bytes(),
                None,
            ),
        ),
        (
            &[10],
            ("another actor in a row", edited(ROWS_JSON, "maria", "jonas"), None),
        ),
        (
            &[10],
            ("another actor in the table", edited(ROWS_CSV, "maria", "jonas"), None),
        ),
        (
            &[11],
            (
                "fewer recorded than there are",
                unaccounted(4, "\"recorded\":2", "\"recorded\":1"),
                None,
            ),
        ),
        (
            &[11],
            (
                "a link that is missing",
                unaccounted(11, "\"after\":\"101\"", "\"after\":\"100\""),
                None,
            ),
        ),
        (
            &[12],
            ("a ledger that was written anew", good.clone(), since(&[[1; 32]; 16])),
        ),
        (
            &[12],
            ("a ledger that was cut off", good.clone(), since(&[[1; 32]; 17])),
        ),
        (&[12], ("a note that is no checkpoint", good, Some(b"note\n".to_vec()))),
    ]
}

#[test]
fn every_check_has_a_change_that_no_other_check_notices() {
    let mut alone = BTreeSet::new();
    for (expected, (what, bundle, since)) in table() {
        let report = verify_bundle(&bundle, &policy(), since.as_deref());
        let found = report.findings().iter().map(number);
        let doubted = report.doubts().iter().map(|doubt| match doubt {
            Doubt::Untrusted(_) => 5,
            doubt => panic!("{what}: {doubt:?}"),
        });
        let noticed: BTreeSet<u8> = found.chain(doubted).collect();
        assert_eq!(
            noticed,
            expected.iter().copied().collect(),
            "{what}: {:?}",
            report.findings()
        );
        alone.extend(noticed.first().filter(|_| noticed.len() == 1));
    }
    let all_but_the_sixth: BTreeSet<u8> = (1..=12).filter(|number| *number != 6).collect();
    assert_eq!(alone, all_but_the_sixth);
}
