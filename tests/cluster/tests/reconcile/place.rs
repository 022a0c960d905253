//! A namespace of a test's own on the control plane that all tests share, and what lives in it.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, OnceLock, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::Pod;
use kube::api::{ListParams, Patch, PatchParams};
use kube::{Api, Client};
use reelpool_api::WorkerPool;
use reelpool_cluster::{
    Audit, Behaviour, ControlPlane, Crowd, FaultProxy, HELD, Kwok, KwokSettings, MemorySqs, Operator,
    OperatorSettings, Replicas, Request, Settings, Source, eventually,
};
use serde_json::{Value, json};

/// What comes true is waited for for so long: ten times what it takes on a busy machine.
pub const SOON: Duration = Duration::from_secs(60);
/// How long a pod takes to go once it is told to. Jobs that are to end in that time are shorter.
pub const STOPPING: Duration = Duration::from_secs(3);
/// How much of an operator's log a failure shows.
const TAIL_LINES: usize = 60;
/// The templates of the chart that are not the operator's own pod: what it is allowed, its key, its name.
const TEMPLATES: [&str; 4] = ["serviceaccount", "drain-key", "rbac", "admission-policy"];

/// A control plane with fake nodes that knows WorkerPools.
pub struct World {
    pub plane: ControlPlane,
    _kwok: Kwok,
}

impl World {
    /// A new one.
    pub fn start() -> Self {
        let mut settings = Settings::default().audited();
        // An HPA writes as often as it may: the default is 15 s.
        settings.controller_manager_flags.push("--horizontal-pod-autoscaler-sync-period=5s".to_owned());
        let plane = ControlPlane::start(settings);
        let kwok = Kwok::start(&plane, &KwokSettings { stopping: STOPPING, ..KwokSettings::default() });
        plane.apply(&chart(&plane, "reelpool-system", &[], &["crds"]));
        let crd = "crd/workerpools.reelpool.dev";
        let _ = plane.kubectl(&["wait", "--for=condition=Established", "--timeout=60s", crd]).ok();
        Self { plane, _kwok: kwok }
    }

    /// The one that the tests share; it ends with the test process.
    pub fn shared() -> &'static Self {
        static SHARED: OnceLock<World> = OnceLock::new();
        SHARED.get_or_init(Self::start)
    }
}

/// What the chart makes of these templates.
fn chart(plane: &ControlPlane, namespace: &str, values: &[String], templates: &[&str]) -> String {
    let chart = reelpool_tests::repository().join("charts/reelpool").display().to_string();
    let mut args = vec!["template", "reelpool", &chart, "--namespace", namespace];
    args.extend(values.iter().map(String::as_str));
    let shown: Vec<String> =
        templates.iter().map(|name| format!("--show-only=templates/{name}.yaml")).collect();
    args.extend(shown.iter().map(String::as_str));
    plane.helm(&args).ok()
}

/// A namespace with queues, simulated workers, and the rights for an operator. Its time is printed when it is dropped.
pub struct Place<'a> {
    /// The namespace of the pools; the operator's own is `<name>-system`.
    pub name: String,
    pub plane: &'a ControlPlane,
    pub client: Client,
    pub sqs: MemorySqs,
    pub proxy: FaultProxy,
    pub crowd: Crowd,
    pub replicas: Replicas,
    pub audit: Audit,
    start: Instant,
    began: SystemTime,
}

impl Place<'static> {
    /// A namespace of this name on the shared control plane.
    pub async fn new(name: &str) -> Self {
        Self::with(name, |_| ()).await
    }

    /// The same, with workers that behave otherwise.
    pub async fn with(name: &str, change: impl FnOnce(&mut Behaviour)) -> Self {
        let start = Instant::now();
        let world = tokio::task::spawn_blocking(World::shared).await.unwrap();
        let mut behaviour = Behaviour::default();
        change(&mut behaviour);
        Self::on(world, name, behaviour, start).await
    }
}

impl<'a> Place<'a> {
    /// A namespace of this name.
    pub async fn on(world: &'a World, name: &str, behaviour: Behaviour, start: Instant) -> Place<'a> {
        let plane = &world.plane;
        let home = format!("{name}-system");
        let namespaces = [name, &home].map(|name| {
            json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}}).to_string()
        });
        plane.apply(&namespaces.join("\n---\n"));
        let watched = [format!("--set=watchNamespace={name}")];
        plane.apply(&chart(plane, &home, &watched, &TEMPLATES));
        let sqs = MemorySqs::start();
        Place {
            name: name.to_owned(),
            plane,
            client: plane.client().await,
            proxy: FaultProxy::start(&sqs.endpoint()),
            crowd: Crowd::start(plane, name, Source::Memory(&sqs), behaviour),
            sqs,
            replicas: Replicas::follow(plane, name),
            audit: Audit::of(plane),
            start,
            began: SystemTime::now(),
        }
    }

    /// How the operator of this name is started here: as the chart's service account.
    pub fn operator(&self, identity: &str) -> OperatorSettings {
        let home = format!("{}-system", self.name);
        let identity = format!("{}-{identity}", self.name);
        OperatorSettings {
            kubeconfig: Some(self.kubeconfig(&home, &identity)),
            namespace: home,
            watch_namespace: Some(self.name.clone()),
            identity,
            ..OperatorSettings::at(&self.proxy.endpoint())
        }
    }

    /// A token for each operator, so that the audit log tells them apart.
    fn kubeconfig(&self, home: &str, identity: &str) -> PathBuf {
        // All tokens of one account are first written to the same file.
        static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());
        let _guard = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
        let file = self.plane.kubeconfig_for((home, "reelpool-operator"));
        let own = file.with_file_name(identity);
        std::fs::rename(file, &own).unwrap();
        own
    }

    /// An operator that leads.
    pub fn lead(&self) -> Operator {
        Operator::lead(self.plane, self.operator("a"))
    }

    pub fn pools(&self) -> Api<WorkerPool> {
        Api::namespaced(self.client.clone(), &self.name)
    }

    pub fn deployments(&self) -> Api<Deployment> {
        Api::namespaced(self.client.clone(), &self.name)
    }

    pub fn pods(&self) -> Api<Pod> {
        Api::namespaced(self.client.clone(), &self.name)
    }

    /// A pool of this name over the queue of this name, which is made; fields of `spec` take the place of the usual.
    pub async fn make(&self, name: &str, spec: Value) -> WorkerPool {
        let mut pool = json!({
            "apiVersion": "reelpool.dev/v1alpha1", "kind": "WorkerPool",
            "metadata": {"name": name},
            "spec": {
                "queue": {"sqs": {"queueURL": self.sqs.create(name)}},
                "maxWorkers": 20,
                "scaling": {"scaleIn": {"zeroAfterSeconds": 2, "idleSeconds": 1}},
            },
        });
        let usual = &mut pool["spec"];
        if spec["targetRef"].is_null() {
            usual["masters"] = json!({"url": "s3://masters/in"});
            usual["output"] = json!({"url": "s3://renditions"});
        }
        for (field, value) in spec.as_object().unwrap() {
            usual[field] = value.clone();
        }
        let params = PatchParams::apply("user").force();
        self.pools().patch(name, &params, &Patch::Apply(&pool)).await.unwrap()
    }

    /// Changes fields of a pool's spec.
    pub async fn change(&self, name: &str, spec: Value) {
        let patch = Patch::Merge(json!({ "spec": spec }));
        self.pools().patch(name, &PatchParams::default(), &patch).await.unwrap();
    }

    /// Sends messages to the queue of a pool.
    pub fn send(&self, pool: &str, count: usize) {
        self.sqs.send(&self.sqs.create(pool), count, "job");
    }

    /// Sends messages that are worked on until the crowd's release.
    pub fn send_held(&self, pool: &str, count: usize) {
        self.sqs.send(&self.sqs.create(pool), count, HELD);
    }

    /// Waits until `condition` holds.
    pub async fn eventually(&self, what: &str, condition: impl AsyncFnMut() -> bool) -> Duration {
        eventually(&format!("{}: {what}", self.name), SOON, condition).await
    }

    /// The replicas that a Deployment asks for now; `None`: it is not there.
    pub async fn asked(&self, deployment: &str) -> Option<i32> {
        let deployment = self.deployments().get_opt(deployment).await.unwrap()?;
        Some(deployment.spec.unwrap().replicas.unwrap())
    }

    /// The same where it may take for so long.
    pub async fn within(
        &self,
        limit: Duration,
        what: &str,
        condition: impl AsyncFnMut() -> bool,
    ) -> Duration {
        eventually(&format!("{}: {what}", self.name), limit, condition).await
    }

    /// Waits until the Deployment of a pool asks for so many.
    pub async fn reaches(&self, pool: &str, replicas: i32) -> Duration {
        let deployment = format!("{pool}-workers");
        let what = format!("{pool} has {replicas} replicas");
        self.eventually(&what, async || self.asked(&deployment).await == Some(replicas)).await
    }

    /// Waits until so many workers of this place have a job in hand.
    pub async fn busy(&self, workers: usize) {
        self.eventually(&format!("{workers} are busy"), async || self.crowd.report().busy == workers).await;
    }

    /// Watches for `time` that `holds` holds at each look.
    pub async fn for_all_of(&self, time: Duration, what: &str, mut holds: impl AsyncFnMut() -> bool) {
        let start = Instant::now();
        while start.elapsed() < time {
            assert!(holds().await, "{}: not any more after {:?}: {what}", self.name, start.elapsed());
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }

    /// The writes that the API server granted this place's operators, on objects of this kind.
    pub fn writes(&self, resource: &str) -> Vec<Request> {
        self.audit.since(self.began, |request| self.is_ours(request) && request.resource == resource)
    }

    /// All of their writes but those to leases and events.
    pub fn all_writes(&self) -> Vec<Request> {
        let aside = ["leases", "events"];
        self.audit
            .since(self.began, |request| self.is_ours(request) && !aside.contains(&request.resource.as_str()))
    }

    fn is_ours(&self, request: &Request) -> bool {
        let account = format!("system:serviceaccount:{}-system:reelpool-operator", self.name);
        request.user == account && request.is_write() && (200..300).contains(&request.code)
    }

    /// Nobody who had a job in hand was told to go.
    pub fn nobody_was_interrupted(&self) {
        let met = self.crowd.interrupted_by(&self.audit.deletions(&self.name));
        assert!(met.is_empty(), "{}: {met:#?}", self.name);
    }

    /// The pods that are not being removed.
    pub async fn living_pods(&self) -> Vec<Pod> {
        let pods = self.pods().list(&ListParams::default()).await.unwrap();
        pods.items.into_iter().filter(|pod| pod.metadata.deletion_timestamp.is_none()).collect()
    }

    /// Where an operator's log is.
    pub fn log(&self, operator: &Operator) -> PathBuf {
        self.plane.log_of(operator.identity())
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        // Not by a macro: those are silent while a test goes well.
        let _ = writeln!(std::io::stderr(), "    {}: {:.1} s", self.name, self.start.elapsed().as_secs_f64());
        if std::thread::panicking() {
            self.print_logs();
        }
    }
}

impl Place<'_> {
    /// The ends of the logs of this place's operators.
    fn print_logs(&self) {
        let folder = self.plane.log_of("x");
        let logs = std::fs::read_dir(folder.parent().unwrap()).unwrap().flatten().map(|entry| entry.path());
        let ours = |log: &PathBuf| {
            log.file_name().is_some_and(|name| name.to_string_lossy().starts_with(&format!("{}-", self.name)))
        };
        for log in logs.filter(ours) {
            let text = text(&log);
            let lines: Vec<&str> = text.lines().collect();
            let end = lines[lines.len().saturating_sub(TAIL_LINES)..].join("\n");
            eprintln!("--- the end of {} ---\n{end}", log.display());
        }
    }
}

/// The text of a file.
pub fn text(file: &Path) -> String {
    std::fs::read_to_string(file).unwrap_or_else(|error| panic!("{}: {error}", file.display()))
}
