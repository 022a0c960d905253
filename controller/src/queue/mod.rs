//! How long is the queue? One small trait, one file for each kind of queue.

use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use async_trait::async_trait;
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
    #[error(
        "there are no credentials for the queue {queue}: set AWS_PROFILE, or AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY ({detail})"
    )]
    NoCredentials {
        /// The queue.
        queue: String,
        /// What was tried.
        detail: String,
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
            Self::Throttled { .. } => "queue_throttled",
            Self::Unusable { .. } => "queue_unusable_answer",
            Self::Spool(_) => "queue_embedded",
        }
    }
}

/// Which queue is meant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum QueueUrl {
    /// The embedded queue in this folder: `spool:///path/to/queue`.
    Spool(PathBuf),
    /// An SQS queue: its `http` or `https` URL.
    Sqs(String),
}

/// A text is not the URL of a queue.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum QueueUrlError {
    /// It has none of the schemes that are understood.
    #[error(
        "--queue-url {0}: not the URL of a queue: an SQS queue's looks like https://sqs.eu-west-1.amazonaws.com/123456789012/masters"
    )]
    Scheme(String),
    /// It names a host but no queue there.
    #[error(
        "--queue-url {0}: names no queue: give the whole URL, such as https://sqs.eu-west-1.amazonaws.com/123456789012/masters"
    )]
    NoQueue(String),
}

impl FromStr for QueueUrl {
    type Err = QueueUrlError;

    fn from_str(text: &str) -> Result<Self, QueueUrlError> {
        if let Some(path) = text.strip_prefix("spool://") {
            return if path.len() > 1 && path.starts_with('/') {
                Ok(Self::Spool(PathBuf::from(path)))
            } else {
                Err(QueueUrlError::NoQueue(text.to_owned()))
            };
        }
        if !is_http_url(text) {
            return Err(QueueUrlError::Scheme(text.to_owned()));
        }
        let names_queue =
            text.parse::<http::Uri>().is_ok_and(|uri| uri.path().trim_matches('/').contains('/'));
        if names_queue {
            Ok(Self::Sqs(text.to_owned()))
        } else {
            Err(QueueUrlError::NoQueue(text.to_owned()))
        }
    }
}

/// Whether `text` is an `http` or `https` URL with a host.
pub(crate) fn is_http_url(text: &str) -> bool {
    text.parse::<http::Uri>().is_ok_and(|uri| {
        matches!(uri.scheme_str(), Some("http" | "https")) && uri.host().is_some_and(|host| !host.is_empty())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_are_read_at_the_door() {
        let sqs = "https://sqs.eu-west-1.amazonaws.com/123456789012/masters";
        assert_eq!(sqs.parse(), Ok(QueueUrl::Sqs(sqs.to_owned())));
        let local = "http://127.0.0.1:4566/000000000000/masters";
        assert_eq!(local.parse(), Ok(QueueUrl::Sqs(local.to_owned())));
        assert_eq!("spool:///var/q".parse(), Ok(QueueUrl::Spool(PathBuf::from("/var/q"))));
        for wrong in ["", "masters", "ftp://host/1/q", "http:///1/q", "https://", "sqs://a/b"] {
            assert_eq!(wrong.parse::<QueueUrl>(), Err(QueueUrlError::Scheme(wrong.to_owned())), "{wrong}");
        }
        for unnamed in [
            "https://sqs.eu-west-1.amazonaws.com",
            "http://localhost/masters",
            "spool://",
            "spool://q",
            "spool:///",
        ] {
            assert_eq!(
                unnamed.parse::<QueueUrl>(),
                Err(QueueUrlError::NoQueue(unnamed.to_owned())),
                "{unnamed}"
            );
        }
    }
}
