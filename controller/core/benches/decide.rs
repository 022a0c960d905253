//! What one decision costs with 1,337 workers in the observation. The target is less than 5 µs; naming workers
//! to drain comes on top, at the price of sharing a name.
#![allow(clippy::unwrap_used, missing_docs, reason = "a benchmark")]

use std::hint::black_box;

use criterion::{BatchSize, Criterion, criterion_group, criterion_main};
use reelpool_core::{
    EmptyWindow, Memory, Observation, Policy, PolicySpec, QueueDepth, Sample, Timestamp, WorkerObservation,
    WorkerState, decide,
};

const WORKERS: u32 = 1337;
const NOW: Timestamp = Timestamp::from_millis(1_000_000);

fn observation(backlog: u64, in_flight: u64, state: impl Fn(u32) -> WorkerState) -> Observation {
    let worker = |i: u32| WorkerObservation {
        id: format!("cattube-7d9c5b6f4-{i:05}").into(),
        state: state(i),
        // Scattered, so that the choice of the longest idle has something to choose from.
        since: Timestamp::from_millis(i64::from(i.wrapping_mul(7919) % 900_000)),
    };
    let depth = QueueDepth { backlog, in_flight, delayed: 0, delayed_due_soon: None };
    Observation {
        queue: Sample::Known { value: depth, observed_at: NOW },
        workers: Sample::Known { value: (0..WORKERS).map(worker).collect(), observed_at: NOW },
        current: WORKERS,
        service_time: None,
        start_up_time: None,
    }
}

fn benchmark(criterion: &mut Criterion) {
    let policy = Policy::try_from(PolicySpec { max_workers: 2000, ..PolicySpec::default() }).unwrap();
    let window = EmptyWindow { since: Timestamp::from_millis(0), until: NOW };
    let memory = Memory { empty: Some(window) };
    let one_in_ten = |i| {
        if i % 10 == 0 { WorkerState::Idle } else { WorkerState::Busy }
    };
    let half = |i| {
        if i % 2 == 0 { WorkerState::Idle } else { WorkerState::Busy }
    };
    let cases = [
        ("all busy, more to come", observation(600, 1337, |_| WorkerState::Busy)),
        ("one in ten idle, ten leave", observation(0, 1327, one_in_ten)),
        ("half idle, all of them leave", observation(0, 668, half)),
        ("all idle, all leave", observation(0, 0, |_| WorkerState::Idle)),
    ];
    let mut group = criterion.benchmark_group("decide with 1337 workers");
    for (name, observation) in &cases {
        group.bench_function(*name, |bencher| {
            bencher.iter_batched(
                || (),
                |()| decide(black_box(&policy), black_box(&memory), black_box(observation), black_box(NOW)),
                BatchSize::SmallInput,
            );
        });
    }
    group.finish();
}

criterion_group!(benches, benchmark);
criterion_main!(benches);
