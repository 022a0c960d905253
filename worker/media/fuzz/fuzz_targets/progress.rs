//! Any bytes as ffmpeg's `-progress`: it never goes back, and never past its end.

#![no_main]

use libfuzzer_sys::fuzz_target;
use reelpool_media::fuzzing::progress;

fuzz_target!(|text: &[u8]| {
    for (total_us, frame_us) in [(0, 0), (10_000_000, 40_000), (u64::MAX, u64::MAX)] {
        let shown = progress(text, 8192, total_us, frame_us);
        assert_eq!(shown, progress(text, 5, total_us, frame_us));
        let mut before = 0;
        for progress in shown {
            assert!((before..=1000).contains(&progress.permille));
            before = progress.permille;
        }
    }
});
