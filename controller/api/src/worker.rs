//! The workers of a pool that Reelpool runs itself, and the Deployment of one that it only scales.

use k8s_openapi::api::core::v1::{LocalObjectReference, ResourceRequirements};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The workers that Reelpool runs.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct Worker {
    /// The image of the worker. Default: the one that the operator was installed with.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 512))]
    pub image: Option<String>,
    /// Secrets to pull the image with.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "crate::schema::secrets")]
    pub image_pull_secrets: Vec<LocalObjectReference>,
    /// The service account of the workers' pods, in the pool's namespace: it gives them their rights on queue and
    /// buckets. Default: the namespace's default account.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 253))]
    pub service_account_name: Option<String>,
    /// How long a worker that is told to stop, by a rollout or by its node, may take to finish its job: as long as
    /// the longest job takes. Scaling in never needs it.
    #[schemars(range(min = 30, max = 43_200))]
    pub grace_period_seconds: i32,
    /// After how many seconds without a sign of its worker a job is offered to another.
    #[schemars(range(min = 10, max = 43_200))]
    pub visibility_timeout_seconds: i32,
    /// How often a failing job is tried before it is given up.
    #[schemars(range(min = 1, max = 1000))]
    pub max_attempts: i32,
    /// How hard x264 tries: slower makes smaller files. In place of the profile's. Default: the profile's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub preset: Option<Preset>,
    /// What each worker asks for and may use.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "crate::schema::resources")]
    pub resources: Option<ResourceRequirements>,
    /// How much disk a worker may fill with a master and its renditions, as a quantity such as 50Gi. Default: as
    /// much as the node allows.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 32))]
    pub scratch_size_limit: Option<String>,
    /// A pod template (`PodTemplateSpec`) that is laid over the one Reelpool makes: node selectors, tolerations,
    /// volumes, more containers. The worker's container is named `worker`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "crate::schema::pod_template")]
    pub template: Option<serde_json::Value>,
}

impl Default for Worker {
    /// An hour of grace, a visibility timeout of two minutes, 20 attempts.
    fn default() -> Self {
        Self {
            image: None,
            image_pull_secrets: Vec::new(),
            service_account_name: None,
            grace_period_seconds: 3600,
            visibility_timeout_seconds: 120,
            max_attempts: 20,
            preset: None,
            resources: None,
            scratch_size_limit: None,
            template: None,
        }
    }
}

/// A preset of x264.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[expect(missing_docs, reason = "x264's own names")]
pub enum Preset {
    Ultrafast,
    Superfast,
    Veryfast,
    Faster,
    Fast,
    Medium,
    Slow,
    Slower,
    Veryslow,
}

impl Preset {
    /// x264's name for it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Ultrafast => "ultrafast",
            Self::Superfast => "superfast",
            Self::Veryfast => "veryfast",
            Self::Faster => "faster",
            Self::Fast => "fast",
            Self::Medium => "medium",
            Self::Slow => "slow",
            Self::Slower => "slower",
            Self::Veryslow => "veryslow",
        }
    }
}

/// A Deployment that someone else wrote, in the pool's namespace.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct TargetRef {
    /// The API of the object.
    #[serde(default)]
    pub api_version: TargetApi,
    /// The kind of the object.
    #[serde(default)]
    pub kind: TargetKind,
    /// Its name.
    #[schemars(length(max = 253))]
    pub name: String,
    /// The port on which its pods speak Reelpool's status protocol; they must have status.drainTokenSHA256 in
    /// REELPOOL_DRAIN_TOKEN_SHA256. Without it a worker's state is not known, so none goes before the queue has been
    /// empty, with nothing in flight, for zeroAfterSeconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 65_535))]
    pub status_port: Option<i32>,
}

/// The API of a target.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum TargetApi {
    /// `apps/v1`.
    #[default]
    #[serde(rename = "apps/v1")]
    AppsV1,
}

/// The kind of a target.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum TargetKind {
    /// A Deployment.
    #[default]
    Deployment,
}
