use proptest::prelude::*;

use super::*;
use crate::package::segments::ByteRange;

/// Spans of so many bytes and ticks each.
fn spans(spans: &[(u64, u64)]) -> Vec<Span> {
    spans
        .iter()
        .map(|(len, ticks)| Span { bytes: ByteRange { offset: 0, len: *len }, ticks: *ticks })
        .collect()
}

#[test]
fn the_mean_is_all_bits_by_all_seconds() {
    assert_eq!(average(&spans(&[(1000, 6000), (3000, 6000), (500, 2000)]), 1000), 36_000 / 14 + 1);
    assert_eq!(average(&spans(&[(1, 1)]), 1), 8);
}

#[test]
fn the_peak_is_that_of_runs_about_as_long_as_the_target() {
    let table: [(&[(u64, u64)], u64); 5] = [
        (&[(1000, 6000), (3000, 6000)], 4000),
        // The last is shorter than half the target: it counts together with the one before it only.
        (&[(3000, 6000), (3000, 2000)], 6000),
        (&[(3000, 6000), (3000, 3000)], 8000),
        // Short ones: any run from 3 to 9 s, so the three in the middle.
        (&[(1, 1000), (1000, 1000), (1000, 1000), (1000, 1000), (1, 1000)], 8000),
        // Nothing is long enough: the mean.
        (&[(100, 400)], 2000),
    ];
    for (given, expected) in table {
        assert_eq!(peak(&spans(given), 1000, 6), expected, "{given:?}");
    }
}

/// The definition, run by run: what comes by the time at which the last fragment starts to play.
fn holds(fragments: &[Span], rate: u64, buffer_ms: u64) -> bool {
    (0..fragments.len()).all(|first| {
        let (mut bits, mut ms) = (0, buffer_ms);
        fragments[first..].iter().all(|fragment| {
            bits += fragment.bytes.len * 8;
            let in_time = bits * 1000 <= rate * ms;
            ms += fragment.ticks;
            in_time
        })
    })
}

#[test]
fn a_channel_of_the_least_rate_never_runs_dry() {
    // Equal fragments, each wanted when a buffer of its own length has come: their own rate.
    assert_eq!(sufficient(&spans(&[(1000, 2000); 5]), 1000, 2000), 4000);
    // A large one in the middle, and twice the buffer: it may take 4 s from the start of the one before.
    assert_eq!(sufficient(&spans(&[(1000, 2000), (3000, 2000), (1000, 2000)]), 1000, 4000), 6000);
}

proptest! {
    #[test]
    fn it_is_the_least_that_suffices(
        given in proptest::collection::vec((1_u64..100_000, 1_u64..5000), 1..12),
        buffer_ms in 1_u64..5000,
    ) {
        let fragments = spans(&given);
        let rate = sufficient(&fragments, 1000, buffer_ms);
        prop_assert!(holds(&fragments, rate, buffer_ms));
        prop_assert!(!holds(&fragments, rate - 1, buffer_ms));
    }

    #[test]
    fn no_peak_is_below_the_mean(
        given in proptest::collection::vec((1_u64..100_000, 1_u64..9000), 1..12),
        target in 1_u32..10,
    ) {
        let segments = spans(&given);
        prop_assert!(peak(&segments, 1000, target) >= average(&segments, 1000));
    }

    #[test]
    fn the_largest_numbers_do_not_overflow(n in 1_usize..50) {
        let fragments = spans(&vec![(u64::from(u32::MAX), u64::from(u32::MAX)); n]);
        let all = [
            average(&fragments, u32::MAX),
            peak(&fragments, u32::MAX, u32::MAX),
            sufficient(&fragments, u32::MAX, u64::from(u32::MAX)),
        ];
        prop_assert!(all.iter().all(|rate| *rate > 0));
    }
}
