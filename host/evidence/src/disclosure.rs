//! The disclosure: what is shown of one body, beside the digests of what is not (`formats/entry.md`, "Disclosure").
//!
//! ```json
//! {"attributes":[{"digest":"9f.."},{"path":"/new/status","salt":"5c..","value":"{\"S\":\"shipped\"}"}]}
//! ```
//!
//! Every attribute has its place, shown or hidden, so nobody can leave one out: together they have to make the entry's
//! commitment. `{}` shows nothing, not even how many there are.
//!
//! # Invariants
//!
//! - A disclosure that was read is written as the same bytes.
//! - Reading says nothing about truth: [`Disclosure::verify`] does.
//! - All texts stand in one string, so that reading a million disclosures into one value allocates next to nothing.

use std::ops::Range;

use crate::commitment::{Committed, attribute_digest, commitment_over, for_each_attribute};
use crate::cursor::Cursor;
use crate::tree::Hash;
use crate::{Body, BodyKey, Commitment, canonical};

/// What is shown of one body.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Disclosure {
    texts: String,
    /// `None` if nothing is shown.
    attributes: Option<Vec<Stored>>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Stored {
    Hidden(Hash),
    Shown {
        path: Range<usize>,
        salt: [u8; 32],
        value: Range<usize>,
    },
}

/// One attribute of a body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DisclosedAttribute<'a> {
    /// Not shown, or erased.
    Hidden {
        /// Its digest.
        digest: &'a Hash,
    },
    /// Shown.
    Shown {
        /// JSON pointer that begins with the part of the body.
        path: &'a str,
        /// What kept others from guessing it.
        salt: &'a [u8; 32],
        /// Canonical JSON.
        value: &'a str,
    },
}

/// Why a disclosure is not what its entry commits to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DisclosureError {
    /// The bytes are not a disclosure in canonical form.
    #[error("the disclosure cannot be read")]
    Malformed,
    /// The entry has no body, and something is shown of it.
    #[error("something is shown of a body that the entry does not have")]
    NoBody,
    /// A path is none that a body has.
    #[error("attribute {number} is shown under a path that no body has")]
    Path {
        /// Which attribute, from 1.
        number: usize,
    },
    /// The paths are not in order, or one is there twice.
    #[error("attribute {number} is shown out of order")]
    PathOrder {
        /// Which attribute, from 1.
        number: usize,
    },
    /// A value is not canonical JSON of the kind that its path has.
    #[error("the value of attribute {number} is not canonical")]
    Value {
        /// Which attribute, from 1.
        number: usize,
    },
    /// What is shown and the digests of what is not make another commitment.
    #[error("what is shown is not what the entry commits to")]
    Commitment,
}

impl Disclosure {
    /// Shows nothing: `{}`.
    #[must_use]
    pub fn nothing() -> Self {
        Self::default()
    }

    /// Shows those attributes of a body whose paths `shows` takes.
    #[must_use]
    pub fn of(body: &Body, key: &BodyKey, mut shows: impl FnMut(&str) -> bool) -> Self {
        let mut disclosure = Self::with_attributes();
        for_each_attribute(body, key, |attribute| match attribute {
            Committed::Kept { path, salt, value } if shows(path) => {
                let value = std::str::from_utf8(value).expect("canonical JSON is UTF-8");
                disclosure.show(path, *salt, value);
            }
            attribute => disclosure.hide(attribute.digest()),
        });
        disclosure
    }

    /// A disclosure of a body without attributes so far; [`Self::hide`] and [`Self::show`] add them in order.
    #[must_use]
    pub fn with_attributes() -> Self {
        Self {
            texts: String::new(),
            attributes: Some(Vec::new()),
        }
    }

    /// Adds an attribute that is not shown.
    pub fn hide(&mut self, digest: Hash) {
        self.attributes.get_or_insert_default().push(Stored::Hidden(digest));
    }

    /// Adds an attribute that is shown.
    pub fn show(&mut self, path: &str, salt: [u8; 32], value: &str) {
        let path = self.push_text(path);
        let value = self.push_text(value);
        let shown = Stored::Shown { path, salt, value };
        self.attributes.get_or_insert_default().push(shown);
    }

    /// Reads canonical JSON.
    ///
    /// # Errors
    ///
    /// [`DisclosureError::Malformed`].
    pub fn parse(text: &str) -> Result<Self, DisclosureError> {
        let mut disclosure = Self::default();
        disclosure.read(text)?;
        Ok(disclosure)
    }

    /// As [`Self::parse`], in the place of what was here, whose memory is used again.
    ///
    /// # Errors
    ///
    /// [`DisclosureError::Malformed`]. This then shows nothing in particular.
    pub fn read(&mut self, text: &str) -> Result<(), DisclosureError> {
        self.texts.clear();
        let mut cursor = Cursor::new(text);
        self.read_at(&mut cursor)
            .and_then(|()| cursor.end())
            .ok_or(DisclosureError::Malformed)
    }

    /// Appends it as canonical JSON.
    pub fn write(&self, out: &mut Vec<u8>) {
        let Some(attributes) = &self.attributes else {
            out.extend_from_slice(b"{}");
            return;
        };
        out.extend_from_slice(b"{\"attributes\":[");
        for (index, attribute) in attributes.iter().enumerate() {
            if index > 0 {
                out.push(b',');
            }
            attribute.write(&self.texts, out);
        }
        out.extend_from_slice(b"]}");
    }

    /// The attributes in order; none if nothing is shown.
    pub fn attributes(&self) -> impl Iterator<Item = DisclosedAttribute<'_>> {
        self.attributes.iter().flatten().map(|stored| match stored {
            Stored::Hidden(digest) => DisclosedAttribute::Hidden { digest },
            Stored::Shown { path, salt, value } => DisclosedAttribute::Shown {
                path: &self.texts[path.clone()],
                salt,
                value: &self.texts[value.clone()],
            },
        })
    }

    /// What is shown: paths with their values, in order.
    pub fn shown(&self) -> impl Iterator<Item = (&str, &str)> {
        self.attributes().filter_map(|attribute| match attribute {
            DisclosedAttribute::Hidden { .. } => None,
            DisclosedAttribute::Shown { path, value, .. } => Some((path, value)),
        })
    }

    /// The commitment that the attributes make; `None` if nothing is shown.
    #[must_use]
    pub fn commitment(&self) -> Option<Commitment> {
        let attributes = self.attributes.as_ref()?;
        let mut digests = Vec::with_capacity(attributes.len());
        digests.extend(self.attributes().map(|attribute| match attribute {
            DisclosedAttribute::Hidden { digest } => *digest,
            DisclosedAttribute::Shown { path, salt, value } => attribute_digest(salt, path, value.as_bytes()),
        }));
        Some(commitment_over(&digests))
    }

    /// Checks that this is a true disclosure of the body that `commitment` fixes.
    ///
    /// # Errors
    ///
    /// It is not.
    pub fn verify(&self, commitment: &Commitment) -> Result<(), DisclosureError> {
        let mut last_path = None;
        for (index, attribute) in self.attributes().enumerate() {
            let DisclosedAttribute::Shown { path, value, .. } = attribute else {
                continue;
            };
            let number = index + 1;
            let form = ValueForm::of(path).ok_or(DisclosureError::Path { number })?;
            if last_path.is_some_and(|last| last >= path) {
                return Err(DisclosureError::PathOrder { number });
            }
            last_path = Some(path);
            if !form.takes(value) {
                return Err(DisclosureError::Value { number });
            }
        }
        match self.commitment() {
            Some(shown) if shown != *commitment => Err(DisclosureError::Commitment),
            _ => Ok(()),
        }
    }

    /// Checks that this is a true disclosure of an entry's body, which may have none.
    ///
    /// # Errors
    ///
    /// It is not.
    pub fn verify_for(&self, commitment: Option<&Commitment>) -> Result<(), DisclosureError> {
        match commitment {
            Some(commitment) => self.verify(commitment),
            None if self.attributes.is_none() => Ok(()),
            None => Err(DisclosureError::NoBody),
        }
    }

    fn read_at(&mut self, cursor: &mut Cursor<'_>) -> Option<()> {
        let mut attributes = self.attributes.take().unwrap_or_default();
        attributes.clear();
        cursor.expect("{")?;
        if cursor.skips("}") {
            return Some(());
        }
        cursor.expect("\"attributes\":[")?;
        if !cursor.skips("]") {
            loop {
                attributes.push(Stored::read(cursor, &mut self.texts)?);
                if !cursor.skips(",") {
                    cursor.expect("]")?;
                    break;
                }
            }
        }
        self.attributes = Some(attributes);
        cursor.expect("}")
    }

    fn push_text(&mut self, text: &str) -> Range<usize> {
        let start = self.texts.len();
        self.texts.push_str(text);
        start..self.texts.len()
    }
}

impl Stored {
    fn read(cursor: &mut Cursor<'_>, texts: &mut String) -> Option<Self> {
        let stored = if cursor.skips("{\"digest\":") {
            Self::Hidden(cursor.hash()?)
        } else {
            cursor.expect("{\"path\":")?;
            let path = cursor.string(texts)?;
            cursor.expect(",\"salt\":")?;
            let salt = cursor.hash()?;
            cursor.expect(",\"value\":")?;
            let value = cursor.string(texts)?;
            Self::Shown { path, salt, value }
        };
        cursor.expect("}")?;
        Some(stored)
    }

    fn write(&self, texts: &str, out: &mut Vec<u8>) {
        match self {
            Self::Hidden(digest) => {
                out.extend_from_slice(b"{\"digest\":\"");
                canonical::hex(digest, out);
                out.extend_from_slice(b"\"}");
            }
            Self::Shown { path, salt, value } => {
                out.extend_from_slice(b"{\"path\":");
                canonical::string(&texts[path.clone()], out);
                out.extend_from_slice(b",\"salt\":\"");
                canonical::hex(salt, out);
                out.extend_from_slice(b"\",\"value\":");
                canonical::string(&texts[value.clone()], out);
                out.push(b'}');
            }
        }
    }
}

/// What a value of a path looks like.
enum ValueForm {
    /// A value of the database: an object with one member.
    Attribute,
    /// A text, of a member or a tag: a JSON string.
    Text,
}

impl ValueForm {
    /// The form of the values below `path`; `None` if no body has such a path.
    fn of(path: &str) -> Option<Self> {
        if matches!(path, "/actor" | "/raw" | "/reason") {
            return Some(Self::Text);
        }
        let parts = [
            ("/keys/", Self::Attribute),
            ("/old/", Self::Attribute),
            ("/new/", Self::Attribute),
            ("/tags/", Self::Text),
        ];
        let of_part = |(part, form)| Some((path.strip_prefix(part)?, form));
        let (name, form) = parts.into_iter().find_map(of_part)?;
        let fits_its_length = u32::try_from(path.len()).is_ok();
        (is_reference_token(name) && fits_its_length).then_some(form)
    }

    fn takes(&self, value: &str) -> bool {
        let mut cursor = Cursor::new(value);
        let is_read = match self {
            Self::Attribute => cursor.object_of_one(),
            Self::Text => cursor.text(),
        };
        is_read.is_some() && cursor.end().is_some()
    }
}

/// Says whether this is one step of a JSON pointer (RFC 6901): without `/`, and `~` only as `~0` and `~1`.
fn is_reference_token(text: &str) -> bool {
    let mut bytes = text.bytes();
    while let Some(byte) = bytes.next() {
        let is_right = match byte {
            b'/' => false,
            b'~' => matches!(bytes.next(), Some(b'0' | b'1')),
            _ => true,
        };
        if !is_right {
            return false;
        }
    }
    true
}

#[cfg(test)]
mod tests;
