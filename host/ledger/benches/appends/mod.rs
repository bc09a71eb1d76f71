//! A ledger in a database of the benchmark's own, and batches of one shard that follow each other.

use std::sync::Arc;

use sqlx::postgres::PgConnectOptions;
use sqlx::{AssertSqlSafe, ConnectOptions as _, Connection as _};
use weir_evidence::{Body, ConfigurationDigest, Entry, EntryKind, LedgerSecret, record};
use weir_ledger::{
    AppendTo, Appended, Database, KeyedBody, Ledger, NewShard, NewStream, NumberedBodyKey, Role, SealedItem,
    SealedRecord, ShardBatch, ShardLease,
};
use weir_model::{Assurance, AttributeValue, EventId, Item, LedgerName, Operation, SequenceNumber, ShardId, StreamArn};

const ARN: &str = "arn:aws:dynamodb:eu-west-1:000000000000:table/shop-orders/stream/2026-03-01T00:00:00.000";
const TABLE: &str = "shop-orders";

pub(crate) async fn open(options: &PgConnectOptions, name: &str) -> Ledger {
    let database = Database::connect(options.to_url_lossy().as_str(), Role::Writer).await;
    let database = database.expect("the database was just made");
    database.migrate().await.expect("the schema applies");
    let name = LedgerName::parse(name).expect("a name");
    let opened = database.open_or_create(&name, LedgerSecret::new(&[7; 32])).await;
    opened.expect("the ledger is made")
}

pub(crate) async fn execute(options: &PgConnectOptions, sql: &str) {
    let mut conn = options.connect().await.expect("Postgres answers");
    sqlx::raw_sql(AssertSqlSafe(sql))
        .execute(&mut conn)
        .await
        .expect("Postgres does what it is told");
    conn.close().await.expect("Postgres says goodbye");
}

/// The path: batches of one shard that follow each other. Their records are the same each time, which Postgres does not
/// notice: it compresses neither entry nor body.
pub(crate) struct Appends {
    pub(crate) ledger: Ledger,
    pub(crate) lease: ShardLease,
    pub(crate) records: Arc<[SealedRecord]>,
    pub(crate) recorded: u64,
}

impl Appends {
    /// Takes a shard of its own.
    pub(crate) async fn new(ledger: &Ledger, shard: &str, count: u64) -> Self {
        let stream = NewStream {
            source: "shop",
            arn: &StreamArn::parse(format!("{ARN}/{}", ledger.name())).expect("an ARN"),
            table: TABLE,
            key_names: &["order_id".to_owned()],
            records_from: None,
            entered_at: jiff::Timestamp::UNIX_EPOCH,
        };
        let stream_id = ledger
            .enter_stream(stream)
            .await
            .expect("the stream is entered")
            .stream_id;
        let shard = ShardId::parse(format!("shardId-00000001772366400000-{shard}")).expect("a shard");
        let new_shard = NewShard {
            shard: shard.clone(),
            parent: None,
            owed_from: None,
            is_orphan: false,
        };
        ledger
            .enter_shards(stream_id, &[new_shard], jiff::Timestamp::UNIX_EPOCH)
            .await
            .expect("the shard is entered");
        let worker = ledger
            .enter_worker("bench", None, &[], None)
            .await
            .expect("Postgres answers");
        let lease = ledger
            .claim_shard(worker, stream_id, &shard)
            .await
            .expect("nobody has the shard");
        let keys = ledger
            .take_body_keys(usize::try_from(count).expect("a batch is small"))
            .await
            .expect("there are keys");
        let records = (1..)
            .zip(&keys)
            .map(|(sequence, key)| seal(ledger, &lease, sequence, key));
        Self {
            records: records.collect(),
            ledger: ledger.clone(),
            lease,
            recorded: 0,
        }
    }

    pub(crate) async fn append(&mut self) {
        let count = self.records.len() as u64;
        let batch = ShardBatch {
            lease: self.lease.clone(),
            after: (self.recorded > 0).then(|| number(self.recorded)),
            to: AppendTo::Record(number(self.recorded + count)),
            records: Arc::clone(&self.records),
            first: Some(number(self.recorded + 1)),
            read: count,
            config: ConfigurationDigest([5; 16]),
        };
        let appended = self.ledger.append(batch).await.expect("Postgres takes the batch");
        assert!(matches!(appended, Appended::Written { .. }), "{appended:?}");
        self.recorded += count;
    }

    pub(crate) fn row_bytes(&self) -> usize {
        let bytes = self
            .records
            .iter()
            .map(|record| record.entry.len() + body(record).sealed.0.len());
        bytes.sum::<usize>() / self.records.len()
    }
}

pub(crate) fn body(record: &SealedRecord) -> &KeyedBody {
    record.body.as_ref().expect("a change has a body")
}

/// An insert of an order with eight attributes, each time another.
fn seal(ledger: &Ledger, lease: &ShardLease, sequence: u64, numbered: &NumberedBodyKey) -> SealedRecord {
    let order = format!("order-{sequence:09}");
    let keys = attributes(&[("order_id", &order)]);
    let body = Body {
        actor: Some("maria@example.com".to_owned()),
        new: Some(attributes(&[
            ("order_id", &order),
            ("customer", &format!("customer-{:06}", sequence * 7919 % 1_000_000)),
            ("status", "placed"),
            ("total", &format!("{}.{:02}", sequence * 37 % 520, sequence % 100)),
            ("items", &(sequence % 9 + 1).to_string()),
            (
                "note",
                "please ring twice, the bell is quiet; the neighbour takes parcels too",
            ),
            ("updated_by", "maria@example.com"),
            ("updated_at", "2026-03-01T12:00:00.004Z"),
        ])),
        keys: Some(keys.clone()),
        ..Body::default()
    };
    let sealed = record(&body, &numbered.key, |commitment| Entry {
        ledger: ledger.name().clone(),
        kind: EntryKind::Change {
            is_amendment: false,
            origin: lease.origin(),
            commitment,
            sequence: number(sequence),
            event: EventId::parse(format!("{:032x}", u128::from(sequence) << 64)).expect("an event id"),
            operation: Operation::Insert,
            table: TABLE.to_owned(),
            item: ledger.secret().item_token(TABLE, &keys),
            time: "2026-03-01T12:00:00Z".parse().expect("a time"),
            assurance: Assurance::Claimed,
            config: ConfigurationDigest([5; 16]),
        },
    });
    let recorded = sealed.expect("the entry is small");
    SealedRecord {
        sequence: Some(number(sequence)),
        item: Some(SealedItem {
            lane: ledger.secret().lane(TABLE, &keys),
            token: ledger.secret().item_token(TABLE, &keys).token,
            is_withheld: false,
        }),
        entry: recorded.entry,
        leaf: recorded.leaf,
        body: Some(KeyedBody {
            key: numbered.number,
            sealed: recorded.sealed,
            plain: None,
        }),
        is_redacted: false,
    }
}

pub(crate) fn number(sequence: u64) -> SequenceNumber {
    SequenceNumber::parse(sequence.to_string()).expect("digits are a sequence number")
}

fn attributes(pairs: &[(&str, &str)]) -> Item {
    let attribute = |&(name, value): &(&str, &str)| (name.to_owned(), AttributeValue::text(value));
    pairs.iter().map(attribute).collect()
}
