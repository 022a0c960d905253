//! Somebody else writes the number of replicas: notice it, say so, and do not fight.
//!
//! Two autoscalers that both insist make a fleet flap. So after another's write Reelpool leaves the number alone for a
//! while, longer each time it happens again. Pure: the time comes in, nothing goes out but what is to be told.

use reelpool_core::{Millis, Timestamp};

/// For how long the number is left alone after another's first write.
pub const FIRST_HOLD: Millis = Millis::from_secs(60);
/// The longest time for which the number is left alone.
pub const LONGEST_HOLD: Millis = Millis::from_secs(15 * 60);

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
    /// What we wrote last, and since when it has stood.
    ours: Option<(u32, Timestamp)>,
    /// The last write of another that still matters.
    last: Option<OtherWrite>,
    /// How often in a row others have written.
    streak: u32,
}

impl Contest {
    /// We wrote `replicas`.
    pub fn wrote(&mut self, replicas: u32, now: Timestamp) {
        self.ours = Some((replicas, now));
    }

    /// Takes the number that was found, and who else than Reelpool wrote it. Returns the write of another, when this is a new one.
    pub fn found(&mut self, found: u32, by: Option<&str>, now: Timestamp) -> Option<&OtherWrite> {
        match self.ours {
            // Before our first write the number is whatever it was when we came.
            None => None,
            Some((ours, since)) if ours == found => {
                let quiet = self.last.as_ref().is_none_or(|last| now >= last.hold_until);
                if quiet && now.since(since) >= LONGEST_HOLD {
                    self.streak = 0;
                    self.last = None;
                }
                None
            }
            // Our own write, whose answer was lost.
            Some(_) if by.is_none() => {
                self.ours = Some((found, now));
                None
            }
            Some((ours, _)) => {
                self.streak = self.streak.saturating_add(1);
                let hold = FIRST_HOLD.get().saturating_mul(1 << self.streak.saturating_sub(1).min(10));
                let hold = Millis::new(hold).min(LONGEST_HOLD);
                // Their number is the one that stands from now on.
                self.ours = Some((found, now));
                let by = by.unwrap_or_default().to_owned();
                self.last = Some(OtherWrite { by, ours, found, hold_until: now.plus(hold) });
                self.last.as_ref()
            }
        }
    }

    /// Whether Reelpool may write the number now.
    #[must_use]
    pub fn may_write(&self, now: Timestamp) -> bool {
        self.last.as_ref().is_none_or(|last| now >= last.hold_until)
    }

    /// The write of another that is still to be told of: until our own number has stood for [`LONGEST_HOLD`].
    #[must_use]
    pub fn told(&self) -> Option<&OtherWrite> {
        self.last.as_ref()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(secs: u64) -> Timestamp {
        Timestamp::from_millis(0).plus(Millis::from_secs(secs))
    }

    #[test]
    fn what_was_there_before_us_is_nobodys_fault() {
        let mut contest = Contest::default();
        assert_eq!(contest.found(3, Some("helm"), at(0)), None);
        assert!(contest.may_write(at(0)));
    }

    #[test]
    fn another_number_than_ours_is_left_alone_for_a_while() {
        let mut contest = Contest::default();
        contest.wrote(10, at(0));
        assert_eq!(contest.found(10, Some("reelpool-scaler"), at(1)), None);
        let write = contest.found(3, Some("kubectl"), at(2)).cloned().unwrap();
        assert_eq!((write.by.as_str(), write.ours, write.found), ("kubectl", 10, 3));
        assert!(!contest.may_write(at(61)));
        assert!(contest.may_write(at(62)));
        assert_eq!(contest.found(3, Some("kubectl"), at(10)), None, "the same write is told once");
        assert!(contest.told().is_some());
    }

    #[test]
    fn our_own_write_whose_answer_was_lost_is_nobody_elses() {
        let mut contest = Contest::default();
        contest.wrote(0, at(0));
        assert_eq!(contest.found(12, None, at(1)), None);
        assert!(contest.may_write(at(1)));
    }

    #[test]
    fn who_insists_is_given_way_for_longer_each_time_and_never_for_ever() {
        let mut contest = Contest::default();
        let mut now = 0;
        let mut holds = Vec::new();
        for _ in 0..6 {
            contest.wrote(10, at(now));
            let write = contest.found(1, Some("kube-controller-manager"), at(now + 1)).cloned().unwrap();
            let hold = write.hold_until.since(at(now + 1)).get() / 1000;
            holds.push(hold);
            now += 1 + hold;
            assert!(contest.may_write(at(now)));
        }
        assert_eq!(holds, [60, 120, 240, 480, 900, 900]);
    }

    #[test]
    fn peace_is_back_when_our_number_has_stood() {
        let mut contest = Contest::default();
        contest.wrote(10, at(0));
        contest.found(3, Some("kubectl"), at(1));
        contest.wrote(10, at(100));
        contest.found(10, None, at(500));
        assert!(contest.told().is_some());
        contest.found(10, None, at(1000));
        assert!(contest.told().is_none());
        contest.found(4, Some("kubectl"), at(1001));
        assert_eq!(contest.told().unwrap().hold_until, at(1061), "the count begins anew");
    }
}
