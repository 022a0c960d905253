//! One queue in memory.

use std::collections::{BTreeSet, HashMap, VecDeque};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use reelpool_worker::queue::{Queue, QueueError, Received, StopFlag};
use tokio::sync::Notify;
use tokio::time::{Instant, timeout_at};

/// What is in a queue.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    /// Messages that wait.
    pub backlog: usize,
    /// Messages that are received and not deleted.
    pub in_flight: usize,
}

/// A queue: each message is given to one worker for a while.
#[derive(Debug, Default)]
pub(super) struct MemoryQueue {
    inner: Mutex<Inner>,
    /// Wakes those who wait for a message.
    arrived: Notify,
    asked: AtomicU64,
}

#[derive(Debug, Default)]
struct Inner {
    next: u64,
    waiting: VecDeque<Message>,
    /// By receipt.
    in_flight: HashMap<u64, (Instant, Message)>,
    /// The receipts by the times at which their holds end.
    ends: BTreeSet<(Instant, u64)>,
    /// What is said of its length, in turn; nothing, or `None`: the truth.
    said: VecDeque<Option<Counts>>,
}

#[derive(Debug, Clone)]
struct Message {
    id: u64,
    body: String,
    receives: u32,
}

impl Inner {
    fn number(&mut self) -> u64 {
        self.next += 1;
        self.next
    }

    /// What was held for too long waits again.
    fn sweep(&mut self, now: Instant) {
        while let Some((_, receipt)) = self.ends.first().copied().filter(|(end, _)| *end <= now) {
            if let Some(message) = self.take(receipt) {
                self.waiting.push_back(message);
            }
        }
    }

    fn take(&mut self, receipt: u64) -> Option<Message> {
        let (end, message) = self.in_flight.remove(&receipt)?;
        self.ends.remove(&(end, receipt));
        Some(message)
    }

    fn hold(&mut self, receipt: u64, message: Message, until: Instant) {
        self.ends.insert((until, receipt));
        self.in_flight.insert(receipt, (until, message));
    }

    fn receive(&mut self, until: Instant) -> Option<Received> {
        let mut message = self.waiting.pop_front()?;
        message.receives += 1;
        let receipt = self.number();
        let received = Received {
            id: message.id.to_string(),
            receipt: receipt.to_string(),
            body: message.body.clone(),
            receives: message.receives,
        };
        self.hold(receipt, message, until);
        Some(received)
    }
}

impl MemoryQueue {
    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn send(&self, count: usize, body: &str) {
        let mut inner = self.lock();
        for _ in 0..count {
            let id = inner.number();
            inner.waiting.push_back(Message { id, body: body.to_owned(), receives: 0 });
        }
        drop(inner);
        self.arrived.notify_waiters();
    }

    pub(super) fn purge(&self) {
        let mut inner = self.lock();
        inner.waiting.clear();
        inner.in_flight.clear();
        inner.ends.clear();
    }

    pub(super) fn counts(&self) -> Counts {
        let mut inner = self.lock();
        inner.sweep(Instant::now());
        Counts { backlog: inner.waiting.len(), in_flight: inner.in_flight.len() }
    }

    pub(super) fn asked(&self) -> u64 {
        self.asked.load(Ordering::Relaxed)
    }

    pub(super) fn ask(&self) -> Counts {
        self.asked.fetch_add(1, Ordering::Relaxed);
        let said = {
            let mut inner = self.lock();
            if !inner.said.is_empty() {
                inner.said.rotate_left(1);
            }
            inner.said.back().copied().flatten()
        };
        said.unwrap_or_else(|| self.counts())
    }

    pub(super) fn say(&self, answers: &[Option<Counts>]) {
        self.lock().said = answers.iter().copied().collect();
    }

    /// Takes the message of `receipt` out of flight, does `what` with it.
    fn settle<T>(
        &self,
        receipt: &str,
        what: impl FnOnce(&mut Inner, u64, Message) -> T,
    ) -> Result<T, QueueError> {
        let mut inner = self.lock();
        inner.sweep(Instant::now());
        let receipt = receipt.parse().map_err(|_| QueueError::HoldLost)?;
        let message = inner.take(receipt).ok_or(QueueError::HoldLost)?;
        Ok(what(&mut inner, receipt, message))
    }
}

#[async_trait]
impl Queue for MemoryQueue {
    /// As with SQS, a wait that has begun is not cut short.
    async fn receive(
        &self,
        visibility: Duration,
        wait: Duration,
        _stop: &StopFlag,
    ) -> Result<Option<Received>, QueueError> {
        let deadline = Instant::now() + wait;
        loop {
            // Before the look: what arrives between the two wakes it.
            let arrived = self.arrived.notified();
            {
                let now = Instant::now();
                let mut inner = self.lock();
                inner.sweep(now);
                if let Some(received) = inner.receive(now + visibility) {
                    return Ok(Some(received));
                }
            }
            if timeout_at(deadline, arrived).await.is_err() {
                return Ok(None);
            }
        }
    }

    async fn extend(&self, receipt: &str, visibility: Duration) -> Result<(), QueueError> {
        self.settle(receipt, |inner, receipt, message| {
            inner.hold(receipt, message, Instant::now() + visibility);
        })?;
        if visibility.is_zero() {
            self.arrived.notify_waiters();
        }
        Ok(())
    }

    async fn delete(&self, receipt: &str) -> Result<(), QueueError> {
        self.settle(receipt, |_, _, _| ())
    }

    async fn dead_letter(&self, received: &Received, _: &str, _: &str) -> Result<(), QueueError> {
        self.delete(&received.receipt).await
    }

    fn longest_hold(&self) -> Option<Duration> {
        None
    }

    fn max_attempts(&self) -> u32 {
        u32::MAX
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOLD: Duration = Duration::from_secs(30);

    async fn receive(queue: &MemoryQueue, wait: Duration) -> Option<Received> {
        queue.receive(HOLD, wait, &StopFlag::default()).await.unwrap()
    }

    fn counts(queue: &MemoryQueue) -> (usize, usize) {
        let Counts { backlog, in_flight } = queue.counts();
        (backlog, in_flight)
    }

    #[tokio::test(start_paused = true)]
    async fn every_message_is_counted_where_it_is() {
        let queue = MemoryQueue::default();
        queue.send(2, "a");
        assert_eq!(counts(&queue), (2, 0));
        let first = receive(&queue, Duration::ZERO).await.unwrap();
        assert_eq!((counts(&queue), first.receives, first.body.as_str()), ((1, 1), 1, "a"));
        queue.delete(&first.receipt).await.unwrap();
        assert_eq!(counts(&queue), (1, 0));
        assert_eq!(queue.delete(&first.receipt).await, Err(QueueError::HoldLost));
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_said_of_it_comes_in_turn() {
        let queue = MemoryQueue::default();
        queue.send(2, "a");
        queue.say(&[None, Some(Counts::default())]);
        let said: Vec<usize> = (0..4).map(|_| queue.ask().backlog).collect();
        assert_eq!(said, [2, 0, 2, 0]);
        queue.say(&[]);
        assert_eq!(queue.ask().backlog, 2);
        queue.purge();
        assert_eq!(queue.ask(), Counts::default());
    }

    #[tokio::test(start_paused = true)]
    async fn a_hold_that_runs_out_gives_the_message_to_another() {
        let queue = MemoryQueue::default();
        queue.send(1, "a");
        let first = receive(&queue, Duration::ZERO).await.unwrap();
        tokio::time::advance(HOLD / 2).await;
        queue.extend(&first.receipt, HOLD).await.unwrap();
        tokio::time::advance(HOLD * 2 / 3).await;
        assert_eq!(counts(&queue), (0, 1));
        tokio::time::advance(HOLD).await;
        assert_eq!(counts(&queue), (1, 0));
        let second = receive(&queue, Duration::ZERO).await.unwrap();
        assert_eq!((second.id == first.id, second.receives), (true, 2));
        assert_eq!(queue.extend(&first.receipt, HOLD).await, Err(QueueError::HoldLost));
    }

    #[tokio::test(start_paused = true)]
    async fn who_waits_gets_what_arrives() {
        let queue = MemoryQueue::default();
        assert_eq!(receive(&queue, Duration::from_secs(5)).await, None);
        let (received, ()) = tokio::join!(receive(&queue, Duration::from_secs(5)), async {
            tokio::time::sleep(Duration::from_secs(2)).await;
            queue.send(1, "late");
        });
        let received = received.unwrap();
        assert_eq!(received.body, "late");
        let (again, ()) = tokio::join!(receive(&queue, Duration::from_secs(5)), async {
            tokio::time::sleep(Duration::from_secs(1)).await;
            queue.extend(&received.receipt, Duration::ZERO).await.unwrap();
        });
        assert_eq!(again.unwrap().id, received.id);
    }
}
