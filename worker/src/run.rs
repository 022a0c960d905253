//! The worker's main loop: ask the queue, work on what it gives, until told to stop.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::{sleep, timeout};

use crate::attempt::Desk;
use crate::queue::QueueError;
use crate::shutdown::Shutdown;

/// How long one receive waits for a message. An SQS receive cannot be cut short, so this is also the longest that a
/// drain or a shutdown waits for it.
const LONG_POLL: Duration = Duration::from_secs(5);
/// The longest pause after a failed receive.
const LONGEST_PAUSE: Duration = Duration::from_secs(30);

/// Takes jobs until `shutdown` asks to stop and the job in hand is finished or handed back.
///
/// # Errors
/// When the queue says something that waiting cannot mend: it does not exist, or access is denied.
pub async fn run(desk: Desk, visibility: Duration, shutdown: &Shutdown) -> Result<(), QueueError> {
    let state = Arc::clone(&desk.state);
    let mut failures = 0;
    while !shutdown.asked() {
        if !state.begin_receive() {
            // Drained: until the drain is lifted, lapses, or the process is asked to stop.
            let lapse = state.drain_lapses_in().unwrap_or(LONG_POLL);
            let _ = timeout(lapse, state.changed.notified()).await;
            continue;
        }
        let received = desk.queue.receive(visibility, LONG_POLL, &state.stop_receiving).await;
        state.received(matches!(received, Ok(Some(_))));
        match received {
            Ok(None) => failures = 0,
            Ok(Some(message)) => {
                failures = 0;
                if shutdown.asked() {
                    // It came with the last receive: someone else is to have it at once.
                    let handed_back = desk.queue.extend(&message.receipt, Duration::ZERO).await;
                    tracing::info!(id = message.id, ?handed_back, "received while stopping");
                    continue;
                }
                desk.work_on(message, shutdown).await;
            }
            Err(error) => {
                desk.metrics.queue_error(error.category());
                failures += 1;
                // Permissions and queues are changed while workers run; only a lasting refusal is final.
                if !error.may_pass() && failures > 5 {
                    return Err(error);
                }
                let pause = Duration::from_millis(500 << failures.min(6)).min(LONGEST_PAUSE);
                tracing::warn!(%error, ?pause, "cannot receive");
                tokio::select! {
                    () = sleep(pause.mul_f64(0.5 + fastrand::f64() / 2.0)) => {}
                    () = shutdown.wait() => {}
                }
            }
        }
    }
    Ok(())
}
