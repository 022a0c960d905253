//! From the decision to what is to be done: pure, and drain-first.
//!
//! Lowering a Deployment's replicas only says how many pods go; Kubernetes chooses which: those without a node first,
//! then those that are not ready, then those of the lowest `pod-deletion-cost`. So the number goes down only when every
//! pod that could be chosen has nothing in hand and will not take anything: it is drained, its drain outlasts the
//! removal, and it carries the lowest cost, seen by us in an earlier pass than the one that lowers the number. When
//! nobody is to stay the order does not matter, and nobody needs a mark.

use std::collections::{BTreeSet, HashSet};

use reelpool_core::{Decision, DrainStage, Millis, WorkerId, WorkerState};
use reelpool_protocol::status::MAX_DRAIN_TERM_SECONDS;

use super::marks::Mark;
use super::pods::PodStage;

/// The term of a drain, in seconds: long enough to outlast a few missed answers, short enough that a worker does not
/// sleep for long when the operator dies.
pub const DRAIN_TERM_SECONDS: u32 = 60;
/// A drain with less time left is renewed.
const RENEW_BELOW: Millis = Millis::from_secs(40);
/// A drain of one that the number was lowered for is renewed much earlier, while an operator that comes after this one
/// still knows it by its length.
const RENEW_CONDEMNED_BELOW: Millis = Millis::from_secs(MAX_DRAIN_TERM_SECONDS as u64 / 2);
/// A drain with less time left is no ground to lower the number: it could lapse before the pod is deleted.
const LOWER_ABOVE: Millis = Millis::from_secs(20);

/// What is known of a worker and its pod.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Known {
    /// Its name.
    pub id: WorkerId,
    /// What it is doing.
    pub state: WorkerState,
    /// For how much longer its drain holds; `None`: it does not drain, or the drain is final.
    pub drain_left: Option<Millis>,
    /// How far its pod is.
    pub stage: PodStage,
    /// Which template its pod was made from.
    pub template: Option<String>,
    /// Whether its pod carries the lowest cost.
    pub mark: Mark,
}

/// The fleet as a plan finds it.
#[derive(Debug, Clone, Copy)]
#[expect(clippy::struct_excessive_bools, reason = "each is a fact of its own")]
pub struct Fleet<'a> {
    /// The Deployment's replicas.
    pub current: u32,
    /// Every pod whose removal has not begun, the condemned among them.
    pub pods: &'a [Known],
    /// Those that the number was lowered for and that Kubernetes has not taken yet.
    pub condemned: &'a BTreeSet<WorkerId>,
    /// Whether the Deployment replaces pods of an older template.
    pub is_rolling_out: bool,
    /// Whether pods cannot be made, for a quota or an admission rule: those that are missing do not come.
    pub are_pods_refused: bool,
    /// How workers leave.
    pub leave: Leave,
    /// Whether everybody has had the time to see all marks.
    pub are_marks_settled: bool,
    /// Whether the number of replicas may be written now.
    pub may_write: bool,
}

/// How workers leave.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Leave {
    /// They are asked to drain first.
    Drained,
    /// They cannot be asked, and the queue is known to be empty, with nothing in flight: nobody has a job in hand.
    AtOnce,
    /// They cannot be asked, and any of them may have a job in hand.
    NotNow,
}

/// What is to be done.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Plan {
    /// Let these take jobs again.
    pub undrain: Vec<WorkerId>,
    /// Take the lowest cost from these pods.
    pub unmark: Vec<WorkerId>,
    /// Ask these to take no new job.
    pub drain: Vec<WorkerId>,
    /// Give these pods the lowest cost.
    pub mark: Vec<WorkerId>,
    /// Write this number of replicas.
    pub scale: Option<u32>,
    /// Those that go when the number was written.
    pub condemn: Vec<WorkerId>,
    /// Why the number does not go down yet, though some could go.
    pub held: Option<Held>,
}

/// Why the number of replicas does not go down yet, or is not written at all.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Held {
    /// Somebody else writes it too.
    OtherWriter,
    /// Pods of an older template are being replaced: two ReplicaSets shrink, each by its own choice.
    RollingOut,
    /// Pods that start could be chosen before the drained ones.
    PodsStart,
    /// Kubernetes has not taken the pods of the last step yet.
    PodsGo,
    /// A pod that is to stay still carries the lowest cost, or what was written of it has not been seen by everybody.
    MarksLinger,
    /// The workers cannot be asked what they do, and the queue is not empty.
    QueueNotEmpty,
}

impl Plan {
    /// Whether there is nothing to do.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        let Self { undrain, unmark, drain, mark, scale, condemn: _, held: _ } = self;
        undrain.is_empty() && unmark.is_empty() && drain.is_empty() && mark.is_empty() && scale.is_none()
    }
}

/// What is to be done about `decision`.
#[must_use]
pub fn plan(decision: &Decision, fleet: Fleet<'_>) -> Plan {
    let lowers = decision.target < fleet.current && fleet.may_write;
    // While the number is not ours to lower, nobody sleeps for it.
    let named: HashSet<&WorkerId> = if lowers { decision.drain.iter().collect() } else { HashSet::new() };
    let can_drain = fleet.leave == Leave::Drained;
    let stays = |worker: &&Known| !named.contains(&worker.id) && !fleet.condemned.contains(&worker.id);
    // While Kubernetes has yet to choose for the number that it was given, the marks stand: it chooses by them, and those
    // whose workers are silent now may have been marked for it by an operator before this one.
    let has_chosen = !fleet.is_rolling_out && fleet.pods.len() <= pods_of(fleet.current);
    let mut plan = Plan {
        undrain: ids(fleet.pods.iter().filter(stays).filter(|worker| is_draining(worker))),
        unmark: ids(fleet.pods.iter().filter(stays).filter(|worker| has_chosen && is_to_be_unmarked(worker))),
        drain: ids(fleet.pods.iter().filter(|worker| {
            let is_condemned = fleet.condemned.contains(&worker.id);
            !stays(worker)
                && can_drain
                && !holds(worker, if is_condemned { RENEW_CONDEMNED_BELOW } else { RENEW_BELOW })
        })),
        ..Plan::default()
    };
    if decision.target > fleet.current && fleet.may_write {
        plan.scale = Some(decision.target);
    } else if decision.target != fleet.current && !fleet.may_write {
        plan.held = Some(Held::OtherWriter);
    } else if lowers {
        lower(&mut plan, decision, fleet, &named);
    }
    plan
}

/// Plans how the number goes down.
fn lower(plan: &mut Plan, decision: &Decision, fleet: Fleet<'_>, named: &HashSet<&WorkerId>) {
    match fleet.leave {
        Leave::Drained => {}
        // Nobody has a job in hand, so whom Kubernetes takes does not matter, nor can anybody be asked to sleep.
        Leave::AtOnce if fleet.pods.len() > pods_of(fleet.current) => return plan.held = Some(Held::PodsGo),
        Leave::AtOnce => return plan.scale = Some(decision.target),
        Leave::NotNow => return plan.held = (!named.is_empty()).then_some(Held::QueueNotEmpty),
    }
    // The condemned sleep already. Where Kubernetes took others for them, the number goes down for them once more.
    let is_to_go = |worker: &Known| named.contains(&worker.id) || fleet.condemned.contains(&worker.id);
    let leaving: Vec<&Known> =
        fleet.pods.iter().filter(|worker| is_to_go(worker) && may_be_removed(worker)).collect();
    // Nobody stays, so whom Kubernetes takes first does not matter.
    if decision.target == 0 {
        if leaving.len() == fleet.pods.len() {
            plan.scale = Some(0);
            plan.condemn = ids(leaving);
        }
        return;
    }
    // Nobody goes with those that were never made.
    let made = u32::try_from(fleet.pods.len()).unwrap_or(u32::MAX).max(decision.target);
    if fleet.are_pods_refused && made < fleet.current {
        plan.scale = Some(made);
        return;
    }
    if leaving.is_empty() {
        return;
    }
    if let Some(held) = stands_in_the_way(fleet, &leaving) {
        plan.held = Some(held);
        return;
    }
    let (marked, unmarked): (Vec<&Known>, Vec<&Known>) =
        leaving.into_iter().partition(|worker| matches!(worker.mark, Mark::Seen(true) | Mark::Written(true)));
    // One that is not ready is taken before those that are marked: it goes with them, or not at all.
    let is_first = |worker: &&Known| worker.mark == Mark::Unsure || worker.stage != PodStage::Ready;
    let unsure: Vec<&Known> = unmarked.iter().copied().filter(is_first).collect();
    if marked.is_empty() || !unsure.is_empty() {
        plan.mark = ids(if marked.is_empty() { unmarked } else { unsure });
        return;
    }
    // Kubernetes chooses by the marks that it sees, and so all that it could choose must be known here.
    let is_known = fleet.pods.iter().all(|worker| matches!(worker.mark, Mark::Seen(_)));
    if !is_known || !fleet.are_marks_settled {
        plan.held = Some(Held::MarksLinger);
        return;
    }
    // Nobody else is marked meanwhile: Kubernetes could take them instead, as good as the others, and those that the
    // number went down for would be let back to work.
    let count = u32::try_from(marked.len()).unwrap_or(u32::MAX);
    plan.scale = Some(fleet.current.saturating_sub(count).max(decision.target));
    plan.condemn = ids(marked);
}

/// Why Kubernetes could take somebody else than those that leave.
fn stands_in_the_way(fleet: Fleet<'_>, leaving: &[&Known]) -> Option<Held> {
    let mut templates = fleet.pods.iter().map(|worker| &worker.template);
    let first = templates.next();
    if fleet.is_rolling_out || templates.any(|template| Some(template) != first) {
        return Some(Held::RollingOut);
    }
    let current = pods_of(fleet.current);
    if fleet.pods.len() > current {
        return Some(Held::PodsGo);
    }
    // Those that are still being made would be taken first: they have no node, or are not ready.
    if fleet.pods.len() < current {
        return Some(Held::PodsStart);
    }
    let leaving: HashSet<&WorkerId> = leaving.iter().map(|worker| &worker.id).collect();
    let mut staying = fleet.pods.iter().filter(|worker| !leaving.contains(&worker.id));
    if staying.clone().any(|worker| worker.mark != Mark::Seen(false)) {
        return Some(Held::MarksLinger);
    }
    // One without a node, without an image or in a crash loop may be taken instead: it has nothing in hand. One that
    // has just started may have a job before Kubernetes calls it ready.
    let starts = |worker: &Known| matches!(worker.stage, PodStage::NotReady | PodStage::NotStarted);
    staying.any(starts).then_some(Held::PodsStart)
}

/// Whether the number may go down for a pod, seen at `stage`, whose worker was just asked to sleep for long and answered
/// `said` (`None`: nothing). It may have been started anew since it was seen drained and have a job by now; and a drain
/// that was not renewed may lapse before Kubernetes has taken it.
#[must_use]
pub fn is_ready_to_go(stage: PodStage, said: Option<WorkerState>) -> bool {
    !stage.may_run() || said == Some(WorkerState::Draining(DrainStage::Drained))
}

fn ids<'a>(workers: impl IntoIterator<Item = &'a Known>) -> Vec<WorkerId> {
    workers.into_iter().map(|worker| worker.id.clone()).collect()
}

/// So many pods, as a count of what is in memory.
fn pods_of(replicas: u32) -> usize {
    usize::try_from(replicas).unwrap_or(usize::MAX)
}

fn is_draining(worker: &Known) -> bool {
    matches!(worker.state, WorkerState::Draining(_)) && worker.drain_left.is_some()
}

fn is_to_be_unmarked(worker: &Known) -> bool {
    !matches!(worker.mark, Mark::Seen(false) | Mark::Written(false))
}

/// Whether its drain holds for so long that it need not be asked again, or there is nobody to ask.
fn holds(worker: &Known, long_enough: Millis) -> bool {
    let drains = matches!(worker.state, WorkerState::Draining(_));
    !worker.stage.may_run() || (drains && worker.drain_left.is_none_or(|left| left >= long_enough))
}

/// Whether it has nothing in hand and takes nothing until it is gone. One that is about to start cannot be asked to take
/// nothing, and could have a job by the time that Kubernetes takes it.
fn may_be_removed(worker: &Known) -> bool {
    let drained = worker.state == WorkerState::Draining(DrainStage::Drained);
    let starts = worker.stage == PodStage::NotStarted;
    (!worker.stage.may_run() && !starts)
        || (drained && worker.drain_left.is_none_or(|left| left > LOWER_ABOVE))
}

#[cfg(test)]
#[path = "plan_tests.rs"]
mod tests;
