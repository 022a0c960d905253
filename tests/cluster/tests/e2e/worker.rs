//! The worker's image as pods: what it publishes, and how it goes.

use std::time::Duration;

use reelpool_cluster::{ControlPlane, Node, Settings, eventually, image, image_name};
use reelpool_tests::probe::probe;
use reelpool_tests::results::{assert_nothing_else, published};
use reelpool_tests::{Emulator, clips};

const WORKERS: &str = include_str!("worker.yaml");
const CLIPS: [&str; 3] = ["bigbuckbunny.mp4", "bikes.mp4", "carphone_pristine.mp4"];

#[tokio::test(flavor = "multi_thread")]
async fn workers_transcode_in_pods_that_may_do_nothing_else() {
    let _alone = crate::ALONE.lock().await;
    let emulator = Emulator::start();
    // A message that were received twice would be found among the dead.
    let queue = emulator.create_queue_with_dlq("masters", 1).await;
    emulator.create_bucket("masters").await;
    emulator.create_bucket("renditions").await;
    emulator.notify("masters", &queue, "in/", "").await;

    let plane = ControlPlane::start(Settings::default());
    let node = Node::start(&plane, &[&image("reelpool-worker")]);
    let endpoint = format!("http://{}", node.relay(emulator.port()));
    let image = image_name("reelpool-worker");
    plane.apply(&WORKERS.replace("$IMAGE", &image).replace("$ENDPOINT", &endpoint));
    let of = |verb: &[&str]| plane.kubectl(&[&["--namespace=media"], verb].concat()).ok();

    for clip in CLIPS {
        emulator.upload("masters", &format!("in/{clip}"), &clips::demo(clip)).await;
    }
    let _ = of(&["scale", "deployment/workers", "--replicas=3"]);
    let _ = of(&["rollout", "status", "deployment/workers", "--timeout=120s"]);
    let done = async || emulator.messages(&queue.url).await == 0;
    eventually("the queue is empty", Duration::from_secs(300), done).await;
    let log = of(&["logs", "deployment/workers", "--all-pods", "--prefix"]);
    assert!(log.contains("committed"), "{log}");
    assert!(!log.contains("WARN") && !log.contains("ERROR"), "{log}");

    let output = tempfile::TempDir::new().unwrap();
    let _ = emulator.download_all("renditions", output.path()).await;
    let jobs = published(output.path());
    assert_eq!(jobs.len(), CLIPS.len(), "{log}");
    for (job, clip) in jobs.iter().zip(CLIPS) {
        assert_eq!(job.manifest.source.key, format!("in/{clip}"));
        job.assert_matches(&probe(&clips::demo(clip)));
    }
    assert_nothing_else(output.path(), &jobs);
    assert_eq!(emulator.messages(&queue.dead_letter_url).await, 0);

    let _ = of(&["scale", "deployment/workers", "--replicas=0"]);
    let _ = of(&["wait", "pods", "--all", "--for=delete", "--timeout=60s"]);
}
