//! What a shell saw of the world.

use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::time::{Millis, Timestamp};

/// All that one decision is made from, besides the policy and the memory.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Observation {
    /// How long the queue is.
    pub queue: Sample<QueueDepth>,
    /// The workers and what each is doing: every worker that counts in `current`, each once. One whose removal
    /// has begun, or whose process has ended, is not listed any more.
    pub workers: Sample<Vec<WorkerObservation>>,
    /// How many workers are asked for now: the Deployment's replicas, or the processes that were started, have
    /// not ended and are not being stopped. What is counted here and not listed in `workers` counts as busy.
    pub current: u32,
    /// How long a job takes on this fleet, from receive to delete: the last value measured, however old;
    /// `None` when none ever was.
    pub service_time: Option<Millis>,
    /// How long a worker of this fleet takes from being asked for until it asks the queue for work: the last
    /// value measured, however old; `None` when none ever was.
    pub start_up_time: Option<Millis>,
}

/// Something that was looked at: seen, or not seen and why. Whether it is fresh is judged by the core.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Sample<T> {
    /// It was seen.
    Known {
        /// What was seen.
        value: T,
        /// When the answer came.
        observed_at: Timestamp,
    },
    /// It could not be seen.
    Missing {
        /// Why, for a person: one line.
        cause: String,
        /// Since when it cannot be seen.
        since: Timestamp,
    },
}

/// The length of the queue in messages.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct QueueDepth {
    /// Messages waiting.
    pub backlog: u64,
    /// Messages received and not yet deleted.
    pub in_flight: u64,
    /// Messages that may not be received yet. They keep the last worker from leaving.
    pub delayed: u64,
    /// How many of the delayed are due within one start-up time
    /// ([`expected_start_up`](crate::policy::expected_start_up)): they count as waiting, because a worker asked
    /// for now will be there when they are due. `None` when the queue does not tell (SQS): then none count, as
    /// no capacity is bought for a time that nobody knows; they count when they are due.
    pub delayed_due_soon: Option<u64>,
}

impl QueueDepth {
    /// Whether nothing waits, nothing is in flight and nothing is delayed.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.backlog == 0 && self.in_flight == 0 && self.delayed == 0
    }
}

/// A worker's name, unique in its fleet.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(from = "String", into = "String")]
pub struct WorkerId(Arc<str>);

impl WorkerId {
    /// The name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl From<&str> for WorkerId {
    fn from(name: &str) -> Self {
        Self(name.into())
    }
}

impl From<String> for WorkerId {
    fn from(name: String) -> Self {
        Self(name.into())
    }
}

impl From<WorkerId> for String {
    fn from(id: WorkerId) -> Self {
        id.as_str().to_owned()
    }
}

impl fmt::Display for WorkerId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// One worker and what it is doing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WorkerObservation {
    /// Its name.
    pub id: WorkerId,
    /// What it is doing.
    pub state: WorkerState,
    /// Since when it has been doing that, by the shell's clock.
    pub since: Timestamp,
}

/// What a worker is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum WorkerState {
    /// It has not asked the queue for anything yet, so it has no job in hand.
    Starting,
    /// It asks the queue for work and has none in hand.
    Idle,
    /// It has a job in hand.
    Busy,
    /// It has been told to take no new job.
    Draining(DrainStage),
    /// It does not answer. It counts as busy.
    Unreachable,
}

/// How far the drain of a worker is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DrainStage {
    /// It has no job in hand, but a receive is outstanding that may still bring one.
    Waiting,
    /// It has a job in hand: it counts as busy, and the drain is void.
    Busy,
    /// It has nothing in hand and no receive outstanding: it may be removed.
    Drained,
}

impl WorkerState {
    /// Whether the worker has, or may have, a job in hand: it must not be interrupted.
    #[must_use]
    pub fn is_busy(self) -> bool {
        match self {
            Self::Busy | Self::Unreachable | Self::Draining(DrainStage::Busy) => true,
            Self::Starting | Self::Idle | Self::Draining(DrainStage::Waiting | DrainStage::Drained) => false,
        }
    }
}
