use super::*;
use crate::package::fixtures::{self, assert_golden, rung};

#[test]
fn the_playlists_are_as_the_golden_files_say() {
    let presentation = fixtures::presentation();
    assert_golden("master.m3u8", &master(&presentation));
    for packaged in presentation.tracks() {
        assert_golden(&layout::playlist(&packaged.name), &media(&presentation, packaged));
    }
}

#[test]
fn a_silent_video_has_no_group_of_sounds() {
    let silent = Presentation::new(vec![rung("720p", 1280, 720, 500_000)], None, 6).unwrap();
    assert_golden("silent.m3u8", &master(&silent));
}

#[test]
fn numbers_are_rounded() {
    let table =
        [(24_000, 1001, "23.976"), (30_000, 1001, "29.970"), (25, 1, "25.000"), (60_000, 1001, "59.940")];
    for (num, den, expected) in table {
        assert_eq!(frame_rate(Rate::new(num, den).unwrap()), expected);
    }
    assert_eq!(seconds(180_180, 30_000), "6.006000");
    assert_eq!(seconds(2, 3), "0.666667");
    assert_eq!(seconds(u64::MAX, 1), "18446744073709551615.000000");
}
