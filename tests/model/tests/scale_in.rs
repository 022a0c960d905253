//! Scale-in: no worker with a message in hand is taken by a lower number, and none sleeps for ever.
//!
//! With `REELPOOL_MODEL=long` larger worlds are explored too, in some minutes and some gigabytes.
#![allow(clippy::panic, reason = "tests")]

use reelpool_model::explore::explore;
use reelpool_model::scale_in::{Config, Faults, facts};

const NONE: Faults = Faults {
    operator_is_killed: false,
    answers_are_lost: false,
    writes_are_late: false,
    workers_crash: false,
};
const KILLED: Faults = Faults { operator_is_killed: true, ..NONE };
const SILENT: Faults = Faults { answers_are_lost: true, ..NONE };
const LATE: Faults = Faults { writes_are_late: true, ..NONE };
const CRASHED: Faults = Faults { workers_crash: true, ..NONE };
const ALL: Faults =
    Faults { operator_is_killed: true, answers_are_lost: true, writes_are_late: true, workers_crash: true };

fn world(workers: u8, most: u8, messages: u8, faults: Faults) -> Config {
    Config { workers, most, messages, faults, ..Config::default() }
}

fn explores(config: Config) {
    let all =
        explore(&config, 40_000_000, |world| config.facts(world)).unwrap_or_else(|broken| panic!("{broken}"));
    let Config { workers, most, messages, faults, .. } = config;
    println!(
        "scale-in, workers: {workers}, the number rises to: {most}, messages: {messages}, \
         {faults:?}: {all}; nobody with a message in hand is taken; all can always wake again, also where no operator \
         begins again"
    );
    for (from, what) in [(0, "all awake"), (facts::ABANDONED, "all awake without an operator")] {
        all.can_always_reach(what, from, facts::ALL_AWAKE).unwrap_or_else(|broken| panic!("{broken}"));
    }
}

/// Whether the larger worlds are asked for.
fn is_long() -> bool {
    std::env::var("REELPOOL_MODEL").is_ok_and(|size| size == "long")
}

#[test]
fn of_two_workers_whose_number_only_falls_none_is_interrupted_and_none_sleeps_for_ever() {
    for faults in [NONE, KILLED, LATE] {
        explores(world(2, 0, 1, faults));
    }
    if is_long() {
        explores(world(2, 0, 2, KILLED));
        explores(world(2, 0, 1, CRASHED));
    }
}

#[test]
fn one_worker_whose_number_rises_again_is_not_interrupted_and_does_not_sleep_for_ever() {
    for faults in [NONE, KILLED, SILENT, LATE, CRASHED] {
        explores(world(1, 1, 1, faults));
    }
}

#[test]
fn one_worker_under_all_faults_at_once_is_not_interrupted_and_does_not_sleep_for_ever() {
    explores(world(1, 1, 1, ALL));
    if is_long() {
        explores(world(1, 1, 2, ALL));
    }
}

#[test]
fn with_more_messages_or_more_workers_whose_number_rises_again_none_is_interrupted_and_none_sleeps_for_ever()
{
    explores(world(1, 1, 2, NONE));
    if is_long() {
        explores(world(2, 2, 1, NONE));
        explores(world(1, 2, 1, NONE));
    }
}
