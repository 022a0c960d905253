//! From the decision to what is to be done: pure, and drain-first.
//!
//! A worker is stopped only when the decision names it, it has answered that it is drained, and the drain will not
//! lapse while it is being stopped; and never more than the decision's target leaves. Whoever drains and is not
//! named is let back to work before anyone new is started.

use std::collections::HashSet;

use reelpool_core::{Decision, DrainStage, Millis, WorkerId, WorkerState};

/// The term of a drain, in seconds: long enough to outlast a few missed answers, short enough that a worker does not
/// sleep for long when the controller dies.
pub const DRAIN_TERM_SECONDS: u32 = 60;
/// A drain with less time left is renewed.
const RENEW_BELOW: Millis = Millis::from_secs(30);
/// A drain with less time left is no ground to stop a worker: it could lapse before the worker hears of it.
const STOP_ABOVE: Millis = Millis::from_secs(10);

/// What the shell knows of a worker that it has started and is not stopping.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KnownWorker {
    /// Its name.
    pub id: WorkerId,
    /// What it is doing.
    pub state: WorkerState,
    /// For how much longer its drain holds; `None`: it does not drain, or the drain is final.
    pub drain_left: Option<Millis>,
}

/// Something to be done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Effect {
    /// Let these take jobs again.
    Undrain(Vec<WorkerId>),
    /// Start so many.
    Start(u32),
    /// Ask these to take no new job.
    Drain(Vec<WorkerId>),
    /// Stop these: they are drained.
    Stop(Vec<WorkerId>),
}

/// What is to be done, in this order.
#[must_use]
pub fn plan(decision: &Decision, fleet: &[KnownWorker]) -> Vec<Effect> {
    let named: HashSet<&WorkerId> = decision.drain.iter().collect();
    let current = u32::try_from(fleet.len()).unwrap_or(u32::MAX);
    let ids = |wanted: &dyn Fn(&KnownWorker) -> bool| -> Vec<WorkerId> {
        fleet.iter().filter(|worker| wanted(worker)).map(|worker| worker.id.clone()).collect()
    };

    let undrain = ids(&|worker| is_draining(worker) && !named.contains(&worker.id));
    let start = decision.target.saturating_sub(current);
    let surplus = usize::try_from(current.saturating_sub(decision.target)).unwrap_or(usize::MAX);
    let mut stop = ids(&|worker| named.contains(&worker.id) && may_stop(worker));
    stop.truncate(surplus);
    let drain = ids(&|worker| named.contains(&worker.id) && !stop.contains(&worker.id) && !holds(worker));

    let mut effects = Vec::new();
    if !undrain.is_empty() {
        effects.push(Effect::Undrain(undrain));
    }
    if start > 0 {
        effects.push(Effect::Start(start));
    }
    if surplus > 0 && !drain.is_empty() {
        effects.push(Effect::Drain(drain));
    }
    if !stop.is_empty() {
        effects.push(Effect::Stop(stop));
    }
    effects
}

fn is_draining(worker: &KnownWorker) -> bool {
    matches!(worker.state, WorkerState::Draining(_))
}

/// Whether the worker drains and will do so for a while.
fn holds(worker: &KnownWorker) -> bool {
    is_draining(worker) && worker.drain_left.is_none_or(|left| left >= RENEW_BELOW)
}

fn may_stop(worker: &KnownWorker) -> bool {
    worker.state == WorkerState::Draining(DrainStage::Drained)
        && worker.drain_left.is_none_or(|left| left >= STOP_ABOVE)
}

#[cfg(test)]
#[path = "plan_tests.rs"]
mod tests;
