//! Walks canonical JSON (`formats/entry.md`) from left to right without building it.
//!
//! What a verifier reads comes in millions of lines whose form it knows. So the reader of a form says what comes next,
//! and gets it, or `None` because something else stands there. Only canonical JSON has a way through.
//!
//! # Invariants
//!
//! - Nothing is allocated but what a caller keeps. Names with escapes are the exception, and rare.
//! - Work is linear in the text, whatever it holds.

use std::cmp::Ordering;
use std::ops::Range;

use crate::tree::Hash;

/// Deepest nesting of arrays and objects (`formats/entry.md`, "Canonical JSON").
const DEPTH_MAX: u8 = 100;

/// Largest integer: 2^53 - 1.
const INTEGER_MAX: u64 = (1 << 53) - 1;

/// A place in a text.
#[derive(Clone)]
pub(crate) struct Cursor<'a> {
    text: &'a str,
    at: usize,
}

/// A string as it is written, without its quotation marks.
#[derive(Clone, Copy)]
struct Raw<'a> {
    text: &'a str,
    has_escapes: bool,
}

impl<'a> Cursor<'a> {
    pub(crate) fn new(text: &'a str) -> Self {
        Self { text, at: 0 }
    }

    /// Steps over `literal`, or stays if it does not come next.
    pub(crate) fn skips(&mut self, literal: &str) -> bool {
        let next = self.text.as_bytes()[self.at..].starts_with(literal.as_bytes());
        if next {
            self.at += literal.len();
        }
        next
    }

    /// Steps over `literal`, which has to come next.
    pub(crate) fn expect(&mut self, literal: &str) -> Option<()> {
        self.skips(literal).then_some(())
    }

    /// The end of the text has to come next.
    pub(crate) fn end(&self) -> Option<()> {
        (self.at == self.text.len()).then_some(())
    }

    pub(crate) fn integer(&mut self) -> Option<u64> {
        let rest = &self.text[self.at..];
        let length = rest.bytes().take_while(u8::is_ascii_digit).count();
        let digits = &rest[..length];
        if digits.len() > 1 && digits.starts_with('0') {
            return None;
        }
        let value = digits.parse().ok().filter(|value| *value <= INTEGER_MAX)?;
        self.at += length;
        Some(value)
    }

    /// A string of 64 hexadecimal digits.
    pub(crate) fn hash(&mut self) -> Option<Hash> {
        let (quoted, _) = self.text.as_bytes()[self.at..].split_first_chunk::<66>()?;
        let [b'"', digits @ .., b'"'] = quoted else {
            return None;
        };
        let hash = decode_hash(digits)?;
        self.at += quoted.len();
        Some(hash)
    }

    /// A string, added to `texts` without its escapes. Says where it stands there.
    pub(crate) fn string(&mut self, texts: &mut String) -> Option<Range<usize>> {
        let start = texts.len();
        self.expect("\"")?;
        let bytes = self.text.as_bytes();
        loop {
            let special = self.at + special(&bytes[self.at..])?;
            texts.push_str(&self.text[self.at..special]);
            self.at = special;
            match bytes[special] {
                b'"' => {
                    self.at += 1;
                    return Some(start..texts.len());
                }
                b'\\' => {
                    let (byte, length) = escape(&bytes[special..])?;
                    texts.push(char::from(byte));
                    self.at += length;
                }
                _ => return None,
            }
        }
    }

    /// A string, whatever it says.
    pub(crate) fn text(&mut self) -> Option<()> {
        self.raw_string().map(|_| ())
    }

    /// An object with exactly one member, whatever that is.
    pub(crate) fn object_of_one(&mut self) -> Option<()> {
        self.expect("{")?;
        self.text()?;
        self.expect(":")?;
        self.nested(DEPTH_MAX - 1)?;
        self.expect("}")
    }

    /// The text of a value inside an object, whatever it is.
    pub(crate) fn member(&mut self) -> Option<&'a str> {
        let start = self.at;
        self.nested(DEPTH_MAX - 1)?;
        Some(&self.text[start..self.at])
    }

    fn nested(&mut self, depth_left: u8) -> Option<()> {
        match self.text.as_bytes().get(self.at)? {
            b'"' => self.text(),
            b'{' => self.object(depth_left.checked_sub(1)?),
            b'[' => self.array(depth_left.checked_sub(1)?),
            b't' => self.expect("true"),
            b'f' => self.expect("false"),
            b'n' => self.expect("null"),
            _ => self.integer().map(|_| ()),
        }
    }

    fn array(&mut self, depth_left: u8) -> Option<()> {
        self.expect("[")?;
        if self.skips("]") {
            return Some(());
        }
        loop {
            self.nested(depth_left)?;
            if !self.skips(",") {
                return self.expect("]");
            }
        }
    }

    fn object(&mut self, depth_left: u8) -> Option<()> {
        self.expect("{")?;
        if self.skips("}") {
            return Some(());
        }
        let mut last_name: Option<Raw<'_>> = None;
        loop {
            let name = self.raw_string()?;
            if last_name.is_some_and(|last| last.cmp_utf16(name) != Ordering::Less) {
                return None;
            }
            last_name = Some(name);
            self.expect(":")?;
            self.nested(depth_left)?;
            if !self.skips(",") {
                return self.expect("}");
            }
        }
    }

    fn raw_string(&mut self) -> Option<Raw<'a>> {
        self.expect("\"")?;
        let start = self.at;
        let bytes = self.text.as_bytes();
        let mut has_escapes = false;
        loop {
            self.at += special(&bytes[self.at..])?;
            match bytes[self.at] {
                b'"' => {
                    let text = &self.text[start..self.at];
                    self.at += 1;
                    return Some(Raw { text, has_escapes });
                }
                b'\\' => {
                    has_escapes = true;
                    self.at += escape(&bytes[self.at..])?.1;
                }
                _ => return None,
            }
        }
    }
}

impl Raw<'_> {
    fn unescape(self, out: &mut String) {
        if !self.has_escapes {
            out.push_str(self.text);
            return;
        }
        out.reserve(self.text.len());
        let mut rest = self.text;
        while let Some(at) = rest.bytes().position(|byte| byte == b'\\') {
            out.push_str(&rest[..at]);
            let (byte, length) = escape(&rest.as_bytes()[at..]).expect("escapes were checked when the string was read");
            out.push(char::from(byte));
            rest = &rest[at + length..];
        }
        out.push_str(rest);
    }

    /// The order of names: by UTF-16 code units, which is that of bytes unless U+E000 and above come in.
    fn cmp_utf16(self, other: Self) -> Ordering {
        let is_plain = |raw: Raw<'_>| !raw.has_escapes && raw.text.bytes().all(|byte| byte < 0xEE);
        if is_plain(self) && is_plain(other) {
            return self.text.cmp(other.text);
        }
        let (mut left, mut right) = (String::new(), String::new());
        self.unescape(&mut left);
        other.unescape(&mut right);
        left.encode_utf16().cmp(right.encode_utf16())
    }
}

/// Says whether a text is written with escapes.
pub(crate) fn needs_escapes(text: &str) -> bool {
    special(text.as_bytes()).is_some()
}

/// Where the first quotation mark, backslash or control character is.
pub(crate) fn special(bytes: &[u8]) -> Option<usize> {
    const ONES: u64 = 0x0101_0101_0101_0101;
    const HIGH: u64 = 0x8080_8080_8080_8080;
    let has_zero = |word: u64| word.wrapping_sub(ONES) & !word & HIGH;
    let (words, _) = bytes.as_chunks::<8>();
    // Eight bytes at a time up to the word that may hold one. A carry can only report too much.
    let plain = words.iter().take_while(|word| {
        let word = u64::from_le_bytes(**word);
        let quote = has_zero(word ^ (ONES * u64::from(b'"')));
        let backslash = has_zero(word ^ (ONES * u64::from(b'\\')));
        let control = word.wrapping_sub(ONES * 0x20) & !word & HIGH;
        quote | backslash | control == 0
    });
    let start = plain.count() * 8;
    let is_special = |byte: &u8| matches!(byte, b'"' | b'\\' | 0..0x20);
    Some(start + bytes[start..].iter().position(is_special)?)
}

/// The character that an escape stands for, and the escape's length. Only those of RFC 8785, section 3.2.2.2.
fn escape(bytes: &[u8]) -> Option<(u8, usize)> {
    let character = match bytes.get(1)? {
        b'b' => 0x08,
        b't' => b'\t',
        b'n' => b'\n',
        b'f' => 0x0C,
        b'r' => b'\r',
        b'"' => b'"',
        b'\\' => b'\\',
        b'u' => {
            let [b'0', b'0', high, low] = *bytes.get(2..)?.first_chunk::<4>()? else {
                return None;
            };
            let code = digit(high)? << 4 | digit(low)?;
            let has_short_form = matches!(code, 0x08 | b'\t' | b'\n' | 0x0C | b'\r');
            return (code < 0x20 && !has_short_form).then_some((code, 6));
        }
        _ => return None,
    };
    Some((character, 2))
}

/// The value of a lower-case hexadecimal digit.
fn digit(byte: u8) -> Option<u8> {
    Some(nibble(byte)).filter(|nibble| *nibble < 16)
}

/// The same, as 255 if it is none.
pub(crate) fn nibble(byte: u8) -> u8 {
    let (decimal, letter) = (byte.wrapping_sub(b'0'), byte.wrapping_sub(b'a'));
    if decimal < 10 {
        decimal
    } else if letter < 6 {
        letter + 10
    } else {
        255
    }
}

/// Digit by digit without a branch in between: a bundle has millions of these.
fn decode_hash(digits: &[u8; 64]) -> Option<Hash> {
    let nibbles = digits.map(nibble);
    let is_wrong = nibbles.iter().fold(0, |all, nibble| all | nibble) > 15;
    let (pairs, _) = nibbles.as_chunks::<2>();
    let mut hash = [0; 32];
    for (byte, [high, low]) in hash.iter_mut().zip(pairs) {
        *byte = high << 4 | (low & 15);
    }
    (!is_wrong).then_some(hash)
}

#[cfg(test)]
mod tests;
