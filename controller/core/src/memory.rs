//! What must survive between two decisions.

use serde::{Deserialize, Serialize};

use crate::observation::QueueDepth;
use crate::time::{Millis, Timestamp};

/// What must survive between two decisions. Each decision returns the memory for the next.
///
/// The default is the memory of a shell that has just started, or has lost its own: the most cautious there is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Memory {
    /// The window over which every sample of the queue was empty; `None` when the last one was not, or when
    /// there was none.
    pub empty: Option<EmptyWindow>,
}

/// A span over which every sample of the queue was empty, by the times of the samples.
///
/// It is not stretched by looking at the same sample again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EmptyWindow {
    /// When the first empty sample was taken.
    pub since: Timestamp,
    /// When the last empty sample was taken.
    pub until: Timestamp,
}

impl EmptyWindow {
    /// How long the window is; zero when it holds a single sample.
    #[must_use]
    pub fn span(&self) -> Millis {
        self.until.since(self.since)
    }

    /// Whether the window is long enough for the last worker to go: it lasts `zero_after`, and holds more than
    /// one sample, because one empty sample never empties a fleet.
    #[must_use]
    pub fn is_full(&self, zero_after: Millis) -> bool {
        self.span() >= zero_after.max(Millis::new(1))
    }
}

impl Memory {
    /// This memory after a look at the queue: `sample` is the depth and when it was taken, `None` when there is
    /// no fresh one; two samples more than `max_gap` apart are not of one window.
    pub(crate) fn after(self, sample: Option<(QueueDepth, Timestamp)>, max_gap: Millis) -> Self {
        let empty = match sample {
            Some((depth, at)) if depth.is_empty() => Some(match self.empty {
                Some(window) if continues(window, at, max_gap) => {
                    EmptyWindow { since: window.since, until: window.until.max(at) }
                }
                _ => EmptyWindow { since: at, until: at },
            }),
            // Work was seen, or nothing was seen: the window begins anew.
            _ => None,
        };
        Self { empty }
    }
}

/// Whether an empty sample taken at `at` belongs to `window`: neither before its start (the clock was set back)
/// nor too long after its end (nobody looked in between).
fn continues(window: EmptyWindow, at: Timestamp, max_gap: Millis) -> bool {
    at >= window.since && at.since(window.until) <= max_gap
}
