use super::*;

fn log() -> SigningKey {
    SigningKey::parse("log.example".to_owned(), &"07".repeat(32)).unwrap()
}

#[test]
fn a_public_key_reads_back_as_it_was_written() {
    let cosigner = Cosigner::new("witness.example".to_owned(), &[9; 32]).unwrap();
    for key in [log().verifier_key(), cosigner.verifier_key()] {
        assert_eq!(VerifierKey::parse(&key.to_string()), Ok(key));
    }
}

#[test]
fn what_is_not_a_public_key_is_refused() {
    let vkey = log().verifier_key().to_string();
    let parse = |text: &str| VerifierKey::parse(text).unwrap_err();
    assert_eq!(parse("log.example"), KeyError::Form);
    assert_eq!(parse(&vkey.replace("log.example+", "")), KeyError::Form);
    assert_eq!(parse(&format!("{vkey} ")), KeyError::Form);
    assert_eq!(parse(&vkey.to_uppercase()), KeyError::Form);
    assert!(matches!(
        parse(&vkey.replace("log.example", "log")),
        KeyError::Id { .. }
    ));
    assert!(matches!(
        parse(&vkey.replace("log.example", "l og")),
        KeyError::Name { .. }
    ));
    assert!(matches!(
        parse(&vkey.replace("+A", "+B")),
        KeyError::SignatureType { signature_type: 5 }
    ));
    assert_eq!(parse("log+00000000+AQ=="), KeyError::PublicKey);
}

#[test]
fn a_cosignature_holds_for_its_own_time_and_text_and_role() {
    let cosigner = Cosigner::new("witness.example".to_owned(), &[9; 32]).unwrap();
    let key = cosigner.verifier_key();
    let line = cosigner.cosign("text\n", 1_679_315_147);
    assert!(line.verifies(&key, "text\n"));
    assert!(!line.verifies(&key, "other\n"));
    let mut later = line.clone();
    later.signature[7] ^= 1;
    assert!(!later.verifies(&key, "text\n"));
    assert!(
        !cosigner.cosign("text\n", 1 << 63).verifies(&key, "text\n"),
        "after the end of time"
    );

    let as_log = SigningKey::new("witness.example".to_owned(), &[9; 32]).unwrap();
    assert_ne!(as_log.verifier_key().id(), key.id(), "one key in two roles has two ids");
    assert!(!line.verifies(&as_log.verifier_key(), "text\n"));
}

#[test]
fn a_private_key_is_64_hexadecimal_digits_and_never_printed() {
    assert!(!format!("{:?}", log()).contains("0707"));
    assert_eq!(SigningKey::parse("log".to_owned(), "07").unwrap_err(), KeyError::Seed);
    assert!(!KeyError::Seed.to_string().contains("07"));
    assert!(SigningKey::parse("log".to_owned(), &format!(" {}\n", "0A".repeat(32))).is_ok());
}
