//! Who had a job when, and who was told to go.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use crate::audit::Deletion;

/// What a crowd has done and seen.
#[derive(Debug, Clone, Default)]
pub struct CrowdReport {
    /// Workers whose pods were told to go while they had a job in hand.
    pub interrupted: Vec<Interruption>,
    /// Jobs that were finished and whose messages were deleted.
    pub done: usize,
    /// Jobs in hand now.
    pub busy: usize,
    /// The workers with a job in hand now.
    pub busy_workers: BTreeSet<String>,
    /// Workers there are now; those that are told to go until they are gone.
    pub workers: usize,
    /// The most workers there were at a time.
    pub max_at_once: usize,
    /// Workers that there ever were.
    pub ever: usize,
    /// Workers that went without a job in hand.
    pub left_idle: usize,
    /// Receives that were answered, with a message or without.
    pub receives: usize,
    /// Receives that failed, by what was wrong.
    pub failed_receives: BTreeMap<String, usize>,
}

/// A worker that was told to go while it had a job in hand.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Interruption {
    /// The pod.
    pub pod: String,
    /// When the crowd saw it.
    pub at: SystemTime,
    /// For how long the job had been in hand.
    pub held_for: Duration,
    /// Whether the pod was gone before the job's end; otherwise it let the job end.
    pub killed: bool,
}

/// A job in a worker's hand.
#[derive(Debug, Clone, Copy)]
struct Job {
    begin: SystemTime,
    end: Option<SystemTime>,
}

#[derive(Debug, Default)]
pub(super) struct Ledger(Mutex<Inner>);

#[derive(Debug, Default)]
struct Inner {
    report: CrowdReport,
    /// The jobs of each pod, the last one last.
    jobs: HashMap<String, Vec<Job>>,
    failures: Vec<String>,
}

impl Inner {
    fn job_of(&mut self, pod: &str) -> Option<&mut Job> {
        self.jobs.get_mut(pod)?.last_mut().filter(|job| job.end.is_none())
    }
}

impl Ledger {
    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn came(&self, _pod: &str) {
        let report = &mut self.lock().report;
        report.ever += 1;
        report.workers += 1;
        report.max_at_once = report.max_at_once.max(report.workers);
    }

    pub(super) fn received(&self) {
        self.lock().report.receives += 1;
    }

    pub(super) fn could_not_receive(&self, category: &str) {
        *self.lock().report.failed_receives.entry(category.to_owned()).or_default() += 1;
    }

    /// The worker has a message in hand.
    pub(super) fn began(&self, pod: &str) {
        let mut inner = self.lock();
        inner.report.busy_workers.insert(pod.to_owned());
        let job = Job { begin: SystemTime::now(), end: None };
        inner.jobs.entry(pod.to_owned()).or_default().push(job);
    }

    /// Whether the worker has a message in hand.
    pub(super) fn has_job(&self, pod: &str) -> bool {
        self.lock().report.busy_workers.contains(pod)
    }

    /// The message in hand was deleted, or was not ours any more.
    pub(super) fn ended(&self, pod: &str, done: bool) {
        let mut inner = self.lock();
        inner.report.done += usize::from(done);
        inner.report.busy_workers.remove(pod);
        if let Some(job) = inner.job_of(pod) {
            job.end = Some(SystemTime::now());
        }
    }

    /// The pod was told to go.
    pub(super) fn told_to_go(&self, pod: &str) {
        let mut inner = self.lock();
        let at = SystemTime::now();
        match inner.job_of(pod).copied() {
            None => inner.report.left_idle += 1,
            Some(job) => {
                let held_for = at.duration_since(job.begin).unwrap_or_default();
                let pod = pod.to_owned();
                inner.report.interrupted.push(Interruption { pod, at, held_for, killed: false });
            }
        }
    }

    /// The pod is gone.
    pub(super) fn went(&self, pod: &str) {
        let mut inner = self.lock();
        inner.report.workers -= 1;
        inner.report.busy_workers.remove(pod);
        if inner.job_of(pod).is_some() {
            let interruption = inner.report.interrupted.iter_mut().find(|one| one.pod == pod);
            if let Some(interruption) = interruption {
                interruption.killed = true;
            }
        }
    }

    pub(super) fn failed(&self, what: String) {
        self.lock().failures.push(what);
    }

    pub(super) fn report(&self) -> CrowdReport {
        let inner = self.lock();
        let failures: Vec<&String> = inner.failures.iter().take(5).collect();
        assert!(failures.is_empty(), "{} workers failed: {failures:#?}", inner.failures.len());
        CrowdReport { busy: inner.report.busy_workers.len(), ..inner.report.clone() }
    }

    pub(super) fn interrupted_by(&self, deletions: &[Deletion]) -> Vec<String> {
        let inner = self.lock();
        let met = |deletion: &&Deletion| {
            let jobs = inner.jobs.get(&deletion.pod).into_iter().flatten();
            jobs.into_iter().any(|job| {
                job.begin <= deletion.answered && job.end.is_none_or(|end| end >= deletion.received)
            })
        };
        let deletions = deletions.iter().filter(met);
        deletions
            .map(|deletion| format!("{} deleted {} with a job in hand", deletion.by, deletion.pod))
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn deletion(pod: &str, at: SystemTime) -> Deletion {
        Deletion { pod: pod.into(), by: "someone".into(), received: at, answered: at }
    }

    #[test]
    fn a_worker_that_is_told_to_go_with_a_job_in_hand_is_interrupted() {
        let ledger = Ledger::default();
        for pod in ["idle", "busy", "finishes"] {
            ledger.came(pod);
        }
        ledger.began("busy");
        ledger.began("finishes");
        for pod in ["idle", "busy", "finishes"] {
            ledger.told_to_go(pod);
        }
        ledger.ended("finishes", true);
        for pod in ["idle", "busy", "finishes"] {
            ledger.went(pod);
        }
        let report = ledger.report();
        assert_eq!((report.left_idle, report.done, report.workers, report.max_at_once), (1, 1, 0, 3));
        let told: Vec<(&str, bool)> =
            report.interrupted.iter().map(|one| (one.pod.as_str(), one.killed)).collect();
        assert_eq!(told, [("busy", true), ("finishes", false)]);
    }

    #[test]
    fn a_deletion_during_a_job_interrupts_it_whenever_it_is_seen() {
        let ledger = Ledger::default();
        let before = SystemTime::now();
        ledger.came("a");
        ledger.began("a");
        let during = SystemTime::now();
        ledger.ended("a", true);
        let after = SystemTime::now() + Duration::from_secs(1);
        assert_eq!(ledger.interrupted_by(&[deletion("a", during)]), ["someone deleted a with a job in hand"]);
        let fine =
            [deletion("a", before - Duration::from_secs(1)), deletion("a", after), deletion("b", during)];
        assert!(ledger.interrupted_by(&fine).is_empty());
    }
}
