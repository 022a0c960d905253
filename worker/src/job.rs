//! The life of one message, as a pure state machine.
//!
//! `received → parsed → claimed → fetched → probed → transcoded → published → committed → deleted`, for each job the
//! message carries, and from each step the three ways out: try again, give up, hand back. The machine says what
//! to do next ([`Action`]); whoever does it says what came of it ([`Fact`]). It holds no bytes, does no I/O and
//! knows no clock, so every order of events can be tried in a test.
//!
//! What it guarantees, whatever facts it is told: [`Action::Delete`] only when every job of the message is
//! committed or was found so, [`Action::DeadLetter`] only with a reason, and an end in a bounded number of steps. It
//! waits for another worker only while the message has receives to spare.

use std::fmt;
use std::time::Duration;

/// How many receives a message may have for each failing attempt it is granted: hand-backs (a rollout, Ctrl-C) and
/// killed workers count as receives too, and are not the job's fault.
const RECEIVES_PER_ATTEMPT: u32 = 5;

/// How many receives are kept for work: a message that has no more than these left waits for nobody.
const RECEIVES_FOR_WORK: u32 = 2;

/// After how many receives a message is given up that never got as far as to fail, when one that fails is given up
/// after `max_attempts`.
#[must_use]
pub fn max_receives(max_attempts: u32) -> u32 {
    max_attempts.saturating_mul(RECEIVES_PER_ATTEMPT)
}

/// What is to be done next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    /// Read the message's body.
    Parse,
    /// Look whether job number `job` (from 0) is done already or another worker is at it, and claim it.
    Claim {
        /// Which of the message's jobs.
        job: usize,
        /// Whether to work on it even if another worker is at it.
        regardless: bool,
    },
    /// Fetch its master.
    Fetch,
    /// Look into the master.
    Probe,
    /// Make and verify the renditions.
    Transcode,
    /// Store the renditions where only this attempt looks.
    Publish,
    /// Write the manifest, if absent.
    Commit,
    /// Remove what other or failed attempts of this job left.
    CleanUp,
    /// Delete the message: all its jobs are done.
    Delete,
    /// Make the message visible again after a growing delay.
    TryAgain(Failure),
    /// Make the message visible again later: another worker is at a job of it, which may take so long.
    Wait(Duration),
    /// Move the message to the dead-letter queue.
    DeadLetter(Failure),
    /// Make the message visible again now: the worker shuts down.
    HandBack,
    /// Touch the message no more: someone else may have it.
    LetGo,
}

impl Action {
    /// Whether this settles the message itself; the worker then has it in hand no more.
    #[must_use]
    pub fn settles(&self) -> bool {
        matches!(
            self,
            Self::Delete
                | Self::TryAgain(_)
                | Self::Wait(_)
                | Self::DeadLetter(_)
                | Self::HandBack
                | Self::LetGo
        )
    }
}

/// What came of an action.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fact {
    /// The body asks for so many jobs; none is fine (a test event).
    Parsed {
        /// How many.
        jobs: usize,
    },
    /// A manifest for this job exists.
    FoundDone,
    /// Another worker is at this job, for as long as this, as far as is known.
    ClaimedElsewhere(Duration),
    /// The step was done.
    Done,
    /// Another attempt's manifest was there first.
    CommitLost,
    /// The step failed.
    Failed(Failure),
    /// The hold on the message is lost.
    HoldLost,
    /// The worker shuts down and the job may not finish.
    Stopped,
}

/// Why a step failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// Whether another attempt could end otherwise.
    pub permanent: bool,
    /// A stable category in snake case, such as `no_video`.
    pub reason: &'static str,
    /// What went wrong and what to do, for a person.
    pub detail: String,
}

impl Failure {
    /// A failure that another attempt may not meet.
    pub fn transient(reason: &'static str, detail: impl fmt::Display) -> Self {
        Self { permanent: false, reason, detail: detail.to_string() }
    }

    /// A failure that every attempt would meet.
    pub fn permanent(reason: &'static str, detail: impl fmt::Display) -> Self {
        Self { permanent: true, reason, detail: detail.to_string() }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.reason, self.detail)
    }
}

/// One message in hand.
#[derive(Debug)]
pub struct Life {
    /// How often the message has been received, this time included.
    receives: u32,
    /// After how many receives a failing message is given up.
    max_attempts: u32,
    jobs: usize,
    job: usize,
    /// The first permanent failure of any of the message's jobs; the others are still worked on.
    given_up: Option<Failure>,
    /// For how long other workers will be at jobs of the message, where they are.
    elsewhere: Option<Duration>,
    /// The step that is being done.
    doing: Action,
}

impl Life {
    /// The life of a message that was received `receives` times (this time included) and is given up when it
    /// fails after `max_attempts` receives.
    #[must_use]
    pub fn new(receives: u32, max_attempts: u32) -> Self {
        // A message that kills its worker never gets to fail; one that was only handed back gets the benefit of doubt.
        let doing = if receives > max_receives(max_attempts) {
            Action::DeadLetter(Failure::permanent(
                "receive_count_exceeded",
                format!(
                    "it was received {receives} times and never settled: its workers died or were stopped with it in hand"
                ),
            ))
        } else {
            Action::Parse
        };
        Self { receives, max_attempts, jobs: 0, job: 0, given_up: None, elsewhere: None, doing }
    }

    /// What is to be done now.
    #[must_use]
    pub fn action(&self) -> &Action {
        &self.doing
    }

    /// Takes what came of the current action; returns whether there is a next one.
    pub fn advance(&mut self, fact: Fact) -> bool {
        match self.next(fact) {
            Some(action) => {
                self.doing = action;
                true
            }
            None => false,
        }
    }

    fn next(&mut self, fact: Fact) -> Option<Action> {
        // The message itself is being settled: whatever comes of it, only an unsettled failure is worth one more step.
        match (&self.doing, &fact) {
            (Action::DeadLetter(failure), Fact::Failed(_)) => return Some(Action::TryAgain(failure.clone())),
            // A message that could not be deleted comes back, is found done, and is deleted then.
            (settling, _) if settling.settles() => return None,
            _ => {}
        }
        match fact {
            Fact::HoldLost => Some(Action::LetGo),
            Fact::Stopped => Some(self.stopped()),
            Fact::Failed(failure) => Some(self.failed(failure)),
            Fact::Parsed { jobs } => {
                self.jobs = jobs;
                Some(self.claim_or_settle())
            }
            Fact::FoundDone | Fact::CommitLost => Some(Action::CleanUp),
            Fact::ClaimedElsewhere(left) => {
                self.elsewhere = self.elsewhere.max(Some(left));
                Some(self.next_job())
            }
            Fact::Done => Some(self.done()),
        }
    }

    fn done(&mut self) -> Action {
        match self.doing {
            Action::Claim { .. } => Action::Fetch,
            Action::Fetch => Action::Probe,
            Action::Probe => Action::Transcode,
            Action::Transcode => Action::Publish,
            Action::Publish => Action::Commit,
            Action::Commit => Action::CleanUp,
            _ => self.next_job(),
        }
    }

    fn next_job(&mut self) -> Action {
        self.job += 1;
        self.claim_or_settle()
    }

    fn claim_or_settle(&mut self) -> Action {
        if self.job < self.jobs {
            // To wait takes a receive, and must not be what a job is given up for.
            let regardless = self.receives.saturating_add(RECEIVES_FOR_WORK) > self.max_attempts;
            return Action::Claim { job: self.job, regardless };
        }
        // Before a job is given up with its message, the others in it are to be done.
        if let Some(left) = self.elsewhere.take() {
            return Action::Wait(left);
        }
        self.given_up.take().map_or(Action::Delete, Action::DeadLetter)
    }

    fn failed(&mut self, failure: Failure) -> Action {
        match self.doing {
            // What could not be cleaned up is unseen by readers; it must not cost the job.
            Action::CleanUp => self.next_job(),
            // A body that cannot be read holds no other job.
            Action::Parse if failure.permanent => Action::DeadLetter(failure),
            _ if failure.permanent => {
                self.given_up.get_or_insert(failure);
                self.next_job()
            }
            _ if self.receives >= self.max_attempts => Action::DeadLetter(Failure {
                permanent: true,
                detail: format!("given up after {} attempts: {}", self.receives, failure.detail),
                ..failure
            }),
            _ => Action::TryAgain(failure),
        }
    }

    fn stopped(&mut self) -> Action {
        match self.doing {
            // The job is committed: only the rest of the message is handed back.
            Action::CleanUp if self.job + 1 >= self.jobs => self.next_job(),
            _ => Action::HandBack,
        }
    }
}

#[cfg(test)]
#[path = "job_tests.rs"]
mod tests;
