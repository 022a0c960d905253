use std::num::NonZeroU32;

use proptest::prelude::*;

use super::*;
use crate::package::fixtures::assert_golden;

/// Sheets of 2 × 2 pictures of 160 × 90, one picture every ten seconds.
fn storyboard(count: u32, seconds: u64) -> Storyboard {
    let two = NonZeroU32::new(2).unwrap();
    let (every, duration) = (Duration::from_secs(10), Duration::from_secs(seconds));
    Storyboard { columns: two, rows: two, width: 160, height: 90, every, count, duration }
}

#[test]
fn the_cues_are_as_the_golden_file_says() {
    let board = storyboard(7, 65);
    assert_golden("storyboard.vtt", &board.vtt());
    assert_eq!(board.sheets(), 2);
}

#[test]
fn the_last_picture_stands_until_the_end_and_none_comes_after() {
    let last = |board: Storyboard| board.vtt().lines().rev().nth(1).unwrap().to_owned();
    assert_eq!(last(storyboard(2, 35)), "00:00:10.000 --> 00:00:35.000");
    assert_eq!(last(storyboard(9, 35)), "00:00:30.000 --> 00:00:35.000");
    assert_eq!(last(storyboard(400, 4000)), "01:06:30.000 --> 01:06:40.000");
    assert_eq!(storyboard(0, 35).vtt(), "WEBVTT\n");
    assert_eq!(storyboard(5, 0).vtt(), "WEBVTT\n");
}

proptest! {
    #[test]
    fn any_sheets_can_be_told(
        columns in 1_u32.., rows in 1_u32.., width: u32, height: u32, every: u32, count in 0_u32..100, duration: u32,
    ) {
        let (columns, rows) = (NonZeroU32::new(columns).unwrap(), NonZeroU32::new(rows).unwrap());
        let (every, duration) = (Duration::from_micros(every.into()), Duration::from_millis(duration.into()));
        let board = Storyboard { columns, rows, width, height, every, count, duration };
        prop_assert!(board.vtt().matches("-->").count() <= count as usize);
        prop_assert!(board.sheets() <= count);
    }
}
