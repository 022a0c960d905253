//! Doing what a message's life asks for: the steps of one attempt, each ended early when the hold is lost or the
//! worker must stop.

mod in_hand;
mod pieces;
mod steps;

use std::sync::Arc;
use std::time::Duration;

use reelpool_media::Engine;
use reelpool_protocol::event::Outcome;
use reelpool_protocol::status::Stage;
use reelpool_protocol::{Ladder, Location, WorkerEvent};
use reelpool_spool::Scratch;
use tokio::time::{Instant, sleep, timeout};

use crate::backoff;
use crate::events::Events;
use crate::hold::{Heartbeat, Hold};
use crate::job::{Action, Fact, Failure, Life};
use crate::metrics::Metrics;
use crate::profile::OwnProfile;
use crate::queue::{Queue, QueueError, Received};
use crate::shutdown::Shutdown;
use crate::state::{State, millis};
use crate::store::{Masters, Outputs};

use steps::{Ended, Steps};

/// How often settling a message is tried before it is left to its visibility timeout.
const SETTLE_TRIES: u32 = 4;

/// How long a job that is handed back waits for the store to remove what it left there.
const TO_LEAVE_IN_HASTE: Duration = Duration::from_secs(8);

/// Everything a worker works with.
#[derive(Debug)]
pub struct Desk {
    /// What the worker says of itself.
    pub state: Arc<State>,
    /// Its counters.
    pub metrics: Arc<Metrics>,
    /// Whom it tells what happened.
    pub events: Events,
    /// Where messages come from.
    pub queue: Arc<dyn Queue>,
    /// What keeps a message in hand.
    pub heartbeat: Heartbeat,
    /// Where masters come from.
    pub masters: Arc<dyn Masters>,
    /// Which masters may be fetched.
    pub allowed: Location,
    /// Where renditions go.
    pub outputs: Arc<dyn Outputs>,
    /// Where they lie meanwhile.
    pub scratch: Scratch,
    /// ffmpeg.
    pub engine: Engine,
    /// The ladder of a job that names none.
    pub ladder: Ladder,
    /// The profile of a job that names none.
    pub profile: OwnProfile,
}

impl Desk {
    /// Works on a message that was just received, until it is settled or lost.
    pub async fn work_on(&self, message: Received, shutdown: &Shutdown) {
        self.metrics.busy(true);
        tracing::info!(id = message.id, receives = message.receives, "received");
        let mut hold = self.heartbeat.hold(&message.receipt);
        let mut life = Life::new(message.receives, self.queue.max_attempts());
        let mut steps = Steps::new(self, &message, hold.beats());
        loop {
            let action = life.action().clone();
            let fact = if action.settles() {
                self.settle(&action, &message, &mut hold, &mut steps).await
            } else {
                self.step(&action, &mut steps, &hold, shutdown).await
            };
            if !life.advance(fact) {
                break;
            }
        }
        self.metrics.busy(false);
        self.state.settled();
    }

    /// One step, ended early when the hold is lost or the worker must stop.
    async fn step(&self, action: &Action, steps: &mut Steps<'_>, hold: &Hold, shutdown: &Shutdown) -> Fact {
        let start = Instant::now();
        let fact = if *action == Action::Commit {
            // Whether a commit that is cut short took place would be unknown; it is short.
            steps.perform(action).await
        } else {
            tokio::select! {
                biased;
                () = hold.lost() => Fact::HoldLost,
                () = shutdown.must_stop(&self.state) => Fact::Stopped,
                fact = steps.perform(action) => fact,
            }
        };
        if let Some(stage) = stage_of(action) {
            self.metrics.stage(stage_name(stage), start.elapsed());
        }
        match &fact {
            Fact::Failed(failure) if *action == Action::CleanUp => {
                tracing::warn!(reason = failure.reason, detail = failure.detail, "could not clean up");
                steps.leave().await;
                self.end_job(steps, None);
            }
            // The job is over; its message is settled when the others are.
            Fact::Failed(failure) if failure.permanent && *action != Action::Parse => {
                steps.forget_pieces().await;
                steps.leave().await;
                self.end_job(steps, Some(failed(failure)));
            }
            Fact::ClaimedElsewhere(_) => self.end_job(steps, Some(Outcome::ClaimedElsewhere)),
            _ if *action == Action::CleanUp => {
                // Where it was cut short, the claim is still there.
                steps.leave().await;
                self.end_job(steps, None);
            }
            _ => {}
        }
        fact
    }

    /// Ends the heartbeat and settles the message. What cannot be settled comes back by its visibility timeout.
    async fn settle(
        &self,
        action: &Action,
        message: &Received,
        hold: &mut Hold,
        steps: &mut Steps<'_>,
    ) -> Fact {
        if *action == Action::HandBack {
            // The process is about to be killed: what is left is removed by the next attempt.
            if timeout(TO_LEAVE_IN_HASTE, steps.leave()).await.is_err() {
                tracing::warn!("the store is slow: the job is handed back before its leavings are removed");
            }
        } else {
            if matches!(action, Action::DeadLetter(_)) {
                steps.forget_pieces().await;
            }
            steps.leave().await;
        }
        hold.release().await;
        let receipt = message.receipt.as_str();
        match action {
            Action::Delete => self.try_to("delete", || self.queue.delete(receipt)).await,
            Action::TryAgain(failure) => {
                let delay = backoff::delay(message.receives, fastrand::u32(..));
                self.end_job(steps, Some(retried(failure, delay)));
                self.try_to("try again later", || self.queue.extend(receipt, delay)).await
            }
            Action::Wait(left) => {
                let visibility = self.heartbeat.visibility();
                let delay = backoff::wait(*left, visibility, message.receives, fastrand::u32(..));
                // The queue refuses what would go over its longest hold.
                let delay = delay.min(steps.may_hold().unwrap_or(delay));
                tracing::info!(?delay, "another worker has the job: looking again later");
                self.try_to("wait for another worker", || self.queue.extend(receipt, delay)).await
            }
            Action::DeadLetter(failure) => {
                let Failure { reason, detail, .. } = failure;
                let bury = || self.queue.dead_letter(message, reason, detail);
                let done = self.try_to("move to the dead-letter queue", bury).await;
                match done {
                    Fact::Done => self.end_job(steps, Some(failed(failure))),
                    // It is buried, if the answer to an earlier try was lost; or someone else has it.
                    Fact::HoldLost => self.end_job(steps, Some(Outcome::HoldLost)),
                    _ => {}
                }
                done
            }
            Action::HandBack => {
                let done = self.try_to("hand back", || self.queue.extend(receipt, Duration::ZERO)).await;
                self.end_job(steps, Some(Outcome::HandedBack));
                done
            }
            _ => {
                self.end_job(steps, Some(Outcome::HoldLost));
                Fact::Done
            }
        }
    }

    async fn try_to<F>(&self, what: &'static str, call: impl Fn() -> F) -> Fact
    where
        F: Future<Output = Result<(), QueueError>>,
    {
        let mut tries = 0;
        loop {
            let error = match call().await {
                Ok(()) => return Fact::Done,
                Err(QueueError::HoldLost) => return Fact::HoldLost,
                Err(error) => error,
            };
            self.metrics.queue_error(error.category());
            tries += 1;
            tracing::warn!(%error, what, tries, "cannot settle the message");
            if tries >= SETTLE_TRIES {
                return Fact::Failed(Failure::transient(error.category(), error));
            }
            sleep(Duration::from_millis(250 << tries)).await;
        }
    }

    /// Tells the log, the counters and the parent how the job in hand ended; `None` asks the steps themselves.
    fn end_job(&self, steps: &mut Steps<'_>, outcome: Option<Outcome>) {
        if steps.told() {
            // Between two jobs of a message nobody's end is left to tell.
            return;
        }
        let Ended { job_id, source, outcome, held } = steps.end_job(outcome);
        let master = source.as_ref().map(ToString::to_string).unwrap_or_default();
        match &outcome {
            Outcome::Committed { renditions, warnings } => {
                tracing::info!(
                    master,
                    renditions = renditions.len(),
                    warnings = warnings.len(),
                    ?held,
                    "committed"
                );
            }
            Outcome::AlreadyDone => tracing::info!(master, "was done already"),
            Outcome::Retried { reason, detail, delay_ms } => {
                tracing::warn!(master, reason, detail, delay_ms, "failed; it will be tried again");
            }
            Outcome::Failed { reason, detail } => {
                tracing::error!(master, reason, detail, "given up for good");
            }
            Outcome::ClaimedElsewhere => tracing::info!(master, "another worker is at it"),
            Outcome::HandedBack => tracing::info!(master, "handed back"),
            Outcome::HoldLost => tracing::warn!(master, "the hold was lost: someone else may have it"),
        }
        self.metrics.ended(&outcome);
        self.state.end_job(&outcome, held);
        self.events.tell(&WorkerEvent::JobEnded { job_id, source, outcome, held_for_ms: millis(held) });
    }
}

fn failed(failure: &Failure) -> Outcome {
    Outcome::Failed { reason: failure.reason.to_owned(), detail: failure.detail.clone() }
}

fn retried(failure: &Failure, delay: Duration) -> Outcome {
    let (reason, detail) = (failure.reason.to_owned(), failure.detail.clone());
    Outcome::Retried { reason, detail, delay_ms: millis(delay) }
}

fn stage_of(action: &Action) -> Option<Stage> {
    Some(match action {
        Action::Claim { .. } => Stage::Claiming,
        Action::Fetch => Stage::Fetching,
        Action::Probe => Stage::Probing,
        Action::Transcode => Stage::Transcoding,
        Action::Publish => Stage::Publishing,
        Action::Commit | Action::CleanUp => Stage::Committing,
        _ => return None,
    })
}

fn stage_name(stage: Stage) -> &'static str {
    match stage {
        Stage::Claiming => "claim",
        Stage::Fetching => "fetch",
        Stage::Probing => "probe",
        Stage::Transcoding => "transcode",
        Stage::Publishing => "publish",
        Stage::Committing => "commit",
    }
}
