//! Waiting for what comes true in its own time.

use std::time::{Duration, Instant};

/// How often a condition is looked at.
const LOOK: Duration = Duration::from_millis(50);

/// Waits until `condition` holds; panics past `limit`, also when a look at it does not end. Returns how long it took.
pub async fn eventually(what: &str, limit: Duration, mut condition: impl AsyncFnMut() -> bool) -> Duration {
    let start = Instant::now();
    let holds = tokio::time::timeout(limit, async {
        while !condition().await {
            tokio::time::sleep(LOOK).await;
        }
    });
    assert!(holds.await.is_ok(), "not within {limit:?}: {what}");
    start.elapsed()
}

/// Runs `future` to its end on a thread of its own, so that code that is not async may wait for it, wherever it is
/// called from.
pub fn on_a_runtime<T: Send>(future: impl Future<Output = T> + Send) -> T {
    std::thread::scope(|scope| {
        let thread = scope.spawn(|| {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(future)
        });
        // The panic of a check in there is the caller's.
        thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    })
}
