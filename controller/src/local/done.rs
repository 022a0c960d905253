//! When is everything done? Asked only with `--exit-when-done`.

use std::time::Duration;

use reelpool_core::{Decision, Observation, Sample};

use super::masters::MastersState;

/// What is known at one moment.
#[derive(Debug, Clone, Copy)]
pub struct Moment<'a> {
    /// The masters folder, as it was before the queue was looked at; `None` when no folder is watched.
    pub masters: Option<MastersState>,
    /// What was seen then.
    pub observation: &'a Observation,
    /// What was decided from it.
    pub decision: &'a Decision,
    /// How many worker processes there are, those being stopped included.
    pub processes: usize,
    /// Whether the queue's counts are exact.
    pub exact: bool,
    /// For how long a queue whose counts are not must have been empty.
    pub zero_after: Duration,
}

/// Whether every master is dealt with, the queue is empty and the fleet is at zero.
///
/// The queue is looked at after the folder: what was enqueued last is counted. Approximate counts are believed only
/// when every sample over `zero_after` was empty, as for the last worker's leave.
#[must_use]
pub fn is_done(moment: &Moment<'_>) -> bool {
    let Sample::Known { value: depth, .. } = &moment.observation.queue else { return false };
    let sure = moment.exact
        || moment.decision.memory.empty.is_some_and(|window| window.is_full(moment.zero_after.into()));
    moment.masters.is_none_or(|masters| masters.settled)
        && depth.is_empty()
        && sure
        && moment.processes == 0
        && moment.decision.target == 0
}

#[cfg(test)]
mod tests {
    use super::*;
    use reelpool_core::{EmptyWindow, Memory, Millis, Policy, QueueDepth, Timestamp, decide};

    const NOW: Timestamp = Timestamp::from_millis(100_000);

    struct World {
        masters: Option<MastersState>,
        queue: Sample<QueueDepth>,
        processes: usize,
        exact: bool,
        empty_for: u64,
    }

    fn done(world: &World) -> bool {
        let observation = Observation {
            queue: world.queue.clone(),
            workers: Sample::Known { value: Vec::new(), observed_at: NOW },
            current: 0,
            service_time: None,
            start_up_time: None,
        };
        let since = NOW.minus(Millis::from_secs(world.empty_for));
        let memory = Memory { empty: Some(EmptyWindow { since, until: NOW.minus(Millis::new(1)) }) };
        let decision = decide(&Policy::default(), &memory, &observation, NOW);
        is_done(&Moment {
            masters: world.masters,
            observation: &observation,
            decision: &decision,
            processes: world.processes,
            exact: world.exact,
            zero_after: Duration::from_secs(60),
        })
    }

    fn world() -> World {
        World {
            masters: Some(MastersState { settled: true, ..MastersState::default() }),
            queue: Sample::Known { value: QueueDepth::default(), observed_at: NOW },
            processes: 0,
            exact: true,
            empty_for: 0,
        }
    }

    #[test]
    fn done_is_when_nothing_at_all_is_left() {
        assert!(done(&world()));
        assert!(!done(&World { processes: 1, ..world() }), "a worker is still there");
        let unsettled = Some(MastersState { settled: false, ..MastersState::default() });
        assert!(!done(&World { masters: unsettled, ..world() }), "a master is still being written");
        for depth in [
            QueueDepth { backlog: 1, ..QueueDepth::default() },
            QueueDepth { in_flight: 1, ..QueueDepth::default() },
            QueueDepth { delayed: 1, ..QueueDepth::default() },
        ] {
            let queue = Sample::Known { value: depth, observed_at: NOW };
            assert!(!done(&World { queue, ..world() }), "{depth:?}");
        }
        let queue = Sample::Missing { cause: "no answer".to_owned(), since: NOW };
        assert!(!done(&World { queue, ..world() }), "what is not known is not empty");
    }

    #[test]
    fn approximate_counts_are_believed_after_a_while_only() {
        let sqs = |empty_for| World { masters: None, exact: false, empty_for, ..world() };
        assert!(!done(&sqs(0)));
        assert!(!done(&sqs(59)));
        assert!(done(&sqs(60)));
    }
}
