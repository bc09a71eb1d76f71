//! The body of an entry: what was changed and by whom, sealed with a key of its own.

#[cfg(feature = "seal")]
mod seal;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use weir_model::Item;

use crate::BodyKey;
use crate::canonical::read_hex;
use crate::commitment::{Committed, for_each_attribute};

#[cfg(feature = "seal")]
pub(crate) use self::seal::BODY_BYTES_MAX;
#[cfg(feature = "seal")]
pub use self::seal::{OpenError, OpenedBody, PlainBody, SealedBody};

/// What an entry keeps secret. Every member is absent where the record did not have it.
#[derive(Clone, Debug, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Body {
    /// Who made the change; the entry says what the name is worth.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub actor: Option<String>,
    /// Primary key of the item.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub keys: Option<Item>,
    /// The item before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub old: Option<Item>,
    /// The item after.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub new: Option<Item>,
    /// A record that was not understood, as text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub raw: Option<String>,
    /// Why the change was made, as its annotation says; why a record was not understood; the basis of an order.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// What the change's annotation tags it with.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub tags: BTreeMap<String, String>,
    /// What is left of attributes that were erased.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub remains: Option<Remains>,
}

/// What a body keeps when attributes of it are erased, so that it still is what its entry commits to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Remains {
    /// The salts of what is left, in order of the paths. Until then they come from the body's key.
    pub(crate) salts: Vec<Hex32>,
    /// The erased attributes, in order.
    pub(crate) erased: Vec<ErasedAttribute>,
}

/// What is left of an erased attribute: its place among the others and its digest. Not its path, not its salt.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ErasedAttribute {
    pub(crate) index: u32,
    pub(crate) digest: Hex32,
}

/// 32 bytes that are 64 hexadecimal digits in JSON.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub(crate) struct Hex32(pub(crate) [u8; 32]);

impl TryFrom<String> for Hex32 {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        read_hex(&text).map(Self).ok_or("expected 64 hexadecimal digits")
    }
}

impl From<Hex32> for String {
    fn from(bytes: Hex32) -> Self {
        hex::encode(bytes.0)
    }
}

impl Body {
    /// This body without the attributes that `erase` picks by their paths. It commits to the same as before under any
    /// key, and what was erased cannot be computed from it. `None` if there is nothing to erase.
    #[must_use]
    pub fn without(&self, key: &BodyKey, erase: impl Fn(&str) -> bool) -> Option<Self> {
        let mut left = self.clone();
        let (mut salts, mut erased) = (Vec::new(), Vec::new());
        let mut index = 0;
        let mut gone: Vec<String> = Vec::new();
        for_each_attribute(self, key, |attribute| {
            match &attribute {
                Committed::Kept { path, salt, .. } if !erase(path) => salts.push(Hex32(**salt)),
                Committed::Kept { path, .. } => {
                    gone.push((*path).to_owned());
                    let digest = Hex32(attribute.digest());
                    erased.push(ErasedAttribute { index, digest });
                }
                Committed::Erased(digest) => {
                    let digest = Hex32(*digest);
                    erased.push(ErasedAttribute { index, digest });
                }
            }
            index += 1;
        });
        if gone.is_empty() {
            return None;
        }
        gone.iter().for_each(|path| left.remove(path));
        left.remains = Some(Remains { salts, erased });
        Some(left)
    }

    /// Whether attributes of this body were erased.
    #[must_use]
    pub fn has_erased(&self) -> bool {
        self.remains.is_some()
    }

    fn remove(&mut self, path: &str) {
        let mut parts = path.splitn(3, '/').skip(1);
        let (part, name) = (parts.next().unwrap_or_default(), parts.next());
        let name = name.map(|name| name.replace("~1", "/").replace("~0", "~"));
        let item = match part {
            "keys" => &mut self.keys,
            "old" => &mut self.old,
            "new" => &mut self.new,
            "actor" => return self.actor = None,
            "tags" => {
                if let Some(name) = name {
                    self.tags.remove(&name);
                }
                return;
            }
            "raw" => return self.raw = None,
            _ => return self.reason = None,
        };
        if let (Some(item), Some(name)) = (item, name) {
            item.remove(&name);
        }
    }
}
