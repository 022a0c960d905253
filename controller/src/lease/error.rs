//! What can go wrong with the lease.

use std::time::Duration;

/// Why this process does not, or does not any more, lead.
#[derive(Debug, Clone, thiserror::Error)]
pub enum LeaseError {
    /// The times do not go together.
    #[error(
        "a lease of {lease} s, renewed within {renew:?}, every {retry:?}: the lease must be a quarter longer than the time to \
         renew it, and that at least twice the time between tries"
    )]
    Timing {
        /// How long it lasts, in seconds.
        lease: u32,
        /// How long there is to renew it.
        renew: Duration,
        /// How long between two tries.
        retry: Duration,
    },
    /// The API server will never accept it.
    #[error(
        "the lease {lease} cannot be written: {detail}: check --namespace, which must be there, and --lease-name"
    )]
    Refused {
        /// Its namespace and name.
        lease: String,
        /// What the API server said.
        detail: String,
    },
    /// It could not be renewed in time.
    #[error(
        "the lease {lease} was not renewed for {within:?}, so another may lead by now: this process ends and starts \
         again ({detail})"
    )]
    NotRenewed {
        /// Its namespace and name.
        lease: String,
        /// How long there was.
        within: Duration,
        /// What stood in the way.
        detail: String,
    },
    /// Another has it.
    #[error("the lease {lease} was taken by {holder}: this process ends and starts again")]
    Taken {
        /// Its namespace and name.
        lease: String,
        /// Who has it.
        holder: String,
    },
    /// The task that renews it has ended.
    #[error("the lease {lease} is not renewed any more: this process ends and starts again")]
    Ended {
        /// Its namespace and name.
        lease: String,
    },
}

impl LeaseError {
    /// A stable category for logs and metrics.
    #[must_use]
    pub fn category(&self) -> &'static str {
        match self {
            Self::Timing { .. } => "lease_timing",
            Self::Refused { .. } => "lease_refused",
            Self::NotRenewed { .. } => "lease_not_renewed",
            Self::Taken { .. } => "lease_taken",
            Self::Ended { .. } => "lease_ended",
        }
    }
}
