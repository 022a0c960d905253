//! A worker's memory does not grow with its masters.

use reelpool_tests::clips::{self, Clip};
use reelpool_tests::{Emulator, Process, worker};
use rustix::process::Signal;
use tempfile::TempDir;

use crate::LONG;

const MASTER_BYTES: u64 = 256 << 20;
/// What the worker may take for itself, in KiB. `make bench` holds it to that with a master of 1 GiB.
const OWN_MEMORY_KIB: u64 = 64 << 10;

#[tokio::test(flavor = "multi_thread")]
async fn a_large_master_takes_little_memory() {
    let folder = TempDir::new().unwrap();
    let emulator = Emulator::start();
    let queue = emulator.create_queue_with_dlq("masters", 5).await;
    emulator.create_bucket("cats").await;
    emulator.create_bucket("renditions").await;
    emulator.notify("cats", &queue, "", ".mp4").await;
    let master = folder.path().join("large.mp4");
    clips::pad(&Clip::default().file(), &master, MASTER_BYTES);
    emulator.upload("cats", "large.mp4", &master).await;

    let mut command = worker::command(&folder.path().join("scratch"), "90p");
    command.args(["--queue-url", &queue.url, "--endpoint-url", &emulator.endpoint()]);
    command.args(["--masters", "s3://cats", "--output", "s3://renditions"]);
    Emulator::give_credentials(&mut command);
    let mut running = Process::spawn(command, Some(folder.path()));
    let mut peak = 0;
    running.wait_until("the job ends", LONG, |running| {
        peak = peak.max(running.peak_memory_kib().unwrap_or_default());
        worker::held_for(running).is_some()
    });
    running.signal(Signal::TERM);
    let _ = running.wait(LONG).expect_code(0);
    println!("the worker's own memory peaked at {peak} KiB");
    assert!(peak > 0 && peak < OWN_MEMORY_KIB, "{peak} KiB of {OWN_MEMORY_KIB}");
}
