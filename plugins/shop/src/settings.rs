//! What the operator may configure.

use serde::{Deserialize, Deserializer, de::Error as _};

#[derive(Debug, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Settings {
    /// A new order with at least this total is announced as large.
    #[serde(default, deserialize_with = "from_0_up")]
    pub(crate) large_order: Option<f64>,
}

fn from_0_up<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<f64>, D::Error> {
    let total = f64::deserialize(deserializer)?;
    if total < 0.0 {
        return Err(D::Error::custom(format!("must be a number from 0 up, not {total}")));
    }
    Ok(Some(total))
}
