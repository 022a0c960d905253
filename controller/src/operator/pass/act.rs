//! Does what was planned: workers are told first; then a number that goes up is written, or pods are marked and a number
//! that goes down is written last.

use std::collections::{BTreeMap, BTreeSet};

use reelpool_core::replay::Record;
use reelpool_core::{Sample, WorkerId, WorkerState};
use reelpool_protocol::status::MAX_DRAIN_TERM_SECONDS;
use tokio::time::Instant;

use super::super::apply::{ApplyError, Hands, LOWER_WITHIN};
use super::super::context::Context;
use super::super::deployment::DeploymentView;
use super::super::events::What;
use super::super::plan::{DRAIN_TERM_SECONDS, Plan, is_ready_to_go};
use super::super::pods::PodView;
use super::super::state::PoolState;
use super::look::Seen;
use super::{Pass, PassError};
use crate::fleet::{Ask, FleetError, Question, Report};

/// What is asked of those that the number goes down for: their removal may take longer than this process lives.
const CONDEMNED: Question = Question::Drain(MAX_DRAIN_TERM_SECONDS);

impl Pass<'_> {
    /// Does what was planned. Returns the Deployment as it is then.
    pub(super) async fn apply(
        &self,
        plan: &Plan,
        seen: &Seen,
        hands: &Hands<'_>,
        record: &Record,
        state: &mut PoolState,
    ) -> Result<DeploymentView, PassError> {
        let lower_by = Instant::now() + LOWER_WITHIN;
        if let Some(held) = plan.held {
            tracing::debug!(pool = %self.name, ?held, "the number of replicas is left as it is");
        }
        self.tell_workers(&plan.undrain, Question::Undrain, seen, state).await;
        let (condemned, others): (Vec<WorkerId>, Vec<WorkerId>) =
            plan.drain.iter().cloned().partition(|id| state.condemned.ids().contains(id));
        self.tell_workers(&others, Question::Drain(DRAIN_TERM_SECONDS), seen, state).await;
        if !condemned.is_empty() {
            self.tell_workers(&condemned, CONDEMNED, seen, state).await;
        }
        match plan.scale {
            // Whatever comes of the marks, more workers are not kept waiting for them.
            Some(replicas) if replicas > seen.deployment.replicas => {
                let written =
                    self.write_number(replicas, plan, (seen, lower_by), hands, record, state).await?;
                write_marks(plan, seen, hands, state).await?;
                Ok(written)
            }
            Some(replicas) => {
                write_marks(plan, seen, hands, state).await?;
                let said = self.tell_workers(&plan.condemn, CONDEMNED, seen, state).await;
                let condemned: BTreeSet<&WorkerId> = plan.condemn.iter().collect();
                let mut condemned = seen.pods.iter().filter(|pod| condemned.contains(&pod.id));
                if let Some(pod) =
                    condemned.find(|pod| !is_ready_to_go(pod.stage, said.get(&pod.id).copied()))
                {
                    tracing::debug!(pool = %self.name, worker = %pod.id, "it did not say again that it is drained");
                    state.condemned.let_back(&plan.condemn);
                    return Ok(seen.deployment.clone());
                }
                self.write_number(replicas, plan, (seen, lower_by), hands, record, state).await
            }
            None => {
                write_marks(plan, seen, hands, state).await?;
                Ok(seen.deployment.clone())
            }
        }
    }

    async fn write_number(
        &self,
        replicas: u32,
        plan: &Plan,
        (seen, lower_by): (&Seen, Instant),
        hands: &Hands<'_>,
        record: &Record,
        state: &mut PoolState,
    ) -> Result<DeploymentView, PassError> {
        let from = seen.deployment.replicas;
        let before = self.context.clock.now();
        let new = state.condemned.add(&plan.condemn, before);
        let written = hands.scale(&seen.deployment, replicas, lower_by).await;
        if replicas > from {
            state.condemned.number_rose(self.context.clock.now());
        }
        let written = match written {
            Ok(written) => written,
            Err(error) => {
                if error.may_be_done() {
                    state.contest.tried(replicas, before);
                }
                if replicas < from && error.may_be_done() {
                    state.condemned.no_answer(from);
                } else {
                    state.condemned.take_back(&new);
                }
                return Err(error.into());
            }
        };
        let now = self.context.clock.now();
        if let Sample::Known { observed_at, .. } = record.observation.queue {
            self.context.metrics.sample_to_write(now.since(observed_at).into());
        }
        self.context.metrics.scaled(self.name);
        state.contest.wrote(replicas);
        // Any later generation than the next one has somebody else's change in it, which is to be seen.
        if let Some(applied) = &mut state.applied
            && written.generation == seen.deployment.generation.saturating_add(1)
        {
            applied.generation = written.generation;
        }
        state.written = Some(written.clone());
        let what = if replicas > from { What::ScaledOut } else { What::ScaledIn };
        let note = format!("{from} to {replicas} workers: {}", record.decision);
        self.context.events.publish(self.pool, what, &note);
        Ok(written)
    }

    /// Tells workers what to do. Returns what those are doing then who answered.
    async fn tell_workers(
        &self,
        ids: &[WorkerId],
        question: Question,
        seen: &Seen,
        state: &mut PoolState,
    ) -> BTreeMap<WorkerId, WorkerState> {
        let mut said = BTreeMap::new();
        let drains = matches!(question, Question::Drain(_));
        if drains && ids.is_empty() {
            state.drain_refused = None;
        }
        let Some(port) = seen.port.filter(|_| !ids.is_empty()) else { return said };
        // One that does not lead any more would let those back to work whom the next one has drained.
        if !self.context.rights.may_write() {
            return said;
        }
        let ids: BTreeSet<&WorkerId> = ids.iter().collect();
        let asked_at = self.context.clock.now();
        let questions = seen.pods.iter().filter(|pod| ids.contains(&pod.id));
        let questions: Vec<_> = questions.filter_map(|pod| pod.ask(port, question)).collect();
        let (mut accepted, mut refused) = (false, None);
        for (id, answer) in seen.client.ask_all(questions).await {
            match answer {
                Ok(status) => {
                    accepted = true;
                    let report = Report { status, asked_at };
                    said.insert(id.clone(), report.state());
                    state.members.answered(&id, Some(report.status), asked_at);
                }
                // Its state is read anew before anything else is planned for it.
                Err(error) => {
                    tracing::debug!(pool = %self.name, worker = %id, %error, ?question, "no answer");
                    if matches!(error, FleetError::Refused { .. }) {
                        refused.get_or_insert_with(|| error.to_string());
                    }
                }
            }
        }
        match refused.filter(|_| drains) {
            Some(said) => {
                state.drain_refused.get_or_insert((said, asked_at));
            }
            None if drains && accepted => state.drain_refused = None,
            None => {}
        }
        said
    }
}

/// Writes all marks, whatever becomes of one. Returns the first error.
async fn write_marks(
    plan: &Plan,
    seen: &Seen,
    hands: &Hands<'_>,
    state: &mut PoolState,
) -> Result<(), ApplyError> {
    let mut failed = None;
    for (ids, to_go) in [(&plan.unmark, false), (&plan.mark, true)] {
        for (id, written) in hands.mark(with_uids(ids, &seen.pods), to_go).await {
            match written {
                Ok(version) => state.marks.wrote(id, to_go, Some(version)),
                // The pod is gone, or another one by now.
                Err(ApplyError::Conflict(_) | ApplyError::Gone(_)) => {}
                Err(error) => {
                    if error.may_be_done() {
                        state.marks.wrote(id, to_go, None);
                    }
                    failed.get_or_insert(error);
                }
            }
        }
    }
    failed.map_or(Ok(()), Err)
}

/// Asks those that Kubernetes may still take to sleep on, where there can be no pass.
pub(super) async fn keep_asleep(context: &Context, state: &mut PoolState) {
    let asleep = state.condemned.to_renew(context.clock.now());
    if asleep.is_empty() || !context.rights.may_write() {
        return;
    }
    let client = context.fleet.with_token(&context.key.token(&state.uid));
    let questions = asleep.into_iter().map(|(id, address)| Ask::new(id, address, CONDEMNED));
    for (worker, answer) in client.ask_all(questions).await {
        if let Err(error) = answer {
            tracing::debug!(%worker, %error, "its drain was not renewed");
        }
    }
}

fn with_uids(ids: &[WorkerId], pods: &[PodView]) -> Vec<(WorkerId, String)> {
    let ids: BTreeSet<&WorkerId> = ids.iter().collect();
    let pods = pods.iter().filter(|pod| ids.contains(&pod.id));
    pods.map(|pod| (pod.id.clone(), pod.uid.clone())).collect()
}
