//! What the controller may rely on in a queue's counts.

use std::time::{Duration, Instant};

use crate::contract;
use crate::queue_under_test::{HOLD, QueueUnderTest};

contract!(
    QueueUnderTest,
    every_message_is_counted_where_it_is,
    a_hold_that_runs_out_is_backlog_again,
    a_delayed_message_becomes_backlog,
    a_dead_letter_counts_nowhere,
);

/// Looks until the counts are these: SQS's are approximate.
async fn assert_becomes(on: &QueueUnderTest, counts: (u64, u64, u64)) {
    let start = Instant::now();
    loop {
        let seen = on.counts().await;
        if seen == counts {
            return;
        }
        assert!(start.elapsed() < Duration::from_secs(10), "counts are {seen:?} instead of {counts:?}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

async fn every_message_is_counted_where_it_is(on: &QueueUnderTest) {
    assert_becomes(on, (0, 0, 0)).await;
    for body in ["a", "b", "c"] {
        on.send(body).await;
    }
    on.send_delayed("d", 60).await;
    assert_becomes(on, (3, 0, 1)).await;
    let held = on.receive(HOLD).await.unwrap();
    assert_becomes(on, (2, 1, 1)).await;
    on.queue.delete(&held.receipt).await.unwrap();
    assert_becomes(on, (2, 0, 1)).await;
}

async fn a_hold_that_runs_out_is_backlog_again(on: &QueueUnderTest) {
    on.send("a").await;
    let _held = on.receive(Duration::from_secs(1)).await.unwrap();
    assert_becomes(on, (0, 1, 0)).await;
    assert_becomes(on, (1, 0, 0)).await;
}

async fn a_delayed_message_becomes_backlog(on: &QueueUnderTest) {
    on.send_delayed("a", 1).await;
    assert_becomes(on, (0, 0, 1)).await;
    assert_becomes(on, (1, 0, 0)).await;
}

async fn a_dead_letter_counts_nowhere(on: &QueueUnderTest) {
    on.send("a").await;
    let held = on.receive(HOLD).await.unwrap();
    on.queue.dead_letter(&held, "empty", "it has no bytes").await.unwrap();
    assert_becomes(on, (0, 0, 0)).await;
}
