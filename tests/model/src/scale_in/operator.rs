//! The operator: its passes as small steps, between any two of which it may be killed.
//!
//! The order is that of `operator/pass.rs`: look at the Deployment and its pods, let back whom Kubernetes has spared, ask
//! the workers, adopt, decide, plan; then tell the workers, write the marks, and write the number last where it goes
//! down, first where it rises.

mod acts;

use std::collections::{BTreeSet, VecDeque};
use std::fmt;
use std::rc::Rc;

use reelpool::fleet::Report;
use reelpool::operator::condemned::{Condemned, SPARED_AFTER};
use reelpool::operator::deployment::DeploymentView;
use reelpool::operator::marks::{Mark, Marks};
use reelpool::operator::plan::{DRAIN_TERM_SECONDS, Fleet, Known, Leave, Plan, plan};
use reelpool_core::{
    Decision, DrainStage, Explain, Memory as CoreMemory, Millis, Reason, Timestamp, WorkerId, WorkerState,
};

use super::worker::{Pod, Stage, id, name, of};
use super::{Bug, Config, Decisions, NAMES, Names, Steps, TICK_SECONDS, World, timestamp};

/// What the operator remembers from pass to pass; nothing of it survives its end.
#[derive(Debug, Clone, Default)]
pub struct Memory {
    condemned: Condemned,
    /// The number before a lowering of which no answer came: as [`Condemned`] has it.
    unanswered: Option<u8>,
    /// The number as it was seen last, and when: as [`Condemned`] has it.
    seen: (u8, u32),
    marks: Marks,
}

/// Where the operator is in a pass.
#[derive(Debug, Clone, Default)]
pub enum Step {
    /// Between two passes.
    #[default]
    Rests,
    /// It does what was planned.
    Acts(Acts),
}

/// What was read of the Deployment and its pods.
#[derive(Debug, Clone)]
pub struct Sight {
    replicas: u8,
    version: u32,
    is_observed: bool,
    pods: Vec<Glimpse>,
}

/// What was read of a pod: its name, its stage, whether it is marked, its version, and since when it is ready.
type Glimpse = (u8, Stage, bool, u32, Option<Timestamp>);

/// What is still to be done in this pass.
#[derive(Debug, Clone)]
pub struct Acts {
    replicas: u8,
    version: u32,
    /// When this began: a lower number is written within 15 s, less than a tick.
    since: u32,
    condemn: Vec<(u8, Stage)>,
    todo: VecDeque<Todo>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Todo {
    Tell(Vec<u8>, Question),
    Mark(Vec<(u8, bool)>),
    Write(u8),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Question {
    Undrain,
    Drain(u32),
    /// The drain of those that the number is about to be lowered for.
    LastWord(u32),
}

/// The operator.
#[derive(Debug, Clone, Default)]
pub struct Operator {
    memory: Rc<Memory>,
    step: Step,
    digest: Digest,
}

/// The memory in few words, taken once for all keys that it goes into.
#[derive(Debug, Clone, Default)]
struct Digest {
    /// Names as bits.
    condemned: u32,
    let_back: u32,
    unsure: u32,
    /// By what Kubernetes would choose each, as it was seen last; zero: never seen.
    seen: [u8; NAMES as usize],
    /// Since when each was ready then.
    ready_since: [Option<Timestamp>; NAMES as usize],
}

impl Digest {
    /// That of a memory whose marks are those that `self` was taken of.
    fn with(&self, condemned: &Condemned) -> Self {
        let bits = |ids: &BTreeSet<WorkerId>| ids.iter().fold(0, |bits, id| bits | 1 << of(id));
        Self { condemned: bits(condemned.ids()), let_back: bits(condemned.let_back_ids()), ..self.clone() }
    }

    fn of(memory: &Memory) -> Self {
        let mut digest = Self::default().with(&memory.condemned);
        for name in 0..NAMES {
            let Some((is_marked, stage, ready_since)) = memory.marks.last_seen(&id(name)) else { continue };
            digest.seen[usize::from(name)] = 1 + stage as u8 * 2 + u8::from(is_marked);
            digest.ready_since[usize::from(name)] = ready_since;
            // Later than all versions that were ever written: what is not seen then is unsure.
            let view = Pod::view(name, Stage::Ready, is_marked, u32::MAX, None);
            digest.unsure |= u32::from(memory.marks.of(&view) == Mark::Unsure) << name;
        }
        digest
    }

    fn knows(&self, name: u8) -> bool {
        (self.condemned | self.let_back) & (1 << name) != 0 || self.seen[usize::from(name)] != 0
    }
}

impl Operator {
    fn new(memory: Memory, step: Step) -> Self {
        let digest = Digest::of(&memory);
        Self { memory: Rc::new(memory), step, digest }
    }

    /// The same at another step of this pass.
    fn at(&self, step: Step) -> Rc<Self> {
        let (memory, digest) = (Rc::clone(&self.memory), self.digest.clone());
        Rc::new(Self { memory, step, digest })
    }

    /// The same with a memory of the same marks.
    fn with(&self, memory: Memory, step: Step) -> Rc<Self> {
        let digest = self.digest.with(&memory.condemned);
        Rc::new(Self { memory: Rc::new(memory), step, digest })
    }

    pub(super) fn rests(&self) -> bool {
        matches!(self.step, Step::Rests)
    }

    /// Whether a pod of this name means something to it.
    pub(super) fn remembers(&self, name: u8) -> bool {
        let in_step = match &self.step {
            Step::Rests => false,
            Step::Acts(acts) => {
                acts.condemn.iter().any(|(pod, _)| *pod == name)
                    || acts.todo.iter().any(|todo| match todo {
                        Todo::Tell(names, _) => names.contains(&name),
                        Todo::Mark(marks) => marks.iter().any(|(pod, _)| *pod == name),
                        Todo::Write(_) => false,
                    })
            }
        };
        in_step || self.digest.knows(name)
    }

    /// Whether the number was lowered for it.
    pub(super) fn condemns(&self, name: u8) -> bool {
        self.digest.condemned & (1 << name) != 0
    }

    pub(super) fn key(&self, world: &World, names: &Names, key: &mut Vec<u8>) {
        self.memory.key(&self.digest, !self.rests(), world, names, key);
        match &self.step {
            Step::Rests => key.push(0),
            Step::Acts(acts) => {
                let is_current = u8::from(acts.version == world.version);
                let in_time = u8::from(acts.since == world.now);
                key.extend([2, acts.replicas, is_current, in_time, u8::MAX]);
                key.extend(sorted(acts.condemn.iter().map(|(name, stage)| [names.of(*name), *stage as u8])));
                for todo in &acts.todo {
                    todo.key(names, key);
                }
            }
        }
        key.push(u8::MAX);
    }
}

fn sorted(pairs: impl Iterator<Item = [u8; 2]>) -> impl Iterator<Item = u8> {
    let mut pairs: Vec<_> = pairs.collect();
    pairs.sort_unstable();
    pairs.into_iter().flatten()
}

impl Todo {
    fn key(&self, names: &Names, key: &mut Vec<u8>) {
        match self {
            Self::Tell(asked, question) => {
                let question = match question {
                    Question::Undrain => 0,
                    Question::Drain(DRAIN_TERM_SECONDS) => 1,
                    Question::Drain(_) => 2,
                    Question::LastWord(_) => 3,
                };
                key.extend([200, question]);
                key.extend(names.all(asked.iter().copied()));
            }
            Self::Mark(marks) => {
                key.push(201);
                key.extend(sorted(marks.iter().map(|(name, marked)| [names.of(*name), u8::from(*marked)])));
            }
            Self::Write(replicas) => key.extend([202, *replicas]),
        }
    }
}

impl Memory {
    fn key(&self, digest: &Digest, is_acting: bool, world: &World, names: &Names, key: &mut Vec<u8>) {
        let now = world.timestamp();
        let later = now.plus(Millis::from_secs(TICK_SECONDS.into()));
        let all = |bits: u32| names.all((0..NAMES).filter(|name| bits & (1 << name) != 0));
        for bits in [digest.condemned, digest.let_back, digest.unsure] {
            key.extend(all(bits));
            key.push(u8::MAX);
        }
        let since = |at: Timestamp| {
            let tick = u64::from(TICK_SECONDS) * 500;
            let (past, future) = (now.since(at).get() / tick, at.since(now).get() / tick);
            // Nothing asks whether it is older than that.
            u8::try_from(past.min(4) + 8 * future.min(8)).unwrap_or(u8::MAX)
        };
        // Where nobody is to go only what is ahead matters.
        let going_at = self.condemned.going_at();
        let is_past = self.condemned.ids().is_empty() && going_at <= now;
        key.extend([u8::MAX, if is_past { u8::MAX } else { since(going_at) }]);
        key.push(self.unanswered.unwrap_or(u8::MAX));
        // Where nobody is to go it is seen anew before anybody is.
        if is_acting || !self.condemned.ids().is_empty() {
            let (replicas, at) = self.seen;
            key.extend([replicas, u8::from(now.since(timestamp(at)) >= SPARED_AFTER)]);
            let is_gone = |name: &u8| digest.seen[usize::from(*name)] != 0 && world.pod(*name).is_none();
            let some_went = (0..NAMES).any(|name| is_gone(&name));
            key.push(u8::from(later.since(timestamp(at)) >= SPARED_AFTER) * 2 + u8::from(some_went));
        }
        key.push(u8::from(self.marks.are_settled(now)) * 2 + u8::from(self.marks.are_settled(later)));
        key.extend(sorted(world.pods.iter().map(|pod| {
            let name = usize::from(pod.name);
            let is_as_ready = pod.stage == Stage::Ready && digest.ready_since[name] == pod.ready_since();
            [names.of(pod.name), digest.seen[name] * 2 + u8::from(is_as_ready)]
        })));
    }
}

impl Config {
    /// What operators do, and what is done to them.
    pub(super) fn operators(&self, steps: &mut Steps<'_>) {
        let world = steps.world;
        let Some(operator) = &world.operator else {
            if !world.is_abandoned {
                steps.add("an operator begins", |world| world.operator = Some(Rc::default()));
            }
            return;
        };
        if self.faults.operator_is_killed {
            steps.add("the operator is killed", |world| world.operator = None);
            steps.add("the operator is killed, and none begins again", |world| {
                world.operator = None;
                world.is_abandoned = true;
            });
        }
        match &operator.step {
            Step::Rests => self.plans(operator, steps),
            Step::Acts(acts) => self.acts(operator, acts, steps),
        }
    }

    /// Looks, asks, adopts, decides and plans; then tells the workers and writes the marks, as far as they come before the
    /// number.
    fn plans(&self, operator: &Operator, steps: &mut Steps<'_>) {
        let world = steps.world;
        let now = world.timestamp();
        let (sight, memory) = world.look(&operator.memory);
        let sight = &sight;
        let asked: Vec<u8> = sight.pods.iter().filter(|pod| pod.1.runs()).map(|pod| pod.0).collect();
        let mut planned: Vec<(Plan, Vec<u8>)> = Vec::new();
        // At most one does not answer, besides those that are gone.
        let silent = asked.iter().copied().filter(|_| self.faults.answers_are_lost).map(Some);
        for silent in std::iter::once(None).chain(silent) {
            let mut memory = memory.clone();
            let views: Vec<_> = sight
                .pods
                .iter()
                .map(|(name, stage, marked, version, since)| {
                    Pod::view(*name, *stage, *marked, *version, *since)
                })
                .collect();
            memory.marks.see(&views, now);
            let known: Vec<Known> = sight
                .pods
                .iter()
                .zip(&views)
                .map(|((name, stage, ..), view)| {
                    let pod = world.pod(*name).filter(|pod| pod.stage.runs() && silent != Some(*name));
                    let report = pod
                        .map(|pod| Report { status: pod.status(world.now, self.bug), asked_at: now })
                        .filter(|_| stage.runs());
                    let state = match (&report, stage) {
                        (Some(report), _) => report.state(),
                        (None, Stage::Ready) => WorkerState::Unreachable,
                        // One that has never answered begins.
                        (None, _) => WorkerState::Starting,
                    };
                    Known {
                        id: view.id.clone(),
                        state,
                        drain_left: report.and_then(|report| report.drain_left(now)),
                        stage: view.stage,
                        template: None,
                        mark: memory.marks.of(view),
                    }
                })
                .collect();
            if self.bug != Some(Bug::NobodyAdopted) {
                memory.condemned.recognise(&known, now);
                if sight.is_observed {
                    memory.condemned.adopt(&known, sight.replicas.into(), now);
                }
            }
            let looked = Operator::new(memory.clone(), Step::Rests);
            for decision in self.decisions(&known, memory.condemned.ids(), sight.replicas) {
                let mut plan = plan(
                    &decision,
                    Fleet {
                        current: sight.replicas.into(),
                        pods: &known,
                        condemned: memory.condemned.ids(),
                        is_rolling_out: !sight.is_observed,
                        are_pods_refused: false,
                        leave: Leave::Drained,
                        are_marks_settled: memory.marks.are_settled(now),
                        may_write: true,
                    },
                );
                self.spoil(&mut plan, &decision, sight.replicas);
                // Many decisions come to the same.
                let memory_key: Vec<u8> = memory.condemned.ids().iter().map(of).collect();
                let is_known = planned.iter().any(|(other, key)| *other == plan && *key == memory_key);
                if is_known {
                    continue;
                }
                let words = words(&decision, silent, sight.replicas);
                let acts = self.acts_of(&plan, sight, &memory, world.now);
                planned.push((plan, memory_key));
                let step = if acts.todo.is_empty() { Step::Rests } else { Step::Acts(acts) };
                let mut begun = world.clone();
                begun.operator = Some(looked.at(step));
                self.at_once(words, begun, &mut steps.found);
            }
        }
    }

    /// The deliberate mistakes of a plan.
    fn spoil(&self, plan: &mut Plan, decision: &Decision, current: u8) {
        match self.bug {
            Some(Bug::LoweredBeforeDrained) if decision.target < u32::from(current) => {
                plan.scale = Some(decision.target);
                plan.condemn.clone_from(&decision.drain);
            }
            Some(Bug::MarkedAndLoweredAtOnce) if !plan.mark.is_empty() => {
                let count = u32::try_from(plan.mark.len()).unwrap_or(0);
                plan.scale = Some(u32::from(current).saturating_sub(count));
                plan.condemn.clone_from(&plan.mark);
            }
            _ => {}
        }
    }

    /// The order of `pass/act.rs`.
    fn acts_of(&self, plan: &Plan, sight: &Sight, memory: &Memory, now: u32) -> Acts {
        let names = |ids: &[WorkerId]| ids.iter().map(of).collect::<Vec<u8>>();
        let (condemned, others): (Vec<WorkerId>, Vec<WorkerId>) =
            plan.drain.iter().cloned().partition(|id| memory.condemned.ids().contains(id));
        let long = self.condemned_term;
        let marks = names(&plan.unmark).into_iter().map(|name| (name, false));
        let marks = Todo::Mark(marks.chain(names(&plan.mark).into_iter().map(|name| (name, true))).collect());
        let mut todo = vec![
            Todo::Tell(names(&plan.undrain), Question::Undrain),
            Todo::Tell(names(&others), Question::Drain(DRAIN_TERM_SECONDS)),
            Todo::Tell(names(&condemned), Question::Drain(long)),
        ];
        match plan.scale.and_then(|replicas| u8::try_from(replicas).ok()) {
            Some(replicas) if replicas > sight.replicas => todo.extend([Todo::Write(replicas), marks]),
            Some(replicas) => todo.extend([
                marks,
                Todo::Tell(names(&plan.condemn), Question::LastWord(long)),
                Todo::Write(replicas),
            ]),
            None => todo.push(marks),
        }
        todo.retain(|todo| match todo {
            Todo::Tell(names, _) => !names.is_empty(),
            Todo::Mark(marks) => !marks.is_empty(),
            Todo::Write(_) => true,
        });
        let (replicas, version) = (sight.replicas, sight.version);
        let condemned = sight.pods.iter().filter(|pod| plan.condemn.contains(&id(pod.0)));
        let condemn = condemned.map(|pod| (pod.0, pod.1)).collect();
        Acts { replicas, version, since: now, condemn, todo: todo.into() }
    }

    /// Every decision that the rules permit.
    fn decisions(&self, known: &[Known], condemned: &BTreeSet<WorkerId>, current: u8) -> Vec<Decision> {
        use DrainStage::{Drained, Waiting};
        let counted: Vec<&Known> = known.iter().filter(|worker| !condemned.contains(&worker.id)).collect();
        let is_free = |state| {
            matches!(
                state,
                WorkerState::Starting | WorkerState::Idle | WorkerState::Draining(Waiting | Drained)
            )
        };
        let free: Vec<&WorkerId> =
            counted.iter().filter(|worker| is_free(worker.state)).map(|worker| &worker.id).collect();
        // Whoever is not seen to be free may be busy.
        let busy = usize::from(current).max(counted.len()).saturating_sub(free.len()).min(current.into());
        let most_down = usize::from(current) - busy;
        let drains = |pick: u32| {
            let picked = free.iter().enumerate().filter(|(index, _)| pick & (1 << index) != 0);
            picked.map(|(_, id)| (*id).clone()).collect::<Vec<_>>()
        };
        let make = |target: usize, drain| decision(u32::try_from(target).unwrap_or(u32::MAX), drain);
        match self.decisions {
            Decisions::Any => {
                let down = (1_u32..1 << free.len())
                    .map(drains)
                    .filter(|drain| drain.len() <= most_down)
                    .map(|drain| make(usize::from(current) - drain.len(), drain));
                let up = (current..=self.most.max(current)).map(|target| make(target.into(), Vec::new()));
                up.chain(down).collect()
            }
            Decisions::Always(target) if target >= current => vec![make(target.into(), Vec::new())],
            Decisions::Always(target) => {
                let down = usize::from(current - target).min(most_down);
                let mut chosen: Vec<&&Known> =
                    counted.iter().filter(|worker| is_free(worker.state)).collect();
                // Those that drain stay chosen.
                chosen.sort_by_key(|worker| !matches!(worker.state, WorkerState::Draining(_)));
                let drain: Vec<_> = chosen.into_iter().take(down).map(|worker| worker.id.clone()).collect();
                vec![make(usize::from(current) - drain.len(), drain)]
            }
        }
    }
}

impl World {
    /// Reads the Deployment and its pods, and lets back whom Kubernetes has spared.
    fn look(&self, memory: &Memory) -> (Sight, Memory) {
        let now = self.timestamp();
        let sight = Sight {
            replicas: self.replicas,
            version: self.version,
            is_observed: self.kubernetes.has_seen(self.version),
            pods: self
                .pods
                .iter()
                .map(|pod| (pod.name, pod.stage, pod.is_marked, pod.version, pod.ready_since()))
                .collect(),
        };
        let deployment = DeploymentView {
            replicas: sight.replicas.into(),
            generation: 1,
            observed_generation: i64::from(sight.is_observed),
            ..no_deployment()
        };
        let mut memory = memory.clone();
        memory.condemned.learn(sight.replicas.into(), now);
        memory.unanswered = None;
        memory.seen = (sight.replicas, self.now);
        let ids: Vec<WorkerId> = sight.pods.iter().map(|pod| id(pod.0)).collect();
        let _ = memory.condemned.spare(&ids.iter().collect(), &deployment, now);
        (sight, memory)
    }
}

fn no_deployment() -> DeploymentView {
    use std::collections::BTreeMap;
    let text = String::new;
    DeploymentView {
        name: text(),
        uid: text(),
        resource_version: text(),
        generation: 0,
        observed_generation: 0,
        replicas: 0,
        pods: 0,
        updated: 0,
        selector: text(),
        controller: None,
        labels: BTreeMap::new(),
        other_writer: None,
        needs_hand_over: false,
        replica_failure: None,
        is_going: false,
    }
}

fn decision(target: u32, drain: Vec<WorkerId>) -> Decision {
    Decision {
        target,
        drain,
        reason: Reason::Backlog,
        limits: Vec::new(),
        next_check: Millis::from_secs(1),
        memory: CoreMemory::default(),
        explain: Explain {
            current: 0,
            need: None,
            workers: None,
            idle_limit: Millis::ZERO,
            empty_for: Millis::ZERO,
            zero_after: Millis::ZERO,
            not_fresh: Vec::new(),
        },
    }
}

fn words(decision: &Decision, silent: Option<u8>, current: u8) -> String {
    use std::fmt::Write;
    let mut words = match decision.target.cmp(&current.into()) {
        std::cmp::Ordering::Equal => "the decision is to stay".to_owned(),
        _ => format!("the decision is {}", decision.target),
    };
    if !decision.drain.is_empty() {
        let names: Vec<&str> = decision.drain.iter().map(WorkerId::as_str).collect();
        let _ = write!(words, " without {}", names.join(" and "));
    }
    if let Some(silent) = silent {
        let _ = write!(words, ", {} gives no answer", name(silent));
    }
    words
}

impl fmt::Display for Operator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.step {
            Step::Rests => "operator rests",
            Step::Acts(_) => "operator acts",
        })?;
        for id in self.memory.condemned.ids() {
            write!(f, ", {id} is to go")?;
        }
        Ok(())
    }
}
