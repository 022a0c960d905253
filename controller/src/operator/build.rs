//! The Deployment of a pool whose workers Reelpool runs: pure, from the pool alone.
//!
//! It has no number of replicas: that is written through the scale subresource, by another writer.

use std::collections::BTreeMap;

use k8s_openapi::api::apps::v1::{Deployment, DeploymentSpec, DeploymentStrategy, RollingUpdateDeployment};
use k8s_openapi::api::core::v1::{
    Capabilities, Container, ContainerPort, EmptyDirVolumeSource, HTTPGetAction, PodSecurityContext, PodSpec,
    PodTemplateSpec, Probe, SeccompProfile, SecurityContext, Volume, VolumeMount,
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{LabelSelector, ObjectMeta, OwnerReference};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use reelpool_api::POOL_LABEL;

use super::environment::{SCRATCH, environment};
use super::overlay;
use super::pods::STATUS_PORT;
use super::validate::{ValidPool, WorkerSettings};

/// The name of the worker's container.
pub const WORKER: &str = "worker";
/// The name of the worker's port.
pub const PORT_NAME: &str = "status";
/// The volume of the scratch folder.
const SCRATCH_VOLUME: &str = "scratch";
/// The user and group of the worker's image; neither has a name or a home on any node.
const NONROOT: i64 = 65_532;
/// Old `ReplicaSets` kept for `kubectl rollout undo`.
const REVISIONS: i32 = 2;
/// After how many seconds without progress a rollout counts as failed.
const PROGRESS_DEADLINE: i32 = 600;

/// The name of the Deployment of the pool `pool`.
#[must_use]
pub fn name(pool: &str) -> String {
    format!("{pool}-workers")
}

/// The Deployment of `pool`, whose workers are to be as `settings` say, controlled by `owner`.
#[must_use]
pub fn deployment(pool: &ValidPool, settings: &WorkerSettings, owner: &OwnerReference) -> Deployment {
    let mut template = template(pool, settings);
    if let Some(over) = &settings.template {
        overlay::lay(&mut template, over.clone());
    }
    Deployment {
        metadata: ObjectMeta {
            name: Some(name(&pool.name)),
            namespace: Some(pool.namespace.clone()),
            labels: Some(labels(&pool.name)),
            owner_references: Some(vec![OwnerReference {
                controller: Some(true),
                block_owner_deletion: Some(true),
                ..owner.clone()
            }]),
            ..ObjectMeta::default()
        },
        spec: Some(DeploymentSpec {
            selector: LabelSelector {
                match_labels: Some([(POOL_LABEL.to_owned(), pool.name.clone())].into()),
                ..LabelSelector::default()
            },
            strategy: Some(strategy()),
            revision_history_limit: Some(REVISIONS),
            progress_deadline_seconds: Some(PROGRESS_DEADLINE),
            template,
            ..DeploymentSpec::default()
        }),
        status: None,
    }
}

/// A rollout replaces workers in place, and never has more than the fleet may have.
///
/// A worker too few costs nothing, the queue waits; a worker too many may find no room when the fleet is at its
/// maximum, and the rollout would stand still. A quarter at a time, so that an image that does not start leaves
/// three quarters at work. Workers that are replaced finish their job within the grace period.
fn strategy() -> DeploymentStrategy {
    DeploymentStrategy {
        type_: Some("RollingUpdate".to_owned()),
        rolling_update: Some(RollingUpdateDeployment {
            max_surge: Some(IntOrString::Int(0)),
            max_unavailable: Some(IntOrString::String("25%".to_owned())),
        }),
    }
}

/// The labels of everything that is made for a pool. No version: it would be in nobody's selector, and change pods.
fn labels(pool: &str) -> BTreeMap<String, String> {
    let labels = [
        ("app.kubernetes.io/component", "worker"),
        ("app.kubernetes.io/instance", pool),
        ("app.kubernetes.io/managed-by", "reelpool"),
        ("app.kubernetes.io/name", "reelpool-worker"),
        ("app.kubernetes.io/part-of", "reelpool"),
        (POOL_LABEL, pool),
    ];
    labels.map(|(key, value)| (key.to_owned(), value.to_owned())).into()
}

fn template(pool: &ValidPool, settings: &WorkerSettings) -> PodTemplateSpec {
    let annotations = [
        // A worker may be busy: nobody is to take its pod away to save a node.
        ("cluster-autoscaler.kubernetes.io/safe-to-evict", "false"),
        ("karpenter.sh/do-not-disrupt", "true"),
        ("kubectl.kubernetes.io/default-container", WORKER),
    ];
    PodTemplateSpec {
        metadata: Some(ObjectMeta {
            labels: Some(labels(&pool.name)),
            annotations: Some(annotations.map(|(key, value)| (key.to_owned(), value.to_owned())).into()),
            ..ObjectMeta::default()
        }),
        spec: Some(PodSpec {
            // Workers do not speak to the API server. Credentials for AWS come with tokens of their own, by IRSA or
            // by EKS Pod Identity.
            automount_service_account_token: Some(false),
            enable_service_links: Some(false),
            service_account_name: settings.service_account_name.clone(),
            image_pull_secrets: Some(settings.image_pull_secrets.clone())
                .filter(|secrets| !secrets.is_empty()),
            termination_grace_period_seconds: Some(settings.grace_period.into()),
            security_context: Some(PodSecurityContext {
                run_as_non_root: Some(true),
                run_as_user: Some(NONROOT),
                run_as_group: Some(NONROOT),
                fs_group: Some(NONROOT),
                seccomp_profile: Some(SeccompProfile {
                    type_: "RuntimeDefault".to_owned(),
                    ..SeccompProfile::default()
                }),
                ..PodSecurityContext::default()
            }),
            containers: vec![container(pool, settings)],
            volumes: Some(vec![Volume {
                name: SCRATCH_VOLUME.to_owned(),
                empty_dir: Some(EmptyDirVolumeSource {
                    size_limit: settings.scratch_size_limit.clone(),
                    ..EmptyDirVolumeSource::default()
                }),
                ..Volume::default()
            }]),
            ..PodSpec::default()
        }),
    }
}

fn container(pool: &ValidPool, settings: &WorkerSettings) -> Container {
    Container {
        name: WORKER.to_owned(),
        image: Some(settings.image.clone()),
        args: Some(vec!["run".to_owned()]),
        env: Some(environment(pool, settings)),
        ports: Some(vec![ContainerPort {
            name: Some(PORT_NAME.to_owned()),
            container_port: STATUS_PORT.into(),
            protocol: Some("TCP".to_owned()),
            ..ContainerPort::default()
        }]),
        // A worker counts from the moment it is ready: ask often. One that once was stays ready for half a minute
        // without an answer, because Kubernetes takes those first that are not, and a busy node answers late.
        readiness_probe: Some(probe("/readyz", 1, 5, 30)),
        // Only a worker that has been dead for minutes is killed: it may have a job in hand.
        liveness_probe: Some(probe("/healthz", 10, 10, 30)),
        resources: settings.resources.clone(),
        security_context: Some(SecurityContext {
            allow_privilege_escalation: Some(false),
            read_only_root_filesystem: Some(true),
            capabilities: Some(Capabilities {
                drop: Some(vec!["ALL".to_owned()]),
                ..Capabilities::default()
            }),
            ..SecurityContext::default()
        }),
        termination_message_policy: Some("FallbackToLogsOnError".to_owned()),
        volume_mounts: Some(vec![VolumeMount {
            name: SCRATCH_VOLUME.to_owned(),
            mount_path: SCRATCH.to_owned(),
            ..VolumeMount::default()
        }]),
        ..Container::default()
    }
}

/// Asks `path` every `period` seconds; `failures` in a row, each after `timeout` seconds at most, count.
fn probe(path: &str, period: i32, timeout: i32, failures: i32) -> Probe {
    Probe {
        http_get: Some(HTTPGetAction {
            path: Some(path.to_owned()),
            port: IntOrString::String(PORT_NAME.to_owned()),
            ..HTTPGetAction::default()
        }),
        period_seconds: Some(period),
        timeout_seconds: Some(timeout),
        failure_threshold: Some(failures),
        ..Probe::default()
    }
}

#[cfg(test)]
#[path = "build_tests.rs"]
mod tests;
