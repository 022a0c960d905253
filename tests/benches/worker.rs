//! What a worker costs beside ffmpeg: time, as a ratio to the same ffmpeg run by hand, and memory of its own.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a benchmark is a test of speed")]

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use reelpool_media::arguments::{PIECES, Share, encode};
use reelpool_media::{Engine, Limits, Piece, PlanOptions, Sandbox, Tools, plan};
use reelpool_protocol::{Ladder, Profile};
use reelpool_spool::{Queue, QueueOptions};
use reelpool_tests::clips::{self, Clip};
use reelpool_tests::{Emulator, Process, worker};
use rustix::process::Signal;
use tempfile::TempDir;

const LADDER: &str = "720p,480p,360p";
const ROUNDS: usize = 5;
const MASTER_BYTES: u64 = 1 << 30;
const LIMIT: Duration = Duration::from_secs(600);
/// What a worker may need for itself, in KiB.
const OWN_MEMORY_KIB: u64 = 64 * 1024;

#[tokio::main]
async fn main() {
    overhead().await;
    memory(&Clip { width: 640, height: 360, seconds: 4, ..Clip::default() }.file()).await;
}

/// The time from receiving a message to deleting it, over the time of the same ffmpeg alone.
async fn overhead() {
    let clip = clips::demo("bigbuckbunny.mp4");
    let (mut bare, mut whole) = (Vec::new(), Vec::new());
    let args = bare_arguments(&clip).await;
    // In turns, so that a machine that slows down slows both.
    for _ in 0..ROUNDS {
        bare.push(run_bare(&args));
        whole.push(run_worker(&clip));
    }
    let (bare, whole) = (median(bare), median(whole));
    println!("clip {}, ladder {LADDER}, median of {ROUNDS}", clip.display());
    println!("  bare ffmpeg      {:8.3} s", bare.as_secs_f64());
    println!("  worker, whole job{:8.3} s", whole.as_secs_f64());
    println!("  ratio            {:8.3}", whole.as_secs_f64() / bare.as_secs_f64());
}

/// The arguments that the worker gives to ffmpeg.
async fn bare_arguments(clip: &Path) -> Vec<std::ffi::OsString> {
    let tools = Tools::find(None, None).unwrap();
    let engine = Engine { tools, sandbox: Sandbox::Off, limits: Limits::default() };
    let source = engine.probe(clip).await.unwrap();
    let options = PlanOptions { profile: Profile::default(), threads: engine.limits.threads };
    let plan = plan(&source, &LADDER.parse::<Ladder>().unwrap(), &options);
    let renditions = 0..plan.renditions.len();
    let share = Share { number: 0, piece: Piece::WHOLE, renditions, sound: plan.audio.is_some() };
    encode(&plan, &source, clip, &share, &engine.limits)
}

fn run_bare(args: &[std::ffi::OsString]) -> Duration {
    let folder = TempDir::new().unwrap();
    std::fs::create_dir(folder.path().join(PIECES)).unwrap();
    let start = Instant::now();
    let status = Command::new("ffmpeg")
        .args(args)
        .current_dir(folder.path())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .unwrap();
    assert!(status.success());
    start.elapsed()
}

fn run_worker(clip: &Path) -> Duration {
    let folder = TempDir::new().unwrap();
    let place = |name: &str| folder.path().join(name);
    let queue = Queue::open(&place("queue"), QueueOptions::default()).unwrap();
    std::fs::create_dir(place("masters")).unwrap();
    std::fs::copy(clip, place("masters/clip.mp4")).unwrap();
    let mut command = worker::command(&folder.path().join("scratch"), LADDER);
    command.arg("--queue-url").arg(format!("spool://{}", place("queue").display()));
    command.arg("--masters").arg(place("masters")).arg("--output").arg(place("out"));
    let mut process = Process::spawn(command, Some(folder.path()));
    // Sent when the worker listens, so that its start is not counted.
    process.wait_until("the worker listens", LIMIT, |running| !worker::events(running).is_empty());
    let message = r#"{"Records":[{"eventSource":"aws:s3","eventName":"ObjectCreated:Put",
        "s3":{"bucket":{"name":"masters"},"object":{"key":"clip.mp4"}}}]}"#;
    queue.send(message, Duration::ZERO).unwrap();
    process.wait_until("the job ends", LIMIT, |running| worker::held_for(running).is_some());
    let held_for = worker::held_for(&process).unwrap();
    process.signal(Signal::TERM);
    let _ = process.wait(LIMIT).expect_code(0);
    held_for
}

fn median(mut times: Vec<Duration>) -> Duration {
    times.sort_unstable();
    times[times.len() / 2]
}

/// The most memory that a worker takes for itself while it fetches, transcodes and publishes a master of 1 GiB from
/// S3. ffmpeg is a process of its own and is not counted.
async fn memory(clip: &Path) {
    let folder = TempDir::new().unwrap();
    let emulator = Emulator::start();
    let queue = emulator.create_queue_with_dlq("masters", 5).await;
    for bucket in ["masters", "renditions"] {
        emulator.create_bucket(bucket).await;
    }
    emulator.notify("masters", &queue, "", "").await;
    let master = folder.path().join("master.mp4");
    clips::pad(clip, &master, MASTER_BYTES);
    let mut command = worker::command(&folder.path().join("scratch"), LADDER);
    command.args(["--queue-url", &queue.url, "--endpoint-url", &emulator.endpoint()]);
    command.args(["--masters", "s3://masters", "--output", "s3://renditions"]);
    Emulator::give_credentials(&mut command);
    emulator.upload("masters", "master.mp4", &master).await;
    let mut process = Process::spawn(command, Some(folder.path()));
    let mut peak = 0;
    process.wait_until("the job ends", LIMIT, |running| {
        peak = peak.max(running.peak_memory_kib().unwrap_or_default());
        worker::held_for(running).is_some()
    });
    let seconds = worker::held_for(&process).unwrap().as_secs_f64();
    process.signal(Signal::TERM);
    let _ = process.wait(LIMIT).expect_code(0);
    println!(
        "master of 1 GiB from S3: {seconds:.1} s, the worker's own memory peaks at {} MiB",
        peak.div_ceil(1024)
    );
    assert!(peak < OWN_MEMORY_KIB, "more than {OWN_MEMORY_KIB} KiB: {peak} KiB");
}
