//! The cage holds: what a child in it can and cannot do, with a shell in ffmpeg's place.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs, reason = "tests")]

mod support;

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::time::Duration;

use reelpool_media::{Engine, KeepNothing, Limits, sandbox::Spec};
use support::{cheap_plan, clip, engine, eventually, job, runs, whole};

const CAGE: &str = env!("CARGO_BIN_EXE_reelpool-media-cage");

fn spec(read: &Path, write: &Path) -> Spec {
    Spec {
        parent: std::process::id(),
        read: vec![read.to_owned()],
        write: vec![write.to_owned()],
        max_file_bytes: 1 << 20,
        cpu_seconds: 20,
        memory_bytes: 512 << 20,
    }
}

/// Runs `program` with `args` in the cage.
fn caged(spec: &Spec, program: &str, args: &[&str]) -> Output {
    let spec = serde_json::to_string(spec).unwrap();
    let cage = ["sandbox", "--spec", &spec, "--", program];
    Command::new(CAGE)
        .args(cage)
        .args(args)
        .env("AWS_SECRET_ACCESS_KEY", "s3cret")
        .stdin(Stdio::null())
        .output()
        .unwrap()
}

fn shell(spec: &Spec, script: &str) -> (bool, String) {
    let out = caged(spec, "/bin/sh", &["-c", script]);
    (out.status.success(), String::from_utf8_lossy(&[out.stdout, out.stderr].concat()).into_owned())
}

/// Whether this kernel enforces Landlock; without it the tests of files have nothing to test.
fn landlock() -> bool {
    let modules = std::fs::read_to_string("/sys/kernel/security/lsm").unwrap_or_default();
    let folder = tempfile::tempdir().unwrap();
    let said = shell(&spec(folder.path(), folder.path()), "true").1;
    let there = !said.contains("no Landlock");
    assert!(there || !modules.contains("landlock"), "{said}");
    there
}

#[test]
fn files_outside_are_closed_and_the_jobs_own_are_open() {
    if !landlock() {
        println!("this kernel has no Landlock: not tested");
        return;
    }
    let (jobs, others) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    std::fs::write(jobs.path().join("master"), "m\n").unwrap();
    std::fs::write(others.path().join("secret"), "s3cret").unwrap();
    let out = jobs.path().join("out");
    std::fs::create_dir(&out).unwrap();
    let spec = spec(&jobs.path().join("master"), &out);
    let (jobs, others) = (jobs.path().display(), others.path().display());
    let allowed =
        format!("set -e; read x < {jobs}/master; echo 1 > {jobs}/out/file; read x < {jobs}/out/file");
    let (fine, said) = shell(&spec, &allowed);
    assert!(fine && said.is_empty(), "{said}");
    assert!(Path::new(&format!("{jobs}/out/file")).exists());
    for denied in [
        format!("read x < {others}/secret"),
        "read x < /etc/passwd".into(),
        "read x < /proc/self/environ".into(),
        format!("echo 1 > {others}/new"),
        format!("echo 1 > {jobs}/master"),
        format!("echo 1 > {jobs}/beside"),
        format!("ln -s /etc/passwd {jobs}/out/link"),
        "echo 1 > /usr/x".into(),
    ] {
        let (fine, said) = shell(&spec, &denied);
        assert!(!fine && said.contains("ermission denied"), "{denied}: {said}");
    }
}

#[test]
fn the_environment_is_empty() {
    let folder = tempfile::tempdir().unwrap();
    let out = caged(&spec(folder.path(), folder.path()), "/usr/bin/env", &[]);
    assert!(out.status.success());
    assert_eq!(String::from_utf8_lossy(&out.stdout), "");
}

#[test]
fn limits_hold() {
    let folder = tempfile::tempdir().unwrap();
    let spec = spec(folder.path(), folder.path());
    let (_, said) = shell(&spec, "ulimit -c; ulimit -n; ulimit -f; ulimit -d; ulimit -t");
    // The shell counts files in blocks of 512 bytes and memory in KiB.
    assert_eq!(said.split_whitespace().collect::<Vec<_>>(), ["0", "256", "2048", "524288", "20"]);
    let (fine, said) = shell(&spec, "ulimit -n 1000");
    assert!(!fine, "{said}");
}

#[tokio::test]
async fn no_network_even_for_a_careless_ffmpeg() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    listener.set_nonblocking(true).unwrap();
    let url = format!("http://{}/master.mp4", listener.local_addr().unwrap());
    let folder = tempfile::tempdir().unwrap();
    let ffprobe = engine().tools.ffprobe;
    let args = ["-v", "error", "-protocol_whitelist", "file,http,tcp", &url];
    let out = caged(&spec(folder.path(), folder.path()), ffprobe.to_str().unwrap(), &args);
    assert!(!out.status.success());
    assert!(String::from_utf8_lossy(&out.stderr).contains("Permission denied"), "{out:?}");
    assert_eq!(listener.accept().unwrap_err().kind(), std::io::ErrorKind::WouldBlock, "nobody knocked");
}

#[test]
fn other_processes_are_out_of_reach() {
    let folder = tempfile::tempdir().unwrap();
    let spec = spec(folder.path(), folder.path());
    let (fine, said) = shell(&spec, &format!("kill -0 {}", std::process::id()));
    assert!(!fine, "{said}");
    let (fine, said) = shell(&spec, "unshare -U true");
    assert!(!fine, "{said}");
}

#[tokio::test]
async fn limits_hit_by_ffmpeg_are_the_masters_error() {
    let folder = tempfile::tempdir().unwrap();
    let input = clip(folder.path(), "plain.mp4", "1280x720", "30", 4);
    let with = |limits: Limits| Engine { limits, ..engine() };
    for limits in [
        Limits { max_output_bytes: 20_000, ..engine().limits },
        Limits { memory: Some(48 << 20), ..engine().limits },
    ] {
        let out = tempfile::tempdir().unwrap();
        let error = whole(&with(limits.clone()), &input, "720p", out.path()).await.unwrap_err();
        assert_eq!((error.category(), error.is_permanent()), ("resource_limit", true), "{}", error.detail());
    }
}

/// Twice the rung's highest bit rate over the counted picture, the sound, 64 MiB, and not a byte more.
#[tokio::test]
async fn no_output_grows_past_what_its_plan_can_need() {
    let folder = tempfile::tempdir().unwrap();
    let input = clip(folder.path(), "plain.mp4", "320x180", "25", 2);
    let mut engine = engine();
    let mut source = engine.probe(&input).await.unwrap();
    // What the header says is nothing to go by.
    source.video.header_duration_us = Some(1 << 60);
    source.video.header_frames = Some(1 << 60);
    let plan = cheap_plan(&source, "144p");
    let bits = 2 * u64::from(plan.renditions[0].max_kbps) * 1000 + 128_000;
    let most = bits * 2 / 8 + (64 << 20);
    assert!(most < engine.limits.max_output_bytes);
    // An ffmpeg that makes a file of a given size; a hole takes no room.
    engine.tools.ffmpeg = folder.path().join("ffmpeg");
    for (bytes, expected) in [(most, false), (most + 1, true)] {
        let script = format!("#!/bin/sh\nexec /usr/bin/truncate -s {bytes} 144p.mp4\n");
        std::fs::write(&engine.tools.ffmpeg, script).unwrap();
        std::fs::set_permissions(&engine.tools.ffmpeg, std::fs::Permissions::from_mode(0o755)).unwrap();
        let out = tempfile::tempdir().unwrap();
        let never = std::future::pending();
        let error = engine
            .transcode(&job(&input, &source, &plan, out.path()), &KeepNothing, |_| (), never)
            .await
            .unwrap_err();
        assert_eq!(error.category() == "resource_limit", expected, "{bytes}: {}", error.detail());
        let made = std::fs::metadata(out.path().join("144p.mp4")).unwrap().len();
        assert_eq!(made, if expected { 0 } else { bytes });
        if expected {
            assert!(error.is_permanent());
            assert!(
                error.to_string().starts_with(&format!("an output file grew past {most} bytes, ")),
                "{error}"
            );
        }
    }
}

#[tokio::test]
async fn a_playlist_cannot_open_its_neighbours_whatever_the_flags() {
    if !landlock() {
        println!("this kernel has no Landlock: not tested");
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    clip(folder.path(), "other.mp4", "320x180", "25", 1);
    let list = folder.path().join("list.mp4");
    std::fs::write(&list, "ffconcat version 1.0\nfile other.mp4\n").unwrap();
    let error = engine().probe(&list).await.unwrap_err();
    assert_eq!(error.category(), "not_media");
    // Without our own look and without the format whitelist, the cage alone.
    let ffprobe = engine().tools.ffprobe;
    let args = ["-v", "error", "-show_entries", "stream=width", list.to_str().unwrap()];
    let free = Command::new(&ffprobe).args(args).output().unwrap();
    assert!(String::from_utf8_lossy(&free.stdout).contains("320"), "the attack works outside: {free:?}");
    let out = tempfile::tempdir().unwrap();
    let held = caged(&spec(&list, out.path()), ffprobe.to_str().unwrap(), &args);
    assert!(!String::from_utf8_lossy(&held.stdout).contains("320"), "{held:?}");
    assert!(String::from_utf8_lossy(&held.stderr).contains("Permission denied"), "{held:?}");
}

#[tokio::test]
async fn ffmpeg_dies_with_the_process_that_started_it() {
    let folder = tempfile::tempdir().unwrap();
    let needle = format!("{}", folder.path().join("marker").display());
    let path = folder.path().to_owned();
    // A parent that starts a caged child and dies: the child's spec names that parent.
    let json =
        serde_json::to_string(&spec(&path, &path)).unwrap().replace(&std::process::id().to_string(), "'$$'");
    let script = format!("{CAGE} sandbox --spec '{json}' -- /bin/sh -c 'sleep 60; : {needle}' & sleep 60");
    let mut parent = Command::new("/bin/sh").args(["-c", &script]).spawn().unwrap();
    let caged = || runs(&format!("sleep 60; : {needle}\0"));
    eventually("the child runs", caged).await;
    parent.kill().unwrap();
    parent.wait().unwrap();
    eventually("the child is gone", || !caged()).await;
}

#[tokio::test]
async fn the_cage_says_when_it_cannot_be_closed() {
    let folder = tempfile::tempdir().unwrap();
    let orphan = Spec { parent: 1, ..spec(folder.path(), folder.path()) };
    let out = caged(&orphan, "/bin/sh", &["-c", "true"]);
    assert_eq!(out.status.code(), Some(125));
    assert!(String::from_utf8_lossy(&out.stderr).contains("the parent is gone"));
    for args in
        [vec!["sandbox"], vec!["sandbox", "--spec", "{}", "--", "/bin/true"], vec!["sandbox", "--spec", "x"]]
    {
        let out = Command::new(CAGE).args(args).output().unwrap();
        assert_eq!(out.status.code(), Some(125));
    }
}

#[tokio::test]
async fn progress_from_inside_the_cage_reaches_its_end() {
    let folder = tempfile::tempdir().unwrap();
    let input = clip(folder.path(), "plain.mp4", "320x180", "25", 1);
    let source = engine().probe(&input).await.unwrap();
    let plan = cheap_plan(&source, "144p");
    let out = tempfile::tempdir().unwrap();
    let mut last = 0;
    let note = |progress: reelpool_media::Progress| last = progress.permille;
    let engine = engine();
    let job = job(&input, &source, &plan, out.path());
    let done = engine.transcode(&job, &KeepNothing, note, std::future::pending());
    let done = tokio::time::timeout(Duration::from_secs(60), done).await.unwrap().unwrap();
    assert_eq!((done.renditions.len(), last), (1, 1000));
}

/// The parent-death signal is the parent *thread's*: children must not die with a thread of the pool.
#[test]
fn a_child_outlives_the_thread_that_asked_for_it() {
    let folder = tempfile::tempdir().unwrap();
    let input = clip(folder.path(), "plain.mp4", "1280x720", "30", 4);
    let out = tempfile::tempdir().unwrap();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let engine = engine();
    let source = runtime.block_on(engine.probe(&input)).unwrap();
    let plan = cheap_plan(&source, "720p,480p");
    let (input, folder) = (input.clone(), out.path().to_owned());
    let (sender, receiver) = std::sync::mpsc::channel();
    let mut work = Box::pin(async move {
        let first = move |_| {
            let _ = sender.send(());
        };
        engine
            .transcode(&job(&input, &source, &plan, &folder), &KeepNothing, first, std::future::pending())
            .await
    });
    // The first steps are taken on a thread that then ends.
    let handle = runtime.handle().clone();
    let work = std::thread::spawn(move || {
        handle.block_on(async {
            let _ = tokio::time::timeout(Duration::from_millis(200), &mut work).await;
        });
        work
    });
    let done = runtime.block_on(work.join().unwrap()).unwrap();
    assert_eq!(done.renditions.len(), 2);
    receiver.recv().unwrap();
}
