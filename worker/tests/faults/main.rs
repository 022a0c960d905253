//! The worker's driver under faults: every call that it makes to the queue, the masters and the outputs fails,
//! hangs, loses its answer, loses the hold or meets a shutdown, with the real ffmpeg between them. Whatever
//! happens, what is left in the store and in the queue is what the promises say.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::unreachable,
    missing_docs,
    reason = "tests"
)]

mod claims;
mod fakes;
mod lives;
mod profiles;
mod receiving;
mod records;
mod script;
mod shutdown;
mod status_server;
mod worker;
mod world;

use std::sync::{Condvar, Mutex, PoisonError};
use std::thread;

use crate::script::{Rule, Script};
use crate::worker::{SHORT, Setup, block_on};
use crate::world::World;

/// How many scenarios may begin now: with more at once, the machine and not the worker would be tested.
static FREE: (Mutex<usize>, Condvar) = (Mutex::new(8), Condvar::new());

/// Where a message is when all is over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    /// Gone, and its jobs are committed.
    Committed,
    /// Among the dead letters for this reason, with nothing in the store; sent anew, it is done.
    Dead(&'static str),
    /// Among the dead letters for this reason, with nothing in the store; not sent anew.
    Hopeless(&'static str),
    /// Among the dead letters for this reason. Whether the commit took place nobody could know, so what it would name
    /// stays, unseen by readers; sent anew, the job is done and the rest removed.
    InDoubt(&'static str),
}

/// Faults, and the end that the message must come to.
#[derive(Debug, Clone)]
struct Scenario {
    name: String,
    rules: Vec<Rule>,
    end: End,
    /// Whether the faulty worker goes on until the queue is empty, or only until it has settled or lost the message.
    to_the_end: bool,
    setup: Setup,
    body: Body,
}

/// What the message asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Body {
    Video,
    /// As [`Body::Video`], with no entity tag told.
    Untagged,
    /// A master that is no video.
    Text,
    /// Nothing that can be read.
    Garbage,
}

impl Scenario {
    fn new(rules: impl IntoIterator<Item = Rule>, end: End) -> Self {
        let rules: Vec<_> = rules.into_iter().collect();
        let names: Vec<_> = rules.iter().map(ToString::to_string).collect();
        let name = names.join(" and ");
        Self { name, rules, end, to_the_end: false, setup: Setup::default(), body: Body::Video }
    }

    /// With a visibility timeout whose end can be waited for.
    fn short(mut self) -> Self {
        self.setup.visibility = SHORT;
        self
    }

    /// With so many attempts, which the faulty worker uses up.
    fn until_given_up(mut self, attempts: u32) -> Self {
        self.setup.max_attempts = attempts;
        self.to_the_end = true;
        self
    }

    fn of(mut self, body: Body) -> Self {
        self.body = body;
        self
    }
}

/// Plays the scenarios, some at a time; tells of all that failed.
fn play(scenarios: Vec<Scenario>) {
    each(scenarios, |scenario| block_on(follow(scenario)));
}

/// Calls `with` for each scenario on a thread of its own.
fn each(scenarios: Vec<Scenario>, with: fn(Scenario)) {
    assert!(!scenarios.is_empty());
    let threads = scenarios.into_iter().map(|scenario| {
        let name = scenario.name.clone();
        let play = move || {
            let (free, changed) = &FREE;
            let free = free.lock().unwrap_or_else(PoisonError::into_inner);
            *changed.wait_while(free, |free| *free == 0).unwrap_or_else(PoisonError::into_inner) -= 1;
            let _slot = Slot;
            with(scenario);
        };
        (name.clone(), thread::Builder::new().name(name).spawn(play).unwrap())
    });
    let threads: Vec<_> = threads.collect();
    let failed: Vec<_> =
        threads.into_iter().filter_map(|(name, thread)| thread.join().is_err().then_some(name)).collect();
    assert!(failed.is_empty(), "these failed, as told above: {failed:#?}");
}

struct Slot;

impl Drop for Slot {
    fn drop(&mut self) {
        let (free, changed) = &FREE;
        *free.lock().unwrap_or_else(PoisonError::into_inner) += 1;
        changed.notify_one();
    }
}

/// A worker that meets the faults, then a healthy one, then a look at what is left.
async fn follow(scenario: Scenario) {
    let world = World::new();
    match scenario.body {
        Body::Video => world.send(&[world.video("clip.mp4")]),
        Body::Untagged => world.send(&[world.untagged("clip.mp4")]),
        Body::Text => world.send(&[world.text("notes.mp4")]),
        Body::Garbage => world.send_text("Hello?"),
    }
    let script = Script::new(&world, scenario.rules.clone());
    let worker = world.worker("faulty", &scenario.setup, &script);
    let state = worker.state();
    // Where the machine alone made it lose the message before it met its faults, it meets them in another try.
    let met = || state.ends() > 0 && script.all_fired();
    let settled = || world.is_empty() || (!scenario.to_the_end && met());
    worker.run_until(settled).await.unwrap();
    world.finish().await;

    script.assert_all_fired();
    assert!(state.ends() > 0, "the worker never said how its job ended\n{world}");
    match scenario.end {
        End::Committed => world.assert_committed(),
        End::Dead(reason) => {
            world.assert_dead(reason);
            world.assert_no_outputs();
            world.redrive();
            world.finish().await;
            world.assert_committed();
        }
        End::Hopeless(reason) => {
            world.assert_dead(reason);
            world.assert_no_outputs();
        }
        End::InDoubt(reason) => {
            world.assert_dead(reason);
            world.redrive();
            world.finish().await;
            world.assert_committed();
        }
    }
    world.assert_no_violation();
}
