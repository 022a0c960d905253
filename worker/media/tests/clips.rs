//! Real, odd, broken and hostile clips end as their list says.
//!
//! The clips are not part of the repository: the folder is named by `REELPOOL_SHARED_MEDIA`, or is `shared/media`
//! beside the repository. Where it is not there, this test says so; the synthetic clips are always run.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs, reason = "tests")]

mod support;

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

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
    let engine = engine();
    let engine =
        Engine { limits: Limits { deadline: Some(Duration::from_secs(20)), ..engine.limits }, ..engine };
    let list = std::fs::read_to_string(folder.join("expected.tsv")).unwrap();
    let mut wrong = Vec::new();
    let mut run = 0;
    for line in list.lines().skip(1) {
        let [name, expected, why] = line.split('\t').collect::<Vec<_>>()[..] else {
            panic!("bad line {line}")
        };
        let out = tempfile::tempdir().unwrap();
        let begun = Instant::now();
        let result = whole(&engine, &folder.join(name), "240p,144p", out.path()).await;
        let seconds = begun.elapsed().as_secs_f64();
        println!("{name}: {seconds:.1} s: {}", tell(&result));
        if let Err(fault) = judge(expected, &result) {
            wrong.push(format!("{name} ({why}): {fault}: {}", tell(&result)));
        }
        run += 1;
    }
    println!("clips: {run} run");
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(run > 0);
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
