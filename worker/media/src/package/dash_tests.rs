use super::*;
use crate::package::fixtures::{self, assert_golden, rung};
use crate::source::Rate;

#[test]
fn the_manifest_is_as_the_golden_file_says() {
    assert_golden("manifest.mpd", &mpd(&fixtures::presentation()));
}

#[test]
fn a_silent_video_has_one_adaptation_set() {
    let rung = crate::package::Rung { rate: Rate::new(25, 1).unwrap(), ..rung("720p", 1280, 720, 500_000) };
    assert_golden("silent.mpd", &mpd(&Presentation::new(vec![rung], None, 6).unwrap()));
}

#[test]
fn seconds_are_written_without_needless_zeros() {
    for (us, expected) in [(0, "0"), (20_020_000, "20.02"), (1_000_001, "1.000001"), (7_000_000, "7")] {
        assert_eq!(seconds(us), expected);
    }
}
