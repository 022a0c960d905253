//! Somebody else writes the number of replicas: notice it, say so, and do not fight.
//!
//! Two autoscalers that both insist make a fleet flap. So after another's write Reelpool leaves the number alone for a
//! while, longer each time it happens again. Pure: the time comes in, nothing goes out but what is to be told.

use reelpool_core::{Millis, Timestamp};

/// For how long the number is left alone after another's first write.
pub const FIRST_HOLD: Millis = Millis::from_secs(60);
/// The longest time for which the number is left alone.
pub const LONGEST_HOLD: Millis = Millis::from_secs(15 * 60);
/// Who has not written again for so long after a hold is told of no more. An autoscaler writes every quarter minute.
const CALM_AFTER: Millis = Millis::from_secs(60);

/// A write of ours without an answer may be found within this time: that of the API server for a request is 60 s.
const ANSWERED_WITHIN: Millis = Millis::from_secs(90);

/// Another's write to the number of replicas.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OtherWrite {
    /// Who wrote, as the API server knows it: the field manager.
    pub by: String,
    /// What Reelpool had written.
    pub ours: u32,
    /// What was found instead.
    pub found: u32,
    /// Until when Reelpool leaves the number alone.
    pub hold_until: Timestamp,
}

/// What is known of other writers of one Deployment's replicas.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Contest {
    /// The number as we wrote it last, or as it was when we came.
    ours: Option<u32>,
    /// What we tried to write of late without an answer, and when.
    tried: Vec<(u32, Timestamp)>,
    /// The last write of another that still matters.
    last: Option<OtherWrite>,
    /// How often in a row others have written.
    streak: u32,
}

impl Contest {
    /// We wrote `replicas`.
    pub fn wrote(&mut self, replicas: u32) {
        self.ours = Some(replicas);
        self.tried.clear();
    }

    /// We tried to write `replicas`, and no answer came.
    pub fn tried(&mut self, replicas: u32, now: Timestamp) {
        self.tried.retain(|(_, at)| now.since(*at) < ANSWERED_WITHIN);
        self.tried.push((replicas, now));
    }

    /// Whatever the number is, it is meant to be so: a person scales by hand.
    pub fn accept(&mut self, found: u32) {
        *self = Self { ours: Some(found), ..Self::default() };
    }

    /// Takes the number that was found, and who else than Reelpool wrote it, where that is known. Returns the write of
    /// another, when this is a new one.
    pub fn found(&mut self, found: u32, by: Option<&str>, now: Timestamp) -> Option<&OtherWrite> {
        let Some(ours) = self.ours.filter(|ours| *ours != found) else {
            // Before our first write the number is whatever it was when we came.
            self.ours = Some(found);
            if self.last.as_ref().is_some_and(|last| now.since(last.hold_until) >= LONGEST_HOLD) {
                self.streak = 0;
                self.last = None;
            }
            return None;
        };
        if self.tried.iter().any(|(tried, at)| *tried == found && now.since(*at) < ANSWERED_WITHIN) {
            self.wrote(found);
            return None;
        }
        self.streak = self.streak.saturating_add(1);
        let hold = FIRST_HOLD.get().saturating_mul(1 << self.streak.saturating_sub(1).min(10));
        let hold = Millis::new(hold).min(LONGEST_HOLD);
        // Their number is the one that stands from now on.
        self.ours = Some(found);
        // A write of zero leaves no name behind.
        let by = by.unwrap_or("somebody").to_owned();
        self.last = Some(OtherWrite { by, ours, found, hold_until: now.plus(hold) });
        self.last.as_ref()
    }

    /// Whether Reelpool may write the number now.
    #[must_use]
    pub fn may_write(&self, now: Timestamp) -> bool {
        self.last.as_ref().is_none_or(|last| now >= last.hold_until)
    }

    /// The write of another that is still to be told of: until it has not come again for a while.
    #[must_use]
    pub fn told(&self, now: Timestamp) -> Option<&OtherWrite> {
        self.last.as_ref().filter(|last| now < last.hold_until.plus(CALM_AFTER))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(secs: u64) -> Timestamp {
        Timestamp::from_millis(0).plus(Millis::from_secs(secs))
    }

    #[test]
    fn what_was_there_before_us_is_nobodys_fault_and_what_comes_after_is_seen() {
        let mut contest = Contest::default();
        assert_eq!(contest.found(3, Some("helm"), at(0)), None);
        assert!(contest.may_write(at(0)));
        // Even before we have written anything.
        let write = contest.found(2, Some("kubectl"), at(1)).cloned().unwrap();
        assert_eq!((write.ours, write.found), (3, 2));
    }

    #[test]
    fn another_number_than_ours_is_left_alone_for_a_while() {
        let mut contest = Contest::default();
        contest.wrote(10);
        assert_eq!(contest.found(10, Some("reelpool-scaler"), at(1)), None);
        let write = contest.found(3, Some("kubectl"), at(2)).cloned().unwrap();
        assert_eq!((write.by.as_str(), write.ours, write.found), ("kubectl", 10, 3));
        assert!(!contest.may_write(at(61)));
        assert!(contest.may_write(at(62)));
        assert_eq!(contest.found(3, Some("kubectl"), at(10)), None, "the same write is told once");
        assert!(contest.told(at(10)).is_some());
    }

    #[test]
    fn a_write_of_zero_has_a_writer_without_a_name() {
        let mut contest = Contest::default();
        contest.wrote(3);
        let write = contest.found(0, None, at(1)).cloned().unwrap();
        assert_eq!((write.by.as_str(), write.found), ("somebody", 0));
    }

    #[test]
    fn our_own_write_whose_answer_was_lost_is_nobody_elses() {
        let mut contest = Contest::default();
        contest.wrote(0);
        contest.tried(12, at(0));
        contest.tried(15, at(1));
        assert_eq!(contest.found(0, None, at(1)), None);
        assert_eq!(contest.found(12, None, at(2)), None);
        assert!(contest.may_write(at(2)));
        assert!(contest.found(0, None, at(3)).is_some(), "and only those");
        let mut contest = Contest::default();
        contest.wrote(0);
        contest.tried(12, at(0));
        assert!(contest.found(12, None, at(1000)).is_some(), "and not for ever");
    }

    #[test]
    fn a_number_that_a_person_means_to_set_is_taken_as_it_is() {
        let mut contest = Contest::default();
        contest.wrote(10);
        contest.found(3, Some("kubectl"), at(1));
        contest.accept(3);
        assert!(contest.may_write(at(2)));
        assert_eq!(contest.told(at(2)), None);
        assert_eq!(contest.found(3, Some("kubectl"), at(3)), None);
    }

    #[test]
    fn who_insists_is_given_way_for_longer_each_time_and_never_for_ever() {
        let mut contest = Contest::default();
        let mut now = 0;
        let mut holds = Vec::new();
        for _ in 0..6 {
            contest.wrote(10);
            let write = contest.found(1, Some("kube-controller-manager"), at(now + 1)).cloned().unwrap();
            let hold = write.hold_until.since(at(now + 1)).get() / 1000;
            holds.push(hold);
            now += 1 + hold;
            assert!(contest.may_write(at(now)));
        }
        assert_eq!(holds, [60, 120, 240, 480, 900, 900]);
    }

    #[test]
    fn peace_is_back_when_nobody_else_writes_however_often_we_do() {
        let mut contest = Contest::default();
        contest.wrote(10);
        contest.found(3, Some("kubectl"), at(1));
        contest.wrote(10);
        contest.found(10, None, at(120));
        assert!(contest.told(at(120)).is_some());
        assert!(contest.told(at(121)).is_none(), "a minute after the hold");
        // For a while it is remembered all the same.
        for now in [500, 700, 900] {
            contest.wrote(now);
            contest.found(now, None, at(now.into()));
        }
        contest.found(4, Some("kubectl"), at(950));
        assert_eq!(contest.told(at(950)).unwrap().hold_until, at(950 + 120), "longer than the first time");
        contest.wrote(5);
        contest.found(5, None, at(950 + 120 + 900));
        contest.found(4, Some("kubectl"), at(2000));
        assert_eq!(contest.told(at(2000)).unwrap().hold_until, at(2060), "the count begins anew");
    }
}
