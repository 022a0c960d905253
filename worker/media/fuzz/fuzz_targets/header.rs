//! Any bytes as ffprobe's JSON: a header that cannot be wrong, or one clear error.

#![no_main]

use libfuzzer_sys::fuzz_target;
use reelpool_media::parse_probe;

fuzz_target!(|json: &[u8]| {
    match parse_probe(json) {
        Ok(header) => {
            let video = &header.video;
            assert!(video.width >= 1 && video.height >= 1);
            let (across, down) = video.pixel_shape;
            assert!(across >= 1 && down >= 1);
            let (width, height) = video.display_size();
            assert!(width >= 1 && height >= 1);
            assert!(video.base_rate.is_none_or(|rate| rate.fps() > 0.0 && rate.fps().is_finite()));
            assert!(header.audio.is_none_or(|audio| audio.index != video.index));
            header.notes.iter().for_each(|note| one_line(note));
        }
        Err(error) => {
            let expected = ["corrupt_input", "encrypted", "no_video", "unsupported_codec"];
            assert!(expected.contains(&error.category()), "{}", error.category());
            assert!(error.is_permanent());
            one_line(&error.to_string());
        }
    }
});

/// What a person reads is one line of bearable length, whatever the file says.
fn one_line(text: &str) {
    assert!(!text.contains(char::is_control), "not one line: {text:?}");
    assert!(text.chars().count() <= 500, "too long: {text:?}");
}
