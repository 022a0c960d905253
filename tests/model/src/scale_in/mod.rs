//! Drain-first scale-in, with all that may happen meanwhile.
//!
//! The worker's side is the real [`Presence`](reelpool_worker::presence::Presence), the operator's side the real
//! [`plan`](fn@reelpool::operator::plan::plan), [`Condemned`](reelpool::operator::condemned::Condemned) and
//! [`Marks`](reelpool::operator::marks::Marks), called in the order of `operator/pass`. See the crate's text for what is
//! assumed and what is left out.

mod kubernetes;
mod operator;
mod worker;

use std::fmt;
use std::rc::Rc;

use reelpool_core::Timestamp;
use reelpool_protocol::status::MAX_DRAIN_TERM_SECONDS;
use tokio::time::Instant;

use crate::explore::Model;
pub use kubernetes::Kubernetes;
pub use operator::{Memory, Operator, Step};
pub use worker::{Pod, Stage};

/// A tick of the model's clock, in seconds.
pub const TICK_SECONDS: u32 = 20;

/// What the safety of the protocol rests on and the protocol itself cannot see to. A test takes each away.
#[derive(Debug, Clone, Copy)]
#[expect(clippy::struct_excessive_bools, reason = "each is an assumption of its own")]
pub struct Assumptions {
    /// While Kubernetes has something to do (a new number to see, a pod to take or make), it does a part of it in so
    /// many ticks at most; `None`: nobody knows when. It must be shorter than `SPARED_AFTER`, 30 s, and all parts
    /// together shorter than [`Config::condemned_term`].
    pub kubernetes_acts_within: Option<u32>,
    /// The ReplicaSet controller's cache of pods is never so far behind the operator's as `SETTLED_AFTER`, 1 s.
    pub caches_are_close: bool,
    /// A write of the number of replicas without an answer is made within so many ticks, or never; `None`: nobody knows
    /// when. The API server gives a request 60 s.
    pub writes_land_within: Option<u32>,
    /// From the operator's look until Kubernetes has made its choice, a pod that was seen without a running container
    /// has none.
    pub no_pod_starts_unseen: bool,
    /// From the operator's look until Kubernetes has made its choice, no worker's process ends and begins anew.
    pub no_worker_crashes_unseen: bool,
    /// A question to a worker reaches it before the next one does, or never.
    pub questions_keep_their_order: bool,
}

impl Default for Assumptions {
    fn default() -> Self {
        Self {
            kubernetes_acts_within: Some(1),
            caches_are_close: true,
            writes_land_within: Some(3),
            no_pod_starts_unseen: true,
            no_worker_crashes_unseen: true,
            questions_keep_their_order: true,
        }
    }
}

/// A deliberate mistake in the protocol, which the search must find.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Bug {
    /// A worker says that it is drained while a receive is outstanding.
    DrainedWhileReceiving,
    /// The number is lowered before those that go are drained.
    LoweredBeforeDrained,
    /// The number is lowered in the pass in which the marks are written.
    MarkedAndLoweredAtOnce,
    /// An operator that begins lets all back to work that its predecessor has drained.
    NobodyAdopted,
    /// The number is written whatever it is by then.
    LoweredWithoutPrecondition,
    /// The number is lowered though not everyone that it is lowered for has said again that it is drained.
    LoweredWithoutLastWord,
}

/// What is decided.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Decisions {
    /// Anything that the rules of the core permit, anew in each pass.
    Any,
    /// Always this many workers.
    Always(u8),
}

/// What goes wrong in the world.
#[derive(Debug, Clone, Copy, Default)]
#[expect(clippy::struct_excessive_bools, reason = "each is a fault of its own")]
pub struct Faults {
    /// The operator is killed between any two of its steps, and perhaps started anew.
    pub operator_is_killed: bool,
    /// Questions to workers and writes of marks are lost, or their answers are.
    pub answers_are_lost: bool,
    /// Writes of the number are lost, unanswered or late.
    pub writes_are_late: bool,
    /// Workers crash and begin anew.
    pub workers_crash: bool,
}

/// How large the world is.
#[derive(Debug, Clone, Copy)]
pub struct Config {
    /// Workers at the beginning.
    pub workers: u8,
    /// The most workers that may be asked for.
    pub most: u8,
    /// Messages, each sent again some time after it was done.
    pub messages: u8,
    /// The term of the drain of those that the number is lowered for, in seconds.
    pub condemned_term: u32,
    /// Whether a pod may find that no container can start.
    pub is_stuck_possible: bool,
    /// What goes wrong.
    pub faults: Faults,
    /// What is decided.
    pub decisions: Decisions,
    /// What is assumed.
    pub assumptions: Assumptions,
    /// What is broken on purpose.
    pub bug: Option<Bug>,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            workers: 2,
            most: 2,
            messages: 1,
            condemned_term: MAX_DRAIN_TERM_SECONDS,
            is_stuck_possible: false,
            faults: Faults::default(),
            decisions: Decisions::Any,
            assumptions: Assumptions::default(),
            bug: None,
        }
    }
}

/// A write of the number of replicas that is still on its way.
#[derive(Debug, Clone, Copy)]
pub struct Late {
    replicas: u8,
    version: u32,
    sent: u32,
}

/// All there is.
#[derive(Clone)]
pub struct World {
    /// In ticks.
    now: u32,
    /// Messages that wait in the queue, those among them that come back from workers that are gone: how long nobody
    /// receives one is anybody's guess.
    waiting: u8,
    /// In the order of their names.
    pods: Vec<Pod>,
    replicas: u8,
    /// The Deployment's resourceVersion.
    version: u32,
    kubernetes: Kubernetes,
    late: Option<Late>,
    /// An un-drain that is still on its way to this pod.
    straggler: Option<u8>,
    operator: Option<Rc<Operator>>,
    /// Whether no operator will ever begin again.
    is_abandoned: bool,
    /// The pod that Kubernetes took for a lower number while its worker had a message in hand.
    interrupted: Option<u8>,
}

/// A step, in words.
pub type Action = String;

/// Other names for pods.
struct Names([u8; NAMES as usize]);

/// So many names there are: more than pods that are there or that anybody remembers.
const NAMES: u8 = 8;

impl Names {
    fn of(&self, name: u8) -> u8 {
        self.0[usize::from(name)]
    }

    /// A set of names, in the order of the others.
    fn all(&self, names: impl IntoIterator<Item = u8>) -> Vec<u8> {
        let mut names: Vec<u8> = names.into_iter().map(|name| self.of(name)).collect();
        names.sort_unstable();
        names
    }
}

/// The facts that properties are made of.
pub mod facts {
    /// Every worker that runs takes messages when there are some.
    pub const ALL_AWAKE: u8 = 1;
    /// No operator will ever begin again.
    pub const ABANDONED: u8 = 2;
    /// No message waits, none is in hand, and none is to come back.
    pub const ALL_DONE: u8 = 4;
    /// There are as many workers as were decided, all ready and awake, and none is marked or about to go.
    pub const SETTLED: u8 = 8;
}

impl Config {
    /// The facts of a state, see [`facts`].
    #[must_use]
    pub fn facts(&self, world: &World) -> u8 {
        let awake = world.pods.iter().filter(|pod| pod.stage.runs()).all(|pod| !pod.is_asleep(world.now));
        let done = world.waiting == 0 && world.pods.iter().all(|pod| !pod.is_busy());
        let quiet = world.kubernetes.rests(world) && world.late.is_none();
        let wanted = match self.decisions {
            Decisions::Any => false,
            Decisions::Always(wanted) => {
                let is_settled =
                    |pod: &Pod| pod.stage == Stage::Ready && !pod.is_marked && !pod.is_asleep(world.now);
                world.replicas == wanted && world.pods.iter().all(is_settled)
            }
        };
        let mut facts = 0;
        for (holds, fact) in [
            (awake, facts::ALL_AWAKE),
            (world.is_abandoned, facts::ABANDONED),
            (done, facts::ALL_DONE),
            (quiet && wanted, facts::SETTLED),
        ] {
            facts |= if holds { fact } else { 0 };
        }
        facts
    }
}

impl World {
    /// Now, by the operator's clock.
    fn timestamp(&self) -> Timestamp {
        timestamp(self.now)
    }

    fn pod(&self, name: u8) -> Option<&Pod> {
        self.pods.iter().find(|pod| pod.name == name)
    }

    fn pod_mut(&mut self, name: u8) -> Option<&mut Pod> {
        self.pods.iter_mut().find(|pod| pod.name == name)
    }

    /// Whether a lower number was or may be about to be written and Kubernetes has not made its choice for it.
    fn is_lowering(&self) -> bool {
        self.operator.as_ref().is_some_and(|operator| !operator.rests())
            || self.late.is_some()
            || !self.kubernetes.has_chosen(self)
    }

    /// Writes the number of replicas.
    fn write(&mut self, replicas: u8, bug: Option<Bug>) {
        self.replicas = replicas;
        self.version += 1;
        // What was made from another version is refused when it lands.
        if bug != Some(Bug::LoweredWithoutPrecondition) {
            self.late = None;
        }
    }

    /// Other names for the pods, by what they are: worlds that differ in their names alone are one. Returns the pods'
    /// keys in that order.
    fn names(&self) -> (Names, Vec<Vec<u8>>) {
        let mut pods: Vec<(Vec<u8>, u8)> = self
            .pods
            .iter()
            .map(|pod| {
                let mut key = Vec::with_capacity(8);
                pod.key(self.now, &mut key);
                let is_chosen = self.kubernetes.chosen & (1 << pod.name) != 0;
                let is_condemned = self.operator.as_ref().is_some_and(|operator| operator.condemns(pod.name));
                key.push(u8::from(is_chosen) * 2 + u8::from(is_condemned));
                (key, pod.name)
            })
            .collect();
        pods.sort_unstable();
        let mut names = Names([0; NAMES as usize]);
        let is_there = |name: &u8| self.pod(*name).is_some();
        let is_known = |name: &u8| self.is_name_known(*name);
        let gone = (0..NAMES).filter(|name| !is_there(name) && is_known(name));
        let free = (0..NAMES).filter(|name| !is_known(name));
        let order = pods.iter().map(|(_, name)| *name).chain(gone).chain(free);
        for (new, old) in (0..).zip(order) {
            names.0[usize::from(old)] = new;
        }
        (names, pods.into_iter().map(|(key, _)| key).collect())
    }
}

/// The moment of the tick `now`, by the operator's clock.
fn timestamp(now: u32) -> Timestamp {
    Timestamp::from_millis(1_000_000_000 + i64::from(now) * i64::from(TICK_SECONDS) * 1000)
}

/// The moment of the tick `now`, by a worker's clock.
fn instant(now: u32) -> Instant {
    use std::sync::OnceLock;
    static BASE: OnceLock<Instant> = OnceLock::new();
    *BASE.get_or_init(Instant::now) + std::time::Duration::from_secs(u64::from(now) * u64::from(TICK_SECONDS))
}

impl Model for Config {
    type State = World;
    type Action = Action;
    type Key = Vec<u8>;

    fn start(&self) -> World {
        World {
            now: 1,
            waiting: 0,
            pods: (0..self.workers).map(|name| Pod::ready(name, 1)).collect(),
            replicas: self.workers,
            version: 1,
            kubernetes: Kubernetes::at_rest(self.workers, 1),
            late: None,
            straggler: None,
            operator: Some(Rc::default()),
            is_abandoned: false,
            interrupted: None,
        }
    }

    fn steps(&self, world: &World) -> Vec<(Action, World)> {
        let mut steps = Steps { world, found: Vec::new() };
        self.queue(&mut steps);
        self.workers(&mut steps);
        self.operators(&mut steps);
        self.writes_on_their_way(&mut steps);
        self.kubernetes(&mut steps);
        self.time(&mut steps);
        steps.found
    }

    fn key(&self, world: &World) -> Vec<u8> {
        let mut key = Vec::with_capacity(64);
        let (names, pods) = world.names();
        key.extend([world.waiting, world.replicas, u8::from(world.is_abandoned)]);
        key.push(world.interrupted.map_or(u8::MAX, |name| names.of(name)));
        key.push(world.straggler.map_or(u8::MAX, |name| names.of(name)));
        match world.late {
            None => key.push(u8::MAX),
            Some(late) => {
                // Where there is no limit its age does not matter.
                let is_limited = self.assumptions.writes_land_within.is_some();
                let age = if is_limited { world.now - late.sent } else { 0 };
                let is_current = u8::from(late.version == world.version);
                key.extend([late.replicas, is_current, u8::try_from(age).unwrap_or(u8::MAX)]);
            }
        }
        world.kubernetes.key(world, &names, &mut key);
        key.extend(pods.into_iter().flatten());
        match &world.operator {
            None => key.push(u8::MAX),
            Some(operator) => operator.key(world, &names, &mut key),
        }
        key
    }

    fn broken(&self, world: &World) -> Option<String> {
        if let Some(name) = world.interrupted {
            return Some(format!(
                "the worker of {} had a message in hand when a lower number took its pod",
                worker::name(name)
            ));
        }
        let in_hand = world.pods.iter().filter(|pod| pod.is_busy()).count();
        (usize::from(world.waiting) + in_hand > self.messages.into())
            .then(|| "a message came from nowhere".to_owned())
    }

    fn show(&self, world: &World) -> String {
        world.to_string()
    }
}

/// The steps that are found.
struct Steps<'a> {
    world: &'a World,
    found: Vec<(Action, World)>,
}

impl Steps<'_> {
    /// A step that changes a copy of the world.
    fn add(&mut self, action: impl Into<Action>, change: impl FnOnce(&mut World)) {
        let mut world = self.world.clone();
        change(&mut world);
        self.found.push((action.into(), world));
    }
}

impl Config {
    fn queue(&self, steps: &mut Steps<'_>) {
        let world = steps.world;
        let in_hand = world.pods.iter().filter(|pod| pod.is_busy()).count();
        if usize::from(world.waiting) + in_hand < self.messages.into() {
            steps.add("a message is sent", |world| world.waiting += 1);
        }
    }

    fn writes_on_their_way(&self, steps: &mut Steps<'_>) {
        if let Some(late) = steps.world.late {
            steps.add(format!("the write of {} lands late", late.replicas), |world| {
                world.late = None;
                if late.version == world.version || self.bug == Some(Bug::LoweredWithoutPrecondition) {
                    world.write(late.replicas, self.bug);
                }
            });
            steps.add("the write on its way is lost", |world| world.late = None);
        }
        if let Some(name) = steps.world.straggler {
            steps.add(format!("the late un-drain reaches {}", worker::name(name)), |world| {
                world.straggler = None;
                if let Some(pod) = world.pod_mut(name) {
                    pod.presence.undrain();
                }
            });
        }
    }

    fn time(&self, steps: &mut Steps<'_>) {
        let world = steps.world;
        let is_close = world.pods.iter().all(Pod::is_seen_as_it_is);
        if self.assumptions.caches_are_close && !is_close {
            return;
        }
        if !world.kubernetes.may_be_slower(world, self.assumptions.kubernetes_acts_within) {
            return;
        }
        steps.add(format!("{TICK_SECONDS} s pass"), |world| {
            world.now += 1;
            world.kubernetes.waited(world.version, world.pods.len());
            let now = world.now;
            let in_time = |late: &Late| {
                self.assumptions.writes_land_within.is_none_or(|within| now - late.sent <= within)
            };
            world.late = world.late.filter(in_time);
        });
    }
}

impl fmt::Display for World {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "[{} s] {} asked for", self.now * TICK_SECONDS, self.replicas)?;
        if let Some(late) = self.late {
            write!(f, ", {} on its way", late.replicas)?;
        }
        write!(f, "; {}", self.kubernetes)?;
        for pod in &self.pods {
            write!(f, "; {}", pod.show(self.now))?;
        }
        if self.waiting > 0 {
            write!(f, "; {} wait", self.waiting)?;
        }
        match &self.operator {
            None => write!(f, "; no operator"),
            Some(operator) => write!(f, "; {operator}"),
        }
    }
}
