//! What is there when all went well.

use std::fs;

use reelpool_protocol::manifest::FORMAT;
use reelpool_protocol::{JobId, Profile};
use reelpool_worker::hex::hex;
use sha2::{Digest, Sha256};

use crate::bench::{Bench, Ended, beside, names, program, set};

const CHEAP: [&str; 4] = ["--preset", "ultrafast", "--ladder", "180p,90p"];

#[test]
fn renditions_and_the_manifest_that_tells_of_them() {
    let bench = Bench::new();
    let ended = bench.run(&bench.clip("cat ü.mp4"), &CHEAP);
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    assert_eq!(bench.names(), beside(["180p", "90p"]));
    let tracks = set(["180p.mp4", "90p.mp4", "audio.mp4"]);
    assert_eq!(names(&bench.out().join("cmaf")), tracks);

    let manifest = bench.manifest();
    assert_eq!((manifest.format, manifest.warnings.len()), (FORMAT, 0));
    assert_eq!((manifest.source.bucket.as_str(), manifest.source.key.as_str()), ("masters", "cat ü.mp4"));
    let etag = reelpool_spool::masters::etag(&bench.path("cat ü.mp4").metadata().unwrap());
    assert_eq!(manifest.source.etag, Some(etag), "as `reelpool up` would name it");
    assert_eq!(manifest.ladder.to_string(), "180p,90p");
    // How hard it tries makes no other job of it.
    let id = JobId::of(&manifest.source, &manifest.ladder, &Profile::default());
    assert_eq!(manifest.job_id, id);
    let profile = Profile::default().with_x264_preset("ultrafast".parse().unwrap());
    assert_eq!(Some(&manifest.profile), profile.as_ref());
    let names: Vec<_> = manifest.renditions.iter().map(|rendition| rendition.path.as_str()).collect();
    assert_eq!(names, ["180p.mp4", "90p.mp4"]);
    for rendition in &manifest.renditions {
        let bytes = fs::read(bench.out().join(&rendition.path)).unwrap();
        assert_eq!(rendition.bytes, bytes.len() as u64);
        assert_eq!(rendition.sha256, hex(&Sha256::digest(&bytes)));
        assert_eq!((rendition.frames, rendition.duration_ms, rendition.audio), (25, 1000, true));
    }

    let out = bench.out();
    let lines: Vec<_> = ended.stdout.lines().map(|line| line.split(", ").next().unwrap()).collect();
    let expected = [
        "180p.mp4  320x180",
        "90p.mp4  160x90",
        "master.m3u8",
        "manifest.mpd",
        "poster.jpg",
        "storyboard.vtt",
    ]
    .map(|name| format!("{}/{name}", out.display()));
    assert_eq!(lines, expected);
    // No terminal: plain lines.
    let said: Vec<_> = ended.stderr.lines().collect();
    assert_eq!((said[0], said.last().copied()), ("probing", Some("finishing")), "{}", ended.stderr);
    assert!(said.iter().any(|line| line.starts_with("transcoding 100 %")), "{}", ended.stderr);
    assert!(!ended.stderr.contains(['\u{1b}', '\r']), "{:?}", ended.stderr);
}

#[test]
fn names_that_ffmpeg_might_take_for_something_else() {
    for name in ["-y concat:a|b.mp4", "%d [x]'\".mp4", "two\nlines.mp4"] {
        let bench = Bench::new();
        bench.clip(name);
        let mut command = program(&["--preset", "ultrafast", "--ladder", "90p", "--out", "out", "--", name]);
        let ended = Ended::of(&command.current_dir(bench.path("")).output().unwrap());
        assert_eq!(ended.code, Some(0), "{name:?}: {}", ended.stderr);
        assert_eq!(bench.manifest().source.key, name);
        assert_eq!(bench.names(), beside(["90p"]));
    }
}

#[test]
fn the_profile_is_a_file_or_in_the_environment() {
    let bench = Bench::new();
    let file = bench.path("mine.yaml");
    fs::write(&file, "video: {preset: ultrafast, crf: 40}\naudio: {kbps: 64}\n").unwrap();
    let ended = bench.run(&bench.clip("a.mp4"), &["--ladder", "90p", "--profile", file.to_str().unwrap()]);
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    let mine =
        Profile::from_json(r#"{"video":{"preset":"ultrafast","crf":40},"audio":{"kbps":64}}"#).unwrap();
    let manifest = bench.manifest();
    assert_eq!(manifest.profile, mine);
    assert_eq!(manifest.job_id, JobId::of(&manifest.source, &manifest.ladder, &mine));

    let bench = Bench::new();
    let mut command = bench.command(&bench.clip("a.mp4"), &["--ladder", "90p"]);
    let ended =
        command.env("REELPOOL_PROFILE", r#"{"video":{"codec":"av1","preset":"13"}}"#).output().unwrap();
    assert_eq!(Ended::of(&ended).code, Some(0), "{ended:?}");
    assert_eq!(bench.manifest().profile.encoder().codec(), "av1");
}

#[test]
fn what_is_there_is_replaced_only_when_told() {
    let bench = Bench::new();
    let clip = bench.clip("a.mp4");
    assert_eq!(bench.run(&clip, &CHEAP).code, Some(0));
    fs::write(bench.out().join("mine.txt"), "mine").unwrap();
    let (before, there) = (bench.manifest(), bench.names());

    let out = bench.out();
    let ended = bench.run(&clip, &CHEAP);
    let last = format!(
        "error: out_exists: {}/manifest.json is there already: name another folder with --out, or replace it with --force",
        out.display()
    );
    ended.failed(2, &last);
    assert_eq!((bench.manifest(), bench.names()), (before.clone(), there));

    let ended = bench.run(&clip, &["--preset", "ultrafast", "--ladder", "120p", "--force"]);
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    let mut expected = beside(["120p"]);
    expected.insert("mine.txt".to_owned());
    assert_eq!(bench.names(), expected, "the earlier renditions are gone");
    assert_eq!(names(&out.join("cmaf")), set(["120p.mp4", "audio.mp4"]));
    assert_ne!(bench.manifest().job_id, before.job_id);
    let plain = "{video: {preset: ultrafast}, packaging: [mp4], poster: false, storyboard: false}";
    let ended = bench.run(&clip, &["--profile", plain, "--ladder", "120p", "--force"]);
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    assert_eq!(
        bench.names(),
        set(["120p.mp4", "manifest.json", "mine.txt"]),
        "and so is what was beside them"
    );
}
