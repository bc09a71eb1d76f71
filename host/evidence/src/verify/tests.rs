use super::*;
use crate::{Origin, SegmentKey, record};
use weir_model::{LedgerName, SequenceNumber, ShardId, StreamArn};

fn origin() -> Origin {
    Origin {
        stream: StreamArn::parse("arn").unwrap(),
        shard: ShardId::parse("shard").unwrap(),
    }
}

fn recorded(actor: &str, key: &BodyKey) -> (Vec<u8>, Hash, SealedBody) {
    let body = Body {
        actor: Some(actor.to_owned()),
        ..Body::default()
    };
    let entry = |commitment| Entry {
        ledger: LedgerName::parse("main").unwrap(),
        kind: EntryKind::Unknown {
            origin: origin(),
            commitment,
            sequence: SequenceNumber::parse("1").unwrap(),
            time: jiff::Timestamp::UNIX_EPOCH,
        },
    };
    let recorded = record(&body, key, entry).unwrap();
    (recorded.entry, recorded.leaf, recorded.sealed)
}

#[test]
fn any_flipped_bit_of_an_entry_or_body_is_found_at_its_position() {
    let key = SegmentKey::new([5; 32]).body_key(0).unwrap();
    let (entry, leaf, sealed) = recorded("maria", &key);
    let mut head = Frontier::default();
    head.push(leaf);

    let verify = |entry: &[u8], sealed: &SealedBody| -> Result<(), Finding> {
        let mut verifier = Verifier::default();
        verifier.take(0, entry, StoredBody::Sealed(sealed, &key))?;
        assert_eq!(verifier.finish(1, &head.root()), []);
        Ok(())
    };
    assert_eq!(verify(&entry, &sealed), Ok(()));
    for bit in 0..entry.len() * 8 {
        let mut changed = entry.clone();
        changed[bit / 8] ^= 1 << (bit % 8);
        assert!(matches!(
            verify(&changed, &sealed),
            Err(Finding::Body { position: 0, .. } | Finding::EntryUnreadable { position: 0, .. })
        ));
    }
    for bit in 0..sealed.0.len() * 8 {
        let mut changed = sealed.clone();
        changed.0[bit / 8] ^= 1 << (bit % 8);
        assert!(matches!(
            verify(&entry, &changed),
            Err(Finding::Body { position: 0, .. })
        ));
    }
}

#[test]
fn an_entry_that_is_missing_or_was_exchanged_is_found() {
    let segment = SegmentKey::new([5; 32]);
    let keys: Vec<BodyKey> = (0..3).map(|index| segment.body_key(index).unwrap()).collect();
    let entries: Vec<_> = ["maria", "jonas", "chen"]
        .into_iter()
        .zip(&keys)
        .map(|(who, key)| recorded(who, key))
        .collect();
    let mut head = Frontier::default();
    entries.iter().for_each(|(_, leaf, _)| head.push(*leaf));

    let mut verifier = Verifier::default();
    verifier
        .take(0, &entries[0].0, StoredBody::Sealed(&entries[0].2, &keys[0]))
        .unwrap();
    assert_eq!(
        verifier.take(2, &entries[2].0, StoredBody::Absent).unwrap_err(),
        Finding::Missing { position: 1 }
    );

    let mut swapped = Verifier::default();
    for (position, from) in [(0, 0), (1, 2), (2, 1)] {
        swapped
            .take(
                position,
                &entries[from].0,
                StoredBody::Sealed(&entries[from].2, &keys[from]),
            )
            .unwrap();
    }
    assert!(matches!(swapped.finish(3, &head.root())[..], [Finding::Root { .. }]));
    assert_eq!(
        swapped.finish(4, &head.root()),
        [Finding::Size { actual: 3, expected: 4 }]
    );
}

/// A ledger of three bodies and an erasure of `erased`, of which `gone` are really gone.
fn after_erasure(erased: &[u64], gone: &[u64], is_done: bool) -> Vec<Finding> {
    after_erasure_of(ErasureScope::Item, erased, gone, is_done.then_some(2))
}

/// The same; if it is done, with so many bodies that it says are gone.
fn after_erasure_of(scope: ErasureScope, erased: &[u64], gone: &[u64], done: Option<u64>) -> Vec<Finding> {
    let segment = SegmentKey::new([5; 32]);
    let key = |index: u64| segment.body_key(u16::try_from(index).unwrap()).unwrap();
    let mut verifier = Verifier::default();
    for position in 0..3 {
        let (entry, _, sealed) = recorded("maria", &key(position));
        let body = match gone.contains(&position) {
            true => StoredBody::Locked,
            false => StoredBody::Sealed(&sealed, &key(position)),
        };
        verifier.take(position, &entry, body).unwrap();
    }
    let plan = ErasurePlan {
        selector: "the item 7".to_owned(),
        paths: Vec::new(),
        positions: erased.iter().copied().collect(),
    };
    let stages = [ErasureStage::Intent, ErasureStage::Done];
    for (position, stage) in (3..).zip(stages.into_iter().take(1 + usize::from(done.is_some()))) {
        let body = Body {
            raw: Some(plan.to_json()),
            ..Body::default()
        };
        let recorded = record(&body, &key(position), |commitment| Entry {
            ledger: LedgerName::parse("main").unwrap(),
            kind: EntryKind::Erasure(crate::Order {
                commitment,
                id: "e1".to_owned(),
                scope,
                stage,
                item: None,
                bodies: done.filter(|_| stage == ErasureStage::Done),
                time: jiff::Timestamp::UNIX_EPOCH,
            }),
        })
        .unwrap();
        let (entry, sealed) = (recorded.entry, recorded.sealed);
        verifier
            .take(position, &entry, StoredBody::Sealed(&sealed, &key(position)))
            .unwrap();
    }
    verifier.finish(verifier.size(), &verifier.frontier().root())
}

#[test]
fn a_body_may_be_gone_only_where_an_erasure_says_so() {
    assert_eq!(after_erasure(&[0, 2], &[0, 2], true), []);
    assert_eq!(after_erasure(&[0, 2], &[0], false), []);
    assert!(matches!(
        after_erasure(&[0], &[0, 1], true)[..],
        [Finding::BodyMissing { position: 1, .. }]
    ));
    assert!(matches!(
        after_erasure(&[0, 2], &[0], true)[..],
        [Finding::NotErased { position: 2, .. }]
    ));
}

#[test]
fn retention_may_leave_what_it_does_not_count() {
    let retention = |gone, done| after_erasure_of(ErasureScope::Retention, &[0, 2], gone, Some(done));
    assert_eq!(retention(&[0, 2], 2), []);
    assert_eq!(retention(&[0], 1), []);
    assert!(matches!(
        retention(&[0], 2)[..],
        [Finding::NotErased { position: 2, .. }]
    ));
}

#[test]
fn an_erasure_that_was_ordered_since_covers_what_it_is_about() {
    let key = SegmentKey::new([5; 32]).body_key(0).unwrap();
    let (entry, leaf, _) = recorded("maria", &key);
    let mut head = Frontier::default();
    head.push(leaf);
    for (ordered, findings) in [(0, 0), (1, 1)] {
        let mut verifier = Verifier::default();
        verifier.take(0, &entry, StoredBody::Locked).unwrap();
        verifier.ordered("e1", ErasureScope::Item, Positions::range(ordered, ordered + 1));
        assert_eq!(verifier.finish(1, &head.root()).len(), findings, "{ordered}");
    }
}
