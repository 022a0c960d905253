//! The end of a run: everyone finishes or hands back, and what is known goes into the summary.

use std::path::PathBuf;
use std::time::Duration;

use reelpool_core::Timestamp;
use reelpool_protocol::{JobId, JobRequest, message};
use reelpool_spool::{DeadLetter, SpoolError};
use rustix::process::Signal;
use tokio::time::{Instant, sleep_until, timeout};

use super::masters::Defaults;
use super::masters::walk::Folder;
use super::{Up, earlier};

/// How often progress is drawn while workers finish.
const DRAW_EVERY: Duration = Duration::from_secs(1);
/// How long a worker may take to end that was killed.
const AFTER_KILL: Duration = Duration::from_secs(5);
/// The most dead letters that are looked at for the summary.
const MAX_DEAD_LETTERS: u32 = 10_000;
/// The most masters of earlier runs that are shown in the summary.
const MAX_EARLIER: usize = 500;

impl Up {
    /// Stops everyone: each finishes its job or hands it back. Returns whether it had to be done at once.
    pub(super) async fn stop(&mut self) -> bool {
        self.masters = None;
        let mut at_once = false;
        let mut deadline = Instant::now() + Duration::from(self.hands.patience.end);
        let mut draw_at = Instant::now() + DRAW_EVERY;
        if !self.fleet.members.is_empty() {
            let workers = self.fleet.members.len();
            tracing::info!(workers, "stopping: each worker finishes its job or hands it back");
            self.progress.say("stopping: workers finish or hand back; Ctrl-C stops at once");
        }
        for member in &mut self.fleet.members {
            member.process.signal(Signal::TERM);
            member.stopping_since.get_or_insert(self.clock.now());
        }
        while !self.fleet.members.is_empty() {
            tokio::select! {
                news = self.news.recv() => match news {
                    // A worker that is being stopped has no say in whether the run goes on.
                    Some((id, news)) => drop(self.take(&id, news)),
                    None => break,
                },
                () = self.signals.next(), if !at_once => {
                    at_once = true;
                    tracing::info!("stopping at once: jobs in hand are offered again when their hold runs out");
                    self.kill_all();
                    deadline = Instant::now() + AFTER_KILL;
                }
                seen = async {
                    sleep_until(draw_at).await;
                    self.observer.look_at_workers(&self.fleet).await
                }, if self.progress.is_seen() && !at_once => {
                    self.observer.take_workers(seen, &mut self.fleet);
                    self.progress.draw_jobs(&self.fleet);
                    draw_at = Instant::now() + DRAW_EVERY;
                }
                () = sleep_until(deadline) => {
                    if at_once {
                        break;
                    }
                    tracing::warn!(workers = self.fleet.members.len(), "workers do not end: they are killed");
                    self.kill_all();
                    deadline += Duration::from_secs(60);
                }
            }
        }
        at_once
    }

    fn kill_all(&self) {
        for member in &self.fleet.members {
            member.process.signal(Signal::KILL);
        }
    }

    /// Takes jobs into the summary that were given up while no worker lived to say so, and those of earlier runs
    /// whose master is still there as it was: the same command again does not make them done.
    pub(super) async fn add_dead_letters(&mut self, masters: Option<Folder>, defaults: &Defaults) {
        let Some(queue) = self.embedded.clone() else { return };
        let began = self.clock.origin();
        let read = tokio::task::spawn_blocking(move || {
            let letters = queue.dead_letters(MAX_DEAD_LETTERS)?;
            let is_there = |job: &JobRequest| {
                let seen = masters.as_ref().and_then(|folder| folder.look(&job.source.key));
                seen.is_some_and(|seen| job.source.etag.as_deref() == Some(seen.version.etag.as_str()))
            };
            let counts =
                |letter: &DeadLetter| died_at(letter) >= began || jobs_of(letter).iter().any(is_there);
            Ok::<_, SpoolError>(letters.into_iter().filter(counts).collect::<Vec<_>>())
        });
        let Ok(Ok(Ok(letters))) = timeout(Duration::from_secs(10), read).await else { return };
        for letter in &letters {
            let jobs = jobs_of(letter);
            for job in jobs {
                let ladder = job.ladder.as_ref().unwrap_or(&defaults.ladder);
                let profile = job.profile.as_ref().unwrap_or(&defaults.profile);
                let id = JobId::of(&job.source, ladder, profile);
                self.summary.given_up(Some(id), Some(&job.source), &letter.reason, &letter.detail);
            }
        }
    }

    /// Takes masters into the summary that earlier runs have done.
    pub(super) async fn add_earlier(&mut self, folder: Folder, output: PathBuf, defaults: Defaults) {
        let read = tokio::task::spawn_blocking(move || earlier::done_masters(&folder, &output, &defaults));
        for done in read.await.unwrap_or_default().into_iter().take(MAX_EARLIER) {
            self.summary.done_before(done);
        }
    }
}

fn jobs_of(letter: &DeadLetter) -> Vec<JobRequest> {
    match message::parse(&letter.body) {
        Ok(message::Message::Jobs(jobs)) => jobs,
        _ => Vec::new(),
    }
}

fn died_at(letter: &DeadLetter) -> Timestamp {
    Timestamp::from_millis(i64::try_from(letter.dead_at_ms).unwrap_or(i64::MAX))
}

#[cfg(test)]
#[path = "ending_tests.rs"]
mod tests;
