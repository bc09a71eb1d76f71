use super::*;
use crate::{Cosigner, SigningKey};

fn log() -> VerifierKey {
    SigningKey::new("log.example".to_owned(), &[1; 32])
        .unwrap()
        .verifier_key()
}

fn witness(seed: u8) -> VerifierKey {
    let name = format!("w{seed}.example");
    Cosigner::new(name, &[seed; 32]).unwrap().verifier_key()
}

/// Reads a policy in which `LOG`, `W1`, `W2`, `W3` stand for keys.
fn parse(text: &str) -> Result<Policy, PolicyError> {
    let mut text = text.replace("LOG", &log().to_string());
    for seed in 1..=3 {
        text = text.replace(&format!("W{seed}"), &witness(seed).to_string());
    }
    policy(text.as_bytes())
}

#[track_caller]
fn refused(text: &str, error: PolicyError) {
    assert_eq!(parse(text).err(), Some(error), "{text:?}");
}

#[test]
fn comments_blanks_urls_and_any_order_are_fine() {
    let policy = parse(
        " # comment\n\t\nwitness a W1 https://w.example\nquorum a\nlog LOG https://log.example\n\twitness\tb  W2\t",
    )
    .unwrap();
    assert_eq!((policy.logs.len(), policy.witnesses.len()), (1, 2));
    assert_eq!(policy.quorum, Some(Member::Witness(0)));
    assert!(
        parse("quorum none").is_ok(),
        "a policy may list no log, and its last line may be unfinished"
    );
    assert!(
        parse("log LOG\nwitness \u{212a} W1\nwitness K W2\nquorum K\n").is_ok(),
        "names are bytes"
    );
}

#[test]
fn lines_of_another_form_are_refused() {
    for text in [
        "log\n",
        "log LOG u v\n",
        "witness a\n",
        "witness a W1 u v\n",
        "group g 1\n",
        "quorum\n",
        "quorum none none\n",
        "Log LOG\n",
        "no LOG\n",
    ] {
        refused(text, PolicyError::Line { line: 1 });
    }
    refused("log LOG\r\nquorum none\n", PolicyError::ControlCharacter { line: 1 });
    refused("quorum none\n# \u{7f}\n", PolicyError::ControlCharacter { line: 2 });
    refused("log LOG\n", PolicyError::Quorum);
    refused("", PolicyError::Quorum);
    refused("quorum none\nquorum none\n", PolicyError::Quorum);
}

#[test]
fn keys_are_read_in_their_role_and_once() {
    let key = |line, source| PolicyError::Key { line, source };
    refused("log x+y\nquorum none\n", key(1, KeyError::Form));
    assert!(policy(b"log \xff+00000000+AA==\nquorum none\n").is_err());
    refused("log W1\n", PolicyError::LogKey { line: 1 });
    refused("witness a LOG\n", PolicyError::WitnessKey { line: 1 });
    refused("log LOG\nlog LOG\n", PolicyError::DuplicateKey { line: 2 });
    refused("witness a W1\nwitness b W1\n", PolicyError::DuplicateKey { line: 2 });
    let same_key = Cosigner::new("other.example".to_owned(), &[1; 32]).unwrap();
    let text = format!("witness a W1\nwitness b {}\n", same_key.verifier_key());
    refused(&text, PolicyError::DuplicateKey { line: 2 });
}

#[test]
fn names_are_defined_before_they_are_used_and_used_in_one_group() {
    let unknown = |line, name: &str| PolicyError::NameUnknown {
        line,
        name: name.to_owned(),
    };
    refused("quorum a\nwitness a W1\n", unknown(1, "a"));
    refused("group g any a\n", unknown(1, "a"));
    refused("group g any g\n", unknown(1, "g"));
    refused("witness a W1\ngroup g any a none\n", unknown(2, "none"));
    refused("witness none W1\n", PolicyError::NameTaken { line: 1 });
    refused("witness a W1\nwitness a W2\n", PolicyError::NameTaken { line: 2 });
    refused("witness a W1\ngroup a any a\n", PolicyError::NameTaken { line: 2 });
    let twice = |line| PolicyError::MemberTwice {
        line,
        name: "a".to_owned(),
    };
    refused("witness a W1\ngroup g any a a\n", twice(2));
    refused("witness a W1\ngroup g any a\ngroup h any a\n", twice(3));
}

#[test]
fn a_group_asks_for_one_to_all_of_its_members() {
    for threshold in ["0", "3", "-1", "+1", "01", "1.0", "ALL", "99999999999999999999"] {
        let text = format!("witness a W1\nwitness b W2\ngroup g {threshold} a b\nquorum g\n");
        refused(&text, PolicyError::Threshold { line: 3, members: 2 });
    }
    let groups = |threshold: &str| {
        let text = format!("witness a W1\nwitness b W2\ngroup g {threshold} a b\nquorum g\n");
        parse(&text).unwrap().groups[0].threshold
    };
    assert_eq!([groups("any"), groups("1"), groups("2"), groups("all")], [1, 1, 2, 2]);
}
