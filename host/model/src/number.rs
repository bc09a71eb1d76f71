//! A database number: decimal text of up to 38 digits, never a float.
//!
//! Two texts may be one number (`1.50`, `15e-1`). Equality of the type is equality of the text, because the text is
//! what gets hashed; [`Number::cmp_value`] compares what the texts mean.

use std::cmp::Ordering;

use serde::{Deserialize, Serialize};

/// Longest text that is taken for a number. DynamoDB writes at most 38 digits and magnitudes up to 1E+125.
const TEXT_BYTES_MAX: usize = 192;

/// Digits, and a sign, of integers that binary64 holds for sure.
const INTEGER_DIGITS_MAX: usize = 15;

/// Integers up to here are the same in binary64 (2^53).
const BINARY64_INTEGER_MAX: u64 = 1 << 53;

/// A decimal number as the database wrote it.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Number(String);

/// The text is not a decimal number.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is not a decimal number")]
pub struct NumberError {
    /// The text, cut to 64 characters.
    pub text: String,
}

/// The parts of decimal text. Taking it apart is all that checking it needs.
struct Written<'a> {
    negative: bool,
    whole: &'a str,
    fraction: &'a str,
    exponent: i32,
}

/// Sign, digits without zeros at either end, and the power of ten of the place before the first digit.
/// Zero has no digits.
#[derive(PartialEq, Eq)]
struct Decimal {
    negative: bool,
    digits: Vec<u8>,
    magnitude: i64,
}

impl Number {
    /// Takes decimal text: sign, digits, fraction, exponent.
    ///
    /// # Errors
    ///
    /// Everything else, `NaN` and `Infinity` among it.
    pub fn parse(text: impl Into<String>) -> Result<Self, NumberError> {
        let text = text.into();
        if Written::parse(&text).is_some() {
            Ok(Self(text))
        } else {
            Err(NumberError {
                text: text.chars().take(64).collect(),
            })
        }
    }

    /// The text as the database wrote it.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The nearest binary64.
    #[must_use]
    pub fn to_f64(&self) -> f64 {
        self.0
            .parse()
            .expect("a checked decimal is one that the standard library reads")
    }

    /// Compares what the texts mean.
    #[must_use]
    pub fn cmp_value(&self, other: &Self) -> Ordering {
        self.decimal().cmp_value(&other.decimal())
    }

    /// As plain JSON: a number where binary64 holds it exactly, else a string of the text.
    ///
    /// "Exactly" means that writing the binary64 down in its shortest form gives this number again, so `19.99` is a
    /// JSON number and a 38-digit account number is a string: no receiver that parses JSON numbers as doubles, as
    /// most do, ever sees a number that was not in the database.
    #[must_use]
    pub fn to_json(&self) -> serde_json::Value {
        // Most are small integers, which need no arithmetic.
        if self.0.len() <= INTEGER_DIGITS_MAX
            && let Ok(integer) = self.0.parse::<i64>()
        {
            return integer.into();
        }
        let float = self.to_f64();
        let shortest = Decimal::parse(&format!("{float:e}"));
        if !float.is_finite() || shortest.as_ref() != Some(&self.decimal()) {
            return serde_json::Value::String(self.0.clone());
        }
        if float.fract() == 0.0 && float.abs() <= BINARY64_INTEGER_MAX as f64 {
            #[expect(clippy::cast_possible_truncation, reason = "an integer within 2^53")]
            return serde_json::Value::from(float as i64);
        }
        serde_json::Value::from(float)
    }

    fn decimal(&self) -> Decimal {
        Decimal::parse(&self.0).expect("checked when it was made")
    }
}

impl<'a> Written<'a> {
    fn parse(text: &'a str) -> Option<Self> {
        if text.len() > TEXT_BYTES_MAX {
            return None;
        }
        let (negative, unsigned) = match text.as_bytes().first()? {
            b'-' => (true, &text[1..]),
            b'+' => (false, &text[1..]),
            _ => (false, text),
        };
        let (whole, rest) = split_digits(unsigned);
        let (fraction, rest) = rest.strip_prefix('.').map_or(("", rest), split_digits);
        let exponent = match rest.strip_prefix(['e', 'E']) {
            Some(exponent) => exponent.parse::<i32>().ok()?,
            None if rest.is_empty() => 0,
            None => return None,
        };
        if whole.is_empty() && fraction.is_empty() {
            return None;
        }
        Some(Self {
            negative,
            whole,
            fraction,
            exponent,
        })
    }
}

/// The digits that a text begins with, and what comes after them.
fn split_digits(text: &str) -> (&str, &str) {
    text.split_at(text.bytes().take_while(u8::is_ascii_digit).count())
}

impl Decimal {
    fn parse(text: &str) -> Option<Self> {
        let Written {
            negative,
            whole,
            fraction,
            exponent,
        } = Written::parse(text)?;
        let written: Vec<u8> = whole.bytes().chain(fraction.bytes()).collect();
        let leading_zeros = written.iter().take_while(|digit| **digit == b'0').count();
        let trailing_zeros = written[leading_zeros..]
            .iter()
            .rev()
            .take_while(|digit| **digit == b'0')
            .count();
        let digits = written[leading_zeros..written.len() - trailing_zeros].to_vec();
        if digits.is_empty() {
            return Some(Self {
                negative: false,
                digits,
                magnitude: 0,
            });
        }
        let places = i64::try_from(whole.len()).ok()? - i64::try_from(leading_zeros).ok()?;
        Some(Self {
            negative,
            digits,
            magnitude: places + i64::from(exponent),
        })
    }

    fn cmp_value(&self, other: &Self) -> Ordering {
        let sign = |decimal: &Self| match (decimal.digits.is_empty(), decimal.negative) {
            (true, _) => 0,
            (false, true) => -1,
            (false, false) => 1,
        };
        sign(self).cmp(&sign(other)).then_with(|| {
            let by_size = self
                .magnitude
                .cmp(&other.magnitude)
                .then_with(|| self.digits.cmp(&other.digits));
            if self.negative { by_size.reverse() } else { by_size }
        })
    }
}

impl TryFrom<String> for Number {
    type Error = NumberError;

    fn try_from(text: String) -> Result<Self, NumberError> {
        Self::parse(text)
    }
}

impl From<Number> for String {
    fn from(number: Number) -> Self {
        number.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[track_caller]
    fn check_json(text: &str, json: &str) {
        assert_eq!(Number::parse(text).unwrap().to_json().to_string(), json);
    }

    #[test]
    fn a_number_that_binary64_holds_becomes_a_json_number() {
        check_json("42", "42");
        check_json("-0", "0");
        check_json("19.99", "19.99");
        check_json("1.50", "1.5");
        check_json("9007199254740992", "9007199254740992");
        check_json("1E-7", "1e-7");
    }

    #[test]
    fn a_number_that_binary64_would_change_becomes_a_string() {
        check_json("9007199254740993", "\"9007199254740993\"");
        check_json(
            "12345678901234567890123456789012345678",
            "\"12345678901234567890123456789012345678\"",
        );
        check_json(
            "0.12345678901234567890123456789012345678",
            "\"0.12345678901234567890123456789012345678\"",
        );
    }

    #[test]
    fn what_is_not_a_decimal_is_refused() {
        for text in ["", "-", ".", "NaN", "Infinity", "1_000", "0x10", "1e", "١"] {
            assert!(Number::parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn comparing_looks_at_the_value_not_the_text() {
        let compare = |left: &str, right: &str| Number::parse(left).unwrap().cmp_value(&Number::parse(right).unwrap());
        assert_eq!(compare("1.50", "15e-1"), Ordering::Equal);
        assert_eq!(compare("-2", "-10"), Ordering::Greater);
        assert_eq!(compare("9", "10"), Ordering::Less);
        assert_eq!(compare("0.0", "-0"), Ordering::Equal);
        assert_eq!(
            compare(
                "12345678901234567890123456789012345678",
                "12345678901234567890123456789012345679"
            ),
            Ordering::Less
        );
    }

    proptest! {
        #[test]
        fn comparing_agrees_with_integers(left in any::<i64>(), right in any::<i64>()) {
            let number = |value: i64| Number::parse(value.to_string()).unwrap();
            prop_assert_eq!(number(left).cmp_value(&number(right)), left.cmp(&right));
        }
    }
}
