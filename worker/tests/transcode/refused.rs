//! Wrong usage, and what another time may mend.

use std::fs;
use std::path::Path;

use crate::bench::{Bench, Ended, program, set};

#[test]
fn wrong_usage() {
    let bench = Bench::new();
    let clip = bench.clip("a.mp4");
    for wrong in [&["--ladder", "HD"][..], &["--preset", "fastest"], &["--threads", "0"], &["--zzz"]] {
        let ended = bench.run(&clip, wrong);
        assert_eq!(ended.code, Some(2), "{wrong:?}: {}", ended.stderr);
        assert!(ended.stderr.starts_with("error: "), "{}", ended.stderr);
    }
    let without_out = Ended::of(&program(&[]).arg(&clip).output().unwrap());
    assert_eq!(without_out.code, Some(2), "{}", without_out.stderr);
    assert!(without_out.stderr.contains("--out <DIR>"), "{}", without_out.stderr);

    let nothing = "error: bad_profile: the profile `none` is neither built in (h264, fast, av1) nor a file: name one of these";
    bench.run(&clip, &["--profile", "none"]).failed(2, nothing);
    let wrong = "error: bad_profile: the profile given as text: video.crf: expected a whole number from 0 to 51, found `99` (line 1, column 14)";
    bench.run(&clip, &["--profile", "video: {crf: 99}"]).failed(2, wrong);
    let preset = "error: bad_profile: --preset is x264's, and the profile encodes av1: set video.preset in the profile";
    bench.run(&clip, &["--profile", "av1", "--preset", "fast"]).failed(2, preset);
    assert!(!bench.out().exists());
}

#[test]
fn outputs_never_take_the_place_of_what_is_not_theirs() {
    let bench = Bench::new();
    let clip = bench.clip("a.mp4");
    let out = bench.out();
    fs::write(&out, "").unwrap();
    let last = format!("error: out_exists: {} is no folder: name another with --out", out.display());
    bench.run(&clip, &[]).failed(2, &last);
    fs::remove_file(&out).unwrap();

    fs::create_dir(&out).unwrap();
    fs::write(out.join("90p.mp4"), "mine").unwrap();
    let last = format!(
        "error: out_exists: {}/90p.mp4 is there already: name another folder with --out, or replace it with --force",
        out.display()
    );
    bench.run(&clip, &["--ladder", "90p"]).failed(2, &last);
    assert_eq!(fs::read(out.join("90p.mp4")).unwrap(), b"mine");

    let itself = bench.clip("out/180p.mp4");
    let last = format!(
        "error: out_exists: {}/180p.mp4 is the master itself: name another folder with --out",
        out.display()
    );
    bench.run(&itself, &["--ladder", "180p", "--force"]).failed(2, &last);
    assert_eq!(bench.names(), set(["180p.mp4", "90p.mp4"]));
    assert_eq!(fs::read(&itself).unwrap(), fs::read(&clip).unwrap());
}

#[test]
fn a_missing_ffmpeg_may_be_there_another_time() {
    let bench = Bench::new();
    let ended = bench.run(&bench.clip("a.mp4"), &["--ffmpeg", "/nowhere/ffmpeg"]);
    assert_eq!(ended.code, Some(3), "{}", ended.stderr);
    let last = "error: ffmpeg_missing: ffmpeg was not found (/nowhere/ffmpeg: ";
    assert!(
        ended.last().starts_with(last) && ended.last().ends_with("or name it with --ffmpeg"),
        "{}",
        ended.stderr
    );
    assert!(!bench.out().exists());
}

#[test]
fn a_folder_that_may_not_be_written() {
    let bench = Bench::new();
    let clip = bench.clip("a.mp4");
    // Not even root makes folders there.
    let out = Path::new("/proc/reelpool");
    let ended = Ended::of(&program(&["--out"]).arg(out).arg(&clip).output().unwrap());
    assert_eq!(ended.code, Some(3), "{}", ended.stderr);
    let last = ended.last();
    assert!(last.starts_with("error: ") && last.contains(": --out /proc/reelpool: "), "{}", ended.stderr);
    assert!(last.ends_with(": name another folder"), "{}", ended.stderr);
}
