//! The embedded queue of one-machine mode.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use reelpool_spool::{QueueOptions, Receipt, SpoolError};
use tokio::task::spawn_blocking;

use super::{Queue, QueueError, Received, StopFlag};

/// A queue in an SQLite file on this machine.
#[derive(Debug, Clone)]
pub struct SpoolQueue {
    queue: Arc<reelpool_spool::Queue>,
    name: String,
    max_attempts: u32,
}

impl SpoolQueue {
    /// Opens the queue in the folder `dir`, which must exist. A message is given up by the worker when it fails at its
    /// receive number `max_attempts`, and by the queue itself after `max_receives`.
    ///
    /// # Errors
    /// When there is no queue, or it cannot be read and written.
    pub fn open(dir: &Path, max_receives: u32, max_attempts: u32) -> Result<Self, QueueError> {
        let name = format!("spool://{}", dir.display());
        let options = QueueOptions { max_receives };
        match reelpool_spool::Queue::open_existing(dir, options) {
            Ok(queue) => {
                Ok(Self { queue: Arc::new(queue), name, max_attempts: max_attempts.min(max_receives) })
            }
            Err(SpoolError::NoQueue { .. }) => Err(QueueError::NotFound { queue: name }),
            Err(error) => Err(failed(&name, &error)),
        }
    }

    /// Runs `work` where it may block.
    async fn blocking<T: Send + 'static>(
        &self,
        work: impl FnOnce(&reelpool_spool::Queue) -> Result<T, SpoolError> + Send + 'static,
    ) -> Result<T, QueueError> {
        let queue = Arc::clone(&self.queue);
        match spawn_blocking(move || work(&queue)).await {
            Ok(done) => done.map_err(|error| failed(&self.name, &error)),
            Err(error) => {
                Err(QueueError::Unavailable { queue: self.name.clone(), detail: error.to_string() })
            }
        }
    }

    async fn with_receipt<T: Send + 'static>(
        &self,
        receipt: &str,
        work: impl FnOnce(&reelpool_spool::Queue, &Receipt) -> Result<T, SpoolError> + Send + 'static,
    ) -> Result<T, QueueError> {
        // A text that is no receipt holds nothing.
        let receipt: Receipt = receipt.parse().map_err(|_| QueueError::HoldLost)?;
        self.blocking(move |queue| work(queue, &receipt)).await
    }
}

#[async_trait]
impl Queue for SpoolQueue {
    async fn receive(
        &self,
        visibility: Duration,
        wait: Duration,
        stop: &StopFlag,
    ) -> Result<Option<Received>, QueueError> {
        let stop = stop.clone();
        let received =
            self.blocking(move |queue| queue.receive_wait(visibility, wait, || stop.is_set())).await?;
        Ok(received.map(|message| Received {
            id: message.id.to_string(),
            receipt: message.receipt.to_string(),
            body: message.body,
            receives: message.receive_count,
        }))
    }

    async fn extend(&self, receipt: &str, visibility: Duration) -> Result<(), QueueError> {
        self.with_receipt(receipt, move |queue, receipt| queue.extend(receipt, visibility)).await
    }

    async fn delete(&self, receipt: &str) -> Result<(), QueueError> {
        self.with_receipt(receipt, reelpool_spool::Queue::delete).await
    }

    async fn dead_letter(&self, received: &Received, reason: &str, detail: &str) -> Result<(), QueueError> {
        let (reason, detail) = (reason.to_owned(), detail.to_owned());
        let bury = move |queue: &reelpool_spool::Queue, receipt: &Receipt| {
            queue.dead_letter(receipt, &reason, &detail)
        };
        self.with_receipt(&received.receipt, bury).await
    }

    fn longest_hold(&self) -> Option<Duration> {
        None
    }

    fn max_attempts(&self) -> u32 {
        self.max_attempts
    }
}

fn failed(queue: &str, error: &SpoolError) -> QueueError {
    let queue = queue.to_owned();
    match error {
        SpoolError::HoldLost { .. } => QueueError::HoldLost,
        SpoolError::NotWritable { .. } => QueueError::Denied { queue, detail: error.to_string() },
        _ => QueueError::Unavailable { queue, detail: error.to_string() },
    }
}
