//! A real browser plays what the worker makes of a master, by HLS and by DASH, from the first to the last second, and
//! changes from the smallest to the largest rendition on the way.

#![allow(clippy::unwrap_used, clippy::panic, clippy::expect_used, reason = "tests")]

use std::collections::BTreeMap;
use std::fs::File;
use std::path::Path;
use std::process::Command;
use std::sync::mpsc::RecvTimeoutError;
use std::time::{Duration, Instant};

use reelpool_media::Rate;
use reelpool_media::package::{Packaged, Presentation, Rung, Track, layout};
use reelpool_tests::binaries::reelpool_worker;
use reelpool_tests::browser::Browser;
use reelpool_tests::media_server::MediaServer;
use serde::Deserialize;
use tempfile::TempDir;

/// A profile, and the rate of the master.
struct Case {
    profile: &'static str,
    rate: (u32, u32),
}

const H264: Case = Case {
    profile: r#"{"video":{"preset":"ultrafast"},"segmentSeconds":4,"chunkSeconds":10}"#,
    rate: (30_000, 1001),
};
const AV1: Case =
    Case { profile: r#"{"video":{"codec":"av1","preset":"12"},"segmentSeconds":4}"#, rate: (25, 1) };
/// Long enough for two pieces of ten seconds.
const SECONDS: u32 = 16;
const SEGMENT_SECONDS: u32 = 4;

/// However slow the machine: a browser that has not played it by then never will.
const LIMIT: Duration = Duration::from_secs(300);
/// One packet of sound, 1024 samples at 48 kHz, rounded up.
const PACKET_SECONDS: f64 = 0.022;

#[test]
fn hls_js_plays_h264() {
    plays("hls", &H264);
}

#[test]
fn shaka_plays_h264() {
    plays("dash", &H264);
}

#[test]
fn hls_js_plays_av1() {
    plays("hls", &AV1);
}

#[test]
fn shaka_plays_av1() {
    plays("dash", &AV1);
}

/// What the page saw.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Seen {
    errors: Vec<String>,
    sizes: Vec<String>,
    seeks: u32,
    ended: bool,
    renditions: Vec<Rendition>,
    /// When each of the two buffers begins, in seconds.
    buffered: BTreeMap<String, f64>,
    current_time: f64,
    duration: f64,
    played: Vec<(f64, f64)>,
    audio_bytes: u64,
    video_bytes: u64,
    frames: u64,
}

/// What the player read of one rendition.
#[derive(Debug, Deserialize)]
struct Rendition {
    width: u32,
    height: u32,
    rate: f64,
    bandwidth: u64,
    average: Option<u64>,
    codecs: Vec<Option<String>>,
}

fn plays(player: &str, case: &Case) {
    let folder = TempDir::new().unwrap();
    let made = transcode(folder.path(), case);
    let pages = reelpool_tests::repository().join("tests/player");
    assert!(pages.join("node_modules/.package-lock.json").is_file(), "no players: run scripts/setup --tests");
    let server = MediaServer::start(&[("/player/", &pages), ("/media/", folder.path())]);
    let first = if player == "hls" { layout::MASTER } else { layout::MPD };
    let url = format!(
        "http://{}/player/page.html?player={player}&url=/media/{first}&speed=4&switchAt=1",
        server.address
    );
    let seen = watch(&server, &url);
    eprintln!("{player}: {seen:?}");
    assert_played(&seen, &made);
    assert_understood(player, &seen, &made);
    // By ranges of bytes, and nothing that is not there.
    for asked in server.asked() {
        let is_track = asked.path.starts_with("/media/cmaf/");
        assert_eq!(asked.status, if is_track { 206 } else { 200 }, "{asked:?}");
    }
}

/// Has the worker make two renditions of a moving picture and a tone.
fn transcode(folder: &Path, case: &Case) -> Presentation {
    let master = folder.join("master.mkv");
    let (num, den) = case.rate;
    let mut draw = Command::new("ffmpeg");
    draw.args(["-v", "error", "-f", "lavfi", "-i", &format!("testsrc2=s=640x360:r={num}/{den}:d={SECONDS}")]);
    draw.args(["-f", "lavfi", "-i", &format!("sine=r=48000:d={SECONDS}"), "-c:v", "libx264"]);
    run(draw.args(["-preset", "ultrafast", "-pix_fmt", "yuv420p", "-c:a", "aac"]).arg(&master));
    let mut worker = Command::new(reelpool_worker());
    worker.arg("transcode").arg(&master).arg("--out").arg(folder);
    run(worker.args(["--ladder", "360p,180p", "--profile", case.profile]));
    let track = |name: &str| Track::read(&mut File::open(folder.join(layout::track(name))).unwrap()).unwrap();
    let rate = Rate::new(num, den).unwrap();
    let rungs = ["360p", "180p"].map(|name| Rung { name: name.into(), rate, track: track(name) });
    Presentation::new(rungs.into(), Some(track(layout::AUDIO)), SEGMENT_SECONDS).unwrap()
}

fn run(command: &mut Command) {
    let done = command.output().unwrap();
    assert!(done.status.success(), "{command:?}: {}", String::from_utf8_lossy(&done.stderr));
}

/// Opens the page and waits for its report.
fn watch(server: &MediaServer, url: &str) -> Seen {
    let mut browser = Browser::open(url);
    let start = Instant::now();
    loop {
        match server.reports.recv_timeout(Duration::from_millis(100)) {
            Ok(report) => {
                return serde_json::from_str(&report).unwrap_or_else(|error| panic!("{error}: {report}"));
            }
            Err(RecvTimeoutError::Disconnected) => panic!("the server is gone"),
            Err(RecvTimeoutError::Timeout) => {}
        }
        let told = browser.process.stderr();
        assert!(browser.process.runs(), "the browser ended: {told}");
        assert!(start.elapsed() < LIMIT, "no report in {LIMIT:?}; asked for: {:#?}\n{told}", server.asked());
    }
}

/// From the first to the last second, without an error or a gap, and in both sizes.
fn assert_played(seen: &Seen, made: &Presentation) {
    assert!(seen.errors.is_empty(), "{:?}", seen.errors);
    assert!(seen.ended, "it did not end");
    let ticks = |packaged: &Packaged| u32::try_from(packaged.track.ticks()).unwrap();
    let seconds = |packaged: &Packaged| f64::from(ticks(packaged)) / f64::from(packaged.track.timescale);
    let tracks = made.rungs().iter().chain(made.audio());
    let longest = tracks.map(seconds).fold(0.0, f64::max);
    let near = |a: f64, b: f64| (a - b).abs() <= PACKET_SECONDS;
    assert!(near(seen.duration, longest), "{} s and not {longest}", seen.duration);
    assert!(near(seen.current_time, seen.duration), "it ended at {} s", seen.current_time);
    assert_eq!(seen.played.len(), 1, "it leapt over a gap: {:?}", seen.played);
    let (from, to) = seen.played[0];
    assert!(near(from, 0.0) && near(to, longest), "it played {from} to {to} s");
    assert_eq!(seen.seeks, 0, "it leapt");
    // Picture and sound both begin at 0: no edit list was taken for something else.
    assert_eq!(seen.buffered.keys().collect::<Vec<_>>(), ["audio", "video"]);
    assert!(seen.buffered.values().all(|start| start.abs() < 0.001), "{:?}", seen.buffered);
    assert_eq!(seen.sizes, ["320x180", "640x360"]);
    assert!(seen.audio_bytes > 0 && seen.video_bytes > 0 && seen.frames > 0);
}

/// The player read from the playlists what was written into them.
fn assert_understood(player: &str, seen: &Seen, made: &Presentation) {
    let audio = made.audio().unwrap();
    assert_eq!(seen.renditions.len(), 2);
    for (found, rung) in seen.renditions.iter().zip(made.rungs().iter().rev()) {
        let media = reelpool_media::package::Media::Video { width: found.width, height: found.height };
        assert_eq!(media, rung.track.media);
        assert!((found.rate - rung.rate.unwrap().fps()).abs() < 0.001, "{found:?}");
        let codecs: Vec<_> = found.codecs.iter().flatten().collect();
        assert_eq!(codecs, [&rung.track.codec, &audio.track.codec]);
        if player == "hls" {
            assert_eq!(found.bandwidth, rung.peak_bps + audio.peak_bps);
            assert_eq!(found.average, Some(rung.average_bps + audio.average_bps));
        } else {
            assert!(found.bandwidth >= rung.average_bps + audio.average_bps, "{found:?}");
        }
    }
}
