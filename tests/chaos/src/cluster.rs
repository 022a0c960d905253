//! The fleet of pods: the operator on a real control plane, over kwok's pods that are real worker processes.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use k8s_openapi::api::core::v1::Pod;
use kube::api::DeleteParams;
use kube::{Api, Client};
use reelpool_cluster::{
    ApiProxy, Audit, Call, ControlPlane, Deed, Kwok, KwokSettings, OPERATOR_USER, Operator, OperatorSettings,
    Qps, Settings, install,
};
use reelpool_tests::process::processes;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::json;
use tempfile::TempDir;
use tokio::task::block_in_place;

use crate::cloud::{Cloud, MASTERS, RENDITIONS};
use crate::kubelet::Kubelet;
use crate::lasting::Lasting;
use crate::outputs::Outputs;
use crate::proxy::Weather;
use crate::seed::stream;
use crate::shell::{self, Shell};
use crate::storm::{Blow, Sky, Strike};
use crate::tally::Tally;
use crate::verdict::Verdict;
use crate::work::{self, Job};

const NAMESPACE: &str = "videos";
const POOL: &str = "cattube";
/// Whom the API server knows who deletes pods in a storm, and the nodes.
const STORM: &str = "storm";
/// The least that a pool may ask for.
const VISIBILITY: Duration = Duration::from_secs(10);
const WORKERS: u32 = 8;
/// Pods go when their process has ended, not by themselves.
const NEVER: Duration = Duration::from_secs(24 * 3600);
/// Of a hundred requests to the API server, so many go wrong.
const API_PERCENT: u8 = 5;
/// The pause before an operator that ended is started again.
const AGAIN: Duration = Duration::from_secs(1);

/// Runs `videos` jobs of `seed` over the fleet of pods.
pub async fn run(seed: u64, videos: usize) -> Verdict {
    let tally = Tally::default();
    let work = work::draw(seed, videos, true);
    let verdict = Verdict { shell: "pods", seed, faults: tally.clone(), ..Verdict::default() };
    let cluster = Cluster::start(seed, tally).await;
    shell::run(cluster, &work, verdict).await
}

/// The operator, the control plane, and what is done to them.
struct Cluster {
    // What is dropped first stands first.
    operator: Option<Operator>,
    kubelet: Kubelet,
    api: ApiProxy,
    _kwok: Kwok,
    plane: ControlPlane,
    cloud: Cloud,
    client: Client,
    folder: TempDir,
    tally: Tally,
    /// Whether requests to the API server go wrong.
    windy: Arc<AtomicBool>,
    operator_at: Instant,
    /// How many decisions of all operators broke a rule, as far as they could be asked.
    violations: f64,
    lasting: Lasting,
    api_server_at: Option<Instant>,
    api_at: Option<Instant>,
}

impl Cluster {
    async fn start(seed: u64, tally: Tally) -> Self {
        let cloud = Cloud::start(seed, VISIBILITY, tally.clone()).await;
        // As slow as nearly every cluster for every other seed: what is chosen to go is not deleted at once.
        let qps = if seed.is_multiple_of(2) { Qps::Stock } else { Qps::Fast };
        let (plane, kwok) = block_in_place(|| {
            let plane = ControlPlane::start(Settings { qps, ..Settings::default() }.audited());
            let kwok =
                Kwok::start(&plane, &KwokSettings { nodes: 2, stopping: NEVER, ..KwokSettings::default() });
            install(&plane, "reelpool-system");
            plane.apply(&format!("{{apiVersion: v1, kind: Namespace, metadata: {{name: {NAMESPACE}}}}}"));
            (plane, kwok)
        });
        let client = plane.client_of(&plane.kubeconfig_of(STORM, "system:masters")).await;
        let folder = TempDir::new().unwrap();
        let kubelet = Kubelet::start(client.clone(), NAMESPACE, "reelpool.dev/pool", folder.path());
        let user = plane.kubeconfig_of(OPERATOR_USER, "system:masters");
        let api = ApiProxy::start(&plane, &user);
        let windy = Arc::new(AtomicBool::new(false));
        api.act(wind(seed, Arc::clone(&windy), tally.clone()));
        let mut this = Self {
            operator: None,
            kubelet,
            api,
            _kwok: kwok,
            plane,
            cloud,
            client,
            folder,
            tally,
            windy,
            operator_at: Instant::now(),
            violations: 0.0,
            lasting: Lasting::default(),
            api_server_at: None,
            api_at: None,
        };
        this.start_operator();
        this.make_pool();
        let processes = this.kubelet.processes();
        this.cloud.proxy.killer(move |who| processes.kill(who));
        this.windy.store(true, Ordering::Relaxed);
        this.cloud.proxy.weather(Weather::Breeze);
        this
    }

    fn start_operator(&mut self) {
        let settings = OperatorSettings {
            kubeconfig: Some(self.api.kubeconfig().to_owned()),
            ..OperatorSettings::at(&self.cloud.proxy.endpoint())
        };
        self.operator = Some(Operator::start(&self.plane, settings));
    }

    fn make_pool(&self) {
        let pool = json!({
            "apiVersion": "reelpool.dev/v1alpha1",
            "kind": "WorkerPool",
            "metadata": {"name": POOL, "namespace": NAMESPACE},
            "spec": {
                "queue": {"sqs": {"queueURL": self.cloud.queue.url}},
                "masters": {"url": format!("s3://{MASTERS}")},
                "output": {"url": format!("s3://{RENDITIONS}")},
                "ladder": ["48p", "32p"],
                "maxWorkers": WORKERS,
                "scaling": {"pollSeconds": 1, "scaleIn": {"zeroAfterSeconds": 4, "idleSeconds": 1}},
                "worker": {
                    "visibilityTimeoutSeconds": VISIBILITY.as_secs(),
                    "gracePeriodSeconds": 30,
                    "maxAttempts": 100,
                    "preset": "ultrafast",
                },
            },
        });
        block_in_place(|| self.plane.apply(&pool.to_string()));
    }

    fn ffmpeg(&self, whom: usize) -> Option<Pid> {
        let mut found: Vec<i32> = processes()
            .into_iter()
            .filter(|process| process.is("ffmpeg") && !process.zombie && process.bears(self.folder.path()))
            .map(|process| process.pid)
            .collect();
        found.sort_unstable();
        Pid::from_raw(*found.get(whom.checked_rem(found.len())?)?)
    }

    fn signal_worker(&mut self, whom: usize, signal: Signal, name: &'static str) -> Option<Pid> {
        let (_, process) = self.kubelet.pick(whom)?;
        process.signal(signal);
        let pid = process.pid();
        self.tally.count(name);
        Some(pid)
    }

    fn signal_ffmpeg(&mut self, whom: usize, signal: Signal, name: &'static str) -> Option<Pid> {
        let pid = self.ffmpeg(whom)?;
        kill_process(pid, signal).ok()?;
        self.tally.count(name);
        Some(pid)
    }

    async fn delete_pod(&mut self, whom: usize) {
        let Some((name, _)) = self.kubelet.pick(whom) else { return };
        let pods: Api<Pod> = Api::namespaced(self.client.clone(), NAMESPACE);
        // While the API server is down nobody deletes anything.
        if pods.delete(&name, &DeleteParams::default()).await.is_ok() {
            self.tally.count("pod deleted");
        }
    }

    fn strike_operator(&mut self, blow: Blow) {
        let Some(operator) = &mut self.operator else { return };
        if !operator.daemon().runs() {
            return;
        }
        match blow.strike {
            Strike::KillController(time) => {
                self.tally.count("controller killed");
                self.violations += violations(operator);
                operator.daemon().kill();
                self.operator_at = Instant::now() + time;
            }
            Strike::TermController(time) => {
                self.tally.count("controller told to stop");
                operator.signal(Signal::TERM);
                self.operator_at = Instant::now() + time;
            }
            Strike::StopController(time) => {
                self.tally.count("controller stopped");
                operator.signal(Signal::STOP);
                let pid = operator.daemon().pid();
                self.lasting.stop(Some(pid), time);
            }
            _ => {}
        }
    }

    /// Those whom a scaling decision took from their job: pods that were deleted, by nobody of the storm, while their
    /// worker had a message in hand, or took one between that and its end.
    fn interrupted(&self) -> Vec<String> {
        let held = self.cloud.proxy.held();
        let mut found = Vec::new();
        for deletion in Audit::of(&self.plane).deletions(NAMESPACE) {
            let Some(life) = self.kubelet.lives().get(&deletion.pod) else { continue };
            if deletion.by == STORM {
                continue;
            }
            let end = life.gone.unwrap_or(deletion.answered);
            let met = held.iter().filter(|held| held.who == life.address);
            for held in met.filter(|held| held.during(deletion.received, end)) {
                found.push(format!(
                    "{} deleted {} ({:?}), which had {} ({:?} to {:?})",
                    deletion.by, deletion.pod, deletion.received, held.message, held.from, held.to
                ));
            }
        }
        found
    }
}

/// How many decisions of this operator broke a rule; the count goes with it.
fn violations(operator: &Operator) -> f64 {
    block_in_place(|| operator.metrics()).sum("reelpool_invariant_violations_total", &[])
}

/// What becomes of the operator's requests to the API server.
fn wind(seed: u64, windy: Arc<AtomicBool>, tally: Tally) -> impl FnMut(&Call) -> Deed + Send + 'static {
    let mut number = 0_u64;
    move |call| {
        number += 1;
        let mut random = stream(seed, &format!("api {} {} {number}", call.verb, call.resource));
        let calm = !windy.load(Ordering::Relaxed);
        if calm || random.u8(..100) >= API_PERCENT {
            return Deed::Pass;
        }
        let late = Duration::from_secs_f64(0.1 + 2.9 * random.f64());
        if call.verb == "watch" {
            tally.count("watch broken");
            return Deed::Break(late * 3);
        }
        let (name, deed) = match random.u8(..8) {
            0 => ("API 500", Deed::Fail(500)),
            1 => ("API 429", Deed::Fail(429)),
            2 => ("API request lost", Deed::Cut),
            3 => ("API request late", Deed::Late(late)),
            4 => ("API answer late", Deed::Slow(late)),
            _ => ("API answer lost", Deed::Lose),
        };
        tally.count(name);
        deed
    }
}

impl Shell for Cluster {
    fn sky(&self) -> Sky {
        Sky::Cluster
    }

    fn outputs(&self) -> Outputs {
        self.cloud.outputs()
    }

    fn workers(&self) -> usize {
        self.kubelet.pods()
    }

    async fn ask(&mut self, job: &Job) {
        self.cloud.ask(job).await;
    }

    async fn strike(&mut self, blow: Blow) {
        match blow.strike {
            Strike::KillWorker => {
                self.signal_worker(blow.whom, Signal::KILL, "worker killed");
            }
            Strike::TermWorker => {
                self.signal_worker(blow.whom, Signal::TERM, "worker told to stop");
            }
            Strike::StopWorker(time) => {
                let pid = self.signal_worker(blow.whom, Signal::STOP, "worker stopped");
                self.lasting.stop(pid, time);
            }
            Strike::KillFfmpeg => {
                self.signal_ffmpeg(blow.whom, Signal::KILL, "ffmpeg killed");
            }
            Strike::StopFfmpeg(time) => {
                let pid = self.signal_ffmpeg(blow.whom, Signal::STOP, "ffmpeg stopped");
                self.lasting.stop(pid, time);
            }
            Strike::KillController(_) | Strike::TermController(_) | Strike::StopController(_) => {
                self.strike_operator(blow);
            }
            Strike::Partition(time) => {
                self.lasting.cut_off(&self.cloud.proxy, time);
            }
            Strike::Squall(time) => {
                self.lasting.squall(&self.cloud.proxy, &self.tally, time);
            }
            Strike::KillApiServer(time) => {
                if self.api_server_at.is_none() {
                    self.tally.count("API server killed");
                    block_in_place(|| self.plane.kill_api_server());
                    self.api_server_at = Some(Instant::now() + time);
                }
            }
            Strike::CutOffOperator(time) => {
                self.tally.count("controller cut off");
                self.api.refuse();
                self.api_at = Some(Instant::now() + time);
            }
            Strike::DeletePod => self.delete_pod(blow.whom).await,
        }
    }

    async fn look_after(&mut self) {
        let now = Instant::now();
        self.lasting.end_due(Some(&self.cloud.proxy), now);
        if self.api_at.take_if(|at| *at <= now).is_some() {
            self.api.accept();
        }
        if self.api_server_at.take_if(|at| *at <= now).is_some() {
            block_in_place(|| self.plane.start_api_server());
        }
        if self.operator.as_mut().is_some_and(|operator| !operator.daemon().runs()) {
            self.operator = None;
            self.operator_at = self.operator_at.max(now + AGAIN);
        }
        if self.operator.is_none() && self.operator_at <= now {
            self.start_operator();
        }
        self.kubelet.look_after(&self.cloud.proxy).await;
    }

    async fn calm(&mut self) {
        self.lasting.end_all(Some(&self.cloud.proxy));
        self.windy.store(false, Ordering::Relaxed);
        self.api.accept();
        if self.api_server_at.take().is_some() {
            block_in_place(|| self.plane.start_api_server());
        }
        self.api_at = None;
        self.operator_at = Instant::now();
    }

    async fn left(&mut self) -> u64 {
        self.cloud.left().await
    }

    fn logs(&self) -> Vec<PathBuf> {
        vec![self.plane.folder().join("logs"), self.folder.path().to_path_buf()]
    }

    async fn close(&mut self, verdict: &mut Verdict) -> Vec<String> {
        verdict.workers = self.kubelet.started();
        verdict.jobs_begun = self.cloud.proxy.held().len();
        verdict.interrupted = self.interrupted();
        self.violations += self.operator.as_ref().map_or(0.0, violations);
        if self.violations > 0.0 {
            verdict.leftovers.push(format!("{} decisions broke a rule", self.violations));
        }
        if !Audit::of(&self.plane).deletions(NAMESPACE).iter().any(|deletion| deletion.by != STORM) {
            verdict
                .leftovers
                .push("Kubernetes is not seen to delete any pod: the witness is blind".to_owned());
        }
        self.cloud.take_dead_letters().await
    }
}
