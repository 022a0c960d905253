//! What the parts of a running worker share: its presence, the job in hand, its counters.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use reelpool_protocol::event::Outcome;
use reelpool_protocol::status::{JobStatus, Stage, Totals};
use reelpool_protocol::{JobId, Source, WorkerStatus};
use tokio::sync::Notify;
use tokio::time::Instant;

use crate::presence::{BusyNow, Presence};
use crate::queue::StopFlag;

/// The state of one worker process.
#[derive(Debug)]
pub struct State {
    worker: String,
    inner: Mutex<Inner>,
    /// Wakes the receive loop when a drain was asked, lifted, or the process shuts down.
    pub changed: Notify,
    /// Ends a waiting receive early, where the queue can do that without stranding a message.
    pub stop_receiving: StopFlag,
}

#[derive(Debug)]
struct Inner {
    presence: Presence,
    job: Option<JobInHand>,
    totals: Totals,
}

#[derive(Debug, Clone)]
struct JobInHand {
    job_id: JobId,
    attempt: String,
    source: Source,
    stage: Stage,
    permille: u32,
    speed_milli: Option<u64>,
    left: Option<Duration>,
    since: Instant,
}

/// How far a transcode is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Advance {
    /// Thousandths of the master that are done.
    pub permille: u32,
    /// Seconds of video a second, in thousandths.
    pub speed_milli: Option<u64>,
    /// Time left.
    pub left: Option<Duration>,
}

impl State {
    /// The state of a worker whose process started at `started`.
    #[must_use]
    pub fn new(worker: String, started: Instant) -> Self {
        let inner = Inner { presence: Presence::new(started), job: None, totals: Totals::default() };
        Self { worker, inner: Mutex::new(inner), changed: Notify::new(), stop_receiving: StopFlag::default() }
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        // A thread that panicked left plain values behind; they are as good as before.
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The worker's name.
    #[must_use]
    pub fn worker(&self) -> &str {
        &self.worker
    }

    /// Whether a receive may begin; if so, one is outstanding from now on.
    pub fn begin_receive(&self) -> bool {
        // Under the lock, so that a drain that is asked just now is not overwritten.
        let mut inner = self.lock();
        let permitted = inner.presence.begin_receive(Instant::now());
        if permitted {
            self.stop_receiving.set(false);
        }
        permitted
    }

    /// The outstanding receive has ended.
    pub fn received(&self, message: bool) {
        self.lock().presence.received(Instant::now(), message);
    }

    /// A job of the message in hand begins.
    pub fn begin_job(&self, job_id: JobId, attempt: &str, source: &Source) {
        self.lock().job = Some(JobInHand {
            job_id,
            attempt: attempt.to_owned(),
            source: source.clone(),
            stage: Stage::Claiming,
            permille: 0,
            speed_milli: None,
            left: None,
            since: Instant::now(),
        });
    }

    /// The job in hand has come to `stage`.
    pub fn stage(&self, stage: Stage) {
        if let Some(job) = &mut self.lock().job {
            job.stage = stage;
        }
    }

    /// The transcode has advanced.
    pub fn advance(&self, to: Advance) {
        if let Some(job) = &mut self.lock().job {
            job.permille = to.permille;
            job.speed_milli = to.speed_milli;
            job.left = to.left;
        }
    }

    /// How much time the job in hand still needs, where that is known.
    #[must_use]
    pub fn time_left(&self) -> Option<Duration> {
        self.lock().job.as_ref().and_then(|job| match job.stage {
            Stage::Publishing | Stage::Committing => Some(Duration::ZERO),
            _ => job.left,
        })
    }

    /// The job in hand has ended; its message may hold others.
    pub fn end_job(&self, outcome: &Outcome, held: Duration) {
        let mut inner = self.lock();
        inner.job = None;
        let totals = &mut inner.totals;
        let counter = match outcome {
            Outcome::Committed { .. } => {
                totals.committed_ms += millis(held);
                &mut totals.committed
            }
            Outcome::AlreadyDone => &mut totals.already_done,
            Outcome::Retried { .. } => &mut totals.retried,
            Outcome::Failed { .. } => &mut totals.failed,
            Outcome::HandedBack | Outcome::HoldLost => &mut totals.handed_back,
            Outcome::ClaimedElsewhere => &mut totals.claimed_elsewhere,
        };
        *counter += 1;
    }

    /// The message in hand is settled.
    pub fn settled(&self) {
        let mut inner = self.lock();
        inner.job = None;
        inner.presence.settled(Instant::now());
    }

    /// Takes no new job for `term`.
    ///
    /// # Errors
    /// [`BusyNow`] when a job is in hand: the drain is void.
    pub fn drain(&self, term: Duration) -> Result<(), BusyNow> {
        let mut inner = self.lock();
        inner.presence.drain(Instant::now(), term)?;
        self.stop_receiving.set(true);
        drop(inner);
        self.changed.notify_one();
        Ok(())
    }

    /// Takes jobs again.
    pub fn undrain(&self) {
        self.lock().presence.undrain();
        self.changed.notify_one();
    }

    /// Takes no new job any more.
    pub fn shut_down(&self) {
        let mut inner = self.lock();
        inner.presence.shut_down(Instant::now());
        self.stop_receiving.set(true);
        drop(inner);
        self.changed.notify_one();
    }

    /// For how much longer a drain holds; `None` when there is none that lapses.
    #[must_use]
    pub fn drain_lapses_in(&self) -> Option<Duration> {
        self.lock().presence.drain_lapses_in(Instant::now())
    }

    /// Whether the worker has asked its queue for work at least once.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        self.lock().presence.start_up().is_some()
    }

    /// The status document of this moment.
    #[must_use]
    pub fn status(&self) -> WorkerStatus {
        let now = Instant::now();
        let inner = self.lock();
        let (state, state_for) = inner.presence.state(now);
        let job = |job: &JobInHand| JobStatus {
            job_id: job.job_id,
            attempt: job.attempt.clone(),
            source: job.source.clone(),
            stage: job.stage,
            permille: job.permille,
            speed_milli: job.speed_milli,
            left_ms: job.left.map(millis),
            held_for_ms: millis(now.saturating_duration_since(job.since)),
        };
        WorkerStatus {
            worker: self.worker.clone(),
            state,
            state_for_ms: millis(state_for),
            drained: inner.presence.is_drained(now),
            drain_lapses_in_ms: inner.presence.drain_lapses_in(now).map(millis),
            jobs: inner.job.iter().map(job).collect(),
            start_up_ms: inner.presence.start_up().map(millis),
            totals: inner.totals,
        }
    }
}

/// Whole milliseconds.
#[must_use]
pub fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
