//! The other pools: of those that name the same Deployment, one scales it.

use kube::runtime::reflector::Store;
use kube::{Resource, ResourceExt};
use reelpool_api::WorkerPool;

use super::Guarded;
use super::deployment::DeploymentView;

/// All pools that the operator knows.
pub struct Peers(Store<Guarded>);

impl Peers {
    /// Those of this cache.
    #[must_use]
    pub fn new(pools: Store<Guarded>) -> Self {
        Self(pools)
    }

    /// The name of the other pool that scales `deployment`, which `pool` names as its target.
    #[must_use]
    pub fn scaler_of(&self, deployment: &DeploymentView, pool: &WorkerPool) -> Option<String> {
        let known = self.0.state();
        let readable = known.iter().filter_map(|guarded| guarded.0.as_ref().ok());
        scaler(deployment, pool, readable).map(ResourceExt::name_any)
    }
}

/// The pool that made the Deployment scales it; else the oldest of those that name it. Of the same second, the one
/// whose identity comes first: it is the same for every operator and after every restart.
fn scaler<'a>(
    deployment: &DeploymentView,
    pool: &WorkerPool,
    known: impl Iterator<Item = &'a WorkerPool>,
) -> Option<&'a WorkerPool> {
    let age = |pool: &WorkerPool| (pool.creation_timestamp(), pool.uid());
    let names = |other: &WorkerPool| {
        other.spec.target_ref.as_ref().is_some_and(|target| target.name == deployment.name)
    };
    known
        .filter(|other| other.uid() != pool.uid() && other.namespace() == pool.namespace())
        .filter(|other| other.meta().deletion_timestamp.is_none())
        .filter(|other| deployment.controller == other.uid() || (names(other) && age(other) < age(pool)))
        .min_by_key(|other| (deployment.controller != other.uid(), age(other)))
}

#[cfg(test)]
#[path = "peers_tests.rs"]
mod tests;
