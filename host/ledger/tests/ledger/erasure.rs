//! What was erased cannot be had again, by nobody; and everything else is proved as before.

use std::collections::BTreeSet;

use expect_test::{Expect, expect};
use jiff::Timestamp;
use sha2::{Digest as _, Sha256};
use sqlx::{AssertSqlSafe, PgConnection};
use weir_evidence::{
    Body, BodyKey, DisclosedAttribute, Disclosure, Entry, EntryKind, ErasureStage, Hash, SealedBody, SegmentKey,
    inclusion_ranges, leaf_hash, root_of_inclusion,
};
use weir_ledger::{DeadLetter, ErasureError, Ledger, NewErasure, NewHold, Selector, ShardLease};
use weir_model::{AttributeValue, Item, Position};

use crate::support::{
    HAPPENED_S, TABLE, World, at_every_cut, attributes, batch, item_keys, seal_body, seal_body_at, secret,
};
use crate::tampering::verified;

fn now() -> Timestamp {
    Timestamp::from_second(HAPPENED_S + 1000).unwrap()
}

fn item(item: &str) -> Selector {
    Selector::Item {
        table: TABLE.to_owned(),
        keys: item_keys(item),
    }
}

fn subject(name: &str) -> Selector {
    Selector::Subject {
        attribute: "name".to_owned(),
        value: AttributeValue::text(name),
    }
}

fn order(selector: Selector, attributes: &[&str]) -> NewErasure {
    NewErasure {
        selector,
        attributes: attributes.iter().map(|&name| name.to_owned()).collect(),
        basis: "a request".to_owned(),
        approver: "eve".to_owned(),
    }
}

fn hold(selector: Selector) -> NewHold {
    NewHold {
        selector,
        reason: "a law suit".to_owned(),
        approver: "judge".to_owned(),
    }
}

async fn carry_out(ledger: &Ledger) -> Result<usize, ErasureError> {
    Ok(ledger.carry_out_erasures(now, |_| Ok(())).await?.len())
}

async fn erase(ledger: &Ledger, new: &NewErasure) {
    ledger.order_erasure(new, now()).await.unwrap();
    assert_eq!(carry_out(ledger).await.unwrap(), 1);
}

/// Twenty attributes; that of number 7 is what is going to be erased.
fn twenty(id: &str) -> Item {
    let mut item: Item = (0..19)
        .map(|index| {
            (
                format!("a{index:02}"),
                AttributeValue::text(format!("value {index} of {id}")),
            )
        })
        .collect();
    item.insert("id".to_owned(), AttributeValue::text(id));
    item
}

/// Appends one change of `item` with this body.
async fn record(ledger: &Ledger, lease: &ShardLease, sequence: u64, item: &str, body: &Body) {
    let numbered = ledger.take_body_keys(1).await.unwrap().remove(0);
    let record = seal_body(ledger, lease, sequence, item, body, &numbered);
    ledger
        .append(batch(lease, sequence - 1, sequence, &[record]))
        .await
        .unwrap();
}

/// A ledger of people, one change each, a second apart: `ann`, `bob`, `ann` under another key, `cid`.
async fn people() -> World {
    let world = World::new().await;
    let lease = world.lease("a").await;
    for (sequence, (id, name)) in (1..).zip([("1", "ann"), ("2", "bob"), ("3", "ann"), ("4", "cid")]) {
        let body = Body {
            keys: Some(item_keys(id)),
            new: Some(attributes(&[("id", id), ("name", name), ("city", "Graz")])),
            ..Body::default()
        };
        let numbered = world.ledger.take_body_keys(1).await.unwrap().remove(0);
        let at = (sequence, HAPPENED_S + i64::try_from(sequence).unwrap());
        let record = seal_body_at(&world.ledger, &lease, at, id, &body, &numbered);
        world
            .ledger
            .append(batch(&lease, sequence - 1, sequence, &[record]))
            .await
            .unwrap();
    }
    world
}

/// What a process reads of the people: `0 1:ann,Graz 1 erased ...`.
async fn told(ledger: &Ledger) -> String {
    let mut told = Vec::new();
    for entry in ledger.read_from(Position(0), 1000).await.unwrap() {
        let EntryKind::Change { .. } = entry.entry.kind else {
            told.push(entry.entry.kind_name().to_owned());
            continue;
        };
        let new = entry.body.new.as_ref();
        let attribute = |name| new.and_then(|new| new.get(name)?.as_text()).unwrap_or("-");
        told.push(match entry.is_erased {
            true => "erased".to_owned(),
            false => format!("{}:{},{}", attribute("id"), attribute("name"), attribute("city")),
        });
    }
    told.join(" ")
}

async fn check(new: &NewErasure, expect: Expect) {
    let world = people().await;
    erase(&world.ledger, new).await;
    let other = world.process().await;
    expect.assert_eq(&format!("{}\n{}", told(&other).await, verified(&other).await));
    assert_eq!(told(&world.ledger).await, told(&other).await);
    // Nothing is left to do.
    assert_eq!(carry_out(&other).await.unwrap(), 0);
}

#[tokio::test]
async fn an_item_is_erased() {
    check(
        &order(item("1"), &[]),
        expect![[r#"
        erased 2:bob,Graz 3:ann,Graz 4:cid,Graz erasure erasure
        6 of 6 checked"#]],
    )
    .await;
}

#[tokio::test]
async fn a_subject_is_erased_wherever_it_stands() {
    check(
        &order(subject("ann"), &[]),
        expect![[r#"
        erased 2:bob,Graz erased 4:cid,Graz erasure erasure
        6 of 6 checked"#]],
    )
    .await;
}

#[tokio::test]
async fn an_attribute_is_erased_and_the_others_stay() {
    check(
        &order(item("1"), &["name"]),
        expect![[r#"
        1:-,Graz 2:bob,Graz 3:ann,Graz 4:cid,Graz erasure erasure
        6 of 6 checked"#]],
    )
    .await;
    check(
        &order(subject("ann"), &["name", "city"]),
        expect![[r#"
        1:-,- 2:bob,Graz 3:-,- 4:cid,Graz erasure erasure
        6 of 6 checked"#]],
    )
    .await;
}

#[tokio::test]
async fn what_is_older_than_its_time_is_erased() {
    let before = Timestamp::from_second(HAPPENED_S + 3).unwrap();
    check(
        &order(Selector::OlderThan(before), &[]),
        expect![[r#"
        erased erased 3:ann,Graz 4:cid,Graz erasure erasure
        6 of 6 checked"#]],
    )
    .await;
}

#[tokio::test]
async fn nothing_is_ordered_about_what_was_never_recorded() {
    let world = people().await;
    for selector in [item("9"), subject("nobody"), Selector::OlderThan(Timestamp::UNIX_EPOCH)] {
        let refused = world.ledger.order_erasure(&order(selector, &[]), now()).await;
        assert!(matches!(refused, Err(ErasureError::Nothing)), "{refused:?}");
    }
    assert_eq!(world.ledger.head().await.unwrap().size, 4);
}

#[tokio::test]
async fn an_emptied_body_without_an_order_is_told_beside_those_with_one() {
    let world = people().await;
    erase(&world.ledger, &order(subject("ann"), &[])).await;
    world
        .tamper("update entry set body = null, body_key = null where position = 1")
        .await;
    let told = verified(&world.process().await).await;
    assert!(
        told.contains("position 1: the body is gone, and no erasure covers it"),
        "{told}"
    );
    assert_eq!(told.lines().count(), 2, "{told}");
}

#[tokio::test]
async fn what_is_held_is_not_erased_until_it_is_released() {
    let world = people().await;
    let held = world.ledger.place_hold(&hold(item("1")), now()).await.unwrap();
    for selector in [item("1"), subject("ann")] {
        let refused = world.ledger.order_erasure(&order(selector, &[]), now()).await;
        assert!(matches!(refused, Err(ErasureError::Held { .. })), "{refused:?}");
    }
    // Of an age, what is not held goes.
    erase(&world.ledger, &order(Selector::OlderThan(now()), &[])).await;
    expect!["1:ann,Graz erased erased erased hold erasure erasure"].assert_eq(&told(&world.ledger).await);
    assert!(!verified(&world.process().await).await.contains('\n'));

    world
        .ledger
        .release_hold(&held.id, "it is over", "judge", now())
        .await
        .unwrap();
    assert_eq!(world.ledger.holds().await.unwrap(), []);
    erase(&world.ledger, &order(item("1"), &[])).await;
    expect!["erased erased erased erased hold erasure erasure hold erasure erasure"]
        .assert_eq(&told(&world.process().await).await);
    assert!(!verified(&world.process().await).await.contains('\n'));
}

#[tokio::test]
async fn a_hold_placed_after_the_order_stops_it_and_its_release_lets_it_go_on() {
    for selector in [item("3"), subject("ann")] {
        let world = people().await;
        world
            .ledger
            .order_erasure(&order(subject("ann"), &[]), now())
            .await
            .unwrap();
        let held = world.process().await.place_hold(&hold(selector), now()).await.unwrap();
        for _ in 0..2 {
            let stopped = carry_out(&world.ledger).await;
            assert!(matches!(stopped, Err(ErasureError::Held { .. })), "{stopped:?}");
        }
        let left = told(&world.process().await).await;
        assert!(left.contains("3:ann,Graz"), "{left}");
        assert!(!verified(&world.process().await).await.contains('\n'));
        world
            .ledger
            .release_hold(&held.id, "it is over", "judge", now())
            .await
            .unwrap();
        assert_eq!(carry_out(&world.process().await).await.unwrap(), 1);
        expect!["erased 2:bob,Graz erased 4:cid,Graz erasure hold hold erasure"]
            .assert_eq(&told(&world.process().await).await);
        assert!(!verified(&world.process().await).await.contains('\n'));
    }
}

/// Nothing is destroyed before the journal has it: it is what a restored database is held against.
#[tokio::test]
async fn a_journal_that_cannot_be_written_stops_the_erasure() {
    let world = people().await;
    world
        .ledger
        .order_erasure(&order(subject("ann"), &[]), now())
        .await
        .unwrap();
    let stopped = world
        .ledger
        .carry_out_erasures(now, |_| Err(std::io::Error::other("the disk is full")))
        .await;
    assert!(matches!(stopped, Err(ErasureError::Journal(_))), "{stopped:?}");
    expect!["1:ann,Graz 2:bob,Graz 3:ann,Graz 4:cid,Graz erasure"].assert_eq(&told(&world.process().await).await);

    let noted = std::sync::Mutex::new(Vec::new());
    world
        .ledger
        .carry_out_erasures(now, |keys| {
            noted.lock().unwrap().extend_from_slice(keys);
            Ok(())
        })
        .await
        .unwrap();
    let noted = noted.into_inner().unwrap();
    assert_eq!(noted.len(), 2);
    assert_eq!(
        world.process().await.keys_that_exist(&noted).await.unwrap(),
        Vec::<i64>::new()
    );
}

#[tokio::test]
async fn an_erasure_cut_anywhere_is_carried_out_by_whoever_comes_next() {
    let world = World::new().await;
    let lease = world.lease("a").await;
    let mut cases = 0;
    at_every_cut(&world, async |case| {
        let id = case.number.to_string();
        let body = Body {
            keys: Some(item_keys(&id)),
            new: Some(attributes(&[("id", &id), ("name", "ann")])),
            ..Body::default()
        };
        record(&world.ledger, &lease, case.number + 1, &id, &body).await;
        let attributes: &[&str] = if case.number % 2 == 0 { &[] } else { &["name"] };
        world
            .ledger
            .order_erasure(&order(item(&id), attributes), now())
            .await
            .unwrap();
        case.arm();
        let _ = carry_out(&case.process).await;
        case.calm();
        carry_out(&world.ledger).await.unwrap();
        assert!(
            world
                .ledger
                .erasures()
                .await
                .unwrap()
                .iter()
                .all(|erasure| erasure.done_at.is_some())
        );
        cases += 1;
    })
    .await;
    let told = told(&world.process().await).await;
    assert!(!told.contains("ann"), "{told}");
    let (mut intents, mut done) = (BTreeSet::new(), BTreeSet::new());
    for entry in stored(&mut world.conn().await).await {
        if let EntryKind::Erasure(order) = entry.kind {
            let stage = match order.stage {
                ErasureStage::Intent => &mut intents,
                ErasureStage::Done => &mut done,
            };
            assert!(stage.insert(order.id), "twice");
        }
    }
    assert_eq!((intents.len(), &intents), (cases, &done));
    let told = verified(&world.process().await).await;
    assert!(!told.contains('\n'), "{told}");
}

async fn stored(conn: &mut PgConnection) -> Vec<Entry> {
    let rows: Vec<Vec<u8>> = sqlx::query_scalar("select entry from entry order by position")
        .fetch_all(conn)
        .await
        .unwrap();
    rows.iter().map(|bytes| Entry::decode(bytes).unwrap()).collect()
}

/// Names of the tables that have a row with these bytes or this text.
async fn tables_with(conn: &mut PgConnection, bytes: &[u8]) -> Vec<String> {
    let tables: Vec<String> = sqlx::query_scalar(
        "select oid::regclass::text from pg_class
         where relnamespace = current_schema()::regnamespace and relkind = 'r' order by 1",
    )
    .fetch_all(&mut *conn)
    .await
    .unwrap();
    // A row as text has bytes as hexadecimal digits.
    let (digits, text) = (hex::encode(bytes), String::from_utf8_lossy(bytes).replace('\'', "''"));
    let mut found = Vec::new();
    for table in tables {
        let sql = format!(
            "select count(*) from {table} as t where strpos(t::text, '{digits}') > 0
             or (length('{text}') > 0 and strpos(t::text, '{text}') > 0)"
        );
        let sql = match std::str::from_utf8(bytes).is_ok_and(|text| !text.contains('\0')) {
            true => sql,
            false => format!("select count(*) from {table} as t where strpos(t::text, '{digits}') > 0"),
        };
        let count: i64 = sqlx::query_scalar(AssertSqlSafe(sql))
            .fetch_one(&mut *conn)
            .await
            .unwrap();
        if count > 0 {
            found.push(table);
        }
    }
    found
}

/// Whether the file of a table holds these bytes.
async fn file_has(conn: &mut PgConnection, table: &str, bytes: &[u8]) -> bool {
    for sql in ["select pg_switch_wal()", "checkpoint"] {
        sqlx::raw_sql(sql).execute(&mut *conn).await.unwrap();
    }
    let file: Vec<u8> = sqlx::query_scalar(AssertSqlSafe(format!(
        "select pg_read_binary_file(pg_relation_filepath('{table}'))"
    )))
    .fetch_one(conn)
    .await
    .unwrap();
    file.windows(bytes.len()).any(|window| window == bytes)
}

/// The digest of an attribute as `formats/entry.md` has it.
fn digest(salt: &[u8; 32], path: &str, value: &str) -> Hash {
    Sha256::new_with_prefix(b"weir/attribute/v1\0")
        .chain_update(salt)
        .chain_update(u32::try_from(path.len()).unwrap().to_be_bytes())
        .chain_update(path)
        .chain_update(value)
        .finalize()
        .into()
}

/// Every salt that an intruder can have who has the whole database and the ledger's secret.
async fn every_salt(conn: &mut PgConnection, like: &Body) -> Vec<[u8; 32]> {
    let mut salts = Vec::new();
    let mut keys: Vec<BodyKey> = Vec::new();
    let segments: Vec<(i64, Vec<u8>)> = sqlx::query_as("select segment, wrapped from segment_key")
        .fetch_all(&mut *conn)
        .await
        .unwrap();
    for (segment, wrapped) in segments {
        let nodes = secret().unwrap(&wrapped, &format!("main/{segment}")).unwrap();
        let nodes = SegmentKey::from_bytes(&nodes).unwrap();
        // Numbers are given from the lowest on; those that were never given sealed nothing.
        keys.extend((0..10_000).filter_map(|index| nodes.body_key(index)));
    }
    let add = |body: &Body, key: &BodyKey, salts: &mut Vec<[u8; 32]>| {
        let all = Disclosure::of(body, key, |_| true);
        salts.extend(all.attributes().filter_map(|attribute| match attribute {
            DisclosedAttribute::Shown { salt, .. } => Some(*salt),
            DisclosedAttribute::Hidden { .. } => None,
        }));
    };
    for key in &keys {
        add(like, key, &mut salts);
    }
    // And those that stand in what opens.
    let bodies: Vec<(Vec<u8>, Vec<u8>, i64)> =
        sqlx::query_as("select entry, body, body_key from entry where body is not null")
            .fetch_all(conn)
            .await
            .unwrap();
    for (bytes, body, number) in bodies {
        let entry = Entry::decode(&bytes).unwrap();
        let opened = keys.iter().find_map(|key| {
            SealedBody(body.clone())
                .open(key, &leaf_hash(&bytes), &entry)
                .ok()
                .map(|open| (open, key))
        });
        let (opened, key) = opened.unwrap_or_else(|| panic!("nothing opens the body of key {number}"));
        add(&opened.body, key, &mut salts);
    }
    salts
}

fn is_found(salts: &[[u8; 32]], target: &Hash, path: &str, value: &str) -> bool {
    salts.iter().any(|salt| digest(salt, path, value) == *target)
}

#[tokio::test]
async fn an_erased_attribute_cannot_be_guessed_by_who_has_everything() {
    let world = World::new().await;
    let lease = world.lease("a").await;
    let body = Body {
        actor: Some("ann".to_owned()),
        keys: Some(item_keys("1")),
        new: Some(twenty("1")),
        ..Body::default()
    };
    let numbered = world.ledger.take_body_keys(1).await.unwrap().remove(0);
    let sealed = seal_body(&world.ledger, &lease, 1, "1", &body, &numbered);
    let (entry, before) = (sealed.entry.clone(), sealed.body.as_ref().unwrap().sealed.0.clone());
    world.ledger.append(batch(&lease, 0, 1, &[sealed])).await.unwrap();
    let disclosed = Disclosure::of(&body, &numbered.key, |_| true);
    let find = |wanted: &str| {
        disclosed.attributes().find_map(|attribute| match attribute {
            DisclosedAttribute::Shown { path, salt, value } if path == wanted => {
                Some((digest(salt, path, value), value.to_owned()))
            }
            _ => None,
        })
    };
    let (erased, kept) = ("/new/a07", "/new/a08");
    let (erased_digest, erased_value) = find(erased).unwrap();
    let (kept_digest, kept_value) = find(kept).unwrap();

    // Copies of it, as the index and a route make them.
    let mut index = world.ledger.claim_index().await.unwrap();
    let entries = world.ledger.read_from(Position(0), 10).await.unwrap();
    world.ledger.index(&mut index, &entries).await.unwrap();
    let mut consumer = world.ledger.claim_consumer("route:mail", Position(0)).await.unwrap();
    let letter = DeadLetter {
        delivery: "delivery".to_owned(),
        route: "mail".to_owned(),
        version: 1,
        position: Position(0),
        sink: None,
        code: "plugin-trap".to_owned(),
        reason: "value 7 of 1".to_owned(),
        attempts: 1,
        plugin_digest: None,
        plugin_log: Some("saw value 7 of 1".to_owned()),
        payload: Some(r#"{"a07":"value 7 of 1"}"#.to_owned()),
        created_at: None,
    };
    world
        .ledger
        .settle(&mut consumer, Position(1), &[letter])
        .await
        .unwrap();

    let mut conn = world.conn().await;
    let wrapped: Vec<u8> = sqlx::query_scalar("select wrapped from segment_key")
        .fetch_one(&mut conn)
        .await
        .unwrap();
    assert_eq!(tables_with(&mut conn, &before).await, ["entry_1_0"]);
    assert_eq!(tables_with(&mut conn, &wrapped).await, ["segment_key"]);
    assert_eq!(tables_with(&mut conn, b"value 7 of 1").await, ["dead_letter"]);
    assert!(file_has(&mut conn, "segment_key", &wrapped).await);
    let salts = every_salt(&mut conn, &body).await;
    assert!(is_found(&salts, &erased_digest, erased, &erased_value));
    assert!(is_found(&salts, &kept_digest, kept, &kept_value));

    erase(&world.ledger, &order(item("1"), &["a07"])).await;

    assert_eq!(tables_with(&mut conn, &before).await, Vec::<String>::new());
    assert_eq!(tables_with(&mut conn, &wrapped).await, Vec::<String>::new());
    assert_eq!(tables_with(&mut conn, b"value 7 of 1").await, Vec::<String>::new());
    assert!(!file_has(&mut conn, "segment_key", &wrapped).await);
    let salts = every_salt(&mut conn, &body).await;
    assert!(!is_found(&salts, &erased_digest, erased, &erased_value));
    assert!(is_found(&salts, &kept_digest, kept, &kept_value));

    // What was disclosed before, and what can be disclosed now, is true of the same entry in the same tree.
    let commitment = Entry::decode(&entry).unwrap().commitment().copied().unwrap();
    disclosed.verify(&commitment).unwrap();
    let read = world.process().await.read_at(&[0]).await.unwrap().remove(0);
    assert!(!read.is_erased);
    assert_eq!(read.body.new.as_ref().unwrap().len(), 19);
    let number: i64 = sqlx::query_scalar("select body_key from entry where position = 0")
        .fetch_one(&mut conn)
        .await
        .unwrap();
    let key = world.process().await.body_key(number).await.unwrap().unwrap();
    let left = Disclosure::of(&read.body, &key, |path| path.starts_with("/new/"));
    left.verify(&commitment).unwrap();
    assert_eq!(left.shown().count(), 19);
    let head = world.ledger.head().await.unwrap();
    let proof = world
        .ledger
        .roots(head.size, &inclusion_ranges(0, head.size))
        .await
        .unwrap();
    assert_eq!(
        root_of_inclusion(0, head.size, leaf_hash(&entry), &proof),
        Some(head.root)
    );
    assert!(!verified(&world.process().await).await.contains('\n'));
}

#[tokio::test]
async fn an_erased_item_leaves_neither_body_nor_key_nor_index_nor_copy() {
    let world = people().await;
    let mut index = world.ledger.claim_index().await.unwrap();
    let entries = world.ledger.read_from(Position(0), 10).await.unwrap();
    world.ledger.index(&mut index, &entries).await.unwrap();
    let mut conn = world.conn().await;
    let (body, number): (Vec<u8>, i64) = sqlx::query_as("select body, body_key from entry where position = 0")
        .fetch_one(&mut conn)
        .await
        .unwrap();
    let wrapped: Vec<u8> = sqlx::query_scalar("select wrapped from segment_key")
        .fetch_one(&mut conn)
        .await
        .unwrap();
    let indexed = "select count(*) from item_index where position = 0";
    let count: i64 = sqlx::query_scalar(indexed).fetch_one(&mut conn).await.unwrap();
    assert_eq!(count, 1);
    assert_eq!(tables_with(&mut conn, &body).await, ["entry_1_0"]);

    // A process that has the segment at hand.
    let other = world.process().await;
    assert!(other.body_key(number).await.unwrap().is_some());
    erase(&world.ledger, &order(item("1"), &[])).await;
    assert_eq!(tables_with(&mut conn, &body).await, Vec::<String>::new());
    assert_eq!(tables_with(&mut conn, &wrapped).await, Vec::<String>::new());
    assert!(!file_has(&mut conn, "segment_key", &wrapped).await);
    let count: i64 = sqlx::query_scalar(indexed).fetch_one(&mut conn).await.unwrap();
    assert_eq!(count, 0);
    assert!(world.ledger.body_key(number).await.unwrap().is_none());
    assert!(world.process().await.body_key(number).await.unwrap().is_none());
    // The process beside reads that it is gone, whatever it has at hand.
    let read = other.read_at(&[0]).await.unwrap().remove(0);
    assert!(read.is_erased && read.body == Body::default());
    assert!(!verified(&other).await.contains('\n'));
}
