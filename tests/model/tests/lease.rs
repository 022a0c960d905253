//! The lease: never two that may both write, and always one that can.
#![allow(clippy::panic, clippy::unwrap_used, reason = "tests")]

use reelpool_model::explore::explore;
use reelpool_model::lease::{Bug, Config, facts};

const LIMIT: usize = 3_000_000;

fn explores(config: Config) {
    let all = explore(&config, LIMIT, facts::of).unwrap_or_else(|broken| panic!("{broken}"));
    println!("lease, {} candidates: {all}; never two leaders; somebody can always lead", config.candidates);
    all.can_always_reach("somebody leads", 0, facts::LED).unwrap_or_else(|broken| panic!("{broken}"));
    assert!(all.with(facts::LED) > 0);
}

#[test]
fn of_two_candidates_never_two_lead_and_one_always_can() {
    explores(Config { candidates: 2, is_deleted: false, bug: None });
}

fn is_found(bug: Bug) {
    let config = Config { candidates: 2, is_deleted: false, bug: Some(bug) };
    let broken = explore(&config, LIMIT, facts::of).err().unwrap();
    println!("{bug:?}: {broken}");
    assert!(broken.what.contains("same moment"), "{}", broken.what);
}

#[test]
fn a_leader_that_counts_from_the_answer_is_found() {
    is_found(Bug::CountedFromTheAnswer);
}

#[test]
fn a_write_without_its_version_is_found() {
    is_found(Bug::WrittenWithoutPrecondition);
}
