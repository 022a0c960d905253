//! Pools of workers: made by the hundred, and followed until they are Ready.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use futures::{StreamExt, TryStreamExt, stream};
use kube::api::PostParams;
use kube::runtime::watcher;
use kube::runtime::watcher::Event;
use kube::{Api, Client, ResourceExt};
use reelpool_api::WorkerPool;
use serde_json::{Value, json};

use crate::background::Background;
use crate::control_plane::{ControlPlane, client_of};

/// How many pools are made at once.
const AT_ONCE: usize = 16;

/// A pool as the tests make it; everything else is as Reelpool has it by default.
#[derive(Debug, Clone)]
pub struct PoolSpec {
    /// Its name.
    pub name: String,
    /// The URL of its queue.
    pub queue: String,
    /// The most workers.
    pub max_workers: u32,
    /// `spec.scaling`.
    pub scaling: Value,
}

impl PoolSpec {
    /// The whole object.
    #[must_use]
    pub fn object(&self) -> WorkerPool {
        let object = json!({
            "apiVersion": "reelpool.dev/v1alpha1",
            "kind": "WorkerPool",
            "metadata": {"name": self.name},
            "spec": {
                "queue": {"sqs": {"queueURL": self.queue}},
                "masters": {"url": "s3://masters/in"},
                "output": {"url": "s3://renditions"},
                "maxWorkers": self.max_workers,
                "scaling": self.scaling,
            },
        });
        serde_json::from_value(object).unwrap()
    }
}

/// The pools of one namespace, followed from now on.
#[derive(Debug)]
pub struct Pools {
    seen: Arc<Mutex<HashMap<String, Seen>>>,
    _background: Background,
}

#[derive(Debug, Clone, Default)]
struct Seen {
    ready: Option<Instant>,
    versions: usize,
    status: Option<Value>,
}

impl Pools {
    /// Follows the pools of `namespace`.
    #[must_use]
    pub fn follow(plane: &ControlPlane, namespace: &str) -> Self {
        let background = Background::new("pools");
        let seen = Arc::new(Mutex::new(HashMap::new()));
        let kubeconfig = plane.admin_kubeconfig().to_owned();
        background.handle().spawn(follow(kubeconfig, namespace.to_owned(), Arc::clone(&seen)));
        Self { seen, _background: background }
    }

    /// Makes pools in `namespace`, many at once.
    pub async fn create(client: Client, namespace: &str, pools: impl IntoIterator<Item = PoolSpec>) {
        let api: Api<WorkerPool> = Api::namespaced(client, namespace);
        let api = &api;
        let made = stream::iter(pools).for_each_concurrent(AT_ONCE, |pool| async move {
            let made = api.create(&PostParams::default(), &pool.object()).await;
            made.unwrap_or_else(|error| panic!("{}: {error}", pool.name));
        });
        made.await;
    }

    /// How many pools have been Ready, and when the last of them became so for the first time.
    #[must_use]
    pub fn ready(&self) -> (usize, Option<Instant>) {
        let seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        let times: Vec<Instant> = seen.values().filter_map(|pool| pool.ready).collect();
        (times.len(), times.into_iter().max())
    }

    /// The status of a pool as it was seen last.
    #[must_use]
    pub fn status(&self, pool: &str) -> Value {
        let seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        seen.get(pool).and_then(|pool| pool.status.clone()).unwrap_or_default()
    }

    /// How often a pool was seen to change, its making included.
    #[must_use]
    pub fn versions(&self, pool: &str) -> usize {
        let seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        seen.get(pool).map_or(0, |pool| pool.versions)
    }
}

async fn follow(kubeconfig: PathBuf, namespace: String, seen: Arc<Mutex<HashMap<String, Seen>>>) {
    let pools: Api<WorkerPool> = Api::namespaced(client_of(&kubeconfig).await, &namespace);
    loop {
        let events = watcher(pools.clone(), watcher::Config::default());
        let broken = events.try_for_each(|event| {
            if let Event::Apply(pool) | Event::InitApply(pool) = event {
                let mut seen = seen.lock().unwrap_or_else(PoisonError::into_inner);
                note(seen.entry(pool.name_any()).or_default(), &pool);
            }
            std::future::ready(Ok(()))
        });
        let _ = broken.await;
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

fn note(seen: &mut Seen, pool: &WorkerPool) {
    seen.versions += 1;
    seen.status = pool.status.as_ref().map(|status| serde_json::to_value(status).unwrap());
    let conditions = pool.status.iter().flat_map(|status| &status.conditions);
    if conditions.into_iter().any(|condition| condition.type_ == "Ready" && condition.status == "True") {
        seen.ready.get_or_insert_with(Instant::now);
    }
}
