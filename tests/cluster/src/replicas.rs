//! Every number of replicas that a Deployment was given, and when: seen by a watch, so by nobody's own account.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use futures::TryStreamExt;
use k8s_openapi::api::apps::v1::Deployment;
use kube::runtime::watcher;
use kube::runtime::watcher::Event;
use kube::{Api, ResourceExt};

use crate::background::Background;
use crate::control_plane::{ControlPlane, client_of};

/// The Deployments of one namespace, followed from now on.
#[derive(Debug)]
pub struct Replicas {
    seen: Arc<Mutex<HashMap<String, Seen>>>,
    _background: Background,
}

/// What was seen of one Deployment.
#[derive(Debug, Clone, Default)]
pub struct Seen {
    /// Each number of replicas that differs from the one before, and when it was seen; the first is the one that was
    /// found.
    pub wanted: Vec<(Instant, i32)>,
    /// Each number of ready pods that differs from the one before.
    pub ready: Vec<(Instant, i32)>,
    /// How often the spec was changed in all: the last generation.
    pub generation: i64,
}

impl Seen {
    /// The numbers of replicas, one after the other.
    #[must_use]
    pub fn numbers(&self) -> Vec<i32> {
        self.wanted.iter().map(|(_, number)| *number).collect()
    }

    /// When the number of replicas was first seen to be more than zero after `start`.
    #[must_use]
    pub fn rose_after(&self, start: Instant) -> Option<Instant> {
        self.wanted.iter().find(|(at, number)| *at >= start && *number > 0).map(|(at, _)| *at)
    }

    /// When so many pods were first seen to be ready after `start`.
    #[must_use]
    pub fn ready_after(&self, start: Instant, pods: i32) -> Option<Instant> {
        self.ready.iter().find(|(at, number)| *at >= start && *number == pods).map(|(at, _)| *at)
    }
}

impl Replicas {
    /// Follows the Deployments of `namespace`.
    #[must_use]
    pub fn follow(plane: &ControlPlane, namespace: &str) -> Self {
        let background = Background::new("replicas");
        let seen = Arc::new(Mutex::new(HashMap::new()));
        let kubeconfig = plane.admin_kubeconfig().to_owned();
        background.handle().spawn(follow(kubeconfig, namespace.to_owned(), Arc::clone(&seen)));
        Self { seen, _background: background }
    }

    /// What was seen of the Deployment so far; nothing when it was never there.
    #[must_use]
    pub fn of(&self, deployment: &str) -> Seen {
        let seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        seen.get(deployment).cloned().unwrap_or_default()
    }

    /// How many Deployments were seen.
    #[must_use]
    pub fn count(&self) -> usize {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner).len()
    }
}

async fn follow(kubeconfig: PathBuf, namespace: String, seen: Arc<Mutex<HashMap<String, Seen>>>) {
    let deployments: Api<Deployment> = Api::namespaced(client_of(&kubeconfig).await, &namespace);
    loop {
        let events = watcher(deployments.clone(), watcher::Config::default());
        let broken = events.try_for_each(|event| {
            if let Event::Apply(deployment) | Event::InitApply(deployment) = event {
                let mut seen = seen.lock().unwrap_or_else(PoisonError::into_inner);
                note(seen.entry(deployment.name_any()).or_default(), &deployment);
            }
            std::future::ready(Ok(()))
        });
        let _ = broken.await;
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

fn note(seen: &mut Seen, deployment: &Deployment) {
    let now = Instant::now();
    let wanted = deployment.spec.as_ref().and_then(|spec| spec.replicas).unwrap_or(1);
    let ready = deployment.status.as_ref().and_then(|status| status.ready_replicas).unwrap_or(0);
    for (numbers, number) in [(&mut seen.wanted, wanted), (&mut seen.ready, ready)] {
        if numbers.last().is_none_or(|(_, last)| *last != number) {
            numbers.push((now, number));
        }
    }
    seen.generation = deployment.metadata.generation.unwrap_or(0);
}
