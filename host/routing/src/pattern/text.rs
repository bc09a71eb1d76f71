//! Forms of strings: equal, prefix, suffix, the same without regard to case, and wildcards.
//!
//! "Without regard to case" is decided character by character of the pattern, as the open-source matcher does: the
//! event may have the character itself, its lowercase or its uppercase form (which for `ß` is `SS`). No language's
//! rules take part, so a decision is the same everywhere.

use super::error::PatternProblem;

/// A form that a string may have.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Text {
    Equal(Box<str>),
    EqualIgnoringCase(Box<str>),
    Prefix(Box<str>),
    PrefixIgnoringCase(Box<str>),
    Suffix(Box<str>),
    SuffixIgnoringCase(Box<str>),
    Wildcard(Wildcard),
}

/// Text with gaps: the pieces between the `*`, in order. The first stands at the string's beginning and the last at its
/// end; either is empty if the pattern begins or ends with `*`. Never empty.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Wildcard(Box<[Box<str>]>);

impl Text {
    pub(super) fn matches(&self, found: &str) -> bool {
        match self {
            Self::Equal(text) => found == &**text,
            Self::EqualIgnoringCase(text) => strip_prefix_ignoring_case(found, text) == Some(""),
            Self::Prefix(text) => found.starts_with(&**text),
            Self::PrefixIgnoringCase(text) => strip_prefix_ignoring_case(found, text).is_some(),
            Self::Suffix(text) => found.ends_with(&**text),
            Self::SuffixIgnoringCase(text) => ends_with_ignoring_case(found, text),
            Self::Wildcard(wildcard) => wildcard.matches(found),
        }
    }
}

impl Wildcard {
    pub(super) fn parse(text: &str) -> Result<Self, PatternProblem> {
        let mut pieces = Vec::new();
        let mut piece = String::new();
        let mut chars = text.chars().peekable();
        while let Some(char) = chars.next() {
            match char {
                '*' if chars.peek() == Some(&'*') => return Err(PatternProblem::WildcardTwice),
                '*' => pieces.push(std::mem::take(&mut piece).into()),
                '\\' => match chars.next() {
                    Some(escaped @ ('*' | '\\')) => piece.push(escaped),
                    _ => return Err(PatternProblem::WildcardEscape),
                },
                _ => piece.push(char),
            }
        }
        pieces.push(piece.into());
        Ok(Self(pieces.into()))
    }

    /// What every string of this form begins with and ends with.
    pub(super) fn ends(&self) -> (&str, &str) {
        match &*self.0 {
            [first, .., last] => (first, last),
            [only] => (only, only),
            [] => ("", ""),
        }
    }

    fn matches(&self, found: &str) -> bool {
        let (first, rest) = self.0.split_first().expect("there is always a piece");
        let Some((last, middle)) = rest.split_last() else {
            return found == &**first;
        };
        let inner = found
            .strip_prefix(&**first)
            .and_then(|found| found.strip_suffix(&**last));
        let Some(mut inner) = inner else {
            return false;
        };
        // The earliest place of each piece leaves the most room for those after it, so no other needs to be tried.
        for piece in middle {
            match inner.find(&**piece) {
                Some(start) => inner = &inner[start + piece.len()..],
                None => return false,
            }
        }
        true
    }
}

fn strip_prefix_ignoring_case<'f>(found: &'f str, prefix: &str) -> Option<&'f str> {
    prefix.chars().try_fold(found, |rest, char| {
        rest.strip_prefix(char)
            .or_else(|| strip_front(rest, char.to_lowercase()))
            .or_else(|| strip_front(rest, char.to_uppercase()))
    })
}

fn ends_with_ignoring_case(found: &str, suffix: &str) -> bool {
    let rest = suffix.chars().rev().try_fold(found, |rest, char| {
        rest.strip_suffix(char)
            .or_else(|| strip_back(rest, char.to_lowercase()))
            .or_else(|| strip_back(rest, char.to_uppercase()))
    });
    rest.is_some()
}

fn strip_front(found: &str, form: impl Iterator<Item = char>) -> Option<&str> {
    let mut chars = found.chars();
    for expected in form {
        if chars.next() != Some(expected) {
            return None;
        }
    }
    Some(chars.as_str())
}

fn strip_back(found: &str, form: impl DoubleEndedIterator<Item = char>) -> Option<&str> {
    let mut chars = found.chars();
    for expected in form.rev() {
        if chars.next_back() != Some(expected) {
            return None;
        }
    }
    Some(chars.as_str())
}
