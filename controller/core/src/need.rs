//! Rule 1: how many workers the queue asks for.

use crate::explain::{Basis, Need};
use crate::observation::QueueDepth;
use crate::policy::{Policy, Target};
use crate::time::Millis;

impl Need {
    /// The need for a queue of this `depth`, `ceil((waiting + in flight + due soon) / per worker)`.
    ///
    /// By time, what one worker takes is the whole number of jobs it finishes in the given time: AWS's backlog
    /// per instance (acceptable latency / time per job), with the time per job measured on this fleet. It is
    /// never less than what a worker does at once, as a worker without a job of its own speeds nothing up. Jobs
    /// in flight count whole: how far they are is not known.
    pub(crate) fn of(policy: &Policy, depth: QueueDepth, service_time: Option<Millis>) -> Self {
        let spec = policy.spec();
        let (per_worker, basis) = match spec.target {
            Target::Backlog { per_worker } => (u64::from(per_worker.get()), Basis::Backlog),
            Target::Time { drain_within } => {
                let rounds = match service_time {
                    Some(time) => (drain_within.get() / time.get().max(1)).max(1),
                    None => 1,
                };
                let per_worker = rounds.saturating_mul(u64::from(spec.jobs_per_worker.get()));
                (per_worker, Basis::Time { drain_within, service_time })
            }
        };
        let QueueDepth { backlog: waiting, in_flight, delayed, delayed_due_soon } = depth;
        let due_soon = delayed_due_soon.unwrap_or(0).min(delayed);
        let messages = u128::from(waiting) + u128::from(in_flight) + u128::from(due_soon);
        let workers = u64::try_from(messages.div_ceil(u128::from(per_worker))).unwrap_or(u64::MAX);
        Self { waiting, in_flight, due_soon, per_worker, basis, workers }
    }
}
