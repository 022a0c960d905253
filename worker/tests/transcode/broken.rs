//! Videos that cannot become renditions: exit code 1, and the reason in the last line.

use std::fs;
use std::process::Command;

use crate::bench::{Bench, set};

#[test]
fn a_text_is_no_video() {
    let bench = Bench::new();
    let file = bench.path("notes.mp4");
    fs::write(&file, "Buy milk.\n".repeat(100)).unwrap();
    let ended = bench.run(&file, &[]);
    ended.failed(1, "error: not_media: the master is not a video file but text: upload a video");
    assert!(!bench.out().exists(), "a folder that was made for nothing is gone");
    fs::write(&file, "").unwrap();
    bench.run(&file, &[]).failed(1, "error: empty: the master is empty (0 bytes): upload it again");
}

#[test]
fn a_truncated_video_is_said_to_be_so() {
    let bench = Bench::new();
    let file = bench.clip("a.mp4");
    let whole = fs::read(&file).unwrap();
    fs::write(&file, &whole[..whole.len() / 2]).unwrap();
    let ended = bench.run(&file, &[]);
    assert_eq!(ended.code, Some(1), "{}", ended.stderr);
    assert!(
        ended.last().starts_with("error: truncated_input: the master is truncated: "),
        "{}",
        ended.stderr
    );
    // What ffmpeg said stands above.
    assert!(ended.stderr.lines().any(|line| line.starts_with("ffmpeg: ")), "{}", ended.stderr);
    assert!(!bench.out().exists());
}

#[test]
fn no_picture_too_large_a_picture_and_too_little_time() {
    let bench = Bench::new();
    let sound = bench.path("a.m4a");
    let mut command = Command::new("ffmpeg");
    command.args(["-v", "error", "-f", "lavfi", "-i", "sine=d=1", "-c:a", "aac"]);
    assert!(command.arg(&sound).status().unwrap().success());
    let ended = bench.run(&sound, &[]);
    assert!(ended.code == Some(1) && ended.last().starts_with("error: no_video: "), "{}", ended.stderr);

    let clip = bench.clip("a.mp4");
    let ended = bench.run(&clip, &["--max-pixels", "57599"]);
    assert!(
        ended.code == Some(1) && ended.last().starts_with("error: too_many_pixels: "),
        "{}",
        ended.stderr
    );
    assert!(ended.last().ends_with("or raise --max-pixels"), "{}", ended.stderr);

    let long = crate::bench::long_clip();
    let ended = bench.run(long, &["--deadline", "1", "--preset", "veryslow"]);
    assert!(ended.code == Some(1) && ended.last().starts_with("error: deadline: "), "{}", ended.stderr);
    assert_eq!(bench.names(), set([]));
    assert!(!bench.out().exists());
}

#[test]
fn a_file_that_is_not_there_and_one_that_is_no_file() {
    let bench = Bench::new();
    for (path, name) in [(bench.path("none.mp4"), "none.mp4"), (bench.path(""), "")] {
        let shown = bench.path(name);
        let last = format!(
            "error: master_not_found: {} is not there, or is no file: check the path",
            shown.display()
        );
        bench.run(&path, &[]).failed(1, &last);
    }
    assert!(!bench.out().exists());
}
