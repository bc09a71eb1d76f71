//! Work that is given up half-way leaves nothing behind that others could take for their own.

use std::time::Duration;

use weir_ledger::{AppendError, Appended};

use crate::support::{Shuffled, World, batch, seal};

/// An append that is dropped at any await; then questions, on the same few connections, whose answers are known.
#[tokio::test]
async fn whoever_comes_after_an_append_that_was_given_up_gets_the_answers_to_its_own_questions() {
    let mut shuffled = Shuffled::new();
    let world = World::new().await;
    let lease = world.lease("a").await;
    let (mut at, mut given_up) = (0, 0);
    for _ in 0..150 {
        let records = seal(&world.ledger, &lease, at + 1..=at + 200).await;
        let append = world.ledger.append(batch(&lease, at, at + 200, &records));
        let limit = Duration::from_micros(shuffled.below(20_000));
        match tokio::time::timeout(limit, append).await {
            Err(_) => given_up += 1,
            Ok(Ok(Appended::Written { .. } | Appended::AlreadyThere)) => at += 200,
            Ok(Err(AppendError::Moved { position, .. })) => {
                // One that was given up had been committed.
                at = position.map_or(0, |position| position.as_str().parse().unwrap());
                continue;
            }
            Ok(Err(error)) => panic!("{error:?}"),
        }
        assert_eq!(world.ledger.streams().await.unwrap().len(), 1);
        assert_eq!(world.ledger.shards(world.stream_id).await.unwrap().len(), 1);
        world.ledger.head().await.unwrap();
    }
    assert!(given_up > 0, "no append was given up");
}
