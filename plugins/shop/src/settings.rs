//! What the operator may configure. Every problem is reported at once, each at its place.

use serde_json::Value;
use weir_plugin_sdk::ConfigProblem;

#[derive(Debug, Default, PartialEq)]
pub(crate) struct Settings {
    /// A new order with at least this total is announced as large.
    pub(crate) large_order: Option<f64>,
}

impl Settings {
    pub(crate) fn parse(config: &str) -> Result<Self, Vec<ConfigProblem>> {
        let document = serde_json::from_str(config)
            .map_err(|error| vec![ConfigProblem::at([], format!("is not JSON: {error}"))])?;
        let Value::Object(members) = document else {
            return Err(vec![ConfigProblem::at(
                [],
                r#"must be an object, such as {"large_order": 500}"#,
            )]);
        };

        let mut settings = Self::default();
        let mut problems = Vec::new();
        for (name, value) in &members {
            match (name.as_str(), value.as_f64()) {
                ("large_order", Some(total)) if total >= 0.0 => settings.large_order = Some(total),
                ("large_order", _) => {
                    problems.push(ConfigProblem::at(
                        [name.as_str()],
                        format!("must be a number from 0 up, not {value}"),
                    ));
                }
                _ => problems.push(ConfigProblem::at(
                    [name.as_str()],
                    "is not a setting; there is only large_order",
                )),
            }
        }
        if problems.is_empty() {
            Ok(settings)
        } else {
            Err(problems)
        }
    }
}

#[cfg(test)]
mod tests {
    use expect_test::{Expect, expect};

    use super::*;

    #[track_caller]
    fn check(config: &str, expect: Expect) {
        let shown = match Settings::parse(config) {
            Ok(Settings { large_order }) => format!("large_order {large_order:?}"),
            Err(problems) => {
                let lines: Vec<_> = problems
                    .iter()
                    .map(|problem| format!("{:?} {}", problem.path, problem.message))
                    .collect();
                lines.join("\n")
            }
        };
        expect.assert_eq(&shown);
    }

    #[test]
    fn the_number_is_optional() {
        check("{}", expect!["large_order None"]);
        check(r#"{"large_order": 499.5}"#, expect!["large_order Some(499.5)"]);
    }

    #[test]
    fn every_problem_is_reported_at_its_place() {
        check(
            r#"{"large_order": "500", "large/orders": 1}"#,
            expect![[r#"
            "/large~1orders" is not a setting; there is only large_order
            "/large_order" must be a number from 0 up, not "500""#]],
        );
        check(
            r#"{"large_order": -1}"#,
            expect![[r#""/large_order" must be a number from 0 up, not -1"#]],
        );
    }

    #[test]
    fn what_is_no_object_is_refused() {
        check(
            "[500]",
            expect![[r#""" must be an object, such as {"large_order": 500}"#]],
        );
        check(
            "{",
            expect![[r#""" is not JSON: EOF while parsing an object at line 1 column 1"#]],
        );
    }
}
