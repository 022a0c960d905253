//! The one clock of a run: it starts at the wall's time and then only goes forward.

use std::time::{Instant, SystemTime};

use reelpool_core::{Millis, Timestamp};

/// The clock of a run. Its timestamps are milliseconds since 1970, so that records can be read beside other logs, but
/// later changes of the wall clock do not reach it.
#[derive(Debug, Clone, Copy)]
pub struct Clock {
    origin: Timestamp,
    started: Instant,
}

impl Clock {
    /// A clock that starts now.
    #[must_use]
    pub fn start() -> Self {
        let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        let origin = Timestamp::from_millis(i64::try_from(since.as_millis()).unwrap_or(i64::MAX));
        Self { origin, started: Instant::now() }
    }

    /// When it was started.
    #[must_use]
    pub fn origin(&self) -> Timestamp {
        self.origin
    }

    /// What time it is.
    #[must_use]
    pub fn now(&self) -> Timestamp {
        self.origin.plus(Millis::from(self.started.elapsed()))
    }
}
