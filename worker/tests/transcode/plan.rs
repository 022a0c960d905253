//! `--dry-run`.

use crate::bench::{Bench, Ended, program};

#[test]
fn the_plan_is_printed_and_nothing_is_written() {
    let bench = Bench::new();
    let clip = bench.clip("a.mp4");
    let bytes = clip.metadata().unwrap().len();
    let size = format!("{}.{} kB", bytes / 1000, bytes / 100 % 10);
    let ended = bench.run(&clip, &["--dry-run"]);
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    let expected = format!(
        "\
master      a.mp4: 320x180, 0:01, h264, aac, mono, {size}
profile     h264
video       H.264 by x264, preset faster, CRF 22, 25 frames/s
audio       AAC, stereo, 48 kHz, 128 kbit/s
packaging   mp4, hls, dash, segments of 6 s, poster, storyboard
renditions  180p   320x180    at most 475 kbit/s
at most     150.7 kB
"
    );
    assert_eq!(ended.stdout, expected);
    assert!(!bench.out().exists());
}

#[test]
fn a_profile_of_ones_own_in_words() {
    let bench = Bench::new();
    let profile = "video: {codec: av1, preset: 4, crf: 30, maxKbps: {180p: 300}}\naudio: {kbps: 96, loudness: -16}\n\
                   packaging: [mp4]\nposter: false\nquality: ssim\n";
    // Without --out: there is nothing to write.
    let mut command = program(&["--dry-run", "--ladder", "180p,90p,48p", "--profile", profile]);
    let ended = Ended::of(&command.arg(bench.clip("b.mp4")).output().unwrap());
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    let said: Vec<_> = ended.stdout.lines().skip(1).collect();
    assert_eq!(
        said,
        [
            "profile     its own",
            "video       AV1 by SVT-AV1, preset 4, CRF 30, 25 frames/s",
            "audio       AAC, stereo, 48 kHz, 96 kbit/s, brought to -16 LUFS",
            "packaging   mp4, storyboard, quality by ssim",
            "renditions  180p   320x180    at most 300 kbit/s",
            "            90p    160x90     at most 168 kbit/s",
            "at most     82.5 kB",
            "warnings    48p is too small for av1: left out",
        ]
    );
}
