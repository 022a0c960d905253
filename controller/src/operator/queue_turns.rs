//! Turns at asking queues how long they are.

use tokio::sync::{Semaphore, SemaphorePermit};

/// Of so many turns there is one more for queues that did not answer.
const FOR_ONE_SILENT: usize = 4;

/// So many queues are asked at a time. Those that did not answer the last time wait in a line of their own: each keeps
/// its turn for seconds, and hundreds of them would leave none to the others.
#[derive(Debug)]
pub struct QueueTurns {
    answering: Semaphore,
    silent: Semaphore,
}

impl QueueTurns {
    /// Turns for `at_once` queues at a time, and some more for those that do not answer.
    #[must_use]
    pub fn new(at_once: usize) -> Self {
        Self {
            answering: Semaphore::new(at_once.max(1)),
            silent: Semaphore::new((at_once / FOR_ONE_SILENT).max(1)),
        }
    }

    /// Waits for a turn, which lasts until what is returned is dropped.
    pub async fn take(&self, was_silent: bool) -> Option<SemaphorePermit<'_>> {
        let line = if was_silent { &self.silent } else { &self.answering };
        // Neither is ever closed.
        line.acquire().await.ok()
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt;

    use super::*;

    #[tokio::test]
    async fn silent_queues_wait_for_each_other_and_hold_up_nobody_else() {
        let turns = QueueTurns::new(8);
        let silent = [turns.take(true).now_or_never(), turns.take(true).now_or_never()];
        assert!(silent.iter().all(Option::is_some));
        assert!(turns.take(true).now_or_never().is_none(), "a third");
        let answering: Vec<_> = (0..8).map_while(|_| turns.take(false).now_or_never()).collect();
        assert_eq!(answering.len(), 8);
        assert!(turns.take(false).now_or_never().is_none(), "a ninth");
        drop(silent);
        assert!(turns.take(true).now_or_never().is_some());
    }
}
