//! An order as the table has it.
//!
//! | attribute    | type                          |                                                     |
//! | ------------ | ----------------------------- | --------------------------------------------------- |
//! | `order_id`   | S                             | `order-1001`; the key                               |
//! | `customer`   | S                             | a name                                              |
//! | `status`     | S                             | see [`Status`]                                      |
//! | `total`      | N                             | money, `19.99`                                      |
//! | `items`      | L of M `{sku: S, quantity: N}` |                                                     |
//! | `note`       | S                             | may be empty                                        |
//! | `updated_by` | S                             | who wrote last, by their own word                   |
//! | `updated_at` | S                             | when: RFC 3339, UTC, milliseconds                   |
//! | `deleted_at` | S                             | only on an order that is being deleted: `updated_at` |

use std::collections::HashMap;

use aws_sdk_dynamodb::types::AttributeValue;

use super::KEY;

/// All attributes of an order, also those that we do not know.
pub(super) type Item = HashMap<String, AttributeValue>;

/// How far an order has got.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Status {
    Placed,
    Paid,
    Packed,
    Shipped,
    Delivered,
    Cancelled,
}

impl Status {
    const ALL: [Status; 6] = [
        Status::Placed,
        Status::Paid,
        Status::Packed,
        Status::Shipped,
        Status::Delivered,
        Status::Cancelled,
    ];

    pub(super) fn as_str(self) -> &'static str {
        match self {
            Status::Placed => "placed",
            Status::Paid => "paid",
            Status::Packed => "packed",
            Status::Shipped => "shipped",
            Status::Delivered => "delivered",
            Status::Cancelled => "cancelled",
        }
    }
}

/// An order with an id like ours. Everything else about it may be missing or strange: anybody may edit the table.
#[derive(Clone, Debug)]
pub(super) struct Order {
    number: u64,
    item: Item,
}

impl Order {
    /// The order in `item`, unless its id is not one that the shop gives.
    pub(super) fn from_item(item: Item) -> Option<Order> {
        let number = item.get(KEY)?.as_s().ok()?.strip_prefix("order-")?.parse().ok()?;
        Some(Order { number, item })
    }

    /// A new order of `lines`: article, quantity, price of one in cents.
    pub(super) fn new(number: u64, customer: &str, lines: &[(&str, u64, u64)], note: &str) -> Order {
        let text = |value: &str| AttributeValue::S(value.to_owned());
        let line = |(sku, quantity, _): &(&str, u64, u64)| {
            AttributeValue::M(HashMap::from([
                ("sku".to_owned(), text(sku)),
                ("quantity".to_owned(), AttributeValue::N(quantity.to_string())),
            ]))
        };
        let total = lines.iter().map(|(_, quantity, cents)| quantity * cents).sum();
        let item = HashMap::from([
            (KEY.to_owned(), AttributeValue::S(format!("order-{number}"))),
            ("customer".to_owned(), text(customer)),
            ("status".to_owned(), text(Status::Placed.as_str())),
            ("total".to_owned(), AttributeValue::N(money(total))),
            ("items".to_owned(), AttributeValue::L(lines.iter().map(line).collect())),
            ("note".to_owned(), text(note)),
        ]);
        Order { number, item }
    }

    pub(super) fn id(&self) -> String {
        format!("order-{}", self.number)
    }

    pub(super) fn number(&self) -> u64 {
        self.number
    }

    pub(super) fn status(&self) -> Option<Status> {
        let text = self.text("status")?;
        Status::ALL.into_iter().find(|status| status.as_str() == text)
    }

    pub(super) fn note(&self) -> Option<&str> {
        self.text("note")
    }

    /// The total in cents, if it has no more than two decimals. DynamoDB drops zeros at the end: `19.90` comes back
    /// as `19.9`.
    pub(super) fn total_cents(&self) -> Option<u64> {
        let text = self.item.get("total")?.as_n().ok()?;
        let (whole, decimals) = text.split_once('.').unwrap_or((text, ""));
        if decimals.len() > 2 {
            return None;
        }
        whole
            .parse::<u64>()
            .ok()?
            .checked_mul(100)?
            .checked_add(format!("{decimals:0<2}").parse().ok()?)
    }

    pub(super) fn with_status(mut self, status: Status) -> Order {
        self.item
            .insert("status".to_owned(), AttributeValue::S(status.as_str().to_owned()));
        self
    }

    /// The item, with who writes it and when.
    pub(super) fn signed(mut self, by: &str, moment: &str) -> Item {
        self.item
            .insert("updated_by".to_owned(), AttributeValue::S(by.to_owned()));
        self.item
            .insert("updated_at".to_owned(), AttributeValue::S(moment.to_owned()));
        self.item
    }

    /// The condition that every attribute is still as it was read, with its names and values.
    pub(super) fn unchanged(&self) -> (String, HashMap<String, String>, Item) {
        let mut terms = Vec::new();
        let mut names = HashMap::new();
        let mut values = HashMap::new();
        for (index, (name, value)) in self.item.iter().enumerate() {
            terms.push(format!("#a{index} = :a{index}"));
            names.insert(format!("#a{index}"), name.clone());
            values.insert(format!(":a{index}"), value.clone());
        }
        (terms.join(" and "), names, values)
    }

    fn text(&self, name: &str) -> Option<&str> {
        self.item.get(name)?.as_s().ok().map(String::as_str)
    }
}

/// Cents as decimal text, with both decimals: `19.90`.
pub(super) fn money(cents: u64) -> String {
    format!("{}.{:02}", cents / 100, cents % 100)
}

#[cfg(test)]
mod tests {
    use aws_sdk_dynamodb::types::AttributeValue;

    use super::{Order, money};

    #[test]
    fn a_total_is_read_however_many_zeros_the_database_dropped() {
        let mut order = Order::new(1001, "Ingrid Holm", &[("lamp", 2, 995), ("bulb", 1, 9)], "");
        assert_eq!(order.total_cents(), Some(1999));
        for (text, cents) in [
            ("20", Some(2000)),
            ("1.5", Some(150)),
            ("0.05", Some(5)),
            ("1E3", None),
            ("-3", None),
            ("0.005", None),
        ] {
            order
                .item
                .insert("total".to_owned(), AttributeValue::N(text.to_owned()));
            assert_eq!(order.total_cents(), cents, "{text}");
        }
    }

    #[test]
    fn money_has_two_decimals() {
        assert_eq!([0, 5, 1990].map(money), ["0.00", "0.05", "19.90"]);
    }
}
