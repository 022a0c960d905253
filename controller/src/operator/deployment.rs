//! What the operator reads of a Deployment.

use std::collections::BTreeMap;

use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{FieldsV1, ManagedFieldsEntry};
use kube::ResourceExt;
use kube::core::Selector;

/// A Deployment as far as the operator reads it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeploymentView {
    /// Its name.
    pub name: String,
    /// Its identity: one that was deleted and made anew has another.
    pub uid: String,
    /// Its version, for preconditions.
    pub resource_version: String,
    /// The generation of its spec.
    pub generation: i64,
    /// The generation that the Deployment controller has acted on.
    pub observed_generation: i64,
    /// The workers asked for.
    pub replicas: u32,
    /// The pods there are, by the Deployment controller's count.
    pub pods: u32,
    /// The pods that are made from the present template.
    pub updated: u32,
    /// The selector of its pods, in its string form.
    pub selector: String,
    /// The identity of the object that controls it.
    pub controller: Option<String>,
    /// Its labels.
    pub labels: BTreeMap<String, String>,
    /// Who else than Reelpool wrote the number of replicas.
    pub other_writer: Option<String>,
    /// Whether the number of replicas is still the operator's own field, and not the scaler's.
    pub needs_hand_over: bool,
    /// Why pods cannot be made, when they cannot.
    pub replica_failure: Option<String>,
    /// Whether it is being deleted.
    pub is_going: bool,
}

/// Under this name the number of replicas is written.
pub const SCALER: &str = "reelpool-scaler";
/// Under this name everything else of a Deployment, and the status of a pool, is written.
pub const MANAGER: &str = "reelpool-operator";

impl From<&Deployment> for DeploymentView {
    fn from(deployment: &Deployment) -> Self {
        let meta = &deployment.metadata;
        let spec = deployment.spec.as_ref();
        let status = deployment.status.as_ref();
        let count = |count: Option<i32>| count.and_then(|count| u32::try_from(count).ok()).unwrap_or(0);
        let failure = status.and_then(|status| status.conditions.as_ref()).and_then(|conditions| {
            let failed = |condition: &&k8s_openapi::api::apps::v1::DeploymentCondition| {
                condition.type_ == "ReplicaFailure" && condition.status == "True"
            };
            conditions.iter().find(failed).map(|condition| condition.message.clone().unwrap_or_default())
        });
        Self {
            name: deployment.name_any(),
            uid: meta.uid.clone().unwrap_or_default(),
            resource_version: meta.resource_version.clone().unwrap_or_default(),
            generation: meta.generation.unwrap_or(0),
            observed_generation: status.and_then(|status| status.observed_generation).unwrap_or(0),
            // The API server's own default.
            replicas: spec.map_or(1, |spec| spec.replicas.map_or(1, |replicas| count(Some(replicas)))),
            pods: count(status.and_then(|status| status.replicas)),
            updated: count(status.and_then(|status| status.updated_replicas)),
            selector: spec.and_then(|spec| selector(&spec.selector)).unwrap_or_default(),
            controller: meta
                .owner_references
                .iter()
                .flatten()
                .find(|owner| owner.controller == Some(true))
                .map(|owner| owner.uid.clone()),
            labels: meta.labels.clone().unwrap_or_default(),
            needs_hand_over: {
                let writers = || replica_writers(meta.managed_fields.iter().flatten());
                writers().any(|writer| writer == MANAGER) && writers().all(|writer| writer != SCALER)
            },
            other_writer: replica_writers(meta.managed_fields.iter().flatten())
                .find(|writer| !matches!(*writer, SCALER | MANAGER))
                .map(str::to_owned),
            replica_failure: failure,
            is_going: meta.deletion_timestamp.is_some(),
        }
    }
}

impl DeploymentView {
    /// Whether this was read later than `other`.
    #[must_use]
    pub fn is_later_than(&self, other: &Self) -> bool {
        is_later(&self.resource_version, &other.resource_version)
    }

    /// Whether it bears all of these labels; others may be there too.
    #[must_use]
    pub fn has_labels(&self, wanted: &BTreeMap<String, String>) -> bool {
        wanted.iter().all(|(name, value)| self.labels.get(name) == Some(value))
    }

    /// Whether the Deployment controller has acted on the last change.
    #[must_use]
    pub fn is_observed(&self) -> bool {
        self.observed_generation >= self.generation
    }

    /// Whether pods of an older template are still being replaced, or the last change has not been acted on.
    #[must_use]
    pub fn is_rolling_out(&self) -> bool {
        !self.is_observed() || self.updated < self.pods
    }
}

/// Whether the resource version `this` is later than `other`. Those of one kind of object can be compared as numbers
/// (Kubernetes 1.35, KEP-5504); those that are no numbers are never later.
#[must_use]
pub fn is_later(this: &str, other: &str) -> bool {
    let number = |version: &str| version.parse::<u128>().ok();
    number(this).zip(number(other)).is_some_and(|(this, other)| this > other)
}

fn selector(selector: &k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector) -> Option<String> {
    Selector::try_from(selector.clone()).ok().map(|selector| selector.to_string())
}

fn replica_writers<'a>(
    fields: impl Iterator<Item = &'a ManagedFieldsEntry>,
) -> impl Iterator<Item = &'a str> {
    fields.filter(|entry| writes_replicas(entry)).filter_map(|entry| entry.manager.as_deref())
}

fn writes_replicas(entry: &ManagedFieldsEntry) -> bool {
    entry.fields_v1.as_ref().is_some_and(|FieldsV1(fields)| !fields["f:spec"]["f:replicas"].is_null())
}

/// Leaves only what [`DeploymentView`] reads, so that a cache of thousands stays small.
pub fn trim(deployment: &mut Deployment) {
    let meta = &mut deployment.metadata;
    meta.annotations = None;
    if let Some(fields) = &mut meta.managed_fields {
        fields.retain(writes_replicas);
        for entry in fields {
            entry.fields_v1 = Some(FieldsV1(serde_json::json!({"f:spec": {"f:replicas": {}}})));
        }
    }
    if let Some(spec) = &mut deployment.spec {
        spec.template = k8s_openapi::api::core::v1::PodTemplateSpec::default();
        spec.strategy = None;
    }
}

#[cfg(test)]
#[path = "deployment_tests.rs"]
mod tests;
