//! The resource.

use kube::{CustomResource, KubeSchema};
use serde::{Deserialize, Serialize};

use crate::profile::Profile;
use crate::queue::{Place, Queue};
use crate::scaling::Scaling;
use crate::status::WorkerPoolStatus;
use crate::worker::{TargetRef, Worker};

/// What the fleet follows, how large it may be, and what its workers do.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, CustomResource, KubeSchema)]
#[kube(
    group = "reelpool.dev",
    version = "v1alpha1",
    kind = "WorkerPool",
    plural = "workerpools",
    singular = "workerpool",
    shortname = "wpool",
    category = "reelpool",
    namespaced,
    status = "WorkerPoolStatus",
    derive = "PartialEq",
    doc = "A fleet of video workers that grows with a queue and shrinks back to nothing."
)]
#[serde(rename_all = "camelCase")]
pub struct WorkerPoolSpec {
    /// The queue that the fleet follows.
    pub queue: Queue,
    /// Where masters may be fetched from; whatever a message says, no other place is read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub masters: Option<Place>,
    /// Where renditions go.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub output: Option<Place>,
    /// The renditions of a master whose message names none, such as 1080p. Default: the worker's own.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(
        length(min = 1, max = 12),
        inner(length(max = 8)),
        extend("x-kubernetes-list-type" = "set")
    )]
    pub ladder: Vec<String>,
    /// How the renditions are made for a job whose message does not say. Default: the worker's own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub profile: Option<Profile>,
    /// The fewest workers, even when nothing waits.
    #[serde(default)]
    #[schemars(range(min = 0, max = 100_000))]
    pub min_workers: i32,
    /// The most workers.
    #[schemars(range(min = 1, max = 100_000))]
    pub max_workers: i32,
    /// Hold the fleet as it is: nobody is started and nobody goes.
    #[serde(default)]
    pub paused: bool,
    /// How the fleet follows the queue.
    #[serde(default)]
    pub scaling: Scaling,
    /// The workers that Reelpool runs. Not with `targetRef`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub worker: Option<Worker>,
    /// A Deployment that someone else wrote, to be scaled instead of one that Reelpool runs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub target_ref: Option<TargetRef>,
}
