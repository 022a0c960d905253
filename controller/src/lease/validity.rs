//! Until when this process leads, for all who are about to write.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use super::moment::Moment;

/// What stands for "it is over". No moment is later: what is extended afterwards stays over.
const ENDED: u64 = u64::MAX;

/// Whether this process leads. Clones tell the same.
#[derive(Clone)]
pub struct Validity {
    /// Nanoseconds since the machine was started, or [`ENDED`].
    until: Arc<AtomicU64>,
    clock: fn() -> Moment,
}

impl fmt::Debug for Validity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Validity({:?} left)", self.left())
    }
}

impl Validity {
    /// One that has not begun.
    pub(super) fn new(clock: fn() -> Moment) -> Self {
        Self { until: Arc::default(), clock }
    }

    /// Whether this process leads now, by its own clock. It needs no other task to have run: a process that was
    /// stopped finds the truth when it goes on.
    #[must_use]
    pub fn is_valid_now(&self) -> bool {
        !self.left().is_zero()
    }

    /// For how long this process leads if the lease is not renewed; zero when it does not.
    #[must_use]
    pub fn left(&self) -> Duration {
        match self.until.load(Ordering::SeqCst) {
            ENDED => Duration::ZERO,
            until => Duration::from_nanos(until).saturating_sub((self.clock)().since_start()),
        }
    }

    /// It lasts until `until` at least; no longer once it was ended.
    pub(super) fn extend(&self, until: Moment) {
        let nanos = u64::try_from(until.since_start().as_nanos()).unwrap_or(ENDED).min(ENDED - 1);
        self.until.fetch_max(nanos, Ordering::SeqCst);
    }

    /// It is over, for good: a renewal that was on its way changes nothing of it.
    pub(super) fn end(&self) {
        self.until.store(ENDED, Ordering::SeqCst);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at_ten_seconds() -> Moment {
        Moment::from_start(Duration::from_secs(10))
    }

    fn second(second: u64) -> Moment {
        Moment::from_start(Duration::from_secs(second))
    }

    #[test]
    fn it_is_extended_and_never_cut_short_by_a_renewal() {
        let validity = Validity::new(at_ten_seconds);
        assert!(!validity.is_valid_now(), "it has not begun");
        validity.extend(second(15));
        validity.extend(second(12));
        assert_eq!(validity.left(), Duration::from_secs(5));
        validity.extend(Moment::from_start(Duration::MAX));
        assert!(validity.is_valid_now(), "the end of time is not the end of the lease");
    }

    #[test]
    fn once_ended_nothing_begins_it_again() {
        let validity = Validity::new(at_ten_seconds);
        validity.extend(second(15));
        let other = validity.clone();
        validity.end();
        for until in [second(20), Moment::from_start(Duration::MAX)] {
            other.extend(until);
            assert!(!validity.is_valid_now() && other.left().is_zero());
        }
    }
}
