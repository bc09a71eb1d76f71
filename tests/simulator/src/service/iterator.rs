//! A shard iterator: a place in a shard, and until when it may be used. Opaque to readers.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use jiff::Timestamp;

/// Parts inside the opaque part.
const PARTS: usize = 4;

/// A place in a shard.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ShardIterator {
    pub(crate) stream: String,
    pub(crate) shard: String,
    /// The next record to read, counted from the first that the shard ever held.
    pub(crate) place: usize,
    pub(crate) issued_at: Timestamp,
    /// Who reads: the same from the first iterator to the last.
    pub(crate) reader: u64,
}

impl ShardIterator {
    /// As readers hold it: the stream, a version, and what they cannot see into.
    pub(crate) fn to_token(&self) -> String {
        let Self {
            shard, place, reader, ..
        } = self;
        let inside = format!("{shard}|{place}|{}|{reader}", self.issued_at.as_nanosecond());
        format!("{}|1|{}", self.stream, STANDARD.encode(inside))
    }

    /// Reads what readers hold; nothing if it was never given to them.
    pub(crate) fn from_token(token: &str) -> Option<Self> {
        let (stream, inside) = token.rsplit_once("|1|")?;
        let inside = String::from_utf8(STANDARD.decode(inside).ok()?).ok()?;
        let parts: Vec<&str> = inside.split('|').collect();
        let [shard, place, issued_at, reader] = <[&str; PARTS]>::try_from(parts).ok()?;
        Some(Self {
            stream: stream.to_owned(),
            shard: shard.to_owned(),
            place: place.parse().ok()?,
            issued_at: Timestamp::from_nanosecond(issued_at.parse().ok()?).ok()?,
            reader: reader.parse().ok()?,
        })
    }
}
