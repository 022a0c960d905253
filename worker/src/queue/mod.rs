//! The queue as a worker sees it: receive a message, hold it, settle it.

mod spool;
mod sqs;

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use async_trait::async_trait;

pub use spool::SpoolQueue;
pub use sqs::SqsQueue;

/// A queue that gives each message to one worker for a while.
///
/// Delivery is at least once: a message whose visibility timeout runs out is given to someone else. Every call may
/// take as long as the network does; callers bound it.
#[async_trait]
pub trait Queue: fmt::Debug + Send + Sync {
    /// Waits up to `wait` for a message and hides it from others for `visibility`.
    ///
    /// When `stop` is set, an implementation that can end the wait early without stranding a message does so.
    async fn receive(
        &self,
        visibility: Duration,
        wait: Duration,
        stop: &StopFlag,
    ) -> Result<Option<Received>, QueueError>;

    /// Sets the visibility timeout of a message in hand to `visibility` from now; zero hands it back at once.
    async fn extend(&self, receipt: &str, visibility: Duration) -> Result<(), QueueError>;

    /// Removes a message in hand for good.
    async fn delete(&self, receipt: &str) -> Result<(), QueueError>;

    /// Moves a message in hand to the dead-letter queue, with the reason.
    async fn dead_letter(&self, received: &Received, reason: &str, detail: &str) -> Result<(), QueueError>;

    /// The longest a message may be held after it was received, whatever is extended; `None` where there is no limit.
    fn longest_hold(&self) -> Option<Duration>;

    /// After how many receives a message that fails is given up.
    fn max_attempts(&self) -> u32;
}

/// A message in hand.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Received {
    /// The queue's name for the message; the same each time it is received.
    pub id: String,
    /// Proof of this receive.
    pub receipt: String,
    /// What it says.
    pub body: String,
    /// How often it has been received, this time included.
    pub receives: u32,
}

/// Tells a waiting receive that nobody wants a message any more.
#[derive(Debug, Clone, Default)]
pub struct StopFlag(Arc<AtomicBool>);

impl StopFlag {
    /// Asks waiting receives to end.
    pub fn set(&self, stop: bool) {
        self.0.store(stop, Ordering::Relaxed);
    }

    /// Whether waiting receives should end.
    #[must_use]
    pub fn is_set(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

/// Why a queue did not do what it was asked.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum QueueError {
    /// The receipt no longer holds the message: someone else may have it.
    #[error("the message is no longer held: its visibility timeout ran out or it was settled elsewhere")]
    HoldLost,
    /// There is no such queue.
    #[error("the queue {queue} does not exist: check the URL and the region")]
    NotFound {
        /// The queue's URL.
        queue: String,
    },
    /// The queue has nowhere to put what cannot be done.
    #[error(
        "the queue {queue} has no dead-letter queue, so a master that cannot be transcoded would come back for ever: \
         give the queue a redrive policy or name one with --dead-letter-queue-url"
    )]
    NoDeadLetterQueue {
        /// The queue's URL.
        queue: String,
    },
    /// The credentials do not allow it, or there are none.
    #[error("access to the queue {queue} is denied: {detail}")]
    Denied {
        /// The queue's URL.
        queue: String,
        /// What the service said.
        detail: String,
    },
    /// Anything that may pass: the network, throttling, a full disk.
    #[error("the queue {queue} cannot be reached: {detail}")]
    Unavailable {
        /// The queue's URL.
        queue: String,
        /// What went wrong.
        detail: String,
    },
}

impl QueueError {
    /// A stable category for metrics and logs.
    #[must_use]
    pub fn category(&self) -> &'static str {
        match self {
            Self::HoldLost => "hold_lost",
            Self::NotFound { .. } => "queue_not_found",
            Self::NoDeadLetterQueue { .. } => "queue_no_dead_letter",
            Self::Denied { .. } => "queue_denied",
            Self::Unavailable { .. } => "queue_unavailable",
        }
    }

    /// Whether waiting could help; if not, a worker should not have started.
    #[must_use]
    pub fn may_pass(&self) -> bool {
        matches!(self, Self::Unavailable { .. } | Self::HoldLost)
    }
}
