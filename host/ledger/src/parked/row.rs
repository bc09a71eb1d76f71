//! Parked deliveries as rows: how they are written and read.

use jiff_sqlx::Timestamp as StoredTimestamp;
use jiff_sqlx::ToSqlx as _;

use super::{Parked, Tried};
use crate::head::unreadable;
use crate::{TokenBytes, from_stored, to_stored};

/// Rows to be inserted, by column.
#[derive(Default)]
pub(super) struct Columns {
    pub(super) delivery: Vec<String>,
    pub(super) route: Vec<String>,
    pub(super) sink: Vec<String>,
    pub(super) token: Vec<Vec<u8>>,
    pub(super) position: Vec<i64>,
    pub(super) output: Vec<i32>,
    pub(super) version: Vec<i32>,
    pub(super) attempts: Vec<i32>,
    pub(super) failures: Vec<i32>,
    pub(super) failed_at: Vec<Option<StoredTimestamp>>,
    pub(super) due_at: Vec<Option<StoredTimestamp>>,
    pub(super) as_new: Vec<Option<String>>,
}

impl Columns {
    pub(super) fn push(&mut self, parked: &Parked) -> sqlx::Result<()> {
        self.delivery.push(parked.delivery.clone());
        self.route.push(parked.route.clone());
        self.sink.push(parked.sink.clone());
        self.token.push(parked.token.to_vec());
        self.position.push(to_stored(parked.position));
        self.output.push(stored_number(parked.output, "output")?);
        self.version.push(stored_number(parked.version, "route version")?);
        self.attempts
            .push(parked.tried.map_or(0, |tried| tried.attempts.cast_signed()));
        self.failures
            .push(parked.tried.map_or(0, |tried| tried.failures.cast_signed()));
        self.failed_at.push(parked.tried.map(|tried| tried.failed_at.to_sqlx()));
        self.as_new.push(parked.as_new.clone());
        self.due_at.push(parked.tried.map(|tried| tried.due_at.to_sqlx()));
        Ok(())
    }
}

pub(super) struct StoredParked {
    pub(super) delivery: String,
    pub(super) route: String,
    pub(super) sink: String,
    pub(super) token: Vec<u8>,
    pub(super) position: i64,
    pub(super) output: i32,
    pub(super) version: i32,
    pub(super) attempts: i32,
    pub(super) failures: i32,
    pub(super) failed_at: Option<StoredTimestamp>,
    pub(super) due_at: Option<StoredTimestamp>,
    pub(super) as_new: Option<String>,
}

impl StoredParked {
    pub(super) fn read(self) -> sqlx::Result<Parked> {
        let tried = self.failed_at.zip(self.due_at).map(|(failed_at, due_at)| Tried {
            attempts: self.attempts.cast_unsigned(),
            failures: self.failures.cast_unsigned(),
            failed_at: failed_at.to_jiff(),
            due_at: due_at.to_jiff(),
        });
        Ok(Parked {
            delivery: self.delivery,
            route: self.route,
            version: self.version.cast_unsigned(),
            position: from_stored(self.position),
            output: self.output.cast_unsigned(),
            sink: self.sink,
            token: read_token(self.token)?,
            tried,
            as_new: self.as_new,
        })
    }
}

pub(super) fn read_token(stored: Vec<u8>) -> sqlx::Result<TokenBytes> {
    stored.try_into().map_err(|_| unreadable("token"))
}

pub(super) fn stored_number(number: u32, what: &str) -> sqlx::Result<i32> {
    i32::try_from(number).map_err(|_| unreadable(what))
}
