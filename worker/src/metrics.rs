//! The worker's own metrics, in Prometheus's text form.

use std::time::Duration;

use prometheus::{
    Encoder, HistogramOpts, HistogramVec, IntCounterVec, IntGauge, Opts, Registry, TextEncoder,
};
use reelpool_protocol::event::Outcome;

/// Upper bounds of the stage histogram, in seconds: from a small clip's fetch to a long master's transcode.
const SECONDS: [f64; 10] = [0.1, 0.5, 1.0, 5.0, 15.0, 60.0, 300.0, 900.0, 3600.0, 14400.0];

/// Counters, gauges and histograms of one worker process.
#[derive(Debug)]
pub struct Metrics {
    registry: Registry,
    jobs: IntCounterVec,
    failures: IntCounterVec,
    stages: HistogramVec,
    holds_lost: prometheus::IntCounter,
    queue_errors: IntCounterVec,
    busy: IntGauge,
}

impl Metrics {
    /// All of them, at zero.
    ///
    /// # Errors
    /// When two have the same name, which a test would show.
    pub fn new() -> Result<Self, prometheus::Error> {
        let registry = Registry::new();
        let jobs = IntCounterVec::new(
            Opts::new("reelpool_worker_jobs_total", "Jobs that ended in this worker's hand, by outcome."),
            &["outcome"],
        )?;
        let failures = IntCounterVec::new(
            Opts::new("reelpool_worker_failures_total", "Failed attempts, by reason and whether for good."),
            &["reason", "permanent"],
        )?;
        let stages = HistogramVec::new(
            HistogramOpts::new("reelpool_worker_stage_seconds", "Wall time of each stage of a job.")
                .buckets(SECONDS.to_vec()),
            &["stage"],
        )?;
        let holds_lost = prometheus::IntCounter::new(
            "reelpool_worker_holds_lost_total",
            "Messages whose hold was lost while they were worked on.",
        )?;
        let queue_errors = IntCounterVec::new(
            Opts::new("reelpool_worker_queue_errors_total", "Failed queue calls, by category."),
            &["category"],
        )?;
        let busy = IntGauge::new("reelpool_worker_busy", "1 while a message is in hand.")?;
        registry.register(Box::new(jobs.clone()))?;
        registry.register(Box::new(failures.clone()))?;
        registry.register(Box::new(stages.clone()))?;
        registry.register(Box::new(holds_lost.clone()))?;
        registry.register(Box::new(queue_errors.clone()))?;
        registry.register(Box::new(busy.clone()))?;
        Ok(Self { registry, jobs, failures, stages, holds_lost, queue_errors, busy })
    }

    /// Whether a message is in hand.
    pub fn busy(&self, busy: bool) {
        self.busy.set(i64::from(busy));
    }

    /// A job ended in this worker's hand.
    pub fn ended(&self, outcome: &Outcome) {
        let label = match outcome {
            Outcome::Committed { .. } => "committed",
            Outcome::AlreadyDone => "already_done",
            Outcome::Retried { reason, .. } => {
                self.failures.with_label_values(&[reason.as_str(), "false"]).inc();
                "retried"
            }
            Outcome::Failed { reason, .. } => {
                self.failures.with_label_values(&[reason.as_str(), "true"]).inc();
                "failed"
            }
            Outcome::HandedBack => "handed_back",
            Outcome::HoldLost => {
                self.holds_lost.inc();
                "hold_lost"
            }
            Outcome::ClaimedElsewhere => "claimed_elsewhere",
        };
        self.jobs.with_label_values(&[label]).inc();
    }

    /// A stage of a job took so long.
    pub fn stage(&self, stage: &str, took: Duration) {
        self.stages.with_label_values(&[stage]).observe(took.as_secs_f64());
    }

    /// A call to the queue failed.
    pub fn queue_error(&self, category: &str) {
        self.queue_errors.with_label_values(&[category]).inc();
    }

    /// All of them as text.
    ///
    /// # Errors
    /// When they cannot be encoded.
    pub fn text(&self) -> Result<Vec<u8>, prometheus::Error> {
        let mut text = Vec::new();
        TextEncoder::new().encode(&self.registry.gather(), &mut text)?;
        Ok(text)
    }
}
