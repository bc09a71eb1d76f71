//! What was erased cannot be had again, by nobody who has the whole database and the ledger's secret.

use sha2::{Digest as _, Sha256};
use sqlx::{AssertSqlSafe, PgConnection};
use weir_evidence::{
    Body, BodyKey, DisclosedAttribute, Disclosure, Entry, Hash, SealedBody, SegmentKey, inclusion_ranges, leaf_hash,
    root_of_inclusion,
};
use weir_ledger::{DeadLetter, Settlement};
use weir_model::{AttributeValue, Item, Position};

use crate::erasure::{erase, item, order, people};
use crate::support::{World, batch, item_keys, seal_body, secret};
use crate::tampering::verified;

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
    world.ledger.index(&mut index, 10).await.unwrap();
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
        is_redriven: false,
        as_new: None,
    };
    world
        .ledger
        .settle(&mut consumer, Position(1), &Settlement::of_dead_letters([letter]))
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
    world.ledger.index(&mut index, 10).await.unwrap();
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
