//! Any bytes as ffprobe's list of packets: the sum holds together, however the bytes come.

#![no_main]

use libfuzzer_sys::fuzz_target;
use reelpool_media::fuzzing::count_packets;

fuzz_target!(|list: &[u8]| {
    for clock_may_jump in [false, true] {
        let picture = count_packets(list, 8192, clock_may_jump);
        assert_eq!(picture, count_packets(list, 7, clock_may_jump));
        assert!(picture.frames + picture.lost_at_start <= picture.packets);
        assert!(picture.start_us <= picture.last_us && picture.last_us <= picture.end_us, "{picture:?}");
        assert!(picture.mean_gap_us().is_none_or(|gap| gap > 0.0 && gap.is_finite()), "{picture:?}");
        assert!(picture.duration_us() <= picture.end_us.abs_diff(picture.start_us));
    }
});
