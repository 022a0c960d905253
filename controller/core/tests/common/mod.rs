//! What the tests of the core share: a small world's parts, arbitrary ones, and the oracle.
#![allow(
    dead_code,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    missing_docs,
    reason = "tests; not each file uses all"
)]

pub mod world;

use std::num::NonZeroU32;

use proptest::prelude::*;
use reelpool_core::{
    DrainStage, EmptyWindow, Freshness, Memory, Millis, Observation, Policy, PolicySpec, Poll, QueueDepth,
    Sample, Target, Timestamp, WorkerObservation, WorkerState,
};

/// The instant around which everything in these tests happens, in milliseconds.
pub const NOON: i64 = 43_200_000;

pub fn at(secs: i64) -> Timestamp {
    Timestamp::from_millis(NOON + secs * 1000)
}

pub fn policy(change: impl FnOnce(&mut PolicySpec)) -> Policy {
    let mut spec = PolicySpec { max_workers: 2000, ..PolicySpec::default() };
    change(&mut spec);
    Policy::try_from(spec).unwrap()
}

pub fn some(n: u32) -> NonZeroU32 {
    NonZeroU32::new(n).unwrap()
}

pub fn depth(backlog: u64, in_flight: u64) -> QueueDepth {
    QueueDepth { backlog, in_flight, delayed: 0, delayed_due_soon: None }
}

/// A worker `name` that has been in `state` since `secs` seconds after noon.
pub fn worker(name: &str, state: WorkerState, secs: i64) -> WorkerObservation {
    WorkerObservation { id: name.into(), state, since: at(secs) }
}

/// `count` workers in `state` for ten minutes.
pub fn workers(count: usize, state: WorkerState) -> Vec<WorkerObservation> {
    (0..count).map(|i| worker(&format!("{state:?}-{i}"), state, -600)).collect()
}

/// An observation made at noon in which every worker asked for is listed.
pub fn observation(depth: QueueDepth, workers: Vec<WorkerObservation>) -> Observation {
    Observation {
        current: workers.len().try_into().unwrap(),
        queue: Sample::Known { value: depth, observed_at: at(0) },
        workers: Sample::Known { value: workers, observed_at: at(0) },
        service_time: None,
        start_up_time: None,
    }
}

pub fn missing<T>(cause: &str) -> Sample<T> {
    Sample::Missing { cause: cause.into(), since: at(-10) }
}

/// The memory of a queue that has been empty since ever.
pub fn long_empty() -> Memory {
    Memory { empty: Some(EmptyWindow { since: at(-3600), until: at(0) }) }
}

/// The need, told by handing the messages out one worker at a time.
pub fn oracle(policy: &Policy, depth: QueueDepth, service_time: Option<Millis>) -> u64 {
    let spec = policy.spec();
    let jobs = u64::from(spec.jobs_per_worker.get());
    let each = match spec.target {
        Target::Backlog { per_worker } => u64::from(per_worker.get()),
        Target::Time { drain_within } => {
            let mut done = 0;
            if let Some(time) = service_time {
                let mut clock = time;
                while clock <= drain_within {
                    done += jobs;
                    clock = clock.plus(time);
                }
            }
            if done == 0 { jobs } else { done }
        }
    };
    let mut left = depth.backlog + depth.in_flight;
    for delayed in 0..depth.delayed {
        if depth.delayed_due_soon.is_some_and(|soon| delayed < soon) {
            left += 1;
        }
    }
    let mut workers = 0;
    while left > 0 {
        workers += 1;
        for _ in 0..each {
            left = left.saturating_sub(1);
        }
    }
    workers
}

/// How many of the workers asked for may have a job in hand, by the workers' own word.
pub fn busy(observation: &Observation) -> u32 {
    let Sample::Known { value, .. } = &observation.workers else {
        return observation.current;
    };
    let listed = u32::try_from(value.len()).unwrap();
    let mut busy = observation.current.saturating_sub(listed);
    for worker in value {
        match worker.state {
            WorkerState::Busy | WorkerState::Unreachable | WorkerState::Draining(DrainStage::Busy) => {
                busy += 1;
            }
            WorkerState::Starting | WorkerState::Idle | WorkerState::Draining(_) => {}
        }
    }
    busy
}

pub fn any_policy() -> impl Strategy<Value = Policy> {
    let target = prop_oneof![
        (1u32..12).prop_map(|n| Target::Backlog { per_worker: some(n) }),
        (1u64..3_600_000).prop_map(|ms| Target::Time { drain_within: Millis::new(ms) }),
    ];
    let step = || proptest::option::of((1u32..6).prop_map(some));
    let numbers = (0u32..12, 0u32..30, 0u32..40, target, 1u32..4);
    let zero_after = prop_oneof![1 => Just(0u64), 4 => 0u64..120_000];
    let times = (proptest::option::of(0u64..120_000), zero_after, 10u64..60, 10u64..60, 1u64..3, 3u64..10);
    (numbers, times, step(), step(), prop::bool::weighted(0.1)).prop_map(
        |((min, more, raised, target, jobs), (idle, zero, q, w, shortest, longest), out, inn, paused)| {
            let spec = PolicySpec {
                min_workers: min,
                max_workers: (min + more).max(1),
                raised_minimum: raised.saturating_sub(20),
                target,
                jobs_per_worker: some(jobs),
                idle: idle.map(Millis::new),
                zero_after: Millis::new(zero),
                max_step_out: out,
                max_step_in: inn,
                paused,
                freshness: Freshness { queue: Millis::from_secs(q), workers: Millis::from_secs(w) },
                poll: Poll { shortest: Millis::from_secs(shortest), longest: Millis::from_secs(longest) },
            };
            Policy::try_from(spec).unwrap()
        },
    )
}

pub fn any_depth() -> impl Strategy<Value = QueueDepth> {
    let small = || prop_oneof![2 => Just(0u64), 3 => 0u64..60];
    prop_oneof![
        1 => Just(QueueDepth::default()),
        3 => (small(), small(), small(), proptest::option::of(small())).prop_map(
            |(backlog, in_flight, delayed, delayed_due_soon)| QueueDepth {
                backlog, in_flight, delayed, delayed_due_soon
            }
        ),
    ]
}

pub fn any_state() -> impl Strategy<Value = WorkerState> {
    prop_oneof![
        1 => Just(WorkerState::Starting),
        4 => Just(WorkerState::Idle),
        2 => Just(WorkerState::Busy),
        1 => Just(WorkerState::Draining(DrainStage::Waiting)),
        1 => Just(WorkerState::Draining(DrainStage::Busy)),
        1 => Just(WorkerState::Draining(DrainStage::Drained)),
        1 => Just(WorkerState::Unreachable),
    ]
}

/// Instants from `from` to `to` milliseconds after noon.
pub fn any_time(from: i64, to: i64) -> impl Strategy<Value = Timestamp> {
    (from..to).prop_map(|ms| Timestamp::from_millis(NOON + ms))
}

pub fn any_sample<T: std::fmt::Debug + Clone>(
    value: impl Strategy<Value = T>,
) -> impl Strategy<Value = Sample<T>> {
    let seen = prop_oneof![4 => any_time(-5_000, 1), 1 => any_time(-70_000, 70_000)];
    (value, seen, any_time(-90_000, 0), prop::bool::weighted(0.1)).prop_map(
        |(value, observed_at, since, is_missing)| {
            if is_missing {
                Sample::Missing { cause: "unreachable".into(), since }
            } else {
                Sample::Known { value, observed_at }
            }
        },
    )
}

pub fn any_workers() -> impl Strategy<Value = Vec<WorkerObservation>> {
    proptest::collection::vec((any_state(), any_time(-200_000, 5_000)), 0..20).prop_map(|list| {
        let name =
            |(i, (state, since))| WorkerObservation { id: format!("w{i}").as_str().into(), state, since };
        list.into_iter().enumerate().map(name).collect()
    })
}

pub fn any_observation() -> impl Strategy<Value = Observation> {
    let time = || proptest::option::of((1u64..900_000).prop_map(Millis::new));
    let aside = prop_oneof![3 => Just(0i64), 1 => -4i64..5];
    (any_sample(any_depth()), any_sample(any_workers()), aside, 0u32..20, time(), time()).prop_map(
        |(queue, workers, aside, unlisted, service_time, start_up_time)| {
            let current = match &workers {
                Sample::Known { value, .. } => {
                    u32::try_from((i64::try_from(value.len()).unwrap() + aside).max(0)).unwrap()
                }
                Sample::Missing { .. } => unlisted,
            };
            Observation { queue, workers, current, service_time, start_up_time }
        },
    )
}

pub fn any_memory() -> impl Strategy<Value = Memory> {
    let window = (any_time(-150_000, 10_000), 0u64..150_000)
        .prop_map(|(since, span)| EmptyWindow { since, until: since.plus(Millis::new(span)).min(at(10)) })
        .prop_map(|w| EmptyWindow { since: w.since.min(w.until), until: w.until });
    proptest::option::weighted(0.7, window).prop_map(|empty| Memory { empty })
}
