//! Masters as people and their tools make them: joined, cut, mislabelled, with tracks that are not what they seem.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs, reason = "tests")]

mod support;

use std::path::{Path, PathBuf};

use reelpool_media::Source;
use support::{clip, engine, make, whole};

const X264: &str = "-c:v libx264 -preset ultrafast -pix_fmt yuv420p";

fn small(seconds: u32) -> String {
    format!("-f lavfi -i testsrc2=s=320x180:r=25:d={seconds}")
}

fn bytes_of(path: &Path) -> Vec<u8> {
    std::fs::read(path).unwrap()
}

fn write(folder: &Path, name: &str, bytes: &[u8]) -> PathBuf {
    let path = folder.join(name);
    std::fs::write(&path, bytes).unwrap();
    path
}

/// The master as it was looked into, frames and milliseconds of its one rendition, and all warnings.
async fn done(input: &Path) -> (Source, u64, u64, Vec<String>) {
    let source = engine().probe(input).await.unwrap_or_else(|error| panic!("{}: {error}", input.display()));
    let out = tempfile::tempdir().unwrap();
    let done = whole(&engine(), input, "144p", out.path()).await;
    let done = done.unwrap_or_else(|error| panic!("{}: {}", input.display(), error.detail()));
    (source, done.renditions[0].frames, done.renditions[0].duration_ms, done.warnings)
}

#[tokio::test]
async fn a_cover_without_its_mark_is_not_the_film() {
    let folder = tempfile::tempdir().unwrap();
    let film = clip(folder.path(), "film.mp4", "320x180", "25", 1);
    let cover = make(folder.path(), "cover.png", "-f lavfi -i color=red:s=600x600 -frames:v 1");
    for container in ["mov", "mkv"] {
        let args = format!("-i {} -i {} -map 0 -map 1 -c copy", cover.display(), film.display());
        let (source, frames, _, warnings) =
            done(&make(folder.path(), &format!("both.{container}"), &args)).await;
        // The sound's priming may come before the picture, whose first frame then stands a little longer.
        assert!(
            source.video.codec == "h264" && (25..=26).contains(&frames),
            "{container}: {source:?}, {frames}"
        );
        assert_eq!(warnings, ["left out: a still picture (stream 0, png)"], "{container}");
    }
    // Where nothing moves, a still is all there is.
    let (source, frames, ..) =
        done(&make(folder.path(), "only.mov", &format!("-i {}", cover.display()))).await;
    assert_eq!((source.video.width, frames), (600, 1));
}

#[tokio::test]
async fn dv_is_interlaced_whether_its_container_says_so_or_not() {
    let folder = tempfile::tempdir().unwrap();
    let fields = "-f lavfi -i testsrc2=s=720x576:r=50:d=1 -vf tinterlace=interleave_bottom,setdar=16/9 -c:v dvvideo \
                  -pix_fmt yuv420p";
    let (source, frames, ..) = done(&make(folder.path(), "dv.avi", fields)).await;
    assert!(source.video.interlaced);
    assert_eq!((source.display_size(), frames), ((1024, 576), 25));
}

#[tokio::test]
async fn clocks_that_start_below_zero_or_start_again() {
    let folder = tempfile::tempdir().unwrap();
    let plain = format!("{} -f lavfi -i sine=d=3 {X264} -g 25 -c:a aac", small(3));
    let plain = make(folder.path(), "plain.mp4", &plain);
    let early = format!("-itsoffset -1.5 -i {} -c copy -avoid_negative_ts disabled", plain.display());
    // Matroska leaves times below zero out; MP4 has an edit list that leaves frames out, more than one group.
    let early = [("early.mkv", 75, 3000), ("early.mp4", 37, 1500)]
        .map(|(name, frames, ms)| (make(folder.path(), name, &early), frames, ms));
    let stream = |name: &str, args: &str| make(folder.path(), name, &format!("{args} -f mpegts"));
    let first = stream("first.ts", &format!("-i {} -c copy", plain.display()));
    let second = format!("{} -f lavfi -i sine=d=2 -c:v libx264 -bf 2 -pix_fmt yuv420p -c:a aac", small(2));
    let second = stream("second.ts", &second);
    let joined = [bytes_of(&first), bytes_of(&second)].concat();
    // The second's clock goes on where the first's ends in the order of decoding: two frames of reordering later, in
    // the order of showing.
    let joined = (write(folder.path(), "joined.ts", &joined), 126, 5040);
    for (input, frames, ms) in early.into_iter().chain([joined]) {
        let (_, made, lasts, warnings) = done(&input).await;
        let name = input.display();
        assert!(made.abs_diff(frames) <= 1 && lasts.abs_diff(ms) <= 40, "{name}: {made} frames, {lasts} ms");
        assert!(warnings.is_empty(), "{name}: {warnings:?}");
    }
}

#[tokio::test]
async fn a_sound_track_with_nothing_in_it_is_left_out() {
    let folder = tempfile::tempdir().unwrap();
    let silent = format!("{} -f lavfi -i sine=d=9 -frames:v 1 {X264} -c:a aac", small(1));
    let input = make(folder.path(), "silent.mkv", &silent);
    let (source, frames, _, warnings) = done(&input).await;
    assert_eq!((source.audio, frames), (None, 1));
    assert_eq!(warnings, ["left out: an audio stream with nothing in it (stream 1)"]);
}

#[tokio::test]
async fn frames_that_are_empty_are_not_missing() {
    let folder = tempfile::tempdir().unwrap();
    let avi = "-f lavfi -i testsrc2=s=320x180:r=30000/1001:d=2 -c:v libxvid -bf 2";
    let (.., warnings) = done(&make(folder.path(), "packed.avi", avi)).await;
    assert!(warnings.is_empty(), "{warnings:?}");
}

#[tokio::test]
async fn a_recording_may_start_in_the_middle_of_everything() {
    let folder = tempfile::tempdir().unwrap();
    let stream = format!("{} {X264} -g 50 -f mpegts", small(6));
    let bytes = bytes_of(&make(folder.path(), "whole.ts", &stream));
    let from = bytes.len() / 188 / 3 * 188 + 77;
    let (source, frames, _, warnings) = done(&write(folder.path(), "late.ts", &bytes[from..])).await;
    assert!(source.picture.lost_at_start > 0 && frames >= 50, "{source:?}");
    assert!(warnings.iter().any(|warning| warning.contains("before the first key frame")), "{warnings:?}");
}

#[tokio::test]
async fn no_cut_is_silent() {
    let folder = tempfile::tempdir().unwrap();
    let sound = "-f lavfi -i sine=d=4";
    for (name, codecs) in [
        ("cut.mp4", "-c:v libx264 -pix_fmt yuv420p -c:a aac -movflags +faststart"),
        ("cut.mkv", "-c:v libx264 -pix_fmt yuv420p -c:a aac"),
        ("cut.webm", "-c:v libvpx -deadline realtime -c:a libvorbis"),
        ("cut.avi", "-c:v mpeg4 -c:a libmp3lame"),
        ("cut.ts", "-c:v mpeg2video -c:a mp2 -f mpegts"),
        ("cut.flv", "-c:v flv1 -c:a libmp3lame -ar 44100"),
        ("cut.ogv", "-c:v libtheora -c:a libvorbis"),
        ("cut.wmv", "-c:v wmv2 -c:a wmav2"),
        ("cut.mxf", "-c:v mpeg2video -c:a pcm_s16le -ar 48000"),
    ] {
        let bytes = bytes_of(&make(folder.path(), name, &format!("{} {sound} {codecs}", small(4))));
        let input = write(folder.path(), name, &bytes[..(bytes.len() * 6 / 10) | 1]);
        let out = tempfile::tempdir().unwrap();
        match whole(&engine(), &input, "144p", out.path()).await {
            Ok(done) => {
                println!("{name}: {} ms, {:?}", done.master.duration_ms, done.warnings);
                let tells = ["ends early", "header says", "damaged"];
                let told =
                    done.warnings.iter().any(|warning| tells.iter().any(|tell| warning.contains(tell)));
                assert!(told, "{name}: {:?}", done.warnings);
            }
            Err(error) => {
                println!("{name}: {}: {error}", error.category());
                assert!(["truncated_input", "corrupt_input"].contains(&error.category()), "{name}: {error}");
            }
        }
    }
}

#[tokio::test]
async fn frames_that_are_told_to_be_days_apart_are_refused_before_they_are_repeated() {
    let folder = tempfile::tempdir().unwrap();
    let plain = make(folder.path(), "plain.mp4", &format!("{} {X264} -g 25", small(1)));
    let apart =
        format!("-i {} -frames:v 3 -c copy -bsf:v setts=ts=TS+143165*12800*gte(N\\,2)", plain.display());
    let error = engine().probe(&make(folder.path(), "apart.mp4", &apart)).await.unwrap_err();
    assert_eq!((error.category(), error.is_permanent()), ("corrupt_input", true));
    assert!(error.to_string().contains("its 3 frames stand for 143165."), "{error}");
    // One picture for ten minutes is a talk with one slide.
    let still = make(folder.path(), "still.mp4", &format!("{} -r 1/600 -frames:v 1 {X264}", small(1)));
    let (_, frames, ms, warnings) = done(&still).await;
    assert_eq!((frames, ms, warnings), (600, 600_000, Vec::new()));
}
