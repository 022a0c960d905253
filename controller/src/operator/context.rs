//! What all passes share.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use kube::Client;
use kube::runtime::reflector::ObjectRef;
use reelpool_api::WorkerPool;
use tokio::sync::{Mutex as AsyncMutex, Semaphore};

use super::apply::Hands;
use super::drain_key::DrainKey;
use super::events::Events;
use super::observe::Observer;
use super::peers::Peers;
use super::rights::Rights;
use super::state::PoolState;
use super::unreadable::Unreadable;
use super::validate::Defaults;
use crate::clock::Clock;
use crate::decisions::Decisions;
use crate::fleet::FleetClient;
use crate::metrics::Metrics;

/// What all passes share.
pub struct Context {
    /// The API server, for writes.
    pub client: Client,
    /// The turns of requests to the API server, shared with the observer.
    pub turns: Arc<Semaphore>,
    /// Reads.
    pub observer: Observer,
    /// Asks workers.
    pub fleet: FleetClient,
    /// The key of the drain tokens.
    pub key: DrainKey,
    /// What pools get that do not say otherwise.
    pub defaults: Defaults,
    /// Events about pools.
    pub events: Events,
    /// Counts and times.
    pub metrics: Metrics,
    /// The decisions made of late.
    pub decisions: Arc<Decisions>,
    /// Whether this process may write.
    pub rights: Rights,
    /// What time it is.
    pub clock: Clock,
    /// All pools, for those that get in each other's way.
    pub peers: Peers,
    /// What is known of each pool.
    pub pools: Pools,
    /// What those were told that cannot be read.
    pub unreadable: Unreadable,
}

impl Context {
    /// Writes in `namespace`.
    #[must_use]
    pub fn hands<'a>(&'a self, namespace: &'a str) -> Hands<'a> {
        Hands { client: self.client.clone(), namespace, rights: &self.rights, turns: &self.turns }
    }
}

/// What is known of each pool between two passes.
#[derive(Default)]
pub struct Pools(Mutex<HashMap<ObjectRef<WorkerPool>, Arc<AsyncMutex<PoolState>>>>);

impl Pools {
    /// What is known of `pool`. Two passes of one pool never run at the same time, so nobody waits for it.
    #[must_use]
    pub fn of(&self, pool: &WorkerPool) -> Arc<AsyncMutex<PoolState>> {
        let mut pools = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(pools.entry(ObjectRef::from_obj(pool)).or_default())
    }

    /// What is known of a pool, if anything is.
    #[must_use]
    pub fn known(&self, pool: &ObjectRef<WorkerPool>) -> Option<Arc<AsyncMutex<PoolState>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).get(pool).cloned()
    }

    /// Forgets the pools that `exists` says are gone, and returns them. One whose pass still runs is left for the next
    /// time: the pass would put it back into the metrics and the decisions, for ever.
    pub fn forget(&self, exists: impl Fn(&ObjectRef<WorkerPool>) -> bool) -> Vec<ObjectRef<WorkerPool>> {
        let mut pools = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        // Nobody can begin a pass meanwhile: that takes the lock.
        let gone = pools.extract_if(|pool, state| Arc::strong_count(state) == 1 && !exists(pool));
        gone.map(|(pool, _)| pool).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pool_that_goes_while_its_pass_runs_is_forgotten_after_it() {
        let pools = Pools::default();
        let pool: WorkerPool = serde_json::from_value(serde_json::json!({
            "apiVersion": "reelpool.dev/v1alpha1", "kind": "WorkerPool",
            "metadata": {"name": "cats", "namespace": "video"},
            "spec": {"queue": {"sqs": {"queueURL": "q"}}, "maxWorkers": 1},
        }))
        .unwrap();
        let pass = pools.of(&pool);
        assert!(pools.forget(|_| false).is_empty(), "its pass still runs");
        drop(pass);
        assert!(pools.forget(|_| true).is_empty(), "it is there");
        assert_eq!(pools.forget(|_| false), [ObjectRef::from_obj(&pool)]);
        assert!(pools.forget(|_| false).is_empty(), "it was forgotten");
    }
}
