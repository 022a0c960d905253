//! The same end to end over the real SQS and S3 protocols.

use std::collections::BTreeSet;
use std::process::Command;
use std::time::Duration;

use reelpool_tests::clips::Clip;
use reelpool_tests::emulator::QueuePair;
use reelpool_tests::probe::probe;
use reelpool_tests::results::{Published, assert_nothing_else, published};
use reelpool_tests::{Emulator, Process, binaries, fleet_log};
use tempfile::TempDir;

use crate::LONG;

/// An emulator with a bucket that notifies a queue, a bucket for renditions, and a data directory.
struct Cloud {
    emulator: Emulator,
    queue: QueuePair,
    folder: TempDir,
}

impl Cloud {
    async fn new() -> Self {
        let emulator = Emulator::start();
        let queue = emulator.create_queue_with_dlq("masters", 5).await;
        emulator.create_bucket("cats").await;
        emulator.create_bucket("renditions").await;
        emulator.notify("cats", &queue, "in/", ".mp4").await;
        Self { emulator, queue, folder: TempDir::new().unwrap() }
    }

    fn up(&self, queue_url: &str, endpoint: &str) -> Process {
        let mut command = Command::new(binaries::reelpool());
        command.arg("up").arg("--data").arg(self.folder.path().join("data"));
        command.arg("--worker").arg(binaries::reelpool_worker());
        command.args(["--queue-url", queue_url, "--endpoint-url", endpoint]);
        command.args(["--masters", "s3://cats", "--output", "s3://renditions/out"]);
        command.args(["--ladder", "144p,90p", "--preset", "ultrafast", "--visibility-timeout", "10"]);
        command.args(["--max-workers", "3", "--zero-after", "4", "--exit-when-done"]);
        Emulator::give_credentials(&mut command);
        Process::spawn(command, Some(self.folder.path()))
    }

    /// What is in the bucket of renditions, downloaded.
    async fn results(&self) -> Vec<Published> {
        let into = self.folder.path().join("downloaded");
        let keys = self.emulator.download_all("renditions", &into).await;
        assert!(keys.iter().all(|key| key.starts_with("out/")), "all under the prefix: {keys:?}");
        let jobs = published(&into);
        assert_nothing_else(&into, &jobs);
        let uploads = self.emulator.s3.list_multipart_uploads().bucket("renditions").send().await.unwrap();
        assert!(uploads.uploads().is_empty(), "unfinished uploads are left: {uploads:?}");
        jobs
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn from_bucket_notification_to_renditions_in_a_bucket() {
    let cloud = Cloud::new().await;
    let clip = Clip::default().file();
    let silent = Clip { width: 180, height: 320, audio: false, ..Clip::default() }.file();
    let keys = ["in/a.mp4", "in/day 1/some file+ü (1).mp4", "in/silent.mp4"];
    for key in keys {
        cloud.emulator.upload("cats", key, if key.contains("silent") { &silent } else { &clip }).await;
    }
    // Neither of these is notified.
    cloud.emulator.upload("cats", "in/readme.txt", &clip).await;
    cloud.emulator.upload("cats", "elsewhere/b.mp4", &clip).await;

    let _ = cloud.up(&cloud.queue.url, &cloud.emulator.endpoint()).wait(LONG).expect_code(0);

    let jobs = cloud.results().await;
    let done: BTreeSet<&str> = jobs.iter().map(|job| job.manifest.source.key.as_str()).collect();
    assert_eq!(done, BTreeSet::from(keys));
    assert_eq!(jobs.len(), keys.len());
    for job in &jobs {
        let master = if job.manifest.source.key.contains("silent") { &silent } else { &clip };
        job.assert_matches(&probe(master));
        assert_eq!(job.short_sides(), [144, 90]);
    }
    assert_eq!(cloud.emulator.messages(&cloud.queue.url).await, 0, "every message is gone");
    assert_eq!(cloud.emulator.messages(&cloud.queue.dead_letter_url).await, 0, "none was given up");
    fleet_log::assert_rose_at_once_and_fell(&cloud.folder.path().join("data"), 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_video_is_dead_and_what_is_told_twice_is_done_once() {
    let cloud = Cloud::new().await;
    let text = cloud.folder.path().join("text");
    std::fs::write(&text, "This is not a video.\n".repeat(100)).unwrap();
    cloud.emulator.upload("cats", "in/letter.mp4", &text).await;
    let clip = Clip::default().file();
    cloud.emulator.upload("cats", "in/a.mp4", &clip).await;
    for _ in 0..2 {
        let event = cloud.emulator.event_again("cats", "in/a.mp4").await;
        cloud
            .emulator
            .sqs
            .send_message()
            .queue_url(&cloud.queue.url)
            .message_body(event)
            .send()
            .await
            .unwrap();
    }
    cloud
        .emulator
        .sqs
        .send_message()
        .queue_url(&cloud.queue.url)
        .message_body("gibberish")
        .send()
        .await
        .unwrap();

    let _ = cloud.up(&cloud.queue.url, &cloud.emulator.endpoint()).wait(LONG).expect_code(3);

    let jobs = cloud.results().await;
    assert_eq!(jobs.len(), 1, "one manifest, however often it was told");
    jobs[0].assert_matches(&probe(&clip));
    assert_eq!(cloud.emulator.messages(&cloud.queue.url).await, 0);
    let dead = dead_letters(&cloud).await;
    assert_eq!(dead.len(), 2, "{dead:?}");
    for (body, reason, detail) in &dead {
        assert!(body.contains("letter.mp4") || body == "gibberish", "{body}");
        assert!(
            !reason.is_empty() && detail.len() > 10,
            "a reason that a person understands: {reason}: {detail}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_queue_that_is_not_there() {
    let cloud = Cloud::new().await;
    let missing = cloud.queue.url.replace("masters", "mistress");
    let ended = cloud.up(&missing, &cloud.emulator.endpoint()).wait(Duration::from_secs(60)).expect_code(1);
    assert!(ended.error_line().contains(&missing), "{ended}");

    let nobody = "http://127.0.0.1:9";
    let url = format!("{nobody}/000000000000/masters");
    let ended = cloud.up(&url, nobody).wait(Duration::from_secs(60)).expect_code(1);
    assert!(ended.error_line().contains(nobody), "{ended}");
}

/// Body, reason and detail of each dead letter.
async fn dead_letters(cloud: &Cloud) -> Vec<(String, String, String)> {
    let request = cloud.emulator.sqs.receive_message().queue_url(&cloud.queue.dead_letter_url);
    let answer = request.max_number_of_messages(10).message_attribute_names("All").send().await.unwrap();
    let mut letters = Vec::new();
    for message in answer.messages() {
        let attribute = |name: &str| {
            let attributes = message.message_attributes();
            attributes.and_then(|all| all.get(name)?.string_value()).unwrap_or_default().to_owned()
        };
        let body = message.body().unwrap_or_default().to_owned();
        letters.push((body, attribute("reelpool.reason"), attribute("reelpool.detail")));
    }
    letters
}
