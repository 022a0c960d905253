//! What a worker may rely on in a queue.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use reelpool_worker::queue::{QueueError, StopFlag};

use crate::contract;
use crate::queue_under_test::{HOLD, MAX_ATTEMPTS, QueueUnderTest};

contract!(
    QueueUnderTest,
    an_empty_queue_gives_nothing_after_the_wait,
    a_wait_ends_when_a_message_comes,
    a_message_is_received_whole_and_by_one,
    a_hold_that_runs_out_is_lost,
    a_hold_that_is_extended_lasts,
    a_message_handed_back_is_there_at_once,
    a_retry_comes_after_its_delay,
    a_deleted_message_never_returns,
    a_dead_letter_keeps_body_and_reason,
    a_message_received_too_often_is_given_up,
    many_receivers_share_without_doubling,
    a_stopped_receive_strands_nothing,
    the_redrive_policy_bounds_attempts,
);

async fn an_empty_queue_gives_nothing_after_the_wait(on: &QueueUnderTest) {
    assert_eq!(on.receive(HOLD).await, None);
    let start = Instant::now();
    assert_eq!(on.receive_within(HOLD, Duration::from_secs(1)).await, None);
    let waited = start.elapsed();
    assert!(waited >= Duration::from_millis(900), "asked too early: {waited:?}");
    assert!(waited < Duration::from_secs(5), "waited too long: {waited:?}");
}

async fn a_wait_ends_when_a_message_comes(on: &QueueUnderTest) {
    let start = Instant::now();
    let (received, ()) = tokio::join!(on.receive_within(HOLD, Duration::from_secs(15)), async {
        tokio::time::sleep(Duration::from_millis(300)).await;
        on.send("late").await;
    });
    assert_eq!(received.unwrap().body, "late");
    assert!(start.elapsed() < Duration::from_secs(5), "the wait should end: {:?}", start.elapsed());
}

async fn a_message_is_received_whole_and_by_one(on: &QueueUnderTest) {
    let body = format!(r#"{{"key":"ü 🎬 \"quoted\"","fill":"{}"}}"#, "x".repeat(200_000));
    on.send(&body).await;
    let received = on.receive(HOLD).await.unwrap();
    assert_eq!(received.body, body);
    assert_eq!(received.receives, 1);
    assert!(!received.id.is_empty() && !received.receipt.is_empty());
    assert_eq!(on.receive(HOLD).await, None, "it is hidden");
}

async fn a_hold_that_runs_out_is_lost(on: &QueueUnderTest) {
    on.send("a").await;
    let first = on.receive(Duration::from_secs(1)).await.unwrap();
    let second = on.receive_within(HOLD, Duration::from_secs(10)).await.expect("it is offered again");
    assert_eq!((second.id.as_str(), second.receives), (first.id.as_str(), 2));
    assert_ne!(second.receipt, first.receipt);
    assert_eq!(on.queue.extend(&first.receipt, HOLD).await, Err(QueueError::HoldLost));
    // The one who has it now is not disturbed.
    on.queue.extend(&second.receipt, HOLD).await.unwrap();
    on.queue.delete(&second.receipt).await.unwrap();
}

async fn a_hold_that_is_extended_lasts(on: &QueueUnderTest) {
    on.send("a").await;
    let held = on.receive(Duration::from_secs(2)).await.unwrap();
    for _ in 0..7 {
        tokio::time::sleep(Duration::from_millis(500)).await;
        on.queue.extend(&held.receipt, Duration::from_secs(2)).await.unwrap();
        assert_eq!(on.receive(HOLD).await, None, "nobody else may have it");
    }
    on.queue.delete(&held.receipt).await.unwrap();
    assert_eq!(on.counts().await, (0, 0, 0));
}

async fn a_message_handed_back_is_there_at_once(on: &QueueUnderTest) {
    on.send("a").await;
    let first = on.receive(HOLD).await.unwrap();
    on.queue.extend(&first.receipt, Duration::ZERO).await.unwrap();
    let second = on.receive_within(HOLD, Duration::from_secs(2)).await.expect("it is there");
    assert_eq!((second.body.as_str(), second.receives), ("a", 2));
}

async fn a_retry_comes_after_its_delay(on: &QueueUnderTest) {
    on.send("a").await;
    let first = on.receive(HOLD).await.unwrap();
    on.queue.extend(&first.receipt, Duration::from_secs(2)).await.unwrap();
    assert_eq!(on.receive(HOLD).await, None, "not yet");
    let start = Instant::now();
    let second = on.receive_within(HOLD, Duration::from_secs(10)).await.expect("it comes back");
    assert_eq!(second.receives, 2);
    assert!(start.elapsed() >= Duration::from_millis(900), "too early: {:?}", start.elapsed());
}

async fn a_deleted_message_never_returns(on: &QueueUnderTest) {
    on.send("a").await;
    let held = on.receive(Duration::from_secs(1)).await.unwrap();
    on.queue.delete(&held.receipt).await.unwrap();
    assert_eq!(on.receive_within(HOLD, Duration::from_secs(2)).await, None);
    assert_eq!(on.counts().await, (0, 0, 0));
    assert_eq!(on.dead_letters().await, []);
}

async fn a_dead_letter_keeps_body_and_reason(on: &QueueUnderTest) {
    on.send("poison").await;
    let held = on.receive(Duration::from_secs(1)).await.unwrap();
    on.queue
        .dead_letter(&held, "no_video", "there is no picture in it\nlast lines of the log: \u{1}…")
        .await
        .unwrap();
    assert_eq!(on.dead_letters().await, [("poison".to_owned(), "no_video".to_owned())]);
    assert_eq!(on.receive_within(HOLD, Duration::from_secs(2)).await, None, "it never returns");
    assert_eq!(on.counts().await, (0, 0, 0));
}

async fn a_message_received_too_often_is_given_up(on: &QueueUnderTest) {
    on.send("cursed").await;
    for attempt in 1..=MAX_ATTEMPTS {
        let held = on.receive_within(HOLD, Duration::from_secs(2)).await.expect("another attempt");
        assert_eq!(held.receives, attempt);
        on.queue.extend(&held.receipt, Duration::ZERO).await.unwrap();
    }
    assert_eq!(on.receive_within(HOLD, Duration::from_secs(1)).await, None, "the attempts are used up");
    assert_eq!(on.dead_letters().await, [("cursed".to_owned(), String::new())]);
}

async fn many_receivers_share_without_doubling(on: &QueueUnderTest) {
    const MESSAGES: usize = 60;
    for number in 0..MESSAGES {
        on.send(&number.to_string()).await;
    }
    let receiver = || async {
        let mut got = Vec::new();
        while let Some(held) = on.receive(HOLD).await {
            on.queue.delete(&held.receipt).await.unwrap();
            got.push(held.body);
        }
        got
    };
    let (a, b, c, d) = tokio::join!(receiver(), receiver(), receiver(), receiver());
    let mut times: BTreeMap<String, usize> = BTreeMap::new();
    for body in [a, b, c, d].concat() {
        *times.entry(body).or_default() += 1;
    }
    assert_eq!(times.len(), MESSAGES, "each was received");
    assert!(times.values().all(|times| *times == 1), "some more than once: {times:?}");
    assert_eq!(on.counts().await, (0, 0, 0));
}

async fn a_stopped_receive_strands_nothing(on: &QueueUnderTest) {
    let stop = StopFlag::default();
    // The receive is stopped at about the moment at which the message comes: either it has it, or it is there.
    let (received, ()) = tokio::join!(on.queue.receive(HOLD, Duration::from_secs(2), &stop), async {
        tokio::time::sleep(Duration::from_millis(200)).await;
        stop.set(true);
        on.send("a").await;
    });
    let message = match received.unwrap() {
        Some(message) => message,
        None => on.receive_within(HOLD, Duration::from_secs(2)).await.expect("the message is not stranded"),
    };
    assert_eq!((message.body.as_str(), message.receives), ("a", 1));
}

async fn the_redrive_policy_bounds_attempts(on: &QueueUnderTest) {
    assert_eq!(on.queue.max_attempts(), MAX_ATTEMPTS);
    assert!(on.queue.longest_hold().is_none_or(|longest| longest >= Duration::from_secs(12 * 3600)));
}
