//! What an operator sees of deliveries, and does about them: what is parked, paused, given up, sent again or thrown away, why a
//! route does with a change what it does, and who routes.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod apply;
mod explain;
mod letters;
mod parked;
mod paused;
mod payload;
mod preview;
mod renewal;
mod replay;
mod shared;
mod shop;
mod tap;
