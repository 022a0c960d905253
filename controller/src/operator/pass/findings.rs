//! What stands in the way of a pool, after a pass that came to its end.

use reelpool_api::condition::Reason as Why;
use reelpool_core::{Decision, Millis};

use super::super::deployment::DeploymentView;
use super::super::members::TOLD_AFTER;
use super::super::plan::Plan;
use super::super::state::PoolState;
use super::super::status::{self, Finding, Findings};
use super::Pass;
use super::look::Seen;

/// Workers are told to be well again when nothing has troubled them for so long.
const WELL_AFTER: Millis = Millis::from_secs(30);
/// What holds the number up for so long is told.
const HELD_TOLD_AFTER: Millis = Millis::from_secs(60);

/// What a pass found and did.
pub(super) struct Found<'a> {
    pub(super) decision: &'a Decision,
    pub(super) plan: &'a Plan,
    /// The Deployment as the pass left it.
    pub(super) deployment: &'a DeploymentView,
    pub(super) seen: &'a Seen,
    /// Why the queue could not be read; `None`: it was read.
    pub(super) queue: Option<Finding>,
    /// What was met at a worker that gave no answer.
    pub(super) met: Option<String>,
}

impl Pass<'_> {
    /// What stands in the pool's way.
    pub(super) fn findings(&self, found: Found<'_>, state: &mut PoolState) -> Findings {
        let now = self.context.clock.now();
        let held = state.held_for(found.plan.held, now).filter(|(_, since)| *since >= HELD_TOLD_AFTER);
        Findings {
            pool: Finding::yes(Why::AllGood, "the spec can be followed"),
            workers: self.workers_finding(found.deployment, found.seen, found.met.as_deref(), state),
            queue: found.queue.unwrap_or_else(|| status::queue(Ok(()))),
            limited: status::limited(found.decision, held.map(|(held, _)| held)),
            contested: status::contested(state.contest.told(now)),
        }
    }

    /// Whether pods can be made and start, and their workers can be asked and drained.
    fn workers_finding(
        &self,
        deployment: &DeploymentView,
        seen: &Seen,
        met: Option<&str>,
        state: &mut PoolState,
    ) -> Finding {
        let now = self.context.clock.now();
        let finding = self.trouble_of_workers(deployment, seen, met, state);
        if finding.holds == Some(false) {
            state.trouble = Some((finding.clone(), now));
            return finding;
        }
        // What crashes runs in between: that is not to be well.
        let lately = state.trouble.as_ref().filter(|(_, at)| now.since(*at) < WELL_AFTER);
        lately.map_or(finding, |(trouble, _)| trouble.clone())
    }

    fn trouble_of_workers(
        &self,
        deployment: &DeploymentView,
        seen: &Seen,
        met: Option<&str>,
        state: &PoolState,
    ) -> Finding {
        let now = self.context.clock.now();
        let finding = status::workers(deployment, &seen.pods, now);
        let Some(port) = seen.port.filter(|_| finding.holds == Some(true)) else { return finding };
        let silent = state.members.silent(&seen.pods, now);
        let refused = state.drain_refused.as_ref().filter(|(_, since)| now.since(*since) >= TOLD_AFTER);
        match (silent, refused) {
            (Some((count, first)), _) => {
                status::silent(count, &first, port.number, met.unwrap_or("no answer"))
            }
            (None, Some((said, _))) => status::drain_refused(said),
            (None, None) => finding,
        }
    }
}
