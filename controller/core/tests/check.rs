//! `check` finds each fault that is planted in a sound decision.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs, reason = "tests")]

mod common;

use common::*;
use reelpool_core::{
    Decision, DrainStage, Millis, Observation, Policy, PolicySpec, Reason, Violation, WorkerState, check,
    decide,
};

/// Two busy workers, and four idle ones of which two may go.
fn scene() -> Observation {
    let fleet = vec![
        worker("busy", WorkerState::Busy, -100),
        worker("silent", WorkerState::Unreachable, -100),
        worker("new", WorkerState::Idle, -1),
        worker("newer", WorkerState::Idle, 0),
        worker("old", WorkerState::Idle, -100),
        worker("older", WorkerState::Idle, -200),
    ];
    observation(depth(0, 1), fleet)
}

/// What `check` finds in the decision on `seen` after `spoil` had its way with it.
#[track_caller]
fn found(
    wish: impl FnOnce(&mut PolicySpec),
    seen: &Observation,
    spoil: impl FnOnce(&mut Decision),
) -> Vec<Violation> {
    let policy: Policy = policy(wish);
    let mut decision = decide(&policy, &long_empty(), seen, at(0));
    assert_eq!(check(&policy, seen, &decision, at(0)), [], "sound before it is spoilt");
    spoil(&mut decision);
    let found = check(&policy, seen, &decision, at(0));
    assert!(found.iter().all(|violation| !violation.to_string().is_empty()));
    assert!(found.iter().all(|violation| Violation::RULES.contains(&violation.rule())));
    found
}

fn ids(names: &[&str]) -> Vec<reelpool_core::WorkerId> {
    names.iter().map(|name| (*name).into()).collect()
}

#[test]
fn a_target_below_busy() {
    let violations = found(|_| {}, &scene(), |d| d.target = 1);
    assert!(violations.contains(&Violation::BelowBusy { target: 1, busy: 2 }), "{violations:?}");
    let violations =
        found(|_| {}, &observation(depth(0, 3), workers(4, WorkerState::Idle)), |d| d.target = 2);
    assert!(violations.contains(&Violation::BelowBusy { target: 2, busy: 3 }), "{violations:?}");
}

#[test]
fn drains_of_the_wrong_workers() {
    // (who drains, what is wrong with it)
    let older = || "older".into();
    let cases = [
        (["older", "busy"], Violation::DrainsBusy("busy".into())),
        (["older", "silent"], Violation::DrainsBusy("silent".into())),
        (["older", "new"], Violation::DrainsTooSoon { id: "new".into(), rested: Millis::from_secs(1) }),
        (["older", "stranger"], Violation::DrainsUnknown("stranger".into())),
        (["older", "older"], Violation::DrainsTwice(older())),
    ];
    for (names, violation) in cases {
        assert!(found(|_| {}, &scene(), |d| d.drain = ids(&names)).contains(&violation), "{violation}");
    }
    let one_leaves = |p: &mut PolicySpec| p.min_workers = 5;
    let violations = found(one_leaves, &scene(), |d| d.drain = ids(&["old"]));
    assert_eq!(violations, [Violation::DrainsOutOfTurn("old".into())]);
}

#[test]
fn drains_that_do_not_add_up() {
    let violations = found(|_| {}, &scene(), |d| d.drain.clear());
    assert_eq!(violations, [Violation::DrainCount { expected: 2, found: 0 }]);
    let draining = workers(1, WorkerState::Draining(DrainStage::Drained));
    let kept =
        found(|_| {}, &observation(depth(1, 0), draining), |d| d.drain = ids(&["Draining(Drained)-0"]));
    assert_eq!(kept, [Violation::DrainCount { expected: 0, found: 1 }]);
    let violations = found(
        |p| p.max_step_in = Some(some(1)),
        &scene(),
        |d| {
            d.target = 4;
            d.drain = ids(&["old", "older"]);
        },
    );
    assert_eq!(violations, [Violation::StepInTooLarge { draining: 2, allowed: 1 }]);
}

#[test]
fn targets_out_of_bounds() {
    let none = observation(depth(0, 0), vec![]);
    let violations = found(|p| p.min_workers = 2, &none, |d| d.target = 1);
    assert!(violations.contains(&Violation::BelowMinimum { target: 1, minimum: 2 }));
    let violations = found(|p| p.max_workers = 2, &none, |d| d.target = 3);
    assert!(violations.contains(&Violation::AboveMaximum { target: 3, maximum: 2 }));
    let violations = found(|p| p.paused = true, &none, |d| d.target = 1);
    assert_eq!(violations, [Violation::MovedWhilePaused { current: 0, target: 1 }]);
    let ten = observation(depth(10, 0), vec![]);
    let violations = found(|p| p.max_step_out = Some(some(3)), &ten, |d| d.target = 4);
    assert_eq!(violations, [Violation::StepOutTooLarge { target: 4, allowed: 3 }]);
    let violations = found(|_| {}, &ten, |d| d.target = 9);
    assert!(violations.contains(&Violation::NeedUnmet { target: 9, needed: 10 }));
}

#[test]
fn a_fleet_that_shrinks_blind() {
    let mut seen = scene();
    seen.queue = missing("timeout");
    let violations = found(|_| {}, &seen, |d| d.target = 5);
    assert!(violations.contains(&Violation::ShrunkBlind { current: 6, target: 5 }));
    let mut seen = scene();
    seen.workers = missing("timeout");
    let violations = found(|_| {}, &seen, |d| d.target = 5);
    assert!(violations.contains(&Violation::ShrunkBlind { current: 6, target: 5 }));
}

#[test]
fn a_fleet_emptied_too_soon() {
    let seen = observation(depth(0, 0), workers(1, WorkerState::Idle));
    let (second, minute) = (Millis::from_secs(1), Millis::from_secs(60));
    let violations = found(|_| {}, &seen, |d| d.memory.empty.as_mut().unwrap().since = at(-1));
    assert_eq!(violations, [Violation::EmptiedTooSoon { empty_for: second, zero_after: minute }]);
    let violations = found(|_| {}, &seen, |d| d.memory.empty = None);
    assert_eq!(violations, [Violation::EmptiedTooSoon { empty_for: Millis::ZERO, zero_after: minute }]);
}

#[test]
fn a_next_check_that_never_comes_or_comes_too_late() {
    let never = found(|_| {}, &scene(), |d| d.next_check = Millis::ZERO);
    let late = found(|_| {}, &scene(), |d| d.next_check = Millis::from_secs(6));
    for violations in [never, late] {
        assert!(matches!(violations[..], [Violation::NextCheck { .. }]), "{violations:?}");
    }
}

#[test]
fn a_reason_that_does_not_fit() {
    let violations = found(|_| {}, &scene(), |d| d.reason = Reason::ZeroWindow);
    assert_eq!(violations, [Violation::WrongReason { reason: Reason::ZeroWindow, current: 6, target: 4 }]);
}
