//! The queue fails: the fleet holds, the pool is told why, nobody else is slowed, and all comes back by itself.

use std::time::{Duration, Instant};

use reelpool_cluster::{Fault, Operator};
use serde_json::json;

use crate::place::Place;

/// Longer than any answer is waited for.
const HANGS: Fault = Fault::Hangs(Duration::from_secs(120));

/// The pools by their faults, the reason that each is told, and a word of the message.
const SICK: [(&str, Fault, &str, &str); 7] = [
    ("fails", Fault::Fails, "QueueUnreachable", "We encountered an internal error"),
    ("throttles", Fault::Throttles, "QueueThrottled", "throttled"),
    ("missing", Fault::NoSuchQueue, "QueueNotFound", "does not exist"),
    ("denies", Fault::Denies, "QueueAccessDenied", "not authorized"),
    ("hangs", HANGS, "QueueUnreachable", "hangs"),
    ("cuts", Fault::Cuts, "QueueUnreachable", "cuts"),
    ("nonsense", Fault::Nonsense, "QueueAnswerUnusable", "many"),
];

impl Place<'_> {
    async fn all_are_told(&self) {
        for (pool, _, reason, word) in SICK {
            let message = self.told(pool, "QueueReachable", "False", reason).await;
            assert!(message.contains(word) && message.contains(pool), "{pool}: {message}");
            assert_eq!(self.condition(pool, "Ready").await.1, reason);
            println!("{pool}: {message}");
        }
    }

    /// Every number of replicas that the pools' Deployments had.
    fn numbers(&self) -> Vec<(&'static str, Vec<i32>)> {
        SICK.map(|(pool, ..)| (pool, self.replicas.of(&format!("{pool}-workers")).numbers())).into()
    }
}

/// The queue fails in every way, is gone, and the operator begins anew meanwhile; and no other fleet is held.
#[tokio::test(flavor = "multi_thread")]
async fn promise_5_without_fresh_data_the_fleet_never_shrinks() {
    let place = Place::new("faulty").await;
    let mut operator = place.lead();
    for (pool, ..) in SICK {
        place.make(pool, json!({})).await;
        place.send_held(pool, 2);
    }
    place.make("well", json!({})).await;
    place.send_held("well", 2);
    place.busy(2 * SICK.len() + 2).await;

    for (pool, fault, ..) in SICK {
        place.proxy.spoil(pool, fault);
    }
    place.all_are_told().await;
    // All work is done, and the operator cannot know it where the queue does not answer.
    place.crowd.release();
    place.reaches("well", 0).await;
    let held = async || place.numbers().iter().all(|(_, numbers)| numbers == &[0, 2]);
    place.for_all_of(Duration::from_secs(15), "the sick pools hold", held).await;

    // Another operator knows nothing of what was: it holds all the more.
    operator.daemon().kill();
    let operator = place.lead_anew("b");
    place.all_are_told().await;
    place.for_all_of(Duration::from_secs(5), "the sick pools hold", held).await;

    // All of SQS is gone, for pools that are sick and well.
    place.proxy.heal();
    place.proxy.refuse();
    place.told("well", "QueueReachable", "False", "QueueUnreachable").await;
    place.for_all_of(Duration::from_secs(3), "the sick pools hold", held).await;
    let start = Instant::now();
    place.proxy.accept();
    for (pool, ..) in SICK {
        place.reaches(pool, 0).await;
        place.is_well(pool).await;
        assert_eq!(place.event(pool, "Ready").await, "the fleet follows the queue");
    }
    println!("all came back {:?} after SQS did", start.elapsed());
    for (pool, numbers) in place.numbers() {
        assert_eq!(numbers[..2], [0, 2], "{pool}");
        assert!(numbers[1..].is_sorted_by(|one, next| one > next), "{pool}: {numbers:?}");
    }
    place.nobody_was_interrupted();
    operator.assert_sound();
}

impl Place<'_> {
    /// An operator of another name that leads, once the lease of one that was killed has run out.
    pub fn lead_anew(&self, identity: &str) -> Operator {
        Operator::lead(self.plane, self.operator(identity))
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn ten_pools_whose_queues_hang_slow_down_nobody() {
    let place = Place::new("hanging").await;
    let mut settings = place.operator("a");
    // One turn would be all there is, were those that hang in the same line.
    settings.arguments.push("--max-concurrent-queue-reads=1".to_owned());
    let operator = Operator::lead(place.plane, settings);
    for number in 0..10 {
        let pool = format!("sick-{number}");
        place.proxy.spoil(&pool, HANGS);
        place.make(&pool, json!({})).await;
    }
    for number in 0..5 {
        place.make(&format!("well-{number}"), json!({})).await;
    }
    for number in 0..10 {
        place.told(&format!("sick-{number}"), "QueueReachable", "False", "QueueUnreachable").await;
    }
    // Longer than a well pool's poll takes, much shorter than an answer is waited for.
    let mut reactions = Vec::new();
    for number in 0..5 {
        let pool = format!("well-{number}");
        place.is_well(&pool).await;
        let sent = Instant::now();
        place.send_held(&pool, 1);
        place.reaches(&pool, 1).await;
        let rose = place.replicas.of(&format!("{pool}-workers")).rose_after(sent);
        reactions.push(rose.unwrap_or_else(Instant::now).duration_since(sent));
    }
    println!("reactions while ten queues hang: {reactions:?}");
    // Polls are a second apart; one that waits for its turn behind those that hang takes six for each.
    let slowest = reactions.iter().max().unwrap();
    assert!(*slowest < Duration::from_secs(10), "{reactions:?}");
    // A pool whose queue could never be read has told why, and nobody was started for it.
    assert_eq!(place.asked("sick-0-workers").await, Some(0));
    place.nobody_was_interrupted();
    operator.assert_sound();
}
