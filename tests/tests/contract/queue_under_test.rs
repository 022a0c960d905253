//! A queue with everything a test needs around it: a way to send, to count, and to look at the dead letters.

use std::sync::Arc;
use std::time::Duration;

use reelpool::queue::QueueLength;
use reelpool_spool::QueueOptions;
use reelpool_tests::Emulator;
use reelpool_tests::emulator::QueuePair;
use reelpool_worker::queue::{Queue, Received, SpoolQueue, SqsQueue, StopFlag};
use tempfile::TempDir;

/// How often a message is received before it is given up.
pub const MAX_ATTEMPTS: u32 = 3;
/// A visibility timeout that does not run out in a test.
pub const HOLD: Duration = Duration::from_secs(60);

/// One of the two.
pub struct QueueUnderTest {
    /// What a worker sees.
    pub queue: Arc<dyn Queue>,
    /// What the controller sees.
    pub length: Box<dyn QueueLength>,
    backend: Backend,
}

enum Backend {
    Embedded { queue: Arc<reelpool_spool::Queue>, _folder: TempDir },
    Aws { emulator: Box<Emulator>, pair: QueuePair },
}

impl QueueUnderTest {
    /// The embedded queue.
    pub fn embedded() -> Self {
        let folder = TempDir::new().unwrap();
        let options = QueueOptions { max_receives: MAX_ATTEMPTS };
        let queue = Arc::new(reelpool_spool::Queue::open(folder.path(), options).unwrap());
        Self {
            // A connection of its own, as a worker's process has.
            queue: Arc::new(SpoolQueue::open(folder.path(), MAX_ATTEMPTS, MAX_ATTEMPTS).unwrap()),
            length: Box::new(reelpool::queue::spool::SpoolQueue::new(Arc::clone(&queue))),
            backend: Backend::Embedded { queue, _folder: folder },
        }
    }

    /// SQS, as an emulator speaks it.
    pub async fn aws() -> Self {
        let emulator = Emulator::start();
        let pair = emulator.create_queue_with_dlq("masters", MAX_ATTEMPTS).await;
        let config = crate::aws_config(&emulator).await;
        Self {
            queue: Arc::new(SqsQueue::open(&config, &pair.url, None, 100).await.unwrap()),
            length: Box::new(reelpool::queue::sqs::SqsQueue::with_config(&config, &pair.url).unwrap()),
            backend: Backend::Aws { emulator: Box::new(emulator), pair },
        }
    }

    /// Sends a message that may be received at once.
    pub async fn send(&self, body: &str) {
        self.send_delayed(body, 0).await;
    }

    /// Sends a message that may be received after some seconds.
    pub async fn send_delayed(&self, body: &str, seconds: u16) {
        match &self.backend {
            Backend::Embedded { queue, .. } => {
                queue.send(body, Duration::from_secs(seconds.into())).unwrap();
            }
            Backend::Aws { emulator, pair } => {
                let request = emulator.sqs.send_message().queue_url(&pair.url).message_body(body);
                request.delay_seconds(seconds.into()).send().await.unwrap();
            }
        }
    }

    /// Body and reason of each dead letter; the reason is empty where the queue itself gave the message up.
    pub async fn dead_letters(&self) -> Vec<(String, String)> {
        match &self.backend {
            Backend::Embedded { queue, .. } => {
                let letters = queue.dead_letters(100).unwrap().into_iter();
                let by_queue = reelpool_spool::queue::RECEIVE_COUNT_EXCEEDED;
                letters
                    .map(|dead| {
                        (dead.body, if dead.reason == by_queue { String::new() } else { dead.reason })
                    })
                    .collect()
            }
            Backend::Aws { emulator, pair } => {
                let request =
                    emulator.sqs.receive_message().queue_url(&pair.dead_letter_url).visibility_timeout(0);
                let request = request.max_number_of_messages(10).message_attribute_names("All");
                let answer = request.send().await.unwrap();
                let reason = |message: &aws_sdk_sqs::types::Message| {
                    let attributes = message.message_attributes()?;
                    Some(attributes.get("reelpool.reason")?.string_value()?.to_owned())
                };
                let letters = answer.messages().iter();
                letters
                    .map(|dead| (dead.body().unwrap().to_owned(), reason(dead).unwrap_or_default()))
                    .collect()
            }
        }
    }

    /// Receives what is there, held for `visibility`; waits for nothing.
    pub async fn receive(&self, visibility: Duration) -> Option<Received> {
        self.queue.receive(visibility, Duration::ZERO, &StopFlag::default()).await.unwrap()
    }

    /// Receives, waiting up to `wait`.
    pub async fn receive_within(&self, visibility: Duration, wait: Duration) -> Option<Received> {
        self.queue.receive(visibility, wait, &StopFlag::default()).await.unwrap()
    }

    /// Backlog, in flight and delayed.
    pub async fn counts(&self) -> (u64, u64, u64) {
        let depth = self.length.depth(Duration::from_secs(30)).await.unwrap();
        (depth.backlog, depth.in_flight, depth.delayed)
    }
}
