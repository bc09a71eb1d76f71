use proptest::prelude::*;
use weir_evidence::{Doubt, FINDINGS_MAX, Verdict, verify_bundle, verify_tlog_proof};

use crate::fixture::*;

/// Bits that are flipped, in turns.
const FLIPS: [u8; 5] = [0x01, 0x04, 0x20, 0x80, 0x02];

/// A bundle of few bytes that has everything in it.
fn small() -> Draft {
    let history = history();
    Draft::of(&history[..9], 1..5)
}

#[test]
fn every_flipped_byte_of_a_bundle_is_found() {
    let bundle = small().seal().to_bytes();
    assert_eq!(code(&bundle), 0);
    for (at, flip) in (0..bundle.len()).zip(FLIPS.into_iter().cycle()) {
        let mut changed = bundle.clone();
        changed[at] ^= flip;
        let report = verify(&changed);
        // `from` becomes `to`: then there is nothing to check any more.
        let is_emptied = report.doubts() == [Doubt::NothingToCheck];
        assert!(
            report.verdict() == Verdict::Tampered || is_emptied,
            "byte {at} with {flip:#x}: {report:?}"
        );
    }
}

#[test]
fn every_flipped_byte_is_found_although_the_hashes_were_made_again() {
    let archive = small().seal();
    for (member, name) in MEMBERS.into_iter().enumerate().skip(CHECKPOINT) {
        for (at, flip) in (0..archive.contents[member].len()).zip(FLIPS.into_iter().cycle()) {
            let mut changed = archive.clone();
            changed.contents[member][at] ^= flip;
            changed.rehash();
            let report = verify(&changed.to_bytes());
            // A signature in another name is passed over, and then nobody signed.
            let may_be_doubt = member == CHECKPOINT && report.verdict() == Verdict::CannotTell;
            assert!(
                report.verdict() == Verdict::Tampered || may_be_doubt,
                "byte {at} of {name} with {flip:#x}: {report:?}"
            );
        }
    }
}

#[test]
fn every_bundle_that_ends_early_is_found() {
    let bundle = small().seal().to_bytes();
    for length in 1..bundle.len() {
        assert_eq!(code(&bundle[..length]), 1, "{length} bytes");
    }
}

/// Deep, long and repeated on purpose.
#[test]
fn what_is_made_to_cost_much_costs_little() {
    let mut archive = small().seal();
    archive.contents[DISCLOSURES] = format!("{}\n{{}}\n{{}}\n{{}}\n", "[".repeat(1 << 20)).into_bytes();
    archive.rehash();
    assert_eq!(code(&archive.to_bytes()), 1);

    let mut archive = small().seal();
    archive.contents[ENTRIES] = b"\n".repeat(1 << 16);
    archive.contents[DISCLOSURES] = b"\n".repeat(1 << 16);
    archive.rehash();
    let archive = archive.edit(BUNDLE, "\"to\":5", "\"to\":65537");
    let report = verify(&archive.to_bytes());
    assert_eq!(report.findings().len(), FINDINGS_MAX);
    // Every line, and that the ledger is not as large.
    assert_eq!(report.findings_left_out() + FINDINGS_MAX as u64, (1 << 16) + 1);

    let mut archive = small().seal();
    let hashes = vec![format!("\"{}\"", "00".repeat(32)); 1 << 16];
    archive.contents[PROOF] = format!("{{\"hashes\":[{}]}}", hashes.join(",")).into_bytes();
    archive.rehash();
    assert_eq!(code(&archive.to_bytes()), 1);
}

proptest! {
    #[test]
    fn bytes_from_strangers_are_never_proved_and_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..2000)) {
        prop_assert_ne!(code(&bytes), 0);
        let proof = [b"c2sp.org/tlog-proof@v1\n", &bytes[..]].concat();
        prop_assert_ne!(verify_tlog_proof(&proof, &policy()).verdict().exit_code(), 0);
    }

    #[test]
    fn members_from_strangers_are_never_proved_and_never_panic(
        member in CHECKPOINT..=ROWS_CSV,
        at in any::<prop::sample::Index>(),
        removed in 0_usize..40,
        added in "[\\[\\]{}:,\"\\\\a-f0-9\n é—]{0,20}",
    ) {
        let mut archive = small().seal();
        let content = &archive.contents[member];
        let start = at.index(content.len());
        let end = (start + removed).min(content.len());
        let changed = [&content[..start], added.as_bytes(), &content[end..]].concat();
        prop_assume!(changed != *content);
        archive.contents[member] = changed;
        archive.rehash();
        let bundle = archive.to_bytes();
        prop_assert_ne!(code(&bundle), 0);
        let _ = verify_bundle(&bundle, &policy(), Some(&archive.contents[member]));
    }
}
