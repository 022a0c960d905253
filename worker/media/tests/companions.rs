//! What players get beside the renditions: playlists that other programs can read, and pictures of the right moments.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs, reason = "tests")]

mod support;

use std::path::{Path, PathBuf};
use std::process::Command;

use reelpool_media::{Companion, KeepNothing, Transcoded};
use reelpool_protocol::manifest::Role;
use support::{announced, cheap_plan_in_pieces, engine, files_below, job, make, number, plan_by, streams};

/// A shot of this length each, which is also what lies between two key frames.
const SHOT_SECONDS: u32 = 2;
const SHOTS: u32 = 12;
/// The brightness of the first shot, and how much brighter each next one is; of 255, before the range of JPEG.
const DARKEST: u32 = 40;
const BRIGHTER: u32 = 14;

/// Shots, each brighter than the one before.
fn shots(folder: &Path, size: &str) -> PathBuf {
    let seconds = SHOTS * SHOT_SECONDS;
    let args = format!(
        "-f lavfi -i nullsrc=s={size}:r=25:d={seconds},geq=lum={DARKEST}+{BRIGHTER}*floor(T/{SHOT_SECONDS}):cb=128:\
         cr=128 -f lavfi -i sine=d={seconds} -c:v libx264 -preset ultrafast -pix_fmt yuv420p -c:a aac"
    );
    make(folder, "shots.mp4", &args)
}

async fn made(input: &Path, out: &Path, piece_seconds: u32) -> Transcoded {
    let engine = engine();
    let source = engine.probe(input).await.unwrap();
    let plan = cheap_plan_in_pieces(&source, "180p,90p", piece_seconds);
    let job = job(input, &source, &plan, out);
    engine.transcode(&job, &KeepNothing, |_| (), std::future::pending()).await.unwrap()
}

fn of(done: &Transcoded, role: Role) -> Vec<&Companion> {
    done.companions.iter().filter(|companion| companion.role == role).collect()
}

#[tokio::test]
async fn a_storyboard_shows_each_moment_in_its_place() {
    let folder = tempfile::tempdir().unwrap();
    let input = shots(folder.path(), "320x180");
    for piece_seconds in [60, 10] {
        let out = tempfile::tempdir().unwrap();
        let done = made(&input, out.path(), piece_seconds).await;
        let sheet = of(&done, Role::Sprite)[0];
        // Ten in a row, of the 180p rendition's shape.
        assert_eq!(size(&sheet.path), (1600, 180));
        let text = std::fs::read_to_string(&of(&done, Role::Storyboard)[0].path).unwrap();
        let cues: Vec<_> =
            text.lines().filter_map(|line| line.strip_prefix("sprite_001.jpg#xywh=")).collect();
        assert_eq!(cues.len(), usize::try_from(SHOTS).unwrap());
        for (shot, cue) in (0..).zip(cues) {
            let area: Vec<&str> = cue.split(',').collect();
            let (found, due) = (brightness(&sheet.path, &area), DARKEST + BRIGHTER * shot);
            // From the range of video (16 to 235) to that of JPEG.
            let due = (f64::from(due) - 16.0) * 255.0 / 219.0;
            assert!((found - due).abs() < 5.0, "shot {shot} at {cue} is {found} bright and not {due}");
        }
    }
}

#[tokio::test]
async fn all_of_it_is_there_and_can_be_read() {
    let folder = tempfile::tempdir().unwrap();
    let input = shots(folder.path(), "180x320");
    let out = tempfile::tempdir().unwrap();
    let done = made(&input, out.path(), 60).await;
    let names = |role| of(&done, role).into_iter().map(|one| one.name.as_str()).collect::<Vec<_>>();
    assert_eq!(names(Role::Track), ["cmaf/180p.mp4", "cmaf/90p.mp4", "cmaf/audio.mp4"]);
    assert_eq!(names(Role::HlsPlaylist), ["180p.m3u8", "90p.m3u8", "audio.m3u8"]);
    assert_eq!((names(Role::Hls), names(Role::Dash)), (vec!["master.m3u8"], vec!["manifest.mpd"]));
    assert_eq!((names(Role::Poster), names(Role::Sprite)), (vec!["poster.jpg"], vec!["sprite_001.jpg"]));
    assert_eq!(size(&of(&done, Role::Poster)[0].path), (180, 320));
    for role in [Role::Hls, Role::Dash] {
        let streams = streams(&of(&done, role)[0].path);
        let mut found: Vec<_> = streams
            .iter()
            .map(|stream| (stream["codec_name"].as_str().unwrap(), stream["height"].as_u64()))
            .collect();
        found.sort_unstable();
        assert_eq!(found, [("aac", None), ("h264", Some(160)), ("h264", Some(320))]);
    }
    for playlist in of(&done, Role::HlsPlaylist).into_iter().filter(|one| one.name != "audio.m3u8") {
        let packets = number(&streams(&playlist.path)[0]["nb_read_packets"]);
        assert!((packets - f64::from(SHOTS * SHOT_SECONDS * 25)).abs() < 0.5, "{}: {packets}", playlist.name);
    }
}

/// Where nobody wants files, the tracks are the renditions.
#[tokio::test]
async fn nothing_is_left_that_was_not_asked_for() {
    let folder = tempfile::tempdir().unwrap();
    let input = shots(folder.path(), "320x180");
    for (profile, renditions, companions) in [
        (r#""packaging":["mp4"],"poster":false,"storyboard":false"#, "180p.mp4 90p.mp4", ""),
        (r#""packaging":["mp4"],"poster":true,"storyboard":false"#, "180p.mp4 90p.mp4", "poster.jpg"),
        (
            r#""packaging":["hls"],"poster":false,"storyboard":true"#,
            "cmaf/180p.mp4 cmaf/90p.mp4",
            "180p.m3u8 90p.m3u8 cmaf/audio.mp4 audio.m3u8 master.m3u8 sprite_001.jpg storyboard.vtt",
        ),
        (
            r#""packaging":["dash"],"poster":false,"storyboard":false"#,
            "cmaf/180p.mp4 cmaf/90p.mp4",
            "cmaf/audio.mp4 manifest.mpd",
        ),
    ] {
        let out = tempfile::tempdir().unwrap();
        let engine = engine();
        let source = engine.probe(&input).await.unwrap();
        let profile = format!(r#"{{"video":{{"preset":"ultrafast"}},{profile}}}"#);
        let plan = plan_by(&source, "180p,90p", &profile);
        let job = job(&input, &source, &plan, out.path());
        let done = engine.transcode(&job, &KeepNothing, |_| (), std::future::pending()).await.unwrap();
        let names: Vec<_> = done.renditions.iter().map(|one| one.file.as_str()).collect();
        assert_eq!(names.join(" "), renditions, "{profile}");
        let names: Vec<_> = done.companions.iter().map(|one| one.name.as_str()).collect();
        assert_eq!(names.join(" "), companions, "{profile}");
        assert_eq!(files_below(out.path()), announced(&done), "{profile}");
        let planned = plan.file_names(&source).iter().map(|name| out.path().join(name)).collect();
        assert_eq!(files_below(out.path()), planned, "{profile}");
        for rendition in &done.renditions {
            assert_eq!(rendition.bytes, rendition.path.metadata().unwrap().len());
            assert_eq!(streams(&rendition.path).len(), if rendition.audio { 2 } else { 1 });
        }
    }
}

#[tokio::test]
async fn a_single_frame_without_sound_has_them_too() {
    let folder = tempfile::tempdir().unwrap();
    let input = make(
        folder.path(),
        "one.mp4",
        "-f lavfi -i testsrc2=s=64x48:r=25:d=0.04 -c:v libx264 -pix_fmt yuv420p",
    );
    let out = tempfile::tempdir().unwrap();
    let done = made(&input, out.path(), 60).await;
    assert_eq!(of(&done, Role::Track).len(), 1);
    assert_eq!(size(&of(&done, Role::Sprite)[0].path), (64, 48));
    assert_eq!(size(&of(&done, Role::Poster)[0].path), (64, 48));
}

fn size(picture: &Path) -> (u64, u64) {
    let stream = &streams(picture)[0];
    (stream["width"].as_u64().unwrap(), stream["height"].as_u64().unwrap())
}

/// The mean brightness of an area: x, y, width, height.
fn brightness(picture: &Path, area: &[&str]) -> f64 {
    let [x, y, width, height] = area else { panic!("{area:?}") };
    let out = Command::new("ffmpeg")
        .args(["-v", "error", "-i"])
        .arg(picture)
        .args(["-vf", &format!("crop={width}:{height}:{x}:{y}"), "-pix_fmt", "gray", "-f", "rawvideo", "-"])
        .output()
        .unwrap();
    assert!(!out.stdout.is_empty(), "{}", String::from_utf8_lossy(&out.stderr));
    let sum: u64 = out.stdout.iter().map(|byte| u64::from(*byte)).sum();
    f64::from(u32::try_from(sum / 100).unwrap()) * 100.0 / f64::from(u32::try_from(out.stdout.len()).unwrap())
}
