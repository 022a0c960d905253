//! A real Kubernetes control plane for tests: etcd, kube-apiserver, controller-manager and scheduler as processes of
//! the test, with certificates of their own, kwok's fake nodes when pods are wanted by the thousand, and a node with a
//! real kubelet, services and names when they shall run.
//!
//! Everything here panics with a message that says what to do: it is only used by tests. The programs come from
//! `scripts/cluster-tools`.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::missing_panics_doc,
    reason = "tests"
)]

mod api_proxy;
mod audit;
mod background;
mod certificates;
mod control_plane;
mod crowd;
mod daemon;
mod folder;
mod gate;
mod kubeconfig;
mod kwok;
mod memory_sqs;
mod node;
mod operator;
mod pools;
mod port;
mod proxy;
mod ran;
mod replicas;
mod samples;
mod tools;
mod wait;
mod wire;

pub use api_proxy::{ApiProxy, Call, Deed};
pub use audit::{Audit, Deletion, Request};
pub use certificates::Issued;
pub use control_plane::{ControlPlane, Qps, Settings};
pub use crowd::{Behaviour, Crowd, CrowdReport, HELD, Interruption, Manner, Source};
pub use daemon::Daemon;
pub use folder::Folder;
pub use gate::Gate;
pub use kwok::{Kwok, KwokSettings};
pub use memory_sqs::{Counts, MemorySqs};
pub use node::{Node, image, image_name};
pub use operator::{Answer, OPERATOR_USER, Operator, OperatorSettings, install};
pub use pools::{PoolSpec, Pools};
pub use proxy::{Fault, FaultProxy};
pub use ran::Ran;
pub use replicas::{Replicas, Seen};
pub use samples::Samples;
pub use tools::tool;
pub use wait::{eventually, on_a_runtime};
pub use wire::Wire;
