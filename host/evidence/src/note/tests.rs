use super::*;

/// Key and note of the section "Example" of C2SP `signed-note`.
const EXAMPLE_KEY: &str = "example.com/foo+530d903a+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k";
const EXAMPLE_NOTE: &str = "This is an example message.\n\n— example.com/foo Uw2QOkn8srV1yJGh2VYRlL1Tnagv1YEq6TfXppzi2ONncAlTgK7Ztg1ERYNZXsYjOBH3mFXmRKuwHjG1Yu72IneyaQM=\n";

fn example() -> (VerifierKey, Note) {
    let note = Note::parse(EXAMPLE_NOTE.as_bytes()).unwrap();
    (VerifierKey::parse(EXAMPLE_KEY).unwrap(), note)
}

#[track_caller]
fn refused(note: &str, error: NoteError) {
    assert_eq!(Note::parse(note.as_bytes()), Err(error), "{note:?}");
}

#[test]
fn the_example_of_the_specification_verifies_and_is_written_back() {
    let (key, note) = example();
    assert_eq!(note.check_signature(&key), SignatureCheck::Valid);
    assert_eq!(note.text(), "This is an example message.\n");
    assert_eq!(note.to_string(), EXAMPLE_NOTE);
    assert_eq!(key.to_string(), EXAMPLE_KEY);
}

#[test]
fn the_text_may_hold_empty_lines_and_the_last_one_parts_it_from_the_signatures() {
    let note = EXAMPLE_NOTE.replace("message.\n", "message.\n\nAnd more.\n");
    let note = Note::parse(note.as_bytes()).unwrap();
    assert_eq!(note.text(), "This is an example message.\n\nAnd more.\n");
    assert_eq!(note.check_signature(&example().0), SignatureCheck::Invalid);
}

#[test]
fn what_is_not_a_note_is_refused() {
    assert_eq!(Note::parse(b"\xff\n\n"), Err(NoteError::NotUtf8));
    refused("", NoteError::NoSignatures);
    refused("text\n", NoteError::NoSignatures);
    refused("text\n\n", NoteError::NoSignatures);
    refused(EXAMPLE_NOTE.trim_end(), NoteError::NoSignatures);
    refused(&format!("{EXAMPLE_NOTE}\n"), NoteError::NoSignatures);
    refused(
        &EXAMPLE_NOTE.replace('\n', "\r\n"),
        NoteError::ControlCharacter { code: 13 },
    );
    for (from, to) in [
        ("— ", "- "),
        ("— ", "—"),
        ("/foo ", "/foo  "),
        ("/foo ", "/fo+o "),
        ("/foo ", "/fo\u{a0}o "),
        ("example.com/foo", ""),
        ("aQM=", "aQM"),
        ("aQM=", "aQN="),
        ("aQM=", "aQM= "),
    ] {
        let split = EXAMPLE_NOTE.find('—').unwrap();
        let (text, line) = EXAMPLE_NOTE.split_at(split);
        assert!(line.contains(from));
        refused(
            &format!("{text}{}", line.replace(from, to)),
            NoteError::SignatureLine { line: 1 },
        );
    }
    refused("text\n\n— name AAAAAA==\n", NoteError::SignatureLine { line: 1 });
    assert!(
        Note::parse("text\n\n— name AAAAAAA=\n".as_bytes()).is_ok(),
        "five bytes"
    );
}

#[test]
fn a_note_is_signed_by_every_key_and_any_changed_byte_of_its_text_shows() {
    let keys: Vec<_> = [1, 2]
        .map(|seed| SigningKey::new(format!("log{seed}"), &[seed; 32]).unwrap())
        .into();
    let note = Note::sign("one\ntwo\n".to_owned(), &keys).unwrap();
    assert_eq!(Note::parse(note.to_string().as_bytes()).as_ref(), Ok(&note));
    let changed = Note::parse(note.to_string().replace("two", "too").as_bytes()).unwrap();
    for key in &keys {
        assert_eq!(note.check_signature(&key.verifier_key()), SignatureCheck::Valid);
        assert_eq!(changed.check_signature(&key.verifier_key()), SignatureCheck::Invalid);
    }
    assert_eq!(note.check_signature(&example().0), SignatureCheck::Absent);
    assert_eq!(Note::sign("one".to_owned(), &keys), Err(NoteError::TextUnfinished));
    assert_eq!(Note::sign("one\n".to_owned(), &[]), Err(NoteError::NoSignatures));
    assert_eq!(
        Note::sign("a\tb\n".to_owned(), &keys),
        Err(NoteError::ControlCharacter { code: 9 })
    );
}

#[test]
fn lines_of_a_witness_are_added_once_and_only_whole() {
    let (_, mut note) = example();
    let cosigner = Cosigner::new("witness.example".to_owned(), &[7; 32]).unwrap();
    let line = format!("{}\n", cosigner.cosign(note.text(), 1_679_315_147));
    assert!(note.add_signature_lines(line.trim_end()).is_err());
    assert!(note.add_signature_lines("").is_err());
    note.add_signature_lines(&line).unwrap();
    note.add_signature_lines(&line).unwrap();
    assert_eq!(note.to_string(), format!("{EXAMPLE_NOTE}{line}"));
    assert_eq!(note.check_signature(&cosigner.verifier_key()), SignatureCheck::Valid);
}
