//! What the safety of scale-in rests on: without any one of these a worker with a message in hand can be taken, so each
//! is known to be needed, and how.
#![allow(clippy::unwrap_used, reason = "tests")]

use reelpool_model::explore::explore;
use reelpool_model::scale_in::{Assumptions, Config, Faults};

fn is_needed(what: &str, assumptions: Assumptions, faults: Faults) {
    let config = Config { assumptions, faults, is_stuck_possible: true, ..Config::default() };
    let broken = explore(&config, 1_000_000, |world| config.facts(world)).err().unwrap();
    println!("without \"{what}\": {broken}");
    assert!(
        broken.what.contains("had a message in hand when a lower number took its pod"),
        "{}",
        broken.what
    );
}

#[test]
fn kubernetes_acts_in_time() {
    let assumptions = Assumptions { kubernetes_acts_within: None, ..Assumptions::default() };
    is_needed("Kubernetes acts in time", assumptions, Faults::default());
}

#[test]
fn caches_are_close() {
    let assumptions = Assumptions { caches_are_close: false, ..Assumptions::default() };
    is_needed("caches are close", assumptions, Faults::default());
}

#[test]
fn writes_land_in_time() {
    let assumptions = Assumptions { writes_land_within: None, ..Assumptions::default() };
    is_needed("writes land in time", assumptions, Faults { writes_are_late: true, ..Faults::default() });
}

#[test]
fn no_pod_starts_unseen() {
    let assumptions = Assumptions { no_pod_starts_unseen: false, ..Assumptions::default() };
    is_needed("no pod starts unseen", assumptions, Faults::default());
}

#[test]
fn no_worker_crashes_unseen() {
    let assumptions = Assumptions { no_worker_crashes_unseen: false, ..Assumptions::default() };
    is_needed("no worker crashes unseen", assumptions, Faults { workers_crash: true, ..Faults::default() });
}

#[test]
fn questions_keep_their_order() {
    let assumptions = Assumptions { questions_keep_their_order: false, ..Assumptions::default() };
    is_needed(
        "questions keep their order",
        assumptions,
        Faults { answers_are_lost: true, ..Faults::default() },
    );
}
