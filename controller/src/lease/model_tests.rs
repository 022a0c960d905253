//! Candidates in a world of skewed clocks, slow and lost calls, processes that stop and go on, and leases that are
//! deleted: at no true time may two of them lead, and in the end one must.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::time::Duration;

use fastrand::Rng;

use super::evaluate::{Candidate, LeaseView, Step, Timing};
use super::moment::Moment;

/// Faults happen until then, in true milliseconds.
const TROUBLE: u64 = 150_000;
/// The world ends then.
const END: u64 = 260_000;

/// What the server is asked, with the version that the write was made from.
#[derive(Debug, Clone)]
enum Call {
    Get,
    Write { from: Option<String>, holder: Option<String>, transitions: i32 },
}

#[derive(Debug, Clone)]
enum Event {
    /// The candidate begins a turn.
    Turn,
    /// A call reaches the server.
    Arrives { call: Call, number: u64 },
    /// An answer reaches the candidate; `Err` is a conflict or a failure.
    Answer { number: u64, answer: Result<Option<LeaseView>, ()> },
    /// The candidate waits no longer for an answer.
    TimeOut { number: u64 },
    /// The process is stopped, and goes on when this much time has passed.
    Stop { until: u64 },
    /// The process is killed; another begins in its place.
    Kill,
    /// It hands the lease back and another begins in its place.
    Release,
    /// A person deletes the lease.
    Delete,
}

/// What a candidate waits for.
#[derive(Debug)]
enum Waiting {
    Nothing,
    Sight { number: u64 },
    Write { number: u64, asked_at: Moment },
}

struct Process {
    candidate: Candidate,
    known: Option<LeaseView>,
    waiting: Waiting,
    turn_began: u64,
    stopped_until: u64,
    /// What its clock showed at the beginning, and how fast it runs, in thousandths.
    origin: u64,
    rate: u64,
    /// Whether it ever saw the lease: one that did not cannot know that a deleted one was another's.
    saw_lease: bool,
}

impl Process {
    fn local(&self, now: u64) -> Moment {
        Moment::from_start(Duration::from_millis(self.origin + now * self.rate / 1000))
    }

    /// How long `span` of its own clock takes in true time.
    fn truly(&self, span: Duration) -> u64 {
        u64::try_from(span.as_millis()).unwrap() * 1000 / self.rate
    }
}

struct World {
    rng: Rng,
    timing: Timing,
    now: u64,
    events: BinaryHeap<Reverse<(u64, u64, usize)>>,
    what: Vec<Event>,
    lease: Option<LeaseView>,
    version: u64,
    calls: u64,
    processes: Vec<Process>,
    identities: u64,
    /// How many changes of leader there were.
    led: u64,
    last_leader: Option<String>,
    was_deleted: bool,
    none_begins_before: u64,
}

impl World {
    fn new(seed: u64, timing: Timing) -> Self {
        let mut world = Self {
            rng: Rng::with_seed(seed),
            timing,
            now: 0,
            events: BinaryHeap::new(),
            what: Vec::new(),
            lease: None,
            version: 0,
            calls: 0,
            processes: Vec::new(),
            identities: 0,
            led: 0,
            last_leader: None,
            was_deleted: false,
            none_begins_before: 0,
        };
        for index in 0..world.rng.usize(2..=3) {
            let process = world.process();
            world.processes.push(process);
            let begins = world.rng.u64(0..5000);
            world.at(begins, index, Event::Turn);
        }
        for _ in 0..world.rng.u64(0..12) {
            let (when, who) = (world.rng.u64(0..TROUBLE), world.rng.usize(0..world.processes.len()));
            let event = match world.rng.u8(0..8) {
                0..=3 => Event::Stop { until: when + world.rng.u64(100..30_000) },
                4..=5 => Event::Kill,
                6 => Event::Release,
                _ => Event::Delete,
            };
            world.at(when, who, event);
        }
        world
    }

    fn process(&mut self) -> Process {
        self.identities += 1;
        Process {
            candidate: Candidate::new(format!("candidate_{}", self.identities), self.timing),
            known: None,
            waiting: Waiting::Nothing,
            turn_began: self.now,
            stopped_until: 0,
            origin: self.rng.u64(0..1_000_000),
            rate: self.rng.u64(850..=1150),
            saw_lease: false,
        }
    }

    fn at(&mut self, when: u64, who: usize, event: Event) {
        self.what.push(event);
        // The order of what happens at one time is the order in which it was caused, now and then not.
        let order = self.what.len() as u64 * 4 + self.rng.u64(0..9);
        self.events.push(Reverse((when, order, self.what.len() - 1 + (who << 40))));
    }

    /// Runs to the end. Returns what went wrong, if anything did.
    fn run(&mut self) -> Result<(), String> {
        let mut led_since = None;
        while let Some(Reverse((when, _, packed))) = self.events.pop() {
            if when > END {
                break;
            }
            self.now = self.now.max(when);
            let (who, event) = (packed >> 40, self.what[packed & ((1 << 40) - 1)].clone());
            let stopped = self.processes[who].stopped_until;
            let is_own =
                matches!(event, Event::Turn | Event::Answer { .. } | Event::TimeOut { .. } | Event::Release);
            if is_own && stopped > self.now {
                self.at(stopped, who, event);
                continue;
            }
            self.happens(who, event);
            let leaders: Vec<&str> = self
                .processes
                .iter()
                .filter(|process| process.candidate.leads(process.local(self.now)))
                .map(|process| process.candidate.identity())
                .collect();
            match leaders.as_slice() {
                [] => led_since = None,
                [leader] => {
                    led_since = led_since.or(Some(self.now));
                    if self.last_leader.as_deref() != Some(leader) {
                        self.last_leader = Some((*leader).to_owned());
                        self.led += 1;
                    }
                }
                _ => return Err(format!("at {} ms these lead: {leaders:?}", self.now)),
            }
        }
        match led_since {
            Some(since) if since < TROUBLE + 80_000 => Ok(()),
            since => Err(format!("nobody leads in the end (since {since:?})")),
        }
    }

    fn happens(&mut self, who: usize, event: Event) {
        match event {
            Event::Turn => self.turn(who),
            Event::Arrives { call, number } => {
                let answer = self.serve(call);
                if !self.strikes(8) {
                    let delay = self.delay();
                    self.at(self.now + delay, who, Event::Answer { number, answer });
                }
            }
            Event::Answer { number, answer } => self.answer(who, number, answer),
            Event::TimeOut { number } => {
                let waits = match self.processes[who].waiting {
                    Waiting::Nothing => false,
                    Waiting::Sight { number: own } | Waiting::Write { number: own, .. } => own == number,
                };
                if waits {
                    self.end_turn(who);
                }
            }
            Event::Stop { until } => self.processes[who].stopped_until = until,
            Event::Kill => self.replace(who),
            Event::Release => {
                let process = &self.processes[who];
                if let Some(lease) = process.known.clone()
                    && process.candidate.leads(process.local(self.now))
                {
                    let call = Call::Write {
                        from: Some(lease.version),
                        holder: None,
                        transitions: lease.transitions,
                    };
                    self.call(who, call);
                }
                self.replace(who);
            }
            // Who never saw the lease takes a deleted one at once, and who sees none twice does not see that there was
            // one in between: it is deleted once, when all have seen it, and nobody begins until the leader's
            // time is over.
            Event::Delete => {
                if !self.was_deleted && self.processes.iter().all(|process| process.saw_lease) {
                    self.was_deleted = true;
                    self.lease = None;
                    self.none_begins_before = self.now + 20_000;
                }
            }
        }
    }

    fn replace(&mut self, who: usize) {
        self.processes[who] = self.process();
        let begins = (self.now + self.rng.u64(500..10_000)).max(self.none_begins_before);
        self.processes[who].stopped_until = begins;
        // The one that was killed says nothing to its successor: no call has a number that it knows.
        self.at(begins, who, Event::Turn);
    }

    fn turn(&mut self, who: usize) {
        let process = &mut self.processes[who];
        if !matches!(process.waiting, Waiting::Nothing) {
            return;
        }
        process.turn_began = self.now;
        let now = process.local(self.now);
        if let Some(known) = process.known.clone().filter(|_| process.candidate.leads_until().is_some()) {
            let step = process.candidate.look(Some(&known), now);
            self.act(who, Some(&known), &step);
        } else {
            let number = self.call(who, Call::Get);
            self.processes[who].waiting = Waiting::Sight { number };
        }
    }

    fn answer(&mut self, who: usize, number: u64, answer: Result<Option<LeaseView>, ()>) {
        let now = self.processes[who].local(self.now);
        let process = &mut self.processes[who];
        match process.waiting {
            Waiting::Sight { number: own } if own == number => {
                process.waiting = Waiting::Nothing;
                let Ok(lease) = answer else { return self.end_turn(who) };
                process.saw_lease |= lease.is_some();
                let step = process.candidate.look(lease.as_ref(), now);
                self.act(who, lease.as_ref(), &step);
            }
            Waiting::Write { number: own, asked_at } if own == number => {
                if let Ok(Some(lease)) = answer {
                    process.saw_lease = true;
                    process.candidate.wrote(&lease, asked_at, now);
                    process.known = Some(lease);
                }
                self.end_turn(who);
            }
            _ => {}
        }
    }

    fn act(&mut self, who: usize, lease: Option<&LeaseView>, step: &Step) {
        let transitions = match step {
            Step::Acquire { transitions } => *transitions,
            Step::Renew => lease.map_or(0, |lease| lease.transitions),
            Step::Wait { .. } => return self.end_turn(who),
            // The process ends, and another begins in its place.
            Step::Lost { .. } => return self.replace(who),
        };
        // It may be stopped here, between the look and the write.
        let process = &mut self.processes[who];
        let asked_at = process.local(self.now);
        process.known = None;
        let holder = Some(process.candidate.identity().to_owned());
        let from = lease.map(|lease| lease.version.clone());
        let number = self.call(who, Call::Write { from, holder, transitions });
        self.processes[who].waiting = Waiting::Write { number, asked_at };
    }

    fn end_turn(&mut self, who: usize) {
        let process = &mut self.processes[who];
        process.waiting = Waiting::Nothing;
        let next = process.turn_began + process.truly(self.timing.retry());
        let next = next.max(self.now + 1);
        self.at(next, who, Event::Turn);
    }

    fn call(&mut self, who: usize, call: Call) -> u64 {
        self.calls += 1;
        let number = self.calls;
        if !self.strikes(8) {
            let delay = self.delay();
            self.at(self.now + delay, who, Event::Arrives { call, number });
        }
        let patience = self.processes[who].truly(self.timing.call());
        self.at(self.now + patience, who, Event::TimeOut { number });
        number
    }

    /// One way of a call: mostly quick, while there is trouble now and then very slow.
    fn delay(&mut self) -> u64 {
        if self.strikes(12) { self.rng.u64(500..25_000) } else { self.rng.u64(1..80) }
    }

    /// Whether a fault of one in `chance` strikes; none does in the end.
    fn strikes(&mut self, chance: u32) -> bool {
        self.now < TROUBLE && self.rng.u32(0..chance) == 0
    }

    fn serve(&mut self, call: Call) -> Result<Option<LeaseView>, ()> {
        if self.strikes(20) {
            return Err(());
        }
        match call {
            Call::Get => Ok(self.lease.clone()),
            Call::Write { from, holder, transitions } => {
                if self.lease.as_ref().map(|lease| &lease.version) != from.as_ref() {
                    return Err(());
                }
                self.version += 1;
                let lease = LeaseView {
                    version: self.version.to_string(),
                    holder,
                    duration: Some(self.timing.lease()),
                    transitions,
                };
                self.lease = Some(lease);
                Ok(self.lease.clone())
            }
        }
    }
}

#[test]
fn there_are_never_two_leaders_and_one_in_the_end() {
    let seeds = std::env::var("REELPOOL_SEED").ok().map(|seed| seed.parse::<u64>().unwrap());
    let seeds = seeds.map_or(0..5000, |seed| seed..seed + 1);
    let mut led = 0;
    for seed in seeds.clone() {
        let mut world = World::new(seed, Timing::default());
        if let Err(wrong) = world.run() {
            panic!("{wrong}: REELPOOL_SEED={seed} repeats it");
        }
        led += world.led;
    }
    // The trouble is real: leaders change.
    assert!(led > seeds.count() as u64, "only {led} leaders");
}

/// The model is able to see two leaders: it finds them where the times are wrong.
#[test]
fn a_leader_that_leads_for_longer_than_others_wait_is_found() {
    let wrong = Timing::unsound(10, Duration::from_secs(14), Duration::from_secs(2));
    let found =
        (0..300).any(|seed| World::new(seed, wrong).run().is_err_and(|wrong| wrong.contains("these lead")));
    assert!(found);
}
