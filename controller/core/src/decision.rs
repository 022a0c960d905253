//! What is decided: how many workers, who drains, why, and when to look again.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::explain::Explain;
use crate::memory::Memory;
use crate::observation::WorkerId;
use crate::time::Millis;

/// What a shell is to bring about, and why.
///
/// With `current` the number in the observation, one of these holds:
/// - `target > current`: start `target - current` workers. `drain` is empty: every worker that drains is let
///   back to work first.
/// - `target == current`: `drain` is empty. Nobody is started and nobody leaves.
/// - `target < current`: `drain` names exactly `current - target` workers that have nothing in hand. Ask them to
///   drain (again and again, as a drain lapses); remove each once it answers that it is drained, and lower
///   the number by as many as are removed. Nobody else may be removed.
///
/// `target` counts every worker that is to stay, whatever it is doing; it is absolute, so carrying out the same
/// decision twice changes nothing the second time.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Decision {
    /// How many workers there are to be.
    pub target: u32,
    /// Exactly the workers that are to be draining now, in no particular order. Those that have had nothing to
    /// do for longest are chosen first, but those that drain already stay chosen. Any other worker that drains
    /// is to be let back to work.
    pub drain: Vec<WorkerId>,
    /// The rule that set the target.
    pub reason: Reason,
    /// The limits of the policy that were hit, each once.
    pub limits: Vec<Limit>,
    /// Look again after this time; never zero. Until then, the same observation gives the same decision.
    pub next_check: Millis,
    /// The memory for the next decision.
    pub memory: Memory,
    /// The numbers behind the target. The decision's `Display` puts them into one line.
    pub explain: Explain,
}

/// The rule that set the target.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Reason {
    /// The need by backlog.
    Backlog,
    /// The need by time.
    Time,
    /// Fewer are needed, but the others are busy.
    Busy,
    /// Fewer are needed, but some have not been idle for long enough.
    IdleTime,
    /// None is needed, but the queue has not been seen empty for long enough.
    ZeroWindow,
    /// More are needed, but so many are starting already.
    StepOut,
    /// Fewer are needed, but so many are draining already.
    StepIn,
    /// Fewer are needed than the minimum.
    Minimum,
    /// More are needed, or running, than the maximum.
    Maximum,
    /// What there is to know is missing or stale: the fleet is held.
    NoFreshData,
    /// The fleet is paused.
    Paused,
}

impl Reason {
    /// Its stable name, the same as in JSON: for metrics, status and logs.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Backlog => "Backlog",
            Self::Time => "Time",
            Self::Busy => "Busy",
            Self::IdleTime => "IdleTime",
            Self::ZeroWindow => "ZeroWindow",
            Self::StepOut => "StepOut",
            Self::StepIn => "StepIn",
            Self::Minimum => "Minimum",
            Self::Maximum => "Maximum",
            Self::NoFreshData => "NoFreshData",
            Self::Paused => "Paused",
        }
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A limit of the policy that kept the target from what the queue asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Limit {
    /// The minimum, schedules included.
    Minimum,
    /// The maximum.
    Maximum,
    /// How many may be starting at a time.
    StepOut,
    /// How many may be draining at a time.
    StepIn,
}

impl Limit {
    /// Its stable name, the same as in JSON: for metrics, status and logs.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Minimum => "Minimum",
            Self::Maximum => "Maximum",
            Self::StepOut => "StepOut",
            Self::StepIn => "StepIn",
        }
    }
}

impl fmt::Display for Limit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
