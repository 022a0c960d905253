//! The lease: candidates with clocks of their own, calls that are lost or land late, processes that stop at any point.
//!
//! The rules are the real [`Candidate`] and its `look` and `wrote`. Time is told in ticks; a leader leads for
//! [`RENEW`] of them and others wait three: Kubernetes' own 10 s and 15 s. A call lands at once, at any
//! time later, or never; its answer is heard or not. All clocks run alike here: the random test beside the lease's code has
//! clocks of different speed.

use std::fmt;
use std::time::Duration;

use reelpool::lease::evaluate::{Candidate, LeaseView, Step};
use reelpool::lease::{Moment, Timing};

use crate::explore::Model;

/// A tick, in seconds.
const TICK: u64 = 5;
/// For how many ticks a leader leads after its last renewal.
pub const RENEW: u64 = 2;

/// A deliberate mistake.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Bug {
    /// A leader counts its time from the answer to its write, not from the question.
    CountedFromTheAnswer,
    /// A write of the lease is made whatever its version is.
    WrittenWithoutPrecondition,
}

/// How large the world is.
#[derive(Debug, Clone, Copy)]
pub struct Config {
    /// Candidates.
    pub candidates: u8,
    /// Whether a person may delete the lease, once all candidates have seen it.
    pub is_deleted: bool,
    /// What is broken on purpose.
    pub bug: Option<Bug>,
}

/// What a candidate does.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Doing {
    Rests,
    /// It is about to write, from this version.
    Decided {
        from: Option<u64>,
        transitions: i32,
        asked_at: u64,
    },
    /// Its write is on its way.
    Sent {
        from: Option<u64>,
        transitions: i32,
        asked_at: u64,
    },
    /// Its write was made, and the answer is on its way.
    Made {
        version: u64,
        transitions: i32,
        asked_at: u64,
    },
}

/// A process.
#[derive(Clone)]
struct Process {
    candidate: Candidate,
    doing: Doing,
    /// Since when it leads no more, whatever comes.
    has_ended: bool,
    has_seen: bool,
}

/// The lease as the API server has it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Lease {
    version: u64,
    holder: u8,
    transitions: i32,
}

/// All there is.
#[derive(Clone)]
pub struct World {
    now: u64,
    lease: Option<Lease>,
    version: u64,
    processes: Vec<Process>,
    is_deleted: bool,
}

/// The facts that properties are made of.
pub mod facts {
    /// Somebody leads.
    pub const LED: u8 = 1;

    /// Those of a state.
    #[must_use]
    pub fn of(world: &super::World) -> u8 {
        u8::from(world.processes.iter().any(|process| process.leads(world.now)))
    }
}

fn moment(now: u64) -> Moment {
    Moment::from_start(Duration::from_secs(1_000_000 + now * TICK))
}

fn ticks(span: Duration) -> u8 {
    u8::try_from(span.as_secs() / TICK).unwrap_or(u8::MAX).min(9)
}

impl Process {
    fn new(index: u8) -> Self {
        let candidate = Candidate::new(name(index), Timing::default());
        Self { candidate, doing: Doing::Rests, has_ended: false, has_seen: false }
    }

    fn leads(&self, now: u64) -> bool {
        !self.has_ended && self.candidate.leads(moment(now))
    }
}

fn name(index: u8) -> String {
    char::from(b'A' + index).to_string()
}

impl Lease {
    fn view(self) -> LeaseView {
        LeaseView {
            version: self.version.to_string(),
            holder: Some(name(self.holder)),
            duration: Some(Timing::default().lease()),
            transitions: 0,
        }
    }
}

impl Config {
    fn process(self, world: &World, index: u8, found: &mut Vec<(String, World)>) {
        let process = &world.processes[usize::from(index)];
        let who = name(index);
        let mut add = |words: String, change: &dyn Fn(&mut World, &mut Process)| {
            let mut next = world.clone();
            let mut process = process.clone();
            change(&mut next, &mut process);
            next.processes[usize::from(index)] = process;
            found.push((words, next));
        };
        match &process.doing {
            Doing::Rests => add(format!("{who} looks"), &|world, process| {
                let view = world.lease.map(Lease::view);
                process.has_seen |= view.is_some();
                let step = process.candidate.look(view.as_ref(), moment(world.now));
                let from = world.lease.map(|lease| lease.version);
                let asked_at = world.now;
                match step {
                    Step::Wait { .. } => {}
                    // The process ends; another begins in its place, under another name that is as good as this one.
                    Step::Lost { .. } => *process = Process::new(index),
                    Step::Renew => process.doing = Doing::Decided { from, transitions: 0, asked_at },
                    Step::Acquire { .. } => process.doing = Doing::Decided { from, transitions: 1, asked_at },
                }
            }),
            // It may have been stopped between the look and the write: its time counts from just before the write.
            Doing::Decided { from, transitions, .. } => {
                let (from, transitions) = (*from, *transitions);
                add(format!("{who} sends its write"), &|world, process| {
                    process.doing = Doing::Sent { from, transitions, asked_at: world.now };
                });
            }
            Doing::Sent { from, transitions, asked_at } => {
                let (from, transitions, asked_at) = (*from, *transitions, *asked_at);
                let is_current = from == world.lease.map(|lease| lease.version)
                    || self.bug == Some(Bug::WrittenWithoutPrecondition);
                add(format!("{who}'s write lands"), &|world, process| {
                    if is_current {
                        world.version += 1;
                        let version = world.version;
                        world.lease = Some(Lease { version, holder: index, transitions });
                        process.doing = Doing::Made { version, transitions, asked_at };
                    } else {
                        process.doing = Doing::Rests;
                    }
                });
                add(format!("{who}'s write is lost"), &|_, process| process.doing = Doing::Rests);
            }
            Doing::Made { version, transitions, asked_at } => {
                let lease = Lease { version: *version, holder: index, transitions: *transitions };
                let asked_at = *asked_at;
                let bug = self.bug;
                add(format!("{who} hears that it was made"), &|world, process| {
                    let counted = if bug == Some(Bug::CountedFromTheAnswer) { world.now } else { asked_at };
                    process.has_seen = true;
                    process.candidate.wrote(&lease.view(), moment(counted), moment(world.now));
                    process.doing = Doing::Rests;
                });
                add(format!("{who} never hears of it"), &|_, process| process.doing = Doing::Rests);
            }
        }
    }
}

impl Model for Config {
    type State = World;
    type Action = String;
    type Key = Vec<u8>;

    fn start(&self) -> World {
        let processes = (0..self.candidates).map(Process::new).collect();
        World { now: 0, lease: None, version: 0, processes, is_deleted: false }
    }

    fn steps(&self, world: &World) -> Vec<(String, World)> {
        let mut found = Vec::new();
        for index in 0..self.candidates {
            self.process(world, index, &mut found);
        }
        let all_have_seen = world.processes.iter().all(|process| process.has_seen);
        if self.is_deleted && !world.is_deleted && all_have_seen && world.lease.is_some() {
            let mut next = world.clone();
            next.lease = None;
            next.is_deleted = true;
            found.push(("the lease is deleted".to_owned(), next));
        }
        let mut next = world.clone();
        next.now += 1;
        found.push((format!("{TICK} s pass"), next));
        found
    }

    fn key(&self, world: &World) -> Vec<u8> {
        let mut key = vec![u8::from(world.is_deleted)];
        let now = moment(world.now);
        key.push(world.lease.map_or(u8::MAX, |lease| lease.holder));
        let is_current = |version: Option<u64>| u8::from(version == world.lease.map(|lease| lease.version));
        for process in &world.processes {
            key.push(u8::from(process.has_seen));
            match process.candidate.observed() {
                None => key.push(u8::MAX),
                Some(seen) => {
                    let version = seen.version.as_ref().and_then(|version| version.parse().ok());
                    key.extend([
                        is_current(version) * 2 + u8::from(version.is_some()),
                        // One that is over is over.
                        ticks(now.since(seen.at)).min(ticks(seen.wait)),
                        ticks(seen.wait),
                    ]);
                }
            }
            key.push(process.candidate.leads_until().map_or(u8::MAX, |until| ticks(until.since(now))));
            let age = |asked_at: u64| u8::try_from((world.now - asked_at).min(RENEW)).unwrap_or(0);
            key.extend(match process.doing {
                Doing::Rests => [0, 0, 0],
                Doing::Decided { from, .. } => [1, is_current(from), 0],
                Doing::Sent { from, asked_at, .. } => [2, is_current(from), age(asked_at)],
                Doing::Made { version, asked_at, .. } => [3, is_current(Some(version)), age(asked_at)],
            });
        }
        key
    }

    fn broken(&self, world: &World) -> Option<String> {
        let leaders = world.processes.iter().filter(|process| process.leads(world.now)).count();
        (leaders > 1).then(|| format!("{leaders} may write at the same moment"))
    }

    fn show(&self, world: &World) -> String {
        world.to_string()
    }
}

impl fmt::Display for World {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.lease {
            None => write!(f, "[{} s] no lease", self.now * TICK)?,
            Some(lease) => write!(f, "[{} s] {} holds", self.now * TICK, name(lease.holder))?,
        }
        for (index, process) in (0..).zip(&self.processes) {
            let leads = if process.leads(self.now) { " LEADS" } else { "" };
            write!(f, "; {}{leads} {:?}", name(index), process.doing)?;
        }
        Ok(())
    }
}
