//! What the owner of a fleet wants: bounds, the target, and how slowly to shrink.

use std::num::NonZeroU32;

use serde::{Deserialize, Serialize};

use crate::time::Millis;

/// The most workers a policy may allow: one Deployment larger than this is a mistake in the number.
pub const MAX_WORKERS: u32 = 100_000;
/// The shortest idle time that a measured start-up time may ask for; a policy may set a shorter one itself.
pub const MEASURED_IDLE_MIN: Millis = Millis::from_secs(5);
/// The longest idle time that a measured start-up time may ask for; a policy may set a longer one itself.
pub const MEASURED_IDLE_MAX: Millis = Millis::from_secs(600);
/// How long a worker is taken to need to start while none has been measured.
pub const START_UP_UNMEASURED: Millis = Millis::from_secs(30);

/// A policy as written, not yet known to make sense. [`Policy::try_from`] checks it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct PolicySpec {
    /// The fleet has at least so many workers, whatever the queue says.
    pub min_workers: u32,
    /// The fleet grows to at most so many; 1 to [`MAX_WORKERS`].
    pub max_workers: u32,
    /// What schedules have raised the minimum to at this moment; the shell works out the clock. Zero raises
    /// nothing, and more than `max_workers` counts as `max_workers`.
    pub raised_minimum: u32,
    /// How the need for workers follows from the queue.
    pub target: Target,
    /// How many jobs one worker does at a time.
    pub jobs_per_worker: NonZeroU32,
    /// For how long a worker must have had nothing to do before it may go. `None`: the measured start-up time,
    /// between [`MEASURED_IDLE_MIN`] and [`MEASURED_IDLE_MAX`].
    pub idle: Option<Millis>,
    /// For how long every sample of the queue must have been empty before the last worker may go.
    pub zero_after: Millis,
    /// At most so many workers may be starting at a time; `None`: any number.
    pub max_step_out: Option<NonZeroU32>,
    /// At most so many workers may be draining at a time; `None`: any number.
    pub max_step_in: Option<NonZeroU32>,
    /// Hold the fleet as it is: nobody is started and nobody drains.
    pub paused: bool,
    /// How old a sample may be.
    pub freshness: Freshness,
    /// How often to look.
    pub poll: Poll,
}

impl Default for PolicySpec {
    fn default() -> Self {
        Self {
            min_workers: 0,
            max_workers: 1,
            raised_minimum: 0,
            target: Target::default(),
            jobs_per_worker: NonZeroU32::MIN,
            idle: None,
            zero_after: Millis::from_secs(60),
            max_step_out: None,
            max_step_in: None,
            paused: false,
            freshness: Freshness::default(),
            poll: Poll::default(),
        }
    }
}

/// How the need for workers follows from the queue.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Target {
    /// One worker for every `per_worker` messages that wait or are in flight.
    Backlog {
        /// Messages for each worker.
        per_worker: NonZeroU32,
    },
    /// As many workers as finish the queue in `drain_within`, at the service time measured on this fleet.
    Time {
        /// The time to finish in; more than zero.
        drain_within: Millis,
    },
}

impl Default for Target {
    /// One worker for each message.
    fn default() -> Self {
        Self::Backlog { per_worker: NonZeroU32::MIN }
    }
}

/// How old a sample may be before it counts as no data.
///
/// The same distance holds for samples from the future (a clock that was set back).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Freshness {
    /// For the queue. It is also the longest gap between two samples of one empty window.
    pub queue: Millis,
    /// For the workers.
    pub workers: Millis,
}

impl Default for Freshness {
    /// 30 seconds for both.
    fn default() -> Self {
        Self { queue: Millis::from_secs(30), workers: Millis::from_secs(30) }
    }
}

/// How often a shell is asked to look at the world.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Poll {
    /// The shortest time between two looks, used while the fleet is changing; more than zero.
    pub shortest: Millis,
    /// The longest time between two looks, used at rest; shorter than both limits of [`Freshness`].
    pub longest: Millis,
}

impl Default for Poll {
    /// 1 second while the fleet changes, 5 seconds at rest.
    fn default() -> Self {
        Self { shortest: Millis::from_secs(1), longest: Millis::from_secs(5) }
    }
}

/// A policy that makes sense.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "PolicySpec", into = "PolicySpec")]
pub struct Policy(PolicySpec);

impl Policy {
    /// The policy as it was written.
    #[must_use]
    pub fn spec(&self) -> &PolicySpec {
        &self.0
    }

    /// The same policy with the minimum raised to `workers` (or no longer raised, with zero).
    #[must_use]
    pub fn with_raised_minimum(mut self, workers: u32) -> Self {
        self.0.raised_minimum = workers;
        self
    }

    /// The same policy, paused or not.
    #[must_use]
    pub fn with_paused(mut self, paused: bool) -> Self {
        self.0.paused = paused;
        self
    }

    /// The fewest workers the fleet is to have now, schedules included; never more than [`Policy::maximum`].
    #[must_use]
    pub fn minimum(&self) -> u32 {
        self.0.min_workers.max(self.0.raised_minimum).min(self.0.max_workers)
    }

    /// The most workers the fleet may grow to.
    #[must_use]
    pub fn maximum(&self) -> u32 {
        self.0.max_workers
    }

    /// For how long a worker must have had nothing to do before it may go.
    ///
    /// Keeping an idle worker for as long as it takes to bring one back costs at most twice what knowing the
    /// future would (the ski-rental argument), so the default is the start-up time, `measured` on this fleet.
    #[must_use]
    pub fn idle_limit(&self, measured: Option<Millis>) -> Millis {
        self.0.idle.unwrap_or_else(|| expected_start_up(measured).clamp(MEASURED_IDLE_MIN, MEASURED_IDLE_MAX))
    }
}

/// How long a worker is expected to need to start: as `measured`, else [`START_UP_UNMEASURED`].
///
/// It is the horizon within which a delayed message counts as due soon.
#[must_use]
pub fn expected_start_up(measured: Option<Millis>) -> Millis {
    measured.unwrap_or(START_UP_UNMEASURED)
}

impl TryFrom<PolicySpec> for Policy {
    type Error = PolicyError;

    fn try_from(spec: PolicySpec) -> Result<Self, PolicyError> {
        let (min, max) = (spec.min_workers, spec.max_workers);
        if max == 0 {
            return Err(PolicyError::NoWorkers);
        }
        if max > MAX_WORKERS {
            return Err(PolicyError::TooManyWorkers(max));
        }
        if min > max {
            return Err(PolicyError::MinimumAboveMaximum { min, max });
        }
        if spec.target == (Target::Time { drain_within: Millis::ZERO }) {
            return Err(PolicyError::NoTimeToDrain);
        }
        let Poll { shortest, longest } = spec.poll;
        if shortest == Millis::ZERO || shortest > longest {
            return Err(PolicyError::PollOutOfOrder { shortest, longest });
        }
        let limit = spec.freshness.queue.min(spec.freshness.workers);
        if longest >= limit {
            return Err(PolicyError::StaleBeforeNextPoll { longest, limit });
        }
        Ok(Self(spec))
    }
}

impl From<Policy> for PolicySpec {
    fn from(policy: Policy) -> Self {
        policy.0
    }
}

/// Why a [`PolicySpec`] makes no sense.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PolicyError {
    /// The maximum was zero.
    #[error(
        "the maximum is 0 workers, so no job would ever be done: set it to at least 1, or pause the fleet"
    )]
    NoWorkers,
    /// The maximum was above [`MAX_WORKERS`].
    #[error("the maximum is {0} workers: set it to {MAX_WORKERS} or fewer")]
    TooManyWorkers(u32),
    /// The minimum was above the maximum.
    #[error("the minimum ({min} workers) is above the maximum ({max}): lower the one or raise the other")]
    MinimumAboveMaximum {
        /// The minimum.
        min: u32,
        /// The maximum.
        max: u32,
    },
    /// The queue was to be finished in no time.
    #[error("the queue is to be finished within 0 s: set a longer time")]
    NoTimeToDrain,
    /// The shortest time between polls was zero, or above the longest.
    #[error(
        "polls are to be {shortest} to {longest} apart: the shorter must be above 0 and not above the longer"
    )]
    PollOutOfOrder {
        /// The shortest time between polls.
        shortest: Millis,
        /// The longest time between polls.
        longest: Millis,
    },
    /// Samples would be too old before the next ones are taken.
    #[error("polls may be {longest} apart but samples are stale after {limit}: poll more often than that")]
    StaleBeforeNextPoll {
        /// The longest time between polls.
        longest: Millis,
        /// The shorter of the two freshness limits.
        limit: Millis,
    },
}
