//! Follows the pods: each that runs becomes a worker, each that goes takes its worker with it.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use futures::TryStreamExt;
use k8s_openapi::api::core::v1::Pod;
use kube::runtime::watcher;
use kube::runtime::watcher::Event;
use kube::{Api, ResourceExt};

use super::Shared;
use super::worker::{Running, Worker};
use crate::control_plane::client_of;

/// Watches until the runtime ends.
pub(super) async fn follow(kubeconfig: PathBuf, namespace: String, shared: Arc<Shared>) {
    let pods: Api<Pod> = Api::namespaced(client_of(&kubeconfig).await, &namespace);
    let config = watcher::Config::default().labels(&shared.behaviour.selector);
    let mut known = Known { shared, workers: HashMap::new(), seen: Vec::new() };
    loop {
        let events = watcher(pods.clone(), config.clone());
        // A watch breaks when the API server is killed: the next one begins with a list of all.
        let broken = events.try_for_each(|event| {
            known.take(event);
            std::future::ready(Ok(()))
        });
        let _ = broken.await;
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

struct Known {
    shared: Arc<Shared>,
    /// By the pods' uids.
    workers: HashMap<String, Running>,
    /// The pods of a list that is being read.
    seen: Vec<String>,
}

impl Known {
    fn take(&mut self, event: Event<Pod>) {
        match event {
            Event::Init => self.seen.clear(),
            Event::InitApply(pod) => {
                self.seen.push(pod.uid().unwrap_or_default());
                self.apply(&pod);
            }
            Event::InitDone => {
                let seen = std::mem::take(&mut self.seen);
                self.workers.retain(|uid, worker| {
                    let stays = seen.contains(uid);
                    if !stays {
                        worker.go();
                        worker.end();
                    }
                    stays
                });
            }
            Event::Apply(pod) => self.apply(&pod),
            Event::Delete(pod) => {
                if let Some(mut worker) = self.workers.remove(&pod.uid().unwrap_or_default()) {
                    // A pod that is deleted without grace is not told first.
                    worker.go();
                    worker.end();
                }
            }
        }
    }

    fn apply(&mut self, pod: &Pod) {
        let uid = pod.uid().unwrap_or_default();
        if pod.metadata.deletion_timestamp.is_some() {
            if let Some(worker) = self.workers.get_mut(&uid) {
                worker.go();
            }
            return;
        }
        let runs = pod.status.as_ref().and_then(|status| status.phase.as_deref()) == Some("Running");
        if runs && !self.workers.contains_key(&uid) {
            let running = Worker::of(pod, &self.shared).start();
            self.workers.insert(uid, running);
        }
    }
}
