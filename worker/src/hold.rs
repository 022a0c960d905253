//! Holding a message: a heartbeat extends its visibility while it is worked on.
//!
//! The heartbeat has a thread and a runtime of its own, so that nothing the job does can starve it.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::sync::{oneshot, watch};
use tokio::time::{Instant, sleep_until, timeout};

use crate::queue::{Queue, QueueError};

/// The longest that one extension is waited for; a healthy one takes a fraction of a second.
const PATIENCE: Duration = Duration::from_secs(10);

/// The thread on which messages in hand are kept.
#[derive(Debug)]
pub struct Heartbeat {
    runtime: Handle,
    queue: Arc<dyn Queue>,
    visibility: Duration,
}

impl Heartbeat {
    /// Starts the thread. Each message is extended by `visibility`, at a third of it.
    ///
    /// # Errors
    /// When the system gives no thread.
    pub fn start(queue: Arc<dyn Queue>, visibility: Duration) -> io::Result<Self> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let handle = runtime.handle().clone();
        std::thread::Builder::new()
            .name("heartbeat".to_owned())
            .spawn(move || runtime.block_on(std::future::pending::<()>()))?;
        Ok(Self { runtime: handle, queue, visibility })
    }

    /// Keeps the message that was received just now with the full visibility, until the hold is released.
    #[must_use]
    pub fn hold(&self, receipt: &str) -> Hold {
        let (release, released) = oneshot::channel();
        let (tell, lost) = watch::channel(false);
        let (count, beats) = watch::channel(0);
        let (queue, receipt, visibility) = (Arc::clone(&self.queue), receipt.to_owned(), self.visibility);
        let beating = self.runtime.spawn(async move {
            let kept = || count.send_modify(|beats| *beats += 1);
            if !beat(&*queue, &receipt, visibility, released, kept).await {
                let _ = tell.send(true);
            }
        });
        Hold { release: Some(release), lost, beats, beating: Some(beating) }
    }

    /// The thread's runtime, for what must not be starved by the job either.
    pub(crate) fn runtime(&self) -> &Handle {
        &self.runtime
    }

    /// For how long a message is hidden at a time.
    pub(crate) fn visibility(&self) -> Duration {
        self.visibility
    }
}

/// A message in hand. Dropping it lets the visibility run out.
#[derive(Debug)]
pub struct Hold {
    release: Option<oneshot::Sender<()>>,
    lost: watch::Receiver<bool>,
    beats: watch::Receiver<u64>,
    beating: Option<tokio::task::JoinHandle<()>>,
}

impl Hold {
    /// Ends when the hold is lost.
    pub async fn lost(&self) {
        let mut lost = self.lost.clone();
        if lost.wait_for(|lost| *lost).await.is_err() {
            // The heartbeat ended without saying that the hold is lost: it was released.
            std::future::pending::<()>().await;
        }
    }

    /// Whether the hold is lost already.
    #[must_use]
    pub fn is_lost(&self) -> bool {
        *self.lost.borrow()
    }

    /// Changes each time the hold is extended; ends when it is released or lost.
    #[must_use]
    pub fn beats(&self) -> watch::Receiver<u64> {
        self.beats.clone()
    }

    /// Ends the heartbeat. When it returns, no extension is under way that could undo what is done next.
    pub async fn release(&mut self) {
        self.release.take();
        if let Some(beating) = self.beating.take() {
            let _ = beating.await;
        }
    }
}

/// Extends the hold until `released` ends, telling `kept` of each time. Returns whether it was still held then.
async fn beat(
    queue: &dyn Queue,
    receipt: &str,
    visibility: Duration,
    mut released: oneshot::Receiver<()>,
    kept: impl Fn(),
) -> bool {
    let received = Instant::now();
    let cap = queue.longest_hold().map(|longest| received + longest);
    let third = visibility / 3;
    let soon = (visibility / 30).max(Duration::from_millis(200));
    let mut held_until = received + visibility;
    let mut next = received + third;
    loop {
        tokio::select! {
            _ = &mut released => return true,
            () = sleep_until(next) => {}
        }
        let asked = Instant::now();
        // The queue refuses what would go over its longest hold.
        let ask = cap.map_or(visibility, |cap| visibility.min(cap.saturating_duration_since(asked)));
        if ask < Duration::from_secs(1) && ask < visibility {
            return false;
        }
        // Never so long that the loss of the hold, or its release, is noticed late.
        let patience = third.min(PATIENCE).min(held_until.saturating_duration_since(asked));
        match timeout(patience, queue.extend(receipt, ask)).await {
            Ok(Ok(())) => {
                held_until = asked + ask;
                next = asked + ask / 3;
                kept();
            }
            Ok(Err(QueueError::HoldLost)) => return false,
            failed => {
                let detail = failed.map_or_else(|_| "no answer".to_owned(), |done| format!("{done:?}"));
                tracing::warn!(detail, "the hold on the message could not be extended; trying again");
                next = Instant::now() + soon;
            }
        }
        // By its own clock the message is no longer held: someone else may have it.
        if Instant::now() + soon >= held_until {
            return false;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::queue::{Received, StopFlag};
    use async_trait::async_trait;
    use std::sync::Mutex;

    /// Answers extensions from a script; the last answer stays.
    #[derive(Debug)]
    struct Scripted {
        answers: Mutex<Vec<Result<(), QueueError>>>,
        asked: Mutex<Vec<(Duration, Duration)>>,
        hangs: Mutex<bool>,
        start: Instant,
        longest: Option<Duration>,
    }

    impl Scripted {
        fn new(answers: Vec<Result<(), QueueError>>, longest: Option<Duration>) -> Arc<Self> {
            Arc::new(Self {
                answers: Mutex::new(answers),
                asked: Mutex::default(),
                hangs: Mutex::default(),
                start: Instant::now(),
                longest,
            })
        }
    }

    #[async_trait]
    impl Queue for Scripted {
        async fn receive(
            &self,
            _: Duration,
            _: Duration,
            _: &StopFlag,
        ) -> Result<Option<Received>, QueueError> {
            Ok(None)
        }
        async fn extend(&self, _: &str, visibility: Duration) -> Result<(), QueueError> {
            self.asked.lock().unwrap().push((self.start.elapsed(), visibility));
            if *self.hangs.lock().unwrap() {
                std::future::pending::<()>().await;
            }
            let mut answers = self.answers.lock().unwrap();
            if answers.len() > 1 { answers.remove(0) } else { answers[0].clone() }
        }
        async fn delete(&self, _: &str) -> Result<(), QueueError> {
            Ok(())
        }
        async fn dead_letter(&self, _: &Received, _: &str, _: &str) -> Result<(), QueueError> {
            Ok(())
        }
        fn longest_hold(&self) -> Option<Duration> {
            self.longest
        }
        fn max_attempts(&self) -> u32 {
            1
        }
    }

    const VISIBILITY: Duration = Duration::from_secs(90);

    fn down() -> QueueError {
        QueueError::Unavailable { queue: "q".into(), detail: "503".into() }
    }

    async fn held_after(queue: &Scripted, run: Duration) -> Option<bool> {
        let (_release, released) = oneshot::channel();
        timeout(run, beat(queue, "r", VISIBILITY, released, || {})).await.ok()
    }

    #[tokio::test(start_paused = true)]
    async fn extends_by_the_whole_at_a_third() {
        let queue = Scripted::new(vec![Ok(())], None);
        assert_eq!(held_after(&queue, Duration::from_secs(100)).await, None);
        let asked = queue.asked.lock().unwrap().clone();
        let seconds = |s| Duration::from_secs(s);
        assert_eq!(asked, [30, 60, 90].map(|at| (seconds(at), VISIBILITY)));
    }

    #[tokio::test(start_paused = true)]
    async fn a_passing_failure_is_ridden_out() {
        let queue = Scripted::new(vec![Err(down()), Err(down()), Ok(())], None);
        assert_eq!(held_after(&queue, Duration::from_secs(300)).await, None);
        assert!(queue.asked.lock().unwrap().len() > 5);
    }

    #[tokio::test(start_paused = true)]
    async fn a_lasting_failure_loses_the_hold_before_someone_else_gets_the_message() {
        let queue = Scripted::new(vec![Err(down())], None);
        let start = Instant::now();
        assert_eq!(held_after(&queue, Duration::from_secs(300)).await, Some(false));
        assert!(start.elapsed() < VISIBILITY, "{:?}", start.elapsed());
        assert!(start.elapsed() > VISIBILITY / 2, "it must not give up early: {:?}", start.elapsed());
    }

    #[tokio::test(start_paused = true)]
    async fn a_queue_that_never_answers_loses_the_hold_in_time() {
        let queue = Scripted::new(vec![Ok(())], None);
        *queue.hangs.lock().unwrap() = true;
        let start = Instant::now();
        assert_eq!(held_after(&queue, Duration::from_secs(300)).await, Some(false));
        assert!(start.elapsed() <= VISIBILITY, "{:?}", start.elapsed());
    }

    #[tokio::test(start_paused = true)]
    async fn a_lost_hold_is_told_at_once() {
        let queue = Scripted::new(vec![Ok(()), Err(QueueError::HoldLost)], None);
        let start = Instant::now();
        assert_eq!(held_after(&queue, Duration::from_secs(300)).await, Some(false));
        assert_eq!(start.elapsed(), Duration::from_secs(60));
    }

    #[tokio::test(start_paused = true)]
    async fn never_asks_for_more_than_the_queue_allows_in_all() {
        let longest = Duration::from_secs(200);
        let queue = Scripted::new(vec![Ok(())], Some(longest));
        let start = Instant::now();
        assert_eq!(held_after(&queue, Duration::from_secs(400)).await, Some(false));
        assert!(start.elapsed() <= longest);
        for (at, ask) in queue.asked.lock().unwrap().iter() {
            assert!(*at + *ask <= longest, "{at:?} + {ask:?}");
        }
    }

    #[tokio::test]
    async fn a_release_ends_the_heartbeat_and_a_loss_reaches_the_holder() {
        let queue = Scripted::new(vec![Err(QueueError::HoldLost)], None);
        let heart = Heartbeat::start(queue.clone(), Duration::from_millis(90)).unwrap();
        let mut kept = heart.hold("r");
        kept.release().await;
        assert!(!kept.is_lost());
        let asked = queue.asked.lock().unwrap().len();
        let lost = heart.hold("r");
        timeout(Duration::from_secs(10), lost.lost()).await.unwrap();
        assert!(lost.is_lost());
        assert_eq!(queue.asked.lock().unwrap().len(), asked + 1);
    }
}
