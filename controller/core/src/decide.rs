//! The decision: six rules, in the order in which they bind.

use crate::decision::{Decision, Limit, Reason};
use crate::explain::{Basis, Explain, Need, NotFresh, Source};
use crate::fleet::Fleet;
use crate::freshness::{Judged, judge};
use crate::memory::Memory;
use crate::observation::{Observation, QueueDepth};
use crate::policy::Policy;
use crate::time::{Millis, Timestamp};

/// Decides how many workers there are to be, from what is wanted, remembered and seen, at `now`.
///
/// Pure, total and deterministic. `memory` is that of the last decision, or the default after a restart.
#[must_use]
pub fn decide(policy: &Policy, memory: &Memory, observation: &Observation, now: Timestamp) -> Decision {
    let spec = policy.spec();
    let current = observation.current;
    let queue = judge(&observation.queue, spec.freshness.queue, now);
    let workers = judge(&observation.workers, spec.freshness.workers, now);
    let depth = queue.fresh.as_ref().ok().map(|&(depth, at)| (*depth, at));
    let memory = memory.after(depth, spec.freshness.queue);
    let idle_limit = policy.idle_limit(observation.start_up_time);
    let seen = workers.fresh.as_ref().ok();
    let fleet = seen.map(|&(workers, at)| Fleet::new(workers, at, current, idle_limit));
    let need = depth.map(|(depth, _)| Need::of(policy, depth, observation.service_time));

    // 1. Need.
    let mut course = Course::of(need);
    // 2, 4 and 6. The fewest that may be left now: never below busy, in slowly, not without fresh data.
    let lowest = lowest(policy, &memory, current, depth.map(|(depth, _)| depth), fleet.as_ref());
    // 3. Out at once, unless the policy caps the step.
    if let Some(step) = spec.max_step_out {
        // Workers that are starting are the step already taken.
        let started = fleet.as_ref().map_or(0, |fleet| fleet.started);
        course.at_most(started.saturating_add(step.get()).max(current), Reason::StepOut);
    }
    course.at_least(lowest.workers, lowest.reason);
    // 5. Bounds. What is above the maximum leaves as slowly as anything else.
    course.at_least(policy.minimum(), Reason::Minimum);
    course.at_most_above(policy.maximum(), &lowest);
    if spec.paused {
        course = Course { workers: current, reason: Reason::Paused, limits: Vec::new() };
    }

    let target = course.workers;
    // Whatever else the next look waits for, it comes when what is fresh now no longer is.
    let wish = next_look(policy, &memory, &course, current, fleet.as_ref(), now);
    let next_check = queue.changes_in.into_iter().chain(workers.changes_in).fold(wish, Millis::min);
    let explain = Explain {
        current,
        need,
        workers: fleet.as_ref().map(|fleet| fleet.counts),
        idle_limit,
        empty_for: memory.empty.map_or(Millis::ZERO, |window| window.span()),
        zero_after: spec.zero_after,
        not_fresh: not_fresh(queue, workers),
    };
    let drain = match fleet {
        Some(fleet) if target < current => fleet.choose(current - target),
        _ => Vec::new(),
    };
    Decision { target, drain, reason: course.reason, limits: course.limits, next_check, memory, explain }
}

/// The fewest workers that may be left now, and the rule that says so; never more than `current`.
fn lowest(
    policy: &Policy,
    memory: &Memory,
    current: u32,
    depth: Option<QueueDepth>,
    fleet: Option<&Fleet<'_>>,
) -> Course {
    let spec = policy.spec();
    let mut lowest = Course { workers: 0, reason: Reason::Backlog, limits: Vec::new() };
    // 6. No fresh data: nobody goes.
    let (Some(depth), Some(fleet)) = (depth, fleet) else {
        lowest.workers = current;
        lowest.reason = Reason::NoFreshData;
        return lowest;
    };
    // 2. Never below busy. Workers' own word and the queue's count, and the higher wins. This holds workers and
    // never starts any: a message in flight that no worker has in hand waits for its visibility timeout.
    let in_flight = depth.in_flight.div_ceil(u64::from(spec.jobs_per_worker.get()));
    let busy = fleet.counts.maybe_busy().max(saturate(in_flight));
    lowest.at_least(busy.min(current), Reason::Busy);
    // 4. In slowly, and only those without work; the last one only when the queue was empty for long enough.
    lowest.at_least(current.saturating_sub(fleet.may_go()), Reason::IdleTime);
    if !memory.empty.is_some_and(|window| window.is_full(spec.zero_after)) {
        lowest.at_least(current.min(1), Reason::ZeroWindow);
    }
    if let Some(step) = spec.max_step_in {
        lowest.at_least(current.saturating_sub(step.get()), Reason::StepIn);
    }
    lowest
}

/// A number of workers on its way through the rules, with the rule that last changed it.
struct Course {
    workers: u32,
    reason: Reason,
    limits: Vec<Limit>,
}

impl Course {
    /// The course that the need sets.
    fn of(need: Option<Need>) -> Self {
        let (workers, reason) = match need {
            Some(need) => match need.basis {
                Basis::Backlog => (saturate(need.workers), Reason::Backlog),
                Basis::Time { .. } => (saturate(need.workers), Reason::Time),
            },
            None => (0, Reason::NoFreshData),
        };
        Self { workers, reason, limits: Vec::new() }
    }

    /// Raises the number to `workers` if it is lower.
    fn at_least(&mut self, workers: u32, reason: Reason) {
        if self.workers < workers {
            self.set(workers, reason);
        }
    }

    /// Lowers the number to `workers` if it is higher.
    fn at_most(&mut self, workers: u32, reason: Reason) {
        if self.workers > workers {
            self.set(workers, reason);
        }
    }

    /// Lowers the number to the maximum if it is higher, but not below what may be left now.
    fn at_most_above(&mut self, maximum: u32, lowest: &Self) {
        if self.workers > maximum {
            self.set(maximum, Reason::Maximum);
            self.at_least(lowest.workers, lowest.reason);
        }
    }

    fn set(&mut self, workers: u32, reason: Reason) {
        self.workers = workers;
        self.reason = reason;
        let limit = match reason {
            Reason::Minimum => Limit::Minimum,
            Reason::Maximum => Limit::Maximum,
            Reason::StepOut => Limit::StepOut,
            Reason::StepIn => Limit::StepIn,
            _ => return,
        };
        if !self.limits.contains(&limit) {
            self.limits.push(limit);
        }
    }
}

/// When a new look could change something, within the policy's bounds for polls.
fn next_look(
    policy: &Policy,
    memory: &Memory,
    course: &Course,
    current: u32,
    fleet: Option<&Fleet<'_>>,
    now: Timestamp,
) -> Millis {
    let spec = policy.spec();
    let at = match course.reason {
        _ if course.workers != current => Some(now),
        Reason::IdleTime => fleet.and_then(|fleet| fleet.next_may_go),
        Reason::ZeroWindow => memory.empty.map(|window| window.since.plus(spec.zero_after)),
        _ => None,
    };
    let longest = spec.poll.longest;
    at.map_or(longest, |at| at.since(now)).clamp(spec.poll.shortest, longest)
}

/// The sources without fresh data, and why.
fn not_fresh<Q, W>(queue: Judged<'_, Q>, workers: Judged<'_, W>) -> Vec<NotFresh> {
    let queue = queue.fresh.err().map(|cause| NotFresh { source: Source::Queue, cause });
    let workers = workers.fresh.err().map(|cause| NotFresh { source: Source::Workers, cause });
    queue.into_iter().chain(workers).collect()
}

/// As many workers as there can be, where the number is larger.
fn saturate(workers: u64) -> u32 {
    u32::try_from(workers).unwrap_or(u32::MAX)
}
