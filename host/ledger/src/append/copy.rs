//! Writes rows in the binary format of COPY (Postgres manual, "COPY", "Binary Format").

use sqlx::PgConnection;
use weir_model::Position;

use super::SealedRecord;

/// Bytes gathered before they are handed to the connection.
const CHUNK_BYTES: usize = 256 << 10;

/// One row of `entry`, but for its place.
pub(super) struct Row<'a> {
    pub(super) lane: Option<u8>,
    pub(super) entry: &'a [u8],
    pub(super) body: Option<(i64, &'a [u8])>,
}

impl<'a> Row<'a> {
    pub(super) fn of(record: &'a SealedRecord) -> Self {
        Self {
            lane: record.lane(),
            entry: &record.entry,
            body: record.body.as_ref().map(|body| (body.key, body.sealed.0.as_slice())),
        }
    }

    /// A row of an entry that has no body and is about no item.
    pub(super) fn bare(entry: &'a [u8]) -> Self {
        Self {
            lane: None,
            entry,
            body: None,
        }
    }
}

/// Copies rows to where the head stands.
pub(super) async fn copy_rows(
    conn: &mut PgConnection,
    ledger_id: i32,
    first: Position,
    rows: &[Row<'_>],
) -> sqlx::Result<()> {
    if rows.is_empty() {
        return Ok(());
    }
    let mut copy = conn
        .copy_in_raw("copy entry (ledger_id, position, lane, body_key, entry, body) from stdin with (format binary)")
        .await?;
    let mut bytes = Vec::with_capacity(CHUNK_BYTES + (64 << 10));
    bytes.extend_from_slice(b"PGCOPY\n\xff\r\n\0\0\0\0\0\0\0\0\0");
    for (position, row) in (first.0..).zip(rows) {
        bytes.extend_from_slice(&6_i16.to_be_bytes());
        field(&mut bytes, &ledger_id.to_be_bytes());
        field(&mut bytes, &position.to_be_bytes());
        optional_field(&mut bytes, row.lane.map(|lane| i16::from(lane).to_be_bytes()));
        optional_field(&mut bytes, row.body.map(|(key, _)| key.to_be_bytes()));
        field(&mut bytes, row.entry);
        optional_field(&mut bytes, row.body.map(|(_, sealed)| sealed));
        if bytes.len() >= CHUNK_BYTES {
            copy.send(bytes.as_slice()).await?;
            bytes.clear();
        }
    }
    bytes.extend_from_slice(&(-1_i16).to_be_bytes());
    copy.send(bytes).await?;
    copy.finish().await?;
    Ok(())
}

fn optional_field(row: &mut Vec<u8>, value: Option<impl AsRef<[u8]>>) {
    match value {
        Some(value) => field(row, value.as_ref()),
        None => row.extend_from_slice(&(-1_i32).to_be_bytes()),
    }
}

fn field(row: &mut Vec<u8>, value: &[u8]) {
    let length = i32::try_from(value.len()).expect("entries and bodies are below 2 GiB");
    row.extend_from_slice(&length.to_be_bytes());
    row.extend_from_slice(value);
}
