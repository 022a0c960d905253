//! The workers of one pool: what each last said, and what they have taught us.

use std::collections::HashMap;

use reelpool_core::{Millis, QueueDepth, Sample, Timestamp, WorkerId, WorkerObservation, WorkerState};
use reelpool_protocol::WorkerStatus;

use super::pods::{PodStage, PodView, StatusPort};
use crate::fleet::{Ask, Question, Recent, Report, observation};

/// For how long a container that runs may not answer yet: it loads its program and opens its port.
const OPENS_WITHIN: Millis = Millis::from_secs(60);
/// A worker that is silent for so long is told of.
pub const TOLD_AFTER: Millis = Millis::from_secs(60);

/// What is known of the workers of one pool.
#[derive(Debug, Default)]
pub struct Members {
    words: HashMap<WorkerId, Word>,
    service_times: Recent,
    start_up_times: Recent,
    /// When they were first looked at.
    looked_at: Option<Timestamp>,
    /// Since when the queue has been empty without a break; only kept for workers that cannot be asked.
    empty_since: Option<Timestamp>,
}

#[derive(Debug, Default)]
struct Word {
    /// The pod's identity: a name may come back.
    uid: String,
    report: Option<Report>,
    silent_since: Option<Timestamp>,
    asked_at: Option<Timestamp>,
    was_ready: bool,
}

impl Members {
    /// Whom to ask at `port` what they are doing: those first that answer, then the silent ones in turn.
    #[must_use]
    pub fn to_ask(&self, pods: &[PodView], port: StatusPort) -> Vec<Ask<WorkerId>> {
        let ask = |pod: &PodView| {
            let word = self.words.get(&pod.id).filter(|word| word.uid == pod.uid);
            let was_silent = word.is_some_and(|word| word.silent_since.is_some());
            let asked_at = word.and_then(|word| word.asked_at);
            Some((was_silent, asked_at, Ask { was_silent, ..pod.ask(port, Question::Status)? }))
        };
        let mut asks: Vec<_> = pods.iter().filter_map(ask).collect();
        asks.sort_by_key(|(was_silent, asked_at, _)| (*was_silent, was_silent.then_some(*asked_at)));
        asks.into_iter().map(|(_, _, ask)| ask).collect()
    }

    /// How many of `pods` have given no answer for [`TOLD_AFTER`], and one of them.
    #[must_use]
    pub fn silent(&self, pods: &[PodView], now: Timestamp) -> Option<(usize, WorkerId)> {
        let is_silent = |pod: &&PodView| {
            let word = self.words.get(&pod.id).filter(|_| pod.stage.may_run());
            word.and_then(|word| word.silent_since).is_some_and(|since| now.since(since) >= TOLD_AFTER)
        };
        let mut silent = pods.iter().filter(is_silent);
        let first = silent.next()?.id.clone();
        Some((silent.count().saturating_add(1), first))
    }

    /// Whether the queue is known to be empty, with nothing in flight; only kept for workers that cannot be asked.
    #[must_use]
    pub fn is_queue_empty(&self) -> bool {
        self.empty_since.is_some()
    }

    /// Takes the pods there are, and what those said that were asked at `asked_at`.
    pub fn take(
        &mut self,
        pods: &[PodView],
        answers: Vec<(WorkerId, Option<WorkerStatus>)>,
        asked_at: Timestamp,
    ) {
        self.keep_only(pods, asked_at);
        for (id, answer) in answers {
            self.answered(&id, answer, asked_at);
        }
    }

    fn keep_only(&mut self, pods: &[PodView], now: Timestamp) {
        let looked_at = *self.looked_at.get_or_insert(now);
        let mut kept = HashMap::with_capacity(pods.len());
        for pod in pods {
            let old = self.words.remove(&pod.id).filter(|word| word.uid == pod.uid);
            let mut word = old.unwrap_or_else(|| Word { uid: pod.uid.clone(), ..Word::default() });
            if let Some(ready) = pod.ready_since.filter(|_| !word.was_ready) {
                word.was_ready = true;
                // Of one that was there before us nobody knows whether it is ready for the first time.
                if pod.created >= looked_at {
                    self.start_up_times.add(ready.since(pod.created));
                }
            }
            kept.insert(pod.id.clone(), word);
        }
        self.words = kept;
    }

    /// Takes a worker's answer to what it was asked at `asked_at`; `None`: it gave none.
    pub fn answered(&mut self, id: &WorkerId, answer: Option<WorkerStatus>, asked_at: Timestamp) {
        let Some(word) = self.words.get_mut(id) else { return };
        word.asked_at = Some(asked_at);
        let Some(status) = answer else {
            word.silent_since.get_or_insert(asked_at);
            return;
        };
        word.silent_since = None;
        let done = |status: &WorkerStatus| (status.totals.committed, status.totals.committed_ms);
        let (jobs, spent) = done(&status);
        // A worker that was started anew counts from zero.
        let (jobs_before, spent_before) = word.report.as_ref().map_or((0, 0), |report| done(&report.status));
        let new_jobs = jobs.saturating_sub(jobs_before);
        if let Some(mean) = spent.saturating_sub(spent_before).checked_div(new_jobs) {
            self.service_times.add(Millis::new(mean));
        }
        word.report = Some(Report { status, asked_at });
    }

    /// What each of `pods` is doing; those asked and silent count as busy.
    #[must_use]
    pub fn observations(&self, pods: &[PodView], now: Timestamp) -> Vec<WorkerObservation> {
        pods.iter().map(|pod| self.observe(pod, now)).collect()
    }

    fn observe(&self, pod: &PodView, now: Timestamp) -> WorkerObservation {
        let starting =
            || WorkerObservation { id: pod.id.clone(), state: WorkerState::Starting, since: pod.created };
        // Nothing runs there, so nothing is in hand; a job that it had is given to another by the queue.
        if !pod.stage.may_run() {
            return starting();
        }
        let Some(word) = self.words.get(&pod.id) else { return observation(&pod.id, Err(now)) };
        match (&word.report, word.silent_since) {
            (Some(report), None) => observation(&pod.id, Ok(report)),
            (None, _) if pod.stage == PodStage::NotReady && now.since(pod.created) < OPENS_WITHIN => {
                starting()
            }
            (_, silent_since) => observation(&pod.id, Err(silent_since.unwrap_or(now))),
        }
    }

    /// What workers that cannot be asked are taken to be doing: all may be busy until the queue is known to be empty,
    /// and have been idle for as long as it has been so.
    pub fn guesses(
        &mut self,
        pods: &[PodView],
        queue: &Sample<QueueDepth>,
        now: Timestamp,
    ) -> Vec<WorkerObservation> {
        self.keep_only(pods, now);
        self.empty_since = match queue {
            Sample::Known { value, observed_at } if value.is_empty() => {
                Some(self.empty_since.map_or(*observed_at, |since| since.min(*observed_at)))
            }
            _ => None,
        };
        let guess = |pod: &PodView| {
            let (state, since) = match (pod.ready_since, self.empty_since) {
                (None, _) if !pod.stage.may_run() => (WorkerState::Starting, pod.created),
                (Some(ready), Some(empty)) => (WorkerState::Idle, ready.max(empty)),
                (None, Some(empty)) => (WorkerState::Idle, pod.created.max(empty)),
                (_, None) => (WorkerState::Busy, now),
            };
            WorkerObservation { id: pod.id.clone(), state, since }
        };
        pods.iter().map(guess).collect()
    }

    /// For how much longer a worker's drain holds; `None`: it does not drain, or its drain is final.
    #[must_use]
    pub fn drain_left(&self, id: &WorkerId, now: Timestamp) -> Option<Millis> {
        self.words.get(id)?.report.as_ref()?.drain_left(now)
    }

    /// How long a job takes on this pool; `None` until one was done.
    #[must_use]
    pub fn service_time(&self) -> Option<Millis> {
        self.service_times.mean()
    }

    /// How long a pod of this pool takes from being made until it is ready; `None` until one was.
    #[must_use]
    pub fn start_up_time(&self) -> Option<Millis> {
        self.start_up_times.mean()
    }
}

#[cfg(test)]
#[path = "members_tests.rs"]
mod tests;
