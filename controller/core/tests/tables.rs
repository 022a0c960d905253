//! One case for each reason and each rule, with the line that a person reads.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs, reason = "tests")]

mod common;

use common::*;
use reelpool_core::{
    Decision, DrainStage, Limit, Memory, Millis, Observation, Policy, PolicyError, PolicySpec, Poll,
    QueueDepth, Reason, Sample, Target, WorkerState, check, decide,
};

const WAITING: WorkerState = WorkerState::Draining(DrainStage::Waiting);
const VOID: WorkerState = WorkerState::Draining(DrainStage::Busy);
const DRAINED: WorkerState = WorkerState::Draining(DrainStage::Drained);

#[track_caller]
fn decided(policy: &Policy, memory: &Memory, observation: &Observation) -> Decision {
    let decision = decide(policy, memory, observation, at(0));
    assert_eq!(check(policy, observation, &decision, at(0)), []);
    decision
}

/// `(target, reason, line)` for a fleet that remembers a long empty queue.
#[track_caller]
fn says(policy: &Policy, observation: &Observation, target: u32, reason: Reason, line: &str) -> Decision {
    let decision = decided(policy, &long_empty(), observation);
    assert_eq!((decision.target, decision.reason, decision.to_string().as_str()), (target, reason, line));
    decision
}

/// Who drains, by name.
fn names(decision: &Decision) -> Vec<&str> {
    let mut names: Vec<&str> = decision.drain.iter().map(reelpool_core::WorkerId::as_str).collect();
    names.sort_unstable();
    names
}

#[test]
fn a_backlog_is_asked_for_at_once() {
    let line = "1337 = ceil((1337 waiting + 0 in flight) / 1)";
    let decision = says(&policy(|_| {}), &observation(depth(1337, 0), vec![]), 1337, Reason::Backlog, line);
    assert_eq!((decision.drain.len(), decision.limits.len()), (0, 0));
    assert_eq!(decision.next_check, Millis::from_secs(1));
}

#[test]
fn backlog_per_worker_rounds_up() {
    let policy = policy(|p| p.target = Target::Backlog { per_worker: some(10) });
    let seen = observation(depth(20, 1), vec![]);
    says(&policy, &seen, 3, Reason::Backlog, "3 = ceil((20 waiting + 1 in flight) / 10)");
}

#[test]
fn delayed_messages_count_when_due_soon() {
    let delayed = |due| QueueDepth { delayed: 5, delayed_due_soon: due, ..depth(1, 0) };
    let policy = policy(|_| {});
    let line = "4 = ceil((1 waiting + 0 in flight + 3 due soon) / 1)";
    says(&policy, &observation(delayed(Some(3)), vec![]), 4, Reason::Backlog, line);
    let line = "6 = ceil((1 waiting + 0 in flight + 5 due soon) / 1)";
    says(&policy, &observation(delayed(Some(99)), vec![]), 6, Reason::Backlog, line);
    let line = "1 = ceil((1 waiting + 0 in flight) / 1)";
    says(&policy, &observation(delayed(None), vec![]), 1, Reason::Backlog, line);
}

#[test]
fn time_uses_the_measured_service_time() {
    let policy = policy(|p| p.target = Target::Time { drain_within: Millis::from_secs(600) });
    let mut seen = observation(depth(100, 0), vec![]);
    let line = "100 = ceil((100 waiting + 0 in flight) / 1), to finish in 600 s, no job measured yet";
    says(&policy, &seen, 100, Reason::Time, line);
    // (service time in ms, workers for 100 jobs in 600 s)
    for (service, workers) in [(60_000, 10), (61_000, 12), (600_000, 100), (601_000, 100), (1, 1), (0, 1)] {
        seen.service_time = Some(Millis::new(service));
        assert_eq!(decided(&policy, &Memory::default(), &seen).target, workers, "{service} ms a job");
    }
    seen.service_time = Some(Millis::new(61_500));
    let line = "12 = ceil((100 waiting + 0 in flight) / 9), to finish in 600 s at 61.5 s a job";
    says(&policy, &seen, 12, Reason::Time, line);
}

#[test]
fn busy_workers_hold_the_fleet() {
    let policy = policy(|p| p.target = Target::Backlog { per_worker: some(100) });
    let seen =
        observation(depth(0, 3), [workers(3, WorkerState::Busy), workers(2, WorkerState::Idle)].concat());
    let decision = says(&policy, &seen, 3, Reason::Busy, "held at 3: 3 busy");
    assert_eq!(names(&decision), ["Idle-0", "Idle-1"]);
}

#[test]
fn who_does_not_answer_or_report_counts_as_busy() {
    let policy = policy(|_| {});
    let fleet =
        [workers(1, WorkerState::Unreachable), workers(1, VOID), workers(3, WorkerState::Idle)].concat();
    let mut seen = observation(depth(0, 0), fleet);
    seen.current = 7;
    let line = "held at 4: 1 busy, 1 not answering, 2 not reporting";
    assert_eq!(says(&policy, &seen, 4, Reason::Busy, line).drain.len(), 3);
}

#[test]
fn the_queues_count_holds_workers_and_starts_none() {
    let policy = policy(|p| p.target = Target::Backlog { per_worker: some(100) });
    let seen = observation(depth(0, 2), workers(3, WorkerState::Idle));
    says(&policy, &seen, 2, Reason::Busy, "held at 2: 2 in flight");
    // Ten in flight, but only one worker: nine were left behind by workers that are gone.
    let seen = observation(depth(0, 10), workers(1, WorkerState::Busy));
    says(&policy, &seen, 1, Reason::Backlog, "1 = ceil((0 waiting + 10 in flight) / 100)");
}

#[test]
fn only_workers_idle_for_long_enough_leave() {
    let policy = policy(|p| p.idle = Some(Millis::from_secs(30)));
    let fleet = vec![
        worker("fresh", WorkerState::Idle, -20),
        worker("busy", WorkerState::Busy, -500),
        worker("just", WorkerState::Idle, -30),
        worker("starts", WorkerState::Starting, -3),
        worker("stuck", WorkerState::Starting, -90),
    ];
    let seen = observation(depth(0, 1), fleet);
    let line = "held at 3: 1 busy, 2 starting, 2 idle; workers leave after 30 s without work";
    let decision = says(&policy, &seen, 3, Reason::IdleTime, line);
    assert_eq!(names(&decision), ["just", "stuck"]);
}

#[test]
fn next_check_waits_for_the_first_that_ripens() {
    let policy = policy(|p| p.idle = Some(Millis::from_secs(30)));
    let fleet = vec![worker("a", WorkerState::Idle, -20), worker("b", WorkerState::Idle, -28)];
    let decision = decided(&policy, &long_empty(), &observation(depth(0, 0), fleet));
    assert_eq!((decision.target, decision.next_check), (2, Millis::from_secs(2)));
}

#[test]
fn the_idle_limit_is_the_start_up_time_within_bounds() {
    // (measured seconds, limit in seconds)
    for (measured, limit) in [(None, 30), (Some(1), 5), (Some(42), 42), (Some(4000), 600)] {
        assert_eq!(policy(|_| {}).idle_limit(measured.map(Millis::from_secs)), Millis::from_secs(limit));
    }
    let set = policy(|p| p.idle = Some(Millis::from_secs(1)));
    assert_eq!(set.idle_limit(Some(Millis::from_secs(42))), Millis::from_secs(1));
}

#[test]
fn who_drains_stays_chosen_then_the_longest_idle() {
    let fleet = vec![
        worker("old", WorkerState::Idle, -900),
        worker("older", WorkerState::Idle, -901),
        worker("waiting", WAITING, -1),
        worker("drained", DRAINED, 0),
        worker("void", VOID, -900),
    ];
    // (messages in flight, who drains)
    let cases: [(u64, &[&str]); 5] = [
        (1, &["drained", "old", "older", "waiting"]),
        (2, &["drained", "older", "waiting"]),
        (3, &["drained", "waiting"]),
        (4, &["drained"]),
        (5, &[]),
    ];
    for (in_flight, drain) in cases {
        let decision =
            decided(&policy(|_| {}), &long_empty(), &observation(depth(0, in_flight), fleet.clone()));
        assert_eq!(names(&decision), drain, "{in_flight} in flight");
    }
}

#[test]
fn work_that_comes_back_lets_drains_lapse_before_anyone_is_started() {
    let fleet = [workers(2, DRAINED), workers(1, WAITING)].concat();
    let three = decided(&policy(|_| {}), &long_empty(), &observation(depth(3, 0), fleet.clone()));
    assert_eq!((three.target, names(&three).len()), (3, 0));
    let five = decided(&policy(|_| {}), &long_empty(), &observation(depth(5, 0), fleet));
    assert_eq!((five.target, names(&five).len()), (5, 0));
}

#[test]
fn the_last_worker_waits_for_the_empty_window() {
    let seen = observation(depth(0, 0), workers(3, WorkerState::Idle));
    let first = decided(&policy(|_| {}), &Memory::default(), &seen);
    let line = "held at 1: the queue has been seen empty for 0 s of 60 s";
    assert_eq!((first.target, first.reason, first.to_string().as_str()), (1, Reason::ZeroWindow, line));
    assert_eq!(first.drain.len(), 2);
    let line = "0 = ceil((0 waiting + 0 in flight) / 1)";
    assert_eq!(says(&policy(|_| {}), &seen, 0, Reason::Backlog, line).drain.len(), 3);
}

#[test]
fn one_sample_is_no_window_even_when_no_time_is_asked_for() {
    let policy = policy(|p| p.zero_after = Millis::ZERO);
    let mut seen = observation(depth(0, 0), workers(1, WorkerState::Idle));
    let first = decided(&policy, &Memory::default(), &seen);
    // The same sample again is still one sample.
    let again = decide(&policy, &first.memory, &seen, at(3));
    seen.queue = Sample::Known { value: depth(0, 0), observed_at: at(3) };
    let second = decide(&policy, &again.memory, &seen, at(3));
    assert_eq!((first.target, again.target, second.target), (1, 1, 0));
}

#[test]
fn delayed_messages_keep_the_last_worker() {
    let delayed = QueueDepth { delayed: 1, ..QueueDepth::default() };
    let decision =
        decided(&policy(|_| {}), &long_empty(), &observation(delayed, workers(2, WorkerState::Idle)));
    assert_eq!((decision.target, decision.reason, decision.memory.empty), (1, Reason::ZeroWindow, None));
}

#[test]
fn a_failed_or_old_read_of_the_queue_begins_the_window_anew() {
    let fleet = || workers(1, WorkerState::Idle);
    let mut failed = observation(depth(0, 0), fleet());
    failed.queue = missing("timeout");
    let mut old = failed.clone();
    old.queue = Sample::Known { value: depth(0, 0), observed_at: at(-31) };
    for seen in [failed, old] {
        let held = decided(&policy(|_| {}), &long_empty(), &seen);
        let after = decided(&policy(|_| {}), &held.memory, &observation(depth(0, 0), fleet()));
        assert_eq!((held.target, after.target, after.reason), (1, 1, Reason::ZeroWindow));
    }
}

#[test]
fn nobody_looked_in_between_begins_the_window_anew() {
    let mut memory = long_empty();
    memory.empty.as_mut().unwrap().until = at(-31);
    let decision =
        decided(&policy(|_| {}), &memory, &observation(depth(0, 0), workers(1, WorkerState::Idle)));
    assert_eq!((decision.target, decision.memory.empty.unwrap().since), (1, at(0)));
}

#[test]
fn bounds() {
    let bounded = policy(|p| (p.min_workers, p.max_workers) = (2, 5));
    let line = "2 is the minimum, needed: 0 = ceil((0 waiting + 0 in flight) / 1)";
    let low = says(&bounded, &observation(depth(0, 0), vec![]), 2, Reason::Minimum, line);
    let line = "5 is the maximum, needed: 9 = ceil((9 waiting + 0 in flight) / 1)";
    let high = says(&bounded, &observation(depth(9, 0), vec![]), 5, Reason::Maximum, line);
    assert_eq!((low.limits, high.limits), (vec![Limit::Minimum], vec![Limit::Maximum]));
}

#[test]
fn a_schedule_raises_the_minimum_up_to_the_maximum() {
    let seen = observation(depth(0, 0), vec![]);
    for (raised, target) in [(0, 1), (3, 3), (99, 5)] {
        let policy = policy(|p| (p.min_workers, p.max_workers) = (1, 5)).with_raised_minimum(raised);
        assert_eq!(decided(&policy, &Memory::default(), &seen).target, target);
    }
}

#[test]
fn a_lowered_maximum_interrupts_nobody() {
    let policy = policy(|p| p.max_workers = 2);
    let fleet = [workers(4, WorkerState::Busy), workers(3, WorkerState::Idle)].concat();
    let decision = says(&policy, &observation(depth(9, 4), fleet), 4, Reason::Busy, "held at 4: 4 busy");
    assert_eq!((decision.limits, decision.drain.len()), (vec![Limit::Maximum], 3));
}

#[test]
fn steps_out_count_workers_that_are_starting() {
    let policy = policy(|p| p.max_step_out = Some(some(3)));
    let needed = "needed: 20 = ceil((20 waiting + 0 in flight) / 1)";
    let line = format!("3: no more may start at a time, {needed}");
    let decision = says(&policy, &observation(depth(20, 0), vec![]), 3, Reason::StepOut, &line);
    assert_eq!(decision.limits, [Limit::StepOut]);
    // (started, starting, target)
    for (started, starting, target) in [(0, 3, 3), (1, 2, 4), (3, 0, 6), (0, 9, 9)] {
        let fleet = [workers(started, WorkerState::Busy), workers(starting, WorkerState::Starting)].concat();
        assert_eq!(decided(&policy, &Memory::default(), &observation(depth(20, 0), fleet)).target, target);
    }
    // Asked for and not listed yet: starting, for all that is known.
    let mut seen = observation(depth(20, 0), vec![]);
    seen.current = 3;
    assert_eq!(decided(&policy, &Memory::default(), &seen).target, 3);
}

#[test]
fn steps_in_count_workers_that_drain() {
    let policy = policy(|p| p.max_step_in = Some(some(2)));
    let fleet = [workers(1, DRAINED), workers(4, WorkerState::Idle)].concat();
    let line = "3: no more may drain at a time, needed: 0 = ceil((0 waiting + 0 in flight) / 1)";
    let decision = says(&policy, &observation(depth(0, 0), fleet), 3, Reason::StepIn, line);
    assert_eq!(names(&decision), ["Draining(Drained)-0", "Idle-0"]);
    assert_eq!(decision.limits, [Limit::StepIn]);
}

#[test]
fn without_fresh_data_out_is_allowed_and_in_is_not() {
    let idle = || workers(3, WorkerState::Idle);
    let policy = policy(|p| p.min_workers = 2);
    let mut seen = observation(depth(0, 0), idle());
    seen.queue = missing("access denied");
    says(&policy, &seen, 3, Reason::NoFreshData, "held at 3: queue: access denied");
    seen.current = 1;
    seen.workers = Sample::Known { value: workers(1, WorkerState::Idle), observed_at: at(0) };
    let low = decided(&policy, &Memory::default(), &seen);
    assert_eq!((low.target, low.reason), (2, Reason::Minimum));

    let mut seen = observation(depth(0, 0), idle());
    seen.workers = Sample::Known { value: idle(), observed_at: at(-31) };
    let line = "held at 3: workers: the last sample is older than 30 s";
    says(&policy, &seen, 3, Reason::NoFreshData, line);
    seen.queue = Sample::Known { value: depth(7, 0), observed_at: at(0) };
    says(&policy, &seen, 7, Reason::Backlog, "7 = ceil((7 waiting + 0 in flight) / 1)");

    seen.queue = Sample::Known { value: depth(0, 0), observed_at: at(31) };
    let line = "held at 3: queue: the last sample is from more than 30 s in the future; \
                workers: the last sample is older than 30 s";
    says(&policy, &seen, 3, Reason::NoFreshData, line);
}

#[test]
fn a_paused_fleet_is_held() {
    let paused = policy(|p| p.min_workers = 2).with_paused(true);
    let line = "held at 1: paused, needed: 9 = ceil((9 waiting + 0 in flight) / 1)";
    says(&paused, &observation(depth(9, 0), workers(1, WorkerState::Idle)), 1, Reason::Paused, line);
    let drained = decided(&paused, &long_empty(), &observation(depth(0, 0), workers(3, DRAINED)));
    assert_eq!((drained.target, drained.drain.len()), (3, 0));
}

#[test]
fn policies_that_make_no_sense() {
    type Change = fn(&mut PolicySpec);
    let cases: [(Change, &str); 6] = [
        (|p| p.max_workers = 0, "the maximum is 0 workers"),
        (|p| p.max_workers = 100_001, "the maximum is 100001 workers: set it to 100000 or fewer"),
        (|p| p.min_workers = 2, "the minimum (2 workers) is above the maximum (1)"),
        (
            |p| p.target = Target::Time { drain_within: Millis::ZERO },
            "the queue is to be finished within 0 s",
        ),
        (|p| p.poll.shortest = Millis::from_secs(6), "polls are to be 6 s to 5 s apart"),
        (
            |p| p.poll.longest = Millis::from_secs(30),
            "polls may be 30 s apart but samples are stale after 30 s",
        ),
    ];
    for (change, message) in cases {
        let mut spec = PolicySpec::default();
        change(&mut spec);
        let error: PolicyError = Policy::try_from(spec).unwrap_err();
        assert!(error.to_string().starts_with(message), "{error}");
    }
    let never =
        PolicySpec { poll: Poll { shortest: Millis::ZERO, ..Poll::default() }, ..PolicySpec::default() };
    assert!(matches!(Policy::try_from(never), Err(PolicyError::PollOutOfOrder { .. })));
    let json = r#"{"max_workers": 3, "min_workers": 4}"#;
    assert!(serde_json::from_str::<Policy>(json).unwrap_err().to_string().contains("above the maximum (3)"));
}

#[test]
fn spans_are_written_in_seconds() {
    for (millis, text) in [(0, "0 s"), (90_000, "90 s"), (1500, "1.5 s"), (250, "0.25 s"), (1001, "1.001 s")]
    {
        assert_eq!(Millis::new(millis).to_string(), text);
    }
}

#[test]
fn names_of_reasons_and_limits_are_those_of_json() {
    for reason in [Reason::Backlog, Reason::IdleTime, Reason::ZeroWindow, Reason::NoFreshData] {
        assert_eq!(serde_json::to_value(reason).unwrap(), reason.as_str());
    }
    for limit in [Limit::Minimum, Limit::Maximum, Limit::StepOut, Limit::StepIn] {
        assert_eq!(serde_json::to_value(limit).unwrap(), limit.as_str());
    }
}
