//! Does what was planned, and nothing else.

use std::io;

use reelpool_core::{Timestamp, WorkerId};
use rustix::process::Signal;
use tokio::sync::mpsc;

use super::fleet::LocalFleet;
use super::overdue::{Overdue, Patience};
use super::plan::{DRAIN_TERM_SECONDS, Effect};
use super::process::{self, News, Program};
use crate::clock::Clock;
use crate::fleet::{Ask, FleetClient, Question};

/// Does what was planned.
pub struct Hands {
    /// How workers are started.
    pub program: Program,
    /// How workers are asked.
    pub client: FleetClient,
    /// Where news of workers goes.
    pub news: mpsc::Sender<(WorkerId, News)>,
    /// What time it is.
    pub clock: Clock,
    /// For how long workers are waited for.
    pub patience: Patience,
}

impl Hands {
    /// Does it. Returns whether workers have answered something that may let the next plan go on at once.
    pub async fn apply(&self, effects: Vec<Effect>, fleet: &mut LocalFleet) -> io::Result<bool> {
        let mut answered = false;
        for effect in effects {
            match effect {
                Effect::Undrain(ids) => answered |= self.ask(&ids, Question::Undrain, fleet).await,
                Effect::Drain(ids) => {
                    answered |= self.ask(&ids, Question::Drain(DRAIN_TERM_SECONDS), fleet).await;
                }
                Effect::Start(count) => self.start(count, fleet)?,
                Effect::Stop(ids) => {
                    for id in ids {
                        if let Some(member) = fleet.get_mut(&id) {
                            member.process.signal(Signal::TERM);
                            member.stopping_since = Some(self.clock.now());
                        }
                    }
                }
            }
        }
        Ok(answered)
    }

    fn start(&self, count: u32, fleet: &mut LocalFleet) -> io::Result<()> {
        for _ in 0..fleet.crashes.allowed(count, self.clock.now()) {
            let id = fleet.next_id();
            match process::start(&self.program, &id, self.news.clone()) {
                Ok(process) => fleet.add(id, process, self.clock.now()),
                // It could be started before: the machine is short of something now.
                Err(error) if fleet.any_was_ready => {
                    let delay = fleet.crashes.crashed(false, self.clock.now());
                    tracing::warn!(
                        "a worker could not be started ({error}): it is tried again after {delay}"
                    );
                    return Ok(());
                }
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    async fn ask(&self, ids: &[WorkerId], question: Question, fleet: &mut LocalFleet) -> bool {
        let address = |id: &WorkerId| fleet.members.iter().find(|member| member.id == *id)?.address;
        let questions: Vec<_> =
            ids.iter().filter_map(|id| Some(Ask::new(id.clone(), address(id)?, question))).collect();
        let mut changed = false;
        let asked_at = self.clock.now();
        for (id, answer) in self.client.ask_all(questions).await {
            match answer {
                Ok(status) => {
                    changed = true;
                    fleet.answered(&id, status, asked_at);
                }
                // Its state is read anew before anything else is planned for it.
                Err(error) => tracing::debug!(worker = %id, %error, ?question, "no answer"),
            }
        }
        changed
    }

    /// Kills workers that nothing else would bring to an end. One that hangs has crashed: it is replaced as such.
    pub fn kill_overdue(&self, fleet: &mut LocalFleet, now: Timestamp) {
        let LocalFleet { members, crashes, .. } = fleet;
        for member in members.iter_mut().filter(|member| !member.killed) {
            match self.patience.judge(member.stopping_since, member.silence, now) {
                None => continue,
                Some(Overdue::DoesNotEnd(taken)) => tracing::warn!(
                    worker = %member.id,
                    "the worker was told to stop {taken} ago and has not ended: it is killed"
                ),
                Some(Overdue::Hangs(silence)) => {
                    let delay = crashes.crashed(false, now);
                    let log = self.program.log(&member.id);
                    tracing::warn!(
                        worker = %member.id,
                        "the worker has not answered for {silence} and holds no job any more: it is killed, and may be replaced after {delay}; its log: {}",
                        log.display()
                    );
                }
            }
            member.process.signal(Signal::KILL);
            member.killed = true;
            member.stopping_since.get_or_insert(now);
        }
    }
}

#[cfg(test)]
#[path = "apply_tests.rs"]
mod tests;
