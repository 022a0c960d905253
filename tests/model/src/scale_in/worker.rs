//! The pods and the workers in them.

use std::fmt::Write;
use std::sync::OnceLock;

use reelpool::operator::pods::{PodStage, PodView};
use reelpool_core::{Timestamp, WorkerId};
use reelpool_protocol::WorkerStatus;
use reelpool_protocol::status::Totals;
use reelpool_worker::presence::Presence;

use super::{Bug, Config, Steps, TICK_SECONDS, World, instant};

/// How far a pod is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Stage {
    /// It has a node, and no container runs yet.
    NotStarted,
    /// No container can start.
    CannotStart,
    /// The worker runs, and is not ready by Kubernetes' word.
    NotReady,
    /// The worker runs.
    Ready,
}

impl Stage {
    /// Whether the worker runs.
    #[must_use]
    pub fn runs(self) -> bool {
        matches!(self, Self::NotReady | Self::Ready)
    }

    /// As the operator reads it.
    #[must_use]
    pub fn as_read(self) -> PodStage {
        match self {
            Self::NotStarted => PodStage::NotStarted,
            Self::CannotStart => PodStage::CannotStart,
            Self::NotReady => PodStage::NotReady,
            Self::Ready => PodStage::Ready,
        }
    }
}

/// What the worker does about the queue.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Loop {
    Starting,
    Waiting,
    Receiving,
    Busy,
}

/// A pod and its worker.
#[derive(Debug, Clone)]
pub struct Pod {
    pub(super) name: u8,
    pub(super) stage: Stage,
    pub(super) is_marked: bool,
    /// As the ReplicaSet controller's cache has them.
    pub(super) seen: (Stage, bool),
    /// Its resourceVersion.
    pub(super) version: u32,
    pub(super) presence: Presence,
    pub(super) works: Loop,
    /// How often it has become ready.
    pub(super) readied: u32,
}

/// The name of a pod.
pub(super) fn name(name: u8) -> char {
    char::from(b'a' + name)
}

/// The name of a pod's worker.
pub(super) fn id(name: u8) -> WorkerId {
    static IDS: OnceLock<Vec<WorkerId>> = OnceLock::new();
    let ids =
        IDS.get_or_init(|| (0..26).map(|index| WorkerId::from(self::name(index).to_string())).collect());
    ids[usize::from(name)].clone()
}

/// The pod of a worker.
pub(super) fn of(id: &WorkerId) -> u8 {
    id.as_str().bytes().next().map_or(0, |letter| letter - b'a')
}

impl Pod {
    /// A ready one whose worker is idle.
    pub(super) fn ready(name: u8, now: u32) -> Self {
        let mut presence = Presence::new(instant(now));
        presence.begin_receive(instant(now));
        presence.received(instant(now), false);
        let stage = Stage::Ready;
        Self {
            name,
            stage,
            is_marked: false,
            seen: (stage, false),
            version: 1,
            presence,
            works: Loop::Waiting,
            readied: 1,
        }
    }

    /// One that was just made.
    pub(super) fn made(name: u8, now: u32) -> Self {
        let stage = Stage::NotStarted;
        let presence = Presence::new(instant(now));
        Self {
            name,
            stage,
            is_marked: false,
            seen: (stage, false),
            version: 1,
            presence,
            works: Loop::Starting,
            readied: 0,
        }
    }

    /// Since when it is ready: a moment for each time that it became so.
    pub(super) fn ready_since(&self) -> Option<Timestamp> {
        (self.stage == Stage::Ready).then(|| Timestamp::from_millis(self.readied.into()))
    }

    pub(super) fn is_busy(&self) -> bool {
        self.works == Loop::Busy
    }

    /// Whether a drain keeps the worker from the queue.
    pub(super) fn is_asleep(&self, now: u32) -> bool {
        self.presence.drain_lapses_in(instant(now)).is_some()
    }

    pub(super) fn is_seen_as_it_is(&self) -> bool {
        self.seen == (self.stage, self.is_marked)
    }

    /// The pod as the operator's cache has it.
    pub(super) fn view(
        name: u8,
        stage: Stage,
        is_marked: bool,
        version: u32,
        ready_since: Option<Timestamp>,
    ) -> PodView {
        PodView {
            id: id(name),
            uid: String::new(),
            resource_version: version.to_string(),
            ip: None,
            stage: stage.as_read(),
            template: None,
            is_marked,
            created: Timestamp::default(),
            scheduled: Timestamp::default(),
            ready_since,
            trouble: None,
        }
    }

    /// The worker's status document.
    pub(super) fn status(&self, now: u32, bug: Option<Bug>) -> WorkerStatus {
        let now = instant(now);
        let millis = |span: std::time::Duration| u64::try_from(span.as_millis()).unwrap_or(u64::MAX);
        let (state, _) = self.presence.state(now);
        let lies = bug == Some(Bug::DrainedWhileReceiving) && self.works == Loop::Receiving;
        let lapses_in = self.presence.drain_lapses_in(now);
        WorkerStatus {
            worker: name(self.name).to_string(),
            state,
            state_for_ms: 0,
            drained: self.presence.is_drained(now) || (lies && lapses_in.is_some()),
            drain_lapses_in_ms: lapses_in.map(millis),
            jobs: Vec::new(),
            start_up_ms: None,
            totals: Totals::default(),
        }
    }

    pub(super) fn key(&self, now: u32, key: &mut Vec<u8>) {
        let left = self.presence.drain_lapses_in(instant(now));
        let left = left.map_or(u8::MAX, |left| {
            u8::try_from(left.as_secs() / u64::from(TICK_SECONDS)).unwrap_or(u8::MAX)
        });
        let has_asked = self.presence.start_up().is_some();
        let seen = self.seen.0 as u8 * 2 + u8::from(self.seen.1);
        let is = self.stage as u8 * 2 + u8::from(self.is_marked);
        key.extend([is * 8 + seen, left, self.works as u8 * 2 + u8::from(has_asked)]);
    }

    pub(super) fn show(&self, now: u32) -> String {
        let mut text = format!("{} ", name(self.name));
        text.push_str(match (self.stage, self.works) {
            (Stage::NotStarted, _) => "not started",
            (Stage::CannotStart, _) => "cannot start",
            (_, Loop::Starting) => "starting",
            (_, Loop::Waiting) => "idle",
            (_, Loop::Receiving) => "receiving",
            (_, Loop::Busy) => "BUSY",
        });
        if self.stage == Stage::NotReady {
            text.push_str(" unready");
        }
        if let Some(left) = self.presence.drain_lapses_in(instant(now)) {
            let word = if self.presence.is_drained(instant(now)) { "drained" } else { "draining" };
            let _ = write!(text, " {word} {} s", left.as_secs());
        }
        if self.is_marked {
            text.push_str(" marked");
        }
        if !self.is_seen_as_it_is() {
            text.push_str(" (unseen)");
        }
        text
    }
}

impl Config {
    /// What workers and the kubelet do.
    pub(super) fn workers(&self, steps: &mut Steps<'_>) {
        let world = steps.world;
        let at = instant(world.now);
        for (index, pod) in world.pods.iter().enumerate() {
            let who = name(pod.name);
            match pod.stage {
                Stage::NotStarted | Stage::CannotStart => {
                    self.start(index, steps);
                    continue;
                }
                Stage::NotReady if pod.presence.start_up().is_some() => {
                    steps.add(format!("{who} is ready"), |world| {
                        world.pods[index].stage = Stage::Ready;
                        world.pods[index].readied += 1;
                    });
                }
                Stage::NotReady | Stage::Ready => {}
            }
            match pod.works {
                Loop::Starting | Loop::Waiting => {
                    let mut world = world.clone();
                    if world.pods[index].presence.begin_receive(at) {
                        world.pods[index].works = Loop::Receiving;
                        steps.found.push((format!("{who} asks the queue"), world));
                    } else if pod.works == Loop::Starting {
                        world.pods[index].works = Loop::Waiting;
                        steps.found.push((format!("{who} may not ask the queue"), world));
                    }
                }
                Loop::Receiving => {
                    steps.add(format!("{who} receives nothing"), |world| {
                        world.pods[index].presence.received(at, false);
                        world.pods[index].works = Loop::Waiting;
                    });
                    if world.waiting > 0 {
                        steps.add(format!("{who} receives a message"), |world| {
                            world.waiting -= 1;
                            world.pods[index].presence.received(at, true);
                            world.pods[index].works = Loop::Busy;
                        });
                    }
                }
                Loop::Busy => steps.add(format!("{who} has done its job"), |world| {
                    world.pods[index].presence.settled(at);
                    world.pods[index].works = Loop::Waiting;
                }),
            }
            self.crash(index, steps);
        }
    }

    fn start(&self, index: usize, steps: &mut Steps<'_>) {
        let world = steps.world;
        let pod = &world.pods[index];
        if pod.stage == Stage::NotStarted && self.is_stuck_possible {
            steps.add(format!("{} cannot start", name(pod.name)), |world| {
                world.pods[index].stage = Stage::CannotStart;
            });
        }
        if self.assumptions.no_pod_starts_unseen && world.may_be_taken_unseen(pod) {
            return;
        }
        steps.add(format!("{} starts", name(pod.name)), |world| {
            let now = instant(world.now);
            let pod = &mut world.pods[index];
            pod.stage = Stage::NotReady;
            pod.presence = Presence::new(now);
            pod.works = Loop::Starting;
        });
    }

    fn crash(&self, index: usize, steps: &mut Steps<'_>) {
        let world = steps.world;
        let pod = &world.pods[index];
        // One that has not asked the queue since it began is as one that begins.
        let is_new = pod.stage == Stage::NotReady && pod.works == Loop::Starting && !pod.is_asleep(world.now);
        if !self.faults.workers_crash
            || is_new
            || (self.assumptions.no_worker_crashes_unseen && world.may_be_taken_unseen(pod))
        {
            return;
        }
        steps.add(format!("{} crashes and begins anew", name(pod.name)), |world| {
            let now = instant(world.now);
            let pod = &mut world.pods[index];
            world.waiting += u8::from(pod.is_busy());
            pod.stage = Stage::NotReady;
            pod.presence = Presence::new(now);
            pod.works = Loop::Starting;
        });
    }
}

impl World {
    /// Whether Kubernetes may take this pod for what the operator saw of it before.
    fn may_be_taken_unseen(&self, pod: &Pod) -> bool {
        self.is_lowering() || self.kubernetes.chosen & (1 << pod.name) != 0
    }
}
