//! How long to wait after failures: longer each time, up to a limit.

use reelpool_core::{Millis, Timestamp};

/// The failures in a row of one thing.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Backoff {
    failures: u32,
    until: Option<Timestamp>,
}

impl Backoff {
    /// It failed: waits `first`, then twice as long each time, `longest` at most. A failure while it still waits does
    /// not count: a pass may come early for another reason.
    pub fn failed(&mut self, first: Millis, longest: Millis, now: Timestamp) -> Millis {
        if let Some(until) = self.until.filter(|until| *until > now) {
            return until.since(now);
        }
        let factor = 1_u64 << self.failures.min(20);
        let wait = Millis::new(first.get().saturating_mul(factor)).min(longest);
        self.failures = self.failures.saturating_add(1);
        self.until = Some(now.plus(wait));
        wait
    }

    /// It went well.
    pub fn succeeded(&mut self) {
        *self = Self::default();
    }

    /// How often in a row it has failed.
    #[must_use]
    pub fn failures(&self) -> u32 {
        self.failures
    }

    /// For how much longer to wait; `None`: not at all.
    #[must_use]
    pub fn left(&self, now: Timestamp) -> Option<Millis> {
        self.until.filter(|until| *until > now).map(|until| until.since(now))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_failure_in_a_row_waits_twice_as_long_up_to_a_limit() {
        let (first, longest) = (Millis::from_secs(1), Millis::from_secs(15));
        let mut backoff = Backoff::default();
        let mut now = Timestamp::from_millis(0);
        let mut waits = Vec::new();
        for _ in 0..6 {
            let wait = backoff.failed(first, longest, now);
            waits.push(wait.get() / 1000);
            now = now.plus(wait);
        }
        assert_eq!(waits, [1, 2, 4, 8, 15, 15]);
        backoff.succeeded();
        assert_eq!(backoff.failed(first, longest, now), first);
    }

    #[test]
    fn a_failure_while_it_waits_does_not_count() {
        let (first, longest) = (Millis::from_secs(4), Millis::from_secs(60));
        let mut backoff = Backoff::default();
        backoff.failed(first, longest, Timestamp::from_millis(0));
        let early = Timestamp::from_millis(1000);
        assert_eq!(backoff.failed(first, longest, early), Millis::from_secs(3));
        assert_eq!(backoff.left(early), Some(Millis::from_secs(3)));
        assert_eq!(backoff.left(Timestamp::from_millis(4000)), None);
    }
}
