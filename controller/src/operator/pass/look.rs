//! What a pass sees: the Deployment and its pods, the queue, and what the workers say.

use std::collections::HashMap;

use kube::Resource;
use reelpool_core::policy::expected_start_up;
use reelpool_core::{Observation, Sample, WorkerId};

use super::super::apply::Hands;
use super::super::build;
use super::super::deployment::DeploymentView;
use super::super::observe::Answers;
use super::super::plan::Known;
use super::super::pods::{PodView, STATUS_PORT, StatusPort};
use super::super::state::PoolState;
use super::super::validate::{ValidFleet, ValidPool};
use super::{Pass, PassError};
use crate::fleet::FleetClient;
use crate::queue::QueueError;

/// What a pass knows of the fleet.
pub(super) struct Seen {
    pub(super) deployment: DeploymentView,
    pub(super) pods: Vec<PodView>,
    /// The port at which the workers answer; `None`: they cannot be asked.
    pub(super) port: Option<StatusPort>,
    pub(super) client: FleetClient,
}

impl Pass<'_> {
    /// Finds the Deployment, makes it or brings it up to date where it is the pool's own, and finds its pods.
    pub(super) async fn find(
        &self,
        valid: &ValidPool,
        hands: &Hands<'_>,
        token: &str,
        state: &mut PoolState,
    ) -> Result<Seen, PassError> {
        let observer = &self.context.observer;
        let client = self.context.fleet.with_token(token);
        match &valid.fleet {
            ValidFleet::Owned(settings) => {
                let owner = self.pool.controller_owner_ref(&()).unwrap_or_default();
                let wanted = build::deployment(valid, settings, &owner);
                let deployment = self.own_deployment(&wanted, hands, state).await?;
                let pods = observer.own_pods(&valid.namespace, &valid.name, &deployment);
                let port = StatusPort { number: STATUS_PORT, names_are_known: true };
                Ok(Seen { deployment, pods, port: Some(port), client })
            }
            ValidFleet::Target { name, status_port } => {
                let found = observer.deployment(&valid.namespace, name, state.last_write()).await?;
                let deployment = found
                    .filter(|found| !found.is_going)
                    .ok_or_else(|| PassError::TargetNotFound(name.clone()))?;
                if let Some(by) = self.context.peers.scaler_of(&deployment, self.pool) {
                    return Err(PassError::TargetTaken { deployment: name.clone(), by });
                }
                state.follow_target(&deployment.uid);
                state.condemned.learn(deployment.replicas, self.context.clock.now());
                let pods = observer.target_pods(&valid.namespace, &deployment).await?;
                let port = status_port.map(|number| StatusPort { number, names_are_known: false });
                Ok(Seen { deployment, pods, port, client })
            }
        }
    }

    pub(super) async fn ask(&self, valid: &ValidPool, seen: &Seen, state: &mut PoolState) -> Answers {
        let soon = expected_start_up(state.members.start_up_time()).into();
        let workers = seen.port.map(|port| state.members.to_ask(&seen.pods, port)).unwrap_or_default();
        let observer = &self.context.observer;
        let answers =
            observer.ask(&valid.queue_url, state.is_queue_silent, soon, &seen.client, workers).await;
        state.is_queue_silent = matches!(answers.queue, Err(QueueError::Unreachable { .. }));
        let outcome = answers.queue.as_ref().map_or_else(QueueError::category, |_| "ok");
        self.context.metrics.queue_call(outcome, answers.queue_took);
        answers
    }

    /// Puts together what was read and what is known.
    pub(super) fn take(
        &self,
        answers: Answers,
        seen: &Seen,
        state: &mut PoolState,
    ) -> (Observation, Vec<Known>) {
        let now = self.context.clock.now();
        let depth = answers.queue.map_err(|error| error.to_string());
        let queue = state.take_queue(depth, answers.queue_asked_at);
        let mut workers = if seen.port.is_some() {
            state.members.take(&seen.pods, answers.workers, answers.workers_asked_at);
            state.members.observations(&seen.pods, now)
        } else {
            state.members.guesses(&seen.pods, &queue, now)
        };
        state.marks.see(&seen.pods, now);
        let known = seen
            .pods
            .iter()
            .zip(&workers)
            .map(|(pod, worker)| Known {
                id: pod.id.clone(),
                state: worker.state,
                drain_left: state.members.drain_left(&pod.id, now),
                stage: pod.stage_at(now),
                template: pod.template.clone(),
                mark: state.marks.of(pod),
            })
            .collect::<Vec<Known>>();
        state.condemned.recognise(&known, now);
        if !seen.deployment.is_rolling_out() {
            state.condemned.adopt(&known, seen.deployment.replicas, now);
        }
        if let Some(port) = seen.port {
            let addresses: HashMap<&WorkerId, _> =
                seen.pods.iter().map(|pod| (&pod.id, pod.address(port))).collect();
            state.condemned.remember(|id| addresses.get(id).copied().flatten());
        }
        workers.retain(|worker| !state.condemned.ids().contains(&worker.id));
        let observation = Observation {
            queue,
            workers: Sample::Known { value: workers, observed_at: answers.workers_asked_at },
            current: seen.deployment.replicas,
            service_time: state.members.service_time(),
            start_up_time: state.members.start_up_time(),
        };
        (observation, known)
    }
}
