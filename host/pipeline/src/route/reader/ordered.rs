//! What operators ordered: dead letters that are sent again, and replays.

use std::collections::HashSet;
use std::sync::Arc;

use weir_ledger::{DeadLetter, Erasing, Replay};
use weir_model::{DeliveryId, Position};
use weir_runtime::HostError;

use super::{ERASED_IN_PART, Hindrance, Reader, Window};
use crate::Activities;
use crate::feed::{PAGE_ENTRIES_MAX, RecordedChange};
use crate::problem::error_chain;
use crate::route::decide::{self, Delivery};

/// Outputs of one change that are looked for, at most. More than any plugin may make.
const OUTPUTS_MAX: u32 = 1000;

/// A dead letter that was ordered to be sent again, and what is sent.
pub(in crate::route) struct Resent {
    pub(in crate::route) letter: DeadLetter,
    /// Itself; or what the newest version makes of its change, where there was nothing to send.
    pub(in crate::route) deliveries: Vec<Delivery>,
    /// What the newest version fails on once more.
    pub(in crate::route) dead_letters: Vec<DeadLetter>,
}

impl Reader {
    /// Decides about the entries of a replay from `next` on, until its end or until so many deliveries may come of them.
    pub(in crate::route) async fn replayed(
        &mut self,
        replay: &Replay,
        next: Position,
        count_max: usize,
    ) -> Result<Window, Hindrance> {
        loop {
            match self.try_replay(replay, next, count_max).await {
                Err(Hindrance::Plugin(HostError::TooMuchPoison)) if self.window_entries > 1 => self.window_entries /= 2,
                outcome => {
                    self.window_entries = self.window_entries.saturating_mul(2).min(PAGE_ENTRIES_MAX);
                    return outcome;
                }
            }
        }
    }

    async fn try_replay(&mut self, replay: &Replay, next: Position, count_max: usize) -> Result<Window, Hindrance> {
        let stretch = self.feed.stretch(next, self.window_entries).await?;
        let mut stretch = stretch.ok_or(Hindrance::NoEntry(next))?;
        stretch.cut(replay.until);
        let (version, until) = match replay.version {
            Some(number) => (self.versions.numbered(number).await?, None),
            None => self.versions.at(next).await?.unzip(),
        };
        let version = version.ok_or(Hindrance::NoVersion(next))?;
        if let Some(until) = until.flatten() {
            stretch.cut(until);
        }
        let mut taken = stretch.taken_by(&version.subscription, &self.partition);
        let is_meant = |change: &RecordedChange| replay.tokens.is_empty() || replay.tokens.contains(&change.item.token);
        taken.retain(|change| is_meant(change));
        // Each of them may go to every sink.
        let changes_max = (count_max / version.stored.definition.sinks.len().max(1)).max(1);
        if let Some(first_left) = taken.get(changes_max) {
            stretch.cut(first_left.position);
            taken.truncate(changes_max);
        }
        // What was sent of it before had more in it. Under its id there is no other payload.
        let erasing = self.ledger.erasing(taken.iter().map(|change| change.position)).await?;
        taken.retain(|change| !erasing.contains_key(&change.position));
        for position in erasing.keys() {
            tracing::info!(route = %self.route, %position, "something of the change was erased, or is to be; the replay leaves it out");
        }
        let decided = decide::decide(&self.route, &version, taken, &self.activities).await?;
        decided.tell_passed(&self.route);
        let next = match &decided.halt {
            Some((position, code)) => {
                tracing::warn!(route = %self.route, %position, code, "the plugin fails on a change; the replay leaves it out");
                Position(position.0 + 1)
            }
            None => stretch.until(),
        };
        let mut decided = decided.anew(replay.as_new.as_deref());
        for delivery in &mut decided.deliveries {
            delivery.replay = Some(replay.ordered_at);
        }
        Ok(Window {
            next,
            read_at: stretch.read_at(),
            deliveries: decided.deliveries,
            dead_letters: decided.dead_letters,
            halt: None,
        })
    }

    /// The replay of this route that is ordered, if there is one and the partition is not through it.
    pub(in crate::route) async fn ordered_replay(&self) -> Result<Option<Replay>, Hindrance> {
        let _turn = self.turns.to_read.acquire().await;
        let ordered = self.ledger.replay(&self.partition).await?;
        Ok(ordered.filter(|replay| replay.next < replay.until))
    }

    /// Makes what is sent of dead letters that were ordered to be sent again, of at most so many.
    pub(in crate::route) async fn redriven(&mut self, count_max: u16) -> Result<Vec<Resent>, Hindrance> {
        let letters = {
            let _turn = self.turns.to_read.acquire().await;
            self.ledger.ordered_redrives(&self.partition, count_max).await?
        };
        let mut all = Vec::with_capacity(letters.len());
        let mut seen = HashSet::new();
        let mut failed = None;
        for letter in letters {
            let (position, delivery) = (letter.position, letter.delivery.clone());
            match self.resend(letter).await {
                Ok(Some(mut resent)) => {
                    // Several letters of a change may each lead to all that comes of it.
                    resent.deliveries.retain(|delivery| seen.insert(delivery.id.clone()));
                    all.push(resent);
                }
                Ok(None) => {}
                Err(hindrance) => {
                    tracing::warn!(
                        route = %self.route,
                        %position,
                        delivery,
                        problem = error_chain(&hindrance),
                        "this dead letter cannot be sent again now"
                    );
                    failed = Some(hindrance);
                }
            }
        }
        match failed {
            Some(hindrance) if all.is_empty() => Err(hindrance),
            _ => Ok(all),
        }
    }

    /// What is sent of a dead letter; `None` while a part of it is being erased.
    async fn resend(&mut self, letter: DeadLetter) -> Result<Option<Resent>, Hindrance> {
        let position = letter.position;
        let (changes, _) = self.feed.changes_at(&[position.0.cast_signed()]).await?;
        let mut resent = Resent {
            letter,
            deliveries: Vec::new(),
            dead_letters: Vec::new(),
        };
        let was_sent = resent.letter.sink.is_some() && resent.letter.attempts > 0;
        match self.ledger.erasing(std::iter::once(position)).await?.get(&position) {
            Some(Erasing::Whole) => return Ok(Some(resent)),
            Some(Erasing::Pending) => return Ok(None),
            Some(Erasing::Done { .. }) if was_sent => {
                let (code, reason) = ERASED_IN_PART;
                resent.dead_letters.push(DeadLetter {
                    code: code.to_owned(),
                    reason: reason.to_owned(),
                    is_redriven: false,
                    ..resent.letter.clone()
                });
                return Ok(Some(resent));
            }
            _ => {}
        }
        let as_new = resent.letter.as_new.clone();
        if let Some(version) = self.versions.numbered(resent.letter.version).await? {
            let decided = self.decide(&version, &changes, &Activities::new()).await?;
            let decided = decided.anew(as_new.as_deref());
            let is_it = |made: &Delivery| made.id.to_string() == resent.letter.delivery;
            resent.deliveries.extend(decided.deliveries.into_iter().find(is_it));
        }
        if resent.deliveries.is_empty() {
            let number = output_of(&resent.letter, &changes);
            let version = self.versions.newest().await?.ok_or(Hindrance::NoVersion(position))?;
            let decided = self.decide(&version, &changes, &self.activities).await?;
            let decided = decided.anew(as_new.as_deref());
            resent.deliveries = decided.deliveries;
            if let Some(sink) = &resent.letter.sink {
                resent.deliveries.retain(|delivery| delivery.sink == *sink);
            }
            // The others of its outputs were sent when it failed.
            if let Some(number) = number {
                resent.deliveries.retain(|delivery| delivery.output == number);
            }
            resent.dead_letters = decided.dead_letters;
            if let Some((_, code)) = decided.halt {
                // A route halts before what it has not passed; here it is given up once more.
                resent.dead_letters.push(DeadLetter {
                    version: version.stored.version,
                    code,
                    reason: "the plugin fails on it once more".to_owned(),
                    is_redriven: false,
                    ..resent.letter.clone()
                });
            }
        }
        Ok(Some(resent))
    }
}

/// The output of the plugin that a letter is about, if it is about a single one.
fn output_of(letter: &DeadLetter, changes: &[Arc<RecordedChange>]) -> Option<u32> {
    let RecordedChange {
        stream,
        shard,
        sequence,
        ..
    } = &**changes.first()?;
    let id = |output| {
        let id = DeliveryId::derive(stream, shard, sequence, &letter.route, letter.version, output, "");
        match &letter.as_new {
            Some(name) => DeliveryId::anew(id.as_str(), name),
            None => id,
        }
    };
    (1..=OUTPUTS_MAX).find(|output| id(*output).as_str() == letter.delivery)
}
