//! What a profile says is what ffmpeg makes, in the cage.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs, reason = "tests")]

mod support;

use std::path::Path;

use reelpool_media::{KeepNothing, MediaError, PlanOptions, Transcoded, plan};
use reelpool_protocol::Profile;
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
