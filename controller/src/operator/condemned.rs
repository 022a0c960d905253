//! Those that the number of replicas was lowered for and that Kubernetes has not taken yet.
//!
//! A ReplicaSet controller chooses its victims once, and deletes them as fast as its client's limits let it: some
//! twenty in a second. Nothing calls them back, not even a number that rises again meanwhile. So they sleep until they
//! are gone, or until nothing has spoken for their going for a while.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;

use reelpool_core::{DrainStage, Millis, Timestamp, WorkerId, WorkerState};

use super::deployment::DeploymentView;
use super::marks::Mark;
use super::plan::{DRAIN_TERM_SECONDS, Known};

/// Those who are still there when nothing has spoken for their going for so long are let back to work.
pub const SPARED_AFTER: Millis = Millis::from_secs(30);
/// How often their drains are renewed while there can be no pass.
const RENEW_EVERY: Millis = Millis::from_secs(15);
/// A write may be made so long after it was sent: the API server's own time for a request is 60 s, and it may have waited
/// on its way.
const LANDS_WITHIN: Millis = Millis::from_secs(90);
/// Nobody is asked for longer but those that the number is about to be lowered for.
const LONGEST_OF_OTHERS: Millis = Millis::from_secs(DRAIN_TERM_SECONDS as u64);
/// While there can be no pass they are renewed for so long at most: by then Kubernetes has taken them, or never will.
const SLEEP_AT_MOST: Millis = Millis::from_secs(10 * 60);

/// Those that the number was lowered for and that are still there.
#[derive(Debug, Clone, Default)]
pub struct Condemned {
    who: BTreeSet<WorkerId>,
    addresses: BTreeMap<WorkerId, SocketAddr>,
    /// When something last spoke for their going.
    going_at: Timestamp,
    /// When their drains were last renewed without a pass.
    renewed_at: Option<Timestamp>,
    /// The number before a lowering of which no answer came.
    unanswered: Option<u32>,
    /// The number as it was seen last, and when that was.
    seen: Option<(u32, Timestamp)>,
    /// The pods that were seen last.
    pods: BTreeSet<WorkerId>,
    /// Those who were let back to work, until they know.
    let_back: BTreeSet<WorkerId>,
}

impl Condemned {
    /// Their names.
    #[must_use]
    pub fn ids(&self) -> &BTreeSet<WorkerId> {
        &self.who
    }

    /// When something last spoke for their going.
    #[must_use]
    pub fn going_at(&self) -> Timestamp {
        self.going_at
    }

    /// Those who were let back to work and may not know it yet.
    #[must_use]
    pub fn let_back_ids(&self) -> &BTreeSet<WorkerId> {
        &self.let_back
    }

    /// The number goes down for these, whatever comes of the write.
    /// Returns those of them that are new.
    pub fn add(&mut self, ids: &[WorkerId], now: Timestamp) -> Vec<WorkerId> {
        if !ids.is_empty() {
            self.spoken_for(now);
        }
        self.let_back.retain(|id| !ids.contains(id));
        ids.iter().filter(|id| self.who.insert((*id).clone())).cloned().collect()
    }

    /// The number was not lowered for these: the write was refused.
    pub fn take_back(&mut self, ids: &[WorkerId]) {
        for id in ids {
            self.who.remove(id);
        }
        self.let_back(ids);
    }

    /// The number does not go down for these, whatever they were asked.
    pub fn let_back(&mut self, ids: &[WorkerId]) {
        self.let_back.extend(ids.iter().filter(|id| !self.who.contains(id)).cloned());
    }

    /// The number was raised at `now`, or may have been: until then there was one to go for each of them.
    pub fn number_rose(&mut self, now: Timestamp) {
        self.spoken_for(now);
    }

    /// Something spoke for their going at `at`.
    fn spoken_for(&mut self, at: Timestamp) {
        self.going_at = self.going_at.max(at);
    }

    /// No answer came to a write that was to lower the number from `before`: it may have been made all the same.
    pub fn no_answer(&mut self, before: u32) {
        self.unanswered = Some(before);
    }

    /// Whether only the API server itself knows what the number is, and no cache.
    #[must_use]
    pub fn is_unsure(&self) -> bool {
        self.unanswered.is_some()
    }

    /// The number as the API server itself has it. The one from before the lowering: it was not made, or is still on
    /// its way.
    pub fn learn(&mut self, replicas: u32, now: Timestamp) {
        if self.unanswered.take() == Some(replicas) {
            self.spoken_for(now.plus(LANDS_WITHIN).minus(SPARED_AFTER));
        }
    }

    /// There is another Deployment now.
    pub fn clear(&mut self) {
        *self = Self::default();
    }

    /// Takes which pods there are. Returns those who are let back to work: Kubernetes took others, or the number was
    /// raised before anybody was taken.
    pub fn spare(
        &mut self,
        pods: &BTreeSet<&WorkerId>,
        deployment: &DeploymentView,
        now: Timestamp,
    ) -> Vec<WorkerId> {
        // Those that are chosen together go one after the other: whoever went, the next may still be taken.
        let some_went = self.pods.iter().any(|id| !pods.contains(id));
        self.pods = pods.iter().map(|id| (*id).clone()).collect();
        self.who.retain(|id| pods.contains(id));
        self.let_back.retain(|id| pods.contains(id));
        let more_must_go = pods.len() > usize::try_from(deployment.replicas).unwrap_or(usize::MAX);
        let last = self.seen.replace((deployment.replicas, now));
        // Whoever raised it, and however late the write was made: until then there was one to go for each of them.
        let rose = last.is_some_and(|(replicas, _)| replicas < deployment.replicas);
        // Much may have happened that nobody looked at: nothing is known of how long it has been quiet.
        let was_blind = last.is_some_and(|(_, at)| now.since(at) >= SPARED_AFTER);
        if some_went || more_must_go || rose || was_blind || !deployment.is_observed() {
            self.spoken_for(now);
        }
        if now.since(self.going_at) < SPARED_AFTER {
            return Vec::new();
        }
        self.wake_all()
    }

    fn wake_all(&mut self) -> Vec<WorkerId> {
        let awake: Vec<WorkerId> = std::mem::take(&mut self.who).into_iter().collect();
        self.let_back.extend(awake.iter().cloned());
        awake
    }

    /// Takes workers that were asked to sleep for longer than others ever are: an operator before this one was about to
    /// lower the number for them, or has. Kubernetes may have chosen them though the number has risen since, or a write of
    /// it may still be on its way; so they sleep on for a while.
    pub fn recognise(&mut self, known: &[Known], now: Timestamp) {
        let sleeps_long = |worker: &&Known| worker.drain_left.is_some_and(|left| left > LONGEST_OF_OTHERS);
        let long: BTreeSet<&WorkerId> = known.iter().filter(sleeps_long).map(|worker| &worker.id).collect();
        self.let_back.retain(|id| long.contains(id));
        let is_new = |id: &&WorkerId| !self.who.contains(*id) && !self.let_back.contains(*id);
        let new: Vec<WorkerId> = long.into_iter().filter(is_new).cloned().collect();
        if !new.is_empty() {
            let _ = self.add(&new, now.plus(LANDS_WITHIN).minus(SPARED_AFTER));
        }
    }

    /// Takes workers that drain while there are more pods than the number asks for: an operator before this one has
    /// lowered it, and Kubernetes has not taken them yet. Not for a rollout, which has more pods on purpose.
    pub fn adopt(&mut self, known: &[Known], replicas: u32, now: Timestamp) {
        let surplus = known.len().saturating_sub(usize::try_from(replicas).unwrap_or(usize::MAX));
        let missing = surplus.saturating_sub(self.who.len());
        let mut drained: Vec<&Known> = known
            .iter()
            .filter(|worker| worker.state == WorkerState::Draining(DrainStage::Drained))
            .filter(|worker| !self.who.contains(&worker.id))
            .collect();
        drained.sort_by_key(|worker| worker.mark != Mark::Seen(true));
        let adopted: Vec<WorkerId> =
            drained.into_iter().take(missing).map(|worker| worker.id.clone()).collect();
        if !adopted.is_empty() {
            let _ = self.add(&adopted, now);
        }
    }

    /// Remembers where each of them answers, for when there can be no pass.
    pub fn remember(&mut self, address: impl Fn(&WorkerId) -> Option<SocketAddr>) {
        let found = |id: &WorkerId| Some((id.clone(), address(id)?));
        self.addresses = self.who.iter().filter_map(found).collect();
        self.renewed_at = None;
    }

    /// Whom to ask anew to sleep now, where there was no pass.
    pub fn to_renew(&mut self, now: Timestamp) -> Vec<(WorkerId, SocketAddr)> {
        if now.since(self.going_at) >= SLEEP_AT_MOST {
            let _ = self.wake_all();
        }
        if self.renewed_at.is_some_and(|at| now.since(at) < RENEW_EVERY) {
            return Vec::new();
        }
        self.renewed_at = Some(now);
        let asleep = self.addresses.iter().filter(|(id, _)| self.who.contains(id));
        asleep.map(|(id, address)| (id.clone(), *address)).collect()
    }
}

#[cfg(test)]
#[path = "condemned_tests.rs"]
mod tests;
