//! The length of the embedded queue.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use reelpool_core::QueueDepth;
use reelpool_spool::{Queue, SpoolError};

use super::{QueueError, QueueLength};

/// The embedded queue of one-machine mode.
#[derive(Debug, Clone)]
pub struct SpoolQueue {
    queue: Arc<Queue>,
}

impl SpoolQueue {
    /// The length of `queue`.
    #[must_use]
    pub fn new(queue: Arc<Queue>) -> Self {
        Self { queue }
    }
}

#[async_trait]
impl QueueLength for SpoolQueue {
    async fn depth(&self, soon: Duration) -> Result<QueueDepth, QueueError> {
        let queue = Arc::clone(&self.queue);
        let counted = tokio::task::spawn_blocking(move || {
            let counts = queue.counts()?;
            let due_soon = if counts.delayed == 0 { 0 } else { queue.delayed_due_within(soon)? };
            Ok::<_, SpoolError>(QueueDepth {
                backlog: counts.waiting,
                in_flight: counts.in_flight,
                delayed: counts.delayed,
                delayed_due_soon: Some(due_soon),
            })
        });
        let unusable = |detail: String| QueueError::Unusable { queue: "embedded".to_owned(), detail };
        Ok(counted.await.map_err(|error| unusable(error.to_string()))??)
    }

    fn is_exact(&self) -> bool {
        true
    }

    fn shortest_interval(&self) -> Duration {
        Duration::ZERO
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use reelpool_spool::QueueOptions;

    #[tokio::test]
    async fn counts_what_is_in_the_queue() {
        let dir = tempfile::tempdir().unwrap();
        let queue = Arc::new(Queue::open(dir.path(), QueueOptions::default()).unwrap());
        for _ in 0..3 {
            queue.send("{}", Duration::ZERO).unwrap();
        }
        queue.send("{}", Duration::from_secs(10)).unwrap();
        queue.send("{}", Duration::from_secs(1000)).unwrap();
        queue.receive(Duration::from_secs(100)).unwrap().unwrap();
        let depth = SpoolQueue::new(queue).depth(Duration::from_secs(30)).await.unwrap();
        assert_eq!((depth.backlog, depth.in_flight, depth.delayed), (2, 1, 2));
        assert_eq!(depth.delayed_due_soon, Some(1));
    }
}
