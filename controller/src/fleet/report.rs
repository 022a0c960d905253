//! What a worker said of itself, in the words of the core.

use reelpool_core::{DrainStage, Millis, Timestamp, WorkerId, WorkerObservation, WorkerState};
use reelpool_protocol::{WorkerState as Said, WorkerStatus};

/// A worker's last word, and when it was asked for by the shell's own clock.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
    /// What it said.
    pub status: WorkerStatus,
    /// When it was asked for: an answer may come late, and what it says may be as old as the question.
    pub asked_at: Timestamp,
}

impl Report {
    /// What the worker is doing, as the core knows it.
    #[must_use]
    pub fn state(&self) -> WorkerState {
        let has_job = !self.status.jobs.is_empty();
        match self.status.state {
            // Whatever else it says, a job in hand is a job that must not be interrupted.
            Said::Draining if has_job => WorkerState::Draining(DrainStage::Busy),
            _ if has_job => WorkerState::Busy,
            Said::Busy => WorkerState::Busy,
            Said::Draining if self.status.drained => WorkerState::Draining(DrainStage::Drained),
            Said::Draining => WorkerState::Draining(DrainStage::Waiting),
            Said::Starting => WorkerState::Starting,
            Said::Idle => WorkerState::Idle,
        }
    }

    /// Since when, by the shell's clock: workers tell ages, so that no common clock is needed.
    #[must_use]
    pub fn since(&self) -> Timestamp {
        self.asked_at.minus(Millis::new(self.status.state_for_ms))
    }

    /// For how much longer its drain holds, at least; `None`: it does not drain, or the drain is final.
    #[must_use]
    pub fn drain_left(&self, now: Timestamp) -> Option<Millis> {
        let left = Millis::new(self.status.drain_lapses_in_ms?);
        Some(left.minus(now.since(self.asked_at)))
    }
}

/// What is known of one worker. `answer` is what it said when it was just asked: one that did not answer counts
/// as busy, since when it is known to have been silent.
#[must_use]
pub fn observation(id: &WorkerId, answer: Result<&Report, Timestamp>) -> WorkerObservation {
    let (state, since) = match answer {
        Ok(report) => (report.state(), report.since()),
        Err(silent_since) => (WorkerState::Unreachable, silent_since),
    };
    WorkerObservation { id: id.clone(), state, since }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use reelpool_protocol::status::{JobStatus, Stage, Totals};
    use reelpool_protocol::{JobId, Ladder, Profile, Source};

    pub(crate) fn job(key: &str) -> JobStatus {
        let source =
            Source { bucket: "masters".into(), key: key.into(), version: None, etag: None, size: None };
        JobStatus {
            job_id: JobId::of(&source, &Ladder::default(), &Profile::default()),
            attempt: "1".into(),
            source,
            stage: Stage::Transcoding,
            permille: 425,
            speed_milli: Some(1_730),
            left_ms: Some(83_000),
            held_for_ms: 60_000,
        }
    }

    pub(crate) fn status(state: Said, jobs: Vec<JobStatus>, drained: bool) -> WorkerStatus {
        WorkerStatus {
            worker: "w1".into(),
            state,
            state_for_ms: 4_000,
            drained,
            drain_lapses_in_ms: None,
            jobs,
            start_up_ms: Some(120),
            totals: Totals::default(),
        }
    }

    #[test]
    fn words_of_the_worker_in_words_of_the_core() {
        let at = Timestamp::from_millis(10_000);
        let id = WorkerId::from("w1");
        for (said, jobs, drained, expected) in [
            (Said::Starting, 0, false, WorkerState::Starting),
            (Said::Idle, 0, false, WorkerState::Idle),
            (Said::Busy, 1, false, WorkerState::Busy),
            (Said::Busy, 0, false, WorkerState::Busy),
            (Said::Idle, 1, false, WorkerState::Busy),
            (Said::Draining, 0, false, WorkerState::Draining(DrainStage::Waiting)),
            (Said::Draining, 0, true, WorkerState::Draining(DrainStage::Drained)),
            (Said::Draining, 1, false, WorkerState::Draining(DrainStage::Busy)),
            (Said::Draining, 1, true, WorkerState::Draining(DrainStage::Busy)),
        ] {
            let jobs = (0..jobs).map(|_| job("a.mp4")).collect();
            let report = Report { status: status(said, jobs, drained), asked_at: at };
            let seen = observation(&id, Ok(&report));
            assert_eq!(
                (seen.state, seen.since),
                (expected, Timestamp::from_millis(6_000)),
                "{said:?} {drained}"
            );
        }
        let silent = observation(&id, Err(at));
        assert_eq!((silent.state, silent.since), (WorkerState::Unreachable, at));
    }
}
