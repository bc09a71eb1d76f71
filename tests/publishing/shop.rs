//! A Weir beside a table that it records, and what is signed of it.

use aws_sdk_dynamodb::types::AttributeValue;
use serde_json::Value;
use weir_dev::{DynamoDbStorage, LocalDynamoDb};
use weir_tests::{Weir, WeirProcess, eventually};

pub(crate) const TABLE: &str = "proof-orders";

/// A Weir beside a table that it records.
pub(crate) struct Shop {
    pub(crate) dynamodb: LocalDynamoDb,
    pub(crate) weir: Weir,
    pub(crate) written: u64,
}

impl Shop {
    pub(crate) async fn open(more: &str) -> Self {
        let dynamodb = LocalDynamoDb::start(0, DynamoDbStorage::Memory).await.unwrap();
        dynamodb.ensure_table(TABLE, "id").await.unwrap();
        let weir = Weir::configure(&format!(
            "[source.shop]\ntable = \"{TABLE}\"\nendpoint = \"{}\"\ntest_credentials = true\n{more}",
            dynamodb.endpoint()
        ));
        let written = 0;
        Self {
            dynamodb,
            weir,
            written,
        }
    }

    /// Changes the table, without waiting for anything.
    pub(crate) async fn write(&mut self, count: u64) {
        for number in self.written..self.written + count {
            let put = self.dynamodb.client().put_item().table_name(TABLE);
            let put = put.item("id", AttributeValue::S(format!("order-{number}")));
            put.item("total", AttributeValue::N(number.to_string()))
                .send()
                .await
                .unwrap();
        }
        self.written += count;
    }

    /// Runs, records and signs `count` more changes.
    pub(crate) async fn run(&mut self, count: u64) -> WeirProcess {
        self.write(count).await;
        let running = self.weir.run(None);
        self.weir.recorded(self.written).await;
        self.signed().await;
        running
    }

    /// Waits until everything that is recorded is signed.
    pub(crate) async fn signed(&self) -> Value {
        self.weir.answers().await;
        eventually("the head is signed", async || {
            let head = self.weir.head().await;
            (head["published"]["size"] == head["size"] && head["published"]["stopped"].is_null()).then_some(head)
        })
        .await
    }

    /// Waits until nothing is signed, and tells why.
    pub(crate) async fn not_signed(&self) -> String {
        self.weir.answers().await;
        eventually("signing stops", async || {
            self.weir.head().await["published"]["stopped"]
                .as_str()
                .map(str::to_owned)
        })
        .await
    }

    /// Has the source record otherwise than before: other entries of the same records.
    pub(crate) fn record_otherwise(&self) {
        let config = std::fs::read_to_string(self.weir.path("weir.toml")).unwrap();
        let otherwise = config.replace("[source.shop]\n", "[source.shop]\nactor = { attribute = \"id\" }\n");
        self.weir.write("weir.toml", &otherwise);
    }

    pub(crate) fn newest_checkpoint(&self) -> String {
        self.weir.database.psql("select max(size) from checkpoint")
    }
}

/// The public key of a signed head.
pub(crate) fn key(head: &Value) -> String {
    head["published"]["keys"][0].as_str().unwrap().to_owned()
}
