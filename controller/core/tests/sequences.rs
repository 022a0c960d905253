//! What holds over many decisions in a row, in a world that goes wrong at times.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs, reason = "tests")]

mod common;

use common::world::{Fault, Step, World};
use common::*;
use proptest::prelude::*;
use proptest::test_runner::FileFailurePersistence;
use reelpool_core::{
    Decision, DrainStage, Memory, Millis, Observation, Policy, Reason, Sample, Timestamp, WorkerState, check,
    decide,
};

fn cases() -> ProptestConfig {
    ProptestConfig {
        cases: 1000,
        failure_persistence: Some(Box::new(FileFailurePersistence::WithSource("regressions"))),
        ..ProptestConfig::default()
    }
}

fn any_step() -> impl Strategy<Value = Step> {
    let fault = prop_oneof![
        8 => Just(Fault::None),
        1 => Just(Fault::QueueMissing),
        2 => Just(Fault::QueueSaysEmpty),
        1 => Just(Fault::WorkersMissing),
        1 => Just(Fault::OldNews),
        1 => Just(Fault::OneSilent),
        1 => Just(Fault::Restart),
        1 => Just(Fault::ClockBack),
        1 => Just(Fault::NothingDone),
    ];
    let arrivals = prop_oneof![4 => Just(0u64), 1 => 1u64..12];
    (1i64..15, arrivals, any::<u32>(), fault).prop_map(|(seconds, arrivals, luck, fault)| Step {
        seconds,
        arrivals,
        luck,
        fault,
    })
}

/// A step of a world in which nothing goes wrong and everybody is lucky.
fn quiet(seconds: i64) -> Step {
    Step { seconds, arrivals: 0, luck: u32::MAX, fault: Fault::None }
}

proptest! {
    #![proptest_config(cases())]

    /// The world itself asserts: `check` is clean at each step, nobody is started while someone drains, and
    /// the fleet is emptied only when the queue was seen empty often and long enough by the true time.
    #[test]
    fn a_world_that_goes_wrong_at_times(
        policy in any_policy(),
        steps in proptest::collection::vec(any_step(), 1..60),
    ) {
        let mut world = World::new(policy);
        for step in &steps {
            let before = world.in_flight();
            let decision = world.step(step);
            // A removal only ever takes the drained: every job that was in hand still is, or is done.
            prop_assert!(world.in_flight() <= before.max(u64::from(world.current())));
            prop_assert!(u64::from(world.current()) >= world.in_flight());
            prop_assert!(decision.next_check > Millis::ZERO);
        }
    }

    /// A burst comes, is worked off and goes: the fleet rises, and returns to its minimum.
    #[test]
    fn what_rises_returns(policy in any_policy(), burst in 1u64..40) {
        let policy = policy.with_paused(false);
        let minimum = policy.minimum();
        let mut world = World::new(policy);
        world.step(&Step { arrivals: burst, ..quiet(1) });
        prop_assert!(world.current() > 0);
        let mut steps = 0;
        while world.backlog > 0 || world.in_flight() > 0 || world.current() > minimum {
            world.step(&quiet(5));
            steps += 1;
            prop_assert!(steps < 400, "{} workers, {} messages are left", world.current(), world.backlog);
        }
        for _ in 0..20 {
            world.step(&quiet(5));
            prop_assert_eq!(world.current(), minimum);
        }
    }

    /// One sample that wrongly says empty, at any moment of a run of work, empties no fleet.
    #[test]
    fn one_empty_sample_never_empties_a_fleet(
        policy in any_policy(),
        work in proptest::collection::vec(any::<u32>(), 1..20),
    ) {
        let mut world = World::new(policy.with_paused(false));
        world.step(&Step { arrivals: 50, ..quiet(1) });
        for luck in work {
            // Work arrives all the time; the queue is never empty in truth.
            world.step(&Step { arrivals: 40, luck, ..quiet(5) });
            let lie = world.step(&Step { luck: 0, fault: Fault::QueueSaysEmpty, ..quiet(1) });
            prop_assert!(lie.target > 0 && world.current() > 0);
        }
    }

    /// A world in which nothing changes but what the decisions change reaches a point where they change nothing.
    #[test]
    fn a_constant_world_reaches_a_fixed_point_and_stays(
        policy in any_policy(),
        seen in any_observation(),
        memory in any_memory(),
    ) {
        let mut constant = Constant { seen, memory, now: at(0) };
        let mut steps = 0;
        while constant.step(&policy) {
            steps += 1;
            prop_assert!(steps < 1000, "no fixed point");
        }
        // Whoever is idle ripens, and the empty window fills, without anything moving in between.
        let patience = Millis::from_secs(600 + 120);
        let until = constant.now.plus(patience);
        while constant.now < until {
            constant.step(&policy);
        }
        let (target, reason) = constant.decided(&policy);
        for _ in 0..50 {
            prop_assert!(!constant.step(&policy), "the fixed point was left");
            prop_assert_eq!(constant.decided(&policy), (target, reason));
        }
    }
}

/// A queue that never changes, and workers that do nothing but what they are told.
struct Constant {
    seen: Observation,
    memory: Memory,
    now: Timestamp,
}

impl Constant {
    fn decided(&self, policy: &Policy) -> (u32, Reason) {
        let decision = decide(policy, &self.memory, &self.seen, self.now);
        (decision.target, decision.reason)
    }

    /// Looks again when told to, and carries the decision out. Whether that changed anything.
    fn step(&mut self, policy: &Policy) -> bool {
        let decision = decide(policy, &self.memory, &self.seen, self.now);
        assert_eq!(check(policy, &self.seen, &decision, self.now), []);
        self.memory = decision.memory;
        let changed = self.apply(&decision);
        self.now = self.now.plus(decision.next_check);
        if let Sample::Known { observed_at, .. } = &mut self.seen.queue {
            *observed_at = self.now;
        }
        if let Sample::Known { observed_at, .. } = &mut self.seen.workers {
            *observed_at = self.now;
        }
        changed
    }

    fn apply(&mut self, decision: &Decision) -> bool {
        let before = (self.seen.current, self.seen.workers.clone());
        if let Sample::Known { value, .. } = &mut self.seen.workers {
            for worker in value.iter_mut() {
                let named = decision.drain.contains(&worker.id);
                let state = match worker.state {
                    WorkerState::Idle
                    | WorkerState::Starting
                    | WorkerState::Draining(DrainStage::Waiting)
                        if named =>
                    {
                        WorkerState::Draining(DrainStage::Drained)
                    }
                    WorkerState::Draining(DrainStage::Busy) => WorkerState::Busy,
                    WorkerState::Draining(_) if !named => WorkerState::Idle,
                    state => state,
                };
                if state != worker.state {
                    (worker.state, worker.since) = (state, self.now);
                }
            }
            if decision.target > self.seen.current {
                let new = (self.seen.current..decision.target)
                    .map(|i| worker(&format!("new-{i}-{:?}", self.now), WorkerState::Idle, 0));
                value.extend(new.map(|w| reelpool_core::WorkerObservation { since: self.now, ..w }));
            }
            let drained = WorkerState::Draining(DrainStage::Drained);
            let listed = value.len();
            value.retain(|w| !(w.state == drained && decision.drain.contains(&w.id)));
            self.seen.current -= u32::try_from(listed - value.len()).unwrap();
        }
        self.seen.current = self.seen.current.max(decision.target);
        before != (self.seen.current, self.seen.workers.clone())
    }
}

/// The story of the README: nothing, a burst, work, and nothing again, told by the decisions.
#[test]
fn zero_to_many_to_zero() {
    let mut world = World::new(policy(|p| p.idle = Some(Millis::from_secs(10))));
    let mut story = Vec::new();
    for step in 0..40 {
        let arrivals = if step == 1 { 3 } else { 0 };
        let decision = world.step(&Step { arrivals, ..quiet(5) });
        let line = (world.current(), decision.target, decision.reason, decision.to_string());
        if story.last() != Some(&line) {
            story.push(line);
        }
    }
    let told: Vec<String> = story
        .iter()
        .map(|(workers, target, reason, line)| format!("{workers}/{target} {reason}: {line}"))
        .collect();
    let empty = |seconds: u32| {
        format!("1/1 ZeroWindow: held at 1: the queue has been seen empty for {seconds} s of 60 s")
    };
    let mut expected = vec![
        "0/0 Backlog: 0 = ceil((0 waiting + 0 in flight) / 1)".to_owned(),
        "3/3 Backlog: 3 = ceil((3 waiting + 0 in flight) / 1)".to_owned(),
        "3/3 Backlog: 3 = ceil((0 waiting + 3 in flight) / 1)".to_owned(),
        "3/3 IdleTime: held at 3: 3 idle; workers leave after 10 s without work".to_owned(),
        "3/1 ZeroWindow: held at 1: the queue has been seen empty for 10 s of 60 s".to_owned(),
    ];
    expected.extend((15..60).step_by(5).map(empty));
    expected.push("1/0 Backlog: 0 = ceil((0 waiting + 0 in flight) / 1)".to_owned());
    expected.push("0/0 Backlog: 0 = ceil((0 waiting + 0 in flight) / 1)".to_owned());
    assert_eq!(told, expected);
    assert_eq!(world.peak, 3);
}
