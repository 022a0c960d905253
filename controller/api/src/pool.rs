//! The resource.

use kube::{CustomResource, KubeSchema};
use serde::{Deserialize, Serialize};

use crate::queue::{Place, Queue};
use crate::scaling::Scaling;
use crate::status::WorkerPoolStatus;
use crate::worker::{TargetRef, Worker};

/// A fleet of video workers that grows with a queue and shrinks back to nothing.
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
    printcolumn(name = "Desired", type_ = "integer", json_path = ".status.desiredWorkers"),
    printcolumn(
        name = "Ready",
        type_ = "string",
        json_path = ".status.conditions[?(@.type=='Ready')].status"
    ),
    printcolumn(
        name = "Backlog",
        type_ = "integer",
        json_path = ".status.lastDecision.backlog",
        description = "Messages that waited when the decision was made"
    ),
    printcolumn(name = "Reason", type_ = "string", json_path = ".status.lastDecision.reason"),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp")
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
    #[schemars(length(max = 12), inner(length(min = 2, max = 8), regex(pattern = "^[0-9]{2,4}p$")))]
    pub ladder: Vec<String>,
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
