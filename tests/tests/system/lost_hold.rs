//! A worker that loses its hold stops at once, and so does its ffmpeg.

use std::time::{Duration, Instant};

use reelpool_protocol::Source;
use reelpool_protocol::WorkerEvent;
use reelpool_protocol::event::Outcome;
use reelpool_protocol::location::FOLDER_BUCKET;
use reelpool_protocol::message::s3_event;
use reelpool_spool::{Queue, QueueOptions};
use reelpool_tests::clips::Clip;
use reelpool_tests::process::processes;
use reelpool_tests::results::assert_nothing_else;
use reelpool_tests::{Crew, worker};
use rustix::process::Signal;
use tempfile::TempDir;

use crate::LONG;

/// Many seconds of work.
const CLIP: Clip = Clip { width: 1280, height: 720, seconds: 12, fps: 30, audio: true };

#[test]
fn its_ffmpeg_is_gone_from_the_process_table_and_nothing_is_published() {
    let folder = TempDir::new().unwrap();
    let at = |name: &str| folder.path().join(name);
    std::fs::create_dir(at("masters")).unwrap();
    let queue = Queue::open(&at("queue"), QueueOptions { max_receives: 100 }).unwrap();
    let mut crew = Crew::start(1, "720p", |command| {
        command.arg("--queue-url").arg(format!("spool://{}", at("queue").display()));
        command.arg("--masters").arg(at("masters")).arg("--output").arg(at("output"));
        command.args(["--preset", "slow", "--threads", "1", "--visibility-timeout", "3"]);
    });
    std::fs::copy(CLIP.file(), at("masters").join("long.mp4")).unwrap();
    let key = "long.mp4".to_owned();
    let source = Source { bucket: FOLDER_BUCKET.to_owned(), key, version: None, etag: None, size: None };
    queue.send(&s3_event(&source, "2026-01-31T12:00:00.000Z"), Duration::ZERO).unwrap();

    let scratch = crew.scratch().to_path_buf();
    let transcodes = || {
        processes().iter().any(|process| process.is("ffmpeg") && process.bears(&scratch) && !process.zombie)
    };
    crew.work_until("ffmpeg runs", LONG, transcodes);
    // It sleeps, so its hold runs out and someone else has the message.
    crew.workers()[0].signal(Signal::STOP);
    let mut stolen = None;
    crew.work_until("the message is offered again", LONG, || {
        stolen = queue.receive(Duration::from_secs(600)).unwrap();
        stolen.is_some()
    });
    assert!(transcodes(), "ffmpeg was not long enough at work to test anything");
    crew.workers()[0].signal(Signal::CONT);
    let awake = Instant::now();
    crew.work_until("ffmpeg is gone", LONG, || !transcodes());
    println!("ffmpeg was gone {:?} after the worker could know", awake.elapsed());

    let lost = |worker: &reelpool_tests::Process| {
        let events = worker::events(worker);
        events.iter().any(|event| matches!(event, WorkerEvent::JobEnded { outcome: Outcome::HoldLost, .. }))
    };
    crew.workers()[0].wait_until("it says so", LONG, lost);
    assert_nothing_else(&at("output"), &[]);
    // The one who has the message is not disturbed.
    queue.delete(&stolen.unwrap().receipt).unwrap();
    crew.dismiss();
}
