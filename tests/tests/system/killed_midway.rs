//! A worker that is killed in the middle of a long master costs one piece of it: the next one goes on from there.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::SystemTime;

use reelpool_tests::clips::Clip;
use reelpool_tests::probe::probe;
use reelpool_tests::process::processes;
use reelpool_tests::results::{assert_nothing_else, files, published};
use reelpool_tests::{Machine, Process};
use rustix::process::{Pid, Signal, kill_process};

use crate::LONG;

/// Three pieces: of a minute, a minute, and eighty seconds.
const CLIP: Clip = Clip { width: 640, height: 360, seconds: 200, fps: 30, audio: true };
const ARGUMENTS: [&str; 5] =
    ["--exit-when-done", "--max-workers=1", "--visibility-timeout=3", "--ladder=180p,90p", "--preset=medium"];

/// The finished pieces in the store, and when each was written.
fn pieces(machine: &Machine) -> BTreeMap<PathBuf, SystemTime> {
    let kept =
        files(&machine.output()).into_iter().filter(|file| file.to_string_lossy().contains("/pieces/"));
    let written = |file: &PathBuf| file.metadata().and_then(|about| about.modified());
    kept.filter_map(|file| written(&file).ok().map(|at| (file, at))).collect()
}

fn worker(machine: &Machine) -> Option<Pid> {
    let table = processes();
    let worker = table
        .iter()
        .find(|process| process.is("reelpool-worker") && process.bears(machine.root()) && !process.zombie)?;
    Pid::from_raw(worker.pid)
}

/// Whether an ffmpeg has this piece among its outputs.
fn ffmpeg_makes(machine: &Machine, piece: &str) -> bool {
    let output = format!(" -f mp4 pieces/{piece}");
    let makes = |process: &reelpool_tests::process::Listed| {
        process.is("ffmpeg") && process.bears(machine.root()) && process.command_line.contains(&output)
    };
    processes().iter().any(makes)
}

#[test]
fn what_a_killed_worker_had_finished_is_not_made_again() {
    let machine = Machine::new();
    machine.add(&CLIP.file(), "long.mp4");
    let mut up: Process = machine.up(&ARGUMENTS);
    up.wait_until("the second piece is being made", LONG, |_| ffmpeg_makes(&machine, "00001-180p.mp4"));
    let finished = pieces(&machine);
    let names: Vec<_> = finished.keys().filter_map(|file| file.file_name()?.to_str()).collect();
    assert_eq!(names, ["00000-180p.mp4", "00000-90p.mp4", "sound.mp4"]);
    kill_process(worker(&machine).unwrap(), Signal::KILL).unwrap();
    let mut made_again = false;
    let mut before = finished.clone();
    up.wait_until("the master is done", LONG, |_| {
        made_again |= ffmpeg_makes(&machine, "00000-180p.mp4") || ffmpeg_makes(&machine, "sound.mp4");
        let now = pieces(&machine);
        // They go when the job is committed; until then they stay as they are.
        before = if now.is_empty() { before.clone() } else { now };
        published(&machine.output()).len() == 1
    });
    for (piece, written) in &finished {
        assert_eq!(before.get(piece), Some(written), "{}", piece.display());
    }
    assert!(!made_again, "a finished piece was made again");
    let _ = up.wait(LONG).expect_code(0);
    let jobs = published(&machine.output());
    jobs[0].assert_matches(&probe(&CLIP.file()));
    let frames: Vec<u64> = jobs[0].manifest.renditions.iter().map(|rendition| rendition.frames).collect();
    assert_eq!(frames, [6000, 6000]);
    assert_nothing_else(&machine.output(), &jobs);
    machine.assert_idle();
}
