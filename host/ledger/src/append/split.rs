//! Finds the one record that Postgres refuses, so that all others are recorded.
//!
//! A group that is refused for a reason of data is tried batch by batch; a batch that is refused alone, half by half.

use weir_evidence::TileEdge;

use super::{APPEND_TIMEOUT, AppendError, AppendTo, Appended, ShardBatch};
use crate::{Ledger, timed_out};

impl Ledger {
    /// Appends a group, and says of each batch what became of it.
    pub(super) async fn append_group(
        &self,
        batches: &[ShardBatch],
        edge: &mut Option<TileEdge>,
    ) -> Vec<Result<Appended, AppendError>> {
        match self.try_group(batches, edge).await {
            Ok(results) => results,
            Err(GroupError::Refused(_)) => {
                let mut results = Vec::with_capacity(batches.len());
                for batch in batches {
                    results.push(self.append_alone(batch, edge).await);
                }
                results
            }
            Err(GroupError::Failed(error)) => {
                // The error goes to the first; the others learn the same in words.
                let words = error.to_string();
                let mut first = Some(error);
                let error = |_| first.take().unwrap_or_else(|| sqlx::Error::Protocol(words.clone()));
                batches
                    .iter()
                    .map(error)
                    .map(|error| Err(AppendError::Database(error)))
                    .collect()
            }
        }
    }

    async fn try_group(
        &self,
        batches: &[ShardBatch],
        edge: &mut Option<TileEdge>,
    ) -> Result<Vec<Result<Appended, AppendError>>, GroupError> {
        let attempt = tokio::time::timeout(APPEND_TIMEOUT, self.transact_group(batches, edge));
        attempt.await.unwrap_or_else(|_| Err(GroupError::Failed(timed_out())))
    }

    async fn append_alone(&self, batch: &ShardBatch, edge: &mut Option<TileEdge>) -> Result<Appended, AppendError> {
        // Parts still to be appended, the next one last: begin and end among the records.
        let mut parts = vec![(0, batch.records.len())];
        let mut first_written = None;
        while let Some((begin, end)) = parts.pop() {
            let part = part_of(batch, begin, end);
            match self.try_group(std::slice::from_ref(&part), edge).await {
                Ok(mut results) => match results.pop().expect("one result for one batch")? {
                    Appended::Written { first, head } => {
                        let first = *first_written.get_or_insert(first);
                        if parts.is_empty() {
                            return Ok(Appended::Written { first, head });
                        }
                    }
                    Appended::AlreadyThere if parts.is_empty() => return Ok(Appended::AlreadyThere),
                    Appended::AlreadyThere => {}
                },
                Err(GroupError::Refused(error)) => match middle_of(batch, begin, end) {
                    Some(middle) => parts.extend([(middle, end), (begin, middle)]),
                    None => {
                        let reason = error.to_string();
                        return Err(AppendError::Refused {
                            index: end.saturating_sub(1),
                            reason,
                        });
                    }
                },
                Err(GroupError::Failed(error)) => return Err(error.into()),
            }
        }
        Ok(Appended::AlreadyThere)
    }
}

/// The part of a batch that has these records. What was read and skipped counts for the last part.
fn part_of(batch: &ShardBatch, begin: usize, end: usize) -> ShardBatch {
    let is_last = end == batch.records.len();
    if begin == 0 && is_last {
        return batch.clone();
    }
    let records: std::sync::Arc<[_]> = batch.records[begin..end].into();
    let sequence_before = |index: usize| {
        batch.records[..index]
            .iter()
            .rev()
            .find_map(|record| record.sequence.clone())
    };
    let recorded = |index: usize| {
        batch.records[..index]
            .iter()
            .filter(|record| record.sequence.is_some())
            .count() as u64
    };
    let first = records.iter().find_map(|record| record.sequence.clone());
    let reached = sequence_before(end);
    ShardBatch {
        after: sequence_before(begin).or_else(|| batch.after.clone()),
        to: match (is_last, reached) {
            (false, Some(reached)) => AppendTo::Record(reached),
            _ => batch.to.clone(),
        },
        first: if begin == 0 { batch.first.clone() } else { first },
        read: if is_last {
            batch.read - recorded(begin)
        } else {
            recorded(end) - recorded(begin)
        },
        records,
        ..batch.clone()
    }
}

/// Where to cut. A gap stays with the record behind it: both are recorded or neither.
fn middle_of(batch: &ShardBatch, begin: usize, end: usize) -> Option<usize> {
    let has_gap = batch.records.get(begin).is_some_and(|record| record.sequence.is_none());
    let middle = (begin + usize::from(has_gap) + 1).max(begin + (end - begin) / 2);
    (middle < end).then_some(middle)
}

/// Why a group was not committed.
#[derive(Debug)]
pub(super) enum GroupError {
    /// Postgres does not take one of the rows. Nothing of the group is there.
    Refused(sqlx::Error),
    /// Postgres is in trouble, or something else than a row is. The group may be there, if it failed during commit.
    Failed(sqlx::Error),
}

impl From<sqlx::Error> for GroupError {
    fn from(error: sqlx::Error) -> Self {
        Self::Failed(error)
    }
}

impl GroupError {
    /// What a failure to copy rows means, by SQLSTATE class: 22 data, 23 integrity, 54 limits exceeded and P0 (raised by a
    /// trigger) are about rows.
    pub(super) fn of_copy(error: sqlx::Error) -> Self {
        let is_about_rows = error.as_database_error().is_some_and(|error| {
            let code = error.code().unwrap_or_default();
            // No record is to blame for a position that is taken, which says that something is behind the head, nor for one
            // that no partition takes: a violated check that has no name.
            let is_about_place = code == "23505" || (code == "23514" && error.constraint().is_none());
            !is_about_place && ["22", "23", "54", "P0"].iter().any(|class| code.starts_with(class))
        });
        if is_about_rows {
            Self::Refused(error)
        } else {
            Self::Failed(error)
        }
    }
}
