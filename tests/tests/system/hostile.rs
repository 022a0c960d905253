//! Videos that are made to do harm: to read, to call, to fill, to run for ever.

use std::net::TcpListener;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use reelpool_tests::Machine;
use reelpool_tests::clips::Clip;
use reelpool_tests::results::{assert_nothing_else, files, published};

use crate::LONG;

const SECRET: &str = "what no video may tell";

#[test]
fn promise_8_a_hostile_video_is_just_a_failed_job() {
    let machine = Machine::new();
    let (called, port) = count_calls();
    let secret = machine.root().join("secret.txt");
    std::fs::write(&secret, SECRET).unwrap();
    let file = secret.display();
    let put = |name: &str, text: String| {
        let whole = machine.root().join("to-be-added");
        std::fs::write(&whole, text).unwrap();
        machine.add(&whole, name);
    };
    let playlist =
        |line: String| format!("#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\n{line}\n#EXT-X-ENDLIST\n");
    put("reads.mp4", playlist(format!("file://{file}")));
    put("calls.mp4", playlist(format!("http://127.0.0.1:{port}/")));
    put("joins.mp4", format!("ffconcat version 1.0\nfile '{file}'\nfile 'http://127.0.0.1:{port}/'\n"));
    put("data.mp4", playlist(format!("concat:{file}|http://127.0.0.1:{port}/")));
    put(
        "dash.mp4",
        format!(
            "<?xml version=\"1.0\"?><MPD xmlns=\"urn:mpeg:dash:schema:mpd:2011\"><Period><BaseURL>\
             http://127.0.0.1:{port}/</BaseURL></Period></MPD>"
        ),
    );
    // More frames than can be done in the time that a job may take here.
    machine.add(&Clip { width: 640, height: 360, seconds: 240, fps: 60, audio: false }.file(), "long.mp4");
    machine.add(&Clip { width: 1280, height: 720, seconds: 1, ..Clip::default() }.file(), "large.mp4");
    machine.add(&Clip::default().file(), "good.mp4");

    // A slow preset makes the long one ten times too long, and leaves the good one time on a busy machine.
    let limits =
        ["--deadline", "20", "--preset", "veryslow", "--max-pixels", "500000", "--max-attempts", "1"];
    let ended =
        machine.up_until_done(&[&["--ladder", "360p", "--max-workers", "2"], &limits[..]].concat(), LONG);
    let ended = ended.expect_code(3);

    let jobs = published(&machine.output());
    let done: Vec<&str> = jobs.iter().map(|job| job.manifest.source.key.as_str()).collect();
    assert_eq!(done, ["good.mp4"], "{ended}");
    assert_nothing_else(&machine.output(), &jobs);
    let dead = machine.queue().dead_letters(100).unwrap();
    assert_eq!(dead.len(), 7, "{dead:#?}");
    let reasons: Vec<&str> = dead.iter().map(|letter| letter.reason.as_str()).collect();
    println!("{reasons:?}");
    assert!(reasons.contains(&"deadline") && reasons.contains(&"too_many_pixels"), "{dead:#?}");
    assert_eq!(called.load(Ordering::SeqCst), 0, "somebody was called");
    let told = dead.iter().any(|letter| letter.detail.contains(SECRET));
    let logged = files(&machine.data())
        .iter()
        .any(|file| std::fs::read(file).is_ok_and(|bytes| String::from_utf8_lossy(&bytes).contains(SECRET)));
    assert!(!told && !logged, "the secret is out: {dead:#?}");
    // Each worker that was started ended because it was told to.
    for log in files(&machine.data().join("logs")) {
        let log = std::fs::read_to_string(&log).unwrap();
        assert!(log.trim_end().ends_with("stopped"), "{log}");
    }
    machine.assert_tidy();
}

/// A server that nobody is to call, and how often somebody did.
fn count_calls() -> (Arc<AtomicUsize>, u16) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let called = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&called);
    std::thread::spawn(move || {
        for _ in listener.incoming() {
            count.fetch_add(1, Ordering::SeqCst);
        }
    });
    (called, port)
}
