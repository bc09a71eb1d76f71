//! One changed byte anywhere in what is stored shows, and it shows where.
//!
//! `WEIR_FLIPS` says how many bytes are changed, `WEIR_TEST_SEED` which ones.

use sqlx::{AssertSqlSafe, PgConnection};
use weir_evidence::{Checkpoint, Closed, SigningKey};
use weir_ledger::{AppendTo, Ledger, ShardBatch};

use crate::support::{Shuffled, World, append, batch, end, seal, seal_items};

const FLIPS: u64 = 600;

/// Flips whose findings do not hide each other are looked for together. A verification tells at most 20 findings.
const FLIPS_AT_ONCE: u64 = 6;

/// What is flipped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    Entry,
    Body,
    BodyKey,
    Lane,
    Tile,
    Root,
    Frontier,
    Size,
    Checkpoint,
    VerifierKey,
    Segment,
    ShardPosition,
}

/// Flips that leave the entries as they are, and each of which is told for itself.
const BESIDE: [Place; 9] = [
    Place::Body,
    Place::Body,
    Place::Body,
    Place::BodyKey,
    Place::Lane,
    Place::Tile,
    Place::Root,
    Place::Frontier,
    Place::Checkpoint,
];

/// Flips that are looked for alone.
const ALONE: [Place; 4] = [Place::Size, Place::VerifierKey, Place::Segment, Place::ShardPosition];

/// One byte that is changed, and how it must be told.
struct Flip {
    /// Done twice, it is as before.
    sql: String,
    /// One of these stands in what is told.
    told: Vec<String>,
}

/// What can be flipped.
struct Stored {
    /// Bytes of entry and body of each position, and whether there is a lane.
    entries: Vec<(i32, Option<i32>, bool)>,
    /// Level, index.
    tiles: Vec<(i16, i64)>,
    frontier: i32,
    /// Size, note.
    checkpoints: Vec<(i64, String)>,
    vkeys: Vec<String>,
    /// Number, bytes.
    segments: Vec<(i64, i32)>,
    /// Shard, position.
    shards: Vec<(String, String)>,
}

impl Stored {
    async fn read(conn: &mut PgConnection) -> Self {
        Self {
            entries: sqlx::query_as(
                "select octet_length(entry), octet_length(body), lane is not null from entry order by position",
            )
            .fetch_all(&mut *conn)
            .await
            .unwrap(),
            tiles: sqlx::query_as("select level, index from tile")
                .fetch_all(&mut *conn)
                .await
                .unwrap(),
            frontier: sqlx::query_scalar("select octet_length(frontier) from ledger_head")
                .fetch_one(&mut *conn)
                .await
                .unwrap(),
            checkpoints: sqlx::query_as("select size, note from checkpoint")
                .fetch_all(&mut *conn)
                .await
                .unwrap(),
            vkeys: sqlx::query_scalar("select vkey from verifier_key")
                .fetch_all(&mut *conn)
                .await
                .unwrap(),
            segments: sqlx::query_as("select segment, octet_length(wrapped) from segment_key")
                .fetch_all(&mut *conn)
                .await
                .unwrap(),
            shards: sqlx::query_as("select shard, position from shard")
                .fetch_all(&mut *conn)
                .await
                .unwrap(),
        }
    }

    fn flip(&self, place: Place, shuffled: &mut Shuffled) -> Flip {
        let byte = 1 + shuffled.below(255);
        let mut below = |bound: usize| usize::try_from(shuffled.below(bound as u64)).unwrap();
        let bytes = |table: &str, column: &str, at: usize, which: &str| {
            format!("update {table} set {column} = set_byte({column}, {at}, get_byte({column}, {at}) # {byte}) {which}")
        };
        match place {
            Place::Entry => {
                let position = below(self.entries.len());
                let at = below(usize::try_from(self.entries[position].0).unwrap());
                Flip {
                    sql: bytes("entry", "entry", at, &format!("where position = {position}")),
                    told: vec![format!("position {position}:"), format!("position {position},")],
                }
            }
            Place::Body | Place::BodyKey | Place::Lane => {
                let position = loop {
                    let position = below(self.entries.len());
                    if self.entries[position].1.is_some() && self.entries[position].2 {
                        break position;
                    }
                };
                let which = format!("where position = {position}");
                let sql = match place {
                    Place::Body => {
                        let at = below(usize::try_from(self.entries[position].1.unwrap()).unwrap());
                        bytes("entry", "body", at, &which)
                    }
                    Place::Lane => format!("update entry set lane = lane # {byte} {which}"),
                    _ => {
                        let bits = byte << (8 * below(8));
                        format!("update entry set body_key = body_key # {} {which}", bits.cast_signed())
                    }
                };
                Flip {
                    sql,
                    told: vec![format!("position {position}:")],
                }
            }
            Place::Tile => {
                let (level, index) = self.tiles[below(self.tiles.len())];
                let which = format!("where level = {level} and index = {index}");
                Flip {
                    sql: bytes("tile", "hashes", below(8192), &which),
                    told: vec![format!("tile {level}/{index} ")],
                }
            }
            // Which of the two was changed need not be told where both were: they are never flipped together.
            Place::Root => Flip {
                sql: bytes("ledger_head", "root", below(32), ""),
                told: vec!["but the head says".to_owned()],
            },
            Place::Frontier => Flip {
                sql: bytes(
                    "ledger_head",
                    "frontier",
                    below(usize::try_from(self.frontier).unwrap()),
                    "",
                ),
                told: vec!["the head's frontier was changed".to_owned()],
            },
            Place::Size => {
                let bits = byte << (8 * below(7));
                Flip {
                    sql: format!("update ledger_head set size = size # {bits}"),
                    told: vec!["but the head says".to_owned(), "behind the head".to_owned()],
                }
            }
            Place::Checkpoint => {
                let (size, note) = &self.checkpoints[below(self.checkpoints.len())];
                Flip {
                    sql: text_flip("checkpoint", "note", note, &format!("where size = {size}"), &mut below),
                    told: vec![format!("the checkpoint over {size} entries ")],
                }
            }
            Place::VerifierKey => {
                let vkey = &self.vkeys[below(self.vkeys.len())];
                Flip {
                    sql: text_flip("verifier_key", "vkey", vkey, "", &mut below),
                    told: vec!["a stored public key was changed".to_owned()],
                }
            }
            Place::Segment => {
                let (segment, length) = self.segments[below(self.segments.len())];
                let at = below(usize::try_from(length).unwrap());
                Flip {
                    sql: bytes("segment_key", "wrapped", at, &format!("where segment = {segment}")),
                    told: vec![format!("segment key {segment} ")],
                }
            }
            Place::ShardPosition => {
                let (shard, position) = &self.shards[below(self.shards.len())];
                let which = format!("where shard = '{shard}'");
                let (at, digit) = (below(position.len()), 1 + below(9));
                let changed = (usize::from(position.as_bytes()[at] - b'0') + digit) % 10;
                let other = format!("{}{changed}{}", &position[..at], &position[at + 1..]);
                Flip {
                    // Done twice, it is as before.
                    sql: format!(
                        "update shard set position = case position when '{position}' then '{other}' else '{position}' end {which}"
                    ),
                    told: vec![format!("shard {shard}: ")],
                }
            }
        }
    }
}

/// Changes one character into another. Postgres keeps text as UTF-8, so both are ASCII.
fn text_flip(table: &str, column: &str, text: &str, which: &str, below: &mut impl FnMut(usize) -> usize) -> String {
    let (at, byte) = loop {
        let at = below(text.len());
        let old = text.as_bytes()[at];
        let new = u8::try_from(1 + below(127)).unwrap();
        if old.is_ascii() && old != new {
            break (at, old ^ new);
        }
    };
    let utf8 = format!("convert_to({column}, 'UTF8')");
    format!(
        "update {table} set {column} = convert_from(set_byte({utf8}, {at}, get_byte({utf8}, {at}) # {byte}), 'UTF8') {which}"
    )
}

/// A ledger with full tiles, several shards, batches, checkpoints of two keys, and two segments.
async fn ledger() -> World {
    let world = World::new().await;
    let (a, b) = (world.lease("a").await, world.lease("b").await);
    append(&world.ledger, &a, 0, 150).await.unwrap();
    sign(&world.ledger).await;
    world.tamper("update body_key_counter set next_number = 65500").await;
    let items: Vec<_> = (1..=200)
        .map(|sequence| {
            (
                sequence,
                ["milk", "bread", "butter"][usize::try_from(sequence % 3).unwrap()],
            )
        })
        .collect();
    let process = world.process().await;
    let records = seal_items(&process, &b, &items).await;
    process.append(batch(&b, 0, 200, &records)).await.unwrap();
    sign(&process).await;
    append(&world.ledger, &a, 150, 380).await.unwrap();
    let close = ShardBatch {
        to: AppendTo::Close(Closed::Interval),
        first: None,
        read: 0,
        ..batch(&a, 380, 380, &[])
    };
    world.ledger.append(close).await.unwrap();
    append(&world.ledger, &a, 380, 400).await.unwrap();
    let last = seal(&process, &b, 201..=205).await;
    process.append(end(&b, 200, Some(205), &last)).await.unwrap();
    sign(&world.ledger).await;
    world
}

/// Signs the head, as the publisher does.
pub(crate) async fn sign(ledger: &Ledger) {
    let origin = ledger.signing_origin("example.com/ledger").await.unwrap();
    let key = SigningKey::new(origin.origin.clone(), &[3; 32]).unwrap();
    ledger
        .note_verifier_keys(&[key.verifier_key().to_string()])
        .await
        .unwrap();
    let head = ledger.head().await.unwrap();
    let checkpoint = Checkpoint {
        origin: origin.origin.clone(),
        size: head.size,
        root: head.root,
    };
    let note = checkpoint.sign(&[key]).unwrap().to_string();
    ledger.store_checkpoint(&origin, head.size, &note).await.unwrap();
}

/// All that is told.
async fn told(ledger: &Ledger) -> String {
    match ledger.verify(|_, _| {}).await {
        Ok(verification) => {
            let findings: Vec<String> = verification.findings.iter().map(ToString::to_string).collect();
            findings.join("\n")
        }
        Err(error) => {
            let mut told = error.to_string();
            let mut cause: &dyn std::error::Error = &error;
            while let Some(next) = cause.source() {
                told += &format!(": {next}");
                cause = next;
            }
            told
        }
    }
}

#[tokio::test]
async fn one_changed_byte_anywhere_is_told_with_its_place() {
    let flips = std::env::var("WEIR_FLIPS").map_or(FLIPS, |flips| flips.parse().unwrap());
    let mut shuffled = Shuffled::new();
    let world = ledger().await;
    let mut conn = world.conn().await;
    sqlx::raw_sql("set session_replication_role = replica")
        .execute(&mut conn)
        .await
        .unwrap();
    let stored = Stored::read(&mut conn).await;
    assert_eq!((stored.entries.len() > 600, stored.tiles.len()), (true, 2));
    // The newest, and the first of its minute.
    assert_eq!((stored.checkpoints.len() >= 2, stored.segments.len()), (true, 2));
    assert_eq!(told(&world.ledger).await, "", "an untouched ledger");

    let (mut done, mut rounds, mut missed) = (0, 0_u64, Vec::new());
    while done < flips {
        let mut places = Vec::new();
        match rounds % 8 {
            0..=2 => places = vec![Place::Entry; 6],
            3..=6 => {
                while (places.len() as u64) < FLIPS_AT_ONCE {
                    let place = BESIDE[usize::try_from(shuffled.below(BESIDE.len() as u64)).unwrap()];
                    places.push(place);
                }
            }
            _ => places.push(ALONE[usize::try_from(shuffled.below(ALONE.len() as u64)).unwrap()]),
        }
        // Two flips of one place could undo or hide each other.
        let mut together: Vec<Flip> = Vec::new();
        for place in places {
            let flip = stored.flip(place, &mut shuffled);
            let is_apart = |other: &Flip| {
                other.told[0] != flip.told[0]
                    && !(other.sql.contains("ledger_head") && flip.sql.contains("ledger_head"))
            };
            if together.iter().all(is_apart) {
                together.push(flip);
            }
        }
        let all: Vec<&str> = together.iter().map(|flip| flip.sql.as_str()).collect();
        let all = all.join("; ");
        sqlx::raw_sql(AssertSqlSafe(all.clone()))
            .execute(&mut conn)
            .await
            .unwrap();
        // A process keeps segments for a while, and a fresh one reads what is stored.
        let found = match all.contains("segment_key") {
            true => told(&world.process().await).await,
            false => told(&world.ledger).await,
        };
        for flip in &together {
            if !flip.told.iter().any(|told| found.contains(told.as_str())) {
                missed.push(format!("{}\n    of: {all}\n    found: {found}", flip.sql));
            }
        }
        sqlx::raw_sql(AssertSqlSafe(all)).execute(&mut conn).await.unwrap();
        done += together.len() as u64;
        rounds += 1;
        if rounds % 50 == 0 {
            assert_eq!(told(&world.ledger).await, "", "an untouched ledger");
        }
    }
    assert_eq!(told(&world.process().await).await, "", "an untouched ledger");
    assert!(
        missed.is_empty(),
        "{} of {done} missed:\n{}",
        missed.len(),
        missed[..missed.len().min(5)].join("\n")
    );
}
