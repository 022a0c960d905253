//! What must hold of every decision, checked without any of the code that makes decisions.

use std::collections::HashMap;

use crate::decision::{Decision, Reason};
use crate::observation::{
    DrainStage, Observation, QueueDepth, Sample, WorkerId, WorkerObservation, WorkerState,
};
use crate::policy::{Policy, Target};
use crate::time::{Millis, Timestamp};

/// A rule that a decision breaks.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Violation {
    /// A paused fleet was to change.
    #[error("the fleet is paused at {current}, but the target is {target}")]
    MovedWhilePaused {
        /// Workers asked for before.
        current: u32,
        /// Workers decided.
        target: u32,
    },
    /// The target was below the minimum.
    #[error("the target {target} is below the minimum {minimum}")]
    BelowMinimum {
        /// Workers decided.
        target: u32,
        /// The minimum, schedules included.
        minimum: u32,
    },
    /// The fleet was to grow above the maximum.
    #[error("the target {target} is above the maximum {maximum}")]
    AboveMaximum {
        /// Workers decided.
        target: u32,
        /// The maximum.
        maximum: u32,
    },
    /// The fleet was to shrink below the workers that are, or may be, busy.
    #[error("the target {target} is below the {busy} workers that may be busy")]
    BelowBusy {
        /// Workers decided.
        target: u32,
        /// Workers that may have a job in hand.
        busy: u32,
    },
    /// The fleet was to shrink without fresh data on the queue or on the workers.
    #[error("the fleet was to shrink from {current} to {target} without fresh data")]
    ShrunkBlind {
        /// Workers asked for before.
        current: u32,
        /// Workers decided.
        target: u32,
    },
    /// The last worker was to go before the queue had been seen empty for long enough.
    #[error("the last worker was to go after the queue was empty for {empty_for} of {zero_after}")]
    EmptiedTooSoon {
        /// For how long the queue had been seen empty.
        empty_for: Millis,
        /// For how long it must have been.
        zero_after: Millis,
    },
    /// Fewer workers than the queue asks for, with nothing that stands in the way.
    #[error("the target {target} is below the {needed} workers that the queue asks for")]
    NeedUnmet {
        /// Workers decided.
        target: u32,
        /// Workers needed, and allowed by the maximum.
        needed: u32,
    },
    /// More new workers than the policy allows to be starting at a time.
    #[error("the target {target} is more than the {allowed} that may be started by now")]
    StepOutTooLarge {
        /// Workers decided.
        target: u32,
        /// The most there may be.
        allowed: u32,
    },
    /// More draining workers than the policy allows at a time.
    #[error("{draining} workers were to drain, {allowed} may at a time")]
    StepInTooLarge {
        /// Workers to drain.
        draining: usize,
        /// The most there may be.
        allowed: u32,
    },
    /// The number of workers to drain is not the number by which the fleet is to shrink.
    #[error("{found} workers were to drain for a fleet that shrinks by {expected}")]
    DrainCount {
        /// By how many the fleet is to shrink.
        expected: u32,
        /// Workers to drain.
        found: usize,
    },
    /// A worker that was not seen was to drain.
    #[error("worker {0} was to drain but was not seen")]
    DrainsUnknown(WorkerId),
    /// A worker was named twice.
    #[error("worker {0} was to drain twice")]
    DrainsTwice(WorkerId),
    /// A worker that is, or may be, busy was to drain.
    #[error("worker {0} was to drain but may be busy")]
    DrainsBusy(WorkerId),
    /// A worker was to drain before it had been without work for long enough.
    #[error("worker {id} was to drain after {rested} without work, too soon")]
    DrainsTooSoon {
        /// The worker.
        id: WorkerId,
        /// For how long it had been seen without work.
        rested: Millis,
    },
    /// A worker was to drain while one that had been without work for longer stayed.
    #[error("worker {0} was to drain before one that has been without work for longer")]
    DrainsOutOfTurn(WorkerId),
    /// The next look was to be at once, or after a sample becomes stale.
    #[error("the next look was to be after {found}, it must be after more than 0 s and at most {latest}")]
    NextCheck {
        /// When the next look was to be.
        found: Millis,
        /// When it must be at the latest.
        latest: Millis,
    },
    /// The reason does not go with the numbers.
    #[error("the reason {reason} does not go with a change from {current} to {target}")]
    WrongReason {
        /// The reason given.
        reason: Reason,
        /// Workers asked for before.
        current: u32,
        /// Workers decided.
        target: u32,
    },
}

impl Violation {
    /// The names of all rules.
    pub const RULES: [&str; 17] = [
        "moved_while_paused",
        "below_minimum",
        "above_maximum",
        "below_busy",
        "shrunk_blind",
        "emptied_too_soon",
        "need_unmet",
        "step_out_too_large",
        "step_in_too_large",
        "drain_count",
        "drains_unknown",
        "drains_twice",
        "drains_busy",
        "drains_too_soon",
        "drains_out_of_turn",
        "next_check",
        "wrong_reason",
    ];

    /// The rule's stable name, one of [`Violation::RULES`]: for metrics.
    #[must_use]
    pub const fn rule(&self) -> &'static str {
        match self {
            Self::MovedWhilePaused { .. } => "moved_while_paused",
            Self::BelowMinimum { .. } => "below_minimum",
            Self::AboveMaximum { .. } => "above_maximum",
            Self::BelowBusy { .. } => "below_busy",
            Self::ShrunkBlind { .. } => "shrunk_blind",
            Self::EmptiedTooSoon { .. } => "emptied_too_soon",
            Self::NeedUnmet { .. } => "need_unmet",
            Self::StepOutTooLarge { .. } => "step_out_too_large",
            Self::StepInTooLarge { .. } => "step_in_too_large",
            Self::DrainCount { .. } => "drain_count",
            Self::DrainsUnknown(_) => "drains_unknown",
            Self::DrainsTwice(_) => "drains_twice",
            Self::DrainsBusy(_) => "drains_busy",
            Self::DrainsTooSoon { .. } => "drains_too_soon",
            Self::DrainsOutOfTurn(_) => "drains_out_of_turn",
            Self::NextCheck { .. } => "next_check",
            Self::WrongReason { .. } => "wrong_reason",
        }
    }
}

/// Every rule that `decision`, made from `observation` at `now`, breaks; empty for a sound one.
///
/// For tests, for the simulator after each step, and in production as a metric. It shares no code with
/// [`decide`](crate::decide()), and takes nothing from the decision's own explanation.
#[must_use]
pub fn check(
    policy: &Policy,
    observation: &Observation,
    decision: &Decision,
    now: Timestamp,
) -> Vec<Violation> {
    let world = World::new(policy, observation, now);
    let mut found = Vec::new();
    number(&world, decision, &mut found);
    drains(&world, decision, &mut found);
    next_check(&world, decision, &mut found);
    found
}

/// The observation, with what is not fresh left out.
struct World<'a> {
    policy: &'a Policy,
    observation: &'a Observation,
    now: Timestamp,
    queue: Option<QueueDepth>,
    workers: Option<(&'a [WorkerObservation], Timestamp)>,
}

impl<'a> World<'a> {
    fn new(policy: &'a Policy, observation: &'a Observation, now: Timestamp) -> Self {
        let fresh = |at: Timestamp, limit: Millis| now.as_millis().abs_diff(at.as_millis()) <= limit.get();
        let limits = policy.spec().freshness;
        let queue = match &observation.queue {
            Sample::Known { value, observed_at } if fresh(*observed_at, limits.queue) => Some(*value),
            _ => None,
        };
        let workers = match &observation.workers {
            Sample::Known { value, observed_at } if fresh(*observed_at, limits.workers) => {
                Some((value.as_slice(), *observed_at))
            }
            _ => None,
        };
        Self { policy, observation, now, queue, workers }
    }

    /// How many of the workers asked for may have a job in hand, as far as is known.
    fn busy(&self) -> u64 {
        let current = u64::from(self.observation.current);
        let Some((workers, _)) = self.workers else {
            return current;
        };
        let free = workers.iter().filter(|w| is_free(w.state)).count() as u64;
        // Whoever is not seen to be free may be busy, listed or not.
        let own_word = current.max(workers.len() as u64).saturating_sub(free);
        let jobs = u64::from(self.policy.spec().jobs_per_worker.get());
        let in_flight = self.queue.map_or(0, |depth| depth.in_flight);
        let implied = in_flight.div_ceil(jobs);
        own_word.max(implied).min(current)
    }

    /// The workers that the queue asks for and the maximum allows.
    fn need(&self) -> Option<u32> {
        let QueueDepth { backlog, in_flight, delayed, delayed_due_soon } = self.queue?;
        let due = delayed.min(delayed_due_soon.unwrap_or(0));
        let messages = u128::from(backlog) + u128::from(in_flight) + u128::from(due);
        let spec = self.policy.spec();
        let each = match (spec.target, self.observation.service_time) {
            (Target::Backlog { per_worker }, _) => u128::from(per_worker.get()),
            (Target::Time { .. }, None) => u128::from(spec.jobs_per_worker.get()),
            (Target::Time { drain_within }, Some(time)) => {
                let in_time = u128::from(drain_within.get()) / u128::from(time.get()).max(1);
                in_time.max(1) * u128::from(spec.jobs_per_worker.get())
            }
        };
        let whole = messages / each + u128::from(messages % each > 0);
        Some(u32::try_from(whole).unwrap_or(u32::MAX).min(self.policy.spec().max_workers))
    }
}

fn is_free(state: WorkerState) -> bool {
    use DrainStage::{Drained, Waiting};
    matches!(state, WorkerState::Starting | WorkerState::Idle | WorkerState::Draining(Waiting | Drained))
}

/// What must hold of the target.
fn number(world: &World<'_>, decision: &Decision, found: &mut Vec<Violation>) {
    let spec = world.policy.spec();
    let (current, target) = (world.observation.current, decision.target);
    if spec.paused {
        if target != current {
            found.push(Violation::MovedWhilePaused { current, target });
        }
        if decision.reason != Reason::Paused {
            found.push(Violation::WrongReason { reason: decision.reason, current, target });
        }
        return;
    }
    let minimum = spec.min_workers.max(spec.raised_minimum).min(spec.max_workers);
    if target < minimum {
        found.push(Violation::BelowMinimum { target, minimum });
    }
    if target > spec.max_workers && target > current {
        found.push(Violation::AboveMaximum { target, maximum: spec.max_workers });
    }
    let busy = u32::try_from(world.busy()).unwrap_or(u32::MAX);
    if target < busy {
        found.push(Violation::BelowBusy { target, busy });
    }
    if target < current && (world.queue.is_none() || world.workers.is_none()) {
        found.push(Violation::ShrunkBlind { current, target });
    }
    if target == 0 && current > 0 {
        let window = decision.memory.empty;
        let empty_for = window.map_or(Millis::ZERO, |w| w.until.since(w.since));
        let empty_now = world.queue.is_some_and(|q| q.backlog == 0 && q.in_flight == 0 && q.delayed == 0);
        if !empty_now || empty_for == Millis::ZERO || empty_for < spec.zero_after {
            found.push(Violation::EmptiedTooSoon { empty_for, zero_after: spec.zero_after });
        }
    }
    let started = world.workers.map_or(0, |(workers, _)| {
        workers.iter().filter(|w| w.state != WorkerState::Starting).count().try_into().unwrap_or(u32::MAX)
    });
    let most = spec.max_step_out.map(|step| started.saturating_add(step.get()).max(current).max(minimum));
    if let Some(allowed) = most.filter(|most| target > *most) {
        found.push(Violation::StepOutTooLarge { target, allowed });
    }
    if let Some(needed) = world.need().map(|needed| needed.min(most.unwrap_or(needed)))
        && target < needed
    {
        found.push(Violation::NeedUnmet { target, needed });
    }
    reason(world, decision, minimum, found);
}

/// What must hold of the reason, as far as it can be told from the numbers alone.
fn reason(world: &World<'_>, decision: &Decision, minimum: u32, found: &mut Vec<Violation>) {
    let (current, target) = (world.observation.current, decision.target);
    let fits = match decision.reason {
        Reason::Backlog | Reason::Time => world.need().is_some_and(|need| need == target),
        // These only ever hold back what is there.
        Reason::Busy | Reason::IdleTime | Reason::StepIn => target <= current && target > 0,
        Reason::ZeroWindow => target == 1 && current > 0,
        Reason::StepOut => target >= current,
        Reason::Minimum => target == minimum,
        Reason::Maximum => target == world.policy.spec().max_workers,
        Reason::NoFreshData => target == current && (world.queue.is_none() || world.workers.is_none()),
        Reason::Paused => false,
    };
    if !fits {
        found.push(Violation::WrongReason { reason: decision.reason, current, target });
    }
}

/// What must hold of the workers to drain.
fn drains(world: &World<'_>, decision: &Decision, found: &mut Vec<Violation>) {
    let expected = world.observation.current.saturating_sub(decision.target);
    if u32::try_from(decision.drain.len()) != Ok(expected) {
        found.push(Violation::DrainCount { expected, found: decision.drain.len() });
    }
    if let Some(step) = world.policy.spec().max_step_in
        && u32::try_from(decision.drain.len()).unwrap_or(u32::MAX) > step.get()
    {
        found.push(Violation::StepInTooLarge { draining: decision.drain.len(), allowed: step.get() });
    }
    if decision.drain.is_empty() {
        return;
    }
    let (workers, seen_at) = world.workers.unwrap_or((&[], world.now));
    let mut stays: HashMap<&WorkerId, &WorkerObservation> = workers.iter().map(|w| (&w.id, w)).collect();
    let mut leaves = Vec::with_capacity(decision.drain.len());
    for id in &decision.drain {
        match stays.remove(id) {
            Some(worker) => leaves.push(worker),
            None if workers.iter().any(|w| w.id == *id) => found.push(Violation::DrainsTwice(id.clone())),
            None => found.push(Violation::DrainsUnknown(id.clone())),
        }
    }
    let limit = world.policy.idle_limit(world.observation.start_up_time);
    // The longest that anyone who stays has rested, and whether anyone who stays drains already.
    let resting = stays.values().filter(|w| matches!(w.state, WorkerState::Starting | WorkerState::Idle));
    let longest_resting = resting.map(|w| w.since).min();
    let draining = |state| matches!(state, WorkerState::Draining(_)) && is_free(state);
    let draining_stays = stays.values().any(|w| draining(w.state));
    for worker in leaves {
        let rested = seen_at.since(worker.since);
        if !is_free(worker.state) {
            found.push(Violation::DrainsBusy(worker.id.clone()));
        } else if draining(worker.state) {
            // It had rested for long enough when it was asked to drain.
        } else if rested < limit {
            found.push(Violation::DrainsTooSoon { id: worker.id.clone(), rested });
        } else if draining_stays || longest_resting.is_some_and(|since| since < worker.since) {
            found.push(Violation::DrainsOutOfTurn(worker.id.clone()));
        }
    }
}

/// What must hold of the next look: it comes, and it comes before anything that was fresh is stale.
fn next_check(world: &World<'_>, decision: &Decision, found: &mut Vec<Violation>) {
    let spec = world.policy.spec();
    let mut latest = spec.poll.longest;
    let mut stale_after = |at: Timestamp, limit: Millis| {
        let stale_at = i128::from(at.as_millis()) + i128::from(limit.get()) + 1;
        let left = u64::try_from(stale_at - i128::from(world.now.as_millis())).unwrap_or(u64::MAX);
        latest = latest.min(Millis::new(left));
    };
    if let (Some(_), Sample::Known { observed_at, .. }) = (world.queue, &world.observation.queue) {
        stale_after(*observed_at, spec.freshness.queue);
    }
    if let (Some(_), Sample::Known { observed_at, .. }) = (world.workers, &world.observation.workers) {
        stale_after(*observed_at, spec.freshness.workers);
    }
    if decision.next_check == Millis::ZERO || decision.next_check > latest {
        found.push(Violation::NextCheck { found: decision.next_check, latest });
    }
}
