//! A small fleet, its queue, and a shell that does what it is told: late, half blind, and forgetful at times.

use reelpool_core::{
    Decision, DrainStage, Memory, Millis, Observation, Policy, QueueDepth, Sample, Timestamp, WorkerId,
    WorkerObservation, WorkerState, check, decide,
};

use super::NOON;

/// What happens in one step of a run.
#[derive(Debug, Clone)]
pub struct Step {
    /// Seconds that pass.
    pub seconds: i64,
    /// Messages that are sent.
    pub arrivals: u64,
    /// Which idle workers receive a message, and which busy ones finish, by a bit for each.
    pub luck: u32,
    /// What goes wrong.
    pub fault: Fault,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    None,
    /// The queue cannot be read.
    QueueMissing,
    /// The queue says it is empty, whatever there is.
    QueueSaysEmpty,
    /// The workers cannot be seen.
    WorkersMissing,
    /// The shell sees what it saw the step before.
    OldNews,
    /// One worker does not answer.
    OneSilent,
    /// The shell has lost its memory.
    Restart,
    /// The clock is set back by ten seconds.
    ClockBack,
    /// The shell decides and then does nothing of it.
    NothingDone,
}

#[derive(Debug, Clone)]
struct Worker {
    id: WorkerId,
    state: WorkerState,
    /// By the true time, in seconds.
    since: i64,
}

pub struct World {
    policy: Policy,
    memory: Memory,
    workers: Vec<Worker>,
    pub backlog: u64,
    true_time: i64,
    clock_offset: i64,
    born: u32,
    last_seen: Option<Observation>,
    /// Since when, by the true time, the shell has seen nothing but an empty queue, and how often.
    empty_looks: Option<(i64, u32)>,
    /// The most workers that ever were.
    pub peak: u32,
}

impl World {
    pub fn new(policy: Policy) -> Self {
        Self {
            policy,
            memory: Memory::default(),
            workers: Vec::new(),
            backlog: 0,
            true_time: 0,
            clock_offset: 0,
            born: 0,
            last_seen: None,
            empty_looks: None,
            peak: 0,
        }
    }

    pub fn current(&self) -> u32 {
        u32::try_from(self.workers.len()).unwrap()
    }

    pub fn in_flight(&self) -> u64 {
        self.workers.iter().filter(|w| has_job(w.state)).count() as u64
    }

    fn clock(&self, true_time: i64) -> Timestamp {
        Timestamp::from_millis(NOON + (true_time + self.clock_offset) * 1000)
    }

    /// Lets time pass, then observes, decides, checks and applies. Tells the decision.
    pub fn step(&mut self, step: &Step) -> Decision {
        self.true_time += step.seconds;
        self.backlog += step.arrivals;
        self.work(step.luck);
        match step.fault {
            Fault::ClockBack => self.clock_offset -= 10,
            Fault::Restart => self.memory = Memory::default(),
            _ => {}
        }
        let now = self.clock(self.true_time);
        let seen = self.observe(step.fault, now);
        self.look(&seen, now);
        let decision = decide(&self.policy, &self.memory, &seen, now);
        assert_eq!(check(&self.policy, &seen, &decision, now), [], "{decision}\nfrom {seen:?}");
        self.memory = decision.memory;
        self.judge(&decision, &seen);
        if step.fault != Fault::NothingDone {
            self.apply(&decision);
        }
        self.last_seen = Some(seen);
        self.peak = self.peak.max(self.current());
        decision
    }

    /// Workers start, receive, finish; drains come to their end.
    fn work(&mut self, luck: u32) {
        use WorkerState::{Busy, Draining, Idle, Starting};
        let now = self.true_time;
        for (i, worker) in self.workers.iter_mut().enumerate() {
            let lucky = luck & (1 << (i % 32)) != 0;
            let next = match worker.state {
                // A receive that was outstanding when the drain began may still bring a message.
                Idle | Draining(DrainStage::Waiting) if lucky && self.backlog > 0 => {
                    self.backlog -= 1;
                    if worker.state == Idle { Busy } else { Draining(DrainStage::Busy) }
                }
                Draining(DrainStage::Waiting) => Draining(DrainStage::Drained),
                Starting | Busy if lucky => Idle,
                Draining(DrainStage::Busy) if lucky => Draining(DrainStage::Drained),
                state => state,
            };
            if next != worker.state {
                (worker.state, worker.since) = (next, now);
            }
        }
    }

    fn observe(&self, fault: Fault, now: Timestamp) -> Observation {
        if let (Fault::OldNews, Some(old)) = (fault, &self.last_seen) {
            return Observation { current: self.current(), ..old.clone() };
        }
        let gone = || ("gone".to_owned(), now);
        let depth = match fault {
            Fault::QueueSaysEmpty => QueueDepth::default(),
            _ => QueueDepth { backlog: self.backlog, in_flight: self.in_flight(), ..QueueDepth::default() },
        };
        let queue = match (fault, gone()) {
            (Fault::QueueMissing, (cause, since)) => Sample::Missing { cause, since },
            _ => Sample::Known { value: depth, observed_at: now },
        };
        let listed = self.workers.iter().enumerate().map(|(i, worker)| {
            let silent = fault == Fault::OneSilent && i == 0;
            let state = if silent { WorkerState::Unreachable } else { worker.state };
            WorkerObservation { id: worker.id.clone(), state, since: self.clock(worker.since) }
        });
        let workers = match (fault, gone()) {
            (Fault::WorkersMissing, (cause, since)) => Sample::Missing { cause, since },
            _ => Sample::Known { value: listed.collect(), observed_at: now },
        };
        Observation { queue, workers, current: self.current(), service_time: None, start_up_time: None }
    }

    /// Notes what was seen of the queue, by the true time.
    fn look(&mut self, seen: &Observation, now: Timestamp) {
        self.empty_looks = match &seen.queue {
            Sample::Known { value, observed_at } if value.is_empty() => {
                let (since, looks) = self.empty_looks.unwrap_or((self.true_time, 0));
                // Looking at the same sample again is no look.
                Some((since, looks + u32::from(*observed_at == now)))
            }
            _ => None,
        };
    }

    /// What must hold of a decision besides `check`, by what is true and not by what was seen.
    fn judge(&self, decision: &Decision, seen: &Observation) {
        if decision.target == 0 && seen.current > 0 {
            let (since, looks) =
                self.empty_looks.expect("the fleet was to be emptied while the queue was not");
            let seconds = u64::try_from(self.true_time - since).unwrap();
            assert!(looks > 1, "one empty sample emptied the fleet");
            assert!(Millis::from_secs(seconds) >= self.policy.spec().zero_after, "emptied after {seconds} s");
        }
    }

    /// Does what the decision says: drains lapse first, then workers are started or asked to drain, and those
    /// that answer that they are drained are removed.
    fn apply(&mut self, decision: &Decision) {
        let now = self.true_time;
        for worker in &mut self.workers {
            let state = if decision.drain.contains(&worker.id) {
                match worker.state {
                    WorkerState::Starting => WorkerState::Draining(DrainStage::Drained),
                    WorkerState::Idle => WorkerState::Draining(DrainStage::Waiting),
                    WorkerState::Busy => WorkerState::Draining(DrainStage::Busy),
                    state => state,
                }
            } else {
                match worker.state {
                    WorkerState::Draining(DrainStage::Busy) => WorkerState::Busy,
                    WorkerState::Draining(_) => WorkerState::Idle,
                    state => state,
                }
            };
            if state != worker.state {
                (worker.state, worker.since) = (state, now);
            }
        }
        let draining = |w: &Worker| matches!(w.state, WorkerState::Draining(_));
        if decision.target > self.current() {
            assert!(!self.workers.iter().any(draining), "started while someone drains");
        }
        for _ in self.current()..decision.target {
            self.born += 1;
            let id = format!("w{}", self.born).into();
            self.workers.push(Worker { id, state: WorkerState::Starting, since: now });
        }
        let mut surplus = self.current().saturating_sub(decision.target);
        self.workers.retain(|worker| {
            let drained = worker.state == WorkerState::Draining(DrainStage::Drained);
            let goes = surplus > 0 && drained && decision.drain.contains(&worker.id);
            surplus -= u32::from(goes);
            !goes
        });
    }
}

fn has_job(state: WorkerState) -> bool {
    matches!(state, WorkerState::Busy | WorkerState::Draining(DrainStage::Busy))
}
