//! How long is the queue? One small trait, one file for each kind of queue.

use std::time::Duration;

use async_trait::async_trait;
use reelpool_aws::GIVE_CREDENTIALS;
use reelpool_core::QueueDepth;

pub mod spool;
pub mod sqs;

/// A queue whose length can be asked for.
#[async_trait]
pub trait QueueLength: Send + Sync {
    /// What is in the queue now.
    ///
    /// `soon` is how long it takes to start a worker: where the queue can tell when delayed messages become
    /// visible, those due within it are counted apart.
    async fn depth(&self, soon: Duration) -> Result<QueueDepth, QueueError>;

    /// Whether the counts are exact. SQS's are not: they may be wrong for a minute after producers stop.
    fn is_exact(&self) -> bool;

    /// The shortest time between two questions that makes sense: one that costs money is not asked more often.
    fn shortest_interval(&self) -> Duration;
}

/// Why a queue's length is not known.
#[derive(Debug, thiserror::Error)]
pub enum QueueError {
    /// There is no such queue.
    #[error("there is no queue {queue}: check the URL and its region, or create the queue ({detail})")]
    NotFound {
        /// The queue.
        queue: String,
        /// What the service said.
        detail: String,
    },
    /// The caller may not ask.
    #[error(
        "the queue {queue} may not be read: allow sqs:GetQueueAttributes to these credentials ({detail})"
    )]
    AccessDenied {
        /// The queue.
        queue: String,
        /// What the service said.
        detail: String,
    },
    /// There are no credentials to ask with.
    #[error("the queue {queue} cannot be asked: {GIVE_CREDENTIALS}")]
    NoCredentials {
        /// The queue.
        queue: String,
    },
    /// There is no region to ask in.
    #[error("the region of the queue {queue} is not known: set AWS_REGION")]
    NoRegion {
        /// The queue.
        queue: String,
    },
    /// The service did not answer.
    #[error("the queue {queue} does not answer: check the network and --endpoint-url ({detail})")]
    Unreachable {
        /// The queue.
        queue: String,
        /// What was met.
        detail: String,
    },
    /// The service answered that it cannot serve now.
    #[error(
        "the queue {queue} answers that it fails: it will be asked again; if that goes on, see to the service ({detail})"
    )]
    Failing {
        /// The queue.
        queue: String,
        /// What the service said.
        detail: String,
    },
    /// The service asked for fewer questions.
    #[error("the queue {queue} is asked too often: it will be asked again ({detail})")]
    Throttled {
        /// The queue.
        queue: String,
        /// What the service said.
        detail: String,
    },
    /// The service gave an answer that cannot be used.
    #[error("the queue {queue} gave an answer that cannot be used: {detail}")]
    Unusable {
        /// The queue.
        queue: String,
        /// What is wrong with it.
        detail: String,
    },
    /// The embedded queue failed.
    #[error(transparent)]
    Spool(#[from] reelpool_spool::SpoolError),
}

impl QueueError {
    /// A stable category for logs and metrics.
    #[must_use]
    pub fn category(&self) -> &'static str {
        match self {
            Self::NotFound { .. } => "queue_not_found",
            Self::AccessDenied { .. } => "queue_access_denied",
            Self::NoCredentials { .. } => "queue_no_credentials",
            Self::NoRegion { .. } => "queue_no_region",
            Self::Unreachable { .. } => "queue_unreachable",
            Self::Failing { .. } => "queue_failing",
            Self::Throttled { .. } => "queue_throttled",
            Self::Unusable { .. } => "queue_unusable_answer",
            Self::Spool(_) => "queue_embedded",
        }
    }
}
