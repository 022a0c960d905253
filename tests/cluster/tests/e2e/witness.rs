//! What becomes of every pod of a namespace, seen from outside: by a watch, and by its log from the first line on.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures::{AsyncBufReadExt, TryStreamExt};
use k8s_openapi::api::core::v1::Pod;
use kube::api::LogParams;
use kube::runtime::watcher;
use kube::runtime::watcher::Event;
use kube::{Api, Client, ResourceExt};
use serde_json::Value;
use tokio::task::JoinSet;

/// The pods of one namespace, followed from now on.
#[derive(Debug)]
pub struct Witness {
    seen: Arc<Mutex<BTreeMap<String, Seen>>>,
    _tasks: JoinSet<()>,
}

/// What was seen of one pod.
#[derive(Debug, Clone, Default)]
pub struct Seen {
    /// Whether it is still there.
    pub is_there: bool,
    /// How often a container of it was started again.
    pub restarts: i32,
    /// The exit code of its container, once that has ended.
    pub exit: Option<i32>,
    /// Its log so far, a JSON value a line.
    pub log: Vec<Value>,
    /// Whether its log has been read to its end.
    pub is_read: bool,
}

impl Seen {
    /// The log's messages, one after the other.
    pub fn messages(&self) -> Vec<&str> {
        self.log.iter().filter_map(|line| line["fields"]["message"].as_str()).collect()
    }
}

impl Witness {
    /// Follows the pods of `namespace`, whose containers log in JSON.
    pub fn follow(client: Client, namespace: &str) -> Self {
        let seen = Arc::new(Mutex::new(BTreeMap::new()));
        let mut tasks = JoinSet::new();
        tasks.spawn(follow(Api::namespaced(client, namespace), Arc::clone(&seen)));
        Self { seen, _tasks: tasks }
    }

    /// All pods that were ever seen, by name.
    pub fn pods(&self) -> BTreeMap<String, Seen> {
        lock(&self.seen).clone()
    }
}

fn lock(seen: &Mutex<BTreeMap<String, Seen>>) -> MutexGuard<'_, BTreeMap<String, Seen>> {
    seen.lock().unwrap_or_else(PoisonError::into_inner)
}

async fn follow(pods: Api<Pod>, seen: Arc<Mutex<BTreeMap<String, Seen>>>) {
    let mut logs = JoinSet::new();
    loop {
        let mut events = Box::pin(watcher(pods.clone(), watcher::Config::default()));
        while let Ok(Some(event)) = events.try_next().await {
            let (pod, is_there) = match event {
                Event::Apply(pod) | Event::InitApply(pod) => (pod, true),
                Event::Delete(pod) => (pod, false),
                Event::Init | Event::InitDone => continue,
            };
            let name = pod.name_any();
            let mut seen_now = lock(&seen);
            let is_new = !seen_now.contains_key(&name);
            let one = seen_now.entry(name.clone()).or_default();
            one.is_there = is_there;
            for status in pod.status.iter().filter_map(|status| status.container_statuses.as_ref()).flatten()
            {
                one.restarts = one.restarts.max(status.restart_count);
                let ended = status.state.as_ref().and_then(|state| state.terminated.as_ref());
                one.exit = ended.map(|ended| ended.exit_code).or(one.exit);
            }
            if is_new {
                logs.spawn(read_log(pods.clone(), name, Arc::clone(&seen)));
            }
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

/// Reads a pod's log as it is written, anew where it breaks off before the container has ended. Until its container
/// runs there is none, and that is an error.
async fn read_log(pods: Api<Pod>, name: String, seen: Arc<Mutex<BTreeMap<String, Seen>>>) {
    let whole = LogParams { follow: true, ..LogParams::default() };
    let ask = |one: fn(&Seen) -> bool| one(&lock(&seen)[&name]);
    while ask(|seen| seen.is_there) {
        if let Ok(log) = pods.log_stream(&name, &whole).await {
            let mut lines = Vec::new();
            let read = log.lines().try_for_each(|line| {
                lines.push(serde_json::from_str(&line).unwrap_or(Value::String(line)));
                let mut seen = lock(&seen);
                let log = &mut seen.get_mut(&name).unwrap().log;
                // One that is read anew when its container is gone says only that.
                if lines.len() > log.len() {
                    log.clone_from(&lines);
                }
                std::future::ready(Ok(()))
            });
            if read.await.is_ok() && ask(|seen| seen.exit.is_some()) {
                break;
            }
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    lock(&seen).get_mut(&name).unwrap().is_read = true;
}
