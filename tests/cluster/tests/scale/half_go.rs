//! 100 workers are busy and 100 are idle, and 100 are to go: with Reelpool exactly the idle ones. And what becomes of the
//! busy ones where the number of replicas is just lowered, as an HPA or KEDA does.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::io::Write as _;
use std::time::{Duration, Instant, SystemTime};

use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::Pod;
use kube::api::{ListParams, Patch, PatchParams};
use kube::{Api, Client, ResourceExt};
use reelpool_api::WorkerPool;
use reelpool_cluster::{Behaviour, Crowd, Deletion, HELD, PoolSpec, Pools, Source, eventually};
use serde_json::json;

use crate::world::{NAMESPACE, World};

/// Where the number is lowered without Reelpool.
const PLAIN: &str = "plain";
const POOL: &str = "cattube";
const DEPLOYMENT: &str = "cattube-workers";
const HALF: usize = 100;
/// How often in `make test`; `REELPOOL_ROUNDS` says otherwise.
const ROUNDS: usize = 2;
/// Ten times what each step takes on a busy machine of two cores.
const LIMIT: Duration = Duration::from_secs(300);

/// One fleet of two hundred.
struct Side<'a> {
    world: &'a World,
    namespace: &'static str,
    client: Client,
    queue: String,
    crowd: Crowd,
}

/// Who went in one round.
struct Gone {
    idle: usize,
    busy: usize,
    took: Duration,
}

impl<'a> Side<'a> {
    async fn new(world: &'a World, namespace: &'static str) -> Self {
        let queue = world.sqs.create(namespace);
        let behaviour = Behaviour { job: Duration::ZERO..=Duration::from_secs(2), ..Behaviour::default() };
        let crowd = Crowd::start(&world.plane, namespace, Source::Memory(&world.sqs), behaviour);
        let client = world.plane.client().await;
        let pool = PoolSpec {
            name: POOL.into(),
            queue: queue.clone(),
            max_workers: u32::try_from(2 * HALF).unwrap(),
            scaling: json!({"scaleIn": {"zeroAfterSeconds": 3, "idleSeconds": 1}}),
        };
        Pools::create(client.clone(), namespace, [pool]).await;
        Self { world, namespace, client, queue, crowd }
    }

    /// Two hundred workers of which a hundred, nobody knows which, will have nothing more to do at a word.
    async fn fill(&self, round: usize) {
        let mut messages = vec![format!("{HELD} idle-{round}"); HALF];
        messages.resize(2 * HALF, format!("{HELD} busy-{round}"));
        fastrand::shuffle(&mut messages);
        // Those of the round before take some of the new ones.
        self.crowd.release_group(&format!("busy-{}", round - 1));
        for message in messages {
            self.world.sqs.send(&self.queue, 1, &message);
        }
        eventually("all have a job", LIMIT, async || {
            let held = self.world.sqs.counts(&self.queue);
            (held.backlog, held.in_flight, self.living().await.len()) == (0, 2 * HALF, 2 * HALF)
        })
        .await;
    }

    /// Lets half of them finish. Returns those that go on.
    async fn empty_half(&self, round: usize) -> BTreeSet<String> {
        self.crowd.release_group(&format!("idle-{round}"));
        eventually("a hundred have nothing to do", LIMIT, async || {
            self.world.sqs.counts(&self.queue).in_flight == HALF && self.crowd.report().busy == HALF
        })
        .await;
        self.crowd.report().busy_workers
    }

    /// The pods that were not told to go.
    async fn living(&self) -> BTreeSet<String> {
        let pods: Api<Pod> = Api::namespaced(self.client.clone(), self.namespace);
        let pods = pods.list(&ListParams::default()).await.unwrap().items.into_iter();
        let pods = pods.filter(|pod| pod.metadata.deletion_timestamp.is_none());
        pods.map(|pod| pod.name_any()).collect()
    }

    /// Waits until a hundred are left. Returns who went since, by the API server's own account, and how long it took.
    async fn half_are_left(&self, since: SystemTime, start: Instant) -> Gone {
        eventually("a hundred are left", LIMIT, async || self.living().await.len() == HALF).await;
        let took = start.elapsed();
        // The audit log is written a little later than the answer.
        let mut deletions: Vec<Deletion> = Vec::new();
        eventually("who went is in the audit log", LIMIT, async || {
            deletions = self.world.audit.deletions(self.namespace);
            deletions.retain(|deletion| deletion.received >= since);
            deletions.len() >= HALF
        })
        .await;
        let busy = self.crowd.interrupted_by(&deletions).len();
        Gone { idle: deletions.len() - busy, busy, took }
    }

    async fn pause(&self, paused: bool) {
        let pools: Api<WorkerPool> = Api::namespaced(self.client.clone(), self.namespace);
        let patch = Patch::Merge(json!({"spec": {"paused": paused}}));
        pools.patch(POOL, &PatchParams::default(), &patch).await.unwrap();
    }

    /// Reelpool lowers the number.
    async fn with_reelpool(&self, round: usize) -> Gone {
        self.fill(round).await;
        let (since, start) = (SystemTime::now(), Instant::now());
        let busy = self.empty_half(round).await;
        let gone = self.half_are_left(since, start).await;
        assert_eq!(self.living().await, busy, "round {round}: those that are left are not the busy ones");
        let asked = self.world.replicas.of(DEPLOYMENT).numbers();
        assert_eq!(asked.last(), Some(&100), "round {round}: {asked:?}");
        gone
    }

    /// The same hundred have nothing to do, Reelpool holds still, and somebody writes the number.
    async fn with_plain_scale_down(&self, round: usize) -> Gone {
        self.fill(round).await;
        self.pause(true).await;
        eventually("the pool holds", LIMIT, async || {
            let pools: Api<WorkerPool> = Api::namespaced(self.client.clone(), self.namespace);
            let status = pools.get(POOL).await.unwrap().status.unwrap_or_default();
            status.conditions.iter().any(|one| one.type_ == "ScalingLimited" && one.reason == "Paused")
        })
        .await;
        self.empty_half(round).await;
        let (since, start) = (SystemTime::now(), Instant::now());
        let deployments: Api<Deployment> = Api::namespaced(self.client.clone(), self.namespace);
        let number = Patch::Merge(json!({"spec": {"replicas": HALF}}));
        deployments.patch_scale(DEPLOYMENT, &PatchParams::default(), &number).await.unwrap();
        let gone = self.half_are_left(since, start).await;
        // What the killed ones had in hand would be in flight for long.
        self.world.sqs.purge(&self.queue);
        self.pause(false).await;
        gone
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn promise_2_no_busy_worker_is_interrupted_by_a_scaling_decision() {
    let rounds = std::env::var("REELPOOL_ROUNDS").map_or(ROUNDS, |rounds| {
        rounds.parse().unwrap_or_else(|error| panic!("REELPOOL_ROUNDS={rounds}: {error}"))
    });
    let world = World::new();
    world.plane.apply(&format!("{{apiVersion: v1, kind: Namespace, metadata: {{name: {PLAIN}}}}}"));
    let operator = world.operator();
    let reelpool = Side::new(&world, NAMESPACE).await;
    let plain = Side::new(&world, PLAIN).await;

    let mut table =
        "round   Reelpool: idle gone  busy gone  seconds   plain scale-down: idle gone  busy gone  seconds\n"
            .to_owned();
    let mut killed = 0;
    for round in 1..=rounds {
        let ours = reelpool.with_reelpool(round).await;
        let theirs = plain.with_plain_scale_down(round).await;
        for (gap, Gone { idle, busy, took }) in [(24, &ours), (28, &theirs)] {
            if gap == 24 {
                write!(table, "{round:>5}").unwrap();
            }
            write!(table, "{idle:>gap$} {busy:>10} {:>8.1}", took.as_secs_f64()).unwrap();
        }
        writeln!(table).unwrap();
        assert_eq!((ours.idle, ours.busy), (HALF, 0), "round {round}\n{table}");
        assert_eq!(theirs.idle + theirs.busy, HALF, "round {round}\n{table}");
        killed += theirs.busy;
    }
    // Not by a macro: those are silent while a test goes well.
    let _ = write!(std::io::stderr(), "\n{table}");
    assert!(killed > 0, "nobody can be interrupted here, so that nobody was shows nothing\n{table}");

    reelpool.crowd.release();
    eventually("nobody is left", LIMIT, async || reelpool.crowd.report().workers == 0).await;
    assert_eq!(reelpool.crowd.report().done, 2 * HALF * rounds);
    world.nobody_was_interrupted(&reelpool.crowd);
    operator.assert_sound();
}
