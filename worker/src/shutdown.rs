//! Ctrl-C and SIGTERM: the first asks to finish, the second to stop at once.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;
use tokio::time::Instant;

use crate::state::State;

/// What is kept back of the grace period for publishing, committing and leaving.
const MARGIN: Duration = Duration::from_secs(3);

/// How the process is asked to end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Ask {
    Run,
    /// Finish the job in hand, if that can be done by then.
    FinishBy(Instant),
    /// Hand the job back now.
    Now,
}

/// Tells everyone when the process is to end.
#[derive(Debug, Clone)]
pub struct Shutdown {
    ask: watch::Receiver<Ask>,
}

impl Shutdown {
    /// Listens for signals. After the first, the job in hand has `grace` to finish.
    ///
    /// # Errors
    /// When the signals cannot be listened for.
    pub fn listen(grace: Duration, state: Arc<State>) -> io::Result<Self> {
        let mut terminate = signal(SignalKind::terminate())?;
        let mut interrupt = signal(SignalKind::interrupt())?;
        let (tell, ask) = watch::channel(Ask::Run);
        tokio::spawn(async move {
            for times in 0.. {
                tokio::select! {
                    _ = terminate.recv() => {}
                    _ = interrupt.recv() => {}
                }
                tracing::info!(again = times > 0, "asked to stop");
                let ask = if times == 0 { Ask::FinishBy(Instant::now() + grace) } else { Ask::Now };
                // First this: whoever the state wakes asks for it.
                if tell.send(ask).is_err() {
                    return;
                }
                state.shut_down();
            }
        });
        Ok(Self { ask })
    }

    /// Whether the process has been asked to end.
    #[must_use]
    pub fn asked(&self) -> bool {
        *self.ask.borrow() != Ask::Run
    }

    /// Ends when the process is asked to end.
    pub async fn wait(&self) {
        let mut ask = self.ask.clone();
        if ask.wait_for(|ask| *ask != Ask::Run).await.is_err() {
            std::future::pending::<()>().await;
        }
    }

    /// Ends when the job in hand must be handed back: at once after a second signal; after the first when the time
    /// it still needs (`state` knows) is more than what is left of the grace period, or that has run out.
    pub async fn must_stop(&self, state: &State) {
        let mut ask = self.ask.clone();
        loop {
            let now = *ask.borrow_and_update();
            match now {
                Ask::Now => return,
                Ask::FinishBy(end) => {
                    let left = end.saturating_duration_since(Instant::now()).saturating_sub(MARGIN);
                    if left.is_zero() || state.time_left().is_some_and(|needed| needed > left) {
                        return;
                    }
                    let _ = tokio::time::timeout(Duration::from_millis(250), ask.changed()).await;
                }
                Ask::Run => {
                    if ask.changed().await.is_err() {
                        std::future::pending::<()>().await;
                    }
                }
            }
        }
    }
}
