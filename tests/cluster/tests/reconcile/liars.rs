//! Workers that do not answer, answer late, or lie: who is honest and busy is never interrupted for them, and whoever
//! lies hurts nobody but itself.

use std::collections::BTreeSet;
use std::time::Duration;

use kube::ResourceExt;
use reelpool_cluster::{Counts, HELD, Manner, Operator};
use serde_json::json;

use crate::place::Place;

/// Longer than idle workers stay, and than it takes to drain, mark and lower.
const A_WHILE: Duration = Duration::from_secs(12);

impl Place<'_> {
    async fn names(&self) -> BTreeSet<String> {
        self.living_pods().await.iter().map(ResourceExt::name_any).collect()
    }

    /// So many workers of the pool `cats` that are busy for as long as it takes, and so many without work. Nobody is let
    /// go in between.
    async fn busy_and_idle(&self, busy: usize, idle: usize) -> (BTreeSet<String>, Vec<String>) {
        self.change("cats", json!({"minWorkers": busy + idle})).await;
        self.send_held("cats", busy);
        self.sqs.send(&self.sqs.create("cats"), idle, &format!("{HELD} others"));
        self.busy(busy + idle).await;
        self.crowd.release_group("others");
        self.busy(busy).await;
        let at_work = self.crowd.report().busy_workers;
        let others: Vec<String> = self.names().await.difference(&at_work).cloned().collect();
        assert_eq!(others.len(), idle);
        (at_work, others)
    }

    /// Waits until the pool's fleet is `left`.
    async fn becomes(&self, left: &BTreeSet<String>) {
        self.eventually(&format!("{left:?} are left"), async || self.names().await == *left).await;
    }
}

async fn place(name: &str) -> (Place<'static>, Operator) {
    let place = Place::with(name, |behaviour| behaviour.job = Duration::ZERO..=Duration::ZERO).await;
    let operator = place.lead();
    place.make("cats", json!({})).await;
    (place, operator)
}

#[tokio::test(flavor = "multi_thread")]
async fn workers_that_do_not_answer_as_they_should_count_as_busy() {
    let (place, operator) = place("odd").await;
    let (busy, others) = place.busy_and_idle(3, 7).await;
    let like = Manner::NamedLike(busy.first().unwrap().clone());
    let manners =
        [Manner::Silent, Manner::Late(Duration::from_secs(5)), Manner::Fails, Manner::Nonsense, like];
    let odd = &others[..manners.len()];
    for (worker, manner) in odd.iter().zip(manners) {
        place.crowd.behaves(worker, manner);
    }
    let unreachable = || operator.metrics().sum("reelpool_unreachable_workers", &[]);
    place.eventually("five do not answer", async || (unreachable() - 5.0).abs() < 0.5).await;
    place.change("cats", json!({"minWorkers": 0})).await;

    // The two honest ones go; the odd ones could have a job in hand, for all that is known.
    let left: BTreeSet<String> = busy.iter().chain(odd).cloned().collect();
    place.becomes(&left).await;
    place.for_all_of(A_WHILE, "nobody else goes", async || place.names().await == left).await;
    assert_eq!(place.crowd.report().busy_workers, busy);
    place.nobody_was_interrupted();

    // Once they answer they go like any other.
    for worker in odd {
        place.crowd.behaves(worker, Manner::Honest);
    }
    place.becomes(&busy).await;
    place.nobody_was_interrupted();
    operator.assert_sound();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_liar_hurts_nobody_but_itself() {
    let (place, operator) = place("liars").await;
    // Four of the busy ones lie: three say that they are idle, and one that it is drained.
    let (busy, idle) = place.busy_and_idle(7, 4).await;
    let liars: Vec<&String> = busy.iter().take(4).collect();
    let says = [Manner::SaysIdle, Manner::SaysIdle, Manner::SaysDrained, Manner::SaysIdle];
    for (worker, manner) in liars.iter().zip(says) {
        place.crowd.behaves(worker, manner);
    }
    place.change("cats", json!({"minWorkers": 0})).await;
    let drained = liars[2];
    place
        .eventually("the one that says it is drained goes", async || !place.names().await.contains(drained))
        .await;
    tokio::time::sleep(A_WHILE).await;
    let left = place.names().await;
    let honest: BTreeSet<String> = busy.iter().filter(|worker| !liars.contains(worker)).cloned().collect();
    assert!(honest.is_subset(&left), "{honest:?} work, {left:?} are left");
    assert!(honest.is_subset(&place.crowd.report().busy_workers));
    // Those that say that they are idle are asked to drain, and never are drained.
    let idlers = [liars[0], liars[1], liars[3]];
    assert!(idlers.iter().all(|idler| left.contains(*idler)), "{left:?}");
    // What the queue has in flight holds the number up, whatever they say.
    assert!(left.len() >= 7, "seven messages are in flight: {left:?}");
    let told: Vec<String> = place
        .audit
        .deletions(&place.name)
        .into_iter()
        .map(|deletion| deletion.pod)
        .filter(|pod| !idle.contains(pod))
        .collect();
    assert_eq!(told.iter().collect::<Vec<_>>(), [drained], "nobody with a job but the one that denied it");
    operator.assert_sound();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_that_takes_a_job_though_it_says_it_is_drained_hurts_only_itself() {
    let (place, operator) = place("pretender").await;
    let (busy, idle) = place.busy_and_idle(3, 1).await;
    let liar = &idle[0];
    place.crowd.behaves(liar, Manner::Pretends { asked: false });
    // Nor does the queue give it away, whose counts may be late.
    place.sqs.say(&place.sqs.create("cats"), &[Some(Counts { backlog: 0, in_flight: 3 })]);
    place.change("cats", json!({"minWorkers": 0})).await;
    place.eventually("the idle one is asked to drain", async || place.crowd.pretends(liar)).await;
    place.send_held("cats", 1);

    place.becomes(&busy).await;
    place.for_all_of(A_WHILE, "nobody else goes", async || place.names().await == busy).await;
    let interrupted = place.crowd.report().interrupted;
    assert_eq!(interrupted.iter().map(|one| &one.pod).collect::<Vec<_>>(), [liar], "{interrupted:?}");
    assert_eq!(place.crowd.report().busy_workers, busy);
    operator.assert_sound();
}
