//! The Deployment that a pool owns: made where it is not there, and brought back to what the pool says.

use std::hash::{DefaultHasher, Hash, Hasher};

use k8s_openapi::api::apps::v1::Deployment;
use kube::ResourceExt;
use reelpool_api::POOL_LABEL;

use super::super::apply::Hands;
use super::super::contest::Contest;
use super::super::deployment::DeploymentView;
use super::super::events::What;
use super::super::state::{Applied, PoolState};
use super::{Pass, PassError};

impl Pass<'_> {
    /// Finds the pool's own Deployment, makes it where it is not there, and brings back what is not as the pool says.
    pub(super) async fn own_deployment(
        &self,
        wanted: &Deployment,
        hands: &Hands<'_>,
        state: &mut PoolState,
    ) -> Result<DeploymentView, PassError> {
        let name = wanted.metadata.name.clone().unwrap_or_default();
        let found = self.context.observer.deployment(hands.namespace, &name, state.last_write()).await?;
        if let Some(found) = &found {
            state.condemned.learn(found.replicas, self.context.clock.now());
        }
        let hash = {
            let mut hasher = DefaultHasher::new();
            serde_json::to_string(wanted).unwrap_or_default().hash(&mut hasher);
            hasher.finish()
        };
        let Some(found) = found else {
            // Those that were left behind may be busy: the new one begins with them.
            let left = self.context.observer.pods_made_by(hands.namespace, &self.pool.name_any(), &name);
            // Whatever was known of the number was that of another Deployment.
            state.contest = Contest::default();
            state.condemned.clear();
            let made = hands.create(wanted, u32::try_from(left.len()).unwrap_or(u32::MAX)).await?;
            self.context.events.publish(
                self.pool,
                What::DeploymentCreated,
                &format!("created Deployment {name}"),
            );
            state.contest.wrote(made.replicas);
            return Ok(applied(state, hash, made));
        };
        if found.is_going {
            return Err(PassError::Going(name));
        }
        if found.controller.as_deref() != Some(&state.uid) {
            let is_left = found.controller.is_none()
                && found.labels.get(POOL_LABEL).is_some_and(|pool| *pool == self.pool.name_any());
            return Err(if is_left { PassError::Orphaned(name) } else { PassError::NameTaken(name) });
        }
        // Labels of the Deployment itself are not counted by its generation.
        let labels_stand = found.has_labels(wanted.labels());
        if labels_stand && state.applied == Some(Applied { hash, generation: found.generation }) {
            return Ok(found);
        }
        let now = self.context.clock.now();
        let is_changed_by_others = state.applied.is_some_and(|applied| applied.hash == hash);
        if is_changed_by_others && !state.corrections.may_be_made(now) {
            return Ok(found);
        }
        if found.needs_hand_over {
            hands.hand_over(&found).await?;
        }
        let updated = hands.update(wanted, &found).await?;
        if is_changed_by_others {
            state.corrections.made(now);
        }
        if updated.generation != found.generation || !labels_stand {
            let note = format!("changed Deployment {name} to what the pool says");
            self.context.events.publish(self.pool, What::DeploymentUpdated, &note);
        }
        Ok(applied(state, hash, updated))
    }
}

fn applied(state: &mut PoolState, hash: u64, view: DeploymentView) -> DeploymentView {
    state.applied = Some(Applied { hash, generation: view.generation });
    state.written = Some(view.clone());
    view
}
