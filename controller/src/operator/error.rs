//! Why the operator cannot run.

use std::io;
use std::net::SocketAddr;

use http::Uri;

use super::drain_key::DrainKeyError;
use crate::lease::LeaseError;
use crate::said::said;

/// Why the operator cannot run.
#[derive(Debug, thiserror::Error)]
pub enum OperatorError {
    /// There is no way to a cluster.
    #[error(
        "no cluster can be reached: run the operator in a pod with a service account, or set KUBECONFIG ({0})"
    )]
    NoCluster(String),
    /// What is known of the API server cannot be used.
    #[error(
        "the API server at {server} cannot be called as it is configured: {detail}: check KUBECONFIG, or the pod's service account"
    )]
    Config {
        /// Its URL.
        server: String,
        /// What was met.
        detail: String,
    },
    /// The API server is known, and does not serve.
    #[error(
        "the API server at {server} does not serve: {detail}: see that it runs, and that KUBECONFIG or the pod's environment names the right one"
    )]
    Unserved {
        /// Its URL.
        server: String,
        /// What was met.
        detail: String,
    },
    /// The API server does not take the credentials.
    #[error(
        "the API server at {server} refuses these credentials: {detail}: renew those in KUBECONFIG, or the pod's service account"
    )]
    Unauthorized {
        /// Its URL.
        server: String,
        /// What it said.
        detail: String,
    },
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
    pub(super) fn config(server: &Uri, error: kube::Error) -> Self {
        Self::Config { server: server.to_string(), detail: said(&error) }
    }

    /// Why the first question was not answered.
    pub(super) fn first(server: &Uri, error: kube::Error) -> Self {
        let (server, detail) = (server.to_string(), said(&error));
        match error {
            kube::Error::Api(status) if status.code == 401 => Self::Unauthorized { server, detail },
            kube::Error::Api(status) if status.code == 403 => Self::Forbidden(detail),
            kube::Error::Api(status) if status.code == 404 => Self::NotInstalled,
            _ => Self::Unserved { server, detail },
        }
    }

    pub(super) fn setup(action: &'static str, error: impl std::error::Error) -> Self {
        Self::Setup { action, detail: error.to_string() }
    }

    /// A stable category for logs and metrics.
    #[must_use]
    pub fn category(&self) -> &'static str {
        match self {
            Self::NoCluster(_) => "no_cluster",
            Self::Config { .. } => "cluster_config",
            Self::Unserved { .. } => "cluster_unserved",
            Self::Unauthorized { .. } => "cluster_unauthorized",
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

#[cfg(test)]
mod tests {
    use super::*;
    use kube::core::Status;

    #[test]
    fn a_server_that_is_known_is_named_with_what_it_said() {
        let server = Uri::from_static("https://10.0.0.1:6443/");
        let first = |error| {
            let error = OperatorError::first(&server, error);
            (error.category(), error.to_string())
        };
        let api = |code| {
            let status = Status::failure("said the server", "Whatever").with_code(code);
            first(kube::Error::Api(Box::new(status)))
        };
        for (code, category, said) in [
            (
                401,
                "cluster_unauthorized",
                "https://10.0.0.1:6443/ refuses these credentials: said the server: renew",
            ),
            (403, "forbidden", "(said the server)"),
            (404, "not_installed", "install the chart"),
            (500, "cluster_unserved", "https://10.0.0.1:6443/ does not serve: said the server: see"),
        ] {
            let (found, text) = api(code);
            assert!(found == category && text.contains(said), "{code}: {found}: {text}");
        }
        let dead = io::Error::other(io::Error::other("connection refused"));
        let (category, text) = first(kube::Error::Service(Box::new(dead)));
        assert_eq!(category, "cluster_unserved");
        assert!(text.contains("6443/ does not serve: ServiceError: connection refused: see"), "{text}");
    }
}
