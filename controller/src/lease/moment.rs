//! Points in time of this machine, by a clock that also counts while the machine sleeps.

use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};

/// A point in time, as the time since this machine was started.
///
/// It goes on while the process is stopped (SIGSTOP) and while the machine sleeps; changes of the wall clock do not
/// reach it. Moments of two machines mean nothing to each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Moment(Duration);

#[cfg(target_os = "linux")]
const CLOCK: ClockId = ClockId::Boottime;
/// Elsewhere the monotonic clock is the nearest there is.
#[cfg(not(target_os = "linux"))]
const CLOCK: ClockId = ClockId::Monotonic;

impl Moment {
    /// Now.
    #[must_use]
    pub fn now() -> Self {
        let time = clock_gettime(CLOCK);
        let seconds = u64::try_from(time.tv_sec).unwrap_or(0);
        let nanos = u32::try_from(time.tv_nsec).unwrap_or(0);
        Self(Duration::new(seconds, nanos))
    }

    /// The moment `after` the machine was started.
    #[must_use]
    pub const fn from_start(after: Duration) -> Self {
        Self(after)
    }

    /// How long the machine has run at this moment.
    #[must_use]
    pub const fn since_start(self) -> Duration {
        self.0
    }

    /// This moment moved into the future by `span`.
    #[must_use]
    pub fn plus(self, span: Duration) -> Self {
        Self(self.0.saturating_add(span))
    }

    /// The span from `earlier` to this moment; zero when `earlier` is not earlier.
    #[must_use]
    pub fn since(self, earlier: Self) -> Duration {
        self.0.saturating_sub(earlier.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_goes_forward_only() {
        let first = Moment::now();
        let second = Moment::now();
        assert!(second >= first && first.since_start() > Duration::ZERO);
        assert_eq!(first.since(first.plus(Duration::from_secs(1))), Duration::ZERO);
        assert_eq!(first.plus(Duration::from_secs(1)).since(first), Duration::from_secs(1));
    }
}
