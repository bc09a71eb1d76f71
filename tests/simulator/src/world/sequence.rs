//! Sequence numbers: 21 to 40 digits, rising within a lineage, comparable nowhere else.
//!
//! The length is that of the API model (`SequenceNumber`: 21 to 40 characters). 40 digits do not fit 128 bits, and some
//! lineages here begin just below a power of ten, so that a comparison of text alone soon goes wrong.

use std::cmp::Ordering;

use serde::{Deserialize, Serialize};

use crate::random::Random;

/// Fewest digits of the API model.
const DIGITS_MIN: usize = 21;

/// Most digits of the API model.
const DIGITS_MAX: usize = 40;

/// The place of a record in its shard.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct SequenceNumber(String);

impl SequenceNumber {
    /// The digits.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Reads digits; nothing if it is no sequence number.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let fits = text.len() <= DIGITS_MAX && !text.is_empty();
        let digits = text.bytes().all(|byte| byte.is_ascii_digit());
        let text = text.trim_start_matches('0');
        (fits && digits).then(|| Self(text.to_owned()))
    }
}

impl Ord for SequenceNumber {
    fn cmp(&self, other: &Self) -> Ordering {
        (self.0.len(), &self.0).cmp(&(other.0.len(), &other.0))
    }
}

impl PartialOrd for SequenceNumber {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

/// Gives the numbers of one lineage. A child goes on from a copy of its parent's.
#[derive(Clone, Debug)]
pub(crate) struct SequenceCounter {
    digits: Vec<u8>,
}

impl SequenceCounter {
    /// Begins a lineage anywhere.
    pub(crate) fn begin(random: &mut Random) -> Self {
        let length = DIGITS_MIN + random.index(DIGITS_MAX - DIGITS_MIN + 1);
        let nearly_full = length < DIGITS_MAX && random.chance(0.25);
        let digits = (0..length).map(|place| match place {
            // Room above: a lineage of 40 digits never needs a forty-first.
            0 if !nearly_full => 1 + below_ten(random, 8),
            _ if nearly_full && place + 11 < length => 9,
            _ => below_ten(random, 10),
        });
        Self {
            digits: digits.collect(),
        }
    }

    /// The next number, some way above the last.
    pub(crate) fn next(&mut self, random: &mut Random) -> SequenceNumber {
        let mut carry = 1 + random.below(1 << 32);
        for digit in self.digits.iter_mut().rev() {
            carry += u64::from(*digit);
            *digit = u8::try_from(carry % 10).expect("a digit is below ten");
            carry /= 10;
        }
        while carry > 0 {
            let digit = u8::try_from(carry % 10).expect("a digit is below ten");
            self.digits.insert(0, digit);
            carry /= 10;
        }
        SequenceNumber(self.digits.iter().map(|digit| char::from(b'0' + digit)).collect())
    }
}

fn below_ten(random: &mut Random, bound: u64) -> u8 {
    u8::try_from(random.below(bound)).expect("a digit is below ten")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_of_a_lineage_rise_and_keep_to_the_model_whatever_the_seed() {
        let mut lengths = std::collections::BTreeSet::new();
        for seed in 0..500 {
            let mut random = Random::new(seed);
            let mut counter = SequenceCounter::begin(&mut random);
            let mut last = counter.next(&mut random);
            for _ in 0..50 {
                let next = counter.next(&mut random);
                assert!(last < next, "{last:?} {next:?}");
                assert!((DIGITS_MIN..=DIGITS_MAX).contains(&next.0.len()), "{next:?}");
                last = next;
            }
            lengths.insert(last.0.len());
        }
        assert_eq!(lengths.len(), DIGITS_MAX - DIGITS_MIN + 1);
    }

    #[test]
    fn a_longer_number_is_the_larger_one() {
        let number = |text: &str| SequenceNumber::parse(text).unwrap();
        assert!(number("999999999999999999999") < number("1000000000000000000000"));
    }
}
