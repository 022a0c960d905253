//! Until when this process leads, for all who are about to write.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use super::moment::Moment;

/// The end of time: a leader without election.
const ALWAYS: u64 = u64::MAX;

/// Whether this process leads. Clones tell the same.
#[derive(Clone)]
pub struct Validity {
    /// Nanoseconds since the machine was started.
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

    /// That of a process which is not elected: it always leads.
    #[must_use]
    pub fn always() -> Self {
        Self { until: Arc::new(AtomicU64::new(ALWAYS)), clock: Moment::now }
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
        let until = self.until.load(Ordering::SeqCst);
        Duration::from_nanos(until).saturating_sub((self.clock)().since_start())
    }

    pub(super) fn extend(&self, until: Moment) {
        let nanos = u64::try_from(until.since_start().as_nanos()).unwrap_or(ALWAYS);
        // Never back, and never again once it has ended: only one task extends.
        self.until.fetch_max(nanos, Ordering::SeqCst);
    }

    /// It is over.
    pub(super) fn end(&self) {
        self.until.store(0, Ordering::SeqCst);
    }
}
