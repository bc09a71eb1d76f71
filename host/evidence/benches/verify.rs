//! What an auditor waits for: a bundle, from its bytes to its verdict.
//!
//! ```text
//! bundle ──▶ SHA-256 of every member ──▶ entries read, leaves ──▶ disclosures ──▶ rows made again ──▶ accounts ──▶ root
//! ```
//!
//! | path | floor |
//! | --- | --- |
//! | `verify/entries`: entries of which nothing is shown | SHA-256 over the bundle |
//! | `verify/disclosures`: 20 attributes shown of each | SHA-256 over the bundle |
//!
//! No verifier reads the bundle without hashing it once. Above the floor stand a hash per leaf and node, one per shown
//! attribute, and the rows, which are made again to be compared. The goals are 300,000 entries per second and core with
//! nothing shown, and 80,000 with 20 attributes shown of each.

mod beside;

use std::hint::black_box;

use criterion::Criterion;
use sha2::{Digest as _, Sha256};
use weir_evidence::{
    Body, BundleWriter, Checkpoint, Commitment, Disclosure, Frontier, Policy, SegmentKey, SigningKey, Verdict,
    leaf_hash, verify_bundle,
};

use beside::{Beside, beside};

/// Entries of a bundle: some megabytes, more than caches hold.
const ENTRIES: u16 = 10_000;

fn main() {
    let mut criterion = Criterion::default().configure_from_args();
    verify(&mut criterion, "verify/entries", false);
    verify(&mut criterion, "verify/disclosures", true);
    criterion.final_summary();
}

fn verify(criterion: &mut Criterion, path: &str, shows: bool) {
    let key = SigningKey::new("log.example".to_owned(), &[1; 32]).expect("a name");
    let policy = Policy::from_key(key.verifier_key()).expect("a log");
    let bundle = bundle(&key, shows);
    beside(
        criterion,
        Beside {
            path,
            floor: &format!("SHA-256 of {} bytes", bundle.len() / usize::from(ENTRIES)),
            count: ENTRIES.into(),
        },
        || {
            let report = verify_bundle(black_box(&bundle), &policy, None);
            assert_eq!(report.verdict(), Verdict::Proved, "{:?}", report.findings());
        },
        || Sha256::digest(black_box(&bundle)),
    );
}

/// Changes of one shard with an actor, a key and 18 attributes of the new image.
fn bundle(key: &SigningKey, shows: bool) -> Vec<u8> {
    let segment = SegmentKey::new([9; 32]);
    let mut writer = BundleWriter::new("main", 0);
    let mut frontier = Frontier::default();
    for number in 0..ENTRIES {
        let body = body(number);
        let key = segment.body_key(number).expect("a fresh segment has all keys");
        let entry = entry(number, &Commitment::of(&body, &key));
        let disclosure = if shows {
            Disclosure::of(&body, &key, |_| true)
        } else {
            Disclosure::nothing()
        };
        frontier.push(leaf_hash(entry.as_bytes()));
        writer.add(entry.as_bytes(), &disclosure).expect("they belong together");
    }
    let checkpoint = Checkpoint {
        origin: "log.example".to_owned(),
        size: ENTRIES.into(),
        root: frontier.root(),
    };
    let checkpoint = checkpoint.sign(std::slice::from_ref(key)).expect("one line of text");
    let mut out = Vec::new();
    writer
        .finish(&checkpoint, Vec::new(), None, &mut out)
        .expect("it proves");
    out
}

fn body(number: u16) -> Body {
    let attributes: Vec<String> = (0..18)
        .map(|attribute| format!(r#""attribute_{attribute:02}":{{"S":"value {attribute} of {number:05}"}}"#))
        .collect();
    let text = format!(
        r#"{{"actor":"maria.gonzalez@example.com","keys":{{"order_id":{{"S":"order-{number:05}"}}}},"new":{{{}}}}}"#,
        attributes.join(",")
    );
    serde_json::from_str(&text).expect("a body")
}

fn entry(number: u16, commitment: &Commitment) -> String {
    format!(
        r#"{{"assurance":"claimed","commitment":"{}","config":"51515151515151515151515151515151","event":"0b7a1c9a5e8f4f0e9c7d2a6b3f{number:06}","item":"a1b2c3d4:77777777777777777777777777777777","kind":"change","ledger":"main","operation":"insert","sequence":"49094000000000123456{number:05}","shard":"shardId-00000001772366400000-5f3a1b2c","stream":"arn:aws:dynamodb:eu-west-1:000000000000:table/shop-orders/stream/2026-03-01T00:00:00.000","table":"shop-orders","time":17723664{number:05},"v":1}}"#,
        hex(&commitment.0)
    )
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
