//! Hands out body keys by number, and finds them again.
//!
//! Numbers have nothing to do with positions, which are known only under the head's lock. A process reserves a run of
//! numbers; what a crash leaves of a run is never used.

use std::sync::{Arc, PoisonError};
use std::time::{Duration, Instant};

use weir_evidence::{BODY_KEYS_PER_SEGMENT, BodyKey, SegmentKey};

use crate::{Ledger, in_time};

/// Numbers reserved at a time: a round trip per few thousand entries, and little lost at a crash.
const RUN_LENGTH: i64 = 4096;

/// How long a process works with a segment that it read: so long it may still open what another process erased.
const KNOWN_MAX: Duration = Duration::from_secs(30);

/// A body key and the number that finds it again.
pub struct NumberedBodyKey {
    /// Stored beside the body.
    pub number: i64,
    /// The key.
    pub key: BodyKey,
}

/// Why there is no body key.
#[derive(Debug, thiserror::Error)]
pub enum BodyKeyError {
    /// The stored segment key does not open under this ledger's secret: it was changed.
    #[error("segment key {segment} does not open under this ledger's secret")]
    Unauthentic {
        /// Which segment.
        segment: i64,
    },
    /// The segment key of a body that was recorded is not there.
    #[error("segment key {segment} is missing")]
    Missing {
        /// Which segment.
        segment: i64,
    },
    /// The operating system gave no randomness.
    #[error("no randomness: {0}")]
    Randomness(getrandom::Error),
    /// Postgres failed. Asking again is safe.
    #[error("could not read body keys")]
    Database(#[from] sqlx::Error),
}

impl Ledger {
    /// Hands out `count` keys that were never used.
    ///
    /// # Errors
    ///
    /// Postgres failed or a stored segment was changed. Numbers may have been lost; that does no harm.
    pub async fn take_body_keys(&self, count: usize) -> Result<Vec<NumberedBodyKey>, BodyKeyError> {
        let mut keys = Vec::with_capacity(count);
        let mut reserved = self.shared.reserved.lock().await;
        while keys.len() < count {
            let Some(number) = reserved.next() else {
                *reserved = in_time(self.reserve_run()).await?;
                continue;
            };
            // In a database that was restored, a number may be free whose key was destroyed.
            if let Some(key) = self.body_key(number).await? {
                keys.push(NumberedBodyKey { number, key });
            }
        }
        Ok(keys)
    }

    /// Sees to it that none of these numbers is handed out, nor any below them. A database that was restored from before
    /// their keys were destroyed would hand them out again, and what they seal would be destroyed with them.
    ///
    /// # Errors
    ///
    /// Postgres failed.
    pub async fn skip_body_keys(&self, destroyed: &[i64]) -> Result<(), BodyKeyError> {
        let Some(highest) = destroyed.iter().max() else {
            return Ok(());
        };
        let mut reserved = self.shared.reserved.lock().await;
        let next_segment = (segment_of(*highest) + 1) * BODY_KEYS_PER_SEGMENT.cast_signed();
        let skipped = sqlx::query!(
            "update body_key_counter set next_number = $3 where ledger_id = $1 and next_number <= $2",
            self.shared.id,
            highest,
            next_segment,
        )
        .execute(&self.shared.pool);
        in_time::<_, sqlx::Error>(skipped).await?;
        if reserved.start <= *highest {
            *reserved = 0..0;
        }
        Ok(())
    }

    /// Finds a key by its number; `None` if it was destroyed.
    ///
    /// # Errors
    ///
    /// Postgres failed or the stored segment was changed.
    pub async fn body_key(&self, number: i64) -> Result<Option<BodyKey>, BodyKeyError> {
        let segment = self.segment(segment_of(number)).await?;
        let index =
            u16::try_from(number.rem_euclid(BODY_KEYS_PER_SEGMENT.cast_signed())).expect("a segment has 2^16 keys");
        Ok(segment.body_key(index))
    }

    async fn reserve_run(&self) -> Result<std::ops::Range<i64>, BodyKeyError> {
        let end = sqlx::query_scalar!(
            "update body_key_counter set next_number = next_number + $2 where ledger_id = $1 returning next_number",
            self.shared.id,
            RUN_LENGTH,
        )
        .fetch_one(&self.shared.pool)
        .await?;
        let run = end - RUN_LENGTH..end;
        for segment in segment_of(run.start)..=segment_of(run.end - 1) {
            self.ensure_segment(segment).await?;
        }
        Ok(run)
    }

    async fn segment(&self, segment: i64) -> Result<Arc<SegmentKey>, BodyKeyError> {
        let segments = || self.shared.segments.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((known, read_at)) = segments().get(&segment)
            && read_at.elapsed() < KNOWN_MAX
        {
            return Ok(Arc::clone(known));
        }
        let loaded = Arc::new(in_time(self.load_segment(segment)).await?);
        let mut segments = segments();
        // What was not asked for lately is forgotten: memory is a copy of keys too.
        segments.retain(|_, (_, read_at)| read_at.elapsed() < KNOWN_MAX);
        segments.insert(segment, (Arc::clone(&loaded), Instant::now()));
        Ok(loaded)
    }

    /// Forgets every segment, because keys in some were destroyed.
    pub(crate) fn forget_segments(&self) {
        self.shared
            .segments
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clear();
    }

    /// Makes the segment's root, unless it has one.
    async fn ensure_segment(&self, segment: i64) -> Result<(), BodyKeyError> {
        let context = self.segment_context(segment);
        let (mut root, mut nonce) = ([0; 32], [0; 12]);
        getrandom::fill(&mut root).map_err(BodyKeyError::Randomness)?;
        getrandom::fill(&mut nonce).map_err(BodyKeyError::Randomness)?;
        let fresh = self
            .shared
            .secret
            .wrap(&SegmentKey::new(root).to_bytes(), nonce, &context);
        sqlx::query!(
            "insert into segment_key (ledger_id, segment, wrapped) values ($1, $2, $3) on conflict do nothing",
            self.shared.id,
            segment,
            fresh,
        )
        .execute(&self.shared.pool)
        .await?;
        Ok(())
    }

    pub(crate) async fn load_segment(&self, segment: i64) -> Result<SegmentKey, BodyKeyError> {
        let wrapped = sqlx::query_scalar!(
            "select wrapped from segment_key where ledger_id = $1 and segment = $2",
            self.shared.id,
            segment,
        )
        .fetch_optional(&self.shared.pool)
        .await?
        .ok_or(BodyKeyError::Missing { segment })?;
        self.shared
            .secret
            .unwrap(&wrapped, &self.segment_context(segment))
            .and_then(|nodes| SegmentKey::from_bytes(&nodes).ok())
            .ok_or(BodyKeyError::Unauthentic { segment })
    }

    /// What binds a wrapped segment key to its place.
    pub(crate) fn segment_context(&self, segment: i64) -> String {
        format!("{}/{segment}", self.shared.name)
    }
}

pub(crate) fn segment_of(number: i64) -> i64 {
    number.div_euclid(BODY_KEYS_PER_SEGMENT.cast_signed())
}
