use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use weir_evidence::{
    Disclosure, DisclosureError, Doubt, Report, Tampering, TlogProof, TlogProofError, Verdict, inclusion_ranges,
    verify_tlog_proof,
};

use crate::fixture::*;

fn proof(position: usize) -> TlogProof {
    let history = history();
    let leaves = leaves(&history);
    let ranges = inclusion_ranges(position as u64, leaves.len() as u64);
    let record = &history[position];
    TlogProof::new(
        record.entry.as_bytes(),
        record.disclosure.clone(),
        position as u64,
        roots(&leaves, &ranges),
        &checkpoint(&leaves),
    )
    .unwrap()
}

fn verify(file: &str) -> Report {
    verify_tlog_proof(file.as_bytes(), &policy())
}

/// A proof whose `extra` says something else.
fn with_extra(position: usize, from: &str, to: &str) -> String {
    let file = proof(position).to_string();
    let start = file.find("extra ").unwrap() + 6;
    let end = start + file[start..].find('\n').unwrap();
    let extra = String::from_utf8(BASE64.decode(&file[start..end]).unwrap()).unwrap();
    assert!(extra.contains(from), "{extra}");
    let extra = BASE64.encode(extra.replacen(from, to, 1));
    [&file[..start], &extra, &file[end..]].concat()
}

#[test]
fn every_entry_proves_alone_and_reads_back_as_it_was_written() {
    for position in 0..16 {
        let proof = proof(position);
        let file = proof.to_string();
        assert!(file.starts_with("c2sp.org/tlog-proof@v1\nextra ") && file.contains(&format!("\nindex {position}\n")));
        assert_eq!(TlogProof::parse(file.as_bytes()).as_ref(), Ok(&proof));
        let report = verify(&file);
        assert_eq!(
            (report.verdict(), report.entries(), report.from()),
            (Verdict::Proved, 1, position as u64)
        );
    }
}

#[test]
fn the_only_entry_of_a_ledger_proves_without_a_hash() {
    let record = &history()[0];
    let leaves = leaves(std::slice::from_ref(record));
    let proof = TlogProof::new(
        record.entry.as_bytes(),
        record.disclosure.clone(),
        0,
        vec![],
        &checkpoint(&leaves),
    );
    assert_eq!(verify(&proof.unwrap().to_string()).verdict(), Verdict::Proved);
}

#[test]
fn what_would_not_prove_is_not_made() {
    let history = history();
    let leaves = leaves(&history);
    let hashes = roots(&leaves, &inclusion_ranges(1, 16));
    let make = |entry: &str, disclosure: &Disclosure, index| {
        TlogProof::new(
            entry.as_bytes(),
            disclosure.clone(),
            index,
            hashes.clone(),
            &checkpoint(&leaves),
        )
        .err()
    };
    let (entry, disclosure) = (&history[1].entry, &history[1].disclosure);
    assert_eq!(make(entry, disclosure, 1), None);
    assert_eq!(make(entry, disclosure, 2), Some(TlogProofError::Root));
    assert_eq!(
        make(entry, &history[2].disclosure, 1),
        Some(TlogProofError::Disclosure(DisclosureError::Commitment))
    );
    assert!(matches!(make("{}", disclosure, 1), Some(TlogProofError::Entry(_))));
}

#[test]
fn a_file_of_another_kind_cannot_be_told_and_one_of_another_form_is_tampered() {
    let file = proof(1).to_string();
    for other in [
        "",
        "c2sp.org/tlog-proof@v1",
        "c2sp.org/tlog-proof@v2\nindex 0\n",
        &file[1..],
    ] {
        assert_eq!(verify(other).doubts(), [Doubt::OtherFile], "{other}");
    }
    for (from, to) in [
        ("extra ", "Extra "),
        ("extra ", "extra  "),
        ("index 1\n", "index 01\n"),
        ("index 1\n", "index 1\nindex 1\n"),
        ("index 1\n", ""),
        ("\n\n", "\n"),
        ("=\n", "\n"),
    ] {
        let report = verify(&file.replacen(from, to, 1));
        assert!(
            file.contains(from) && matches!(report.findings(), [Tampering::TlogProof { .. }]),
            "{to}"
        );
    }
    assert!(matches!(
        verify(&with_extra(1, "{\"disc", "{ \"disc")).findings(),
        [Tampering::TlogProof { .. }]
    ));
}

#[test]
fn what_was_changed_is_found() {
    let file = proof(1).to_string();
    assert_eq!(
        verify(&file.replace("\nindex 1\n", "\nindex 2\n")).findings(),
        [Tampering::Root]
    );
    assert_eq!(
        verify(&file.replace("\nindex 1\n", "\nindex 16\n")).findings(),
        [Tampering::Root]
    );
    assert!(matches!(
        verify(&file.replace("\n16\n", "\n17\n")).findings(),
        [Tampering::Checkpoint(_)]
    ));
    assert_eq!(
        verify(&with_extra(1, "\\\"time\\\":1", "\\\"time\\\":2")).findings(),
        [Tampering::Root]
    );
    assert!(matches!(
        verify(&with_extra(1, "\\\"v\\\":1", "\\\"v\\\": 1")).findings(),
        [Tampering::Entry { position: 1, .. }]
    ));
    let disclosure = Tampering::Disclosure {
        position: 1,
        error: DisclosureError::Commitment,
    };
    assert_eq!(verify(&with_extra(1, "maria", "jonas")).findings(), [disclosure]);
    let other_version = verify(&with_extra(1, "\\\"v\\\":1", "\\\"v\\\":2"));
    assert_eq!(
        (other_version.findings(), other_version.doubts().len()),
        (&[Tampering::Root][..], 1)
    );
}

#[test]
fn every_flipped_byte_of_a_proof_is_found() {
    let file = proof(3).to_string();
    for at in 0..file.len() {
        for flip in [0x01, 0x04, 0x20, 0x80] {
            let mut changed = file.clone().into_bytes();
            changed[at] ^= flip;
            let report = verify_tlog_proof(&changed, &policy());
            assert_ne!(report.verdict(), Verdict::Proved, "byte {at} with {flip:#x}");
        }
    }
}

#[test]
fn a_proof_of_somebody_else_cannot_be_told() {
    let file = proof(1).to_string().replace("— log.example/main", "— log.example/mine");
    let report = verify(&file);
    assert!(matches!(report.doubts(), [Doubt::Untrusted(_)]) && report.findings().is_empty());
}

#[test]
fn what_is_shown_of_an_entry_of_another_version_is_not_looked_at() {
    let history = history();
    let entry = history[1].entry.replace("\"v\":1", "\"v\":2");
    for (entry, disclosure, findings) in [(&entry, "{\"parts\":[]}", 0), (&history[1].entry, "{\"parts\":[]}", 1)] {
        let leaf = weir_evidence::leaf_hash(entry.as_bytes());
        let head = checkpoint(&[leaf]);
        let text = serde_json::Value::from(entry.as_str()).to_string();
        let extra = BASE64.encode(format!("{{\"disclosure\":{disclosure},\"entry\":{text}}}"));
        let report = verify(&format!("c2sp.org/tlog-proof@v1\nextra {extra}\nindex 0\n\n{head}"));
        assert_eq!(report.findings().len(), findings, "{report:?}");
        assert_eq!(report.doubts().len(), 1 - findings, "{report:?}");
    }
}
