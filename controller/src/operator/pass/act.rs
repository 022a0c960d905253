//! Does what was planned, in its order: workers are told first, pods marked next, and the number is written last.

use std::collections::BTreeSet;

use reelpool_core::replay::Record;
use reelpool_core::{Sample, WorkerId};
use tokio::time::Instant;

use super::super::apply::{Hands, LOWER_WITHIN};
use super::super::deployment::DeploymentView;
use super::super::events::What;
use super::super::plan::{DRAIN_TERM_SECONDS, Plan};
use super::super::pods::PodView;
use super::super::state::PoolState;
use super::{Pass, PassError, Seen};
use crate::fleet::Question;

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
        let Plan { undrain, unmark, drain, mark, scale, condemn, held } = plan;
        let lower_by = Instant::now() + LOWER_WITHIN;
        if let Some(held) = held {
            tracing::debug!(pool = %self.name, ?held, "the number of replicas is left as it is");
        }
        self.tell_workers(undrain, Question::Undrain, seen, state).await;
        self.tell_workers(drain, Question::Drain(DRAIN_TERM_SECONDS), seen, state).await;
        if !unmark.is_empty() {
            hands.mark(with_uids(unmark, &seen.pods), false).await?;
        }
        if !mark.is_empty() {
            hands.mark(with_uids(mark, &seen.pods), true).await?;
        }
        let Some(replicas) = *scale else { return Ok(seen.deployment.clone()) };
        // The number goes down for these: whatever comes of the write, they are not let back to work by mistake.
        if replicas < seen.deployment.replicas {
            state.condemned.extend(condemn.iter().cloned());
        }
        let written = hands.scale(&seen.deployment, replicas, lower_by).await?;
        let now = self.context.clock.now();
        if let Sample::Known { observed_at, .. } = record.observation.queue {
            self.context.metrics.sample_to_write(now.since(observed_at).into());
        }
        self.context.metrics.scaled(self.name);
        state.contest.wrote(replicas, now);
        if let Some(applied) = &mut state.applied {
            applied.generation = written.generation;
        }
        state.written = Some(written.clone());
        let from = seen.deployment.replicas;
        let what = if replicas > from { What::ScaledOut } else { What::ScaledIn };
        let note = format!("{from} to {replicas} workers: {}", record.decision);
        self.context.events.publish(self.pool, what, &note);
        Ok(written)
    }

    async fn tell_workers(&self, ids: &[WorkerId], question: Question, seen: &Seen, state: &mut PoolState) {
        let Some(port) = seen.port.filter(|_| !ids.is_empty()) else { return };
        let ids: BTreeSet<&WorkerId> = ids.iter().collect();
        let asked_at = self.context.clock.now();
        let questions = seen.pods.iter().filter(|pod| ids.contains(&pod.id));
        let questions: Vec<_> =
            questions.filter_map(|pod| Some((pod.id.clone(), pod.address(port)?, question))).collect();
        for (id, answer) in seen.client.ask_all(questions).await {
            match answer {
                Ok(status) => state.members.answered(&id, Some(status), asked_at),
                // Its state is read anew before anything else is planned for it.
                Err(error) => {
                    tracing::debug!(pool = %self.name, worker = %id, %error, ?question, "no answer");
                }
            }
        }
    }
}

fn with_uids(ids: &[WorkerId], pods: &[PodView]) -> Vec<(WorkerId, String)> {
    let ids: BTreeSet<&WorkerId> = ids.iter().collect();
    let pods = pods.iter().filter(|pod| ids.contains(&pod.id));
    pods.map(|pod| (pod.id.clone(), pod.uid.clone())).collect()
}
