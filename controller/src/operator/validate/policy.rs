//! How the fleet is to be scaled, as the core takes it.

use std::num::NonZeroU32;

use reelpool_api::WorkerPoolSpec;
use reelpool_api::scaling::{Scaling, Target as TargetSpec};
use reelpool_core::policy::MAX_WORKERS;
use reelpool_core::{Freshness, Millis, Policy, PolicySpec, Poll, Target};

use super::problems::Problems;

/// A day, in seconds.
const DAY: u32 = 24 * 3600;
/// The longest poll, in seconds.
const LONGEST_POLL: u32 = 300;
/// A sample is fresh for so many polls, so that one that fails changes nothing.
const FRESH_POLLS: u64 = 3;
/// However often the queue is looked at, a sample is fresh for as long as this.
const FRESH_AT_LEAST: Millis = Millis::from_secs(30);
/// How soon to look again while the fleet changes.
const SHORTEST_POLL: Millis = Millis::from_secs(1);

/// Reads the numbers of the spec.
pub(super) fn read(spec: &WorkerPoolSpec, problems: &mut Problems) -> Option<Policy> {
    let Scaling { target, scale_out, scale_in, poll_seconds } = &spec.scaling;
    let min_workers = problems.within("spec.minWorkers", spec.min_workers, 0..=MAX_WORKERS);
    let max_workers = problems.within("spec.maxWorkers", spec.max_workers, 1..=MAX_WORKERS);
    if spec.max_workers > 0 && spec.min_workers > spec.max_workers {
        let message = format!(
            "must be less than or equal to maxWorkers ({max_workers}), and is {}: lower minWorkers or raise maxWorkers",
            spec.min_workers
        );
        problems.add("spec.minWorkers", message);
    }
    let target = read_target(target, problems);
    let mut step = |field: &str, step: Option<i32>| {
        step.and_then(|step| NonZeroU32::new(problems.within(field, step, 1..=MAX_WORKERS)))
    };
    let max_step_out = step("spec.scaling.scaleOut.maxStep", scale_out.max_step);
    let max_step_in = step("spec.scaling.scaleIn.maxStep", scale_in.max_step);
    let seconds = |seconds: u32| Millis::from_secs(seconds.into());
    let zero_after =
        problems.within("spec.scaling.scaleIn.zeroAfterSeconds", scale_in.zero_after_seconds, 0..=DAY);
    let idle = scale_in
        .idle_seconds
        .map(|idle| seconds(problems.within("spec.scaling.scaleIn.idleSeconds", idle, 0..=DAY)));
    let poll = seconds(problems.within("spec.scaling.pollSeconds", *poll_seconds, 1..=LONGEST_POLL));
    let fresh = FRESH_AT_LEAST.max(Millis::new(poll.get().saturating_mul(FRESH_POLLS)));
    let policy = PolicySpec {
        // Told above, with the field's own name.
        min_workers: min_workers.min(max_workers),
        max_workers,
        target: target?,
        idle,
        zero_after: seconds(zero_after),
        max_step_out,
        max_step_in,
        paused: spec.paused,
        freshness: Freshness { queue: fresh, workers: fresh },
        poll: Poll { shortest: SHORTEST_POLL.min(poll), longest: poll },
        ..PolicySpec::default()
    };
    Policy::try_from(policy).map_err(|error| problems.add("spec", error.to_string())).ok()
}

fn read_target(target: &TargetSpec, problems: &mut Problems) -> Option<Target> {
    match (target.backlog_per_worker, target.drain_within_seconds) {
        (Some(backlog), None) => {
            let field = "spec.scaling.target.backlogPerWorker";
            let per_worker = NonZeroU32::new(problems.within(field, backlog, 1..=MAX_WORKERS))?;
            Some(Target::Backlog { per_worker })
        }
        (None, Some(within)) => {
            let within = problems.within("spec.scaling.target.drainWithinSeconds", within, 1..=7 * DAY);
            Some(Target::Time { drain_within: Millis::from_secs(within.into()) })
        }
        (None, None) | (Some(_), Some(_)) => {
            problems.add(
                "spec.scaling.target",
                "must have exactly one of backlogPerWorker and drainWithinSeconds: keep the one to scale by",
            );
            None
        }
    }
}
