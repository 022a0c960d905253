//! Why a pass came to nothing.

use reelpool_api::condition::Reason as Why;

use super::super::apply::ApplyError;
use super::super::status::Finding;
use super::super::validate::InvalidPool;

/// Why a pass came to nothing.
#[derive(Debug, thiserror::Error)]
pub enum PassError {
    /// The spec says something that cannot be done.
    #[error("{0}")]
    Invalid(InvalidPool),
    /// The Deployment that `targetRef` names is not there.
    #[error(
        "there is no Deployment {0} in the pool's namespace: create it, or name another in spec.targetRef.name of a new pool"
    )]
    TargetNotFound(String),
    /// The Deployment that `targetRef` names is scaled by another pool.
    #[error(
        "the Deployment {deployment} is scaled by the WorkerPool {by}: delete one of the two pools, or name another Deployment in spec.targetRef.name of a new pool"
    )]
    TargetTaken {
        /// The Deployment's name.
        deployment: String,
        /// The name of the pool that scales it.
        by: String,
    },
    /// A Deployment of the name that this pool's should have is somebody else's.
    #[error(
        "the Deployment {0} is there and belongs to somebody else: delete or rename it, or name the pool otherwise"
    )]
    NameTaken(String),
    /// A Deployment that this pool, or one of its name, once made has no owner any more.
    #[error(
        "the Deployment {0} was left behind by a pool of this name: `kubectl delete deployment {0} --cascade=orphan` lets this pool take over its pods without stopping them"
    )]
    Orphaned(String),
    /// The pool itself is being deleted.
    #[error(
        "the pool is being deleted: nobody scales its workers any more; a finalizer of somebody else's may keep it"
    )]
    PoolGoing,
    /// The pool's Deployment is being deleted.
    #[error("the Deployment {0} is being deleted: a new one is made when it is gone")]
    Going(String),
    /// Something could not be read or written.
    #[error(transparent)]
    Apply(#[from] ApplyError),
}

impl PassError {
    /// A stable category for logs and metrics.
    #[must_use]
    pub fn category(&self) -> &'static str {
        match self {
            Self::Invalid(_) => "invalid_spec",
            Self::TargetNotFound(_) => "target_not_found",
            Self::TargetTaken { .. } => "target_taken",
            Self::NameTaken(_) => "name_taken",
            Self::Orphaned(_) => "deployment_orphaned",
            Self::PoolGoing => "pool_going",
            Self::Going(_) => "deployment_going",
            Self::Apply(error) => error.category(),
        }
    }

    /// What the pool is told; `None`: it goes away by itself within moments, unless it `stays`.
    pub(super) fn finding(&self, stays: bool) -> Option<Finding> {
        let why = match self {
            Self::Invalid(_) => Why::InvalidSpec,
            Self::TargetNotFound(_) => Why::TargetNotFound,
            Self::TargetTaken { .. } => Why::TargetTaken,
            Self::NameTaken(_) | Self::Orphaned(_) => Why::NameTaken,
            Self::PoolGoing => Why::PoolGoing,
            Self::Going(_) => Why::DeploymentGoing,
            Self::Apply(ApplyError::Refused { .. }) => Why::ApiRefused,
            Self::Apply(ApplyError::Late(_) | ApplyError::Failed { .. }) if stays => Why::ApiFailing,
            Self::Apply(_) => return None,
        };
        Some(Finding::no(why, self.to_string()))
    }
}
