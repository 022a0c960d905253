//! Real, odd, broken and hostile clips end as their list says.
//!
//! The clips are not part of the repository: the folder is named by `REELPOOL_SHARED_MEDIA`, or is `shared/media`
//! beside the repository. Where it is not there, this test says so; the synthetic clips are always run.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs, reason = "tests")]

#[path = "support/meter.rs"]
mod meter;
mod support;

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use meter::Meter;
use reelpool_media::{Engine, Limits, MediaError, Transcoded};
use support::{engine, number, streams, whole};

fn folder() -> Option<PathBuf> {
    let named = std::env::var_os("REELPOOL_SHARED_MEDIA").map(PathBuf::from);
    let beside = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/media");
    named.or(Some(beside)).filter(|folder| folder.join("expected.tsv").is_file())
}

#[tokio::test]
async fn every_shared_clip_ends_as_the_list_says() {
    let Some(folder) = folder() else {
        println!("clips: 0 run (no folder of clips; set REELPOOL_SHARED_MEDIA)");
        return;
    };
    let meter = Meter::new();
    let engine = meter.on(engine());
    let list = std::fs::read_to_string(folder.join("expected.tsv")).unwrap();
    let (mut table, mut wrong) = (vec![Row::head()], Vec::new());
    for line in list.lines().skip(1) {
        let [name, expected, why] = line.split('\t').collect::<Vec<_>>()[..] else {
            panic!("bad line {line}")
        };
        let out = tempfile::tempdir().unwrap();
        let begun = Instant::now();
        let result = whole(&patient(&engine, name), &folder.join(name), "240p,144p", out.path()).await;
        let seconds = begun.elapsed().as_secs_f64();
        // A child that had to be killed is not in the account.
        let peak = meter.read().iter().map(|used| used.peak_bytes).max().unwrap_or(0);
        table.push(Row::of(name, expected, &result, (seconds, peak)));
        if let Err(fault) = judge(expected, &result).and_then(|()| judge_reason(name, &result)) {
            wrong.push(format!("{name} ({why}): {fault}: {}", tell(&result)));
        }
    }
    table.iter().for_each(Row::print);
    println!("clips: {} run", table.len() - 1);
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(table.len() > 1);
}

/// The engine, with the deadline of a user who does not want to wait for a clip that costs much more than it looks.
fn patient(engine: &Engine, clip: &str) -> Engine {
    let deadline = clip.starts_with("costbomb").then_some(Duration::from_secs(5));
    Engine { limits: Limits { deadline, ..engine.limits.clone() }, ..engine.clone() }
}

/// A line of the table of clips.
struct Row([String; 7]);

impl Row {
    fn head() -> Self {
        Self(["clip", "expected", "outcome", "reason", "seconds", "peak MB", ""].map(str::to_owned))
    }

    fn of(
        clip: &str,
        expected: &str,
        result: &Result<Transcoded, MediaError>,
        (seconds, peak): (f64, u64),
    ) -> Self {
        let (outcome, reason) = match result {
            Ok(done) if done.warnings.is_empty() => ("renditions", ""),
            Ok(_) => ("renditions", "warnings"),
            Err(error) => ("failure", error.category()),
        };
        let (seconds, peak) = (format!("{seconds:.1}"), (peak / 1_000_000).to_string());
        let words = [clip, expected, outcome, reason].map(str::to_owned);
        let [clip, expected, outcome, reason] = words;
        Self([clip, expected, outcome, reason, seconds, peak, tell(result)])
    }

    fn print(&self) {
        let [clip, expected, outcome, reason, seconds, peak, told] = &self.0;
        println!("{clip:40} {expected:10} {outcome:10} {reason:16} {seconds:>7} {peak:>7}  {told}");
    }
}

fn tell(result: &Result<Transcoded, MediaError>) -> String {
    match result {
        Ok(done) => {
            let each = |r: &reelpool_media::RenditionFile| {
                format!("{} {}x{} {} frames {} ms", r.name, r.width, r.height, r.frames, r.duration_ms)
            };
            let made: Vec<String> = done.renditions.iter().map(each).collect();
            format!(
                "{}; master {} ms; warnings {:?}",
                made.join(", "),
                done.master.duration_ms,
                done.warnings
            )
        }
        Err(error) => format!("{}: {error}", error.category()),
    }
}

fn judge(expected: &str, result: &Result<Transcoded, MediaError>) -> Result<(), &'static str> {
    match (expected, result) {
        ("renditions" | "either", Ok(done)) => {
            if expected == "either" && done.warnings.is_empty() {
                return Err("silent");
            }
            sound(done)
        }
        ("failure" | "either", Err(error)) if error.is_permanent() => Ok(()),
        (_, Err(error)) if !error.is_permanent() => Err("a failure that is not the master's"),
        _ => Err("the other outcome was expected"),
    }
}

/// Why the hostile and the broken ones fail, where there is one reason.
const REASONS: [(&str, &str); 11] = [
    ("audio-only.mp4", "no_video"),
    ("truncated-header-says-231s.mp4", "truncated_input"),
    ("derived-truncated-60pct-faststart.mp4", "truncated_input"),
    ("encrypted-cenc.mp4", "encrypted"),
    ("zero-bytes.mp4", "empty"),
    ("not-a-video.mp4", "not_media"),
    ("attack-hls_file_ts.mp4", "not_media"),
    ("attack-ffconcat_rel.mp4", "not_media"),
    ("bomb-16000x16000-png.mov", "too_many_pixels"),
    ("costbomb-4k60-363s-1MB.mp4", "deadline"),
    ("corrupt-frames.mp4", "corrupt_input"),
];

fn judge_reason(name: &str, result: &Result<Transcoded, MediaError>) -> Result<(), &'static str> {
    let reason = REASONS.iter().find(|(clip, _)| *clip == name).map(|(_, reason)| *reason);
    match result {
        Err(error) if reason.is_some_and(|reason| reason != error.category()) => Err("the wrong reason"),
        _ => Ok(()),
    }
}

/// The renditions are what they say, by a second look.
fn sound(done: &Transcoded) -> Result<(), &'static str> {
    for rendition in &done.renditions {
        let streams = streams(&rendition.path);
        let video = &streams[0];
        if video["width"] != rendition.width
            || video["height"] != rendition.height
            || rendition.width % 2 == 1
        {
            return Err("size");
        }
        #[allow(clippy::cast_precision_loss, reason = "small")]
        let expected = done.master.duration_ms as f64 / 1000.0;
        // A sound that begins a little before the picture has its beginning kept.
        if (number(&video["duration"]) - expected).abs() > 0.15 {
            return Err("duration");
        }
        if rendition.audio != done.master.audio_codec.is_some() || (streams.len() == 2) != rendition.audio {
            return Err("audio");
        }
        if video["side_data_list"].is_array()
            || video["pix_fmt"] != "yuv420p"
            || video["field_order"] != "progressive"
        {
            return Err("rotation, depth or fields");
        }
    }
    Ok(())
}
