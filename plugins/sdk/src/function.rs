//! A plugin that is one function of one change: what its parameters may be, and what it may answer.
//!
//! ```text
//! parameter          comes from                       read
//! ─────────          ──────────                       ────
//! Option<&str>       #[new("/status")] and the like   once for the whole batch
//! Option<f64>        the same                         once for the whole batch
//! Option<&Value>     the same                         once for the whole batch
//! OnDemand           the same                         once for each change that asks
//! Operation          its type                         once for the whole batch
//! Facts              its type                         once for each change that asks
//! Lookup             #[lookup("customers")]           once for each key that is asked for
//! ```
//!
//! # Invariants
//!
//! - A function sees one change. It cannot depend on how changes were put together, which the contract forbids.

mod annotate;
mod answer;
mod parameter;

pub use annotate::Annotate;
pub use answer::{Answer, Decision};
pub use parameter::{Facts, FromChange, FromField, Lookup, OnDemand};

use serde::de::DeserializeOwned;
use serde_path_to_error::Segment;

use crate::ConfigProblem;

/// The configuration of a plugin that takes none: an empty object.
#[doc(hidden)]
#[derive(Debug, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NoConfig {}

/// Reads a configuration document, and says where it cannot be read.
#[doc(hidden)]
pub fn read_config<Config: DeserializeOwned>(config: &str) -> Result<Config, Vec<ConfigProblem>> {
    let mut document = serde_json::Deserializer::from_str(config);
    let read = serde_path_to_error::deserialize(&mut document);
    let read = read.map_err(|error| {
        let names = error.path().iter().filter_map(|segment| match segment {
            Segment::Seq { index } => Some(index.to_string()),
            Segment::Map { key } => Some(key.clone()),
            Segment::Enum { variant } => Some(variant.clone()),
            Segment::Unknown => None,
        });
        let names: Vec<String> = names.collect();
        let names = names.iter().map(String::as_str);
        vec![ConfigProblem::at(names, error.inner().to_string())]
    })?;
    let end = document.end();
    end.map_err(|error| vec![ConfigProblem::at([], error.to_string())])?;
    Ok(read)
}

#[cfg(test)]
mod tests {
    use expect_test::{Expect, expect};

    use super::*;

    #[track_caller]
    fn check<Config: DeserializeOwned + std::fmt::Debug>(config: &str, expect: Expect) {
        let shown = match read_config::<Config>(config) {
            Ok(config) => format!("{config:?}"),
            Err(problems) => format!("{:?} {}", problems[0].path, problems[0].message),
        };
        expect.assert_eq(&shown);
    }

    #[derive(Debug, serde::Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Settings {
        #[expect(dead_code, reason = "shown")]
        limits: Vec<f64>,
    }

    #[test]
    fn a_configuration_is_read_or_refused_at_its_place() {
        check::<Settings>(r#"{"limits": [1, 2.5]}"#, expect!["Settings { limits: [1.0, 2.5] }"]);
        check::<Settings>(
            r#"{"limits": [1, "2"]}"#,
            expect![[r#""/limits/1" invalid type: string "2", expected f64 at line 1 column 18"#]],
        );
        check::<Settings>(
            r#"{"limit": []}"#,
            expect![[r#""/limit" unknown field `limit`, expected `limits` at line 1 column 8"#]],
        );
        check::<Settings>(
            r#"{"limits": []} {}"#,
            expect![[r#""" trailing characters at line 1 column 16"#]],
        );
    }

    #[test]
    fn a_plugin_without_a_configuration_takes_an_empty_one() {
        check::<NoConfig>("{}", expect!["NoConfig"]);
        check::<NoConfig>(
            r#"{"limit": 1}"#,
            expect![[r#""/limit" unknown field `limit`, there are no fields at line 1 column 8"#]],
        );
    }
}
