//! The operator's metrics, in Prometheus's text form. Labels are bounded: fixed words, and the pools there are.

mod pools;

use std::sync::Arc;
use std::time::Duration;

use prometheus::core::Collector;
use prometheus::{
    Encoder, Histogram, HistogramOpts, IntCounterVec, IntGauge, IntGaugeVec, Opts, Registry, TextEncoder,
};
use reelpool_core::{QueueDepth, Timestamp, Violation, WorkerCounts};

use crate::clock::Clock;
pub use crate::pool_name::PoolName;
use pools::Pools;

/// Upper bounds in seconds of what is quick: a pass over a pool, a question to the queue.
const QUICK: [f64; 11] = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 15.0];
/// Upper bounds in seconds of the time to a write; what is promised is 1.5 s.
const REACTION: [f64; 11] = [0.025, 0.05, 0.1, 0.25, 0.5, 0.75, 1.0, 1.5, 2.5, 5.0, 15.0];

/// What is known of a pool after a pass over it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PoolFacts {
    /// How many workers are decided.
    pub desired: u32,
    /// How many of its pods are ready.
    pub ready: u32,
    /// What its workers are doing.
    pub workers: WorkerCounts,
    /// How long the queue is and when it was asked; `None` when the answer did not come: the last one stands.
    pub depth: Option<(QueueDepth, Timestamp)>,
}

/// Counters, gauges and histograms of one operator process. Clones are of one and the same.
#[derive(Debug, Clone)]
pub struct Metrics {
    registry: Registry,
    clock: Clock,
    pools: Arc<Pools>,
    reconciles: IntCounterVec,
    reconcile_seconds: Histogram,
    errors: IntCounterVec,
    decisions: IntCounterVec,
    violations: IntCounterVec,
    queue_calls: IntCounterVec,
    queue_call_seconds: Histogram,
    sample_to_write_seconds: Histogram,
    leader: IntGauge,
}

impl Metrics {
    /// All of them, at zero. Ages are told by `clock`.
    ///
    /// # Errors
    /// When two have the same name, which a test would show.
    pub fn new(clock: Clock) -> Result<Self, prometheus::Error> {
        let registry = Registry::new();
        let build = IntGaugeVec::new(
            Opts::new("reelpool_build_info", "Always 1; the version of this program is in its label."),
            &["version"],
        )?;
        build.with_label_values(&[env!("CARGO_PKG_VERSION")]).set(1);
        registry.register(Box::new(build))?;
        let violations = counters(
            &registry,
            "reelpool_invariant_violations_total",
            "Decisions that break a rule which must hold of all: a defect of Reelpool.",
            "rule",
        )?;
        // A counter that begins with its first count never increases, to Prometheus.
        for rule in Violation::RULES {
            violations.with_label_values(&[rule]).reset();
        }
        Ok(Self {
            clock,
            pools: Arc::default(),
            reconciles: counters(&registry, "reelpool_reconciles_total", "Passes over a pool.", "outcome")?,
            reconcile_seconds: histogram(
                &registry,
                "reelpool_reconcile_seconds",
                "How long a pass over a pool takes.",
                &QUICK,
            )?,
            errors: counters(&registry, "reelpool_errors_total", "Errors of passes and queues.", "category")?,
            decisions: counters(
                &registry,
                "reelpool_decisions_total",
                "Decisions, those that changed nothing included, by what set the number of workers.",
                "reason",
            )?,
            violations,
            queue_calls: counters(
                &registry,
                "reelpool_queue_calls_total",
                "Questions to queues for their length, by `ok` or the error's category.",
                "outcome",
            )?,
            queue_call_seconds: histogram(
                &registry,
                "reelpool_queue_call_seconds",
                "How long a question to a queue takes, further tries included.",
                &QUICK,
            )?,
            sample_to_write_seconds: histogram(
                &registry,
                "reelpool_sample_to_write_seconds",
                "From the question to the queue until the number of replicas made from its answer was written.",
                &REACTION,
            )?,
            leader: registered(
                &registry,
                IntGauge::new("reelpool_leader", "1 while this process leads, or needs no election.")?,
            )?,
            registry,
        })
    }

    /// A pass over a pool ended so, after so long.
    pub fn reconciled(&self, outcome: &'static str, took: Duration) {
        self.reconciles.with_label_values(&[outcome]).inc();
        self.reconcile_seconds.observe(took.as_secs_f64());
    }

    /// Something failed; the category is the error's.
    pub fn error(&self, category: &'static str) {
        self.errors.with_label_values(&[category]).inc();
    }

    /// A decision was made for this reason.
    pub fn decided(&self, reason: &'static str) {
        self.decisions.with_label_values(&[reason]).inc();
    }

    /// A decision breaks a rule.
    pub fn violation(&self, violation: &Violation) {
        self.violations.with_label_values(&[violation.rule()]).inc();
    }

    /// A queue was asked for its length: `ok` or the error's category, and how long it took.
    pub fn queue_call(&self, outcome: &'static str, took: Duration) {
        self.queue_calls.with_label_values(&[outcome]).inc();
        self.queue_call_seconds.observe(took.as_secs_f64());
    }

    /// A number of replicas was written so long after the queue was asked for the length that it was made from.
    pub fn sample_to_write(&self, took: Duration) {
        self.sample_to_write_seconds.observe(took.as_secs_f64());
    }

    /// The number of replicas of this pool was written.
    pub fn scaled(&self, pool: &PoolName) {
        self.pools.scaled(pool, self.clock.now());
    }

    /// So many workers of this pool were drained to go and stayed.
    pub fn spared(&self, pool: &PoolName, workers: usize) {
        self.pools.spared(pool, workers, self.clock.now());
    }

    /// What is known of this pool now.
    pub fn pool(&self, pool: &PoolName, facts: PoolFacts) {
        self.pools.set(pool, facts, self.clock.now());
    }

    /// This pool is gone, and all that was told of it.
    pub fn forget(&self, pool: &PoolName) {
        self.pools.forget(pool);
    }

    /// Whether this process leads.
    pub fn leads(&self, leads: bool) {
        self.leader.set(i64::from(leads));
    }

    /// All of them as text.
    ///
    /// # Errors
    /// When they cannot be encoded.
    pub fn text(&self) -> Result<Vec<u8>, prometheus::Error> {
        let mut text = Vec::new();
        TextEncoder::new().encode(&self.registry.gather(), &mut text)?;
        self.pools.write(&mut text, self.clock.now());
        Ok(text)
    }
}

fn counters(
    registry: &Registry,
    name: &str,
    help: &str,
    label: &'static str,
) -> Result<IntCounterVec, prometheus::Error> {
    registered(registry, IntCounterVec::new(Opts::new(name, help), &[label])?)
}

fn histogram(
    registry: &Registry,
    name: &str,
    help: &str,
    bounds: &[f64],
) -> Result<Histogram, prometheus::Error> {
    registered(registry, Histogram::with_opts(HistogramOpts::new(name, help).buckets(bounds.to_vec()))?)
}

fn registered<C: Collector + Clone + 'static>(
    registry: &Registry,
    collector: C,
) -> Result<C, prometheus::Error> {
    registry.register(Box::new(collector.clone()))?;
    Ok(collector)
}

#[cfg(test)]
#[path = "metrics_tests.rs"]
mod tests;
