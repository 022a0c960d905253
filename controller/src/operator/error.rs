//! Why the operator cannot run.

use std::io;
use std::net::SocketAddr;

use super::drain_key::DrainKeyError;
use crate::lease::LeaseError;

/// Why the operator cannot run.
#[derive(Debug, thiserror::Error)]
pub enum OperatorError {
    /// There is no way to a cluster.
    #[error(
        "no cluster can be reached: run the operator in a pod with a service account, or set KUBECONFIG ({0})"
    )]
    NoCluster(String),
    /// The API server does not know pools.
    #[error(
        "the cluster does not know WorkerPools: install the chart with crds.install=true, or `reelpool crd | kubectl apply -f -`"
    )]
    NotInstalled,
    /// The operator may not read pools.
    #[error("this operator may not read WorkerPools: see that the chart's roles are bound to it ({0})")]
    Forbidden(String),
    /// Nothing can be served.
    #[error("{address} cannot be listened on: {source}: choose another with --listen")]
    Listen {
        /// Where.
        address: SocketAddr,
        /// Why.
        source: io::Error,
    },
    /// Signals cannot be heard.
    #[error("signals cannot be listened for: {0}")]
    Signals(io::Error),
    /// The system refused what the operator cannot do without.
    #[error("cannot {action}: {detail}")]
    Setup {
        /// What was to be done.
        action: &'static str,
        /// What was met.
        detail: String,
    },
    /// There is no key for drain tokens.
    #[error(transparent)]
    DrainKey(#[from] DrainKeyError),
    /// This process does not lead, or cannot.
    #[error(transparent)]
    Lease(#[from] LeaseError),
}

impl OperatorError {
    #[expect(clippy::needless_pass_by_value, reason = "for map_err")]
    pub(super) fn client(error: kube::Error) -> Self {
        Self::NoCluster(error.to_string())
    }

    pub(super) fn setup(action: &'static str, error: impl std::error::Error) -> Self {
        Self::Setup { action, detail: error.to_string() }
    }

    /// A stable category for logs and metrics.
    #[must_use]
    pub fn category(&self) -> &'static str {
        match self {
            Self::NoCluster(_) => "no_cluster",
            Self::NotInstalled => "not_installed",
            Self::Forbidden(_) => "forbidden",
            Self::Listen { .. } => "listen",
            Self::Signals(_) => "signals",
            Self::Setup { .. } => "setup",
            Self::DrainKey(_) => "drain_key",
            Self::Lease(error) => error.category(),
        }
    }
}
