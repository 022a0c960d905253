//! Which pods carry the lowest deletion cost, and whether that is known to everybody.
//!
//! What was written a moment ago is not in every cache yet. A number that went down then would take a pod whose mark we
//! have not seen, or spare one whose mark Kubernetes has not seen. The same goes for how far a pod is: one that has just
//! become ready by our cache is not ready by another, and would be taken before all that are marked.

use std::collections::{BTreeSet, HashMap};

use reelpool_core::{Millis, Timestamp, WorkerId};

use super::deployment::is_later;
use super::pods::{PodStage, PodView};

/// After we have seen the last change the ReplicaSet controller is given this time to see it too: its cache of pods is
/// another one than ours.
const SETTLED_AFTER: Millis = Millis::from_secs(1);

/// Whether a pod carries the lowest cost.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mark {
    /// It was seen to carry it, or not.
    Seen(bool),
    /// It was written that it carries it, or not, and that was not seen yet.
    Written(bool),
    /// No answer came to a write.
    Unsure,
}

/// What was written of the marks of one pool's pods, until it is seen, and when what Kubernetes chooses by changed last.
#[derive(Debug, Clone, Default)]
pub struct Marks {
    written: HashMap<WorkerId, Write>,
    /// By what Kubernetes chooses, as it was seen last.
    seen: HashMap<WorkerId, Rank>,
    /// When that was last seen to change, or something written was still on its way.
    changed_at: Timestamp,
}

/// By what Kubernetes chooses: whether a pod carries the lowest cost, how far it is, and since when it is ready. One that
/// was not ready for a moment between two looks may still be so in another cache.
pub type Rank = (bool, PodStage, Option<Timestamp>);

#[derive(Debug, Clone)]
struct Write {
    to_go: bool,
    /// The pod's version after it; `None`: no answer came.
    version: Option<String>,
}

impl Marks {
    /// A mark was written, or taken away; `version` is the pod's version then, `None` when no answer came.
    pub fn wrote(&mut self, id: WorkerId, to_go: bool, version: Option<String>) {
        self.written.insert(id, Write { to_go, version });
    }

    /// Takes what is seen of the pods now.
    pub fn see(&mut self, pods: &[PodView], now: Timestamp) {
        let there: BTreeSet<&WorkerId> = pods.iter().map(|pod| &pod.id).collect();
        self.written.retain(|id, _| there.contains(id));
        for pod in pods {
            if let Mark::Seen(_) = self.of(pod) {
                self.written.remove(&pod.id);
            }
        }
        let rank = |pod: &PodView| (pod.is_marked, pod.stage, pod.ready_since);
        let seen = pods.iter().map(|pod| (pod.id.clone(), rank(pod))).collect::<HashMap<_, _>>();
        // Also what was there before us: the one who wrote it may have done so a moment ago.
        let is_changed = seen.iter().any(|(id, rank)| self.seen.get(id) != Some(rank));
        if is_changed || !self.written.is_empty() {
            self.changed_at = now;
        }
        self.seen = seen;
    }

    /// Whether this pod carries the lowest cost.
    #[must_use]
    pub fn of(&self, pod: &PodView) -> Mark {
        match self.written.get(&pod.id) {
            None => Mark::Seen(pod.is_marked),
            Some(Write { version: None, .. }) => Mark::Unsure,
            Some(Write { version: Some(version), .. }) if !is_later(version, &pod.resource_version) => {
                Mark::Seen(pod.is_marked)
            }
            Some(Write { to_go, .. }) => Mark::Written(*to_go),
        }
    }

    /// By what Kubernetes would choose this pod, as it was seen last.
    #[must_use]
    pub fn last_seen(&self, id: &WorkerId) -> Option<Rank> {
        self.seen.get(id).copied()
    }

    /// Whether everybody has had the time to see all marks, and how far all pods are.
    #[must_use]
    pub fn are_settled(&self, now: Timestamp) -> bool {
        self.written.is_empty() && now.since(self.changed_at) >= SETTLED_AFTER
    }
}

#[cfg(test)]
mod tests {
    use super::super::pods::PodStage;
    use super::*;

    fn at(millis: i64) -> Timestamp {
        Timestamp::from_millis(1_000_000 + millis)
    }

    fn pod(name: &str, version: &str, is_marked: bool) -> PodView {
        PodView {
            id: name.into(),
            uid: String::new(),
            resource_version: version.to_owned(),
            ip: None,
            stage: PodStage::Ready,
            template: None,
            is_marked,
            created: at(0),
            scheduled: at(0),
            ready_since: None,
            trouble: None,
        }
    }

    #[test]
    fn what_was_written_counts_once_it_is_seen_and_others_have_had_time_to_see_it() {
        let mut marks = Marks::default();
        let before = [pod("a", "10", false), pod("b", "11", false)];
        marks.see(&before, at(0));
        assert!(!marks.are_settled(at(999)), "whoever was before us may have written just now");
        assert!(marks.are_settled(at(1000)));
        marks.wrote("a".into(), true, Some("20".into()));
        marks.see(&before, at(2000));
        assert_eq!(before.each_ref().map(|pod| marks.of(pod)), [Mark::Written(true), Mark::Seen(false)]);
        assert!(!marks.are_settled(at(5000)), "however long it travels");
        let after = [pod("a", "20", true), pod("b", "11", false)];
        marks.see(&after, at(5200));
        assert_eq!(marks.of(&after[0]), Mark::Seen(true));
        assert!(!marks.are_settled(at(6199)));
        assert!(marks.are_settled(at(6200)));
    }

    #[test]
    fn a_mark_that_is_in_our_cache_by_the_next_look_is_not_in_every_other_yet() {
        let mut marks = Marks::default();
        marks.see(&[pod("a", "10", false)], at(0));
        assert!(marks.are_settled(at(2000)));
        marks.wrote("a".into(), true, Some("20".into()));
        marks.see(&[pod("a", "20", true)], at(2200));
        assert!(!marks.are_settled(at(3199)));
        assert!(marks.are_settled(at(3200)));
    }

    #[test]
    fn a_pod_that_has_just_become_ready_is_not_so_in_every_cache_yet() {
        let mut marks = Marks::default();
        let starts = PodView { stage: PodStage::NotReady, ..pod("a", "10", false) };
        marks.see(&[starts, pod("b", "11", true)], at(0));
        let both = [pod("a", "12", false), pod("b", "11", true)];
        marks.see(&both, at(2000));
        assert!(!marks.are_settled(at(2999)));
        marks.see(&both, at(3000));
        assert!(marks.are_settled(at(3000)));
        marks.see(&both[1..], at(3100));
        assert!(marks.are_settled(at(3100)), "who is gone is chosen by nobody");
        marks.see(&both, at(3200));
        assert!(!marks.are_settled(at(4199)), "nor is a newcomer known everywhere");
    }

    #[test]
    fn a_pod_that_was_not_ready_for_a_moment_between_two_looks_is_not_ready_in_every_cache_yet() {
        let mut marks = Marks::default();
        let ready = |since| PodView { ready_since: Some(at(since)), ..pod("a", "10", false) };
        marks.see(&[ready(0)], at(0));
        marks.see(&[ready(4000)], at(5000));
        assert!(!marks.are_settled(at(5999)));
        marks.see(&[ready(4000)], at(6000));
        assert!(marks.are_settled(at(6000)));
    }

    #[test]
    fn a_write_without_an_answer_is_unsure_until_another_is_answered_or_the_pod_is_gone() {
        let mut marks = Marks::default();
        let pods = [pod("a", "10", false)];
        marks.wrote("a".into(), true, None);
        marks.see(&[pod("a", "99", true)], at(0));
        assert_eq!(marks.of(&pods[0]), Mark::Unsure);
        marks.wrote("a".into(), false, Some("100".into()));
        marks.see(&[pod("a", "101", false)], at(0));
        assert_eq!(marks.of(&pods[0]), Mark::Seen(false));
        marks.wrote("a".into(), true, None);
        marks.see(&[], at(0));
        assert!(marks.are_settled(at(1000)));
    }
}
