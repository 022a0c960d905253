//! The one-machine shell: a fleet of processes around the same decision as everywhere else.
//!
//! Each pass observes ([`observe`]), decides (`reelpool-core`), plans ([`mod@plan`]) and applies ([`apply`]); reads only
//! in the first, writes only in the last, no choices in the last. Between passes it sleeps until the decision asks for
//! another look, or something happens.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use reelpool_core::replay::Record;
use reelpool_core::{Decision, Memory, Millis, Policy, WorkerId};
use reelpool_protocol::WorkerEvent;
use reelpool_protocol::event::Outcome;
use reelpool_protocol::job::printable;
use reelpool_spool::{Queue, scratch};
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep};

use crate::args::UpOptions;
use crate::fleet::FleetClient;

pub mod apply;
pub mod crashes;
pub mod done;
pub mod earlier;
mod ending;
pub mod error;
#[cfg(test)]
mod fakes;
pub mod fleet;
pub mod masters;
pub mod observe;
pub mod overdue;
pub mod plan;
pub mod process;
pub mod records;
pub mod screen;
pub mod setup;
pub mod summary;
pub mod tell;

use crate::clock::Clock;
use crate::signals::Signals;
use apply::Hands;
use done::{Moment, is_done};
pub use error::UpError;
use fleet::LocalFleet;
use masters::{MastersState, MastersWatch};
use observe::Observer;
use plan::plan;
use process::{Ended, News};
use records::Records;
use screen::{Progress, Screen};
use setup::Ground;
use summary::Summary;

/// How often to look while anything moves, so that progress is seen.
const WHILE_MOVING: Duration = Duration::from_secs(1);
/// How soon to look when workers have just answered a drain.
const AFTER_ANSWERS: Duration = Duration::from_millis(100);

/// How a run ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exit {
    /// All was done, or the run was stopped and everyone has finished or handed back.
    Fine,
    /// All was done with `--exit-when-done`, but some masters failed for good.
    SomeFailed,
    /// The run was told twice to stop; or once, with `--exit-when-done`, before all was done.
    Interrupted,
}

impl Exit {
    /// The exit code for it.
    #[must_use]
    pub fn code(self) -> u8 {
        match self {
            Self::Fine => 0,
            Self::SomeFailed => 3,
            Self::Interrupted => 130,
        }
    }
}

/// Why the passes came to an end.
enum Why {
    AllDone,
    Told,
}

/// Runs `reelpool up` until all is done or someone says stop.
pub async fn run(options: UpOptions, screen: &Screen) -> Result<Exit, UpError> {
    let clock = Clock::start();
    let started = Instant::now();
    let mut signals =
        Signals::listen().map_err(|source| UpError::System { action: "listen for signals", source })?;
    let ground = tokio::select! {
        ground = Ground::prepare(&options) => ground?,
        () = signals.next() => return Ok(Exit::Fine),
    };
    let mut up = Up::new(&options, &ground, screen, clock, signals);
    let ran = up.run(&ground).await;
    let refused = up.masters_state().map_or(0, |masters| masters.refused);
    let at_once = up.stop().await;
    if let Err(error) = scratch::sweep(&ground.scratch()) {
        tracing::warn!("the scratch folder could not be swept: {error}");
    }
    let why = ran?;
    let defaults = ground.defaults.clone();
    let masters = ground.masters.clone().filter(|_| options.exit_when_done);
    up.add_dead_letters(masters, &defaults).await;
    if options.exit_when_done
        && let Some(folder) = ground.masters.clone()
    {
        up.add_earlier(folder, ground.output.clone().into(), defaults).await;
    }
    let mut summary = up.summary;
    summary.refused(refused);
    drop(up.progress);
    print(&summary.render(&ground.output, started.elapsed()));
    Ok(match why {
        _ if at_once => Exit::Interrupted,
        Why::Told if options.exit_when_done => Exit::Interrupted,
        Why::AllDone if summary.failed() > 0 || refused > 0 => Exit::SomeFailed,
        Why::AllDone | Why::Told => Exit::Fine,
    })
}

/// Prints the summary. A reader that has gone away is no reason to fail.
fn print(text: &str) {
    use std::io::Write;
    let mut out = std::io::stdout().lock();
    let _ = out.write_all(text.as_bytes()).and_then(|()| out.flush());
}

/// A run.
struct Up {
    policy: Policy,
    exit_when_done: bool,
    zero_after: Duration,
    clock: Clock,
    signals: Signals,
    embedded: Option<Arc<Queue>>,
    exact: bool,
    masters: Option<MastersWatch>,
    observer: Observer,
    hands: Hands,
    fleet: LocalFleet,
    news: mpsc::Receiver<(WorkerId, News)>,
    memory: Memory,
    records: Records,
    progress: Progress,
    summary: Summary,
    scratch: PathBuf,
}

impl Up {
    fn new(options: &UpOptions, ground: &Ground, screen: &Screen, clock: Clock, signals: Signals) -> Self {
        let client = FleetClient::new(&ground.program.token);
        let (news_in, news) = mpsc::channel(1024);
        Self {
            policy: options.policy.clone(),
            exit_when_done: options.exit_when_done,
            zero_after: options.zero_after,
            clock,
            signals,
            embedded: ground.embedded.clone(),
            exact: ground.queue.is_exact(),
            masters: None,
            observer: Observer::new(Arc::clone(&ground.queue), client.clone(), clock),
            hands: Hands {
                program: ground.program.clone(),
                client,
                news: news_in,
                clock,
                patience: ground.patience,
            },
            fleet: LocalFleet::new(ground.run.clone()),
            news,
            memory: Memory::default(),
            records: Records::open(&ground.data.join("decisions.jsonl")),
            progress: screen.progress(),
            summary: Summary::default(),
            scratch: ground.scratch(),
        }
    }

    async fn run(&mut self, ground: &Ground) -> Result<Why, UpError> {
        let soon = reelpool_core::policy::expected_start_up(None).into();
        tokio::select! {
            fit = async {
                self.observer.first(soon).await?;
                process::check(&self.hands.program).await
            } => fit?,
            () = self.signals.next() => return Ok(Why::Told),
        }
        if let (Some(folder), Some(queue)) = (&ground.masters, &ground.embedded) {
            tracing::info!("masters are taken from {}", folder.root.display());
            self.masters = Some(masters::start(folder.clone(), Arc::clone(queue), ground.defaults.clone()));
        }
        tracing::info!("renditions go to {}", ground.output);
        loop {
            self.hear()?;
            let masters = self.masters_state();
            let seen = tokio::select! {
                biased;
                () = self.signals.next() => return Ok(Why::Told),
                seen = self.observer.look(&self.fleet) => seen,
            };
            // Whoever has ended meanwhile is not observed any more.
            self.hear()?;
            let (observation, begun) = self.observer.take(seen, &mut self.fleet);
            for (worker, source) in begun {
                tracing::info!(master = %printable(&source.key), %worker, "started");
            }
            let record = Record::make(self.policy.clone(), self.memory, observation, self.clock.now());
            self.decided(&record);
            let decision = &record.decision;
            self.progress.draw(&self.fleet, decision, masters);
            let moment = Moment {
                masters,
                observation: &record.observation,
                decision,
                processes: self.fleet.members.len(),
                exact: self.exact,
                zero_after: self.zero_after,
            };
            if self.exit_when_done && is_done(&moment) {
                return Ok(Why::AllDone);
            }
            let now = self.clock.now();
            let effects = plan(decision, &self.fleet.known(now));
            let path = self.hands.program.path.clone();
            let applied = self.hands.apply(effects, &mut self.fleet).await;
            let answered = applied.map_err(|source| UpError::WorkerProgram { path, source })?;
            self.hands.kill_overdue(&mut self.fleet, now);
            let pause = if answered { AFTER_ANSWERS } else { self.pause(decision, masters) };
            if self.wait(pause).await? {
                return Ok(Why::Told);
            }
        }
    }

    fn masters_state(&mut self) -> Option<MastersState> {
        self.masters.as_mut().map(|watch| *watch.state.borrow_and_update())
    }

    /// Takes a decision: remembers it, and tells it when it is another one than the last.
    fn decided(&mut self, record: &Record) {
        let decision = &record.decision;
        self.memory = decision.memory;
        self.summary.target(record.observation.current, decision.target);
        if self.records.take(record) {
            tell::decision(record);
        }
    }

    /// For how long nothing need be done.
    fn pause(&self, decision: &Decision, masters: Option<MastersState>) -> Duration {
        let moves =
            !self.fleet.members.is_empty() || self.exit_when_done || masters.is_some_and(|m| m.awaited > 0);
        let mut pause = Duration::from(decision.next_check);
        if moves {
            pause = pause.min(WHILE_MOVING);
        }
        self.fleet.crashes.next(self.clock.now()).map_or(pause, |held| pause.min(held.into()))
    }

    /// Waits until it is time or something happens. Returns whether that is the word to stop.
    async fn wait(&mut self, pause: Duration) -> Result<bool, UpError> {
        let changed = async {
            let told = match &mut self.masters {
                Some(watch) => watch.state.changed().await.is_ok(),
                None => false,
            };
            if !told {
                std::future::pending::<()>().await;
            }
        };
        let news = tokio::select! {
            () = self.signals.next() => return Ok(true),
            () = sleep(pause) => None,
            () = changed => None,
            news = self.news.recv() => news,
        };
        if let Some((id, news)) = news {
            self.take(&id, news)?;
        }
        Ok(false)
    }

    /// Takes all the news there are.
    fn hear(&mut self) -> Result<(), UpError> {
        while let Ok((id, news)) = self.news.try_recv() {
            self.take(&id, news)?;
        }
        Ok(())
    }

    fn take(&mut self, id: &WorkerId, news: News) -> Result<(), UpError> {
        match news {
            News::Said(WorkerEvent::Listening { address }) => {
                self.fleet.any_was_ready = true;
                if let Some(member) = self.fleet.get_mut(id) {
                    member.address = Some(address);
                }
            }
            News::Said(WorkerEvent::JobEnded { job_id, source, outcome, held_for_ms }) => {
                match &outcome {
                    Outcome::Committed { .. } => {
                        self.fleet.did_a_job(id);
                        self.fleet.measured(Millis::new(held_for_ms));
                    }
                    Outcome::AlreadyDone | Outcome::Failed { .. } => self.fleet.did_a_job(id),
                    _ => {}
                }
                tell::end(id, source.as_ref(), &outcome, held_for_ms);
                self.summary.ended(job_id, source.as_ref(), &outcome, held_for_ms);
            }
            News::Ended(ended) => return self.ended(id, ended),
        }
        Ok(())
    }

    fn ended(&mut self, id: &WorkerId, ended: Ended) -> Result<(), UpError> {
        let Some(member) = self.fleet.remove(id) else { return Ok(()) };
        if member.stopping_since.is_some() {
            tracing::debug!(worker = %id, "the worker {}", ended.how());
            if member.killed {
                self.sweep_scratch();
            }
            return Ok(());
        }
        // None has ever been ready and none is left that may become so: another one could not start either.
        if !self.fleet.any_was_ready && self.fleet.members.is_empty() && ended.code.is_some() {
            return Err(match ended.error {
                Some(said) => UpError::WorkerSaid(said),
                None => UpError::WorkerEnded { how: ended.how(), log: ended.log },
            });
        }
        let delay = self.fleet.crashes.crashed(member.was_sound, self.clock.now());
        let how = ended.how();
        let said = ended.error.map(|said| format!(": {said}")).unwrap_or_default();
        tracing::warn!(worker = %id, "the worker {how}{said}; it may be replaced after {delay}; its log: {}", ended.log.display());
        self.sweep_scratch();
        Ok(())
    }

    /// Removes what workers have left behind that ended badly.
    fn sweep_scratch(&self) {
        let scratch_root = self.scratch.clone();
        tokio::task::spawn_blocking(move || {
            if let Err(error) = scratch::sweep(&scratch_root) {
                tracing::warn!("the scratch folder could not be swept: {error}");
            }
        });
    }
}
