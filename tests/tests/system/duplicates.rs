//! The same job told to five workers at once: it is done once, a reader sees no mix, and hardly anything is paid twice.

use std::time::Duration;

use reelpool_protocol::Source;
use reelpool_protocol::location::FOLDER_BUCKET;
use reelpool_protocol::message::s3_event;
use reelpool_spool::{Queue, QueueOptions};
use reelpool_tests::clips::Clip;
use reelpool_tests::crew::Spent;
use reelpool_tests::probe::probe;
use reelpool_tests::results::{Published, assert_nothing_else, published};
use reelpool_tests::{Crew, Emulator};
use tempfile::TempDir;

use crate::LONG;

const WORKERS: usize = 5;
const ROUNDS: usize = 4;
/// Some seconds of work, so that the workers overlap.
const CLIP: Clip = Clip { width: 320, height: 180, seconds: 4, fps: 30, audio: true };
const LADDER: &str = "180p,90p";
const ARGUMENTS: [&str; 4] = ["--preset", "medium", "--visibility-timeout", "6"];

/// Prints what was paid and checks that it is at most one transcode a round beyond the first.
fn assert_thrift(spent: Spent, jobs: &[Published]) {
    let needed = jobs.iter().map(|job| Duration::from_millis(job.manifest.timings.transcode_ms));
    let needed = needed.sum::<Duration>().as_secs_f64();
    let count = |number: usize| f64::from(u32::try_from(number).unwrap());
    let wasted = f64::from(spent.transcodes) - count(jobs.len());
    println!(
        "{} jobs told {WORKERS} times each: {} transcodes, {:.2} wasted a job; {:.1} s of transcoding, {needed:.1} s of \
         them committed; left alone {} times",
        jobs.len(),
        spent.transcodes,
        wasted / count(jobs.len()),
        spent.seconds,
        spent.left_alone,
    );
    assert!(wasted <= count(jobs.len()), "{spent:?}");
    assert!(spent.left_alone > 0, "the workers never met: {spent:?}");
}

fn assert_done(output: &std::path::Path, rounds: usize) -> Vec<Published> {
    let jobs = published(output);
    assert_eq!(jobs.len(), rounds, "one manifest each");
    for job in &jobs {
        job.assert_matches(&probe(&CLIP.file()));
        assert_eq!(job.short_sides(), [180, 90]);
    }
    assert_nothing_else(output, &jobs);
    jobs
}

#[test]
fn five_processes_over_folders_do_a_job_once() {
    let folder = TempDir::new().unwrap();
    let at = |name: &str| folder.path().join(name);
    std::fs::create_dir(at("masters")).unwrap();
    let queue = Queue::open(&at("queue"), QueueOptions { max_receives: 100 }).unwrap();
    let mut crew = Crew::start(WORKERS, LADDER, |command| {
        command.arg("--queue-url").arg(format!("spool://{}", at("queue").display()));
        command.arg("--masters").arg(at("masters")).arg("--output").arg(at("output")).args(ARGUMENTS);
    });
    for round in 0..ROUNDS {
        let key = format!("{round}.mp4");
        let master = at("masters").join(&key);
        std::fs::copy(CLIP.file(), &master).unwrap();
        let metadata = std::fs::metadata(&master).unwrap();
        let etag = Some(reelpool_spool::masters::etag(&metadata));
        let source =
            Source { bucket: FOLDER_BUCKET.to_owned(), key, version: None, etag, size: Some(metadata.len()) };
        for _ in 0..WORKERS {
            queue.send(&s3_event(&source, "2026-01-31T12:00:00.000Z"), Duration::ZERO).unwrap();
        }
        crew.work_until("the job is done and all its messages are gone", LONG, || {
            let counts = queue.counts().unwrap();
            counts.waiting + counts.in_flight + counts.delayed == 0
        });
    }
    let jobs = assert_done(&at("output"), ROUNDS);
    assert_thrift(crew.spent(), &jobs);
    crew.dismiss();
    assert_eq!(queue.counts().unwrap().dead, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn five_processes_over_sqs_and_s3_do_a_job_once() {
    let emulator = Emulator::start();
    let queue = emulator.create_queue_with_dlq("masters", 20).await;
    emulator.create_bucket("cats").await;
    emulator.create_bucket("renditions").await;
    let mut crew = Crew::start(WORKERS, LADDER, |command| {
        command.args(["--queue-url", &queue.url, "--endpoint-url", &emulator.endpoint()]);
        command.args(["--masters", "s3://cats", "--output", "s3://renditions/out"]).args(ARGUMENTS);
        Emulator::give_credentials(command);
    });
    for round in 0..ROUNDS {
        let key = format!("{round}.mp4");
        emulator.upload("cats", &key, &CLIP.file()).await;
        let source = Source { bucket: "cats".to_owned(), key, version: None, etag: None, size: None };
        let body = s3_event(&source, "2026-01-31T12:00:00.000Z");
        for _ in 0..WORKERS {
            emulator.sqs.send_message().queue_url(&queue.url).message_body(&body).send().await.unwrap();
        }
        let runtime = tokio::runtime::Handle::current();
        tokio::task::block_in_place(|| {
            crew.work_until("the job is done and all its messages are gone", LONG, || {
                runtime.block_on(emulator.messages(&queue.url)) == 0
            });
        });
    }
    let folder = TempDir::new().unwrap();
    emulator.download_all("renditions", folder.path()).await;
    let jobs = assert_done(folder.path(), ROUNDS);
    assert_thrift(crew.spent(), &jobs);
    let uploads = emulator.s3.list_multipart_uploads().bucket("renditions").send().await.unwrap();
    assert!(uploads.uploads().is_empty(), "unfinished uploads are left: {uploads:?}");
    tokio::task::block_in_place(|| crew.dismiss());
    assert_eq!(emulator.messages(&queue.dead_letter_url).await, 0);
}
