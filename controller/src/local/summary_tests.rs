use super::*;
use reelpool_protocol::manifest::MasterInfo;
use reelpool_protocol::{Ladder, Manifest, Profile};

fn source(key: &str) -> Source {
    Source { bucket: "masters".into(), key: key.into(), version: None, etag: None, size: None }
}

fn id(key: &str) -> JobId {
    JobId::of(&source(key), &Ladder::default(), &Profile::default())
}

fn rendition(name: &str, width: u32, height: u32, bytes: u64) -> Rendition {
    Rendition {
        name: name.into(),
        path: format!("attempts/1/{name}.mp4"),
        width,
        height,
        frames: 250,
        duration_ms: 10_000,
        bytes,
        bits_per_second: bytes * 8 / 10,
        sha256: String::new(),
        audio: true,
        quality: None,
    }
}

fn committed() -> Outcome {
    let renditions = vec![rendition("720p", 1280, 720, 1_234_567), rendition("480p", 854, 480, 345_678)];
    Outcome::Committed { renditions, warnings: vec!["subtitles were dropped".into()] }
}

#[test]
fn the_whole_table() {
    let mut summary = Summary::default();
    // A fleet follows its target with a delay.
    for (from, to) in [(0, 3), (3, 3), (3, 1), (2, 1), (1, 0)] {
        summary.target(from, to);
    }
    summary.ended(Some(id("cat.mp4")), Some(&source("cat.mp4")), &committed(), 12_345);
    let failed =
        Outcome::Failed { reason: "no_video".into(), detail: "there is no picture:\nsend a video".into() };
    summary.ended(Some(id("text.mp4")), Some(&source("text.mp4")), &failed, 50);
    summary.ended(Some(id("old.mp4")), Some(&source("old.mp4")), &Outcome::AlreadyDone, 9);
    summary.ended(Some(id("slow.mp4")), Some(&source("slow.mp4")), &Outcome::HandedBack, 9);
    let expected = "\
master    rendition             size    bytes  seconds
cat.mp4   720p              1280x720  1234567     12.3
          480p               854x480   345678
old.mp4   done before
slow.mp4  not done
text.mp4  failed: no_video

cat.mp4: subtitles were dropped
slow.mp4: not done: handed back, the next run goes on
text.mp4: failed: no_video: there is no picture: send a video

jobs:       2 done, 1 failed, 1 not done
fleet:      0 → 3 → 1 → 0
time:       1:05
renditions: /data/renditions
";
    assert_eq!(summary.render("/data/renditions", Duration::from_secs(65)), expected);
}

#[test]
fn a_job_counts_once_and_done_stays_done() {
    let mut summary = Summary::default();
    let retried = Outcome::Retried { reason: "store_unavailable".into(), detail: "503".into(), delay_ms: 5 };
    let (cat, source) = (Some(id("cat.mp4")), source("cat.mp4"));
    summary.ended(cat, Some(&source), &retried, 1);
    summary.ended(cat, Some(&source), &Outcome::ClaimedElsewhere, 1);
    assert_eq!((summary.done(), summary.failed()), (0, 0));
    summary.ended(cat, Some(&source), &committed(), 2);
    summary.ended(cat, Some(&source), &Outcome::AlreadyDone, 3);
    summary.ended(cat, Some(&source), &Outcome::HoldLost, 4);
    summary.ended(cat, Some(&source), &Outcome::ClaimedElsewhere, 5);
    assert_eq!((summary.done(), summary.failed()), (1, 0));
    assert!(summary.render("out", Duration::ZERO).contains("1280x720"));
    // The same master under another ladder is another job.
    summary.ended(None, Some(&source), &Outcome::AlreadyDone, 3);
    assert_eq!(summary.done(), 2);
    summary.given_up(Some(id("b")), None, "receive_count_exceeded", "received 5 times");
    assert_eq!(summary.failed(), 1);
    summary.refused(2);
    assert!(summary.render("out", Duration::ZERO).contains("refused:    2 masters, as the log says\n"));
}

#[test]
fn what_earlier_runs_did_is_shown_but_not_in_place_of_what_this_one_did() {
    let done = |key: &str| DoneMaster {
        job: id(key),
        source: source(key),
        manifest: Manifest {
            format: 1,
            job_id: id(key),
            attempt: "1".into(),
            worker: "w".into(),
            source: source(key),
            ladder: Ladder::default(),
            profile: Profile::default(),
            master: MasterInfo {
                bytes: 1,
                width: 640,
                height: 360,
                duration_ms: 1,
                video_codec: "h264".into(),
                audio_codec: None,
            },
            renditions: vec![rendition("360p", 640, 360, 5)],
            companions: Vec::new(),
            warnings: Vec::new(),
            timings: Timings { fetch_ms: 100, probe_ms: 100, transcode_ms: 1000, publish_ms: 300 },
        },
    };
    let mut summary = Summary::default();
    summary.ended(Some(id("now.mp4")), Some(&source("now.mp4")), &committed(), 2_000);
    summary.ended(Some(id("seen.mp4")), Some(&source("seen.mp4")), &Outcome::AlreadyDone, 9);
    for key in ["now.mp4", "seen.mp4", "old.mp4"] {
        summary.done_before(done(key));
    }
    let text = summary.render("out", Duration::ZERO);
    assert!(text.contains("now.mp4   720p       1280x720  1234567      2.0"), "{text}");
    assert!(text.contains("old.mp4   360p        640x360        5      1.5"), "{text}");
    assert!(text.contains("seen.mp4  360p"), "{text}");
    assert!(text.contains("jobs:       3 done (2 before this run), 0 failed\n"), "{text}");
}

#[test]
fn a_long_way_is_shortened() {
    let mut summary = Summary::default();
    (0..99).for_each(|from| summary.target(from, from + 1));
    let way = summary.way();
    assert!(way.starts_with("0 → 1 → 2") && way.ends_with("98 → 99") && way.contains(" → … → "), "{way}");
    assert!(way.split(" → ").count() == MAX_STEPS + 1);
}
