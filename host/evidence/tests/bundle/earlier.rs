use proptest::prelude::*;
use weir_evidence::{
    Checkpoint, Doubt, Hash, Report, SignedCheckpoint, SigningKey, Tampering, Verdict, consistency_ranges,
    verify_bundle,
};

use crate::fixture::*;

fn since_member(leaves: &[Hash], size: usize) -> String {
    let ranges = consistency_ranges(size as u64, leaves.len() as u64);
    let hashes: Vec<String> = roots(leaves, &ranges)
        .iter()
        .map(|hash| format!("\"{}\"", hex::encode(hash)))
        .collect();
    format!(",\"since\":{{\"hashes\":[{}],\"size\":{size}}}", hashes.join(","))
}

/// Verifies the history, made for an auditor who holds the checkpoint of `proof_size`, against `since`.
fn against(proof_size: Option<usize>, since: &SignedCheckpoint) -> Report {
    let mut draft = Draft::of_history();
    if let Some(size) = proof_size {
        draft.since = since_member(&draft.leaves(), size);
    }
    verify_bundle(&draft.seal().to_bytes(), &policy(), Some(since.to_string().as_bytes()))
}

fn at(size: usize) -> SignedCheckpoint {
    checkpoint(&Draft::of_history().leaves()[..size])
}

fn signed(change: impl FnOnce(&mut Checkpoint), key: &SigningKey) -> SignedCheckpoint {
    let mut checkpoint = at(7).checkpoint().clone();
    change(&mut checkpoint);
    checkpoint.sign(std::slice::from_ref(key)).unwrap()
}

#[test]
fn every_earlier_checkpoint_is_continued() {
    for size in 1..16 {
        assert_eq!(against(Some(size), &at(size)).verdict(), Verdict::Proved, "{size}");
    }
    assert_eq!(against(None, &at(16)).verdict(), Verdict::Proved);
    assert_eq!(against(None, &at(0)).verdict(), Verdict::Proved);
    assert_eq!(against(Some(3), &at(16)).verdict(), Verdict::Proved);
}

#[test]
fn a_ledger_that_was_written_anew_is_found() {
    for size in [7, 16] {
        let other_root = signed(
            |checkpoint| (checkpoint.size, checkpoint.root) = (size, [1; 32]),
            &key(),
        );
        assert_eq!(
            against(Some(7), &other_root).findings(),
            [Tampering::Rewritten { since: size }]
        );
    }
    let not_empty = signed(|checkpoint| (checkpoint.size, checkpoint.root) = (0, [1; 32]), &key());
    assert_eq!(
        against(None, &not_empty).findings(),
        [Tampering::Rewritten { since: 0 }]
    );
}

#[test]
fn a_ledger_that_was_cut_off_is_found() {
    let longer = signed(|checkpoint| checkpoint.size = 17, &key());
    assert_eq!(
        against(Some(7), &longer).findings(),
        [Tampering::Shrunk { since: 17, size: 16 }]
    );
}

#[test]
fn without_the_right_proof_it_cannot_be_told() {
    for proof_size in [None, Some(6)] {
        let report = against(proof_size, &at(7));
        assert_eq!(
            (report.findings(), report.doubts()),
            (&[][..], &[Doubt::SinceProofMissing { since: 7 }][..])
        );
    }
}

#[test]
fn an_earlier_checkpoint_of_somebody_else_cannot_be_told() {
    let other_key = SigningKey::new("log.example/main".to_owned(), &[2; 32]).unwrap();
    let unsigned = signed(|checkpoint| checkpoint.root = [1; 32], &other_key);
    let report = against(Some(7), &unsigned);
    assert!(matches!(report.doubts(), [Doubt::SinceUntrusted(_)]) && report.findings().is_empty());
    let other_origin = signed(|checkpoint| checkpoint.origin = "log.example/other".to_owned(), &key());
    let report = against(Some(7), &other_origin);
    assert!(matches!(report.doubts(), [Doubt::SinceUntrusted(_)]) && report.findings().is_empty());
}

#[test]
fn an_earlier_checkpoint_of_another_log_of_the_policy_cannot_be_told() {
    let other_key = SigningKey::new("log.example/other".to_owned(), &[2; 32]).unwrap();
    let text = format!(
        "log {}\nlog {}\nquorum none\n",
        key().verifier_key(),
        other_key.verifier_key()
    );
    let policy = weir_evidence::Policy::parse(text.as_bytes()).unwrap();
    let other = signed(
        |checkpoint| checkpoint.origin = "log.example/other".to_owned(),
        &other_key,
    );
    let bundle = Draft::of_history().seal().to_bytes();
    let report = verify_bundle(&bundle, &policy, Some(other.to_string().as_bytes()));
    assert!(matches!(report.doubts(), [Doubt::SinceOrigin { .. }]) && report.findings().is_empty());
}

#[test]
fn an_earlier_checkpoint_that_was_changed_is_tampered() {
    let bundle = Draft::of_history().seal().to_bytes();
    let verify = |since: &str| verify_bundle(&bundle, &policy(), Some(since.as_bytes()));
    for since in [
        at(7).to_string().replace("\n7\n", "\n8\n"),
        String::new(),
        "note\n".to_owned(),
    ] {
        assert!(matches!(verify(&since).findings(), [Tampering::Since(_)]), "{since}");
    }
}

proptest! {
    #[test]
    fn no_other_proof_shows_that_it_is_continued(size in 1_usize..16, at_hash in 0_usize..8, flip in 1_u8..) {
        let mut draft = Draft::of_history();
        let member = since_member(&draft.leaves(), size);
        let mut hashes: Vec<Vec<u8>> = member.split('"').filter_map(|part| hex::decode(part).ok()).filter(|hash| hash.len() == 32).collect();
        let hash = at_hash % hashes.len();
        hashes[hash][at_hash] ^= flip;
        let hashes: Vec<String> = hashes.iter().map(|hash| format!("\"{}\"", hex::encode(hash))).collect();
        draft.since = format!(",\"since\":{{\"hashes\":[{}],\"size\":{size}}}", hashes.join(","));
        let report = verify_bundle(&draft.seal().to_bytes(), &policy(), Some(at(size).to_string().as_bytes()));
        prop_assert_eq!(report.findings(), [Tampering::Rewritten { since: size as u64 }]);
    }
}
