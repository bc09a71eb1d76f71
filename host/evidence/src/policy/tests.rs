use super::*;
use crate::{Cosigner, SigningKey};

fn log(seed: u8) -> SigningKey {
    SigningKey::new(format!("log{seed}.example"), &[seed; 32]).unwrap()
}

fn witness(seed: u8) -> Cosigner {
    Cosigner::new(format!("w{seed}.example"), &[seed; 32]).unwrap()
}

fn checkpoint(origin: &str) -> Checkpoint {
    Checkpoint {
        origin: origin.to_owned(),
        size: 3,
        root: [5; 32],
    }
}

/// A checkpoint of log 1 with the cosignatures of these witnesses.
fn note(witnesses: &[u8]) -> Note {
    let mut note = checkpoint("log1.example").sign(&[log(1)]).unwrap().note().clone();
    for seed in witnesses {
        let line = witness(*seed).cosign(note.text(), 1_700_000_000);
        note.add_signature(line);
    }
    note
}

/// The example of C2SP `tlog-policy`: X1 to X3 are the witnesses 11 to 13, Y1 to Y3 are 21 to 23.
fn example_policy() -> Policy {
    let key = |seed| witness(seed).verifier_key().to_string();
    let text = format!(
        "# An example\nlog {}\n\n\twitness X1 {} https://x1.example\nwitness X2 {}\nwitness X3  {} \n\
         group X-witnesses 2 X1 X2 X3\n\nwitness Y1 {}\nwitness Y2 {}\nwitness Y3 {}\n\
         group Y-witnesses any Y1 Y2 Y3\n\ngroup X-and-Y all X-witnesses Y-witnesses\nquorum X-and-Y\n",
        log(1).verifier_key(),
        key(11),
        key(12),
        key(13),
        key(21),
        key(22),
        key(23),
    );
    Policy::parse(text.as_bytes()).unwrap()
}

fn untrusted(result: Result<Checkpoint, CheckError>) -> Untrusted {
    match result {
        Err(CheckError::Untrusted { reason, .. }) => reason,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_key_alone_vouches_for_its_own_log_and_nothing_else() {
    let policy = Policy::from_key(log(1).verifier_key()).unwrap();
    assert_eq!(policy.check(&note(&[])), Ok(checkpoint("log1.example")));
    let other_key = checkpoint("log1.example").sign(&[log(2)]).unwrap();
    assert!(matches!(
        untrusted(policy.check(other_key.note())),
        Untrusted::Log { .. }
    ));
    let other_origin = checkpoint("log2.example").sign(&[log(1)]).unwrap();
    assert!(matches!(
        untrusted(policy.check(other_origin.note())),
        Untrusted::Log { .. }
    ));
    assert!(Policy::from_key(witness(1).verifier_key()).is_err());
}

#[test]
fn a_known_signature_that_does_not_fit_is_tampering_and_an_unknown_one_is_passed_over() {
    let policy = Policy::from_key(log(1).verifier_key()).unwrap();
    let good = checkpoint("log1.example").sign(&[log(1), log(2)]).unwrap();
    assert!(policy.check(good.note()).is_ok());
    let changed = good.to_string().replace("\n3\n", "\n4\n");
    let changed = Note::parse(changed.as_bytes()).unwrap();
    let name = "log1.example".to_owned();
    assert_eq!(policy.check(&changed), Err(CheckError::BadSignature { name }));
    assert!(matches!(
        untrusted(Policy::from_key(log(3).verifier_key()).unwrap().check(&changed)),
        Untrusted::Log { .. }
    ));
    let no_checkpoint = Note::sign("one\n".to_owned(), &[log(1)]).unwrap();
    assert!(matches!(policy.check(&no_checkpoint), Err(CheckError::Malformed(_))));
}

#[test]
fn the_quorum_of_the_example_is_two_of_one_group_and_one_of_the_other() {
    let policy = example_policy();
    for enough in [&[11, 12, 21][..], &[13, 11, 23], &[11, 12, 13, 21, 22, 23]] {
        assert!(policy.check(&note(enough)).is_ok(), "{enough:?}");
    }
    for too_few in [
        &[][..],
        &[11, 12],
        &[11, 21, 22, 23],
        &[21],
        &[11, 11, 21],
        &[11, 31, 21],
    ] {
        let reason = untrusted(policy.check(&note(too_few)));
        assert!(matches!(reason, Untrusted::Quorum { .. }), "{too_few:?}");
    }
}

#[test]
fn a_cosignature_counts_only_beside_the_signature_of_the_log() {
    let policy = example_policy();
    let mut cosigned = checkpoint("log1.example").sign(&[log(2)]).unwrap().note().clone();
    for seed in [11, 12, 21] {
        let line = witness(seed).cosign(cosigned.text(), 1);
        cosigned.add_signature(line);
    }
    assert!(matches!(untrusted(policy.check(&cosigned)), Untrusted::Log { .. }));
}

#[test]
fn a_cosignature_of_another_text_is_tampering_although_the_quorum_is_met_without_it() {
    let mut note = note(&[11, 12, 13, 21]);
    note.add_signature(witness(22).cosign("log1.example\n4\n", 1));
    assert!(matches!(
        example_policy().check(&note),
        Err(CheckError::BadSignature { .. })
    ));
}
