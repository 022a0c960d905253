//! A scale-in that is cut between any two of its steps: the operator is killed, answers are lost, caches grow stale.

use std::collections::BTreeSet;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use kube::ResourceExt;
use reelpool_cluster::{Answer, ApiProxy, Call, Deed, HELD, Operator, OperatorSettings};
use rustix::process::{Signal, kill_process};
use serde_json::{Value, json};

use crate::place::Place;

const POOL: &str = "cats";
const DEPLOYMENT: &str = "cats-workers";
/// So many have a job in hand all the time.
const BUSY: usize = 3;
/// So many come for a job, and are to go after it.
const OTHERS: usize = 3;
/// More writes than a scale-in takes.
const WRITES_AT_MOST: usize = 40;
/// The writes that a scale-in is made of.
const KINDS: [&str; 3] = ["patch pods ", "patch deployments/scale ", "patch workerpools/status "];
/// What comes true is waited for for so long where nobody can know whether the number was lowered: those it was to be
/// lowered for sleep for 90 s then, for so long a write may be on its way.
const LANDED: Duration = Duration::from_secs(240);

/// A fleet of which some are busy all the time, and an operator behind a proxy.
struct Scene {
    place: Place<'static>,
    proxy: ApiProxy,
    settings: OperatorSettings,
    operator: Operator,
    busy: BTreeSet<String>,
    /// How often the others came.
    rounds: usize,
}

/// Whether a write is a step of a scale-in: events are told whenever there is time.
fn is_step(call: &Call) -> bool {
    call.is_write() && !matches!(call.resource.as_str(), "leases" | "events")
}

impl Scene {
    async fn new(name: &str) -> Self {
        let place = Place::with(name, |behaviour| behaviour.job = Duration::ZERO..=Duration::ZERO).await;
        let mut settings = place.operator("a");
        let proxy = ApiProxy::start(place.plane, settings.kubeconfig.as_ref().unwrap());
        settings.kubeconfig = Some(proxy.kubeconfig().to_owned());
        // There is never a second one, and nobody need wait for the lease of one that was killed.
        settings.arguments.push("--no-leader-election".to_owned());
        let operator = Operator::lead(place.plane, settings.clone());
        place.make(POOL, json!({})).await;
        place.send_held(POOL, BUSY);
        place.busy(BUSY).await;
        let busy = place.crowd.report().busy_workers;
        Self { place, proxy, settings, operator, busy, rounds: 0 }
    }

    fn group(&self) -> String {
        format!("{}-{}", self.place.name, self.rounds)
    }

    /// The others come and have a job each.
    async fn others_come(&mut self) {
        self.rounds += 1;
        let body = format!("{HELD} {}", self.group());
        self.place.sqs.send(&self.place.sqs.create(POOL), OTHERS, &body);
        self.place.busy(BUSY + OTHERS).await;
        self.place
            .eventually("all six are ready", async || {
                let deployment = self.place.deployments().get(DEPLOYMENT).await.unwrap();
                deployment.status.and_then(|status| status.ready_replicas) == Some(6)
            })
            .await;
    }

    /// The jobs of the others end.
    fn others_finish(&self) {
        self.place.crowd.release_group(&self.group());
    }

    fn restart(&mut self) {
        self.operator = Operator::lead(self.place.plane, self.settings.clone());
    }

    /// What is right in the end, whatever happened: the busy ones are busy, the others are gone, and nobody sleeps.
    async fn ends_right(&mut self, what: &str) {
        let Self { place, busy, .. } = self;
        place
            .within(LANDED, &format!("{what}: only those with a job in hand are left"), async || {
                let left: BTreeSet<String> =
                    place.living_pods().await.iter().map(ResourceExt::name_any).collect();
                place.asked(DEPLOYMENT).await == Some(3) && left == *busy
            })
            .await;
        place.nobody_was_interrupted();
        place
            .within(LANDED, &format!("{what}: nobody sleeps"), async || place.sleeping().await.is_empty())
            .await;
        // And what comes next is done: one more is needed, and is there soon.
        let done = place.crowd.report().done;
        place.send(POOL, 1);
        place
            .eventually(&format!("{what}: the next message is done"), async || {
                place.crowd.report().done > done
            })
            .await;
        assert_eq!(place.crowd.report().busy_workers, *busy, "{what}");
        self.operator.assert_sound();
    }

    /// The same for the whole of it: each message was worked on once, and nobody was told to go with one in hand.
    async fn ends(self, messages: usize) {
        self.proxy.heal();
        self.place.crowd.release();
        self.place.reaches(POOL, 0).await;
        self.place.eventually("all is done", async || self.place.crowd.report().done == messages).await;
        self.place.nobody_was_interrupted();
        self.operator.assert_sound();
    }
}

impl Place<'_> {
    /// The workers that are there to stay and take no new job.
    pub async fn sleeping(&self) -> Vec<String> {
        let mut sleeping = Vec::new();
        for pod in self.living_pods().await {
            let ip: Option<IpAddr> = pod
                .status
                .as_ref()
                .and_then(|status| status.pod_ip.as_deref())
                .and_then(|ip| ip.parse().ok());
            let Some(ip) = ip else { continue };
            let address = SocketAddr::new(ip, 8080);
            let answer =
                tokio::task::spawn_blocking(move || Answer::of(address, "/v1/status")).await.unwrap();
            let Ok(answer) = answer else { continue };
            let status: Value = serde_json::from_str(&answer.body).unwrap();
            // One that is busy says for how long it will take nothing after this job.
            if status["state"] == "draining" || !status["drain_lapses_in_ms"].is_null() {
                sleeping.push(pod.name_any());
            }
        }
        sleeping
    }
}

/// Kills the operator at its first write of a scale-in, at its second, and so on: before it is made, or after.
async fn killed_at_each_write(name: &str, is_made: bool) {
    let mut scene = Scene::new(name).await;
    let mut kills: Vec<String> = Vec::new();
    // How many writes come before another varies: a kind that was missed so is looked for by itself.
    let mut missed: Option<&str> = None;
    loop {
        let number = kills.len() + 1;
        assert!(scene.rounds < WRITES_AT_MOST, "it never ends: {kills:#?}");
        scene.others_come().await;
        let killed_at: Arc<std::sync::Mutex<Option<String>>> = Arc::default();
        let pid = scene.operator.daemon().pid();
        let steps = AtomicUsize::new(0);
        scene.proxy.act({
            let killed_at = Arc::clone(&killed_at);
            move |call| {
                let step = format!("{} {} {}", call.verb, call.resource, call.name);
                let is_counted = is_step(call) && missed.is_none_or(|kind| step.starts_with(kind));
                let nth = if missed.is_some() { 1 } else { number };
                if !is_counted || steps.fetch_add(1, Ordering::SeqCst) + 1 != nth {
                    return Deed::Pass;
                }
                *killed_at.lock().unwrap() = Some(step);
                let kill = move || {
                    let _ = kill_process(pid, Signal::KILL);
                };
                if is_made {
                    return Deed::Then(Box::new(move |_| kill()));
                }
                kill();
                Deed::Cut
            }
        });
        scene.others_finish();
        let at = || killed_at.lock().unwrap().clone();
        scene
            .place
            .eventually("it is killed, or has lowered the number", async || {
                at().is_some() || scene.place.asked(DEPLOYMENT).await == Some(3)
            })
            .await;
        if at().is_none() {
            // What it still tells of the scale-in is a step too.
            scene.place.is_well(POOL).await;
            tokio::time::sleep(Duration::from_secs(3)).await;
        }
        scene.proxy.heal();
        let Some(at) = at() else {
            scene.ends_right("nobody was killed").await;
            let is_missed = |kind: &&str| !kills.iter().any(|at| at.starts_with(*kind));
            missed = KINDS.into_iter().find(is_missed);
            if missed.is_none() {
                break;
            }
            continue;
        };
        let status = scene.operator.daemon().wait(crate::place::SOON);
        assert!(!status.success(), "{status}");
        scene.restart();
        scene.ends_right(&format!("killed at write {number}, {at}")).await;
        kills.push(at);
        missed = None;
    }
    println!("killed {} times: {kills:#?}", kills.len());
    let rounds = scene.rounds;
    scene.ends(BUSY + rounds * (OTHERS + 1)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_operator_killed_before_any_write_of_a_scale_in_is_followed_by_one_that_ends_it() {
    killed_at_each_write("killed-before", false).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_operator_killed_after_any_write_of_a_scale_in_is_followed_by_one_that_ends_it() {
    killed_at_each_write("killed-after", true).await;
}

/// What goes wrong in one scale-in.
#[derive(Clone, Copy)]
enum Trouble {
    /// Something becomes of so many of the first writes of this kind.
    Writes(&'static str, usize, fn() -> Deed),
    /// From the first mark on the operator's watches tell nothing for a while, and then break off.
    StaleCaches,
    /// All watches break off at each write.
    BrokenWatches,
}

const MARKS: &str = "pods";
const NUMBER: &str = "deployments/scale";
const STATUS: &str = "workerpools/status";
/// The message that comes in the middle: seconds, longer than a number strays.
const IN_BETWEEN: &str = "6";
/// For how long caches are stale: longer than marks take to settle and a hurried pass to come.
const STALE: Duration = Duration::from_secs(6);

const OF_THE_NUMBER: [(&str, Trouble); 7] = [
    ("the answer to the number is lost", Trouble::Writes(NUMBER, 1, || Deed::Lose)),
    ("two answers to the number are lost", Trouble::Writes(NUMBER, 2, || Deed::Lose)),
    ("the number is refused: it had changed", Trouble::Writes(NUMBER, 2, || Deed::Fail(409))),
    ("the number fails", Trouble::Writes(NUMBER, 1, || Deed::Fail(500))),
    ("the number strays", Trouble::Writes(NUMBER, 1, || Deed::Stray(Duration::from_secs(4)))),
    ("the number arrives late", Trouble::Writes(NUMBER, 1, || Deed::Late(Duration::from_secs(4)))),
    (
        "the answer to the number comes late",
        Trouble::Writes(NUMBER, 1, || Deed::Slow(Duration::from_secs(12))),
    ),
];

const OF_THE_REST: [(&str, Trouble); 6] = [
    ("the answers to the marks are lost", Trouble::Writes(MARKS, OTHERS, || Deed::Lose)),
    ("two marks fail", Trouble::Writes(MARKS, 2, || Deed::Fail(500))),
    ("a mark is cut off", Trouble::Writes(MARKS, 1, || Deed::Cut)),
    ("the status is lost", Trouble::Writes(STATUS, 2, || Deed::Lose)),
    ("the caches are stale", Trouble::StaleCaches),
    ("the watches break off", Trouble::BrokenWatches),
];

#[tokio::test(flavor = "multi_thread")]
async fn a_scale_in_whose_number_is_lost_refused_or_late_ends_right() {
    ends_right_after("troubled", &OF_THE_NUMBER).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_scale_in_whose_marks_are_lost_or_whose_caches_are_stale_ends_right() {
    ends_right_after("stale", &OF_THE_REST).await;
}

async fn ends_right_after(name: &str, troubles: &'static [(&str, Trouble)]) {
    let mut scene = Scene::new(name).await;
    let mut extra = 0;
    for &(what, trouble) in troubles {
        scene.others_come().await;
        let before = scene.place.replicas.of(DEPLOYMENT).numbers().len();
        let met = Arc::new(AtomicUsize::new(0));
        scene.proxy.act({
            let met = Arc::clone(&met);
            move |call| match trouble {
                Trouble::Writes(resource, count, deed)
                    if call.is("patch", resource) && met.fetch_add(1, Ordering::SeqCst) < count =>
                {
                    deed()
                }
                Trouble::StaleCaches | Trouble::BrokenWatches if is_step(call) && call.resource == MARKS => {
                    met.fetch_add(1, Ordering::SeqCst);
                    Deed::Pass
                }
                _ => Deed::Pass,
            }
        });
        scene.others_finish();
        scene.place.eventually(&format!("{what}: it is met"), async || met.load(Ordering::SeqCst) > 0).await;
        match trouble {
            Trouble::Writes(..) => {}
            Trouble::StaleCaches => {
                for resource in ["pods", "deployments"] {
                    scene.proxy.hold_watches(resource);
                }
                tokio::time::sleep(STALE).await;
                scene.proxy.break_watches();
                scene.proxy.heal();
            }
            Trouble::BrokenWatches => {
                for _ in 0..20 {
                    scene.proxy.break_watches();
                    tokio::time::sleep(Duration::from_millis(100)).await;
                }
            }
        }
        // Whoever was woken now would take it, and be told to go with it in hand.
        let done = scene.place.crowd.report().done;
        scene.place.sqs.send(&scene.place.sqs.create(POOL), 1, IN_BETWEEN);
        extra += 1;
        scene
            .place
            .within(LANDED, &format!("{what}: it is done"), async || scene.place.crowd.report().done > done)
            .await;
        scene.place.eventually(&format!("{what}: it is over"), async || is_over(&trouble, &met)).await;
        scene.ends_right(what).await;
        let numbers = scene.place.replicas.of(DEPLOYMENT).numbers();
        assert!(numbers[before..].iter().all(|number| *number >= 3), "{what}: lowered twice: {numbers:?}");
        println!("{what}: {:?}", &numbers[before - 1..]);
        scene.proxy.heal();
    }
    let rounds = scene.rounds;
    scene.ends(BUSY + rounds * (OTHERS + 1) + extra).await;
}

/// Whether all of it has happened.
fn is_over(trouble: &Trouble, met: &AtomicUsize) -> bool {
    match trouble {
        // A write of which the answer was lost need not be made again.
        Trouble::Writes(NUMBER | STATUS, ..) => met.load(Ordering::SeqCst) > 0,
        Trouble::Writes(_, count, _) => met.load(Ordering::SeqCst) >= *count,
        Trouble::StaleCaches | Trouble::BrokenWatches => true,
    }
}
