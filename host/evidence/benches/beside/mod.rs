//! Measures a path and what it is held against in turns, and tells their ratio. Every benchmark of the workspace uses it.
//!
//! ```text
//! one sample of criterion: path floor path floor path floor ...     a turn is about a millisecond, both run equally often
//!                          └─ratio──┘ └─ratio──┘ └─ratio──┘
//! ```
//!
//! A machine is noisy: other processes come and go, its clock rate moves. Two numbers of one machine at two times
//! cannot be divided by each other, two neighbouring turns can. So criterion's own numbers are those of the path alone,
//! and the line that counts is the one below them: the median of the ratios.

use std::cell::RefCell;
use std::hint::black_box;
use std::time::{Duration, Instant};

use criterion::Criterion;

/// How long a turn of path and floor together takes: long beside reading the clock, short beside what a noisy neighbour
/// does. What takes longer runs once per turn.
const TURN: Duration = Duration::from_millis(1);

/// What is compared.
#[derive(Clone, Copy)]
pub(crate) struct Beside<'a> {
    /// The path, `<bench>/<case>`.
    pub(crate) path: &'a str,
    /// What it is held against: a floor that it cannot beat, or a peer.
    pub(crate) floor: &'a str,
    /// How many rows or records one run of either works on. Times are told per one.
    pub(crate) count: u64,
}

/// One turn: seconds per row of path and floor.
struct Turn {
    path_s: f64,
    floor_s: f64,
}

/// Runs both in turns under criterion's sampling, and prints their ratio.
pub(crate) fn beside<PathOutput, FloorOutput>(
    criterion: &mut Criterion,
    names: Beside<'_>,
    mut path: impl FnMut() -> PathOutput,
    mut floor: impl FnMut() -> FloorOutput,
) {
    let turns = RefCell::new(Vec::new());
    let turn_iterations = RefCell::new(1);
    criterion.bench_function(names.path, |bencher| {
        bencher.iter_custom(|iterations| {
            let mut turn_iterations = turn_iterations.borrow_mut();
            let (mut left, mut path_total) = (iterations, Duration::ZERO);
            while left > 0 {
                let turn = left.min(*turn_iterations);
                let (path_time, floor_time) = (time(turn, &mut path), time(turn, &mut floor));
                let rows = (turn * names.count) as f64;
                turns.borrow_mut().push(Turn {
                    path_s: path_time.as_secs_f64() / rows,
                    floor_s: floor_time.as_secs_f64() / rows,
                });
                let fitting = TURN.as_nanos() * u128::from(turn) / (path_time + floor_time).as_nanos().max(1);
                *turn_iterations = u64::try_from(fitting).unwrap_or(u64::MAX).max(1);
                path_total += path_time;
                left -= turn;
            }
            path_total
        });
    });
    print_ratio(names, &turns.into_inner());
}

fn time<Output>(iterations: u64, run: &mut impl FnMut() -> Output) -> Duration {
    let begun = Instant::now();
    for _ in 0..iterations {
        black_box(run());
    }
    begun.elapsed()
}

/// Says nothing if the command line left this benchmark out.
#[expect(clippy::print_stdout, reason = "a benchmark tells its result")]
fn print_ratio(names: Beside<'_>, turns: &[Turn]) {
    if turns.is_empty() {
        return;
    }
    let sorted = |of: fn(&Turn) -> f64| {
        let mut values: Vec<f64> = turns.iter().map(of).collect();
        values.sort_by(f64::total_cmp);
        values
    };
    let median = |values: &[f64]| values[values.len() / 2];
    let path = show(median(&sorted(|turn| turn.path_s)));
    let floor = show(median(&sorted(|turn| turn.floor_s)));
    let ratios = sorted(|turn| turn.path_s / turn.floor_s);
    let (ratio, low, high) = (
        median(&ratios),
        ratios[ratios.len() / 10],
        ratios[ratios.len() * 9 / 10],
    );
    println!(
        "{}: {path} beside {floor} of {}\n  {} times its time ({} to {} in 8 of 10 turns), {} times its rate\n",
        names.path,
        names.floor,
        show_ratio(ratio),
        show_ratio(low),
        show_ratio(high),
        show_ratio(1.0 / ratio),
    );
}

/// Two digits that mean something, or more.
fn show_ratio(ratio: f64) -> String {
    let decimals = match ratio {
        _ if ratio >= 10.0 => 0,
        _ if ratio >= 0.1 => 2,
        _ => 4,
    };
    format!("{ratio:.decimals$}")
}

fn show(seconds: f64) -> String {
    match seconds {
        _ if seconds >= 1e-3 => format!("{:.2} ms", seconds * 1e3),
        _ if seconds >= 1e-6 => format!("{:.2} µs", seconds * 1e6),
        _ => format!("{:.1} ns", seconds * 1e9),
    }
}
