//! What happens next in the shop: a decision over the orders that are there and a seeded generator, and nothing else.

use super::order::{Order, Status, money};

/// The people, each of whom does anything that needs a person.
const PEOPLE: [&str; 4] = ["maria", "jonas", "aisha", "chen"];

/// Does what nobody stays up for: notes what was delivered, and clears away what is done.
const NIGHT_JOB: &str = "the-night-job";

const CUSTOMERS: [&str; 8] = [
    "Ingrid Holm",
    "Tomás Varga",
    "Leila Haddad",
    "Oskar Brandt",
    "Mei Tanaka",
    "Amara Okafor",
    "Luca Ferri",
    "Zoë Martens",
];

/// Article and price of one in cents.
const ARTICLES: [(&str, u64); 7] = [
    ("lamp-brass", 4900),
    ("bulb-warm", 599),
    ("shade-linen", 2450),
    ("cable-red", 1295),
    ("candle-set", 1999),
    ("vase-blue", 3400),
    ("hook-oak", 875),
];

const NOTES: [&str; 6] = [
    "",
    "ring twice",
    "leave it with the neighbour",
    "gift wrap, no invoice in the parcel",
    "call before delivery",
    "customer asks for Friday",
];

/// Below this, the shop only takes orders.
const ORDERS_MIN: usize = 5;

/// The number before the first order's.
const NUMBER_BEFORE: u64 = 1000;

/// Orders that are packed in one go, at most.
const TOGETHER_MAX: usize = 3;

/// One thing that somebody does.
#[derive(Clone, Debug)]
pub(super) enum Step {
    /// A new order.
    Place { order: Order, by: &'static str },

    /// One order gets further.
    Move {
        order_id: String,
        from: Status,
        to: Status,
        by: &'static str,
    },

    /// Several orders get further, all or none.
    MoveTogether {
        order_ids: Vec<String>,
        from: Status,
        to: Status,
        by: &'static str,
    },

    /// One order gets further by being written again as a whole.
    Replace { order: Order, to: Status, by: &'static str },

    /// Somebody changes the note.
    Annotate {
        order_id: String,
        note: String,
        by: &'static str,
    },

    /// Somebody changes a total and does not say who, as one does in the console.
    CorrectByHand { order_id: String, total: String },

    /// An order goes, after a word on who removes it.
    Remove { order_id: String, by: &'static str },
}

/// Decides on the next step. `orders` are sorted by number.
pub(super) fn next_step(orders: &[Order], orders_max: usize, random: &mut SplitMix64) -> Step {
    // Of 100 steps, about 25 place an order, 10 edit a note, 2 are by hand, 4 cancel, and the rest moves orders on.
    let roll = random.below(100);
    let step = match roll {
        _ if orders.len() < ORDERS_MIN.min(orders_max) => None,
        0..25 if orders.len() < orders_max => None,
        25..35 => Some(annotate(orders, random)),
        35..37 => correct_by_hand(orders, random),
        37..41 => cancel(orders, random),
        _ => advance(orders, random),
    };
    match step {
        Some(step) => step,
        None if orders.len() < orders_max.max(1) => place(orders, random),
        None => annotate(orders, random),
    }
}

fn place(orders: &[Order], random: &mut SplitMix64) -> Step {
    let number = orders.last().map_or(NUMBER_BEFORE, Order::number) + 1;
    let mut lines: Vec<(&str, u64, u64)> = Vec::new();
    for _ in 0..=random.below(3) {
        let (sku, cents) = random.pick(&ARTICLES);
        match lines.iter_mut().find(|line| line.0 == sku) {
            Some(line) => line.1 += 1,
            None => lines.push((sku, 1, cents)),
        }
    }
    let order = Order::new(number, random.pick(&CUSTOMERS), &lines, random.pick(&NOTES));
    Step::Place {
        order,
        by: random.pick(&PEOPLE),
    }
}

fn annotate(orders: &[Order], random: &mut SplitMix64) -> Step {
    let order = &orders[random.below(orders.len())];
    let others: Vec<&str> = NOTES.into_iter().filter(|note| Some(*note) != order.note()).collect();
    Step::Annotate {
        order_id: order.id(),
        note: random.pick(&others).to_owned(),
        by: random.pick(&PEOPLE),
    }
}

fn correct_by_hand(orders: &[Order], random: &mut SplitMix64) -> Option<Step> {
    let order = &orders[random.below(orders.len())];
    let cents = order.total_cents()?;
    let corrected = if cents > 500 { cents - 500 } else { cents + 100 };
    Some(Step::CorrectByHand {
        order_id: order.id(),
        total: money(corrected),
    })
}

fn cancel(orders: &[Order], random: &mut SplitMix64) -> Option<Step> {
    let open: Vec<(&Order, Status)> = orders
        .iter()
        .filter_map(|order| Some((order, order.status()?)))
        .filter(|(_, status)| matches!(status, Status::Placed | Status::Paid))
        .collect();
    let (order, from) = random.pick_any(&open)?;
    Some(Step::Move {
        order_id: order.id(),
        from,
        to: Status::Cancelled,
        by: random.pick(&PEOPLE),
    })
}

fn advance(orders: &[Order], random: &mut SplitMix64) -> Option<Step> {
    let newest = orders.last()?.number();
    let movable: Vec<(&Order, Status)> = orders
        .iter()
        .filter_map(|order| Some((order, order.status()?)))
        // Its number would be given again.
        .filter(|(order, status)| order.number() != newest || !is_done(*status))
        .collect();
    let (order, from) = random.pick_any(&movable)?;
    Some(match from {
        Status::Placed => Step::Move {
            order_id: order.id(),
            from,
            to: Status::Paid,
            by: random.pick(&PEOPLE),
        },
        Status::Paid => {
            let paid = movable.iter().filter(|(_, status)| *status == Status::Paid);
            let order_ids = paid.take(TOGETHER_MAX).map(|(order, _)| order.id()).collect();
            Step::MoveTogether {
                order_ids,
                from,
                to: Status::Packed,
                by: random.pick(&PEOPLE),
            }
        }
        Status::Packed => Step::Move {
            order_id: order.id(),
            from,
            to: Status::Shipped,
            by: random.pick(&PEOPLE),
        },
        Status::Shipped => Step::Replace {
            order: order.clone(),
            to: Status::Delivered,
            by: NIGHT_JOB,
        },
        Status::Delivered | Status::Cancelled => Step::Remove {
            order_id: order.id(),
            by: NIGHT_JOB,
        },
    })
}

fn is_done(status: Status) -> bool {
    matches!(status, Status::Delivered | Status::Cancelled)
}

/// A small generator of good enough numbers, the same on every machine and in every release.
///
/// Steele, Lea and Flood, "Fast splittable pseudorandom number generators", 2014, figure 17.
#[derive(Clone, Debug)]
pub(super) struct SplitMix64 {
    state: u64,
}

impl SplitMix64 {
    pub(super) fn new(seed: u64) -> SplitMix64 {
        SplitMix64 { state: seed }
    }

    /// A number below `bound`, which is not 0.
    pub(super) fn below(&mut self, bound: usize) -> usize {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.state;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^= mixed >> 31;
        usize::try_from(mixed % bound as u64).expect("it is below a usize")
    }

    /// One of `choices`, which are not empty.
    fn pick<T: Copy>(&mut self, choices: &[T]) -> T {
        choices[self.below(choices.len())]
    }

    fn pick_any<T: Copy>(&mut self, choices: &[T]) -> Option<T> {
        if choices.is_empty() {
            None
        } else {
            Some(self.pick(choices))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Order, SplitMix64, Status, Step, next_step};

    #[test]
    fn the_generator_gives_the_numbers_of_its_authors() {
        // The first three outputs of the reference implementation in C for the seed 1234567, by their last digits.
        let mut random = SplitMix64::new(1_234_567);
        let digits = [0; 3].map(|_| random.below(1_000_000_000));
        assert_eq!(
            digits,
            [
                6_457_827_717_110_365_317_u64,
                3_203_168_211_198_807_973,
                9_817_491_932_198_370_423
            ]
            .map(|output| usize::try_from(output % 1_000_000_000).unwrap())
        );
    }

    #[test]
    fn the_newest_order_is_never_removed_and_the_table_never_overflows() {
        for orders_max in [1, 2, 7, 40] {
            let mut orders: Vec<Order> = Vec::new();
            let mut random = SplitMix64::new(7);
            let mut placed = 0;
            for _ in 0..5_000 {
                let at = |orders: &[Order], id: &str| orders.iter().position(|order| order.id() == *id).unwrap();
                match next_step(&orders, orders_max, &mut random) {
                    Step::Place { order, .. } => {
                        placed += 1;
                        assert_eq!(order.number(), 1000 + placed, "numbers have no gap and no repetition");
                        orders.push(order);
                    }
                    Step::Move { order_id, from, to, .. } => {
                        let index = at(&orders, &order_id);
                        assert_eq!(orders[index].status(), Some(from));
                        orders[index] = orders[index].clone().with_status(to);
                    }
                    Step::MoveTogether { order_ids, to, .. } => {
                        for order_id in order_ids {
                            let index = at(&orders, &order_id);
                            orders[index] = orders[index].clone().with_status(to);
                        }
                    }
                    Step::Replace { order, to, .. } => {
                        let index = at(&orders, &order.id());
                        orders[index] = order.with_status(to);
                    }
                    Step::Remove { order_id, .. } => {
                        let index = at(&orders, &order_id);
                        assert!(index + 1 < orders.len());
                        assert!(matches!(
                            orders[index].status(),
                            Some(Status::Delivered | Status::Cancelled)
                        ));
                        orders.remove(index);
                    }
                    Step::Annotate { order_id, note, .. } => {
                        assert_ne!(orders[at(&orders, &order_id)].note(), Some(note.as_str()));
                    }
                    Step::CorrectByHand { .. } => {}
                }
                assert!(orders.len() <= orders_max);
            }
            assert!(
                orders_max < 3 || placed > 100,
                "only {placed} orders were placed with room for {orders_max}"
            );
        }
    }
}
