//! `kill -9` of everything at any moment loses nothing, doubles nothing, and leaves nothing behind.

use std::collections::BTreeSet;
use std::time::Duration;

use reelpool_tests::Machine;
use reelpool_tests::clips::{self, Clip};
use reelpool_tests::probe::probe;
use reelpool_tests::results::{assert_nothing_else, published};

use crate::LONG;

const KILLS: usize = 10;

#[test]
fn ten_kills_lose_nothing_and_leave_nothing() {
    let seed = std::env::var("REELPOOL_SEED").ok().and_then(|seed| seed.parse().ok());
    let seed = seed.unwrap_or_else(|| fastrand::u64(..));
    println!("seed: {seed} (REELPOOL_SEED={seed} kills at the same moments)");
    let mut random = fastrand::Rng::with_seed(seed);

    let machine = Machine::new();
    let real = clips::demo("bigbuckbunny.mp4");
    let made = Clip { width: 640, height: 360, ..Clip::default() }.file();
    // A killed worker's job is offered again after three seconds, and being killed is no reason to give it up.
    let arguments = [
        "--ladder=360p,240p",
        "--preset=medium",
        "--max-workers=3",
        "--visibility-timeout=3",
        "--max-attempts=100",
    ];
    let mut keys = BTreeSet::new();
    let (mut running, mut transcoding) = (0, 0);
    for kill in 0..KILLS {
        // Each round has at least one master that is not done.
        for (clip, name) in [(&real, format!("real-{kill}.mp4")), (&made, format!("made-{kill}.mp4"))] {
            machine.add(clip, &name);
            keys.insert(name);
        }
        let mut up = machine.up(&[&["--exit-when-done"], &arguments[..]].concat());
        if kill % 2 == 0 {
            std::thread::sleep(Duration::from_millis(random.u64(100..4000)));
        } else {
            // However long a busy machine takes to begin.
            up.wait_until("ffmpeg runs", LONG, |_| machine.transcodes());
            std::thread::sleep(Duration::from_millis(random.u64(0..500)));
        }
        running += usize::from(up.runs());
        transcoding += usize::from(machine.transcodes());
        up.kill_all();
    }
    println!("{running} of {KILLS} kills met a running fleet, {transcoding} a running ffmpeg");
    assert_eq!(running, KILLS, "a kill that comes too late tests nothing");
    assert!(transcoding > 0, "no kill met a running ffmpeg: the moments are badly chosen");

    let _ = machine.up_until_done(&arguments, LONG).expect_code(0);

    let jobs = published(&machine.output());
    let done: Vec<&str> = jobs.iter().map(|job| job.manifest.source.key.as_str()).collect();
    assert_eq!(done, keys.iter().map(String::as_str).collect::<Vec<_>>(), "each master once");
    for job in &jobs {
        job.assert_matches(&probe(&machine.masters().join(&job.manifest.source.key)));
        assert_eq!(job.short_sides(), [360, 240]);
    }
    assert_nothing_else(&machine.output(), &jobs);
    machine.assert_idle();
}
