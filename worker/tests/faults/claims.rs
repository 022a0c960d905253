//! A job that another worker has claimed.

use std::fs;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, sleep};

use crate::script::Fault::{Fails, FailsAlways, Hangs, LosesItsAnswer, LosesTheHold, Refuses};
use crate::script::Method::{Fetch, Later, ListClaims, ReadClaim};
use crate::script::{Rule, Script};
use crate::worker::{Setup, block_on};
use crate::world::World;
use crate::{End, Scenario, each};

fn impatient(max_attempts: u32) -> Setup {
    // The delays of fifty times as long are waited for.
    Setup { visibility: Duration::from_secs(20), max_attempts, ..Setup::default() }
}

#[test]
fn a_claimed_job_is_left_alone_until_the_claim_lapses() {
    block_on(async {
        let world = World::new();
        let source = world.video("clip.mp4");
        world.send(std::slice::from_ref(&source));
        world.claim_for_another(&source, Duration::from_secs(2));
        let start = Instant::now();
        let script = Script::new(&world, Vec::new());
        let worker = world.worker("second", &impatient(20), &script);
        let state = worker.state();
        worker.run_until(|| script.calls(Fetch) > 0).await.unwrap();
        assert!(start.elapsed() >= Duration::from_secs(2), "{:?}\n{world}", start.elapsed());
        let totals = state.state.status().totals;
        assert!(totals.claimed_elsewhere > 0 && totals.retried == 0, "{totals:?}\n{world}");
        world.finish().await;
        world.assert_committed();
        world.assert_no_violation();
    });
}

#[test]
fn a_claim_that_is_always_renewed_is_not_what_a_message_dies_of() {
    block_on(async {
        let world = World::new();
        let source = world.video("clip.mp4");
        world.send(std::slice::from_ref(&source));
        let held = world.claim_for_another(&source, Duration::from_secs(60));
        let script = Script::new(&world, Vec::new());
        let worker = world.worker("second", &impatient(5), &script);
        let state = worker.state();
        worker.run_until(|| world.is_empty()).await.unwrap();
        let totals = state.state.status().totals;
        assert_eq!((totals.claimed_elsewhere, totals.committed), (3, 1), "{world}");
        assert!(!held.exists(), "the claim of a job that is done is cleaned up");
        world.assert_committed();
        world.assert_no_violation();
    });
}

#[test]
fn the_other_jobs_of_its_message_are_done_meanwhile_and_it_is_not_lost() {
    block_on(async {
        let world = World::new();
        let sources = [world.video("one.mp4"), world.video("two.mp4"), world.video("three.mp4")];
        world.send(&sources);
        let held = world.claim_for_another(&sources[1], Duration::from_secs(60));
        let script = Script::new(&world, Vec::new());
        let worker = world.worker("second", &impatient(20), &script);
        let state = worker.state();
        let held_by_another = async {
            while state.state.status().totals.claimed_elsewhere < 2 {
                sleep(Duration::from_millis(10)).await;
            }
            let totals = state.state.status().totals;
            assert_eq!((totals.committed, world.is_empty()), (2, false), "{world}");
            fs::remove_file(held).unwrap();
        };
        let (ended, ()) = tokio::join!(worker.run_until(|| world.is_empty()), held_by_another);
        ended.unwrap();
        assert_eq!(state.state.status().totals.committed, 3, "{world}");
        assert_eq!(script.calls(Fetch), 3, "what is done is not done again\n{world}");
        world.assert_committed();
        world.assert_no_violation();
    });
}

/// A message whose job is claimed, and a fault on the way to waiting for it.
async fn waits(scenario: &Scenario) {
    let world = World::new();
    let source = world.video("clip.mp4");
    world.send(std::slice::from_ref(&source));
    world.claim_for_another(&source, Duration::from_secs(2));
    let script = Script::new(&world, scenario.rules.clone());
    let worker = world.worker("second", &scenario.setup, &script);
    worker.run_until(|| world.is_empty()).await.unwrap();
    script.assert_all_fired();
    world.assert_committed();
    world.assert_no_violation();
}

#[test]
fn a_wait_that_goes_wrong_loses_nothing() {
    let with = |rule: Rule| Scenario::new([rule], End::Committed).short();
    let calls = [ListClaims, ReadClaim]
        .map(|method| [Fails, FailsAlways, Refuses].map(|fault| with(method.first(fault))));
    let waits_of = [Fails, FailsAlways, Refuses, LosesItsAnswer, LosesTheHold, Hangs];
    let scenarios = calls.concat().into_iter().chain(waits_of.map(|fault| with(Later.first(fault))));
    each(scenarios.collect(), |scenario| block_on(waits(&scenario)));
}

/// Five workers, each with a message that asks for the same job, all at once.
#[test]
fn five_workers_with_one_job_transcode_it_once() {
    block_on(async {
        let world = World::new();
        let source = world.video("clip.mp4");
        for _ in 0..5 {
            world.send(std::slice::from_ref(&source));
        }
        let workers: Vec<_> = (0..5)
            .map(|n| {
                let script = Script::new(&world, Vec::new());
                (world.worker(&format!("w{n}"), &impatient(20), &script), script)
            })
            .collect();
        let mut scripts = Vec::new();
        let mut tasks = tokio::task::JoinSet::new();
        for (worker, script) in workers {
            scripts.push(script);
            let world = Arc::clone(&world);
            tasks.spawn(async move { worker.run_until(move || world.is_empty()).await.unwrap() });
        }
        while let Some(ended) = tasks.join_next().await {
            ended.unwrap();
        }
        let fetches: usize = scripts.iter().map(|script| script.calls(Fetch)).sum();
        assert_eq!(fetches, 1, "{world}");
        world.assert_committed();
        world.assert_no_violation();
    });
}
