//! A worker that is killed in the middle of an upload leaves parts that cost money and that nobody sees: the next
//! attempt on the job removes them.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use reelpool_protocol::Source;
use reelpool_protocol::message::s3_event;
use reelpool_tests::probe::probe;
use reelpool_tests::results::{assert_nothing_else, published};
use reelpool_tests::{Crew, Emulator};
use tempfile::TempDir;

use crate::LONG;

/// What a connection takes before it stands still: more than any request but an upload's, less than a part.
const TAKES: u64 = 6 * 1024 * 1024;

/// A door to `port` through which no large upload passes: after [`TAKES`] bytes a connection is read no more.
fn narrow_door(port: u16) -> u16 {
    let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let door = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        for client in listener.incoming() {
            let Ok(client) = client else { return };
            let Ok(server) = TcpStream::connect(("127.0.0.1", port)) else { continue };
            let (from_client, to_server) = (client.try_clone().unwrap(), server.try_clone().unwrap());
            std::thread::spawn(move || pass(from_client, to_server, TAKES));
            std::thread::spawn(move || pass(server, client, u64::MAX));
        }
    });
    door
}

/// Passes bytes on, up to `limit`; then holds the connection open and passes nothing more.
fn pass(mut from: TcpStream, mut to: TcpStream, limit: u64) {
    let mut buffer = vec![0; 1 << 16];
    let mut passed = 0;
    loop {
        match from.read(&mut buffer) {
            Ok(0) | Err(_) => break,
            Ok(n) if to.write_all(&buffer[..n]).is_ok() => passed += n as u64,
            Ok(_) => break,
        }
        if passed >= limit {
            // Both ends stay open for as long as the test runs.
            std::thread::sleep(Duration::from_secs(3600));
            return;
        }
    }
    let _ = to.shutdown(Shutdown::Write);
}

/// Noise for so long that its rendition is larger than one part, and not so long that it is made in pieces: 70 s at 2.4
/// Mbit/s, the most that 480p gets.
fn noise(folder: &TempDir) -> PathBuf {
    let run = |arguments: &str, into: &str| {
        let path = folder.path().join(into);
        let mut command = Command::new("ffmpeg");
        command.args(["-v", "error", "-nostdin"]).args(arguments.split(' ')).arg(&path);
        let output = command.current_dir(folder.path()).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        path
    };
    let two_seconds = "-f lavfi -i color=gray:s=854x480:r=30:d=2 -vf noise=alls=100:allf=t -c:v libx264 \
                       -preset ultrafast -crf 30 -pix_fmt yuv420p";
    let _ = run(two_seconds, "two.mp4");
    run("-stream_loop 34 -i two.mp4 -c copy", "noise.mp4")
}

#[tokio::test(flavor = "multi_thread")]
async fn the_next_attempt_removes_what_a_worker_killed_in_an_upload_left() {
    let emulator = Emulator::start();
    let queue = emulator.create_queue_with_dlq("masters", 20).await;
    for bucket in ["cats", "renditions"] {
        emulator.create_bucket(bucket).await;
    }
    let crew = |port: u16| {
        let endpoint = format!("http://127.0.0.1:{port}");
        Crew::start(1, "480p", |command| {
            command.args(["--queue-url", &queue.url, "--endpoint-url", &endpoint]);
            command.args(["--masters", "s3://cats", "--output", "s3://renditions/out"]);
            command.args(["--preset", "ultrafast", "--visibility-timeout", "5"]);
            Emulator::give_credentials(command);
        })
    };
    let folder = TempDir::new().unwrap();
    let master = noise(&folder);
    emulator.upload("cats", "noise.mp4", &master).await;
    let key = "noise.mp4".to_owned();
    let source = Source { bucket: "cats".to_owned(), key, version: None, etag: None, size: None };
    let body = s3_event(&source, "2026-01-31T12:00:00.000Z");

    let mut doomed = crew(narrow_door(emulator.port()));
    emulator.sqs.send_message().queue_url(&queue.url).message_body(&body).send().await.unwrap();
    let runtime = tokio::runtime::Handle::current();
    let uploads = || async {
        let listed = emulator.s3.list_multipart_uploads().bucket("renditions").send().await.unwrap();
        listed.uploads().len()
    };
    tokio::task::block_in_place(|| {
        doomed.work_until("an upload is under way", LONG, || runtime.block_on(uploads()) > 0);
        doomed.workers()[0].kill_all();
    });
    assert_eq!(uploads().await, 1, "a killed worker aborts nothing");
    let left = emulator.download_all("renditions", folder.path()).await;
    assert!(left.iter().any(|key| key.contains("/attempts/claims/")), "it leaves its claim too: {left:?}");

    let mut next = crew(emulator.port());
    tokio::task::block_in_place(|| {
        next.work_until("the message is gone", LONG, || runtime.block_on(emulator.messages(&queue.url)) == 0);
    });
    assert_eq!(uploads().await, 0, "the killed worker's upload is left");
    let results = TempDir::new().unwrap();
    emulator.download_all("renditions", results.path()).await;
    let jobs = published(results.path());
    assert_eq!(jobs.len(), 1);
    jobs[0].assert_matches(&probe(&master));
    assert!(
        jobs[0].manifest.renditions[0].bytes > 16 * 1024 * 1024,
        "no upload in parts: {:?}",
        jobs[0].manifest
    );
    assert_nothing_else(results.path(), &jobs);
    tokio::task::block_in_place(|| next.dismiss());
    assert_eq!(emulator.messages(&queue.dead_letter_url).await, 0);
}
