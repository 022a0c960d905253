//! A video goes in, renditions come out, and the fleet rises from zero and returns to zero.

use std::fs::File;
use std::io::Write;
use std::time::Duration;

use reelpool_tests::clips::{self, Clip};
use reelpool_tests::probe::probe;
use reelpool_tests::results::{assert_nothing_else, published};
use reelpool_tests::{Machine, fleet_log};
use rustix::process::Signal;

use crate::LONG;

#[test]
fn promise_9_one_machine_is_enough_to_begin() {
    let machine = Machine::new();
    let masters = [
        // key, clip, ladder of its own, short sides expected
        ("bikes.mp4", clips::demo("bikes.mp4"), None, vec![144, 90]),
        ("carphone.mp4", clips::demo("carphone_pristine.mp4"), Some("96p 48p"), vec![96, 48]),
        ("holiday, day 1 (ü).mp4", Clip::default().file(), None, vec![144, 90]),
        ("portrait.mp4", Clip { width: 180, height: 320, ..Clip::default() }.file(), None, vec![144, 90]),
        ("tiny.mp4", Clip { width: 64, height: 48, audio: false, ..Clip::default() }.file(), None, vec![48]),
    ];
    for (name, clip, ladder, _) in &masters {
        match ladder {
            Some(ladder) => machine.add_with_ladder(clip, name, ladder),
            None => machine.add(clip, name),
        }
    }

    let arguments = ["--ladder", "144p,90p", "--max-workers", "3"];
    let _ = machine.up_until_done(&arguments, LONG).expect_code(0);

    fleet_log::assert_rose_at_once_and_fell(&machine.data(), 3);
    let jobs = published(&machine.output());
    let keys: Vec<&str> = jobs.iter().map(|job| job.manifest.source.key.as_str()).collect();
    assert_eq!(keys, masters.iter().map(|(name, ..)| *name).collect::<Vec<_>>());
    for (job, (_, clip, _, short_sides)) in jobs.iter().zip(&masters) {
        job.assert_matches(&probe(clip));
        assert_eq!(job.short_sides(), *short_sides, "{}", job.manifest.source.key);
    }
    // The long side follows from the master's picture, whose pixels need not be square.
    let sizes = |key: &str| {
        let job = jobs.iter().find(|job| job.manifest.source.key == key).unwrap();
        job.manifest.renditions.iter().map(|made| (made.width, made.height)).collect::<Vec<_>>()
    };
    assert_eq!(sizes("holiday, day 1 (ü).mp4"), [(256, 144), (160, 90)]);
    assert_eq!(sizes("portrait.mp4"), [(144, 256), (90, 160)]);
    assert_nothing_else(&machine.output(), &jobs);
    machine.assert_idle();

    // Finished work is not done again.
    let decisions = fleet_log::read(&machine.data());
    let _ = machine.up_until_done(&arguments, LONG).expect_code(0);
    let attempts = |jobs: &[reelpool_tests::results::Published]| {
        jobs.iter().map(|job| job.manifest.attempt.clone()).collect::<Vec<_>>()
    };
    assert_eq!(attempts(&published(&machine.output())), attempts(&jobs));
    let later = &fleet_log::read(&machine.data())[decisions.len()..];
    assert!(later.iter().all(|step| step.target == 0), "nobody was needed: {later:?}");
}

#[test]
fn a_master_that_arrives_later_wakes_the_fleet() {
    let machine = Machine::new();
    let mut up = machine.up(&["--ladder", "90p", "--max-workers", "2"]);

    // Moved in: complete at once.
    let clip = Clip::default().file();
    machine.add(&clip, "moved.mp4");
    up.wait_until("the first master is done", LONG, |_| published(&machine.output()).len() == 1);
    up.wait_until("the fleet is gone", LONG, |_| {
        fleet_log::read(&machine.data()).last().is_some_and(|step| step.target == 0)
    });

    // Copied in slowly: complete when closed and left alone.
    let bytes = std::fs::read(&clip).unwrap();
    let mut file = File::create(machine.masters().join("copied.mp4")).unwrap();
    let pieces = 6;
    for piece in bytes.chunks(bytes.len().div_ceil(pieces)) {
        file.write_all(piece).unwrap();
        file.flush().unwrap();
        // What an upload over a slow line looks like: the pause is the thing under test.
        std::thread::sleep(Duration::from_millis(700));
        assert_eq!(published(&machine.output()).len(), 1, "a file that is still written is no master");
    }
    drop(file);
    up.wait_until("the second master is done", LONG, |_| published(&machine.output()).len() == 2);
    for job in published(&machine.output()) {
        job.assert_matches(&probe(&clip));
    }

    up.signal(Signal::INT);
    let _ = up.wait(LONG).expect_code(0);
    machine.assert_idle();
}

#[test]
fn a_master_that_is_replaced_is_a_new_job() {
    let machine = Machine::new();
    let arguments = ["--ladder", "90p"];
    machine.add(&Clip::default().file(), "a.mp4");
    let _ = machine.up_until_done(&arguments, LONG).expect_code(0);
    machine.add(&Clip { seconds: 1, ..Clip::default() }.file(), "a.mp4");
    let _ = machine.up_until_done(&arguments, LONG).expect_code(0);

    let jobs = published(&machine.output());
    assert_eq!(jobs.len(), 2, "each version has its own manifest");
    assert_ne!(jobs[0].manifest.job_id, jobs[1].manifest.job_id);
    assert_nothing_else(&machine.output(), &jobs);
    machine.assert_idle();
}
