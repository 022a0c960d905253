//! How the fleet follows the queue.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// How the fleet follows the queue.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct Scaling {
    /// What the number of workers is made from: exactly one of its fields.
    pub target: Target,
    /// How the fleet grows.
    pub scale_out: ScaleOut,
    /// How the fleet shrinks. Only workers without a job in hand ever go.
    pub scale_in: ScaleIn,
    /// How often the queue is looked at while nothing changes. Each look is one request to SQS.
    #[schemars(range(min = 1, max = 300))]
    pub poll_seconds: i32,
}

impl Default for Scaling {
    /// One worker for each message, looked at each second.
    fn default() -> Self {
        Self {
            target: Target::default(),
            scale_out: ScaleOut::default(),
            scale_in: ScaleIn::default(),
            poll_seconds: 1,
        }
    }
}

/// What the number of workers is made from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Target {
    /// One worker for so many messages that wait or are in flight.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 100_000))]
    pub backlog_per_worker: Option<i32>,
    /// As many workers as finish what waits in so many seconds, at the speed measured on this pool.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 604_800))]
    pub drain_within_seconds: Option<i32>,
}

impl Default for Target {
    /// One worker for each message.
    fn default() -> Self {
        Self { backlog_per_worker: Some(1), drain_within_seconds: None }
    }
}

/// How the fleet grows.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ScaleOut {
    /// At most so many workers may be starting at a time. Default: any number, all at once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 100_000))]
    pub max_step: Option<i32>,
}

/// How the fleet shrinks.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct ScaleIn {
    /// For how long every look at the queue must have found it empty before the last worker goes.
    #[schemars(range(min = 0, max = 86_400))]
    pub zero_after_seconds: i32,
    /// For how long a worker is kept without work. Default: as long as starting one takes here, measured.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 86_400))]
    pub idle_seconds: Option<i32>,
    /// At most so many workers may be draining at a time. Default: any number.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 100_000))]
    pub max_step: Option<i32>,
}

impl Default for ScaleIn {
    /// To zero after a minute of empty looks, which is as long as SQS's counts may be wrong.
    fn default() -> Self {
        Self { zero_after_seconds: 60, idle_seconds: None, max_step: None }
    }
}
