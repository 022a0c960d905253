//! Does what was planned: the only writes, and no choices.
//!
//! Every write is made only while this process leads, is bounded in time, and carries a precondition on what it was
//! made from, so that it is safe whatever the lease says.

use std::time::Duration;

use futures::StreamExt;
use futures::stream;
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::Pod;
use kube::api::{Patch, PatchParams};
use kube::{Api, Client, ResourceExt};
use reelpool_api::{WorkerPool, WorkerPoolStatus};
use reelpool_core::WorkerId;
use serde_json::json;
use tokio::sync::Semaphore;
use tokio::time::Instant;

use super::deployment::{DeploymentView, MANAGER, SCALER};
use super::pods::{DELETION_COST, TO_GO};
use super::rights::Rights;

/// The longest one request may take; the client's own retries could go on for minutes.
const TIMEOUT: Duration = Duration::from_secs(10);
/// How many requests all passes together have with the API server at a time. Each takes a connection of its own, and a
/// thousand pools that are seen for the first time would make a thousand at once.
pub const REQUESTS_AT_ONCE: usize = 32;
/// The longest that lowering the number of replicas may take from the plan on, with all its turns and tries: the drains
/// that it rests on must outlast it.
pub const LOWER_WITHIN: Duration = Duration::from_secs(15);
/// How often a write is made again because something else of the object had changed.
const TRIES: u32 = 4;

const REPLICAS: &str = "the number of replicas";
const DEPLOYMENT: &str = "the Deployment";

/// Why a write was not made.
#[derive(Debug, thiserror::Error)]
pub enum ApplyError {
    /// This process does not lead any more.
    #[error("{0} was not written: this process does not lead any more")]
    NotLeader(&'static str),
    /// The API server did not answer in time.
    #[error("{0} could not be read or written in time: see whether the API server is well")]
    Late(&'static str),
    /// Somebody else changed it at the same time.
    #[error("{0} was changed by somebody else at the same time: it is looked at again")]
    Conflict(&'static str),
    /// It is not there any more.
    #[error("{0} is not there any more: it is looked at again")]
    Gone(&'static str),
    /// The API server refused it.
    #[error("{what} was refused by the API server: {detail}")]
    Refused {
        /// What was to be written.
        what: &'static str,
        /// What the API server said.
        detail: String,
    },
    /// The API server could not be reached, or failed.
    #[error("{what} could not be read or written: {}", crate::said::said(source.as_ref()))]
    Failed {
        /// What was to be read or written.
        what: &'static str,
        /// What was met.
        source: Box<kube::Error>,
    },
}

impl ApplyError {
    /// Whether what was to be written may have been written all the same.
    #[must_use]
    pub fn may_be_done(&self) -> bool {
        matches!(self, Self::Late(_) | Self::Failed { .. })
    }

    /// A stable category for logs and metrics.
    #[must_use]
    pub fn category(&self) -> &'static str {
        match self {
            Self::NotLeader(_) => "not_leader",
            Self::Late(_) => "api_late",
            Self::Conflict(_) => "api_conflict",
            Self::Gone(_) => "api_gone",
            Self::Refused { .. } => "api_refused",
            Self::Failed { .. } => "api_failed",
        }
    }

    pub(super) fn of(what: &'static str, error: kube::Error) -> Self {
        match error {
            kube::Error::Api(status) if status.code == 409 => Self::Conflict(what),
            kube::Error::Api(status) if status.code == 404 => Self::Gone(what),
            kube::Error::Api(status) if matches!(status.code, 400 | 403 | 422) => {
                Self::Refused { what, detail: status.message.clone() }
            }
            error => Self::Failed { what, source: Box::new(error) },
        }
    }
}

/// Writes for one pool.
pub struct Hands<'a> {
    /// The API server.
    pub client: Client,
    /// The pool's namespace.
    pub namespace: &'a str,
    /// Whether this process may write.
    pub rights: &'a Rights,
    /// The turns of requests to the API server.
    pub turns: &'a Semaphore,
}

impl Hands<'_> {
    /// Makes the Deployment, for the pods that are there already, and hands the number of its replicas to the scaler.
    pub async fn create(&self, wanted: &Deployment, replicas: u32) -> Result<DeploymentView, ApplyError> {
        let mut first = wanted.clone();
        if let Some(spec) = &mut first.spec {
            // Without a number the API server would start one worker, and stop all others.
            spec.replicas = Some(i32::try_from(replicas).unwrap_or(i32::MAX));
        }
        // Not forced: where another operator has made it meanwhile, the number is the scaler's, and stays.
        let made = self.patch_deployment(DEPLOYMENT, PatchParams::apply(MANAGER), &first).await?;
        self.hand_over(&made).await
    }

    /// Makes the number of replicas the scaler's: what the operator's other writes leave out would be reset else.
    pub async fn hand_over(&self, found: &DeploymentView) -> Result<DeploymentView, ApplyError> {
        let mut version = found.resource_version.clone();
        for _ in 0..TRIES {
            let number = json!({
                "apiVersion": "apps/v1", "kind": "Deployment",
                "metadata": { "name": found.name, "uid": found.uid, "resourceVersion": version },
                "spec": { "replicas": found.replicas },
            });
            let params = PatchParams::apply(SCALER).force();
            match self.patch_deployment(REPLICAS, params, &number).await {
                Err(ApplyError::Conflict(_)) => {}
                done => return done,
            }
            // Its status changes all the time while pods come and go: only the number matters here.
            let now = self.read_again(REPLICAS, &found.name).await?;
            if now.replicas != found.replicas || now.uid != found.uid {
                break;
            }
            version = now.resource_version;
        }
        Err(ApplyError::Conflict(REPLICAS))
    }

    /// Brings the Deployment to what it is to be, its number of replicas left alone, if nobody has changed it since it
    /// was read in `found`. One that was deleted meanwhile is not made anew: it would start with one worker.
    pub async fn update(
        &self,
        wanted: &Deployment,
        found: &DeploymentView,
    ) -> Result<DeploymentView, ApplyError> {
        let mut wanted = wanted.clone();
        wanted.metadata.uid = Some(found.uid.clone());
        let mut version = found.resource_version.clone();
        for _ in 0..TRIES {
            wanted.metadata.resource_version = Some(version);
            match self.patch_deployment(DEPLOYMENT, PatchParams::apply(MANAGER).force(), &wanted).await {
                Err(ApplyError::Conflict(_)) => {}
                done => return done,
            }
            // Its status changes all the time while pods come and go: only the spec matters here.
            let now = self.read_again(DEPLOYMENT, &found.name).await?;
            if now.generation != found.generation || now.uid != found.uid {
                break;
            }
            version = now.resource_version;
        }
        Err(ApplyError::Conflict(DEPLOYMENT))
    }

    /// Reads a Deployment that was changed under our hands; one that is gone was changed, too.
    async fn read_again(&self, what: &'static str, name: &str) -> Result<DeploymentView, ApplyError> {
        let deployments: Api<Deployment> = Api::namespaced(self.client.clone(), self.namespace);
        let now = self.write(what, deployments.get_opt(name)).await?;
        now.as_ref().map(DeploymentView::from).ok_or(ApplyError::Conflict(what))
    }

    async fn patch_deployment<P: serde::Serialize + std::fmt::Debug>(
        &self,
        what: &'static str,
        params: PatchParams,
        wanted: &P,
    ) -> Result<DeploymentView, ApplyError> {
        let deployments: Api<Deployment> = Api::namespaced(self.client.clone(), self.namespace);
        let value = serde_json::to_value(wanted)
            .map_err(|error| ApplyError::Refused { what, detail: error.to_string() })?;
        let name = value["metadata"]["name"].as_str().unwrap_or_default();
        let patch = Patch::Apply(&value);
        let write = deployments.patch(name, &params, &patch);
        Ok(DeploymentView::from(&self.write(what, write).await?))
    }

    /// Writes the number of replicas, if the Deployment still has the number that was read in `seen`. One that is lower
    /// is only written until `lower_by`.
    pub async fn scale(
        &self,
        seen: &DeploymentView,
        replicas: u32,
        lower_by: Instant,
    ) -> Result<DeploymentView, ApplyError> {
        let scale = self.try_to_scale(seen, replicas);
        if replicas >= seen.replicas {
            return scale.await;
        }
        tokio::time::timeout_at(lower_by, scale).await.unwrap_or(Err(ApplyError::Late(REPLICAS)))
    }

    async fn try_to_scale(&self, seen: &DeploymentView, replicas: u32) -> Result<DeploymentView, ApplyError> {
        let deployments: Api<Deployment> = Api::namespaced(self.client.clone(), self.namespace);
        let params = PatchParams { field_manager: Some(SCALER.to_owned()), ..PatchParams::default() };
        let mut view = seen.clone();
        for _ in 0..TRIES {
            let patch = Patch::Merge(json!({
                "metadata": { "resourceVersion": view.resource_version },
                "spec": { "replicas": replicas },
            }));
            match self.write(REPLICAS, deployments.patch_scale(&seen.name, &params, &patch)).await {
                Ok(scale) => {
                    return Ok(DeploymentView {
                        resource_version: scale.metadata.resource_version.unwrap_or_default(),
                        // The write changed the spec, once.
                        generation: view.generation.saturating_add(1),
                        replicas,
                        other_writer: None,
                        ..view
                    });
                }
                Err(ApplyError::Conflict(_)) => {}
                Err(error) => return Err(error),
            }
            // Its status changes all the time while pods come and go: only the number matters here.
            view = self.read_again(REPLICAS, &seen.name).await?;
            // Somebody between has sent our write twice: it is done.
            if view.uid == seen.uid && view.replicas == replicas {
                return Ok(view);
            }
            if view.replicas != seen.replicas || view.uid != seen.uid {
                break;
            }
        }
        Err(ApplyError::Conflict(REPLICAS))
    }

    /// Gives these pods the lowest deletion cost, or takes it from them. Returns the version that each has then.
    pub async fn mark(
        &self,
        pods: Vec<(WorkerId, String)>,
        to_go: bool,
    ) -> Vec<(WorkerId, Result<String, ApplyError>)> {
        const WHAT: &str = "the deletion cost of a pod";
        let api: Api<Pod> = Api::namespaced(self.client.clone(), self.namespace);
        let api = &api;
        let cost = if to_go { json!(TO_GO.to_string()) } else { json!(null) };
        let cost = &cost;
        let writes = stream::iter(pods).map(|(id, uid)| async move {
            // A pod of the same name may be another by now.
            let patch = Patch::Merge(json!({
                "metadata": { "uid": uid, "annotations": { DELETION_COST: cost } },
            }));
            let params = PatchParams { field_manager: Some(SCALER.to_owned()), ..PatchParams::default() };
            let written = self.write(WHAT, api.patch_metadata(id.as_str(), &params, &patch)).await;
            (id, written.map(|pod| pod.resource_version().unwrap_or_default()))
        });
        writes.buffer_unordered(REQUESTS_AT_ONCE).collect().await
    }

    /// Writes the status of the pool `name`, if it still has this version: a write that comes late overwrites nothing
    /// that was told since. Returns the version that it has then.
    pub async fn tell(
        &self,
        name: &str,
        status: &WorkerPoolStatus,
        version: &str,
    ) -> Result<String, ApplyError> {
        let pools: Api<WorkerPool> = Api::namespaced(self.client.clone(), self.namespace);
        let patch = Patch::Apply(json!({
            "apiVersion": "reelpool.dev/v1alpha1", "kind": "WorkerPool",
            "metadata": { "name": name, "resourceVersion": version },
            "status": status,
        }));
        let params = PatchParams::apply(MANAGER).force();
        let write = pools.patch_status(name, &params, &patch);
        Ok(self.write("the status of the pool", write).await?.resource_version().unwrap_or_default())
    }

    /// A write: in its turn, only while this process leads, and bounded in time.
    pub(super) async fn write<T>(
        &self,
        what: &'static str,
        write: impl Future<Output = kube::Result<T>>,
    ) -> Result<T, ApplyError> {
        let _turn = self.turns.acquire().await;
        if !self.rights.may_write() {
            return Err(ApplyError::NotLeader(what));
        }
        bounded(what, write).await
    }
}

/// A request, bounded in time. Its turn is waited for before: that may take long with nothing being wrong.
pub(super) async fn bounded<T>(
    what: &'static str,
    request: impl Future<Output = kube::Result<T>>,
) -> Result<T, ApplyError> {
    match tokio::time::timeout(TIMEOUT, request).await {
        Ok(answer) => answer.map_err(|error| ApplyError::of(what, error)),
        Err(_) => Err(ApplyError::Late(what)),
    }
}
