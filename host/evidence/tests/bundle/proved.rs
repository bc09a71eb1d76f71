use proptest::prelude::*;
use weir_evidence::{Cosigner, Policy, Remark, Verdict, verify_bundle, verify_bundle_with_progress};

use crate::fixture::*;

#[test]
fn an_untouched_ledger_proves_and_the_report_says_what_was_checked() {
    let history = history();
    let report = verify(&written(&history, 0..history.len()));
    assert_eq!((report.findings(), report.doubts()), (&[][..], &[][..]));
    assert_eq!(report.verdict(), Verdict::Proved);
    assert_eq!(
        (report.ledger(), report.from(), report.entries()),
        (Some("main"), 0, 16)
    );
    assert_eq!(report.checkpoint().unwrap().size, 16);
    let gaps = Remark::Gaps {
        gaps: 2,
        certain: 1,
        position: 8,
    };
    assert_eq!(report.remarks(), [gaps, Remark::Waiting { entries: 1 }]);
}

#[test]
fn the_writer_makes_the_one_form_that_the_page_describes() {
    let history = history();
    for range in [0..16, 3..4, 5..16] {
        let bundle = written(&history, range.clone());
        assert_eq!(Archive::parse(&bundle).to_bytes(), bundle);
        assert_eq!(Draft::of(&history, range).seal().to_bytes(), bundle);
    }
}

#[test]
fn every_range_of_the_ledger_proves() {
    let history = history();
    for from in 0..history.len() {
        for to in from + 1..=history.len() {
            assert_eq!(verify(&written(&history, from..to)).findings(), [], "{from} to {to}");
        }
    }
}

#[test]
fn an_empty_range_proves_nothing() {
    let mut empty = Draft::of_history();
    empty.before = empty.leaves();
    empty.entries.clear();
    let report = verify(&empty.seal().to_bytes());
    assert_eq!((report.verdict(), report.findings()), (Verdict::CannotTell, &[][..]));
}

#[test]
fn a_quorum_of_witnesses_is_asked_for_and_found_on_the_checkpoint() {
    let witness = |seed| Cosigner::new(format!("w{seed}.example"), &[seed; 32]).unwrap();
    let vkey = |seed| witness(seed).verifier_key();
    let log = key().verifier_key();
    let text = format!(
        "log {log}\nwitness A {}\nwitness B {}\ngroup both all A B\nquorum both\n",
        vkey(2),
        vkey(3)
    );
    let policy = Policy::parse(text.as_bytes()).unwrap();
    let draft = Draft::of_history();
    let mut checkpoint = checkpoint(&draft.leaves());
    for (seed, verdict) in [(2, Verdict::CannotTell), (4, Verdict::CannotTell), (3, Verdict::Proved)] {
        let line = witness(seed).cosign(checkpoint.note().text(), 1_772_366_400);
        checkpoint.add_signature_lines(&format!("{line}\n")).unwrap();
        let mut archive = draft.seal();
        archive.contents[CHECKPOINT] = checkpoint.to_string().into_bytes();
        archive.rehash();
        assert_eq!(verify_bundle(&archive.to_bytes(), &policy, None).verdict(), verdict);
    }
}

#[test]
fn progress_is_told_from_nothing_to_all() {
    let mut told = Vec::new();
    let history = history();
    let bundle = written(&history, 2..9);
    let _ = verify_bundle_with_progress(&bundle, &policy(), None, &mut |done, of| told.push((done, of)));
    assert_eq!(told, [(0, 7), (7, 7)]);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn any_range_of_any_tree_proves(size in 1_usize..300, from in 0_usize..300, length in 1_usize..300) {
        let from = from % size;
        let to = (from + length).min(size);
        let lifecycle = &history()[0];
        let records: Vec<Record> = (0..size)
            .map(|index| Record {
                entry: lifecycle.entry.replace("created", &format!("created {index}")),
                disclosure: lifecycle.disclosure.clone(),
            })
            .collect();
        let report = verify(&written(&records, from..to));
        prop_assert_eq!(report.findings(), []);
        prop_assert_eq!(report.verdict(), Verdict::Proved);
    }
}
