//! What both tests stand on.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::SystemTime;

use reelpool_cluster::{
    Audit, ControlPlane, Crowd, Kwok, KwokSettings, MemorySqs, Operator, OperatorSettings, Pools, Qps,
    Replicas, Request, Settings, install,
};

/// Where the pools are.
pub const NAMESPACE: &str = "videos";

/// A control plane with room for two thousand pods, and witnesses. One at a time: each has the machine to itself.
pub struct World {
    pub sqs: MemorySqs,
    pub replicas: Replicas,
    pub pools: Pools,
    pub audit: Audit,
    _kwok: Kwok,
    pub plane: ControlPlane,
    _only_one: MutexGuard<'static, ()>,
}

impl World {
    pub fn new() -> Self {
        Self::with(Qps::Fast)
    }

    /// One whose controllers are as fast as this.
    pub fn with(qps: Qps) -> Self {
        static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());
        let only_one = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
        let plane = ControlPlane::start(Settings { qps, ..Settings::default() }.audited());
        let kwok = Kwok::start(&plane, &KwokSettings::default());
        install(&plane, "reelpool-system");
        plane.apply(&format!("{{apiVersion: v1, kind: Namespace, metadata: {{name: {NAMESPACE}}}}}"));
        Self {
            sqs: MemorySqs::start(),
            replicas: Replicas::follow(&plane, NAMESPACE),
            pools: Pools::follow(&plane, NAMESPACE),
            audit: Audit::of(&plane),
            _kwok: kwok,
            plane,
            _only_one: only_one,
        }
    }

    pub fn operator(&self) -> Operator {
        Operator::lead(&self.plane, OperatorSettings::at(&self.sqs.endpoint()))
    }

    /// Nobody who had a job in hand was told to go: by the crowd's own account, and by the API server's.
    pub fn nobody_was_interrupted(&self, crowd: &Crowd) {
        let interrupted = crowd.report().interrupted;
        assert!(interrupted.is_empty(), "{interrupted:#?}");
        let deletions = self.audit.deletions(NAMESPACE);
        assert_eq!(deletions.len(), crowd.report().left_idle, "every deletion was seen by both");
        let interrupted = crowd.interrupted_by(&deletions);
        assert!(interrupted.is_empty(), "{interrupted:#?}");
    }

    /// What the operator asked of the API server since `start`, its lease left out.
    pub fn asked_by_operator(&self, start: SystemTime) -> Vec<Request> {
        self.audit.since(start, |request| {
            request.user == reelpool_cluster::OPERATOR_USER && request.resource != "leases"
        })
    }
}

/// Counts requests by what they ask.
pub fn by_kind(requests: &[Request]) -> Vec<(String, usize)> {
    let mut kinds = std::collections::BTreeMap::<String, usize>::new();
    for request in requests {
        *kinds.entry(format!("{} {}", request.verb, request.resource)).or_default() += 1;
    }
    kinds.into_iter().collect()
}
