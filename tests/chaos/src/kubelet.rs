//! What a node does for a pod, for kwok's pods: each that runs is a real worker process, started again when it ends, told
//! to stop when the pod is told to go, and gone before the pod is.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use futures::TryStreamExt;
use k8s_openapi::api::core::v1::Pod;
use kube::api::{DeleteParams, Preconditions};
use kube::runtime::watcher::{self, Event, watcher};
use kube::{Api, Client, ResourceExt};
use reelpool_cluster::Daemon;
use reelpool_tests::{Emulator, binaries};
use rustix::process::{Pid, Signal, kill_process};

use crate::proxy::Proxy;

/// The port that every worker listens on, under its pod's address.
const STATUS_PORT: u16 = 8080;
/// The pause before an ended worker is started again.
const AGAIN: Duration = Duration::from_secs(1);

/// The pods of one namespace, and their processes.
pub struct Kubelet {
    pods: Api<Pod>,
    root: PathBuf,
    seen: Arc<Mutex<BTreeMap<String, Seen>>>,
    running: BTreeMap<String, Running>,
    lives: BTreeMap<String, Life>,
    processes: Processes,
    started: usize,
    watching: tokio::task::JoinHandle<()>,
}

/// A pod as the API server has it.
#[derive(Debug, Clone)]
struct Seen {
    name: String,
    address: IpAddr,
    environment: Vec<(String, String)>,
    grace: Duration,
    goes: bool,
}

/// A pod with a process.
#[derive(Debug)]
struct Running {
    seen: Seen,
    folder: PathBuf,
    process: Option<Daemon>,
    again_at: Instant,
    told_at: Option<Instant>,
}

/// The worker process of each pod's address.
#[derive(Debug, Clone, Default)]
pub struct Processes(Arc<Mutex<BTreeMap<IpAddr, Pid>>>);

impl Processes {
    fn lock(&self) -> MutexGuard<'_, BTreeMap<IpAddr, Pid>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// SIGKILL for the worker at this address; returns whether there was one.
    #[must_use]
    pub fn kill(&self, address: IpAddr) -> bool {
        // Its id is nobody else's while it is listed: whoever reaps it has the list meanwhile.
        self.lock().get(&address).is_some_and(|pid| kill_process(*pid, Signal::KILL).is_ok())
    }
}

/// From when to when a pod of an address was there.
#[derive(Debug, Clone, Copy)]
pub struct Life {
    /// Its address.
    pub address: IpAddr,
    /// When its last process had ended for good; `None`: it runs.
    pub gone: Option<SystemTime>,
}

impl Kubelet {
    /// Follows the pods of `namespace` with a `label`; what their workers need is under `root`.
    #[must_use]
    pub fn start(client: Client, namespace: &str, label: &str, root: &Path) -> Self {
        let pods: Api<Pod> = Api::namespaced(client, namespace);
        let seen = Arc::new(Mutex::new(BTreeMap::new()));
        let watching = tokio::spawn(follow(pods.clone(), label.to_owned(), Arc::clone(&seen)));
        Self {
            pods,
            root: root.to_path_buf(),
            seen,
            running: BTreeMap::new(),
            lives: BTreeMap::new(),
            processes: Processes::default(),
            started: 0,
            watching,
        }
    }

    fn seen(&self) -> MutexGuard<'_, BTreeMap<String, Seen>> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How many pods there are, those that are told to go among them until their process has ended.
    #[must_use]
    pub fn pods(&self) -> usize {
        self.seen().len().max(self.running.len())
    }

    /// How many worker processes were started in all.
    #[must_use]
    pub fn started(&self) -> usize {
        self.started
    }

    /// The processes of all pods.
    #[must_use]
    pub fn processes(&self) -> Processes {
        self.processes.clone()
    }

    /// The address and the end of each pod that ever was, by its name.
    #[must_use]
    pub fn lives(&self) -> &BTreeMap<String, Life> {
        &self.lives
    }

    /// The name and the process of one of the pods whose worker runs.
    pub fn pick(&mut self, whom: usize) -> Option<(String, &mut Daemon)> {
        // Who has ended is reaped by this look.
        let mut listed = self.processes.lock();
        let mut running: Vec<_> = self
            .running
            .values_mut()
            .filter_map(|pod| Some((&pod.seen, pod.process.as_mut()?)))
            .filter_map(|(seen, process)| {
                if !process.runs() {
                    listed.remove(&seen.address);
                    return None;
                }
                Some((seen.name.clone(), process))
            })
            .collect();
        let index = whom.checked_rem(running.len())?;
        Some(running.swap_remove(index))
    }

    /// Starts, tells, ends and clears away what is due.
    pub async fn look_after(&mut self, proxy: &Proxy) {
        let seen = self.seen().clone();
        for (uid, pod) in &seen {
            if !pod.goes && !self.running.contains_key(uid) {
                let folder = self.root.join(&pod.name);
                std::fs::create_dir_all(&folder).unwrap();
                self.lives.insert(pod.name.clone(), Life { address: pod.address, gone: None });
                let running = Running {
                    seen: pod.clone(),
                    folder,
                    process: None,
                    again_at: Instant::now(),
                    told_at: None,
                };
                self.running.insert(uid.clone(), running);
            }
        }
        let mut gone = Vec::new();
        for (uid, pod) in &mut self.running {
            let is_there = seen.get(uid);
            if is_there.is_none_or(|seen| seen.goes) && pod.told_at.is_none() {
                pod.told_at = Some(Instant::now());
                if let Some(process) = &mut pod.process
                    && process.runs()
                {
                    process.signal(Signal::TERM);
                }
            }
            if let Some(process) = &mut pod.process {
                // A pod that is deleted without grace takes its process with it.
                let late = pod.told_at.is_some_and(|at| at.elapsed() > pod.seen.grace);
                let mut listed = self.processes.lock();
                if late || is_there.is_none() {
                    listed.remove(&pod.seen.address);
                    process.kill();
                }
                if !process.runs() {
                    listed.remove(&pod.seen.address);
                    proxy.died(pod.seen.address);
                    pod.process = None;
                    pod.again_at = Instant::now() + AGAIN;
                }
            }
            if pod.process.is_none() && pod.told_at.is_some() {
                gone.push((uid.clone(), is_there.is_some()));
            } else if pod.process.is_none() && pod.again_at <= Instant::now() {
                self.started += 1;
                let process = start(pod, proxy);
                self.processes.lock().insert(pod.seen.address, process.pid());
                pod.process = Some(process);
            }
        }
        for (uid, is_there) in gone {
            if is_there && !self.clear_away(&uid).await {
                continue;
            }
            if let Some(pod) = self.running.remove(&uid) {
                if let Some(life) = self.lives.get_mut(&pod.seen.name) {
                    life.gone = Some(SystemTime::now());
                }
                let _ = std::fs::remove_dir_all(&pod.folder);
            }
        }
    }

    /// Takes a pod whose process has ended from the API server. Returns whether it is gone.
    async fn clear_away(&self, uid: &str) -> bool {
        let Some(name) = self.running.get(uid).map(|pod| pod.seen.name.clone()) else { return true };
        let this_one = Preconditions { uid: Some(uid.to_owned()), resource_version: None };
        let now = DeleteParams { preconditions: Some(this_one), ..DeleteParams::default() }.grace_period(0);
        match self.pods.delete(&name, &now).await {
            Ok(_) => true,
            // It is gone, or another of that name is there.
            Err(kube::Error::Api(status)) => matches!(status.code, 404 | 409),
            Err(_) => false,
        }
    }
}

impl Drop for Kubelet {
    fn drop(&mut self) {
        self.watching.abort();
    }
}

fn start(pod: &Running, proxy: &Proxy) -> Daemon {
    let mut command = Command::new(binaries::reelpool_worker());
    Emulator::give_credentials(&mut command);
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("REELPOOL_") {
            command.env_remove(name);
        }
    }
    let Running { seen: Seen { name, address, environment, .. }, folder, .. } = pod;
    command
        .arg("run")
        .envs(environment.iter().cloned())
        .env("REELPOOL_WORKER_ID", name)
        .env("REELPOOL_LISTEN", format!("{address}:{STATUS_PORT}"))
        .env("REELPOOL_ENDPOINT_URL", proxy.endpoint_of(*address))
        .env("REELPOOL_SCRATCH", folder.join("scratch"))
        .env("REELPOOL_THREADS", "1")
        .current_dir(folder);
    Daemon::spawn(name, &command, folder.with_extension("log"))
}

/// Watches until it is aborted.
async fn follow(pods: Api<Pod>, label: String, seen: Arc<Mutex<BTreeMap<String, Seen>>>) {
    loop {
        let mut listed = Vec::new();
        let events = watcher(pods.clone(), watcher::Config::default().labels(&label));
        // A watch breaks when the API server is killed: the next one begins with a list of all.
        let broken = events.try_for_each(|event| {
            let mut seen = seen.lock().unwrap_or_else(PoisonError::into_inner);
            match event {
                Event::Init => listed.clear(),
                Event::InitApply(pod) => {
                    listed.push(pod.uid().unwrap_or_default());
                    take(&mut seen, &pod);
                }
                Event::InitDone => seen.retain(|uid, _| listed.contains(uid)),
                Event::Apply(pod) => take(&mut seen, &pod),
                Event::Delete(pod) => {
                    seen.remove(&pod.uid().unwrap_or_default());
                }
            }
            std::future::ready(Ok(()))
        });
        let _ = broken.await;
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

fn take(seen: &mut BTreeMap<String, Seen>, pod: &Pod) {
    let status = pod.status.as_ref();
    let runs = status.and_then(|status| status.phase.as_deref()) == Some("Running");
    let address = status.and_then(|status| status.pod_ip.as_ref()?.parse().ok());
    let (Some(uid), Some(address), true) = (pod.uid(), address, runs) else { return };
    let containers = pod.spec.iter().flat_map(|spec| &spec.containers);
    let variables = containers.flat_map(|container| container.env.iter().flatten());
    let grace = pod.spec.as_ref().and_then(|spec| spec.termination_grace_period_seconds).unwrap_or(30);
    seen.insert(
        uid,
        Seen {
            name: pod.name_any(),
            address,
            environment: variables
                .filter_map(|variable| Some((variable.name.clone(), variable.value.clone()?)))
                .collect(),
            grace: Duration::from_secs(u64::try_from(grace).unwrap_or(0)),
            goes: pod.metadata.deletion_timestamp.is_some(),
        },
    );
}
