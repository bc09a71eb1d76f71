//! What a row costs before the ledger's lock: from a change's body to entry, leaf and sealed body.
//!
//! ```text
//! body (20 attributes, about 1 KB) ──▶ commitment ──▶ entry ──▶ leaf ──▶ zstd + AES-256-GCM
//!                                      22 salted digests, 1 outer: of 20 attributes, a key and an actor
//! ```
//!
//! | path | floor |
//! | --- | --- |
//! | `seal/row`: [`weir_evidence::record`], from the decoded change to all that COPY is given | SHA-256 of the body's JSON, zstd of it, and AES-256-GCM of what that leaves |
//! | its parts: `seal/row/commitment` | SHA-256 of the body's JSON |
//! | `seal/row/entry`: encoding and leaf | SHA-256 of the entry |
//! | `seal/row/body`: JSON, zstd, AES-256-GCM | zstd and AES-256-GCM |
//! | `seal/key`: the body's key out of its segment | as many SHA-256 of as many bytes as there are steps to it |
//!
//! Nothing that hashes, packs and encrypts a row can be faster than the floor. Above it stand a salted digest per
//! attribute (one attribute can be shown without the others) and canonical JSON twice. The goal is 100,000 rows a second
//! and core: 10 µs.
//!
//! Machines are noisy, so the floor runs in turns with the path (`beside`): compare the ratios, not the times.

mod beside;

use std::hint::black_box;

use aes_gcm::aead::{Aead as _, KeyInit as _};
use aes_gcm::{Aes256Gcm, Key, Nonce};
use criterion::Criterion;
use sha2::{Digest as _, Sha256};
use weir_evidence::{
    Body, Commitment, ConfigurationDigest, Entry, EntryKind, LedgerSecret, Origin, SegmentKey, leaf_hash, record,
};
use weir_model::{Assurance, EventId, LedgerName, Operation, SequenceNumber, ShardId, StreamArn};
use zstd::bulk::Compressor;

use beside::{Beside, beside};

/// An order of a shop, as an insert has it.
const BODY: &str = r#"{
    "actor": "maria.gonzalez@example.com",
    "keys": {"order_id": {"S": "order-2026-03-01-000004711"}},
    "new": {
        "billing_city": {"S": "Hamburg"},
        "billing_street": {"S": "Lange Reihe 110, second floor on the left"},
        "carrier": {"S": "parcel-north"},
        "coupon": {"NULL": true},
        "created_at": {"S": "2026-03-01T11:58:03.120Z"},
        "currency": {"S": "EUR"},
        "customer": {"S": "customer-00000000000000918273"},
        "gift": {"BOOL": false},
        "items": {"L": [
            {"M": {"sku": {"S": "mug-blue-0.3l"}, "count": {"N": "2"}, "price": {"N": "12.50"}}},
            {"M": {"sku": {"S": "tea-assam-250g"}, "count": {"N": "1"}, "price": {"N": "8.90"}}}
        ]},
        "note": {"S": "please ring twice, the bell is quiet; the neighbour takes parcels too"},
        "order_id": {"S": "order-2026-03-01-000004711"},
        "payment": {"S": "card"},
        "shipping_fee": {"N": "4.90"},
        "status": {"S": "paid"},
        "tags": {"SS": ["first-order", "newsletter"]},
        "tax": {"N": "6.18"},
        "total": {"N": "38.80"},
        "updated_at": {"S": "2026-03-01T12:00:00.004Z"},
        "updated_by": {"S": "maria.gonzalez@example.com"},
        "version": {"N": "7"}
    }
}"#;

/// Hashes from a segment's root to a body's key: 16 steps down and two expansions.
const KEY_HASHES: usize = 18;

/// Bytes of each: a bit, a label, the secret above.
const KEY_HASH_BYTES: usize = 1 + 16 + 32;

fn main() {
    let mut criterion = Criterion::default().configure_from_args();
    row(&mut criterion);
    key(&mut criterion);
    criterion.final_summary();
}

fn row(criterion: &mut Criterion) {
    let body: Body = serde_json::from_str(BODY).expect("the body above is one");
    let plain = serde_json::to_vec(&body).expect("a body is JSON");
    let body_key = SegmentKey::new([9; 32])
        .body_key(4711)
        .expect("a fresh segment has all keys");
    let change = Change::new(&body);
    let entry = || change.entry(Commitment([7; 32]));
    let encoded = entry().encode().expect("a small entry");
    let leaf = leaf_hash(&encoded);
    let mut compressor = Compressor::new(1).expect("level 1 is a level");
    let names = |path: &'static str, floor: &str| (path, format!("{floor} of {} bytes", plain.len()));
    let mut part = |(path, floor): (&'static str, String), run: &mut dyn FnMut(), floor_run: &mut dyn FnMut()| {
        let floor = &floor;
        beside(criterion, Beside { path, floor, count: 1 }, run, floor_run);
    };
    part(
        names("seal/row", "SHA-256, zstd and AES-256-GCM"),
        &mut || {
            black_box(
                record(black_box(&body), &body_key, |commitment| change.entry(commitment)).expect("a small entry"),
            );
        },
        &mut || {
            black_box(Sha256::digest(black_box(&plain)));
            black_box(pack_and_encrypt(&mut compressor, &plain));
        },
    );
    part(
        names("seal/row/commitment", "SHA-256"),
        &mut || {
            black_box(Commitment::of(black_box(&body), &body_key));
        },
        &mut || {
            black_box(Sha256::digest(black_box(&plain)));
        },
    );
    part(
        ("seal/row/entry", format!("SHA-256 of {} bytes", encoded.len())),
        &mut || {
            black_box(leaf_hash(&entry().encode().expect("a small entry")));
        },
        &mut || {
            black_box(Sha256::digest(black_box(&encoded)));
        },
    );
    part(
        names("seal/row/body", "zstd and AES-256-GCM"),
        &mut || {
            black_box(black_box(&body).seal(&body_key, &leaf)).ok();
        },
        &mut || {
            black_box(pack_and_encrypt(&mut compressor, &plain));
        },
    );
}

fn pack_and_encrypt(compressor: &mut Compressor<'_>, plain: &[u8]) -> Vec<u8> {
    let packed = compressor
        .compress(black_box(plain))
        .expect("compression into memory succeeds");
    Aes256Gcm::new(&Key::<Aes256Gcm>::from([5; 32]))
        .encrypt(&Nonce::from([3; 12]), &*packed)
        .expect("AES-GCM takes 64 GiB")
}

fn key(criterion: &mut Criterion) {
    let segment = SegmentKey::new([9; 32]);
    beside(
        criterion,
        Beside {
            path: "seal/key",
            floor: &format!("{KEY_HASHES} SHA-256 of {KEY_HASH_BYTES} bytes"),
            count: 1,
        },
        || segment.body_key(black_box(4711)),
        || {
            let mut secret = [0; KEY_HASH_BYTES];
            for _ in 0..KEY_HASHES {
                let above = black_box(secret);
                secret[..32].copy_from_slice(&Sha256::digest(above));
            }
            secret
        },
    );
}

/// What the entry says beside the body.
struct Change {
    ledger: LedgerName,
    kind: EntryKind,
}

impl Change {
    fn new(body: &Body) -> Self {
        let keys = body.keys.as_ref().expect("the body above has keys");
        Self {
            ledger: LedgerName::parse("main").expect("a name"),
            kind: EntryKind::Change {
                is_amendment: false,
                origin: Origin {
                    stream: StreamArn::parse(
                        "arn:aws:dynamodb:eu-west-1:000000000000:table/shop-orders/stream/2026-03-01T00:00:00.000",
                    )
                    .expect("an ARN"),
                    shard: ShardId::parse("shardId-00000001772366400000-5f3a1b2c").expect("a shard"),
                },
                commitment: Commitment([0; 32]),
                sequence: SequenceNumber::parse("4909400000000012345678901").expect("a sequence number"),
                event: EventId::parse("0b7a1c9a5e8f4f0e9c7d2a6b3f1e8d4c").expect("an event id"),
                operation: Operation::Insert,
                table: "shop-orders".to_owned(),
                item: LedgerSecret::new(&[1; 32]).item_token("shop-orders", keys),
                time: "2026-03-01T12:00:00Z".parse().expect("a time"),
                assurance: Assurance::Claimed,
                config: ConfigurationDigest([5; 16]),
            },
        }
    }

    /// Copies what belongs to the entry, as intake does.
    fn entry(&self, commitment: Commitment) -> Entry {
        let mut kind = self.kind.clone();
        if let EntryKind::Change { commitment: fixed, .. } = &mut kind {
            *fixed = commitment;
        }
        Entry {
            ledger: self.ledger.clone(),
            kind,
        }
    }
}
