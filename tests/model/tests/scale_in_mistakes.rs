//! Deliberate mistakes in the protocol of scale-in: each is found, by the fewest steps that show it.
#![allow(clippy::unwrap_used, reason = "tests")]

use reelpool_model::explore::explore;
use reelpool_model::scale_in::{Bug, Config, Faults};

fn is_found(bug: Bug, faults: Faults) {
    let config = Config { bug: Some(bug), faults, ..Config::default() };
    let broken = explore(&config, 400_000, |world| config.facts(world)).err().unwrap();
    println!("{bug:?}: {broken}");
    assert!(
        broken.what.contains("had a message in hand when a lower number took its pod"),
        "{}",
        broken.what
    );
}

#[test]
fn a_drain_that_is_acknowledged_before_the_receive_has_ended_is_found() {
    is_found(Bug::DrainedWhileReceiving, Faults::default());
}

#[test]
fn a_number_that_is_lowered_before_all_are_drained_is_found() {
    is_found(Bug::LoweredBeforeDrained, Faults::default());
}

#[test]
fn marks_and_number_written_in_one_pass_are_found() {
    is_found(Bug::MarkedAndLoweredAtOnce, Faults::default());
}

#[test]
fn an_operator_that_lets_back_whom_its_predecessor_has_drained_is_found() {
    is_found(Bug::NobodyAdopted, Faults { operator_is_killed: true, ..Faults::default() });
}

#[test]
fn a_late_write_that_lands_whatever_the_number_is_by_then_is_found() {
    is_found(Bug::LoweredWithoutPrecondition, Faults { writes_are_late: true, ..Faults::default() });
}

#[test]
fn a_number_that_is_lowered_without_a_last_word_is_found() {
    let faults = Faults { operator_is_killed: true, answers_are_lost: true, ..Faults::default() };
    is_found(Bug::LoweredWithoutLastWord, faults);
}
