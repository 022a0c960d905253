//! A worker that dies or hangs with a job in hand: another one does the job, and a reader never sees a mix.

use std::os::unix::fs::PermissionsExt;

use reelpool_tests::clips::Clip;
use reelpool_tests::probe::probe;
use reelpool_tests::process::processes;
use reelpool_tests::results::{assert_nothing_else, published};
use reelpool_tests::{Machine, Process, binaries};
use rustix::process::{Pid, Signal, kill_process};

use crate::LONG;

/// Some seconds of work, so that the other worker is still there when the job comes back.
const CLIP: Clip = Clip { width: 640, height: 360, seconds: 10, fps: 30, audio: true };
const ARGUMENTS: [&str; 5] = [
    "--exit-when-done",
    "--max-workers=2",
    "--visibility-timeout=3",
    "--ladder=360p,180p",
    "--preset=medium",
];

/// A fleet of two with two masters, and a worker that runs ffmpeg.
fn busy_fleet() -> (Machine, Process, Pid) {
    let machine = Machine::new();
    for name in ["a.mp4", "b.mp4"] {
        machine.add(&CLIP.file(), name);
    }
    let mut up = machine.up(&ARGUMENTS);
    up.wait_until("ffmpeg runs", LONG, |_| machine.transcodes());
    let table = processes();
    let ffmpeg = table.iter().find(|process| process.is("ffmpeg") && process.bears(&machine.data()));
    let worker = ffmpeg.and_then(|ffmpeg| Pid::from_raw(ffmpeg.parent)).expect("ffmpeg runs");
    (machine, up, worker)
}

fn assert_done_once(machine: &Machine) {
    let jobs = published(&machine.output());
    assert_eq!(jobs.len(), 2);
    for job in &jobs {
        job.assert_matches(&probe(&CLIP.file()));
        assert_eq!(job.short_sides(), [360, 180]);
    }
    assert_nothing_else(&machine.output(), &jobs);
    machine.assert_idle();
}

#[test]
fn a_worker_that_is_killed_is_replaced_and_its_job_done() {
    let (machine, up, worker) = busy_fleet();
    kill_process(worker, Signal::KILL).unwrap();
    let _ = up.wait(LONG).expect_code(0);
    assert_done_once(&machine);
}

#[test]
fn a_worker_that_hangs_loses_its_job_and_publishes_nothing() {
    let (machine, mut up, worker) = busy_fleet();
    kill_process(worker, Signal::STOP).unwrap();
    // The other one does its own job and, once the hold has run out, the hung one's too.
    up.wait_until("both masters are done", LONG, |_| published(&machine.output()).len() == 2);
    let attempts = attempts(&machine);
    // Awake again, it finds that its hold is lost; on a slow machine it may have been replaced already.
    let _ = kill_process(worker, Signal::CONT);
    let _ = up.wait(LONG).expect_code(0);
    assert_done_once(&machine);
    assert_eq!(self::attempts(&machine), attempts, "what was published stays");
}

#[test]
fn one_that_cannot_start_does_not_end_those_that_can() {
    let machine = Machine::new();
    for name in ["a.mp4", "b.mp4"] {
        machine.add(&CLIP.file(), name);
    }
    // The first to come fails at once, before another can be ready.
    let script = machine.root().join("worker.sh");
    let (lock, worker) = (machine.root().join("failed"), binaries::reelpool_worker());
    let text = format!(
        "#!/bin/sh\ncase \"$*\" in *--check*) ;; *) mkdir {} 2>/dev/null && exit 1 ;; esac\nexec {} \"$@\"\n",
        lock.display(),
        worker.display()
    );
    std::fs::write(&script, text).unwrap();
    std::fs::set_permissions(&script, PermissionsExt::from_mode(0o755)).unwrap();
    let worker = format!("--worker={}", script.display());
    let ended = machine.up(&[&ARGUMENTS[..], &[&worker]].concat()).wait(LONG).expect_code(0);
    assert!(lock.exists() && ended.stderr.contains("ended with exit code 1"), "{ended}");
    assert_done_once(&machine);
}

fn attempts(machine: &Machine) -> Vec<String> {
    published(&machine.output()).into_iter().map(|job| job.manifest.attempt).collect()
}
