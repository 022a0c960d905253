//! Scale-in: no worker with a message in hand is taken by a lower number, and none sleeps for ever.
#![allow(clippy::panic, reason = "tests")]

use reelpool_model::explore::explore;
use reelpool_model::scale_in::{Config, Faults, facts};

fn explores(faults: Faults) {
    let config = Config { most: 0, faults, ..Config::default() };
    let all =
        explore(&config, 2_000_000, |world| config.facts(world)).unwrap_or_else(|broken| panic!("{broken}"));
    println!("scale-in, 2 workers, the number only falls, {faults:?}: {all}");
    for (from, what) in [(0, "all awake"), (facts::ABANDONED, "all awake without an operator")] {
        all.can_always_reach(what, from, facts::ALL_AWAKE).unwrap_or_else(|broken| panic!("{broken}"));
    }
}

#[test]
fn without_faults_nobody_is_interrupted_and_nobody_sleeps_for_ever() {
    explores(Faults::default());
}

#[test]
fn with_operators_killed_nobody_is_interrupted_and_nobody_sleeps_for_ever() {
    explores(Faults { operator_is_killed: true, ..Faults::default() });
}
