//! What an erasure is about: written into the sealed body of the entry that announces it, before anything is erased.

use serde::{Deserialize, Serialize};

/// What is going to be erased.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ErasurePlan {
    /// What was asked for, in words: the item, the subject, the age.
    pub selector: String,
    /// Paths of the attributes, where only attributes are erased: `/new/email`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub paths: Vec<String>,
    /// Positions whose bodies it is about.
    pub positions: Positions,
}

impl ErasurePlan {
    /// Its text in the body.
    #[must_use]
    pub fn to_json(&self) -> String {
        serde_json::to_string(self).expect("a plan is JSON")
    }

    /// Reads what [`Self::to_json`] wrote.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        serde_json::from_str(text).ok()
    }
}

/// Ranges of positions in one plan. As JSON they stay below what one body may have, however large the positions are.
pub const PLAN_RANGES_MAX: usize = 200_000;

/// A set of positions, as ranges: `[[3,7],[9,10]]` are 3 to 6, and 9.
#[derive(Clone, Debug, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(try_from = "Vec<(u64, u64)>", into = "Vec<(u64, u64)>")]
pub struct Positions {
    /// Ascending, not empty, not touching.
    ranges: Vec<(u64, u64)>,
}

impl Positions {
    /// All positions from `from` up to but not including `to`.
    #[must_use]
    pub fn range(from: u64, to: u64) -> Self {
        let ranges = if from < to { vec![(from, to)] } else { Vec::new() };
        Self { ranges }
    }

    /// Adds a position that is above all others.
    ///
    /// # Panics
    ///
    /// It is not.
    pub fn push(&mut self, position: u64) {
        match self.ranges.last_mut() {
            Some((_, to)) if *to == position => *to += 1,
            Some((_, to)) => {
                assert!(*to < position, "positions come in order");
                self.ranges.push((position, position + 1));
            }
            None => self.ranges.push((position, position + 1)),
        }
    }

    /// How many they are.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.ranges.iter().map(|(from, to)| to - from).sum()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.ranges.is_empty()
    }

    /// Each of them, in order.
    pub fn iter(&self) -> impl Iterator<Item = u64> {
        self.iter_from(0)
    }

    /// Those from `first` on, in order.
    pub fn iter_from(&self, first: u64) -> impl Iterator<Item = u64> {
        let at = self.ranges.partition_point(|(_, to)| *to <= first);
        self.ranges[at..]
            .iter()
            .flat_map(move |(from, to)| first.max(*from)..*to)
    }

    /// The same positions in parts, of which none has more than [`PLAN_RANGES_MAX`] ranges: what one plan may have.
    pub fn parts(&self) -> impl Iterator<Item = Self> {
        self.ranges.chunks(PLAN_RANGES_MAX).map(|ranges| Self {
            ranges: ranges.to_vec(),
        })
    }

    /// Whether `position` is one of them.
    #[must_use]
    pub fn contains(&self, position: u64) -> bool {
        let at = self.ranges.partition_point(|(_, to)| *to <= position);
        self.ranges.get(at).is_some_and(|(from, _)| *from <= position)
    }

    /// Those of both.
    #[must_use]
    pub fn union(&self, other: &Self) -> Self {
        let mut all: Vec<(u64, u64)> = self.ranges.iter().chain(&other.ranges).copied().collect();
        all.sort_unstable();
        let mut ranges: Vec<(u64, u64)> = Vec::with_capacity(all.len());
        for (from, to) in all {
            match ranges.last_mut() {
                Some(last) if from <= last.1 => last.1 = last.1.max(to),
                _ => ranges.push((from, to)),
            }
        }
        Self { ranges }
    }

    /// Those that are in both.
    #[must_use]
    pub fn common(&self, other: &Self) -> Self {
        let (mut ranges, mut left, mut right) = (
            Vec::new(),
            self.ranges.iter().peekable(),
            other.ranges.iter().peekable(),
        );
        while let (Some((left_from, left_to)), Some((right_from, right_to))) = (left.peek(), right.peek()) {
            let (from, to) = (*left_from.max(right_from), *left_to.min(right_to));
            if from < to {
                ranges.push((from, to));
            }
            if left_to < right_to {
                left.next()
            } else {
                right.next()
            };
        }
        Self { ranges }
    }

    /// The lowest that is not in `other`.
    #[must_use]
    pub fn first_not_in(&self, other: &Self) -> Option<u64> {
        self.ranges.iter().find_map(|(from, to)| {
            let at = other.ranges.partition_point(|(_, end)| end <= from);
            match other.ranges.get(at) {
                Some((begin, end)) if begin <= from => (end < to).then_some(*end),
                _ => Some(*from),
            }
        })
    }
}

impl FromIterator<u64> for Positions {
    fn from_iter<T: IntoIterator<Item = u64>>(positions: T) -> Self {
        let mut all: Vec<u64> = positions.into_iter().collect();
        all.sort_unstable();
        all.dedup();
        let mut set = Self::default();
        all.into_iter().for_each(|position| set.push(position));
        set
    }
}

impl TryFrom<Vec<(u64, u64)>> for Positions {
    type Error = &'static str;

    fn try_from(ranges: Vec<(u64, u64)>) -> Result<Self, Self::Error> {
        let in_order = ranges.iter().all(|(from, to)| from < to) && ranges.is_sorted_by(|left, right| left.1 < right.0);
        if in_order {
            Ok(Self { ranges })
        } else {
            Err("ranges of positions ascend and do not touch")
        }
    }
}

impl From<Positions> for Vec<(u64, u64)> {
    fn from(positions: Positions) -> Self {
        positions.ranges
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeSet;

    proptest! {
        #[test]
        fn ranges_are_the_set_of_their_positions(
            left in prop::collection::btree_set(0_u64..30, 0..20), right in prop::collection::btree_set(0_u64..30, 0..20)
        ) {
            let (ranges, others): (Positions, Positions) = (left.iter().copied().collect(), right.iter().copied().collect());
            prop_assert_eq!(ranges.iter().collect::<BTreeSet<_>>(), left.clone());
            prop_assert_eq!(ranges.count(), left.len() as u64);
            prop_assert_eq!(ranges.union(&others).iter().collect::<BTreeSet<_>>(), &left | &right);
            prop_assert_eq!(ranges.common(&others).iter().collect::<BTreeSet<_>>(), &left & &right);
            prop_assert!((0..31).all(|first| ranges.iter_from(first).eq(left.range(first..).copied())));
            prop_assert_eq!(ranges.first_not_in(&others), left.difference(&right).next().copied());
            prop_assert!((0..31).all(|position| ranges.contains(position) == left.contains(&position)));
            let again: Positions = serde_json::from_str(&serde_json::to_string(&ranges).unwrap()).unwrap();
            prop_assert_eq!(again, ranges);
        }
    }

    #[test]
    fn a_plan_of_the_most_ranges_and_the_longest_numbers_fits_into_a_body() {
        let first = i64::MAX.cast_unsigned() - 5 * PLAN_RANGES_MAX as u64;
        let ranges = |count: usize| -> Positions { (0..count as u64).map(|index| first + 2 * index).collect() };
        let all = ranges(2 * PLAN_RANGES_MAX + 1);
        let parts: Vec<Positions> = all.parts().collect();
        assert_eq!(parts.len(), 3);
        assert!(parts.iter().flat_map(Positions::iter).eq(all.iter()));
        let plan = ErasurePlan {
            selector: "s".repeat(1 << 20),
            paths: vec!["p".repeat(1 << 10); 1 << 10],
            positions: ranges(PLAN_RANGES_MAX),
        };
        assert!(plan.to_json().len() < 16 << 20);
    }
}
