//! The conditions of a pool and their reasons: stable words for scripts and alerts.

/// Everything is as it should be: the queue is read, the workers can run, nobody else scales them.
pub const READY: &str = "Ready";
/// The length of the queue can be read.
pub const QUEUE_REACHABLE: &str = "QueueReachable";
/// The Deployment's pods can be made and started.
pub const WORKERS_AVAILABLE: &str = "WorkersAvailable";
/// A limit of the policy keeps the fleet from the size that the queue asks for.
pub const SCALING_LIMITED: &str = "ScalingLimited";
/// Somebody else writes the number of replicas too.
pub const REPLICAS_CONTESTED: &str = "ReplicasContested";

/// Why a condition has its status. One word, never free text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Reason {
    /// Nothing stands in the way.
    AllGood,
    /// It has not been looked at yet.
    NotYetKnown,
    /// The queue's length was read.
    QueueRead,
    /// There is no such queue.
    QueueNotFound,
    /// The operator may not read the queue.
    QueueAccessDenied,
    /// There are no credentials, or no region, to ask the queue with.
    QueueNoCredentials,
    /// The queue does not answer.
    QueueUnreachable,
    /// The queue is asked too often.
    QueueThrottled,
    /// The queue gave an answer that cannot be used.
    QueueAnswerUnusable,
    /// The spec says something that cannot be done.
    InvalidSpec,
    /// The Deployment that `targetRef` names is not there.
    TargetNotFound,
    /// The Deployment that `targetRef` names is scaled by another pool.
    TargetTaken,
    /// A Deployment of the name that this pool's should have belongs to somebody else.
    NameTaken,
    /// The pool's Deployment is being deleted; a new one is made when it is gone.
    DeploymentGoing,
    /// The pool is being deleted: nobody scales its workers any more.
    PoolGoing,
    /// The API server refused what the operator asked for.
    ApiRefused,
    /// The API server has not done what the operator asked for, several times in a row.
    ApiFailing,
    /// Pods can be made and started.
    PodsStart,
    /// Pods cannot be made: a quota or an admission rule stands in the way.
    PodsRefused,
    /// Pods are made but do not start: the image, the node, or the worker itself.
    PodsDoNotStart,
    /// Workers do not answer the operator: they count as busy, so that the fleet does not get smaller.
    WorkersSilent,
    /// Workers refuse the operator's drain token: none can be drained, so that the fleet does not get smaller.
    DrainRefused,
    /// No limit was hit.
    WithinLimits,
    /// The minimum holds the fleet up.
    Minimum,
    /// The maximum holds the fleet down.
    Maximum,
    /// The policy's step holds the fleet.
    Step,
    /// The fleet is paused.
    Paused,
    /// Fewer workers would do, but none can go now without another being taken for it.
    ScaleInHeld,
    /// Only Reelpool writes the number of replicas.
    SoleWriter,
    /// Somebody else wrote the number of replicas: Reelpool waits before it writes again.
    OtherWriter,
}

impl Reason {
    /// Every reason, for those who count or list them.
    pub const ALL: [Self; 30] = [
        Self::AllGood,
        Self::NotYetKnown,
        Self::QueueRead,
        Self::QueueNotFound,
        Self::QueueAccessDenied,
        Self::QueueNoCredentials,
        Self::QueueUnreachable,
        Self::QueueThrottled,
        Self::QueueAnswerUnusable,
        Self::InvalidSpec,
        Self::TargetNotFound,
        Self::TargetTaken,
        Self::NameTaken,
        Self::DeploymentGoing,
        Self::PoolGoing,
        Self::ApiRefused,
        Self::ApiFailing,
        Self::PodsStart,
        Self::PodsRefused,
        Self::PodsDoNotStart,
        Self::WorkersSilent,
        Self::DrainRefused,
        Self::WithinLimits,
        Self::Minimum,
        Self::Maximum,
        Self::Step,
        Self::Paused,
        Self::ScaleInHeld,
        Self::SoleWriter,
        Self::OtherWriter,
    ];

    /// The word.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::AllGood => "AllGood",
            Self::NotYetKnown => "NotYetKnown",
            Self::QueueRead => "QueueRead",
            Self::QueueNotFound => "QueueNotFound",
            Self::QueueAccessDenied => "QueueAccessDenied",
            Self::QueueNoCredentials => "QueueNoCredentials",
            Self::QueueUnreachable => "QueueUnreachable",
            Self::QueueThrottled => "QueueThrottled",
            Self::QueueAnswerUnusable => "QueueAnswerUnusable",
            Self::InvalidSpec => "InvalidSpec",
            Self::TargetNotFound => "TargetNotFound",
            Self::TargetTaken => "TargetTaken",
            Self::NameTaken => "NameTaken",
            Self::DeploymentGoing => "DeploymentGoing",
            Self::PoolGoing => "PoolGoing",
            Self::ApiRefused => "ApiRefused",
            Self::ApiFailing => "ApiFailing",
            Self::PodsStart => "PodsStart",
            Self::PodsRefused => "PodsRefused",
            Self::PodsDoNotStart => "PodsDoNotStart",
            Self::WorkersSilent => "WorkersSilent",
            Self::DrainRefused => "DrainRefused",
            Self::WithinLimits => "WithinLimits",
            Self::Minimum => "Minimum",
            Self::Maximum => "Maximum",
            Self::Step => "Step",
            Self::Paused => "Paused",
            Self::ScaleInHeld => "ScaleInHeld",
            Self::SoleWriter => "SoleWriter",
            Self::OtherWriter => "OtherWriter",
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn reasons_and_types_are_single_words_and_none_is_used_twice() {
        let reasons = Reason::ALL.map(Reason::as_str);
        let types = [READY, QUEUE_REACHABLE, WORKERS_AVAILABLE, SCALING_LIMITED, REPLICAS_CONTESTED];
        for word in reasons.iter().chain(&types) {
            let letters = word.bytes().all(|letter| letter.is_ascii_alphanumeric());
            assert!(letters && word.starts_with(|first: char| first.is_ascii_uppercase()), "{word}");
        }
        assert_eq!(reasons.iter().collect::<BTreeSet<_>>().len(), reasons.len());
        assert_eq!(types.iter().collect::<BTreeSet<_>>().len(), types.len());
    }
}
