use proptest::prelude::*;

use super::*;

/// Fragments of these durations, of as many bytes each as their number times ten.
fn fragments(ticks: &[u64]) -> Vec<Span> {
    let mut offset = 100;
    let spans = ticks.iter().zip(1..).map(|(ticks, i)| {
        let bytes = ByteRange { offset, len: i * 10 };
        offset = bytes.end();
        Span { bytes, ticks: *ticks }
    });
    spans.collect()
}

#[test]
fn segments_come_as_near_to_the_target_as_fragments_allow() {
    let table: [(&[u64], u32, &[usize]); 9] = [
        // Ten of 2.002 s: 6.006, 6.006, 6.006, 2.002.
        (&[2002; 10], 6, &[3, 3, 3, 1]),
        (&[2000; 10], 6, &[3, 3, 3, 1]),
        (&[2002; 3], 2, &[1, 1, 1]),
        (&[2002; 3], 1, &[1, 1, 1]),
        // 5.2 s is nearer to 6 than 7.8 s.
        (&[2600; 5], 6, &[2, 2, 1]),
        (&[2500; 5], 6, &[2, 2, 1]),
        // 4.8 s and 7.2 s are as near: the longer one, for fewer segments.
        (&[2400; 5], 6, &[3, 2]),
        (&[10_000, 1000, 1000], 6, &[1, 2]),
        (&[500], 6, &[1]),
    ];
    for (ticks, seconds, expected) in table {
        assert_eq!(cut(&fragments(ticks), 1000, seconds), expected, "{ticks:?}");
    }
}

#[test]
fn sound_is_cut_where_the_picture_is() {
    // The picture's segments end at 6.006, 12.012 and so on; these are in thousandths, those in 30000ths.
    let ends = [180_180, 360_360, 540_540];
    let table: [(&[u64], &[usize]); 6] = [
        (&[2005; 10], &[3, 3, 3, 1]),
        // 0.5 s: 6.0, 12.0, 18.0, 20.0.
        (&[500; 40], &[12, 12, 12, 4]),
        // Longer than the picture's: one for one, and the one at 16 is nearer to 18 than that at 24.
        (&[8000; 3], &[1, 1, 1]),
        // One fragment for two moments.
        (&[13_000, 5000, 2000], &[1, 1, 1]),
        // Sound that stops early, and one that goes on.
        (&[2000; 4], &[3, 1]),
        (&[2000; 16], &[3, 3, 3, 3, 3, 1]),
    ];
    for (ticks, expected) in table {
        assert_eq!(cut_at(&fragments(ticks), 1000, &ends, 30_000, 6), expected, "{ticks:?}");
    }
}

#[test]
fn joined_fragments_are_one_range() {
    let joined = join(&fragments(&[1, 2, 3]), &[2, 1]);
    let span = |offset, len, ticks| Span { bytes: ByteRange { offset, len }, ticks };
    assert_eq!(joined, [span(100, 30, 3), span(130, 30, 3)]);
    assert_eq!(ends(&joined), [3, 6]);
}

proptest! {
    #[test]
    fn no_fragment_is_lost(
        ticks in proptest::collection::vec(1_u64..5000, 1..60),
        mut ends in proptest::collection::vec(1_u64..100_000, 0..20),
        seconds in 1_u32..10,
    ) {
        ends.sort_unstable();
        ends.dedup();
        let fragments = fragments(&ticks);
        for counts in [cut(&fragments, 1000, seconds), cut_at(&fragments, 1000, &ends, 700, seconds)] {
            prop_assert!(counts.iter().all(|count| *count > 0));
            prop_assert_eq!(counts.iter().sum::<usize>(), fragments.len());
            let joined = join(&fragments, &counts);
            prop_assert!(joined.windows(2).all(|pair| pair[0].bytes.end() == pair[1].bytes.offset));
            prop_assert_eq!(joined[0].bytes.offset, 100);
            let sum = |spans: &[Span]| spans.iter().map(|span| span.ticks).sum::<u64>();
            prop_assert_eq!(sum(&joined), sum(&fragments));
        }
    }

    #[test]
    fn segments_are_about_as_long_as_they_should_be(
        ticks in proptest::collection::vec(1_u64..2000, 1..60),
        seconds in 2_u32..10,
    ) {
        let fragments = fragments(&ticks);
        let joined = join(&fragments, &cut(&fragments, 1000, seconds));
        let target = u64::from(seconds) * 1000;
        // All but the last are off by half a fragment at most.
        for segment in &joined[..joined.len() - 1] {
            prop_assert!(segment.ticks.abs_diff(target) <= 1000, "{}", segment.ticks);
        }
        prop_assert!(joined[joined.len() - 1].ticks <= target + 1000);
    }
}
