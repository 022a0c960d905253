//! Ctrl-C, and worse.

use std::fs;
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use crate::bench::{Bench, Ended, beside, long_clip, set};

/// For how long things are waited for that happen soon.
const PATIENCE: Duration = Duration::from_secs(120);

fn until(what: &str, mut condition: impl FnMut() -> bool) {
    let end = Instant::now() + PATIENCE;
    while !condition() {
        assert!(Instant::now() < end, "{what}");
        sleep(Duration::from_millis(20));
    }
}

/// The output folder's folder for what is unfinished.
fn unfinished(bench: &Bench) -> Option<PathBuf> {
    let name = bench.names().into_iter().find(|name| name.starts_with("unfinished-"))?;
    Some(bench.out().join(name))
}

/// A transcode that has begun to write and is far from its end.
fn begun(bench: &Bench) -> Child {
    let mut command: Command = bench.command(long_clip(), &["--preset", "veryslow", "--ladder", "180p"]);
    // A terminal's Ctrl-C reaches the whole group; this is the program alone, and ffmpeg is not in its group anyway.
    let child = command.process_group(0).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    until("ffmpeg writes", || {
        let Some(folder) = unfinished(bench) else { return false };
        fs::metadata(folder.join("out/pieces/00000-180p.mp4")).is_ok_and(|file| file.len() > 0)
    });
    child
}

fn signal(child: &Child, signal: Signal) {
    kill_process(Pid::from_child(child), signal).unwrap();
}

/// Whether any process has this bench's folder in its command line or works in it.
fn is_used(bench: &Bench) -> bool {
    let folder = bench.out().canonicalize().unwrap_or_else(|_| bench.out());
    let is_in = |entry: &fs::DirEntry| {
        fs::read_link(entry.path().join("cwd")).is_ok_and(|cwd| cwd.starts_with(&folder))
    };
    fs::read_dir("/proc").unwrap().flatten().any(|entry| is_in(&entry))
}

#[test]
fn ctrl_c_stops_ffmpeg_and_leaves_nothing() {
    for (signal_sent, there_before) in [(Signal::INT, true), (Signal::TERM, false)] {
        let bench = Bench::new();
        if there_before {
            fs::create_dir(bench.out()).unwrap();
            fs::write(bench.out().join("mine.txt"), "mine").unwrap();
        }
        let child = begun(&bench);
        assert!(is_used(&bench), "ffmpeg works in the folder");
        signal(&child, signal_sent);
        let ended = Ended::of(&child.wait_with_output().unwrap());
        ended.failed(3, "error: cancelled: stopped on request: nothing was left behind");
        assert_eq!(bench.out().exists(), there_before);
        let left = if there_before { set(["mine.txt"]) } else { set([]) };
        assert_eq!(bench.names(), left);
        until("ffmpeg is gone", || !is_used(&bench));
    }
}

#[test]
fn what_a_killed_run_left_is_gone_after_the_next() {
    let bench = Bench::new();
    let mut child = begun(&bench);
    signal(&child, Signal::KILL);
    child.wait().unwrap();
    until("ffmpeg dies with it", || !is_used(&bench));
    assert!(unfinished(&bench).is_some());
    let ended = bench.run(&bench.clip("a.mp4"), &["--preset", "ultrafast", "--ladder", "90p"]);
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    assert_eq!(bench.names(), beside(["90p"]));
}

#[test]
fn a_master_that_is_changed_meanwhile_is_no_master() {
    let bench = Bench::new();
    let file = bench.path("a.mp4");
    fs::copy(long_clip(), &file).unwrap();
    let mut command = bench.command(&file, &["--preset", "ultrafast", "--ladder", "180p,90p"]);
    let child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    until("it is transcoding", || unfinished(&bench).is_some());
    // The same bytes, and another time of change.
    fs::File::options()
        .append(true)
        .open(&file)
        .unwrap()
        .set_modified(std::time::SystemTime::UNIX_EPOCH)
        .unwrap();
    let ended = Ended::of(&child.wait_with_output().unwrap());
    let last = format!(
        "error: master_replaced: {} was changed while it was transcoded: start again when it is complete",
        file.display()
    );
    ended.failed(3, &last);
    assert!(!bench.out().exists());
}
