//! The metrics of each pool. A thousand pools have some fifteen thousand series: they are kept as the facts they are
//! made from, some 150 bytes a pool, and become text only when asked for.

use std::collections::BTreeMap;
use std::fmt::{Display, Write};
use std::sync::{Mutex, MutexGuard, PoisonError};

use reelpool_core::{QueueDepth, Timestamp, WorkerCounts};

use super::{PoolFacts, PoolName};

/// What is known of every pool.
#[derive(Debug, Default)]
pub struct Pools(Mutex<BTreeMap<PoolName, Pool>>);

#[derive(Debug)]
struct Pool {
    facts: Option<PoolFacts>,
    /// The last answer of the queue and when it was asked.
    depth: Option<(QueueDepth, Timestamp)>,
    scale_writes: u64,
    other_pods_taken: u64,
    first_seen: Timestamp,
}

/// A gauge made from the facts: its name, what it is, and its value.
type FactGauge = (&'static str, &'static str, fn(&PoolFacts) -> u32);
/// A gauge made from the length of the queue.
type DepthGauge = (&'static str, &'static str, fn(&QueueDepth) -> u64);

const FACTS: [FactGauge; 8] = [
    ("reelpool_desired_workers", "Workers decided.", |facts| facts.desired),
    ("reelpool_ready_workers", "Pods that are ready.", |facts| facts.ready),
    ("reelpool_starting_workers", "Workers that have not asked for work yet.", |facts| of(facts).starting),
    ("reelpool_idle_workers", "Workers without work.", |facts| of(facts).idle),
    ("reelpool_busy_workers", "Workers with a job in hand.", |facts| of(facts).busy),
    ("reelpool_draining_workers", "Workers that drain and have no job in hand.", |facts| of(facts).draining),
    ("reelpool_unreachable_workers", "Workers that do not answer; they count as busy.", |facts| {
        of(facts).unreachable
    }),
    ("reelpool_unlisted_workers", "Workers asked for that have no pod yet; they count as busy.", |facts| {
        of(facts).unlisted
    }),
];

const DEPTH: [DepthGauge; 3] = [
    ("reelpool_queue_backlog", "Messages waiting, at the last answer of the queue.", |depth| depth.backlog),
    ("reelpool_queue_in_flight", "Messages received and not deleted, at the last answer.", |depth| {
        depth.in_flight
    }),
    ("reelpool_queue_delayed", "Messages that may not be received yet, at the last answer.", |depth| {
        depth.delayed
    }),
];

fn of(facts: &PoolFacts) -> WorkerCounts {
    facts.workers
}

impl Pools {
    pub fn set(&self, name: &PoolName, facts: PoolFacts, now: Timestamp) {
        let mut pools = self.lock();
        let pool = pools.entry(name.clone()).or_insert_with(|| Pool::seen(now));
        pool.facts = Some(facts);
        pool.depth = facts.depth.or(pool.depth);
    }

    pub fn scaled(&self, name: &PoolName, now: Timestamp) {
        let mut pools = self.lock();
        let pool = pools.entry(name.clone()).or_insert_with(|| Pool::seen(now));
        pool.scale_writes += 1;
    }

    pub fn spared(&self, name: &PoolName, workers: usize, now: Timestamp) {
        let mut pools = self.lock();
        let pool = pools.entry(name.clone()).or_insert_with(|| Pool::seen(now));
        pool.other_pods_taken += u64::try_from(workers).unwrap_or(u64::MAX);
    }

    pub fn forget(&self, name: &PoolName) {
        self.lock().remove(name);
    }

    /// Adds all as text.
    pub fn write(&self, text: &mut Vec<u8>, now: Timestamp) {
        let pools = self.lock();
        let mut out = String::new();
        head(&mut out, "reelpool_pools", "Pools that this process looks after.", "gauge");
        let _ = writeln!(out, "reelpool_pools {}", pools.len());
        if !pools.is_empty() {
            all(&pools, &mut out, now);
        }
        text.extend(out.into_bytes());
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<PoolName, Pool>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Pool {
    fn seen(now: Timestamp) -> Self {
        Self { facts: None, depth: None, scale_writes: 0, other_pods_taken: 0, first_seen: now }
    }
}

fn all(pools: &BTreeMap<PoolName, Pool>, out: &mut String, now: Timestamp) {
    for (name, help, value) in FACTS {
        head(out, name, help, "gauge");
        for (pool, facts) in pools.iter().filter_map(|(pool, known)| Some((pool, known.facts.as_ref()?))) {
            sample(out, name, pool, value(facts));
        }
    }
    for (name, help, value) in DEPTH {
        head(out, name, help, "gauge");
        for (pool, (depth, _)) in pools.iter().filter_map(|(pool, known)| Some((pool, known.depth?))) {
            sample(out, name, pool, value(&depth));
        }
    }
    let (name, help) = (
        "reelpool_sample_age_seconds",
        "Time since the queue was asked and answered; since the pool was first seen if it never was.",
    );
    head(out, name, help, "gauge");
    for (pool, known) in pools {
        let age = now.since(known.depth.map_or(known.first_seen, |(_, at)| at)).get();
        sample(out, name, pool, format_args!("{}.{:03}", age / 1000, age % 1000));
    }
    let (name, help) = ("reelpool_scale_writes_total", "Writes of the number of replicas.");
    head(out, name, help, "counter");
    for (pool, known) in pools {
        sample(out, name, pool, known.scale_writes);
    }
    let (name, help) = (
        "reelpool_other_pods_taken_total",
        "Workers that were drained to go and stayed: Kubernetes took others, or the number rose again first.",
    );
    head(out, name, help, "counter");
    for (pool, known) in pools {
        sample(out, name, pool, known.other_pods_taken);
    }
}

fn head(out: &mut String, name: &str, help: &str, kind: &str) {
    let _ = write!(out, "# HELP {name} {help}\n# TYPE {name} {kind}\n");
}

/// Names of Kubernetes hold nothing that would have to be escaped.
fn sample(out: &mut String, name: &str, pool: &PoolName, value: impl Display) {
    let _ = writeln!(out, "{name}{{namespace=\"{}\",pool=\"{}\"}} {value}", pool.namespace(), pool.name());
}
