//! The workers as a whole: what they are doing, how many may go, and which go first.

use crate::explain::WorkerCounts;
use crate::observation::{DrainStage, WorkerId, WorkerObservation, WorkerState};
use crate::time::{Millis, Timestamp};

/// A fresh look at the workers.
pub(crate) struct Fleet<'a> {
    /// What they are doing.
    pub(crate) counts: WorkerCounts,
    /// Those that may go now, in the order of the observation.
    leavers: Vec<Leaver<'a>>,
    /// How many are listed and have started.
    pub(crate) started: u32,
    /// When the next one may go that may not go yet, if it goes on having nothing to do.
    pub(crate) next_may_go: Option<Timestamp>,
}

impl<'a> Fleet<'a> {
    /// Counts `workers` as seen at `observed_at`, when `current` were asked for.
    ///
    /// Rule 4: a worker may go when it was seen without work for `idle_limit`. That is measured up to the moment
    /// it was seen, not up to now: what it has done since is not known. One that drains had been so before it
    /// was asked. One that has been starting for so long (a pod that finds no node) has nothing in hand either.
    pub(crate) fn new(
        workers: &'a [WorkerObservation],
        observed_at: Timestamp,
        current: u32,
        idle_limit: Millis,
    ) -> Self {
        let listed = saturate(workers.len());
        let mut counts = WorkerCounts { unlisted: current.saturating_sub(listed), ..WorkerCounts::default() };
        let mut leavers = Vec::with_capacity(workers.len());
        let mut longest_rest: Option<Timestamp> = None;
        for worker in workers {
            let (count, rank) = match worker.state {
                WorkerState::Busy | WorkerState::Draining(DrainStage::Busy) => (&mut counts.busy, None),
                WorkerState::Unreachable => (&mut counts.unreachable, None),
                WorkerState::Draining(DrainStage::Drained) => (&mut counts.draining, Some(Rank::Drained)),
                WorkerState::Draining(DrainStage::Waiting) => (&mut counts.draining, Some(Rank::Waiting)),
                WorkerState::Idle => (&mut counts.idle, Some(Rank::Resting)),
                WorkerState::Starting => (&mut counts.starting, Some(Rank::Resting)),
            };
            *count = count.saturating_add(1);
            let Some(rank) = rank else { continue };
            if rank != Rank::Resting || observed_at.since(worker.since) >= idle_limit {
                leavers.push(Leaver { rank, since: worker.since, id: &worker.id });
            } else {
                longest_rest = Some(longest_rest.map_or(worker.since, |since| since.min(worker.since)));
            }
        }
        let started = listed.saturating_sub(counts.starting);
        Self { counts, leavers, started, next_may_go: longest_rest.map(|since| since.plus(idle_limit)) }
    }

    /// How many may go now.
    pub(crate) fn may_go(&self) -> u32 {
        saturate(self.leavers.len())
    }

    /// The `count` workers to drain, of those that may go: first those that are drained or draining already, so
    /// that the choice is stable, then those without work for longest.
    pub(crate) fn choose(mut self, count: u32) -> Vec<WorkerId> {
        let count = usize::try_from(count).unwrap_or(usize::MAX);
        if count < self.leavers.len() {
            // Only who is among the first is asked, not in which order: that is linear, sorting is not.
            self.leavers.select_nth_unstable(count);
            self.leavers.truncate(count);
        }
        self.leavers.into_iter().map(|leaver| leaver.id.clone()).collect()
    }
}

/// A worker that may go. The least goes first; the name decides between equals, so that the order in which
/// workers were observed decides nothing.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Leaver<'a> {
    rank: Rank,
    since: Timestamp,
    id: &'a WorkerId,
}

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Rank {
    Drained,
    Waiting,
    /// Idle, or starting for as long as an idle one would be kept.
    Resting,
}

fn saturate(count: usize) -> u32 {
    u32::try_from(count).unwrap_or(u32::MAX)
}
