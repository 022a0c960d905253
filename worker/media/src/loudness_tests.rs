use super::*;

fn summary(integrated: &str, peak: &str) -> String {
    format!(
        "[info]     title : Summary: I: -3.0 LUFS\n[Parsed_ebur128_1 @ 0x5] [info] Summary:\n\n  Integrated loudness:\n    \
         I: {integrated:>13} LUFS\n    Threshold: -51.8 LUFS\n\n  Loudness range:\n    LRA:        20.0 LU\n    \
         Threshold: -61.8 LUFS\n    LRA low:   -61.8 LUFS\n    LRA high:  -41.8 LUFS\n\n  True peak:\n    \
         Peak: {peak:>10} dBFS\n"
    )
}

#[test]
fn the_summary_is_read() {
    let table = [
        ("-41.8", "-40.6", Some((-4180, -4060))),
        ("-9.3", "1.2", Some((-930, 120))),
        // Silence has no peak.
        ("-70.0", "-inf", Some((-7000, 0))),
        ("-20.0", "nan", None),
        ("nan", "-1.0", None),
    ];
    for (integrated, peak, expected) in table {
        let expected = expected.map(|(integrated, peak)| Measured { integrated, peak });
        assert_eq!(parse(&summary(integrated, peak)), expected, "{integrated} {peak}");
    }
    assert_eq!(parse("[info] nothing of it"), None);
    assert_eq!(parse("Summary:\n"), None);
}

#[test]
fn one_gain_within_what_peaks_allow() {
    // Integrated, peak, target, gain, what is told.
    let table = [
        (-2300, -1500, -1600, 700, None),
        (-900, 20, -1600, -700, None),
        (-1600, -500, -1600, 0, None),
        (-2300, -400, -1600, 300, Some("its sound is brought to -20.0 LUFS instead of -16.0")),
        // Peaks over the highest are lowered, whatever the loudness.
        (-2000, 50, -1600, -150, Some("its sound is brought to -21.5 LUFS instead of -16.0")),
        // As near as it is measured: not worth a word.
        (-2300, -795, -1600, 695, None),
        (-7000, 0, -1600, 0, None),
    ];
    for (integrated, peak, target, expected, told) in table {
        let (found, note) = gain(Measured { integrated, peak }, target);
        assert_eq!(found, expected, "{integrated} {peak}");
        let is_told = match (&note, told) {
            (Some(note), Some(told)) => note.starts_with(told) && note.ends_with("over -1.0 dBTP"),
            (note, told) => note.is_none() && told.is_none(),
        };
        assert!(is_told, "{integrated} {peak}: {note:?}");
    }
}

proptest::proptest! {
    #[test]
    fn no_peak_is_raised_over_the_highest(integrated in -6999_i32..0, peak in -9000_i32..300, target in -7000_i32..=-500) {
        let (gain, _) = gain(Measured { integrated, peak }, target);
        proptest::prop_assert!(peak + gain <= HIGHEST_PEAK && integrated + gain <= target);
    }
}
