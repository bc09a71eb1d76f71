//! Consumers of the ledger: one cursor each, moved by one worker at a time, together with what it gives up.

use expect_test::expect;
use weir_ledger::{Consumer, ConsumerError, DeadLetter, DeadLetterPlace, DeadLetterSelection, Ledger, Settlement};
use weir_model::Position;

use crate::support::{World, append};

async fn route(ledger: &Ledger) -> Consumer {
    ledger.claim_consumer("route:mail", Position(0)).await.unwrap()
}

fn letter(position: u64) -> DeadLetter {
    DeadLetter {
        delivery: format!("delivery-{position}"),
        route: "mail".to_owned(),
        version: 2,
        position: Position(position),
        sink: Some("postbox".to_owned()),
        code: "refused".to_owned(),
        reason: "no such address".to_owned(),
        attempts: 3,
        plugin_digest: Some("ab".repeat(32)),
        plugin_log: Some("looked at it".to_owned()),
        payload: Some(r#"{"id":1}"#.to_owned()),
        created_at: None,
        is_redriven: false,
        as_new: None,
    }
}

/// Where the route stands, and what was given up.
async fn told(ledger: &Ledger) -> String {
    let letters = ledger.dead_letters(None, 100).await.unwrap();
    let letters: Vec<_> = letters.iter().map(|letter| letter.position.to_string()).collect();
    format!("next {}, dead {}", route(ledger).await.next, letters.join(" "))
}

#[tokio::test]
async fn a_new_consumer_starts_where_it_is_told_and_an_old_one_where_it_stood() {
    let world = World::new().await;
    let consumer = world.ledger.claim_consumer("route:mail", Position(4)).await.unwrap();
    assert_eq!((consumer.name.as_str(), consumer.next), ("route:mail", Position(4)));
    let again = world.ledger.claim_consumer("route:mail", Position(9)).await.unwrap();
    assert_eq!(again.next, Position(4));
}

#[tokio::test]
async fn a_cursor_outlives_its_process() {
    let world = World::new().await;
    let mut consumer = route(&world.ledger).await;
    world
        .ledger
        .settle(&mut consumer, Position(7), &Settlement::of_dead_letters([letter(3)]))
        .await
        .unwrap();
    assert_eq!(consumer.next, Position(7));
    expect!["next 7, dead 3"].assert_eq(&told(&world.process().await).await);
}

#[tokio::test]
async fn after_a_take_over_neither_cursor_nor_dead_letters_of_the_old_worker_are_written() {
    let world = World::new().await;
    let mut old = route(&world.ledger).await;
    let other = world.process().await;
    let mut new = route(&other).await;

    let fenced = world
        .ledger
        .settle(&mut old, Position(5), &Settlement::of_dead_letters([letter(3)]))
        .await;
    assert!(matches!(fenced, Err(ConsumerError::Fenced { .. })), "{fenced:?}");
    assert_eq!(old.next, Position(0));
    other
        .settle(&mut new, Position(2), &Settlement::of_dead_letters([letter(1)]))
        .await
        .unwrap();
    expect!["next 2, dead 1"].assert_eq(&told(&world.ledger).await);
}

#[tokio::test]
async fn a_dead_letter_that_cannot_be_stored_keeps_the_cursor() {
    let world = World::new().await;
    world.tamper("alter table dead_letter add check (position <> 3)").await;
    let mut consumer = route(&world.ledger).await;
    let failed = world
        .ledger
        .settle(
            &mut consumer,
            Position(5),
            &Settlement::of_dead_letters([letter(2), letter(3)]),
        )
        .await;
    assert!(matches!(failed, Err(ConsumerError::Database(_))), "{failed:?}");
    assert_eq!(consumer.next, Position(0));
    expect!["next 0, dead "].assert_eq(&told(&world.ledger).await);
}

#[tokio::test]
async fn a_dead_letter_is_stored_once_however_often_it_is_settled() {
    let world = World::new().await;
    for _ in 0..2 {
        let mut consumer = route(&world.ledger).await;
        world
            .ledger
            .settle(
                &mut consumer,
                Position(5),
                &Settlement::of_dead_letters([letter(3), letter(3)]),
            )
            .await
            .unwrap();
    }
    expect!["next 5, dead 3"].assert_eq(&told(&world.ledger).await);
}

/// A plugin writes what it likes into its log, and a sink into its refusal.
#[tokio::test]
async fn a_dead_letter_with_any_text_is_stored() {
    let world = World::new().await;
    for (position, text) in (0..).zip([
        "",
        "\u{0}",
        "a\u{0}b",
        "\u{feff}\u{10ffff}",
        "\\x00",
        &"long ".repeat(100_000),
    ]) {
        let mut consumer = route(&world.ledger).await;
        let letter = DeadLetter {
            reason: text.to_owned(),
            plugin_log: Some(text.to_owned()),
            payload: Some(text.to_owned()),
            ..letter(position)
        };
        let settled = world
            .ledger
            .settle(
                &mut consumer,
                Position(position + 1),
                &Settlement::of_dead_letters([letter]),
            )
            .await;
        assert!(settled.is_ok(), "{:.20?}: {settled:?}", text);
    }
}

#[tokio::test]
async fn dead_letters_are_listed_as_they_were_given_up_in_order_of_position() {
    let world = World::new().await;
    let mut consumer = route(&world.ledger).await;
    let plain = DeadLetter {
        sink: None,
        plugin_digest: None,
        plugin_log: None,
        payload: None,
        ..letter(1)
    };
    let other_route = DeadLetter {
        route: "bill".to_owned(),
        ..letter(2)
    };
    let given_up = [letter(8), other_route, plain.clone()];
    world
        .ledger
        .settle(&mut consumer, Position(9), &Settlement::of_dead_letters(given_up))
        .await
        .unwrap();

    let listed = world.ledger.dead_letters(Some("mail"), 10).await.unwrap();
    assert!(listed.iter().all(|letter| letter.created_at.is_some()));
    let untimed = |letter: &DeadLetter| DeadLetter {
        created_at: None,
        is_redriven: false,
        as_new: None,
        ..letter.clone()
    };
    assert_eq!(listed.iter().map(untimed).collect::<Vec<_>>(), [plain, letter(8)]);

    let by_two = {
        let (mut pages, mut after) = (Vec::new(), None);
        loop {
            let any = DeadLetterSelection::default();
            let page = world.ledger.dead_letters_in_short(&any, after.as_ref(), 2).await;
            let page = page.unwrap();
            let Some(last) = page.last() else {
                break pages;
            };
            after = Some(DeadLetterPlace {
                position: last.position,
                delivery: last.delivery.clone(),
            });
            pages.push(page.iter().map(|letter| letter.position.0).collect::<Vec<_>>());
        }
    };
    assert_eq!(by_two, [vec![1, 2], vec![8]]);
    let of_code = DeadLetterSelection {
        code: Some("no-such-code".to_owned()),
        ..DeadLetterSelection::default()
    };
    let listed = world.ledger.dead_letters_in_short(&of_code, None, 10).await;
    assert_eq!(listed.unwrap(), []);
    assert_eq!(world.ledger.dead_letters(Some("nobody"), 10).await.unwrap(), []);
}

#[tokio::test]
async fn consumers_do_not_disturb_each_other_or_the_append() {
    let world = World::new().await;
    let lease = world.lease("a").await;
    let mut mail = route(&world.ledger).await;
    let mut bill = world.ledger.claim_consumer("route:bill", Position(0)).await.unwrap();
    append(&world.ledger, &lease, 0, 3).await.unwrap();
    world
        .ledger
        .settle(&mut mail, Position(3), &Settlement::default())
        .await
        .unwrap();
    world
        .ledger
        .settle(&mut bill, Position(1), &Settlement::default())
        .await
        .unwrap();
    append(&world.ledger, &lease, 3, 4).await.unwrap();
    assert_eq!(route(&world.ledger).await.next, Position(3));
}

#[tokio::test]
async fn a_consumer_is_held_by_the_last_of_many_that_took_it() {
    let world = World::new().await;
    let mut held = Vec::new();
    for _ in 0..5 {
        held.push(route(&world.ledger).await);
    }
    let mut settled = Vec::new();
    for consumer in &mut held {
        settled.push(
            world
                .ledger
                .settle(consumer, Position(1), &Settlement::default())
                .await
                .is_ok(),
        );
    }
    assert_eq!(settled, [false, false, false, false, true]);
}
