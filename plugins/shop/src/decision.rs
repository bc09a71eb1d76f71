//! What becomes of one change of an order. Plain values in, a verdict out, so it is tested without a host.

use weir_plugin_sdk::Operation;

use crate::settings::Settings;

/// What the decision depends on.
pub(crate) struct OrderChange<'batch> {
    pub(crate) operation: Operation,
    pub(crate) status_before: Option<&'batch str>,
    pub(crate) status_after: Option<&'batch str>,
    /// Decimal text, because two totals that differ may be one binary64.
    pub(crate) total_before: Option<&'batch str>,
    pub(crate) total_after: Option<&'batch str>,
    /// The new total as a number. None if it is missing or anything else.
    pub(crate) amount: Option<f64>,
}

#[derive(Debug, PartialEq)]
pub(crate) enum Verdict {
    Drop,
    RejectTotalMissing,
    /// Send the change, and an event of each of these detail types.
    Keep {
        announce: Vec<&'static str>,
    },
}

impl OrderChange<'_> {
    pub(crate) fn decide(&self, settings: &Settings) -> Verdict {
        match self.operation {
            // First of all: whoever edits the note of an old, broken order should not be told about its total.
            Operation::Modify if !self.matters() => Verdict::Drop,
            Operation::Remove => Verdict::Keep { announce: Vec::new() },
            Operation::Insert | Operation::Modify => match self.amount {
                None => Verdict::RejectTotalMissing,
                Some(amount) => Verdict::Keep {
                    announce: self.announce(amount, settings),
                },
            },
        }
    }

    fn matters(&self) -> bool {
        self.status_before != self.status_after || self.total_before != self.total_after
    }

    fn announce(&self, amount: f64, settings: &Settings) -> Vec<&'static str> {
        let became_shipped = self.status_after == Some("shipped") && self.status_before != Some("shipped");
        let is_large = self.operation == Operation::Insert
            && settings.large_order.is_some_and(|large_order| amount >= large_order);

        let mut announce = Vec::new();
        if became_shipped {
            announce.push("order-shipped");
        }
        if is_large {
            announce.push("large-order");
        }
        announce
    }
}

#[cfg(test)]
mod tests {
    use expect_test::{Expect, expect};

    use super::*;

    /// Checks a change written as `operation, status total -> status total`, with `-` for what is absent.
    #[track_caller]
    fn check(change: &str, settings: &str, expect: Expect) {
        let words: Vec<_> = change.split_whitespace().collect();
        let [operation, status_before, total_before, "->", status_after, total_after] = words[..] else {
            panic!("not a change: {change}");
        };
        let present = |word| (word != "-").then_some(word);
        let change = OrderChange {
            operation: match operation {
                "insert" => Operation::Insert,
                "modify" => Operation::Modify,
                "remove" => Operation::Remove,
                other => panic!("not an operation: {other}"),
            },
            status_before: present(status_before),
            status_after: present(status_after),
            total_before: present(total_before),
            total_after: present(total_after),
            amount: total_after.parse().ok(),
        };
        let shown = match change.decide(&serde_json::from_str(settings).unwrap()) {
            Verdict::Drop => "drop".to_owned(),
            Verdict::RejectTotalMissing => "reject".to_owned(),
            Verdict::Keep { announce } => ["keep"].into_iter().chain(announce).collect::<Vec<_>>().join(", "),
        };
        expect.assert_eq(&shown);
    }

    #[test]
    fn an_edit_that_leaves_status_and_total_alone_is_dropped() {
        check("modify paid 19.99 -> paid 19.99", "{}", expect!["drop"]);
        check("modify paid - -> paid -", "{}", expect!["drop"]);
    }

    #[test]
    fn another_status_or_total_is_kept() {
        check("modify placed 19.99 -> paid 19.99", "{}", expect!["keep"]);
        check("modify paid 19.99 -> paid 24.99", "{}", expect!["keep"]);
    }

    #[test]
    fn totals_that_are_one_float_are_still_two_totals() {
        check("modify paid 0.10000000000000000001 -> paid 0.1", "{}", expect!["keep"]);
    }

    #[test]
    fn an_order_is_announced_when_it_becomes_shipped_and_not_again() {
        check(
            "modify packed 19.99 -> shipped 19.99",
            "{}",
            expect!["keep, order-shipped"],
        );
        check("modify shipped 19.99 -> shipped 17.99", "{}", expect!["keep"]);
        check("insert - - -> shipped 19.99", "{}", expect!["keep, order-shipped"]);
    }

    #[test]
    fn an_order_without_a_total_is_rejected() {
        check("insert - - -> placed -", "{}", expect!["reject"]);
        check("modify placed 19.99 -> placed -", "{}", expect!["reject"]);
        check("modify placed 19.99 -> placed free", "{}", expect!["reject"]);
    }

    #[test]
    fn a_removed_order_is_kept() {
        check("remove paid 19.99 -> - -", "{}", expect!["keep"]);
        check("remove paid - -> - -", "{}", expect!["keep"]);
    }

    #[test]
    fn an_order_is_large_from_the_configured_total_on_and_only_when_it_is_new() {
        check(
            "insert - - -> placed 500",
            r#"{"large_order": 500}"#,
            expect!["keep, large-order"],
        );
        check(
            "insert - - -> placed 499.99",
            r#"{"large_order": 500}"#,
            expect!["keep"],
        );
        check(
            "modify placed 20 -> placed 500",
            r#"{"large_order": 500}"#,
            expect!["keep"],
        );
        check("insert - - -> placed 500", "{}", expect!["keep"]);
    }

    #[test]
    fn one_change_can_be_announced_twice() {
        check(
            "insert - - -> shipped 500",
            r#"{"large_order": 500}"#,
            expect!["keep, order-shipped, large-order"],
        );
    }
}
