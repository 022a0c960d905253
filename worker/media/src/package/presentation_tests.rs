use super::*;
use crate::package::fixtures::{self, rung, sound, track};

#[test]
fn all_rungs_are_cut_at_the_same_moments() {
    let presentation = fixtures::presentation();
    let durations = |packaged: &Packaged| packaged.segments.iter().map(|s| s.ticks).collect::<Vec<_>>();
    for rung in presentation.rungs() {
        assert_eq!(durations(rung), [180_180, 180_180, 180_180, 60_060]);
    }
    assert_eq!(durations(presentation.audio().unwrap()), [288_768, 288_768, 288_768, 95_232]);
    assert_eq!(presentation.target_seconds(), 6);
    let names: Vec<_> = presentation.tracks().map(|packaged| packaged.name.as_str()).collect();
    assert_eq!(names, ["720p", "360p", "audio"]);
}

#[test]
fn the_longest_segment_of_all_is_the_target() {
    let whole = |segment| Presentation::new(vec![rung("360p", 640, 360, 1000)], None, segment).unwrap();
    assert_eq!(whole(6).target_seconds(), 6);
    assert_eq!(whole(0).target_seconds(), 2);
    assert_eq!(whole(60).target_seconds(), 20);
    // 0.4 s, and no target is 0.
    let short = track(&fixtures::avc1(640, 360), 30_000, &[(1000, 12_000)]);
    let short = Rung { track: short, ..rung("360p", 640, 360, 1000) };
    assert_eq!(Presentation::new(vec![short], None, 6).unwrap().target_seconds(), 1);
}

#[test]
fn sound_that_goes_on_is_cut_too() {
    let long = track(&fixtures::mp4a(), 48_000, &[(1000, 96_000); 20]);
    let rungs = vec![rung("360p", 640, 360, 1000)];
    let presentation = Presentation::new(rungs, Some(long), 6).unwrap();
    assert_eq!(presentation.audio().unwrap().segments.len(), 7);
    assert_eq!(presentation.target_seconds(), 6);
}

#[test]
fn tracks_that_do_not_belong_together_are_refused() {
    let good = || rung("720p", 1280, 720, 1000);
    let named = |name: &str| Rung { name: name.into(), ..good() };
    let shaped = |timescale, fragments: &[(usize, u32)]| {
        let track = track(&fixtures::avc1(640, 360), timescale, fragments);
        Rung { track, ..named("360p") }
    };
    let shifted = |timescale, start| Track { timescale, start, ..sound() };
    let mut odd = vec![(10, 60_060); 10];
    odd[4].1 = 60_059;
    let table: [(&str, Vec<Rung>, Option<Track>); 14] = [
        ("at least one video track", vec![], Some(sound())),
        ("cannot be called ``", vec![named("")], None),
        ("cannot be called `a b`", vec![named("a b")], None),
        ("cannot be called `../x`", vec![named("../x")], None),
        ("cannot be called `x\"`", vec![named("x\"")], None),
        ("cannot be called `audio`", vec![named("audio")], None),
        ("cannot be called `Master`", vec![named("Master")], None),
        ("two rungs are called `720P`", vec![good(), named("720P")], None),
        ("`360p` does not hold a picture", vec![good(), Rung { track: sound(), ..named("360p") }], None),
        ("`audio` does not hold sound", vec![good()], Some(good().track)),
        ("differ at fragment 9", vec![good(), shaped(30_000, &[(10, 60_060); 9])], None),
        ("differ at fragment 4", vec![good(), shaped(30_000, &odd)], None),
        ("differ at fragment 0", vec![good(), shaped(25_000, &[(10, 60_060); 10])], None),
        ("`audio` starts 51 ms apart from `720p`", vec![good()], Some(shifted(48_000, 2448))),
    ];
    for (message, rungs, audio) in table {
        let told = Presentation::new(rungs, audio, 6).unwrap_err().to_string();
        assert!(told.contains(message), "{message}: {told}");
    }
}

#[test]
fn tracks_that_belong_together_are_taken() {
    let good = || rung("720p", 1280, 720, 1000);
    // The same moments on another scale, and sound that starts just near enough.
    let scaled = track(&fixtures::avc1(640, 360), 60_000, &[(10, 120_120); 10]);
    let other = Rung { track: scaled, ..rung("360p", 640, 360, 1000) };
    let audio = Track { start: 2400, ..sound() };
    Presentation::new(vec![good(), other], Some(audio), 6).unwrap();
    Presentation::new(vec![good()], None, 6).unwrap();
}
