//! Attributes by name: a key, an image, or a map inside one.
//!
//! Pages of changes hold thousands of maps with two or three attributes. A B-tree takes a node of eleven places for each of them;
//! here each takes one allocation of as many places as it has attributes.
//!
//! # Invariants
//!
//! - Attributes stand in the order of their names' bytes, each name once: equal items are equal, and what is hashed needs no
//!   sorting.

use std::fmt;
use std::ops::Index;
use std::slice;
use std::vec;

use serde::de::{MapAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use smallvec::SmallVec;

use crate::AttributeValue;

/// Attributes of an item up to which comparing each name is quicker than searching: two names are mostly of different lengths,
/// which is seen without touching them.
const COMPARED_MAX: usize = 16;

/// Attributes as they are read, before it is known how many they are: a growing list would be allocated several times.
pub type AttributeList = SmallVec<[(String, AttributeValue); 16]>;

/// Attributes by name: a key, an image, or a map inside one.
///
/// Serde reads and writes it as an object in DynamoDB-JSON.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Item {
    /// Sorted by name.
    attributes: Vec<(String, AttributeValue)>,
}

impl Item {
    /// Without any attribute.
    #[must_use]
    pub const fn new() -> Self {
        Self { attributes: Vec::new() }
    }

    /// How many attributes it has.
    #[must_use]
    pub fn len(&self) -> usize {
        self.attributes.len()
    }

    /// Whether it has none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.attributes.is_empty()
    }

    /// The attribute of this name.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&AttributeValue> {
        if self.len() <= COMPARED_MAX {
            let found = self.attributes.iter().find(|(other, _)| other == name);
            return found.map(|(_, value)| value);
        }
        let place = self.place(name).ok()?;
        Some(&self.attributes[place].1)
    }

    /// The attribute of this name, to change it.
    #[must_use]
    pub fn get_mut(&mut self, name: &str) -> Option<&mut AttributeValue> {
        let place = self.place(name).ok()?;
        Some(&mut self.attributes[place].1)
    }

    /// Whether there is an attribute of this name.
    #[must_use]
    pub fn contains_key(&self, name: &str) -> bool {
        self.place(name).is_ok()
    }

    /// Sets an attribute, and gives back what it was. Who sets many collects them: each may move those behind it.
    pub fn insert(&mut self, name: String, value: AttributeValue) -> Option<AttributeValue> {
        match self.place(&name) {
            Ok(place) => Some(std::mem::replace(&mut self.attributes[place].1, value)),
            Err(place) => {
                self.attributes.insert(place, (name, value));
                None
            }
        }
    }

    /// Takes an attribute out.
    pub fn remove(&mut self, name: &str) -> Option<AttributeValue> {
        let place = self.place(name).ok()?;
        Some(self.attributes.remove(place).1)
    }

    /// All of it, in order of name.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (&String, &AttributeValue)> {
        self.attributes.iter().map(|(name, value)| (name, value))
    }

    /// Names, in order.
    pub fn keys(&self) -> impl ExactSizeIterator<Item = &String> {
        self.attributes.iter().map(|(name, _)| name)
    }

    /// Values, in order of name.
    pub fn values(&self) -> impl ExactSizeIterator<Item = &AttributeValue> {
        self.attributes.iter().map(|(_, value)| value)
    }

    /// All of it, in order of name, to change the values.
    pub fn iter_mut(&mut self) -> impl ExactSizeIterator<Item = (&String, &mut AttributeValue)> {
        self.attributes.iter_mut().map(|(name, value)| (&*name, value))
    }

    fn place(&self, name: &str) -> Result<usize, usize> {
        self.attributes.binary_search_by(|(other, _)| other.as_str().cmp(name))
    }
}

/// The attribute of a name that is there.
impl Index<&str> for Item {
    type Output = AttributeValue;

    fn index(&self, name: &str) -> &AttributeValue {
        self.get(name).expect("the item has an attribute of this name")
    }
}

impl FromIterator<(String, AttributeValue)> for Item {
    /// Of two with one name the later one counts.
    fn from_iter<I: IntoIterator<Item = (String, AttributeValue)>>(attributes: I) -> Self {
        let given = attributes.into_iter();
        // Exactly, where it is known: `collect` makes room for four.
        let mut attributes = Vec::with_capacity(given.size_hint().0);
        attributes.extend(given);
        if !attributes.is_sorted_by(|one, next| one.0 < next.0) {
            // Stable: those of one name stay in order.
            attributes.sort_by(|one, other| one.0.cmp(&other.0));
            attributes.dedup_by(|later, kept| {
                let is_again = later.0 == kept.0;
                if is_again {
                    std::mem::swap(later, kept);
                }
                is_again
            });
        }
        attributes.shrink_to_fit();
        Self { attributes }
    }
}

impl<const COUNT: usize> From<[(String, AttributeValue); COUNT]> for Item {
    fn from(attributes: [(String, AttributeValue); COUNT]) -> Self {
        attributes.into_iter().collect()
    }
}

impl IntoIterator for Item {
    type Item = (String, AttributeValue);
    type IntoIter = vec::IntoIter<(String, AttributeValue)>;

    fn into_iter(self) -> Self::IntoIter {
        self.attributes.into_iter()
    }
}

impl<'a> IntoIterator for &'a Item {
    type Item = (&'a String, &'a AttributeValue);
    type IntoIter =
        std::iter::Map<slice::Iter<'a, (String, AttributeValue)>, fn(&'a (String, AttributeValue)) -> Self::Item>;

    fn into_iter(self) -> Self::IntoIter {
        self.attributes.iter().map(|(name, value)| (name, value))
    }
}

impl fmt::Debug for Item {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_map().entries(self).finish()
    }
}

impl Serialize for Item {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self)
    }
}

impl<'de> Deserialize<'de> for Item {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(ItemVisitor)
    }
}

struct ItemVisitor;

impl<'de> Visitor<'de> for ItemVisitor {
    type Value = Item;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("attributes by name")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Item, A::Error> {
        let mut attributes = AttributeList::new();
        while let Some(attribute) = map.next_entry()? {
            attributes.push(attribute);
        }
        Ok(attributes.into_iter().collect())
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    fn text(text: &str) -> AttributeValue {
        AttributeValue::text(text)
    }

    #[test]
    fn an_item_without_attributes_is_an_object_too() {
        assert_eq!(serde_json::to_string(&Item::new()).unwrap(), "{}");
        assert_eq!(serde_json::from_str::<Item>("{}").unwrap(), Item::new());
        assert!(serde_json::from_str::<Item>("[]").is_err());
    }

    #[test]
    fn of_two_attributes_with_one_name_the_later_one_counts() {
        let item = serde_json::from_str::<Item>(r#"{"b":{"S":"1"},"a":{"S":"2"},"b":{"S":"3"}}"#).unwrap();
        assert_eq!(item.get("b"), Some(&text("3")));
        assert_eq!(item.len(), 2);
    }

    #[test]
    fn an_attribute_is_found_among_few_and_among_many() {
        for count in [1, COMPARED_MAX, COMPARED_MAX + 1, 500] {
            let item: Item = (0..count)
                .map(|number| (format!("a{number:03}"), text(&number.to_string())))
                .collect();
            for number in [0, count - 1] {
                assert_eq!(item.get(&format!("a{number:03}")), Some(&text(&number.to_string())));
            }
            assert_eq!(item.get("b000"), None);
        }
    }

    proptest! {
        #[test]
        fn it_does_what_a_sorted_map_does(
            first in prop::collection::vec(("[a-cü]{0,2}", "[x-z]"), 0..12),
            steps in prop::collection::vec((any::<bool>(), "[a-cü]{0,2}", "[x-z]"), 0..12),
        ) {
            let pairs = || first.iter().map(|(name, value)| (name.clone(), text(value)));
            let (mut item, mut map): (Item, BTreeMap<String, AttributeValue>) = (pairs().collect(), pairs().collect());
            for (inserts, name, value) in &steps {
                if *inserts {
                    prop_assert_eq!(item.insert(name.clone(), text(value)), map.insert(name.clone(), text(value)));
                } else {
                    prop_assert_eq!(item.remove(name), map.remove(name));
                }
                prop_assert_eq!(item.get(name), map.get(name));
                prop_assert_eq!(item.contains_key(name), map.contains_key(name));
            }
            prop_assert!(item.iter().eq(&map));
            prop_assert!(item.keys().eq(map.keys()) && item.values().eq(map.values()));
            prop_assert_eq!(format!("{item:?}"), format!("{map:?}"));
            let json = serde_json::to_string(&item).unwrap();
            prop_assert_eq!(&json, &serde_json::to_string(&map).unwrap());
            prop_assert_eq!(serde_json::from_str::<Item>(&json).unwrap(), item);
        }
    }
}
