//! What a profile says is what ffmpeg makes, in the cage.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs, reason = "tests")]

mod support;

use std::path::Path;
use std::process::Command;

use reelpool_media::{KeepNothing, MediaError, PlanOptions, Transcoded, plan};
use reelpool_protocol::manifest::Quality;
use reelpool_protocol::{Profile, profile};
use serde_json::Value;
use support::{clip, engine, job, make, number, streams};

async fn made(input: &Path, ladder: &str, profile: &str, out: &Path) -> Transcoded {
    let engine = engine();
    let source = engine.probe(input).await.unwrap();
    let profile = Profile::from_json(profile).unwrap();
    let plan = plan(&source, &ladder.parse().unwrap(), &PlanOptions { profile, threads: 2 });
    let job = job(input, &source, &plan, out);
    let done = engine.transcode(&job, &KeepNothing, |_| (), std::future::pending()).await;
    done.unwrap_or_else(|error| panic!("{}", error.detail()))
}

fn kbps(stream: &Value) -> f64 {
    number(&stream["bit_rate"]) / 1000.0
}

#[tokio::test]
async fn av1_is_made_with_key_frames_on_the_grid() {
    let (folder, out) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let input = clip(folder.path(), "a.mp4", "320x180", "30", 5);
    let profile = r#"{"video":{"codec":"av1","preset":"12","crf":40},"audio":{"kbps":64}}"#;
    let done = made(&input, "180p,90p,48p", profile, out.path()).await;
    let names: Vec<_> = done.renditions.iter().map(|rendition| rendition.name.as_str()).collect();
    assert_eq!(names, ["180p", "90p"]);
    for rendition in &done.renditions {
        let streams = streams(&rendition.path);
        assert_eq!((&streams[0]["codec_name"], &streams[1]["codec_name"]), (&"av1".into(), &"aac".into()));
        assert_eq!((rendition.frames, &streams[0]["profile"]), (150, &"Main".into()));
        assert!(kbps(&streams[1]) < 80.0, "{}", streams[1]["bit_rate"]);
    }
}

#[tokio::test]
async fn a_master_too_small_for_av1_is_made_by_x264() {
    let (folder, out) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let args = "-f lavfi -i testsrc2=s=48x32:r=10:d=1 -c:v ffv1 -pix_fmt yuv420p";
    let input = make(folder.path(), "tiny.mkv", args);
    let done = made(&input, "720p", r#"{"video":{"codec":"av1"}}"#, out.path()).await;
    assert_eq!(streams(&done.renditions[0].path)[0]["codec_name"], "h264");
    assert_eq!(done.warnings, ["32p is too small for av1: made as h264"]);
}

#[tokio::test]
async fn both_encoders_keep_to_the_highest_rate() {
    let folder = tempfile::tempdir().unwrap();
    // Noise: it takes all the bits it is given.
    let noise = "-f lavfi -i testsrc2=s=320x180:r=30:d=6,noise=c0s=30:c0f=t -c:v libx264 -preset ultrafast -pix_fmt yuv420p";
    let input = make(folder.path(), "noise.mp4", noise);
    for (encoder, slack) in
        [(r#""codec":"h264","preset":"ultrafast""#, 1.3), (r#""codec":"av1","preset":"12""#, 2.0)]
    {
        let (free, capped) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let profile = |rates: &str| format!(r#"{{"video":{{{encoder},"crf":20,"maxKbps":{{{rates}}}}}}}"#);
        let rate = async |rates: &str, out: &Path| {
            let done = made(&input, "180p", &profile(rates), out).await;
            kbps(&streams(&done.renditions[0].path)[0])
        };
        let (free, capped) = (rate("", free.path()).await, rate(r#""180p":200"#, capped.path()).await);
        assert!(capped < 200.0 * slack && capped < free, "{encoder}: {capped} kbit/s, without a cap {free}");
    }
}

#[tokio::test]
async fn an_ffmpeg_without_av1_is_told_before_it_starts() {
    let (folder, out) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let input = clip(folder.path(), "a.mp4", "160x90", "30", 1);
    let mut engine = engine();
    engine.tools.svt_av1 = false;
    let source = engine.probe(&input).await.unwrap();
    let options = PlanOptions { profile: Profile::built_in("av1").unwrap(), threads: 2 };
    let plan = plan(&source, &"90p".parse().unwrap(), &options);
    let job = job(&input, &source, &plan, out.path());
    let refused = engine.transcode(&job, &KeepNothing, |_| (), std::future::pending()).await;
    let error = refused.unwrap_err();
    assert!(matches!(error, MediaError::FfmpegLacks { .. }) && !error.is_permanent(), "{error}");
    assert!(error.to_string().contains("lacks the encoder libsvtav1, which AV1 needs"), "{error}");
}

/// Integrated loudness and true peak of a file's sound.
fn loudness(file: &Path) -> (f64, f64) {
    let args = ["-nostdin", "-hide_banner", "-nostats", "-i"];
    let measure = ["-map", "0:a", "-af", "ebur128=peak=true:framelog=verbose", "-f", "null", "-"];
    let out = Command::new("ffmpeg").args(args).arg(file).args(measure).output().unwrap();
    let text = String::from_utf8(out.stderr).unwrap();
    let summary = text.rsplit_once("Summary:").unwrap().1;
    let of = |name: &str| {
        let line = summary.lines().find_map(|line| line.trim().strip_prefix(name)).unwrap();
        line.split_whitespace().next().unwrap().parse::<f64>().unwrap()
    };
    (of("I:"), of("Peak:"))
}

#[tokio::test]
async fn the_sound_is_brought_to_its_loudness() {
    let folder = tempfile::tempdir().unwrap();
    let video = "-f lavfi -i testsrc2=s=160x90:r=10:d=22 -f lavfi -i";
    let encode = "-c:v libx264 -preset ultrafast -pix_fmt yuv420p -c:a aac -b:a 192k";
    // Sound, channels, loudness that is to come of -16, whether its peaks are in the way.
    let table = [
        ("sine=f=1000:d=22,volume=-20dB", "2", -16.0, false),
        // As loud as it gets: all six channels are mixed down.
        ("sine=f=1000:d=22,volume=12dB", "6", -16.0, false),
        // A click a second: there is no room for more.
        ("aevalsrc=0.9*lt(mod(t\\,1)\\,0.002)+0.01*sin(2764*t):d=22:s=48000", "1", 0.0, true),
        ("anullsrc=d=22", "2", f64::NEG_INFINITY, false),
    ];
    for (n, (sound, channels, expected, limited)) in table.into_iter().enumerate() {
        let args = format!("{video} {sound} {encode} -ac {channels}");
        let input = make(folder.path(), &format!("{n}.mp4"), &args);
        let out = tempfile::tempdir().unwrap();
        // In two pieces, where the sound is made for itself, and in one.
        let chunks = if n == 0 { 10 } else { 60 };
        let profile = format!(
            r#"{{"video":{{"preset":"ultrafast"}},"audio":{{"loudness":-16}},"chunkSeconds":{chunks}}}"#
        );
        let done = made(&input, "90p", &profile, out.path()).await;
        let (integrated, peak) = loudness(&done.renditions[0].path);
        // AAC overshoots a little.
        assert!(peak < -0.5, "{sound}: {peak} dBTP");
        if limited {
            assert!(peak > -2.0 && integrated < -17.0, "{sound}: {integrated} LUFS, {peak} dBTP");
            assert!(done.warnings[0].ends_with("its peaks would be over -1.0 dBTP"), "{:?}", done.warnings);
        } else {
            let near = (integrated - expected).abs() < 0.6 || (expected.is_infinite() && integrated <= -70.0);
            assert!(near, "{sound}: {integrated} LUFS");
            assert_eq!(done.warnings, Vec::<String>::new(), "{sound}");
        }
    }
}

fn ssim(done: &Transcoded) -> Vec<f64> {
    let score = |quality: Option<Quality>| match quality {
        Some(Quality::Ssim(score)) => score.value(),
        other => panic!("{other:?}"),
    };
    done.renditions.iter().map(|rendition| score(rendition.quality)).collect()
}

#[tokio::test]
async fn quality_compares_each_frame_with_its_own() {
    let folder = tempfile::tempdir().unwrap();
    // Every frame differs from the next: paired with a neighbour, it scores far lower.
    let moving = "-f lavfi -i testsrc2=s=320x180:r=30000/1001:d=3,noise=c0s=40:c0f=t -c:v libx264 -preset ultrafast -crf 15 -pix_fmt yuv420p";
    // One clock in milliseconds, one that does not begin at 0, and one with holes.
    let table = [
        ("milli.mkv", ""),
        ("late.ts", " -output_ts_offset 5.3"),
        ("holes.mkv", " -vf select='mod(n,7)*mod(n,11)' -fps_mode vfr"),
    ];
    for (name, more) in table {
        let input = make(folder.path(), name, &format!("{moving}{more}"));
        let mut scores = Vec::new();
        for crf in [8, 45] {
            let out = tempfile::tempdir().unwrap();
            let profile = format!(
                r#"{{"video":{{"preset":"ultrafast","crf":{crf},"maxKbps":{{"180p":50000,"90p":50000}}}},"packaging":["hls"],"quality":"ssim"}}"#
            );
            let done = made(&input, "180p,90p", &profile, out.path()).await;
            assert_eq!(done.warnings, Vec::<String>::new());
            scores.push(ssim(&done));
        }
        assert!(scores[0].iter().all(|score| *score > 0.98), "{name}: {scores:?}");
        assert!(scores[1].iter().zip(&scores[0]).all(|(low, high)| low + 0.05 < *high), "{name}: {scores:?}");
    }
}

#[test]
fn an_ffmpeg_without_vmaf_is_told_before_it_starts() {
    let mut tools = engine().tools;
    tools.vmaf = false;
    let refused = tools.check(Profile::default().encoder(), profile::Quality::Vmaf).unwrap_err().to_string();
    assert!(
        refused.contains("lacks the filter libvmaf, which the profile's quality: vmaf needs"),
        "{refused}"
    );
    assert!(tools.check(Profile::default().encoder(), profile::Quality::Ssim).is_ok());
}
