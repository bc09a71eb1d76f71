//! Pages of `GetRecords` as the service encodes them: items of three shapes, 1 KB each, in records with both images.

#[path = "../../tests/support/memory.rs"]
mod memory;

use serde_json::{Value, json};
use weir_model::{ShardId, StreamArn};
use weir_streams::{DynamoDbStreams, ShardReader};

/// Records of a page: as many as the service gives at most (streams.md 16).
pub(crate) const RECORDS: u64 = 1000;

pub(crate) const TABLE: &str = "shop-orders";
pub(crate) const ARN: &str = "arn:aws:dynamodb:us-east-1:000000000000:table/shop-orders/stream/2026-03-01T00:00:00.000";
pub(crate) const SHARD: &str = "shardId-00000001772366400000-f35f62ef";

/// The body of an answer with [`RECORDS`] records, whose sequence numbers begin at `first`, and the iterator behind them.
pub(crate) fn page(first: u64, next: &str) -> String {
    let records: Vec<Value> = (first..first + RECORDS).map(record).collect();
    json!({"NextShardIterator": next, "Records": records}).to_string()
}

/// The modification of an item: a new version, another status.
fn record(number: u64) -> Value {
    let (old, new) = match number % 3 {
        0 => (order(number, "placed"), order(number, "paid")),
        1 => (customer(number, 6), customer(number, 7)),
        _ => (reading(number, "20.75"), reading(number, "21.5")),
    };
    json!({
        "awsRegion": "us-east-1",
        "dynamodb": {
            "ApproximateCreationDateTime": 1_772_366_400 + number / 1000,
            "Keys": {"id": new["id"]},
            "NewImage": new,
            "OldImage": old,
            "SequenceNumber": format!("{:021}", 400_000_000_000_000_000 + number),
            "SizeBytes": 2_100,
            "StreamViewType": "NEW_AND_OLD_IMAGES"
        },
        "eventID": format!("{:032x}", u128::from(number) << 64 | 0x0b7a_1c9a),
        "eventName": "MODIFY",
        "eventSource": "aws:dynamodb",
        "eventVersion": "1.1"
    })
}

/// Nineteen attributes, two lines of an order among them.
fn order(number: u64, status: &str) -> Value {
    json!({
        "id": {"S": format!("order-2026-03-01-{number:012}")},
        "billing_city": {"S": "Hamburg"},
        "billing_street": {"S": "Lange Reihe 110, second floor on the left"},
        "carrier": {"S": "parcel-north"},
        "coupon": {"NULL": true},
        "created_at": {"S": "2026-03-01T11:58:03.120Z"},
        "currency": {"S": "EUR"},
        "customer": {"S": format!("customer-{number:020}")},
        "gift": {"BOOL": false},
        "items": {"L": [
            {"M": {"sku": {"S": "mug-blue-0.3l"}, "count": {"N": "2"}, "price": {"N": "12.50"}}},
            {"M": {"sku": {"S": "tea-assam-250g"}, "count": {"N": "1"}, "price": {"N": "8.90"}}}
        ]},
        "note": {"S": "please ring twice, the bell is quiet; the neighbour takes parcels too".repeat(8)},
        "payment": {"S": "card"},
        "shipping_fee": {"N": "4.90"},
        "status": {"S": status},
        "tax": {"N": "6.18"},
        "total": {"N": format!("{}.{:02}", number * 37 % 520, number % 100)},
        "updated_at": {"S": "2026-03-01T12:00:00.004Z"},
        "updated_by": {"S": "maria.gonzalez@example.com"},
        "version": {"N": "7"}
    })
}

/// Twelve attributes: long texts, one of them with escapes, and an address.
fn customer(number: u64, version: u64) -> Value {
    json!({
        "id": {"S": format!("customer-{number:020}")},
        "active": {"BOOL": true},
        "address": {"M": {
            "street": {"S": "Große Bergstraße 14"}, "city": {"S": "Hamburg"}, "zip": {"S": "22767"},
            "floor": {"N": "3"}, "lift": {"BOOL": false}
        }},
        "email": {"S": format!("maria.gonzalez.{number}@example.com")},
        "introduction": {"S": "Runs the shop on the corner since 1998, and is never closed on Mondays. ".repeat(10)},
        "name": {"S": "María González"},
        "note": {"S": "asked for \"the usual\"\nand for a receipt"},
        "points": {"N": (number * 7919 % 1_000_000).to_string()},
        "registered_at": {"S": "2019-11-04T08:15:30.000Z"},
        "updated_at": {"S": "2026-03-01T12:00:00.004Z"},
        "updated_by": {"S": "crm-import"},
        "version": {"N": version.to_string()}
    })
}

/// Ten attributes: many numbers in a list.
fn reading(number: u64, celsius: &str) -> Value {
    let samples: Vec<Value> = (0..48)
        .map(|sample| json!({"N": format!("{}.{:03}", 18 + (number + sample) % 5, sample * 41 % 1000)}))
        .collect();
    json!({
        "id": {"S": format!("sensor-{number:010}")},
        "battery": {"N": "0.87"},
        "celsius": {"N": celsius},
        "firmware": {"S": "4.11.0-rc2"},
        "location": {"M": {"lat": {"N": "53.5588321"}, "lon": {"N": "9.9278512"}, "room": {"S": "cold storage 4"}}},
        "measured_at": {"N": "1772366400123"},
        "samples": {"L": samples},
        "status": {"S": "ok"},
        "transcript": {"S": "self-test passed; radio link good; next maintenance in 112 days. ".repeat(9)},
        "updated_by": {"S": "gateway-17"}
    })
}

/// A shard without an end, in memory: every read gives this page.
pub(crate) async fn endless(page: &str) -> ShardReader {
    let streams = DynamoDbStreams::from_config(&memory::answering(page).await);
    let (stream, shard) = (StreamArn::parse(ARN), ShardId::parse(SHARD));
    streams.read(&stream.expect("an ARN"), TABLE, &shard.expect("a shard id"), None)
}
