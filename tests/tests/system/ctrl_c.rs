//! Ctrl-C: once to finish or hand back, twice to stop at once. Nothing is lost either way.

use std::time::Duration;

use reelpool_tests::clips::Clip;
use reelpool_tests::probe::probe;
use reelpool_tests::results::{assert_nothing_else, published};
use reelpool_tests::{Machine, Process};
use rustix::process::Signal;

use crate::LONG;

/// A clip that takes many seconds with this preset.
const LONG_CLIP: Clip = Clip { width: 1280, height: 720, seconds: 12, fps: 30, audio: true };
const SLOWLY: [&str; 4] = ["--preset", "slow", "--ladder", "720p"];

fn transcoding(machine: &Machine, arguments: &[&str]) -> Process {
    let mut up = machine.up(&[&["--visibility-timeout", "5", "--max-workers", "2"], arguments].concat());
    up.wait_until("ffmpeg runs", LONG, |_| machine.transcodes());
    up
}

#[test]
fn once_without_time_to_finish_hands_the_job_back() {
    let machine = Machine::new();
    machine.add(&LONG_CLIP.file(), "long.mp4");
    let up = transcoding(&machine, &[&["--grace", "0"], &SLOWLY[..]].concat());
    up.signal(Signal::INT);
    let ended = up.wait(Duration::from_secs(20)).expect_code(0);
    println!("handed back in {:?}", ended.waited);

    assert_nothing_else(&machine.output(), &[]);
    let counts = machine.queue().counts().unwrap();
    assert_eq!((counts.waiting, counts.in_flight, counts.dead), (1, 0, 0), "the message is there at once");
    machine.assert_tidy();

    let _ = machine.up_until_done(&["--ladder", "90p"], LONG).expect_code(0);
    assert_eq!(published(&machine.output()).len(), 1);
    machine.assert_idle();
}

#[test]
fn once_with_time_to_finish_lets_the_job_end() {
    let machine = Machine::new();
    let clip = Clip { width: 640, height: 360, seconds: 4, ..Clip::default() }.file();
    machine.add(&clip, "short.mp4");
    let up = transcoding(&machine, &["--grace", "120", "--preset", "slow", "--ladder", "360p"]);
    up.signal(Signal::INT);
    let _ = up.wait(LONG).expect_code(0);

    let jobs = published(&machine.output());
    assert_eq!(jobs.len(), 1, "the job in hand was finished");
    jobs[0].assert_matches(&probe(&clip));
    assert_nothing_else(&machine.output(), &jobs);
    machine.assert_idle();
}

#[test]
fn twice_stops_at_once_and_the_next_run_goes_on() {
    let machine = Machine::new();
    machine.add(&LONG_CLIP.file(), "long.mp4");
    let up = transcoding(&machine, &[&["--grace", "120"], &SLOWLY[..]].concat());
    up.signal(Signal::INT);
    // Two signals at the same moment would be one; a person needs at least this long.
    std::thread::sleep(Duration::from_millis(300));
    up.signal(Signal::INT);
    let _ = up.wait(Duration::from_secs(5)).expect_code(130);

    // The same ladder, for with another it would be another job: the claim on this one would stay.
    let _ = machine.up_until_done(&["--ladder", "720p", "--visibility-timeout", "5"], LONG).expect_code(0);
    let jobs = published(&machine.output());
    assert_eq!(jobs.len(), 1);
    assert_nothing_else(&machine.output(), &jobs);
    machine.assert_idle();
}
