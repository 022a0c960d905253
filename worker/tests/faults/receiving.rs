//! A queue that lets nobody receive.

use std::time::Duration;

use reelpool_worker::queue::QueueError;
use tokio::time::Instant;

use crate::script::Fault::RefusesAlways;
use crate::script::Method::Receive;
use crate::script::Script;
use crate::worker::Setup;
use crate::world::World;

#[tokio::test(start_paused = true)]
async fn a_lasting_refusal_ends_the_worker_and_loses_nothing() {
    let world = World::new();
    world.send(&[world.video("clip.mp4")]);
    let script = Script::new(&world, vec![Receive.first(RefusesAlways)]);
    let worker = world.worker("faulty", &Setup::default(), &script);
    let start = Instant::now();
    let ended = worker.run_until(|| false).await;
    assert!(matches!(ended, Err(QueueError::Denied { .. })), "{ended:?}");
    // Permissions are mended while workers run.
    assert!(start.elapsed() > Duration::from_secs(10), "{:?}", start.elapsed());
    assert_eq!((script.calls(Receive), world.waiting()), (6, 1));
    tokio::time::resume();
    world.finish().await;
    world.assert_committed();
    world.assert_no_violation();
}
