//! Clips made on the spot, through probe, plan, ffmpeg and verification, in the cage and out of it.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs, reason = "tests")]

mod support;

use std::path::Path;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use reelpool_media::{Engine, KeepNothing, Limits, MediaError, Progress, Sandbox};
use rustix::process::{Signal, kill_process};
use support::{
    announced, cheap_plan, clip, engine, files_below, free_engine, job, make, number, runs, streams, whole,
};

#[tokio::test]
async fn a_plain_clip_with_and_without_the_cage() {
    let folder = tempfile::tempdir().unwrap();
    let input = clip(folder.path(), "in put.mp4", "640x360", "30", 5);
    for engine in [engine(), free_engine()] {
        let out = tempfile::Builder::new().prefix("out dir |'[").tempdir().unwrap();
        let done = whole(&engine, &input, "360p,240p,144p", out.path()).await.unwrap();
        let names: Vec<&str> = done.renditions.iter().map(|r| r.name.as_str()).collect();
        assert_eq!(names, ["360p", "240p", "144p"]);
        assert_eq!(done.warnings, Vec::<String>::new());
        assert_eq!((done.master.duration_ms, done.master.audio_codec.as_deref()), (5000, Some("aac")));
        for rendition in &done.renditions {
            assert_eq!((rendition.frames, rendition.duration_ms, rendition.audio), (150, 5000, true));
            assert_eq!(rendition.bytes, std::fs::metadata(&rendition.path).unwrap().len());
            let streams = streams(&rendition.path);
            assert_eq!(
                (&streams[0]["codec_name"], &streams[1]["codec_name"]),
                (&"h264".into(), &"aac".into())
            );
            assert_eq!((&streams[1]["channels"], &streams[1]["sample_rate"]), (&2.into(), &"48000".into()));
            let head = std::fs::read(&rendition.path).unwrap();
            let at = |name: &[u8]| head.windows(4).position(|window| window == name).unwrap();
            assert!(at(b"moov") < at(b"mdat"), "fast start");
        }
        assert_eq!(files_below(out.path()), announced(&done), "nothing but what is told of");
    }
}

#[tokio::test]
async fn odd_shapes() {
    let folder = tempfile::tempdir().unwrap();
    let small = "-f lavfi -i testsrc2=r=10:d=1:s=";
    let x264 = "-c:v libx264 -preset ultrafast -pix_fmt yuv420p";
    let upright = make(folder.path(), "upright.mp4", &format!("{small}320x180 {x264}"));
    let turn = format!("-display_rotation 90 -i {} -c copy", upright.display());
    let has_option =
        std::process::Command::new("ffmpeg").args(["-v", "error", "-h", "full"]).output().unwrap();
    let turned = if String::from_utf8_lossy(&has_option.stdout).contains("-display_rotation") {
        make(folder.path(), "turned.mp4", &turn)
    } else {
        // Before ffmpeg 6 the tag sets the display matrix.
        make(
            folder.path(),
            "turned.mp4",
            &format!("-i {} -c copy -metadata:s:v rotate=90", upright.display()),
        )
    };
    let table = [
        (turned, "180x320"),
        (make(folder.path(), "odd.mkv", &format!("{small}321x181 -c:v ffv1 -pix_fmt yuv444p")), "320x180"),
        (make(folder.path(), "tall.mkv", &format!("{small}90x400 -c:v ffv1")), "90x400"),
        (make(folder.path(), "tiny.mkv", &format!("{small}2x2 -c:v ffv1 -pix_fmt yuv420p")), "2x2"),
        (make(folder.path(), "wide.mp4", &format!("{small}180x144 {x264} -vf setsar=16/11")), "262x144"),
        (make(folder.path(), "clip.avi", &format!("{small}160x120 -c:v mpeg4")), "160x120"),
        (make(folder.path(), "clip.ts", &format!("{small}160x120 -c:v mpeg2video -f mpegts")), "160x120"),
        (make(folder.path(), "clip.mpg", &format!("{small}160x120 -r 25 -c:v mpeg2video -f vob")), "160x120"),
        (make(folder.path(), "clip.flv", &format!("{small}160x120 -c:v flv1")), "160x120"),
        (make(folder.path(), "clip.wmv", &format!("{small}160x120 -c:v wmv2")), "160x120"),
        (make(folder.path(), "clip.mxf", &format!("{small}160x120 -r 25 -c:v mpeg2video")), "160x120"),
        (make(folder.path(), "clip.ogv", &format!("{small}160x120 -c:v libtheora")), "160x120"),
    ];
    for (input, expected) in table {
        let out = tempfile::tempdir().unwrap();
        let done = whole(&engine(), &input, "1080p,720p", out.path()).await;
        let done = done.unwrap_or_else(|error| panic!("{}: {}", input.display(), error.detail()));
        let [only] = &done.renditions[..] else { panic!("{}: {done:?}", input.display()) };
        assert_eq!(format!("{}x{}", only.width, only.height), expected, "{}", input.display());
        assert!(!only.audio && only.frames > 0);
        let off = only.duration_ms.abs_diff(1000);
        assert!(off <= 140, "{}: {} ms", input.display(), only.duration_ms);
    }
}

#[tokio::test]
async fn six_channels_become_two_and_sound_and_picture_start_together() {
    let folder = tempfile::tempdir().unwrap();
    let surround = "-f lavfi -i testsrc2=s=320x180:r=25:d=2 -f lavfi -i aevalsrc=0.1|0.1|0.1|0.1|0.1|0.1:c=5.1:d=2 \
                    -c:v libx264 -preset ultrafast -pix_fmt yuv420p -c:a ac3 -metadata:s:v x=y";
    let input = make(folder.path(), "surround.mkv", surround);
    let out = tempfile::tempdir().unwrap();
    let done = whole(&engine(), &input, "144p", out.path()).await.unwrap();
    assert_eq!(streams(&done.renditions[0].path)[1]["channels"], 2);

    let plain = clip(folder.path(), "plain.mkv", "320x180", "25", 2);
    let late = format!("-i {0} -itsoffset 0.48 -i {0} -map 1:v -map 0:a -c copy", plain.display());
    let input = make(folder.path(), "late.mkv", &late);
    let out = tempfile::tempdir().unwrap();
    let done = whole(&engine(), &input, "144p", out.path()).await.unwrap();
    // The first frame is shown for as long as the sound is alone.
    assert_eq!((done.renditions[0].frames, done.renditions[0].duration_ms), (63, 2520));
    let streams = streams(&done.renditions[0].path);
    let lag = number(&streams[0]["start_time"]) - number(&streams[1]["start_time"]);
    assert!(lag.abs() < 0.05, "{lag}");
}

#[tokio::test]
async fn hdr_becomes_sdr_and_fields_become_frames() {
    let folder = tempfile::tempdir().unwrap();
    let hdr = "-f lavfi -i testsrc2=s=320x180:r=25:d=1 -c:v libx264 -preset ultrafast -pix_fmt yuv420p10le \
               -color_primaries bt2020 -colorspace bt2020nc -color_trc";
    for transfer in ["smpte2084", "arib-std-b67"] {
        let input = make(folder.path(), "hdr.mp4", &format!("{hdr} {transfer}"));
        let out = tempfile::tempdir().unwrap();
        let done = whole(&engine(), &input, "144p", out.path()).await.unwrap();
        let video = &streams(&done.renditions[0].path)[0];
        assert_eq!(
            (&video["pix_fmt"], &video["color_transfer"]),
            (&"yuv420p".into(), &"bt709".into()),
            "{transfer}"
        );
    }
    let fields = "-f lavfi -i testsrc2=s=320x180:r=50:d=2 -vf tinterlace=interleave_top -c:v libx264 -preset ultrafast \
                  -pix_fmt yuv420p -flags +ildct+ilme -x264opts tff=1";
    let input = make(folder.path(), "fields.mp4", fields);
    let out = tempfile::tempdir().unwrap();
    let source = engine().probe(&input).await.unwrap();
    assert!(source.video.interlaced);
    let done = whole(&engine(), &input, "144p", out.path()).await.unwrap();
    let video = &streams(&done.renditions[0].path)[0];
    assert_eq!((&video["field_order"], done.renditions[0].frames), (&"progressive".into(), 50));
}

#[tokio::test]
async fn truncated_masters_say_so() {
    let folder = tempfile::tempdir().unwrap();
    let whole_file = std::fs::read(clip(folder.path(), "whole.mp4", "640x360", "30", 4)).unwrap();
    let input = folder.path().join("cut.mp4");
    std::fs::write(&input, &whole_file[..whole_file.len() / 2]).unwrap();
    let error = engine().probe(&input).await.unwrap_err();
    assert_eq!(error.category(), "truncated_input", "{error}");
    assert!(error.is_permanent());
    assert!(error.to_string().contains("moov"), "{error}");

    let front = folder.path().join("front.mp4");
    let args = format!("-i {} -c copy -movflags +faststart", folder.path().join("whole.mp4").display());
    let bytes = std::fs::read(make(folder.path(), "faststart.mp4", &args)).unwrap();
    std::fs::write(&front, &bytes[..bytes.len() / 2]).unwrap();
    let error = engine().probe(&front).await.unwrap_err();
    assert_eq!(error.category(), "truncated_input", "{error}");
    assert!(error.to_string().contains("4.00 s (120 frames)"), "{error}");

    let matroska = std::fs::read(clip(folder.path(), "whole.mkv", "640x360", "30", 4)).unwrap();
    let input = folder.path().join("cut.mkv");
    std::fs::write(&input, &matroska[..matroska.len() / 2]).unwrap();
    assert_eq!(engine().probe(&input).await.unwrap_err().category(), "truncated_input");
}

#[tokio::test]
async fn a_damaged_master_is_said_to_be_so() {
    let folder = tempfile::tempdir().unwrap();
    let input = clip(folder.path(), "whole.mkv", "640x360", "30", 4);
    let mut bytes = std::fs::read(&input).unwrap();
    let third = bytes.len() / 3;
    for (i, byte) in bytes[third..third + 3000].iter_mut().enumerate() {
        *byte ^= u8::try_from(i % 251).unwrap();
    }
    std::fs::write(&input, bytes).unwrap();
    let out = tempfile::tempdir().unwrap();
    match whole(&engine(), &input, "144p", out.path()).await {
        Ok(done) => assert!(done.warnings.iter().any(|w| w.contains("damaged")), "{:?}", done.warnings),
        Err(error) => assert!(["corrupt_input", "truncated_input"].contains(&error.category()), "{error}"),
    }
}

#[tokio::test]
async fn refusals_before_ffmpeg() {
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str, bytes: &[u8]| {
        let path = folder.path().join(name);
        std::fs::write(&path, bytes).unwrap();
        path
    };
    let big = make(folder.path(), "big.mkv", "-f lavfi -i color=s=1000x1000:r=1:d=1 -c:v ffv1");
    let sound = make(folder.path(), "sound.mp4", "-f lavfi -i sine=d=1 -c:a aac");
    let engine = Engine { limits: Limits { max_pixels: 999_999, ..Limits::default() }, ..engine() };
    let table = [
        (file("text.mp4", b"this is no video\n"), "not_media"),
        (file("empty.mp4", b""), "empty"),
        (file("noise.mp4", &[0x9c, 0x01, 0xff, 0x00, 0x17].repeat(500)), "unsupported_format"),
        (file("atoms.mp4", b"\0\0\0\x18ftypisom\0\0\0\0isommp42\0\0\0\x08free"), "truncated_input"),
        (
            file("polyglot.mp4", b"\0\0\0\x01wide\n#EXTM3U\n#EXTINF:1,\nfile:///etc/passwd\n"),
            "truncated_input",
        ),
        (big, "too_many_pixels"),
        (sound, "no_video"),
        (folder.path().join("absent.mp4"), "io"),
    ];
    for (input, category) in table {
        let error = engine.probe(&input).await.unwrap_err();
        assert_eq!(error.category(), category, "{}: {error}", input.display());
        assert_eq!(error.is_permanent(), category != "io");
        assert!(!error.to_string().contains('\n'));
    }
}

/// A clip that takes far longer than the tests' patience.
fn endless(folder: &Path) -> std::path::PathBuf {
    let second = "-f lavfi -i testsrc2=s=1920x1080:r=30:d=1 -c:v libx264 -preset ultrafast -pix_fmt yuv420p";
    let second = make(folder, "second.mkv", second);
    make(folder, "long.mkv", &format!("-stream_loop 600 -i {} -c copy", second.display()))
}

#[tokio::test]
async fn deadline_cancel_and_drop_leave_no_process() {
    let folder = tempfile::tempdir().unwrap();
    let input = endless(folder.path());
    for engine in [engine(), free_engine()] {
        let limits = Limits { deadline: Some(Duration::from_secs(1)), ..engine.limits.clone() };
        let source = engine.probe(&input).await.unwrap();
        let plan = cheap_plan(&source, "1080p,720p");
        let out = tempfile::tempdir().unwrap();
        let short = Engine { limits, ..engine.clone() };
        let begun = Instant::now();
        let never = std::future::pending();
        let error = short
            .transcode(&job(&input, &source, &plan, out.path()), &KeepNothing, |_| (), never)
            .await
            .unwrap_err();
        assert_eq!((error.category(), error.is_permanent()), ("deadline", true));
        assert!(begun.elapsed() < Duration::from_secs(10), "{:?}", begun.elapsed());

        let shown = Mutex::new(Progress::default());
        let cancel = async {
            while shown.lock().unwrap().frames == 0 {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        let note = |progress| *shown.lock().unwrap() = progress;
        let error = engine
            .transcode(&job(&input, &source, &plan, out.path()), &KeepNothing, note, cancel)
            .await
            .unwrap_err();
        assert_eq!((error.category(), error.is_permanent()), ("cancelled", false));
        assert!(shown.lock().unwrap().permille < 1000);

        let job = job(&input, &source, &plan, out.path());
        let dropped = engine.transcode(&job, &KeepNothing, |_| (), std::future::pending());
        assert!(tokio::time::timeout(Duration::from_millis(500), dropped).await.is_err());
        let needle = input.display().to_string();
        support::eventually("no ffmpeg left", || !runs(&needle)).await;
    }
}

#[tokio::test]
async fn a_stall_is_noticed() {
    let folder = tempfile::tempdir().unwrap();
    let input = clip(folder.path(), "plain.mp4", "320x180", "25", 1);
    // An ffmpeg that never says anything.
    let stuck = folder.path().join("ffmpeg");
    std::fs::write(&stuck, "#!/bin/sh\nexec /bin/sleep 60\n").unwrap();
    executable(&stuck);
    let mut engine = free_engine();
    let source = engine.probe(&input).await.unwrap();
    engine.tools.ffmpeg = stuck;
    engine.limits.stall = Duration::from_millis(300);
    let plan = cheap_plan(&source, "144p");
    let begun = Instant::now();
    let never = std::future::pending();
    let error = engine
        .transcode(&job(&input, &source, &plan, folder.path()), &KeepNothing, |_| (), never)
        .await
        .unwrap_err();
    assert_eq!(error.category(), "stalled");
    assert!(begun.elapsed() < Duration::from_secs(5));
}

fn executable(path: &Path) {
    use std::os::unix::fs::PermissionsExt as _;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o755)).unwrap();
}

#[tokio::test]
async fn the_machines_faults_are_not_the_masters() {
    let folder = tempfile::tempdir().unwrap();
    let input = clip(folder.path(), "plain.mp4", "320x180", "25", 2);
    let source = free_engine().probe(&input).await.unwrap();
    let plan = cheap_plan(&source, "144p");
    let run = async |engine: &Engine, out: &Path| {
        let result = engine
            .transcode(&job(&input, &source, &plan, out), &KeepNothing, |_| (), std::future::pending())
            .await;
        let error = result.unwrap_err();
        (error.category(), error.is_permanent(), error.detail())
    };
    // A full disk: every write to this device fails so.
    let full = tempfile::tempdir().unwrap();
    std::os::unix::fs::symlink("/dev/full", full.path().join("144p.mp4")).unwrap();
    let (category, permanent, detail) = run(&free_engine(), full.path()).await;
    assert_eq!((category, permanent), ("disk_full", false), "{detail}");

    for (script, expected, permanent) in [
        ("kill -9 $$", "killed", false),
        ("kill -15 $$", "killed", false),
        ("kill -11 $$", "ffmpeg_crashed", true),
        ("kill -24 $$", "resource_limit", true),
        ("echo '[error] Cannot allocate memory' >&2; exit 1", "resource_limit", true),
        ("echo '[fatal] something new' >&2; exit 1", "ffmpeg_failed", true),
        ("exit 0", "verification_failed", true),
        // A file that is none, and one that breaks off.
        ("echo garbage > pieces/00000-144p.mp4; exit 0", "verification_failed", true),
        ("head -c 2000 $MASTER > pieces/00000-144p.mp4; exit 0", "verification_failed", true),
    ] {
        let mut engine = free_engine();
        engine.tools.ffmpeg = folder.path().join("ffmpeg");
        let head = format!("#!/bin/sh\nPATH=/usr/bin:/bin\nMASTER={}\n", input.display());
        std::fs::write(&engine.tools.ffmpeg, format!("{head}{script}\n")).unwrap();
        executable(&engine.tools.ffmpeg);
        let out = tempfile::tempdir().unwrap();
        let (category, is_permanent, detail) = run(&engine, out.path()).await;
        assert_eq!((category, is_permanent), (expected, permanent), "{script}: {detail}");
    }

    let nowhere = Engine { sandbox: Sandbox::Via("/nowhere/worker".into()), ..engine() };
    assert_eq!(nowhere.probe(&input).await.unwrap_err().category(), "sandbox_failed");
    let mut gone = engine();
    gone.tools.ffprobe = "/nowhere/ffprobe".into();
    let error = gone.probe(&input).await.unwrap_err();
    assert_eq!((error.category(), error.is_permanent()), ("sandbox_failed", false));
    assert!(matches!(error, MediaError::SandboxFailed { detail } if detail.contains("/nowhere/ffprobe")));
}

/// An engine whose ffprobe and ffmpeg are this script, which may call the real ones.
fn scripted(folder: &Path, script: &str) -> Engine {
    let mut engine = free_engine();
    for program in [&mut engine.tools.ffprobe, &mut engine.tools.ffmpeg] {
        let real = program.clone();
        *program = folder.join(real.file_name().unwrap());
        let text = format!("#!/bin/sh\nPATH=/usr/bin:/bin\nREAL={}\n{script}\n", real.display());
        std::fs::write(&*program, text).unwrap();
        executable(program);
    }
    engine.limits.probe_deadline = Duration::from_millis(500);
    engine.limits.stall = Duration::from_millis(500);
    engine
}

#[tokio::test]
async fn an_ffprobe_that_dies_hangs_or_babbles_fails_the_probe() {
    let folder = tempfile::tempdir().unwrap();
    let input = clip(folder.path(), "plain.mp4", "320x180", "25", 1);
    for (script, expected) in [
        ("kill -9 $$", "killed"),
        ("kill -11 $$", "ffmpeg_crashed"),
        ("kill -STOP $$", "deadline"),
        // Its pipes are closed, and it does not end.
        ("exec >&- 2>&-; exec sleep 60", "deadline"),
        ("exit 0", "corrupt_input"),
        ("head -c 100000 /dev/urandom", "corrupt_input"),
        ("echo '{\"streams\": [{}]}'", "no_video"),
    ] {
        let begun = Instant::now();
        let error = scripted(folder.path(), script).probe(&input).await.unwrap_err();
        assert_eq!(error.category(), expected, "{script}: {error}");
        assert!(begun.elapsed() < Duration::from_secs(30), "{script}: {:?}", begun.elapsed());
    }
    let needle = folder.path().join("ffprobe").display().to_string();
    support::eventually("no ffprobe left", || !runs(&needle)).await;
}

#[tokio::test]
async fn an_ffmpeg_that_stands_still_is_ended_whatever_it_has_closed() {
    let folder = tempfile::tempdir().unwrap();
    let input = clip(folder.path(), "plain.mp4", "320x180", "25", 1);
    let source = free_engine().probe(&input).await.unwrap();
    let plan = cheap_plan(&source, "144p");
    for script in ["kill -STOP $$", "exec >&- 2>&-; exec sleep 60", "exec >&- 2>&-; kill -STOP $$"] {
        let engine = scripted(folder.path(), script);
        let out = tempfile::tempdir().unwrap();
        let never = std::future::pending();
        let error = engine
            .transcode(&job(&input, &source, &plan, out.path()), &KeepNothing, |_| (), never)
            .await
            .unwrap_err();
        assert_eq!(error.category(), "stalled", "{script}: {error}");
    }
    let needle = folder.path().join("ffmpeg").display().to_string();
    support::eventually("no ffmpeg left", || !runs(&needle)).await;
}

#[tokio::test]
async fn a_real_ffmpeg_that_is_stopped_in_its_work_is_noticed_and_ended() {
    let folder = tempfile::tempdir().unwrap();
    let input = endless(folder.path());
    let mut engine = engine();
    engine.limits.stall = Duration::from_secs(2);
    let source = engine.probe(&input).await.unwrap();
    let plan = cheap_plan(&source, "720p");
    let out = tempfile::tempdir().unwrap();
    let needle = input.display().to_string();
    let stopped = std::sync::atomic::AtomicBool::new(false);
    let stop_once_it_works = |progress: Progress| {
        use std::sync::atomic::Ordering::SeqCst;
        if progress.frames > 0 && !stopped.swap(true, SeqCst) {
            for pid in support::running(&needle) {
                kill_process(pid, Signal::STOP).unwrap();
            }
        }
    };
    let never = std::future::pending();
    let error = engine
        .transcode(&job(&input, &source, &plan, out.path()), &KeepNothing, stop_once_it_works, never)
        .await
        .unwrap_err();
    assert_eq!(error.category(), "stalled", "{error}");
    support::eventually("no ffmpeg left", || !runs(&needle)).await;
}
