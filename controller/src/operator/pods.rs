//! What the operator reads of a worker's pod.

use std::net::{IpAddr, SocketAddr};

use k8s_openapi::api::core::v1::{ContainerStatus, Pod};
use kube::ResourceExt;
use reelpool_api::POOL_LABEL;
use reelpool_core::{Millis, Timestamp, WorkerId};

use super::build;
use crate::fleet::{Ask, Question};

/// The annotation that tells Kubernetes which pods to take first when a Deployment shrinks.
pub const DELETION_COST: &str = "controller.kubernetes.io/pod-deletion-cost";
/// The cost of a pod that is to go: nobody can give a lower one.
pub const TO_GO: i32 = i32::MIN;
/// The port at which workers that Reelpool runs answer.
pub const STATUS_PORT: u16 = 8080;
/// What the kubelet says of a container that will not start by itself.
const CANNOT_START: [&str; 5] = [
    "ErrImagePull",
    "ImagePullBackOff",
    "InvalidImageName",
    "CreateContainerConfigError",
    "CreateContainerError",
];
/// For how long a container may be on its way with nothing said against it: its image is large, its volumes are far.
const STARTS_WITHIN: Millis = Millis::from_secs(5 * 60);
/// Where the workers of a fleet answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StatusPort {
    /// The port.
    pub number: u16,
    /// Whether workers give the names of their pods: those that Reelpool runs do.
    pub names_are_known: bool,
}

/// So many restarts in, a container that waits for the next one is taken to be in a crash loop.
const CRASH_LOOP: i32 = 2;

/// A worker's pod as far as the operator reads it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PodView {
    /// Its name: the worker's name.
    pub id: WorkerId,
    /// Its identity.
    pub uid: String,
    /// Its version.
    pub resource_version: String,
    /// Its address, once it has one.
    pub ip: Option<IpAddr>,
    /// How far it is.
    pub stage: PodStage,
    /// Which template it was made from.
    pub template: Option<String>,
    /// Whether it is marked as one that is to go.
    pub is_marked: bool,
    /// When it was made.
    pub created: Timestamp,
    /// When it was given a node; as long as it has none, when it was made.
    pub scheduled: Timestamp,
    /// When it became ready, if it is.
    pub ready_since: Option<Timestamp>,
    /// Why it does not start, when Kubernetes says so.
    pub trouble: Option<String>,
}

/// How far a pod is, as far as it matters to whom Kubernetes takes first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PodStage {
    /// It has no node yet: Kubernetes takes it before all others.
    Unscheduled,
    /// It has a node, and no container has run yet.
    NotStarted,
    /// It has a node, and no container can start: there is no such image, its settings cannot be used, or it has not for
    /// minutes.
    CannotStart,
    /// Its container has ended several times and waits for its next start.
    CrashLoop,
    /// Its container runs and it is not ready. It may have a job in hand: readiness lags behind.
    NotReady,
    /// It is ready.
    Ready,
}

impl PodStage {
    /// Whether a container may be running, so that there is somebody to ask.
    #[must_use]
    pub fn may_run(self) -> bool {
        matches!(self, Self::NotReady | Self::Ready)
    }
}

impl PodView {
    /// What is to be known of `pod`; `None` when it does not count any more, because it has ended, its removal has
    /// begun, or no ReplicaSet of `deployment` made it.
    #[must_use]
    pub fn of(pod: &Pod, deployment: &str) -> Option<Self> {
        let meta = &pod.metadata;
        let status = pod.status.as_ref();
        let phase = status.and_then(|status| status.phase.as_deref()).unwrap_or("Pending");
        if meta.deletion_timestamp.is_some() || matches!(phase, "Succeeded" | "Failed") {
            return None;
        }
        let maker = meta.owner_references.iter().flatten().find(|owner| owner.controller == Some(true))?;
        let template = meta.labels.as_ref().and_then(|labels| labels.get("pod-template-hash")).cloned();
        // Not the beginning alone: another Deployment's name may begin with this one's.
        let made_here = template.as_ref().is_some_and(|hash| maker.name == format!("{deployment}-{hash}"));
        if maker.kind != "ReplicaSet" || !made_here {
            return None;
        }
        let created = meta.creation_timestamp.as_ref().map_or(Timestamp::default(), |time| instant(time.0));
        let since = |condition: &str| {
            let conditions = status.and_then(|status| status.conditions.as_ref())?;
            let found = conditions.iter().find(|one| one.type_ == condition && one.status == "True")?;
            Some(found.last_transition_time.as_ref().map_or(created, |time| instant(time.0)).max(created))
        };
        let ready_since = since("Ready");
        let containers: Vec<&ContainerStatus> =
            status.and_then(|status| status.container_statuses.as_ref()).into_iter().flatten().collect();
        let cost = meta.annotations.as_ref().and_then(|all| all.get(DELETION_COST));
        Some(Self {
            id: WorkerId::from(pod.name_any()),
            uid: meta.uid.clone().unwrap_or_default(),
            resource_version: meta.resource_version.clone().unwrap_or_default(),
            ip: status.and_then(|status| status.pod_ip.as_deref()).and_then(|ip| ip.parse().ok()),
            stage: stage(pod, ready_since.is_some(), &those_that_work(pod, &containers)),
            template,
            is_marked: cost.is_some_and(|cost| cost.parse() == Ok(TO_GO)),
            created,
            scheduled: since("PodScheduled").unwrap_or(created),
            ready_since,
            trouble: trouble(pod, &containers),
        })
    }

    /// How far it is at `now`: one that has not started for so long cannot, for all that is known.
    #[must_use]
    pub fn stage_at(&self, now: Timestamp) -> PodStage {
        match self.stage {
            PodStage::NotStarted if now.since(self.scheduled) >= STARTS_WITHIN => PodStage::CannotStart,
            stage => stage,
        }
    }

    /// Where it answers, if there is somebody to ask.
    #[must_use]
    pub fn address(&self, port: StatusPort) -> Option<SocketAddr> {
        self.ip.filter(|_| self.stage.may_run()).map(|ip| SocketAddr::new(ip, port.number))
    }

    /// A question to its worker, if there is somebody to ask.
    #[must_use]
    pub fn ask(&self, port: StatusPort, question: Question) -> Option<Ask<WorkerId>> {
        let ask = Ask::new(self.id.clone(), self.address(port)?, question);
        Some(Ask { name: port.names_are_known.then(|| self.id.to_string()), ..ask })
    }
}

fn instant(time: k8s_openapi::jiff::Timestamp) -> Timestamp {
    Timestamp::from_millis(time.as_millisecond())
}

fn stage(pod: &Pod, ready: bool, containers: &[&ContainerStatus]) -> PodStage {
    if ready {
        return PodStage::Ready;
    }
    if pod.spec.as_ref().is_none_or(|spec| spec.node_name.as_deref().unwrap_or("").is_empty()) {
        return PodStage::Unscheduled;
    }
    let waits = |container: &ContainerStatus| {
        container.state.as_ref().is_none_or(|state| state.running.is_none() && state.terminated.is_none())
    };
    if containers.iter().any(|container| !waits(container)) {
        return PodStage::NotReady;
    }
    if containers.iter().any(|container| container.restart_count >= CRASH_LOOP) {
        return PodStage::CrashLoop;
    }
    if containers.iter().any(|container| container.restart_count > 0) {
        return PodStage::NotReady;
    }
    let cannot_start = |container: &ContainerStatus| {
        let waiting = container.state.as_ref().and_then(|state| state.waiting.as_ref());
        let reason = waiting.and_then(|waiting| waiting.reason.as_deref());
        reason.is_some_and(|reason| CANNOT_START.contains(&reason))
    };
    if containers.iter().any(|container| cannot_start(container)) {
        PodStage::CannotStart
    } else {
        PodStage::NotStarted
    }
}

/// The containers that may have a job in hand: in a pod of ours only the worker itself, whatever becomes of those
/// beside it; in others' pods any.
fn those_that_work<'a>(pod: &Pod, containers: &[&'a ContainerStatus]) -> Vec<&'a ContainerStatus> {
    let is_ours = pod.metadata.labels.as_ref().is_some_and(|labels| labels.contains_key(POOL_LABEL));
    let worker = containers.iter().copied().find(|container| is_ours && container.name == build::WORKER);
    worker.map_or_else(|| containers.to_vec(), |worker| vec![worker])
}

/// Why the pod does not start, in Kubernetes' words.
fn trouble(pod: &Pod, containers: &[&ContainerStatus]) -> Option<String> {
    let waiting = containers.iter().find_map(|container| {
        let waiting = container.state.as_ref()?.waiting.as_ref()?;
        let reason = waiting.reason.as_deref().filter(|reason| *reason != "ContainerCreating")?;
        let detail = waiting.message.as_deref().unwrap_or_default();
        Some(format!("{reason}: {detail}").trim_end_matches([':', ' ']).to_owned())
    });
    waiting.or_else(|| {
        let conditions = pod.status.as_ref()?.conditions.as_ref()?;
        let unscheduled = |condition: &&k8s_openapi::api::core::v1::PodCondition| {
            condition.type_ == "PodScheduled" && condition.status == "False"
        };
        let condition = conditions.iter().find(unscheduled)?;
        let reason = condition.reason.as_deref().unwrap_or("Unscheduled");
        Some(format!("{reason}: {}", condition.message.as_deref().unwrap_or_default()))
    })
}

/// Leaves only what [`PodView`] reads, so that a cache of thousands stays small.
pub fn trim(pod: &mut Pod) {
    let meta = &mut pod.metadata;
    meta.managed_fields = None;
    if let Some(annotations) = &mut meta.annotations {
        annotations.retain(|name, _| name == DELETION_COST);
    }
    let node = pod.spec.take().and_then(|spec| spec.node_name);
    pod.spec = Some(k8s_openapi::api::core::v1::PodSpec { node_name: node, ..Default::default() });
    if let Some(status) = &mut pod.status {
        status.host_ips = None;
        status.pod_ips = None;
        status.init_container_statuses = None;
        status.ephemeral_container_statuses = None;
        if let Some(conditions) = &mut status.conditions {
            conditions.retain(|condition| matches!(condition.type_.as_str(), "Ready" | "PodScheduled"));
        }
        for container in status.container_statuses.iter_mut().flatten() {
            container.last_state = None;
            container.image_id = String::new();
            container.resources = None;
            container.allocated_resources = None;
            container.volume_mounts = None;
        }
    }
}

#[cfg(test)]
#[path = "pods_tests.rs"]
mod tests;
