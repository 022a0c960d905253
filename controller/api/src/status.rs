//! What the operator tells of a pool.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What the operator tells of a pool. It changes when the decision changes, not with every look.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct WorkerPoolStatus {
    /// The generation of the spec that this was made from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0))]
    pub observed_generation: Option<i64>,
    /// How many workers there are to be.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0))]
    pub desired_workers: Option<i32>,
    /// The Deployment's pods when this was written.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0))]
    pub replicas: Option<i32>,
    /// The selector of the workers' pods, in its string form.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 4096))]
    pub selector: Option<String>,
    /// With targetRef.statusPort only: what the Deployment's pods are to have in REELPOOL_DRAIN_TOKEN_SHA256, so that
    /// they may be drained. It is no secret: the token is not found from it.
    #[serde(default, rename = "drainTokenSHA256", skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 64))]
    pub drain_token_sha256: Option<String>,
    /// What the workers were doing when this was written.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub workers: Option<WorkersStatus>,
    /// The decision that the number of workers comes from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_decision: Option<LastDecision>,
    /// What stands in the way, and what does not.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "crate::schema::conditions")]
    pub conditions: Vec<Condition>,
}

/// How many workers were doing what.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct WorkersStatus {
    /// Asked for, and not yet asking the queue for work.
    #[schemars(range(min = 0))]
    pub starting: i32,
    /// Without work.
    #[schemars(range(min = 0))]
    pub idle: i32,
    /// With a job in hand.
    #[schemars(range(min = 0))]
    pub busy: i32,
    /// Taking no new job.
    #[schemars(range(min = 0))]
    pub draining: i32,
    /// Not answering; they count as busy.
    #[schemars(range(min = 0))]
    pub unreachable: i32,
}

/// The decision that the number of workers comes from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct LastDecision {
    /// The rule that set the number, in one word.
    #[schemars(length(max = 64))]
    pub reason: String,
    /// How the number came about, in one line.
    #[schemars(length(max = 1024))]
    pub message: String,
    /// Messages that waited at the time; absent when the queue could not be read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0))]
    pub backlog: Option<i64>,
    /// Messages in flight at the time; absent when the queue could not be read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0))]
    pub in_flight: Option<i64>,
    /// When it was made.
    pub time: Time,
}
